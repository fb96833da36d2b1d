//! Signing out here, and on to the issuer (OIDC RP-Initiated Logout 1.0): O22, O24, O27, C02 of the cases.

use std::collections::HashMap;

use serde_json::json;
use url::Url;

use crate::harness::scene::{ISSUERS, SESSION, SITES};
use crate::harness::{Answer, Ask, Browser, Jar, Scene, SetCookie, eventually, get, post};
use crate::sign_in::Ring;

const SIGN_OUT: &str = "https://app.test/.usher/sign-out";

/// Usher's own cookies, and an issuer with a place to sign out. More keys of the issuer, each on a line of its own.
async fn scene(keys: &str) -> Scene {
    let keys: Vec<String> = keys.lines().map(|line| format!("    {line}\n")).collect();
    // An ID token is meant for the client, and needs no audiences.
    let issuers = if keys.concat().contains("id_token") {
        ISSUERS.replace("    audiences: [usher]\n", "")
    } else {
        ISSUERS.to_owned()
    };
    let issuers = issuers.trim_end();
    let clock = usher::clock::Clock::adjustable();
    let issuer = crate::harness::Issuer::start(&clock).await;
    issuer.end_sessions();
    let upstream = crate::harness::Upstream::start().await;
    Scene::with(&format!("{issuers}\n{}{SITES}", keys.concat()), upstream, issuer, clock).await
}

/// The cookies of somebody who has signed in at the issuer.
pub(crate) async fn signed_in(scene: &Scene, subject: &str) -> Jar {
    let mut browser = Browser::new(scene.client());
    let answer = browser.visit("https://app.test/.usher/sign-in?rd=/x").await;
    let callback = scene.issuer.authorize(answer.assert_status(302).header("location").unwrap(), subject);
    browser.visit(callback.as_str()).await.assert_status(303);
    browser.jar
}

fn button(jar: &Jar) -> Ask {
    post(SIGN_OUT).navigation().header("origin", "https://app.test").cookies(jar)
}

fn script(jar: &Jar) -> Ask {
    post(SIGN_OUT).header("origin", "https://app.test").cookies(jar)
}

/// The URL that an answer leads to, with its parameters.
fn onward(answer: &Answer) -> (Url, HashMap<String, String>) {
    let url: Url = answer.header("location").expect("a place to go").parse().unwrap();
    let asked = url.query_pairs().into_owned().collect();
    (url, asked)
}

#[tokio::test]
async fn who_signs_out_is_sent_on_to_the_issuer_and_nowhere_else() {
    let scene = scene("").await;
    for request in ["", "?post_logout_redirect_uri=https://evil.test/&rd=//evil.test&end_session_endpoint=//evil.test"]
    {
        let jar = signed_in(&scene, "alice").await;
        let ask = post(&format!("{SIGN_OUT}{request}")).navigation().header("origin", "https://app.test").cookies(&jar);
        let answer = scene.send(ask).await;
        let (url, mut asked) = onward(answer.assert_status(303));
        assert!(url.as_str().starts_with(&format!("{}/end-session?", scene.issuer.url())), "{url}");
        for (name, value) in [("kept", "1"), ("client_id", "usher"), ("post_logout_redirect_uri", SIGN_OUT)] {
            assert_eq!(asked.remove(name).as_deref(), Some(value), "{name}");
        }
        assert!(asked.is_empty(), "{asked:?}");
        assert_eq!(answer.header("referrer-policy"), Some("no-referrer"));
        assert!(answer.header("cache-control").unwrap().contains("no-store"));
    }
    // Back from there, it is said.
    let page = scene.send(get(SIGN_OUT).navigation()).await;
    assert!(page.assert_status(200).text().contains("You are signed out"), "{}", page.text());
}

#[tokio::test]
async fn a_script_is_told_where_its_page_may_go_next_and_gets_no_token() {
    let scene = scene("identity: id_token").await;
    let jar = signed_in(&scene, "alice").await;
    let answer = scene.send(script(&jar)).await;
    let (_, asked) = onward(answer.assert_status(204));
    assert!(!asked.contains_key("id_token_hint"), "{asked:?}");
    assert_eq!(asked["client_id"], "usher");
}

#[tokio::test]
async fn where_the_id_token_is_kept_it_is_the_hint_of_its_own_user() {
    let scene = scene("identity: id_token").await;
    let (alice, bob) = (signed_in(&scene, "alice").await, signed_in(&scene, "bob").await);
    for (jar, subject) in [(&alice, "alice"), (&bob, "bob")] {
        let answer = scene.send(button(jar)).await;
        let (_, asked) = onward(answer.assert_status(303));
        let payload = asked["id_token_hint"].split('.').nth(1).unwrap().to_owned();
        let claims = base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, payload).unwrap();
        let claims: serde_json::Value = serde_json::from_slice(&claims).unwrap();
        assert_eq!((&claims["sub"], &claims["aud"]), (&json!(subject), &json!("usher")));
    }
}

