//! A second factor: people are asked for a one-time password after the right password, programs bring both at once.

use std::time::Duration;

use serde_json::{Value, json};
use usher::clock::Clock;

use crate::harness::child::Usher;
use crate::harness::totp::{SECRET, code};
use crate::harness::{Answer, Ask, Client, Jar, Protocol, Upstream, get, post};
use crate::local_issuer::{SIGN_IN, Scene, for_a_process};

const CODE: &str = "https://app.test/.usher/issuer/one-time-code";

/// What the app shows now.
fn shown(scene: &Scene) -> String {
    code(SECRET, scene.clock.now().0)
}

fn text(answer: &Answer) -> String {
    String::from_utf8(answer.body.to_vec()).unwrap()
}

fn form(url: &str, fields: &str, jar: &Jar) -> Ask {
    let ask = post(url).navigation().header("origin", "https://app.test").header("sec-fetch-site", "same-origin");
    ask.header("content-type", "application/x-www-form-urlencoded").body(fields.to_owned()).cookies(jar)
}

/// What a browser keeps after the password.
async fn first_step(scene: &Scene) -> Jar {
    let mut jar = Jar::of(&[("__Host-usher-form", "1")]);
    let fields = "rd=%2Fx%3Fa%3D1&username=dora&password=explorer";
    let answer = scene.send(form(SIGN_IN, fields, &jar)).await;
    let to = "/.usher/issuer/one-time-code?rd=%2Fx%3Fa%3D1";
    assert_eq!(answer.assert_status(303).header("location"), Some(to));
    jar.take(&answer.headers);
    jar
}

async fn give(scene: &Scene, code: &str, jar: &Jar) -> Answer {
    scene.send(form(CODE, &format!("rd=%2Fx%3Fa%3D1&code={code}"), jar)).await
}

fn program(document: &Value) -> Ask {
    post(SIGN_IN).header("origin", "https://app.test").json(document)
}

#[tokio::test]
async fn people_are_asked_for_the_code_after_the_password_and_get_where_they_wanted() {
    let scene = Scene::start().await;
    let wrong = scene.send(form(SIGN_IN, "username=dora&password=x", &Jar::of(&[("__Host-usher-form", "1")]))).await;
    assert!(wrong.assert_status(401).set_cookies().is_empty(), "nothing tells that there is a second factor");

    let mut jar = first_step(&scene).await;
    scene.visit(&jar).await.assert_status(401);
    let page = scene.send(get(&format!("{CODE}?rd=/x?a=1")).navigation().cookies(&jar)).await;
    let words = text(page.assert_status(200));
    let attributes = ["inputmode=\"numeric\"", "autocomplete=\"one-time-code\"", "aria-describedby=\"hint\""];
    assert!(attributes.iter().all(|attribute| words.contains(attribute)), "{words}");
    assert!(words.contains("<strong>dora</strong>") && words.contains("<label for=\"code\">"), "{words}");

    let wrong = give(&scene, "123456789", &jar).await;
    let words = text(wrong.assert_status(401));
    assert!(words.contains("role=\"alert\"") && words.contains("aria-describedby=\"problem hint\""), "{words}");
    assert!(!words.contains("123456789") && words.contains("aria-invalid=\"true\""), "{words}");
    jar.take(&wrong.headers);

    let before = jar.clone();
    let right = shown(&scene);
    let done = give(&scene, &right, &jar).await;
    assert_eq!(done.assert_status(303).header("location"), Some("/.usher/issuer/signed-in?rd=%2Fx%3Fa%3D1"));
    jar.take(&done.headers);
    assert!(!jar.line().unwrap().contains("first-step"), "{jar:?}");
    scene.visit(&jar).await.assert_status(200);
    let again = give(&scene, &right, &before).await;
    assert!(text(again.assert_status(401)).contains("was used before"));
    scene.clock.advance(Duration::from_secs(60));
    let spaced = shown(&scene);
    let spaced = format!("{}+{}", &spaced[..3], &spaced[3..]);
    give(&scene, &spaced, &before).await.assert_status(303);
}

