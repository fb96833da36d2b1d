//! Renewal when the issuer has a bad day: sessions are kept, nobody waits for ever, recovery is by itself.

use std::time::{Duration, Instant};

use futures_util::future::join_all;

use crate::harness::scene::{ISSUERS, SESSION, SITES, assert_renewed};
use crate::harness::{Jar, Scene, SetCookie, TokenAnswer, eventually, get};

/// Sends with the same cookies until the gateway has recovered; every answer until then is a 503.
async fn recovers(scene: &Scene, jar: &Jar) {
    let started = Instant::now();
    loop {
        let answer = scene.send(get("https://app.test/x").cookies(jar)).await;
        if answer.status == 200 {
            return assert_renewed(&answer);
        }
        answer.assert_status(503);
        assert!(started.elapsed() < Duration::from_secs(20), "it recovers");
        scene.clock.advance(Duration::from_secs(1));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn after_every_kind_of_trouble_the_same_cookies_work_again() {
    for trouble in [
        TokenAnswer::Status(500, None),
        TokenAnswer::Status(503, Some("1")),
        TokenAnswer::Status(429, Some("1")),
        TokenAnswer::Garbage,
        TokenAnswer::Html,
        TokenAnswer::Empty,
        TokenAnswer::InvalidClient,
        TokenAnswer::InvalidRequest,
        TokenAnswer::ServerErrorThatMentionsInvalidGrant,
    ] {
        let scene = Scene::usual().await;
        let jar = scene.expired_session("alice");
        scene.issuer.behave(trouble);
        let answer = scene.send(get("https://app.test/x").cookies(&jar)).await;
        assert!(answer.assert_status(503).header("retry-after").is_some(), "{trouble:?}");
        assert_eq!(answer.set_cookies(), [], "{trouble:?}");
        scene.issuer.behave(TokenAnswer::Rotate);
        recovers(&scene, &jar).await;
        assert_eq!(scene.issuer.reuses(), 0, "{trouble:?}");
    }
}

#[tokio::test]
async fn the_session_outlives_an_issuer_that_is_down() {
    let scene = Scene::usual().await;
    scene.assert_well().await;
    let jar = scene.expired_session("alice");
    scene.issuer.set_down(true);
    let answer = scene.send(get("https://app.test/x").cookies(&jar)).await;
    assert_eq!(answer.assert_status(503).set_cookies(), []);
    scene.assert_well().await;
    scene.issuer.set_down(false);
    recovers(&scene, &jar).await;
}

#[tokio::test]
async fn a_request_waits_no_longer_than_the_stated_time_and_the_outcome_is_recorded_all_the_same() {
    let scene = Scene::with_session("refresh_wait: 300ms").await;
    let jar = scene.expired_session("alice");
    scene.issuer.hold();
    let started = Instant::now();
    let answer = scene.send(get("https://app.test/x").cookies(&jar)).await;
    assert!(answer.assert_status(503).header("retry-after").is_some());
    assert!(started.elapsed() < Duration::from_secs(3), "it waited {:?}", started.elapsed());
    scene.issuer.release();
    recovers(&scene, &jar).await;
    assert_eq!((scene.issuer.token_requests(), scene.issuer.reuses()), (1, 0));
}

#[tokio::test]
async fn other_users_do_not_wait_for_a_stuck_issuer() {
    let scene = Scene::with_session("refresh_wait: 5s").await;
    scene.assert_well().await;
    scene.issuer.hold();
    let stuck = scene.http2().connect("app.test").await;
    for n in 0..20 {
        let ask = get("https://app.test/x").cookies(&scene.expired_session(&format!("stuck-{n}")));
        let mut connection = stuck.share();
        tokio::spawn(async move { connection.send(ask).await });
    }
    eventually("a renewal hangs", || scene.issuer.token_requests() > 0).await;
    let started = Instant::now();
    for _ in 0..20 {
        scene.assert_well().await;
    }
    assert!(started.elapsed() < Duration::from_secs(4), "20 requests took {:?}", started.elapsed());
    scene.issuer.release();
}

#[tokio::test]
async fn a_lost_answer_is_asked_for_once_more_and_a_forgiving_issuer_gives_it_again() {
    let scene = Scene::usual().await;
    scene.issuer.forgive_reuse();
    scene.issuer.next([TokenAnswer::RotateThenHangup]);
    let jar = scene.expired_session("alice");
    recovers(&scene, &jar).await;
    assert_eq!(scene.issuer.token_requests(), 2, "retried once, no more");
}

#[tokio::test]
async fn a_lost_answer_of_a_strict_issuer_ends_the_session_by_its_invalid_grant() {
    let scene = Scene::usual().await;
    scene.issuer.next([TokenAnswer::RotateThenHangup]);
    let jar = scene.expired_session("alice");
    let mut status = 503;
    while status == 503 {
        status = scene.send(get("https://app.test/x").cookies(&jar)).await.status.as_u16();
        scene.clock.advance(Duration::from_secs(1));
    }
    assert_eq!((status, scene.issuer.token_requests()), (401, 2));
}

#[tokio::test]
async fn a_connection_that_broke_before_anything_was_rotated_costs_nothing() {
    let scene = Scene::usual().await;
    scene.issuer.next([TokenAnswer::Hangup]);
    recovers(&scene, &scene.expired_session("alice")).await;
    assert_eq!((scene.issuer.token_requests(), scene.issuer.reuses()), (2, 0));
}

#[tokio::test]
async fn an_ended_session_is_cleared_and_the_issuer_is_not_asked_again_and_again() {
    let scene = Scene::usual().await;
    scene.issuer.behave(TokenAnswer::InvalidGrant);
    let jar = scene.expired_session("alice");
    for _ in 0..10 {
        let answer = scene.send(get("https://app.test/x").cookies(&jar)).await;
        let cleared = answer.assert_status(401).set_cookies();
        assert!(cleared.len() == 2 && cleared.iter().all(SetCookie::clears), "{cleared:?}");
    }
    assert_eq!(scene.issuer.token_requests(), 1);
    let answer = scene.send(get("https://app.test/x").navigation().cookies(&jar)).await;
    assert!(matches!(answer.status.as_u16(), 302 | 401), "a navigation is sent to sign in");
}

#[tokio::test]
async fn a_herd_after_an_outage_is_bounded_and_everybody_gets_in() {
    let scene = Scene::usual().await;
    scene.issuer.behave(TokenAnswer::Status(503, Some("1")));
    let jars: Vec<Jar> = (0..50).map(|n| scene.expired_session(&format!("user-{n}"))).collect();
    let connection = scene.http2().connect("app.test").await;
    let all = |jars: &[Jar]| {
        join_all(jars.iter().map(|jar| {
            let (mut connection, ask) = (connection.share(), get("https://app.test/x").cookies(jar));
            async move { connection.send(ask).await }
        }))
    };
    for answer in all(&jars).await {
        answer.assert_status(503);
    }
    scene.issuer.behave(TokenAnswer::Rotate);
    for jar in &jars {
        recovers(&scene, jar).await;
    }
    assert_eq!(scene.issuer.reuses(), 0);
}

#[tokio::test]
async fn an_issuer_that_fails_one_time_in_five_logs_nobody_out() {
    let scene = Scene::usual().await;
    for n in 0..20 {
        if n % 5 == 0 {
            scene.issuer.next([TokenAnswer::Status(502, None)]);
        }
        recovers(&scene, &scene.expired_session(&format!("user-{n}"))).await;
    }
    assert_eq!(scene.issuer.reuses(), 0);
}

#[tokio::test]
async fn a_renewal_without_the_id_token_that_says_who_somebody_is_ends_the_session_and_loses_no_refresh_token() {
    let issuers = ISSUERS.replace("audiences: [usher]", "identity: id_token");
    let scene = Scene::start(&format!("{issuers}{SESSION}{SITES}")).await;
    let jar = scene.expired_session("alice");
    // OIDC Core §12.2 lets a renewal do without. The access token beside it would even pass for one: it is none.
    let answer = scene.send(get("https://app.test/x").cookies(&jar)).await;
    let cleared = answer.assert_status(401).set_cookies();
    assert!(
        cleared.len() == 2 && cleared.iter().all(crate::harness::SetCookie::clears),
        "signing in again: {answer:?}"
    );
    assert_eq!(scene.upstream.seen().len(), 0);
    // A page leads there. Whoever has the old cookies still makes no request of each of theirs.
    let page = scene.send(get("https://app.test/x").navigation().cookies(&jar)).await;
    assert!(page.assert_status(302).header("location").unwrap().starts_with("/.usher/sign-in"), "{page:?}");
    assert_eq!(scene.issuer.token_requests(), 1);
    let id_token = scene.issuer.access_token("alice");
    scene.issuer.behave(TokenAnswer::IdToken(Box::leak(id_token.into_boxed_str())));
    scene.clock.advance(Duration::from_secs(1));
    assert_renewed(scene.send(get("https://app.test/x").cookies(&jar)).await.assert_status(200));
    assert_eq!(
        (scene.issuer.token_requests(), scene.issuer.reuses()),
        (2, 0),
        "the successor is spent, not the spent one"
    );
}