#[tokio::test]
async fn nobody_is_sent_on_where_the_operator_does_not_want_it_or_nobody_was_signed_in() {
    let off = scene("end_session: false").await;
    let jar = signed_in(&off, "alice").await;
    assert_eq!(off.send(button(&jar)).await.assert_status(303).header("location"), Some("/.usher/sign-out"));
    let on = scene("").await;
    for jar in [Jar::default(), Jar::of(&[("__Host-usher-access", "forged")])] {
        let answer = on.send(button(&jar)).await;
        assert_eq!(answer.assert_status(303).header("location"), Some("/.usher/sign-out"));
        assert_eq!(on.send(script(&jar)).await.assert_status(204).header("location"), None);
    }
}

/// Browsers hold every redirect of a form against `form-action`.
#[tokio::test]
async fn the_page_that_asks_lets_its_form_lead_to_the_issuer() {
    let scene = scene("").await;
    let jar = signed_in(&scene, "alice").await;
    let asks = scene.send(get(SIGN_OUT).navigation().cookies(&jar)).await;
    let policy = asks.assert_status(200).header("content-security-policy").unwrap();
    assert!(policy.contains(&format!("form-action 'self' https: {};", scene.issuer.url())), "{policy}");
    assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{policy}");
    let says = scene.send(get(SIGN_OUT).navigation()).await;
    assert!(says.header("content-security-policy").unwrap().contains("form-action 'self';"), "{says:?}");
}

#[tokio::test]
async fn after_a_sign_out_nothing_of_the_session_counts_and_every_cookie_is_gone() {
    let scene = scene("").await;
    let jar = signed_in(&scene, "alice").await;
    let answer = scene.send(button(&jar)).await;
    let cleared: Vec<_> = answer.set_cookies().into_iter().filter(SetCookie::clears).collect();
    for name in jar.names() {
        let line = cleared.iter().find(|line| line.name == name).unwrap_or_else(|| panic!("{name} stays"));
        for attribute in ["secure", "httponly", "path", "samesite"] {
            assert!(line.attributes.contains_key(attribute), "{line:?}");
        }
    }
    // A copy of the cookies, together and each by itself (O27).
    let before = scene.issuer.token_requests();
    for left_out in ["", "__Host-usher-access", "__Host-usher-refresh"] {
        let mut copy = jar.clone();
        copy.remove(left_out);
        scene.send(get("https://app.test/x").cookies(&copy)).await.assert_status(401);
    }
    assert_eq!(scene.issuer.token_requests(), before, "a signed-out refresh token is not spent");
    let fields = [crate::websocket::cookies(&jar), crate::websocket::origin("https://app.test")];
    assert_eq!(crate::websocket::open(&scene, "/ws", &fields).await.unwrap_err(), 401);
}

#[tokio::test]
async fn a_session_ends_here_while_the_issuer_is_down_and_is_revoked_there_later() {
    let scene = scene("").await;
    let jar = signed_in(&scene, "alice").await;
    scene.issuer.fail_revocations(1);
    scene.send(script(&jar)).await.assert_status(204);
    scene.send(get("https://app.test/x").cookies(&jar)).await.assert_status(401);
    eventually("it is asked again", || scene.issuer.asked().revocations.len() == 2).await;
    let revocations = scene.issuer.asked().revocations;
    assert_eq!(revocations[0], revocations[1]);
}

#[tokio::test]
async fn raw_cookies_are_signed_out_at_the_issuer_of_the_access_token_too() {
    let clock = usher::clock::Clock::adjustable();
    let issuer = crate::harness::Issuer::start(&clock).await;
    issuer.end_sessions();
    let upstream = crate::harness::Upstream::start().await;
    let scene = Scene::with(&format!("{ISSUERS}{SESSION}{SITES}"), upstream, issuer, clock).await;
    let answer = scene.send(button(&scene.session("alice"))).await;
    assert!(onward(answer.assert_status(303)).0.as_str().starts_with(&scene.issuer.url()));
}

/// The whole way at a certified server, whose logout tokens sign out the user's other browser as well.
#[tokio::test]
async fn signing_out_at_a_certified_server_ends_every_session_that_began_with_it() {
    for keys in ["audiences: [usher]", "identity: id_token"] {
        let what = "signing out at a certified server";
        let Some(ring) = Ring::start_with(what, &json!({}), keys).await else { return };
        ring.server.deliver_to(ring.gateway.https().port()).await;
        let mut browser = ring.browser();
        browser.sign_in("https://app.test/x").await.1.assert_status(200);
        // Another device with cookies of its own here, and the same session there.
        let mut other = ring.browser();
        other.elsewhere = browser.elsewhere.clone();
        other.sign_in("https://app.test/x").await.1.assert_status(200);
        let answer = ring.gateway.client().send(button(&browser.jar)).await;
        browser.jar.take(&answer.assert_status(303).headers);
        other.visit("https://app.test/x").await.assert_status(200);
        let back = browser.sign_out_elsewhere(answer.header("location").unwrap()).await;
        assert_eq!(back, SIGN_OUT);
        let page = browser.visit(&back).await;
        assert!(page.assert_status(200).text().contains("You are signed out"), "{}", page.text());
        let refused = other.visit("https://app.test/x").await;
        assert!(refused.assert_status(302).header("location").unwrap().starts_with("/.usher/sign-in"), "{refused:?}");
    }
}
