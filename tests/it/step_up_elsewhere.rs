//! Step-up where nobody comes back through a callback: the login of an application, the page of the local issuer; and cookies
//! that keep nothing of a sign-in.

use std::time::Duration;

use serde_json::{Value, json};
use usher::clock::Clock;

use crate::harness::scene::ISSUERS;
use crate::harness::{Browser, Issuer, Scene, Upstream, UpstreamAnswer, get, post};
use crate::local_issuer::{SIGN_IN, Scene as Local};
use crate::step_up::{SITES, sign_in};

/// An application with a login and a login page of its own.
async fn legacy(session: &str) -> Scene {
    let clock = Clock::adjustable();
    let issuer = Issuer::start(&clock).await;
    let issuers =
        issuer.legacy("leeway: 0s\n    login: { path: /auth/login, page: /login, access_token: /accessToken }");
    let yaml = format!(
        "{issuers}
session: {{ secret: '$SECRET', {session} }}
sites:
  - host: app.test
    issuer: main
    upstream: $UPSTREAM
    routes:
      - path: /
      - {{ path: /login, access: public }}
      - {{ path: /gold/, require: {{ acr: gold }} }}
      - {{ path: /fresh/, require: {{ max_age: 30s }} }}
"
    );
    Scene::with(&yaml, Upstream::start().await, issuer, clock).await
}

/// Sends the form of the application's own login page, with these claims in the token that comes of it.
async fn log_in(scene: &Scene, browser: &mut Browser, claims: Value) {
    scene.issuer.change_access_tokens(claims);
    let body = json!({ "accessToken": scene.issuer.access_token("alice") });
    scene.upstream.answer("/auth/login", UpstreamAnswer::json(&body));
    let ask = post("https://app.test/auth/login").header("origin", "https://app.test").cookies(&browser.jar);
    let answer = scene.send(ask.json(&json!({ "username": "alice" }))).await;
    browser.jar.take(&answer.assert_status(200).headers);
}

/// Follows redirects up to the login page, which must get there.
async fn up_to_login(browser: &mut Browser, page: &str) {
    let (url, answer) = browser.follow(&format!("https://app.test{page}"), "/login").await;
    let rd = url.query_pairs().find(|(name, _)| name == "rd").map(|(_, rd)| rd.into_owned());
    assert_eq!((url.path(), rd.as_deref(), answer.is_none()), ("/login", Some(page), true), "{answer:?}");
}

#[tokio::test]
async fn an_applications_login_is_asked_again_and_its_token_is_what_counts() {
    for session in ["", "cookies: { access: at, refresh: rt, sealed: false }"] {
        let scene = legacy(session).await;
        let mut browser = Browser::new(scene.client());
        log_in(&scene, &mut browser, json!({})).await;
        browser.visit("https://app.test/x").await.assert_status(200);
        up_to_login(&mut browser, "/gold/x").await;
        log_in(&scene, &mut browser, json!({ "acr": "gold" })).await;
        browser.visit("https://app.test/gold/x").await.assert_status(200);
        assert!(!browser.jar.names().contains(&"__Host-usher-sent"), "{:?}", browser.jar.names());
    }
}

#[tokio::test]
async fn a_login_that_gives_no_more_ends_with_a_page_and_may_be_tried_again() {
    for session in ["", "cookies: { access: at, refresh: rt, sealed: false }"] {
        let scene = legacy(session).await;
        let mut browser = Browser::new(scene.client());
        log_in(&scene, &mut browser, json!({})).await;
        for _ in 0..2 {
            up_to_login(&mut browser, "/gold/x").await;
            scene.clock.advance(Duration::from_secs(25));
            log_in(&scene, &mut browser, json!({ "acr": "silver" })).await;
            let answer = browser.visit("https://app.test/gold/x").await;
            let text = answer.assert_status(403).text();
            assert!(text.contains("Signing in was not enough") && text.contains("acr_values=gold"), "{text}");
            browser.visit("https://app.test/x").await.assert_status(200);
        }
        // A script is told as ever.
        let script = get("https://app.test/gold/x").header("sec-fetch-mode", "cors").cookies(&browser.jar);
        scene.send(script).await.assert_status(401);
    }
}

#[tokio::test]
async fn a_sign_in_that_has_got_old_meanwhile_is_not_one_that_gave_too_little() {
    let scene = legacy("").await;
    let mut browser = Browser::new(scene.client());
    log_in(&scene, &mut browser, json!({})).await;
    for _ in 0..2 {
        up_to_login(&mut browser, "/fresh/x").await;
        let now = scene.clock.now().0;
        log_in(&scene, &mut browser, json!({ "auth_time": now })).await;
        browser.visit("https://app.test/fresh/x").await.assert_status(200);
        scene.clock.advance(Duration::from_secs(40));
    }
}