#[tokio::test]
async fn programs_bring_both_and_are_told_when_one_is_missing() {
    let scene = Scene::start().await;
    let ask = |password: &str, totp: &str| json!({ "username": "dora", "password": password, "totp": totp });
    let missing = scene.send(program(&json!({ "username": "dora", "password": "explorer" }))).await;
    assert_eq!(missing.assert_status(401).json()["error"], "totp_required");
    assert_eq!(missing.header("www-authenticate"), Some("Bearer"));
    assert!(missing.set_cookies().is_empty());

    let mut answers = Vec::new();
    for document in [ask("explorer", "1234567"), ask("wrong", "1234567"), ask("wrong", &shown(&scene))] {
        let mut body = scene.send(program(&document)).await.assert_status(401).json();
        body.as_object_mut().unwrap().remove("request_id");
        answers.push(body);
    }
    assert!(answers.iter().all(|answer| *answer == answers[0] && answer.get("error").is_none()), "{answers:?}");

    let body = scene.send(program(&ask("explorer", &shown(&scene)))).await.assert_status(200).json();
    let token = body["access_token"].as_str().unwrap();
    let claims = jsonwebtoken::dangerous::insecure_decode::<Value>(token).unwrap().claims;
    assert_eq!((&claims["acr"], &claims["amr"]), (&json!("2"), &json!(["pwd", "otp", "mfa"])));
    scene.send(program(&ask("explorer", &shown(&scene)))).await.assert_status(401);
    let number = json!({ "username": "dora", "password": "explorer", "totp": 123_456 });
    scene.send(program(&number)).await.assert_status(400);
    let of_others = json!({ "username": "alice", "password": "wonderland", "totp": "123456" });
    scene.send(program(&of_others)).await.assert_status(200);
}

#[tokio::test]
async fn what_stands_between_the_steps_is_good_for_nothing_else() {
    let scene = Scene::start().await;
    let answer = scene.send(form(SIGN_IN, "username=dora&password=explorer", &Jar::of(&[("__Host-usher-form", "1")])));
    let cookies = answer.await.set_cookies();
    let [cookie] = cookies.as_slice() else { panic!("{cookies:?}") };
    let has = |name: &str| cookie.attributes.contains_key(name);
    assert!(cookie.name == "__Host-usher-first-step" && has("secure") && has("httponly"), "{cookie:?}");
    assert_eq!(cookie.attributes.get("max-age").map(String::as_str), Some("300"));
    assert!(!cookie.value.contains("dora"));

    for name in ["__Host-usher-access", "__Host-usher-refresh"] {
        scene.visit(&Jar::of(&[(name, &cookie.value)])).await.assert_status(401);
    }
    let session = scene.session("alice", "wonderland").await;
    let line = session.line().unwrap();
    let access = line.split("; ").find_map(|pair| pair.strip_prefix("__Host-usher-access=")).unwrap();
    let (first, rest) = cookie.value.split_at(60);
    let changed = format!("{first}{}{}", if rest.starts_with('A') { 'B' } else { 'A' }, &rest[1..]);
    for other in [access, "", "1", &changed] {
        let stale = give(&scene, &shown(&scene), &Jar::of(&[("__Host-usher-first-step", other)])).await;
        assert!(text(stale.assert_status(400)).contains("Password"), "the first page again");
    }
    give(&scene, &shown(&scene), &Jar::default()).await.assert_status(400);
    let page = scene.send(get(&format!("{CODE}?rd=/x")).navigation()).await;
    assert_eq!(page.assert_status(303).header("location"), Some("/.usher/issuer/sign-in?rd=%2Fx"));
    let good = Jar::of(&[(&cookie.name, &cookie.value)]);
    give(&scene, &shown(&scene), &good).await.assert_status(303);
}

