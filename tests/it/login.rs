//! An application's own login: its tokens go into Usher's cookies and out of the answer.

use std::time::Duration;

use serde_json::json;

use usher::clock::Clock;

use crate::harness::issuer::{Issuer, LIFETIME};
use crate::harness::tokens::shows_a_token;
use crate::harness::{Answer, Ask, Jar, Scene, SetCookie, Upstream, UpstreamAnswer, eventually, get, post};

const ACCESS: &str = "__Host-usher-access";
const REFRESH: &str = "__Host-usher-refresh";

/// The usual issuer with a login; the session is Usher's own, sealed.
async fn scene(login: &str) -> Scene {
    scene_with(login, "").await
}

/// The same with these keys under `session`.
async fn scene_with(login: &str, session: &str) -> Scene {
    let clock = Clock::adjustable();
    let issuer = Issuer::start(&clock).await;
    let issuers = issuer.legacy(&format!("leeway: 0s\n    login: {{ path: /auth/login, page: /login, {login} }}"));
    let yaml = format!(
        "{issuers}
session: {{ secret: '$SECRET', {session} }}
sites:
  - host: app.test
    issuer: main
    upstream: $UPSTREAM
    identity_headers: {{ X-User-Id: sub }}
    routes:
      - path: /
      - {{ path: /login, access: public }}
"
    );
    Scene::with(&yaml, Upstream::start().await, issuer, clock).await
}

const IN_THE_BODY: &str = "access_token: /data/accessToken, refresh_token: /data/refreshToken";

fn login() -> Ask {
    post("https://app.test/auth/login")
        .header("origin", "https://app.test")
        .json(&json!({ "username": "alice", "password": "wonderland" }))
}

/// Signs alice in through the application.
async fn sign_in(scene: &Scene) -> (Answer, Jar) {
    let tokens = scene.issuer.sign_in("alice");
    let body = json!({ "data": { "accessToken": tokens.access, "refreshToken": tokens.refresh, "user": "alice" }, "ok": true });
    scene.upstream.answer("/auth/login", UpstreamAnswer::json(&body));
    let answer = scene.send(login()).await;
    let mut jar = Jar::default();
    jar.take(&answer.headers);
    (answer, jar)
}

#[tokio::test]
async fn the_tokens_of_a_json_login_go_into_sealed_cookies_and_out_of_the_answer() {
    let scene = scene(IN_THE_BODY).await;
    let (answer, jar) = sign_in(&scene).await;
    assert_eq!(
        scene.upstream.only().body,
        r#"{"password":"wonderland","username":"alice"}"#,
        "the login passes through"
    );
    let body = answer.assert_status(200).json();
    assert_eq!((&body["data"]["user"], &body["ok"]), (&json!("alice"), &json!(true)), "the rest of the answer stays");
    assert_eq!((body["data"].get("accessToken"), body["data"].get("refreshToken")), (None, None));
    assert_eq!(answer.header("cache-control"), Some("private, no-store"));
    if let Some(length) = answer.header("content-length") {
        assert_eq!(length.parse::<usize>().unwrap(), answer.body.len());
    }
    for cookie in answer.set_cookies() {
        let has = |name: &str| cookie.attributes.contains_key(name);
        assert!(
            cookie.name.starts_with("__Host-usher-") && has("secure") && has("httponly") && !has("domain"),
            "{cookie:?}"
        );
        assert_eq!((cookie.attributes["path"].as_str(), cookie.attributes["samesite"].as_str()), ("/", "Lax"));
        assert!(
            !shows_a_token(&cookie.value) && cookie.value.len() < 4096,
            "sealed, and not longer than browsers keep"
        );
    }
    scene.send(get("https://app.test/x").cookies(&jar)).await.assert_status(200);
    let seen = scene.upstream.last();
    assert_eq!((seen.all("x-user-id"), seen.all("cookie")), (vec!["alice"], vec![]));
}

#[tokio::test]
async fn the_session_is_renewed_without_a_second_login() {
    let scene = scene(IN_THE_BODY).await;
    let (_, mut jar) = sign_in(&scene).await;
    for round in 1..=3 {
        scene.clock.advance(LIFETIME + Duration::from_secs(1));
        let answer = scene.send(get("https://app.test/x").cookies(&jar)).await;
        jar.take(&answer.assert_status(200).headers);
        assert_eq!(scene.issuer.token_requests(), round);
    }
}