#[tokio::test]
async fn a_login_page_that_sends_people_back_at_once_does_not_do_so_for_ever() {
    let scene = legacy("").await;
    let mut browser = Browser::new(scene.client());
    log_in(&scene, &mut browser, json!({})).await;
    scene.clock.advance(Duration::from_secs(2));
    scene.upstream.answer("/login", UpstreamAnswer::fixed(302, &[("location", "/gold/x")], ""));
    let (url, answer) = browser.follow("https://app.test/gold/x", "/never").await;
    assert_eq!(url.path(), "/.usher/sign-in");
    let answer = answer.unwrap();
    let text = answer.assert_status(508).text();
    assert!(text.contains("without asking who you are"), "{text}");
    browser.visit("https://app.test/x").await.assert_status(200);
}

#[tokio::test]
async fn raw_cookies_keep_nothing_of_an_id_token_and_nobody_goes_in_circles_for_it() {
    let session = "session: { secret: '$SECRET', cookies: { access: at, refresh: rt, sealed: false } }\n";
    let scene = Scene::start(&format!("{ISSUERS}{session}{SITES}")).await;
    let mut browser = Browser::new(scene.client());
    scene.issuer.change_id_tokens(json!({ "acr": "gold" }));
    sign_in(&scene, &mut browser, "https://app.test/gold/x").await.assert_status(403);
    scene.issuer.change_access_tokens(json!({ "acr": "gold" }));
    sign_in(&scene, &mut browser, "https://app.test/gold/x").await.assert_status(303);
    browser.visit("https://app.test/gold/x").await.assert_status(200);
}

#[tokio::test]
async fn the_page_of_the_local_issuer_is_shown_to_who_is_signed_in_and_what_it_cannot_give_is_said() {
    let scene = Local::start().await;
    let mut browser = Browser::new(scene.gateway.client());
    let signs_in = async |browser: &mut Browser| {
        let form = post(SIGN_IN).navigation().header("origin", "https://app.test").cookies(&browser.jar);
        let form = form.header("content-type", "application/x-www-form-urlencoded");
        let answer = scene.send(form.body("rd=%2Fstrong%2Fx&username=alice&password=wonderland")).await;
        browser.jar.take(&answer.assert_status(303).headers);
    };
    browser.visit(SIGN_IN).await.assert_status(200);
    signs_in(&mut browser).await;
    let (url, answer) = browser.follow("https://app.test/strong/x", "/never").await;
    let text = answer.unwrap().text().to_owned();
    assert!(url.path() == "/.usher/issuer/sign-in" && text.contains("name=\"password\""), "{url} {text}");
    signs_in(&mut browser).await;
    let answer = browser.visit("https://app.test/strong/x").await;
    let text = answer.assert_status(403).text();
    assert!(text.contains("Signing in was not enough") && text.contains("second factor"), "{text}");
    browser.visit("https://app.test/x").await.assert_status(200);
}

#[tokio::test]
async fn a_local_user_signs_in_again_when_the_password_was_typed_too_long_ago() {
    let scene = Local::start().await;
    let mut browser = Browser::new(scene.gateway.client());
    let signs_in = async |browser: &mut Browser| {
        let (url, answer) = browser.follow("https://app.test/recent/x", "/never").await;
        assert!(url.path() == "/.usher/issuer/sign-in" && answer.is_some(), "{url}");
        let form = post(SIGN_IN).navigation().header("origin", "https://app.test").cookies(&browser.jar);
        let form = form.header("content-type", "application/x-www-form-urlencoded");
        let answer = scene.send(form.body("rd=%2Frecent%2Fx&username=alice&password=wonderland")).await;
        browser.jar.take(&answer.assert_status(303).headers);
        browser.visit("https://app.test/recent/x").await.assert_status(200);
    };
    signs_in(&mut browser).await;
    // Renewed meanwhile, which is no sign-in.
    for minutes in [6, 12, 18] {
        scene.clock.advance(Duration::from_secs(360));
        let answer = browser.visit("https://app.test/recent/x").await;
        assert_eq!(answer.status.as_u16(), if minutes < 15 { 200 } else { 302 }, "after {minutes} minutes: {answer:?}");
        browser.visit("https://app.test/x").await.assert_status(200);
    }
    signs_in(&mut browser).await;
}
