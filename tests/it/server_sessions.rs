//! Sessions whose tokens are in the store: the cookie is a random key, and everything else is as with tokens in cookies.

use std::time::Duration;

use futures_util::future::join_all;
use futures_util::{SinkExt, StreamExt};
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

use crate::harness::scene::{ISSUERS, SITES, echoed};
use crate::harness::{Answer, Ask, Jar, Scene, TokenAnswer, UpstreamAnswer, get, post};
use crate::websocket::{cookies, open, origin};

pub(crate) const KEY: &str = "__Host-usher-session";
const SESSION: &str = "session: { secret: '$SECRET', tokens: store }\n";

async fn scene() -> Scene {
    Scene::start(&format!("{ISSUERS}{SESSION}{SITES}")).await
}

/// The cookies of somebody who has signed in, without what counts attempts.
async fn signed_in(scene: &Scene, subject: &str) -> Jar {
    let mut jar = crate::sign_out::signed_in(scene, subject).await;
    jar.remove("__Host-usher-attempts");
    jar
}

fn x(jar: &Jar) -> Ask {
    get("https://app.test/x").cookies(jar)
}

pub(crate) fn sign_out(jar: &Jar) -> Ask {
    post("https://app.test/.usher/sign-out").header("origin", "https://app.test").cookies(jar)
}

fn key(value: &str) -> Jar {
    Jar::of(&[(KEY, value)])
}

/// 401, and whether the cookie is cleared.
#[track_caller]
fn assert_refused(answer: &Answer, cleared: bool) {
    let clears = answer.assert_status(401).set_cookies().iter().any(|cookie| cookie.name == KEY && cookie.clears());
    assert_eq!(clears, cleared, "{answer:?}");
}

#[tokio::test]
async fn the_cookie_is_a_key_of_128_bits_and_nothing_of_a_token() {
    let scene = scene().await;
    let mut browser = crate::harness::Browser::new(scene.client());
    let answer = browser.visit("https://app.test/.usher/sign-in?rd=/x").await;
    let callback = scene.issuer.authorize(answer.assert_status(302).header("location").unwrap(), "alice");
    let set = browser.visit(callback.as_str()).await.assert_status(303).set_cookies();
    browser.jar.remove("__Host-usher-attempts");
    assert_eq!(browser.jar.names(), [KEY]);
    let cookie = set.iter().find(|cookie| cookie.name == KEY).unwrap();
    assert_eq!(cookie.value.len(), 22, "{cookie:?}");
    let is = |name: &str| cookie.attributes.get(name).map(String::as_str);
    assert_eq!(
        (is("secure"), is("httponly"), is("path"), is("samesite")),
        (Some(""), Some(""), Some("/"), Some("Lax"))
    );
    assert_eq!((is("max-age"), is("domain")), (Some("2592000"), None), "until the absolute time-out");

    let answer = scene.send(x(&browser.jar)).await;
    assert_eq!(echoed(&answer.assert_status(200).json(), "x-user-id"), ["alice"]);
    assert!(scene.upstream.last().all("cookie").is_empty(), "the application never sees it");
    let session = scene.send(get("https://app.test/.usher/session").cookies(&browser.jar)).await.json();
    assert_eq!(session["sub"], "alice");
    assert!((2_591_000..=2_592_000).contains(&session["session_expires_in"].as_u64().unwrap()), "{session}");
    // Each sign-in has a key of its own.
    let (one, other) = (signed_in(&scene, "alice").await, signed_in(&scene, "alice").await);
    assert_ne!(one, other);
}

