//! The issuer says who has signed out there (OIDC Back-Channel Logout 1.0): O25 of the cases.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::keys::SigningKey;
use crate::harness::scene::{ISSUERS, SITES};
use crate::harness::tokens::Token;
use crate::harness::{Answer, Jar, Scene, get, post};
use crate::sign_out::signed_in;

const ENDPOINT: &str = "https://app.test/.usher/backchannel-logout";
const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

async fn scene() -> Scene {
    Scene::start(&format!("{ISSUERS}{SITES}")).await
}

/// An honest logout token with these claims besides.
fn logout_token(scene: &Scene, claims: &Value) -> Token {
    static NUMBER: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
    let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let (now, (key_id, key)) = (scene.clock.now().0, scene.issuer.key());
    let mut all = json!({
        "iss": scene.issuer.url(), "aud": "usher", "iat": now, "exp": now + 120, "jti": format!("logout-{number}"),
        "events": { EVENT: {} },
    });
    for (name, value) in claims.as_object().unwrap() {
        all[name] = value.clone();
    }
    Token::new(&key, &key_id, all).head("typ", "logout+jwt")
}

async fn deliver(scene: &Scene, body: &str) -> Answer {
    let ask = post(ENDPOINT).header("content-type", "application/x-www-form-urlencoded");
    scene.send(ask.body(body.to_owned())).await
}

async fn say(scene: &Scene, token: &Token) -> Answer {
    deliver(scene, &format!("logout_token={}", scene.issuer.sign(token))).await
}

async fn status(scene: &Scene, jar: &Jar) -> u16 {
    scene.send(get("https://app.test/x").cookies(jar)).await.status.as_u16()
}

/// Signed in, with this name for the session.
async fn signed_in_as(scene: &Scene, subject: &str, sid: &str) -> Jar {
    scene.issuer.change_id_tokens(json!({ "sid": sid }));
    signed_in(scene, subject).await
}

#[tokio::test]
async fn a_logout_by_session_ends_that_session_and_no_other() {
    let scene = scene().await;
    let (one, other) = (signed_in_as(&scene, "alice", "s-1").await, signed_in_as(&scene, "alice", "s-2").await);
    let answer = say(&scene, &logout_token(&scene, &json!({ "sid": "s-1", "sub": "alice" }))).await;
    assert!(answer.assert_status(200).header("cache-control").unwrap().contains("no-store"));
    assert!(answer.set_cookies().is_empty());
    assert_eq!((status(&scene, &one).await, status(&scene, &other).await), (401, 200));
    // With the refresh token alone as well: what it would bring is newer than the logout.
    let before = scene.issuer.token_requests();
    let mut refresh_only = one.clone();
    refresh_only.remove("__Host-usher-access");
    assert_eq!(status(&scene, &refresh_only).await, 401);
    assert_eq!(scene.issuer.token_requests(), before, "and it is not spent");
    say(&scene, &logout_token(&scene, &json!({ "sid": "s-2" }))).await.assert_status(200);
    assert_eq!(status(&scene, &other).await, 401);
}

#[tokio::test]
async fn the_name_of_a_session_stays_through_its_renewals() {
    let scene = scene().await;
    let mut jar = signed_in_as(&scene, "alice", "s-1").await;
    scene.clock.advance(Duration::from_secs(310));
    let renewed = scene.send(get("https://app.test/x").cookies(&jar)).await;
    jar.take(&renewed.assert_status(200).headers);
    assert_eq!(status(&scene, &jar).await, 200);
    say(&scene, &logout_token(&scene, &json!({ "sid": "s-1" }))).await.assert_status(200);
    assert_eq!(status(&scene, &jar).await, 401);
}

#[tokio::test]
async fn a_logout_by_user_ends_everything_that_the_user_has_and_nobody_elses() {
    let scene = scene().await;
    let (alice, nameless) = (signed_in_as(&scene, "alice", "s-1").await, {
        scene.issuer.change_id_tokens(json!({}));
        signed_in(&scene, "alice").await
    });
    let bob = signed_in(&scene, "bob").await;
    let bearer = scene.issuer.access_token("alice");
    scene.send(get("https://app.test/x").bearer(&bearer)).await.assert_status(200);
    say(&scene, &logout_token(&scene, &json!({ "sub": "alice" }))).await.assert_status(200);
    for jar in [&alice, &nameless] {
        assert_eq!(status(&scene, jar).await, 401);
    }
    scene.send(get("https://app.test/x").bearer(&bearer)).await.assert_status(401);
    assert_eq!(status(&scene, &bob).await, 200);
    // Signing in once more is a new session, though it be in the same second.
    let again = signed_in(&scene, "alice").await;
    assert_eq!(status(&scene, &again).await, 200);
}