#[tokio::test]
async fn tokens_in_set_cookie_are_taken_as_well() {
    let scene = scene("cookies: { access: app_at, refresh: app_rt }").await;
    let tokens = scene.issuer.sign_in("alice");
    let (access, refresh) =
        (format!("app_at={}; Path=/; HttpOnly", tokens.access), format!("app_rt={}; Path=/", tokens.refresh));
    let fields = [
        ("set-cookie", access.as_str()),
        ("set-cookie", "theme=dark"),
        ("set-cookie", refresh.as_str()),
        ("location", "/home"),
    ];
    scene.upstream.answer("/auth/login", UpstreamAnswer::fixed(303, &fields, ""));
    let answer = scene.send(login()).await;
    let mut jar = Jar::default();
    jar.take(&answer.assert_status(303).headers);
    let names = jar.names();
    assert!(names.contains(&"theme") && names.contains(&ACCESS) && names.contains(&REFRESH), "{names:?}");
    assert!(!names.contains(&"app_at") && !names.contains(&"app_rt"), "{names:?}");
    scene.send(get("https://app.test/x").cookies(&jar)).await.assert_status(200);
    assert_eq!(scene.upstream.last().all("cookie"), ["theme=dark"]);
}

#[tokio::test]
async fn a_failed_login_reaches_the_browser_as_it_is() {
    let scene = scene(IN_THE_BODY).await;
    let wrong = UpstreamAnswer::fixed(401, &[("content-type", "application/json")], r#"{"error":"wrong password"}"#);
    scene.upstream.answer("/auth/login", wrong);
    let answer = scene.send(login()).await;
    assert_eq!((answer.assert_status(401).text(), answer.set_cookies()), (r#"{"error":"wrong password"}"#, vec![]));
}

#[tokio::test]
async fn a_login_that_answers_no_tokens_or_forged_ones_signs_nobody_in() {
    let scene = scene(IN_THE_BODY).await;
    let forged = scene.issuer.token("root").sign(&crate::harness::keys::SigningKey::p256());
    for body in [
        json!({ "data": {} }),
        json!({ "data": { "accessToken": forged, "refreshToken": "r" } }),
        json!({ "data": { "accessToken": 7, "refreshToken": [] } }),
    ] {
        scene.upstream.answer("/auth/login", UpstreamAnswer::json(&body));
        let answer = scene.send(login()).await;
        assert!(answer.set_cookies().iter().all(SetCookie::clears), "{body}: {answer:?}");
        assert!(!answer.text().contains(&forged), "no token reaches the browser");
    }
}

#[tokio::test]
async fn a_login_from_another_site_is_refused() {
    let scene = scene(IN_THE_BODY).await;
    let forged = post("https://app.test/auth/login")
        .header("origin", "https://evil.test")
        .header("sec-fetch-site", "cross-site");
    scene.send(forged.json(&json!({ "username": "mallory" }))).await.assert_status(403);
    assert_eq!(scene.upstream.count(), 0);
}

#[tokio::test]
async fn a_navigation_without_a_session_is_sent_to_the_login_page() {
    let scene = scene(IN_THE_BODY).await;
    let answer = scene.send(get("https://app.test/deep/link?a=b").navigation()).await;
    let location = answer.assert_status(302).header("location").unwrap();
    assert!(location.starts_with("/login") || location.starts_with("https://app.test/login"), "{location}");
    scene.send(get("https://app.test/login")).await.assert_status(200);
}

#[tokio::test]
async fn sealed_cookies_that_were_touched_are_no_session() {
    let scene = scene(IN_THE_BODY).await;
    let (_, jar) = sign_in(&scene).await;
    let value = jar.value(ACCESS).unwrap().to_owned();
    for at in (0..value.len()).step_by(41) {
        let mut touched = jar.clone();
        let letter = if value.as_bytes()[at] == b'A' { "B" } else { "A" };
        touched.put(ACCESS, &format!("{}{letter}{}", &value[..at], &value[at + 1..]));
        touched.remove(REFRESH);
        let status = scene.send(get("https://app.test/x").cookies(&touched)).await.status.as_u16();
        assert_eq!(status, 401, "letter {at}");
    }
    let mut swapped = Jar::default();
    swapped.put(ACCESS, jar.value(REFRESH).unwrap());
    swapped.put(REFRESH, &value);
    scene.send(get("https://app.test/x").cookies(&swapped)).await.assert_status(401);
    assert_eq!(scene.issuer.token_requests(), 0);
}

#[tokio::test]
async fn a_big_token_is_split_into_cookies_that_browsers_keep_and_read_again() {
    let scene = scene(IN_THE_BODY).await;
    let tokens = scene.issuer.sign_in("alice");
    let big = scene.issuer.sign(&scene.issuer.token("alice").claim("padding", "x".repeat(5000)));
    let body = json!({ "data": { "accessToken": big, "refreshToken": tokens.refresh } });
    scene.upstream.answer("/auth/login", UpstreamAnswer::json(&body));
    let answer = scene.send(login()).await;
    for cookie in answer.assert_status(200).set_cookies() {
        assert!(cookie.name.len() + cookie.value.len() <= 4096, "{}", cookie.name);
    }
    let mut jar = Jar::default();
    jar.take(&answer.headers);
    assert!(jar.names().len() > 2, "{:?}", jar.names());
    scene.send(get("https://app.test/x").cookies(&jar)).await.assert_status(200);

    scene.clock.advance(LIFETIME + Duration::from_secs(1));
    let answer = scene.send(get("https://app.test/x").cookies(&jar)).await;
    jar.take(&answer.assert_status(200).headers);
    assert_eq!(jar.names().len(), 2, "pieces that are no longer needed are cleared: {:?}", jar.names());

    let out = post("https://app.test/.usher/sign-out").header("origin", "https://app.test");
    jar.take(&scene.send(out.cookies(&jar)).await.headers);
    assert_eq!(jar.line(), None, "sign-out clears every cookie");
}

#[tokio::test]
async fn the_session_endpoint_tells_a_page_what_it_needs_and_never_a_token() {
    let scene = scene(IN_THE_BODY).await;
    let (_, jar) = sign_in(&scene).await;
    let answer = scene.send(get("https://app.test/.usher/session").cookies(&jar)).await;
    let body = answer.assert_status(200).json();
    assert_eq!((&body["signed_in"], &body["sub"]), (&json!(true), &json!("alice")));
    let left = body["access_expires_in"].as_u64().unwrap();
    assert!(left <= LIFETIME.as_secs() && left + 5 >= LIFETIME.as_secs(), "{left}");
    assert!(body["session_expires_in"].as_u64().unwrap() > left);
    assert!(!shows_a_token(answer.text()) && answer.header("cache-control").unwrap().contains("no-store"));
    let body = scene.send(get("https://app.test/.usher/session")).await.assert_status(200).json();
    assert_eq!(body["signed_in"], json!(false));
}

#[tokio::test]
async fn everything_else_under_usher_is_404_and_never_reaches_the_application() {
    let scene = scene(IN_THE_BODY).await;
    let (_, jar) = sign_in(&scene).await;
    for path in ["/.usher/", "/.usher", "/.usher/x", "/.usher/session/x", "/.usher/verify2"] {
        scene.send(get(&format!("https://app.test{path}")).cookies(&jar)).await.assert_status(404);
    }
    eventually("only the login arrived", || scene.upstream.count() == 1).await;
}

#[tokio::test]
async fn a_session_ends_by_idleness() {
    let scene = scene_with(IN_THE_BODY, "idle_timeout: 1h, absolute_timeout: 12h").await;
    let (_, mut jar) = sign_in(&scene).await;
    // Busy: a request now and then keeps it alive for longer than the idle time-out.
    for _ in 0..3 {
        scene.clock.advance(Duration::from_secs(3000));
        let answer = scene.send(get("https://app.test/x").cookies(&jar)).await;
        jar.take(&answer.assert_status(200).headers);
    }
    scene.clock.advance(LIFETIME + Duration::from_secs(3601));
    let answer = scene.send(get("https://app.test/x").cookies(&jar)).await;
    assert!(answer.assert_status(401).set_cookies().iter().all(SetCookie::clears));
}

#[tokio::test]
async fn a_session_ends_by_age_however_busy_it_is() {
    let scene = scene_with(IN_THE_BODY, "idle_timeout: 1h, absolute_timeout: 3h").await;
    let (_, mut jar) = sign_in(&scene).await;
    for _ in 0..5 {
        scene.clock.advance(Duration::from_secs(2000));
        let answer = scene.send(get("https://app.test/x").cookies(&jar)).await;
        jar.take(&answer.assert_status(200).headers);
    }
    scene.clock.advance(Duration::from_secs(801));
    scene.send(get("https://app.test/x").cookies(&jar)).await.assert_status(401);
}