#[tokio::test]
async fn a_renewal_is_asked_for_once_and_changes_nothing_in_the_browser() {
    let scene = scene().await;
    let jar = signed_in(&scene, "alice").await;
    for round in 1..=3 {
        let before = scene.issuer.token_requests();
        scene.clock.advance(Duration::from_secs(310));
        let connection = scene.http2().connect("app.test").await;
        let answers = join_all((0..50).map(|_| {
            let (mut connection, ask) = (connection.share(), x(&jar));
            async move { connection.send(ask).await }
        }))
        .await;
        for answer in &answers {
            assert_eq!(echoed(&answer.assert_status(200).json(), "x-user-id"), ["alice"]);
            assert!(answer.set_cookies().is_empty(), "{answer:?}");
        }
        scene.send(x(&jar)).await.assert_status(200);
        assert_eq!(scene.issuer.token_requests(), before + 1, "round {round}");
    }
    assert_eq!(scene.issuer.reuses(), 0);
}

#[tokio::test]
async fn only_a_refusal_ends_it_and_an_issuer_in_trouble_does_not() {
    let scene = scene().await;
    let jar = signed_in(&scene, "alice").await;
    scene.clock.advance(Duration::from_secs(310));
    scene.issuer.behave(TokenAnswer::Status(503, None));
    let answer = scene.send(x(&jar)).await;
    assert!(answer.assert_status(503).set_cookies().is_empty() && answer.header("retry-after").is_some());
    scene.clock.advance(Duration::from_secs(60));
    scene.issuer.behave(TokenAnswer::InvalidGrant);
    assert_refused(&scene.send(x(&jar)).await, true);
    scene.issuer.behave(TokenAnswer::Rotate);
    assert_refused(&scene.send(x(&jar)).await, false);
}

#[tokio::test]
async fn it_ends_when_it_was_idle_for_too_long_and_when_it_is_too_old() {
    let session = "session: { secret: '$SECRET', tokens: store, idle_timeout: 20m, absolute_timeout: 1h }\n";
    let scene = Scene::start(&format!("{ISSUERS}{session}{SITES}")).await;
    let (busy, idle) = (signed_in(&scene, "alice").await, signed_in(&scene, "alice").await);
    // Its access token lives for five minutes, and is renewed from then on.
    for _ in 0..4 {
        scene.clock.advance(Duration::from_secs(14 * 60));
        scene.send(x(&busy)).await.assert_status(200);
    }
    assert_refused(&scene.send(x(&idle)).await, true);
    scene.clock.advance(Duration::from_secs(5 * 60));
    assert_refused(&scene.send(x(&busy)).await, true);
}

#[tokio::test]
async fn a_sign_out_ends_it_and_its_refresh_token_and_no_other() {
    let scene = scene().await;
    let (one, other) = (signed_in(&scene, "alice").await, signed_in(&scene, "alice").await);
    let answer = scene.send(sign_out(&one)).await;
    let cleared = answer.assert_status(204).set_cookies();
    assert!(cleared.iter().any(|cookie| cookie.name == KEY && cookie.clears()), "{cleared:?}");
    // A copy of the cookie. It may be that of another session by now, so it is not cleared.
    assert_refused(&scene.send(x(&one)).await, false);
    scene.clock.advance(Duration::from_secs(310));
    assert_refused(&scene.send(x(&one)).await, false);
    scene.send(x(&other)).await.assert_status(200);
    crate::harness::eventually("it is revoked", || scene.issuer.asked().revocations.len() == 1).await;
}

#[tokio::test]
async fn a_sign_out_wins_over_a_renewal_that_is_under_way() {
    let scene = scene().await;
    let jar = signed_in(&scene, "alice").await;
    scene.clock.advance(Duration::from_secs(310));
    let before = scene.issuer.token_requests();
    scene.issuer.hold();
    let (client, ask) = (scene.client(), x(&jar));
    let renewing = tokio::spawn(async move { client.send(ask).await });
    crate::harness::eventually("it is asked", || scene.issuer.token_requests() == before + 1).await;
    scene.send(sign_out(&jar)).await.assert_status(204);
    scene.issuer.release();
    renewing.await.unwrap().assert_status(401);
    scene.send(x(&jar)).await.assert_status(401);
}