/// By the issuer's clock a token may be of a moment after the logout that it was given out before. A session that begins then is
/// known to be later.
#[tokio::test]
async fn a_logout_by_user_means_what_was_given_out_by_a_clock_that_is_ahead_and_no_session_that_begins_then() {
    let scene = Scene::start(&format!("{ISSUERS}{SITES}").replace("leeway: 0s", "leeway: 5s")).await;
    let now = scene.clock.now().0;
    let bearer = scene.issuer.sign(&scene.issuer.token("alice").claim("iat", now + 4));
    scene.send(get("https://app.test/x").bearer(&bearer)).await.assert_status(200);
    say(&scene, &logout_token(&scene, &json!({ "sub": "alice" }))).await.assert_status(200);
    scene.send(get("https://app.test/x").bearer(&bearer)).await.assert_status(401);
    for seconds in [0, 2] {
        scene.clock.advance(Duration::from_secs(seconds));
        let again = signed_in(&scene, "alice").await;
        assert_eq!(status(&scene, &again).await, 200);
    }
}

#[tokio::test]
async fn access_tokens_that_name_the_session_are_denied_and_sessions_without_a_name_are_not_missed() {
    let scene = scene().await;
    let nameless = signed_in(&scene, "alice").await;
    let named = scene.issuer.sign(&scene.issuer.token("alice").claim("sid", "s-1"));
    let other = scene.issuer.access_token("alice");
    say(&scene, &logout_token(&scene, &json!({ "sid": "s-1", "sub": "alice" }))).await.assert_status(200);
    scene.send(get("https://app.test/x").bearer(&named)).await.assert_status(401);
    assert_eq!(status(&scene, &nameless).await, 401, "it may be the one");
    scene.send(get("https://app.test/x").bearer(&other)).await.assert_status(200);
}

/// O25, row by row. Whatever is wrong, nobody is signed out.
#[tokio::test]
async fn a_logout_token_with_anything_wrong_is_refused_and_ends_nothing() {
    let scene = scene().await;
    let jar = signed_in_as(&scene, "alice", "s-1").await;
    let now = scene.clock.now().0;
    let honest = || logout_token(&scene, &json!({ "sub": "alice", "sid": "s-1" }));
    let bad = [
        ("a nonce", honest().claim("nonce", "n")),
        ("the type of an access token", honest().head("typ", "at+jwt")),
        ("no events", honest().without("events")),
        ("another event", honest().claim("events", json!({ "https://evil.test/": {} }))),
        ("an event that is no object", honest().claim("events", json!({ EVENT: true }))),
        ("events that are a list", honest().claim("events", json!([EVENT]))),
        ("no iat", honest().without("iat")),
        ("an iat of tomorrow", honest().claim("iat", now + 86_400).claim("exp", now + 90_000)),
        ("an iat of long ago", honest().claim("iat", now - 3_600)),
        ("no jti", honest().without("jti")),
        ("an empty jti", honest().claim("jti", "")),
        ("another audience", honest().claim("aud", "other")),
        ("no audience", honest().without("aud")),
        ("another issuer", honest().claim("iss", "https://evil.test")),
        ("an end that is past", honest().claim("exp", now - 10)),
        ("neither user nor session", honest().without("sub").without("sid")),
        ("a session that is no text", honest().claim("sid", 7)),
    ];
    for (what, token) in &bad {
        let answer = say(&scene, token).await;
        assert_eq!(answer.status, 400, "{what}: {}", answer.text());
        assert_eq!(answer.json(), json!({ "error": "invalid_request" }), "{what}");
        assert!(answer.header("cache-control").unwrap().contains("no-store"), "{what}");
        assert_eq!(status(&scene, &jar).await, 200, "{what}");
    }
    let good = scene.issuer.sign(&honest());
    let unsigned = honest().head("alg", "none").unsigned();
    let forged = honest().sign(&SigningKey::p256());
    for body in [
        format!("logout_token={unsigned}"),
        format!("logout_token={unsigned}x"),
        format!("logout_token={forged}"),
        format!("logout_token={good}&logout_token={good}"),
        format!("token={good}"),
        format!("logout_token={}", scene.issuer.access_token("alice")),
        "logout_token=".to_owned(),
        String::new(),
        "x".repeat(40_000),
    ] {
        let answer = deliver(&scene, &body).await;
        assert!([400, 413].contains(&answer.status.as_u16()), "{}: {}", answer.status, answer.text());
        assert_eq!(status(&scene, &jar).await, 200, "{body}");
    }
    scene.send(post(ENDPOINT).body(format!("logout_token={good}"))).await.assert_status(400);
    scene.send(get(&format!("{ENDPOINT}?logout_token={good}"))).await.assert_status(405);
    deliver(&scene, &format!("logout_token={good}&more=1")).await.assert_status(200);
    assert_eq!(status(&scene, &jar).await, 401, "the honest one counts");
}

