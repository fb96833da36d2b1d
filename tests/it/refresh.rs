//! Renewal when all goes well: who gets what, and what it may cost.

use std::time::Duration;

use futures_util::future::join_all;
use http::Method;
use serde_json::json;

use usher::clock::Clock;

use crate::harness::cookies::set_cookies;
use crate::harness::issuer::{CLIENT_ID, Issuer, LIFETIME};
use crate::harness::scene::{ISSUERS, SESSION, SITES, assert_renewed};
use crate::harness::{Ask, Scene, TokenAnswer, Upstream, eventually, get, post};

#[tokio::test]
async fn an_expired_access_token_is_renewed_once_and_the_request_goes_on() {
    let scene = Scene::usual().await;
    let mut jar = scene.expired_session("alice");
    let spent = jar.clone();
    let answer = scene.send(get("https://app.test/x").cookies(&jar)).await;
    assert_renewed(answer.assert_status(200));
    assert_eq!(scene.upstream.only().all("x-user-id"), ["alice"]);
    assert_eq!(scene.issuer.token_requests(), 1);

    jar.take(&answer.headers);
    assert_ne!(jar, spent);
    let answer = scene.send(get("https://app.test/x").cookies(&jar)).await;
    assert_eq!(answer.assert_status(200).set_cookies(), [], "nothing is renewed that is good");
    assert_eq!(scene.issuer.token_requests(), 1);
}

#[tokio::test]
async fn an_absent_access_token_is_renewed_like_an_expired_one() {
    let scene = Scene::usual().await;
    let mut jar = scene.session("alice");
    jar.remove("at");
    assert_renewed(scene.send(get("https://app.test/x").cookies(&jar)).await.assert_status(200));
}

#[tokio::test]
async fn a_body_reaches_the_application_once_and_whole() {
    let scene = Scene::usual().await;
    let body = vec![b'x'; 1024 * 1024];
    for method in [Method::POST, Method::PUT] {
        let ask = Ask::new(method, "https://app.test/x").header("origin", "https://app.test").body(body.clone());
        let before = scene.upstream.count();
        assert_renewed(scene.send(ask.cookies(&scene.expired_session("alice"))).await.assert_status(200));
        assert_eq!(scene.upstream.count(), before + 1);
        let seen = scene.upstream.last();
        assert!(seen.complete && seen.body.len() == body.len());
    }
}

#[tokio::test]
async fn a_hundred_parallel_requests_cost_one_token_request_and_all_leave_with_working_cookies() {
    let scene = Scene::usual().await;
    scene.issuer.delay(Duration::from_millis(200));
    let jar = scene.expired_session("alice");
    let connection = scene.http2().connect("app.test").await;
    let answers = join_all((0..100).map(|_| {
        let (mut connection, ask) = (connection.share(), get("https://app.test/x").cookies(&jar));
        async move { connection.send(ask).await }
    }))
    .await;
    let first = answers[0].set_cookies();
    for answer in &answers {
        assert_renewed(answer.assert_status(200));
        let values = |cookies: Vec<crate::harness::SetCookie>| {
            cookies.into_iter().map(|cookie| cookie.value).collect::<Vec<_>>()
        };
        assert_eq!(values(answer.set_cookies()), values(first.clone()), "everybody gets the same pair");
    }
    assert_eq!((scene.issuer.token_requests(), scene.issuer.reuses()), (1, 0));
}

#[tokio::test]
async fn two_users_who_expire_together_never_get_each_others_tokens() {
    let scene = Scene::usual().await;
    scene.issuer.delay(Duration::from_millis(50));
    let users: Vec<String> = (0..40).map(|n| format!("user-{n}")).collect();
    let connection = scene.http2().connect("app.test").await;
    let answers = join_all(users.iter().map(|user| {
        let ask = get("https://app.test/x").cookies(&scene.expired_session(user));
        let mut connection = connection.share();
        async move { connection.send(ask).await }
    }))
    .await;
    for (user, answer) in users.iter().zip(&answers) {
        assert_eq!(crate::harness::scene::echoed(&answer.assert_status(200).json(), "x-user-id"), [user.as_str()]);
    }
    assert_eq!(scene.issuer.token_requests(), 40);
}

#[tokio::test]
async fn the_client_authenticates_as_the_configuration_says() {
    let scene = Scene::usual().await;
    scene.send(get("https://app.test/x").cookies(&scene.expired_session("alice"))).await.assert_status(200);
    let asked = scene.issuer.asked().tokens[0].clone();
    assert_eq!(asked.authorization.unwrap(), format!("{CLIENT_ID}:a+secret%2Fwith%2Bsigns+that%3Dneed+encoding"));
    assert_eq!(asked.content_type, "application/x-www-form-urlencoded");

    let issuers = ISSUERS.replace("client_id: usher", "client_id: usher\n    client_authentication: post");
    let scene = Scene::start(&format!("{issuers}{SESSION}{SITES}")).await;
    scene.send(get("https://app.test/x").cookies(&scene.expired_session("alice"))).await.assert_status(200);
    let asked = scene.issuer.asked().tokens[0].clone();
    assert!(asked.authorization.is_none() && asked.body.contains("client_secret="), "{asked:?}");
}

#[tokio::test]
async fn an_issuer_that_does_not_rotate_keeps_its_refresh_token() {
    let scene = Scene::usual().await;
    scene.issuer.behave(TokenAnswer::Keep);
    let mut jar = scene.expired_session("alice");
    let refresh = jar.value("rt").unwrap().to_owned();
    for round in 1..=3 {
        let answer = scene.send(get("https://app.test/x").cookies(&jar)).await;
        jar.take(&answer.assert_status(200).headers);
        assert_eq!(jar.value("rt"), Some(refresh.as_str()), "the refresh token is kept");
        scene.send(get("https://app.test/x").cookies(&jar)).await.assert_status(200);
        assert_eq!(scene.issuer.token_requests(), round, "one token request per expiry");
        scene.clock.advance(LIFETIME + Duration::from_secs(1));
    }
}