#[tokio::test]
async fn signing_in_again_ends_the_session_that_was_there() {
    let scene = scene().await;
    let old = signed_in(&scene, "alice").await;
    let mut browser = crate::harness::Browser::new(scene.client());
    browser.jar = old.clone();
    let answer = browser.visit("https://app.test/.usher/sign-in?rd=/x").await;
    let callback = scene.issuer.authorize(answer.assert_status(302).header("location").unwrap(), "bob");
    browser.visit(callback.as_str()).await.assert_status(303);
    assert_ne!(browser.jar.value(KEY), old.value(KEY));
    assert_refused(&scene.send(x(&old)).await, false);
    assert_eq!(echoed(&scene.send(x(&browser.jar)).await.json(), "x-user-id"), ["bob"]);
}

/// Session fixation, guesses, and spellings.
#[tokio::test]
async fn a_key_of_the_browsers_own_never_becomes_one() {
    let scene = scene().await;
    let own = "AAAAAAAAAAAAAAAAAAAAAA";
    let mut browser = crate::harness::Browser::new(scene.client());
    browser.jar = key(own);
    let answer = browser.visit("https://app.test/.usher/sign-in?rd=/x").await;
    let callback = scene.issuer.authorize(answer.assert_status(302).header("location").unwrap(), "alice");
    browser.visit(callback.as_str()).await.assert_status(303);
    let good = browser.jar.value(KEY).unwrap().to_owned();
    assert_ne!(good, own);
    // It may be that of a session which has just been replaced, so it is not cleared.
    assert_refused(&scene.send(x(&key(own))).await, false);

    let id = usher::session::stored::SessionKey::parse(&good).unwrap().id();
    let changed = format!("{}{}", if good.starts_with('A') { 'B' } else { 'A' }, &good[1..]);
    assert_refused(&scene.send(x(&key(&changed))).await, false);
    let too_long = good.repeat(100);
    for wrong in [&id.to_text(), &good[..21], &format!("{good}="), &format!("{good}A"), &too_long, "%00", "{}"] {
        assert_refused(&scene.send(x(&key(wrong))).await, true);
    }
    scene.send(x(&key(&good))).await.assert_status(200);
}

#[tokio::test]
async fn two_cookies_of_that_name_are_no_session() {
    let scene = scene().await;
    let (one, other) = (signed_in(&scene, "alice").await, signed_in(&scene, "bob").await);
    let line = format!("{}; {}", one.line().unwrap(), other.line().unwrap());
    assert_refused(&scene.send(get("https://app.test/x").header("cookie", &line)).await, true);
    let twice = format!("{}; {}", one.line().unwrap(), one.line().unwrap());
    assert_refused(&scene.send(get("https://app.test/x").header("cookie", &twice)).await, true);
    // Pieces are for tokens.
    let piece = format!("{}; {KEY}-1=x", one.line().unwrap());
    scene.send(get("https://app.test/x").header("cookie", &piece)).await.assert_status(200);
    assert!(scene.upstream.last().all("cookie").is_empty());
}

#[tokio::test]
async fn a_session_of_another_issuer_counts_on_no_other_route() {
    let other = "  other:\n    issuer: $ISSUER/other\n    insecure_http: true\n    audiences: [usher]\n";
    let sites = "
sites:
  - host: app.test
    upstream: $UPSTREAM
    routes:
      - { path: /, issuer: main }
      - { path: /other/, issuer: other }
      - { path: /optional/, issuer: other, access: optional }
";
    let scene = Scene::start(&format!("{ISSUERS}{other}{SESSION}{sites}")).await;
    let jar = signed_in(&scene, "alice").await;
    scene.send(x(&jar)).await.assert_status(200);
    let answer = scene.send(get("https://app.test/other/x").cookies(&jar)).await;
    assert!(answer.assert_status(401).set_cookies().is_empty(), "it is none of its business");
    scene.send(get("https://app.test/optional/x").cookies(&jar)).await.assert_status(200);
    assert!(scene.upstream.last().all("x-user-id").is_empty());
    scene.send(x(&jar)).await.assert_status(200);
}

