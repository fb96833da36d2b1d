//! Late-comers and thieves: who still finds the outcome of a spent refresh token, and until when.

use std::time::Duration;

use crate::harness::issuer::LIFETIME;
use crate::harness::scene::assert_renewed;
use crate::harness::{Answer, Ask, Jar, Scene, SetCookie, eventually, get, post};

async fn ask(scene: &Scene, jar: &Jar) -> Answer {
    scene.send(get("https://app.test/x").cookies(jar)).await
}

#[tokio::test]
async fn a_late_comer_with_the_old_cookies_gets_the_recorded_outcome() {
    let scene = Scene::usual().await;
    let old = scene.expired_session("alice");
    let first = ask(&scene, &old).await;
    for late in [1, 5, 20, 100] {
        tokio::time::sleep(Duration::from_millis(late)).await;
        let answer = ask(&scene, &old).await;
        assert_renewed(answer.assert_status(200));
        let values = |answer: &Answer| answer.set_cookies().into_iter().map(|cookie| cookie.value).collect::<Vec<_>>();
        assert_eq!(values(&answer), values(&first));
    }
    assert_eq!((scene.issuer.token_requests(), scene.issuer.reuses()), (1, 0));
}

#[tokio::test]
async fn a_lost_response_costs_nothing_however_late_the_client_comes_back() {
    let scene = Scene::with_session("refresh_grace: 60s\nidle_timeout: 8h").await;
    let old = scene.expired_session("alice");
    drop(ask(&scene, &old).await);
    scene.clock.advance(Duration::from_secs(3600));
    let answer = ask(&scene, &old).await;
    assert_renewed(answer.assert_status(200));
    assert_eq!(scene.issuer.reuses(), 0, "the spent token is never sent again");
}

#[tokio::test]
async fn the_grace_begins_when_the_successor_is_first_presented() {
    let scene = Scene::with_session("refresh_grace: 60s").await;
    let old = scene.expired_session("alice");
    let mut new = old.clone();
    new.take(&ask(&scene, &old).await.headers);
    scene.clock.advance(Duration::from_secs(120));
    ask(&scene, &new).await.assert_status(200);
    scene.clock.advance(Duration::from_secs(59));
    ask(&scene, &old).await.assert_status(200);
}

#[tokio::test]
async fn a_spent_token_after_the_grace_ends_the_session_everywhere() {
    let scene = Scene::with_session("refresh_grace: 60s\non_reuse: revoke").await;
    let old = scene.expired_session("alice");
    let mut new = old.clone();
    new.take(&ask(&scene, &old).await.headers);
    ask(&scene, &new).await.assert_status(200);
    scene.clock.advance(Duration::from_secs(61));
    ask(&scene, &old).await.assert_status(401);
    assert_eq!(
        (scene.issuer.token_requests(), scene.issuer.reuses()),
        (1, 0),
        "the evidence is not sent to the issuer"
    );
    ask(&scene, &new).await.assert_status(401);
    let token = new.value("at").unwrap().to_owned();
    scene.send(get("https://app.test/x").bearer(&token)).await.assert_status(401);
    eventually("the refresh token is revoked at the issuer", || {
        scene.issuer.asked().revocations.iter().any(|token| Some(token.as_str()) == new.value("rt"))
    })
    .await;
}

#[tokio::test]
async fn reuse_may_be_refused_only_and_the_session_goes_on() {
    let scene = Scene::with_session("refresh_grace: 60s\non_reuse: refuse").await;
    let old = scene.expired_session("alice");
    let mut new = old.clone();
    new.take(&ask(&scene, &old).await.headers);
    ask(&scene, &new).await.assert_status(200);
    scene.clock.advance(Duration::from_secs(61));
    ask(&scene, &old).await.assert_status(401);
    ask(&scene, &new).await.assert_status(200);
    assert_eq!(scene.issuer.reuses(), 0);
}