#[tokio::test]
async fn an_answer_without_a_life_time_causes_no_renewal_per_request() {
    let scene = Scene::usual().await;
    scene.issuer.behave(TokenAnswer::Sparse);
    let mut jar = scene.expired_session("alice");
    for _ in 0..5 {
        let answer = scene.send(get("https://app.test/x").cookies(&jar)).await;
        jar.take(&answer.assert_status(200).headers);
    }
    assert_eq!(scene.issuer.token_requests(), 1);
}

#[tokio::test]
async fn new_claims_decide_at_once() {
    let scene = Scene::usual().await;
    scene.issuer.behave(TokenAnswer::Demoted);
    let answer = scene.send(get("https://app.test/admin/x").cookies(&scene.expired_session("root"))).await;
    assert_renewed(answer.assert_status(403));
    assert_eq!(scene.upstream.count(), 0);
}

#[tokio::test]
async fn with_little_life_left_the_request_goes_on_and_the_next_one_carries_the_cookies_away() {
    let scene = Scene::with_session("refresh_ahead: 30s").await;
    let jar = scene.session("alice");
    scene.clock.advance(Duration::from_secs(280));
    scene.issuer.hold();
    let answer = scene.send(get("https://app.test/x").cookies(&jar)).await;
    assert_eq!(answer.assert_status(200).set_cookies(), [], "the request is not delayed");
    eventually("the renewal runs beside it", || scene.issuer.token_requests() == 1).await;
    scene.issuer.release();
    let mut renewed = None;
    while renewed.is_none() {
        let answer = scene.send(get("https://app.test/x").cookies(&jar)).await;
        renewed = (!answer.assert_status(200).set_cookies().is_empty()).then_some(answer);
    }
    assert_renewed(&renewed.unwrap());
    assert_eq!(scene.issuer.token_requests(), 1);
}

#[tokio::test]
async fn renewal_ahead_of_time_can_be_switched_off() {
    let scene = Scene::with_session("refresh_ahead: 0s").await;
    let jar = scene.session("alice");
    scene.clock.advance(Duration::from_secs(299));
    scene.send(get("https://app.test/x").cookies(&jar)).await.assert_status(200);
    assert_eq!(scene.issuer.token_requests(), 0);
}

#[tokio::test]
async fn trouble_ahead_of_time_is_invisible_while_the_old_token_is_good() {
    let scene = Scene::with_session("refresh_ahead: 60s").await;
    let jar = scene.session("alice");
    scene.clock.advance(Duration::from_secs(250));
    for trouble in [TokenAnswer::Status(500, None), TokenAnswer::Garbage, TokenAnswer::InvalidClient] {
        scene.issuer.behave(trouble);
        let answer = scene.send(get("https://app.test/x").cookies(&jar)).await;
        assert_eq!(answer.assert_status(200).set_cookies(), [], "{trouble:?}");
    }
}

#[tokio::test]
async fn a_request_without_the_right_to_it_triggers_no_renewal() {
    let scene = Scene::usual().await;
    let jar = scene.expired_session("alice");
    let asks = [
        post("https://app.test/x").header("sec-fetch-site", "cross-site").header("origin", "https://evil.test"),
        post("https://app.test/x").header("origin", "null"),
        get("https://app.test/x").header("sec-purpose", "prefetch"),
        get("https://app.test/x").header("purpose", "prefetch"),
        Ask::new(Method::HEAD, "https://app.test/x"),
    ];
    for ask in asks {
        let answer = scene.send(ask.cookies(&jar)).await;
        assert!(answer.status.is_client_error(), "{answer:?}");
        assert_eq!(answer.set_cookies(), []);
    }
    assert_eq!((scene.issuer.token_requests(), scene.upstream.count()), (0, 0));
    scene.send(get("https://app.test/x").cookies(&jar)).await.assert_status(200);
}

#[tokio::test]
async fn a_public_route_never_touches_the_session() {
    let scene = Scene::usual().await;
    let answer = scene.send(get("https://app.test/public/x").cookies(&scene.expired_session("alice"))).await;
    assert_eq!(answer.assert_status(200).set_cookies(), []);
    assert_eq!(scene.issuer.token_requests(), 0);
}

#[tokio::test]
async fn a_websocket_handshake_carries_the_renewed_cookies() {
    let scene = Scene::usual().await;
    let ask = get("https://app.test/ws")
        .header("connection", "Upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
        .header("origin", "https://app.test");
    let mut connection = scene.client().connect("app.test").await;
    let response = connection.open(ask.cookies(&scene.expired_session("alice"))).await.unwrap();
    assert_eq!((response.status().as_u16(), set_cookies(response.headers()).len()), (101, 2));
}

#[tokio::test]
async fn a_token_service_that_speaks_json_is_asked_in_json() {
    let clock = Clock::adjustable();
    let issuer = Issuer::start(&clock).await;
    let issuers = issuer.legacy("");
    let scene = Scene::with(&format!("{issuers}{SESSION}{SITES}"), Upstream::start().await, issuer, clock).await;
    let jar = scene.expired_session("alice");
    assert_renewed(scene.send(get("https://app.test/x").cookies(&jar)).await.assert_status(200));
    let asked = scene.issuer.asked().tokens[0].clone();
    assert_eq!(asked.content_type, "application/json");
    let body: serde_json::Value = serde_json::from_str(&asked.body).unwrap();
    assert_eq!(body, json!({ "refreshToken": jar.value("rt").unwrap() }));
    assert!(asked.authorization.is_none());
}