#[tokio::test]
async fn the_issuer_ends_it_through_both_channels() {
    let scene = scene().await;
    let mut jars = Vec::new();
    for sid in ["s-1", "s-2"] {
        scene.issuer.change_id_tokens(json!({ "sid": sid }));
        jars.push(signed_in(&scene, "alice").await);
    }
    // The name stays through a renewal.
    scene.clock.advance(Duration::from_secs(310));
    for jar in &jars {
        scene.send(x(jar)).await.assert_status(200);
    }
    let frame = format!("https://app.test/.usher/frontchannel-logout?iss={}&sid=s-1", scene.issuer.url());
    scene.send(get(&frame).cookies(&jars[1])).await.assert_status(200);
    scene.send(x(&jars[1])).await.assert_status(200);
    scene.send(get(&frame).cookies(&jars[0])).await.assert_status(200);
    scene.send(x(&jars[0])).await.assert_status(401);

    let event = json!({ "http://schemas.openid.net/event/backchannel-logout": {} });
    let logout = scene.issuer.token("alice").without("sub").claim("sid", "s-2").claim("events", event);
    let logout = scene.issuer.sign(&logout.head("typ", "logout+jwt"));
    let deliver = post("https://app.test/.usher/backchannel-logout")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(format!("logout_token={logout}"));
    scene.send(deliver).await.assert_status(200);
    scene.send(x(&jars[1])).await.assert_status(401);
}

#[tokio::test]
async fn streams_end_with_it() {
    let scene = Scene::start(&format!("{ISSUERS}{SESSION}{}", SITES.replacen("idle: 2s", "idle: 60s", 1))).await;
    let jar = signed_in(&scene, "alice").await;
    let mut socket = open(&scene, "/ws", &[cookies(&jar), origin("https://app.test")]).await.unwrap();
    socket.send(Message::text("before")).await.unwrap();
    assert_eq!(socket.next().await.unwrap().unwrap(), Message::text("before"));
    scene.send(sign_out(&jar)).await.assert_status(204);
    let Message::Close(Some(goodbye)) = socket.next().await.unwrap().unwrap() else { panic!("no close frame") };
    assert_eq!(u16::from(goodbye.code), 1008);
}

#[tokio::test]
async fn what_the_sign_in_was_is_remembered_through_renewals() {
    let scene = Scene::start(&format!("{}\n{SESSION}{}", ISSUERS.trim_end(), crate::step_up::SITES)).await;
    let mut browser = crate::step_up::browser(&scene);
    scene.issuer.change_id_tokens(json!({ "acr": "gold", "auth_time": scene.clock.now().0 }));
    crate::step_up::sign_in(&scene, &mut browser, "https://app.test/gold/x").await.assert_status(303);
    scene.issuer.change_id_tokens(json!({}));
    let ask = async |path: &str| scene.send(get(&format!("https://app.test{path}")).cookies(&browser.jar)).await;
    for path in ["/gold/x", "/fresh/x", "/both/x"] {
        ask(path).await.assert_status(200);
    }
    scene.clock.advance(Duration::from_secs(310));
    ask("/both/x").await.assert_status(200);
    scene.clock.advance(Duration::from_secs(700));
    ask("/gold/x").await.assert_status(200);
    ask("/fresh/x").await.assert_status(401);
}