#[tokio::test]
async fn a_logout_token_counts_once() {
    let scene = scene().await;
    let token = logout_token(&scene, &json!({ "sub": "alice" }));
    say(&scene, &token).await.assert_status(200);
    scene.clock.advance(Duration::from_secs(10));
    let jar = signed_in(&scene, "alice").await;
    say(&scene, &token).await.assert_status(400);
    assert_eq!(status(&scene, &jar).await, 200, "a replay signs nobody out");
}

/// A server calls: it has no origin, no cookie, and no other credential that would matter.
#[tokio::test]
async fn older_issuers_type_the_token_less_and_nothing_but_the_token_is_looked_at() {
    let scene = scene().await;
    for token in [
        logout_token(&scene, &json!({ "sub": "bob" })).without_head("typ"),
        logout_token(&scene, &json!({ "sub": "bob" })).head("typ", "JWT"),
        logout_token(&scene, &json!({ "sub": "bob" })).without("exp"),
    ] {
        let ask = post(ENDPOINT).header("content-type", "application/x-www-form-urlencoded");
        let ask = ask.header("origin", "https://id.test").header("sec-fetch-site", "cross-site").bearer("nonsense");
        let answer = scene.send(ask.body(format!("logout_token={}", scene.issuer.sign(&token)))).await;
        answer.assert_status(200);
    }
}

/// In a frame of the issuer's page, through the browser (OIDC Front-Channel Logout 1.0).
#[tokio::test]
async fn a_frame_ends_the_session_whose_cookies_and_name_come_with_it() {
    let scene = scene().await;
    let frame = |iss: &str, sid: &str| format!("https://app.test/.usher/frontchannel-logout?iss={iss}&sid={sid}");
    let issuer = scene.issuer.url();
    let (one, other) = (signed_in_as(&scene, "alice", "s-1").await, signed_in_as(&scene, "alice", "s-2").await);
    let endings = [
        frame(&issuer, "s-2"),
        frame("https://other.test", "s-1"),
        format!("{}&sid=s-2", frame(&issuer, "s-1")),
        "https://app.test/.usher/frontchannel-logout".to_owned(),
    ];
    for wrong in &endings {
        let answer = scene.send(get(wrong).cookies(&one)).await;
        assert!(answer.assert_status(200).set_cookies().is_empty(), "{wrong}");
    }
    // Nobody's cookies, nobody's session.
    scene.send(get(&frame(&issuer, "s-1"))).await.assert_status(200);
    assert_eq!((status(&scene, &one).await, status(&scene, &other).await), (200, 200));

    let answer = scene.send(get(&frame(&issuer, "s-1")).cookies(&one)).await;
    assert!(answer.assert_status(200).header("cache-control").unwrap().contains("no-store"));
    assert!(answer.header("content-security-policy").is_none() && answer.header("x-frame-options").is_none());
    assert!(answer.set_cookies().iter().filter(|cookie| cookie.clears()).count() >= 2);
    assert_eq!((status(&scene, &one).await, status(&scene, &other).await), (401, 200));
    scene.send(post(&frame(&issuer, "s-2")).cookies(&other)).await.assert_status(405);
}

#[tokio::test]
async fn a_frame_ends_a_session_of_raw_cookies_by_the_name_in_its_token() {
    let raw = "session: { secret: 4aG9wZm1yQ0pZ9wX4hC2kQ0, cookies: { sealed: false, access: jwt, refresh: rt } }\n";
    let scene = Scene::start(&format!("{ISSUERS}{raw}{SITES}")).await;
    let token = scene.issuer.sign(&scene.issuer.token("alice").claim("sid", "s-1"));
    let cookie = format!("jwt={token}");
    let ask = |url: &str| get(url).header("cookie", &cookie);
    let frame = |sid: &str| format!("https://app.test/.usher/frontchannel-logout?iss={}&sid={sid}", scene.issuer.url());
    scene.send(ask(&frame("s-2"))).await.assert_status(200);
    scene.send(ask("https://app.test/x")).await.assert_status(200);
    scene.send(ask(&frame("s-1"))).await.assert_status(200);
    scene.send(ask("https://app.test/x")).await.assert_status(401);
}