#[tokio::test]
async fn who_comes_too_late_or_has_changed_meanwhile_begins_again() {
    let scene = Scene::start().await;
    let jar = first_step(&scene).await;
    scene.clock.advance(Duration::from_secs(301));
    let late = give(&scene, &shown(&scene), &jar).await;
    let words = text(late.assert_status(400));
    assert!(words.contains("took too long") && words.contains("Password"), "{words}");
    assert!(late.set_cookies().iter().any(|cookie| cookie.name == "__Host-usher-first-step" && cookie.clears()));

    let jar = first_step(&scene).await;
    let removed = scene.users().replace(&format!(", totp: {SECRET}"), "");
    scene.change_users(&removed).await;
    give(&scene, &shown(&scene), &jar).await.assert_status(400);
    scene.send(program(&json!({ "username": "dora", "password": "explorer" }))).await.assert_status(200);
}

#[tokio::test]
async fn a_second_factor_that_is_set_or_taken_away_ends_the_sessions() {
    let scene = Scene::start().await;
    let session = scene.session("alice", "wonderland").await;
    scene.visit(&session).await.assert_status(200);
    let with = scene.users().replace("name: Alice", &format!("totp: {SECRET}, name: Alice"));
    scene.change_users(&with).await;
    scene.visit(&session).await.assert_status(401);
}

#[tokio::test]
async fn guessing_codes_has_to_wait_and_nobody_else_does() {
    let scene = Scene::start().await;
    let jar = first_step(&scene).await;
    for _ in 0..5 {
        give(&scene, "1234567", &jar).await.assert_status(401);
    }
    let waits = give(&scene, &shown(&scene), &jar).await;
    let wait: u64 = waits.assert_status(429).header("retry-after").unwrap().parse().unwrap();
    assert!((1..=60).contains(&wait) && text(&waits).contains("one-time-code"), "{wait}");
    let both = json!({ "username": "dora", "password": "explorer", "totp": shown(&scene) });
    scene.send(program(&both)).await.assert_status(429);
    scene.session("alice", "wonderland").await;
    scene.clock.advance(Duration::from_secs(60));
    give(&scene, &shown(&scene), &jar).await.assert_status(303);
}

#[tokio::test]
async fn another_site_gives_no_code_and_nothing_but_the_form_is_read() {
    let scene = Scene::start().await;
    let jar = first_step(&scene).await;
    let fields = format!("rd=%2Fx&code={}", shown(&scene));
    let elsewhere = post(CODE).navigation().header("content-type", "application/x-www-form-urlencoded");
    let elsewhere = elsewhere.header("origin", "https://evil.test").body(fields.clone()).cookies(&jar);
    scene.send(elsewhere).await.assert_status(403);
    for bad in ["", "rd=%2Fx", "code=1&code=2", "code=1&x=2"] {
        scene.send(form(CODE, bad, &jar)).await.assert_status(400);
    }
    let document = post(CODE).header("origin", "https://app.test").json(&json!({ "code": shown(&scene) }));
    scene.send(document.cookies(&jar)).await.assert_status(400);
    scene.send(Ask::new(http::Method::PUT, CODE)).await.assert_status(405);
    scene.send(form(CODE, &fields, &jar)).await.assert_status(303);
}

#[tokio::test]
async fn a_code_that_was_used_stays_used_after_a_kill_and_the_log_has_no_secret() {
    let (upstream, directory) = (Upstream::start().await, tempfile::tempdir().unwrap());
    let yaml = for_a_process("log: { level: trace }\n", &upstream, &directory);
    let ask = |totp: &str| program(&json!({ "username": "dora", "password": "explorer", "totp": totp }));
    let used = code(SECRET, Clock::system().now().0);
    let mut log = String::new();
    for (code, status) in [("777777x", 401), (used.as_str(), 200), (used.as_str(), 401)] {
        let mut usher = Usher::serve(&yaml, directory.path());
        let client = Client { address: usher.address("https").await, protocol: Protocol::Http1 };
        client.send(ask(code)).await.assert_status(status);
        if status == 401 {
            usher.says("second_factor_failed").await;
        }
        usher.signal("KILL").await;
        usher.exit().await;
        log.push_str(&usher.output());
    }
    for secret in ["777777x", SECRET, "12345678901234567890", "explorer"] {
        assert!(!log.contains(secret), "{secret} in {log}");
    }
}