/// An access token of 30 KiB, a refresh token of 10 KiB.
#[tokio::test]
async fn tokens_that_no_cookie_could_hold_are_no_trouble() {
    let scene = scene().await;
    scene.issuer.change_access_tokens(json!({ "email": "a@x.test", "groups": "g".repeat(22 * 1024) }));
    scene.issuer.pad_refresh_tokens(10 * 1024);
    let jar = signed_in(&scene, "alice").await;
    for _ in 0..3 {
        let answer = scene.send(x(&jar)).await;
        let echo = answer.assert_status(200).json();
        assert_eq!((echoed(&echo, "x-user-id"), echoed(&echo, "x-user-email")), (vec!["alice"], vec!["a@x.test"]));
        let whole: usize = echo["headers"].as_array().unwrap().iter().map(|field| field.to_string().len()).sum();
        assert!(whole < 1024, "claims, and no token: {whole} bytes");
        scene.clock.advance(Duration::from_secs(310));
    }
    assert_eq!(scene.issuer.reuses(), 0);
    scene.send(sign_out(&jar)).await.assert_status(204);
}

#[tokio::test]
async fn memory_is_bounded_and_whoever_is_idle_for_longest_goes_first() {
    let session = "session: { secret: '$SECRET', tokens: store, max_records: 3 }\n";
    let scene = Scene::start(&format!("{ISSUERS}{session}{SITES}")).await;
    let mut jars = Vec::new();
    for _ in 0..3 {
        jars.push(signed_in(&scene, "alice").await);
        scene.clock.advance(Duration::from_secs(2));
    }
    scene.clock.advance(Duration::from_secs(310));
    scene.send(x(&jars[0])).await.assert_status(200);
    jars.push(signed_in(&scene, "alice").await);
    assert_refused(&scene.send(x(&jars[1])).await, false);
    for jar in [&jars[0], &jars[2], &jars[3]] {
        scene.send(x(jar)).await.assert_status(200);
    }
}

#[tokio::test]
async fn sessions_in_memory_survive_another_configuration_and_no_restart() {
    let yaml = format!("{ISSUERS}{SESSION}{SITES}");
    let scene = scene().await;
    let jar = signed_in(&scene, "alice").await;
    scene.reload(&yaml.replace("body_limit: 1MiB", "body_limit: 2MiB")).await.unwrap();
    scene.send(x(&jar)).await.assert_status(200);
    let Scene { upstream, issuer, clock, .. } = scene;
    let restarted = Scene::with(&yaml, upstream, issuer, clock).await;
    assert_refused(&restarted.send(x(&jar)).await, false);
}

/// In both directions, and requests that are under way do not mind.
#[tokio::test]
async fn sessions_move_when_the_operator_wants_the_tokens_elsewhere() {
    let in_store = format!("{ISSUERS}{SESSION}{SITES}");
    let in_cookies = in_store.replace("tokens: store", "tokens: cookies");
    let scene = Scene::start(&in_cookies).await;
    let mut jars = Vec::new();
    for subject in ["alice", "bob", "carol"] {
        jars.push(signed_in(&scene, subject).await);
    }
    scene.send(sign_out(&jars[2])).await.assert_status(204);
    let old = jars.clone();
    scene.reload(&in_store).await.unwrap();
    assert_refused(&scene.send(x(&old[2])).await, false);
    // With a good access token, and with one that has to be renewed; and several at once, to one session.
    for (index, subject) in [(0, "alice"), (1, "bob")] {
        let answers = join_all((0..5).map(|_| scene.send(x(&old[index])))).await;
        for answer in &answers {
            assert_eq!(echoed(&answer.assert_status(200).json(), "x-user-id"), [subject]);
            jars[index].take(&answer.headers);
            assert_eq!(jars[index].names(), [KEY], "the tokens are cleared");
            assert_eq!(
                answer.set_cookies().iter().find(|set| set.name == KEY).unwrap().value,
                jars[index].value(KEY).unwrap()
            );
        }
        scene.clock.advance(Duration::from_secs(310));
        scene.send(x(&jars[index])).await.assert_status(200);
    }
    // What has moved is the same session: signed out there, it is so with its old cookies.
    scene.send(sign_out(&jars[1])).await.assert_status(204);
    assert_refused(&scene.send(x(&old[1])).await, false);

    // The access token of one is good, that of the other has to be renewed.
    scene.send(x(&jars[0])).await.assert_status(200);
    let stored = [jars[0].clone(), signed_in(&scene, "dave").await];
    scene.reload(&in_cookies).await.unwrap();
    for (with_key, subject) in stored.iter().zip(["alice", "dave"]) {
        let mut back = with_key.clone();
        let answer = scene.send(x(with_key)).await;
        back.take(&answer.assert_status(200).headers);
        assert_eq!(back.names(), ["__Host-usher-access", "__Host-usher-refresh"], "{answer:?}");
        assert_eq!(echoed(&scene.send(x(&back)).await.assert_status(200).json(), "x-user-id"), [subject]);
        scene.clock.advance(Duration::from_secs(310));
    }
    assert_eq!(scene.issuer.reuses(), 0);
}