#[tokio::test]
async fn the_outcome_of_an_outcome_is_found_from_every_ancestor_that_is_not_out_of_grace() {
    let scene = Scene::with_session("refresh_grace: 60s").await;
    let mut jars = vec![scene.expired_session("alice")];
    for _ in 0..3 {
        let mut jar = jars.last().unwrap().clone();
        jar.take(&ask(&scene, &jar).await.assert_status(200).headers);
        jars.push(jar);
        scene.clock.advance(LIFETIME + Duration::from_secs(1));
    }
    assert_eq!(scene.issuer.reuses(), 0);
    ask(&scene, jars.last().unwrap()).await.assert_status(200);
}

#[tokio::test]
async fn the_leader_may_leave_and_the_renewal_is_finished_and_recorded() {
    let scene = Scene::usual().await;
    let jar = scene.expired_session("alice");
    for http2 in [false, true] {
        let jar = if http2 { scene.expired_session("root") } else { jar.clone() };
        let before = scene.issuer.token_requests();
        scene.issuer.hold();
        let client = if http2 { scene.http2() } else { scene.client() };
        let leader = tokio::spawn({
            let ask: Ask = get("https://app.test/x").cookies(&jar);
            async move { client.send(ask).await }
        });
        eventually("the renewal runs", || scene.issuer.token_requests() == before + 1).await;
        leader.abort();
        drop(leader.await);
        scene.issuer.release();
        assert_renewed(ask(&scene, &jar).await.assert_status(200));
        assert_eq!((scene.issuer.token_requests(), scene.issuer.reuses()), (before + 1, 0));
    }
}

#[tokio::test]
async fn sign_out_revokes_clears_and_stays() {
    let scene = Scene::usual().await;
    let jar = scene.session("alice");
    let out = post("https://app.test/.usher/sign-out").header("origin", "https://app.test");
    let answer = scene.send(out.cookies(&jar)).await;
    assert!(answer.status.is_success() || answer.status.is_redirection(), "{answer:?}");
    let cleared: Vec<_> =
        answer.set_cookies().into_iter().filter(SetCookie::clears).map(|cookie| cookie.name).collect();
    assert!(cleared.contains(&"at".to_owned()) && cleared.contains(&"rt".to_owned()), "{cleared:?}");
    ask(&scene, &jar).await.assert_status(401);
    let mut refresh_only = jar.clone();
    refresh_only.remove("at");
    ask(&scene, &refresh_only).await.assert_status(401);
    assert_eq!(scene.issuer.token_requests(), 0, "a signed-out refresh token is not spent");
    eventually("the refresh token is revoked at the issuer", || !scene.issuer.asked().revocations.is_empty()).await;
}

#[tokio::test]
async fn sign_out_wins_over_a_renewal_in_flight() {
    let scene = Scene::usual().await;
    let jar = scene.expired_session("alice");
    scene.issuer.hold();
    let (client, renewing) = (scene.client(), get("https://app.test/x").cookies(&jar));
    let renewing = tokio::spawn(async move { client.send(renewing).await });
    eventually("the renewal runs", || scene.issuer.token_requests() == 1).await;
    let (client, out) =
        (scene.client(), post("https://app.test/.usher/sign-out").header("origin", "https://app.test").cookies(&jar));
    let out = tokio::spawn(async move { client.send(out).await });
    tokio::task::yield_now().await;
    scene.issuer.release();
    let (renewed, out) = (renewing.await.unwrap(), out.await.unwrap());
    assert!(!out.status.is_server_error(), "{out:?}");
    let mut late = jar.clone();
    late.take(&renewed.headers);
    for jar in [&late, &jar] {
        let mut status = ask(&scene, jar).await.status.as_u16();
        while status == 503 {
            status = ask(&scene, jar).await.status.as_u16();
        }
        assert_eq!(status, 401, "nothing revives the session");
    }
}

#[tokio::test]
async fn a_cross_site_sign_out_is_refused_and_a_get_signs_nobody_out() {
    let scene = Scene::usual().await;
    let jar = scene.session("alice");
    let forged = post("https://app.test/.usher/sign-out").header("origin", "https://evil.test");
    scene.send(forged.header("sec-fetch-site", "cross-site").cookies(&jar)).await.assert_status(403);
    let asks = scene.send(get("https://app.test/.usher/sign-out").cookies(&jar)).await;
    assert!(asks.assert_status(200).set_cookies().is_empty());
    ask(&scene, &jar).await.assert_status(200);
}