/// Somebody has a copy of the cookies from before the session moved: an instance that still keeps tokens in cookies must not
/// take them, nor one whose secret is another one by now.
#[tokio::test]
async fn a_session_that_has_moved_ends_under_the_name_that_it_had_before() {
    let in_store = format!("{ISSUERS}{SESSION}{SITES}");
    let in_cookies = in_store.replace("tokens: store", "tokens: cookies");
    let scene = Scene::start(&in_cookies).await;
    let old = [signed_in(&scene, "alice").await, signed_in(&scene, "bob").await, signed_in(&scene, "carol").await];
    scene.reload(&in_store).await.unwrap();
    let mut moved = old.clone();
    for jar in &mut moved {
        let answer = scene.send(x(jar)).await;
        jar.take(&answer.assert_status(200).headers);
    }
    // With another first secret, what has moved is found, and does not move to another key.
    let rotated =
        in_store.replace("secret: '$SECRET'", "secret: ['another secret of the tests, 0123456789', '$SECRET']");
    scene.reload(&rotated).await.unwrap();
    let mut again = old[2].clone();
    again.take(&scene.send(x(&old[2])).await.assert_status(200).headers);
    assert_eq!(again.value(KEY), moved[2].value(KEY));

    scene.send(sign_out(&moved[0])).await.assert_status(204);
    assert_refused(&scene.send(x(&old[0])).await, false);
    scene.reload(&in_cookies).await.unwrap();
    // With a good access token, and with one that would have to be renewed.
    scene.send(x(&old[0])).await.assert_status(401);
    // Back in cookies, it has the name of before, and ends with that on all sides.
    let mut back = moved[1].clone();
    back.take(&scene.send(x(&moved[1])).await.assert_status(200).headers);
    scene.send(sign_out(&back)).await.assert_status(204);
    for _ in 0..2 {
        for jar in [&old[0], &moved[0], &old[1], &moved[1], &back] {
            scene.send(x(jar)).await.assert_status(401);
        }
        scene.send(x(&old[2])).await.assert_status(200);
        scene.clock.advance(Duration::from_secs(310));
    }
    assert_eq!(scene.issuer.reuses(), 0);
}

/// The browser that has signed in again meanwhile keeps what it got.
#[tokio::test]
async fn an_answer_that_comes_late_gives_no_key_to_a_session_that_has_moved_and_ended() {
    let in_store = format!("{ISSUERS}{SESSION}{SITES}");
    let scene = Scene::start(&in_store.replace("tokens: store", "tokens: cookies")).await;
    let old = signed_in(&scene, "alice").await;
    scene.reload(&in_store).await.unwrap();
    scene.upstream.answer("/late", UpstreamAnswer::After(Duration::from_secs(1)));
    let (seen, client, ask) = (scene.upstream.count(), scene.client(), get("https://app.test/late").cookies(&old));
    let late = tokio::spawn(async move { client.send(ask).await });
    crate::harness::eventually("it is under way", || scene.upstream.count() == seen + 1).await;
    scene.send(sign_out(&old)).await.assert_status(204);
    assert!(!late.is_finished());
    let answer = late.await.unwrap();
    assert!(answer.assert_status(200).set_cookies().is_empty(), "{answer:?}");
}
