//! A form that meets an ended session: its page keeps it, and sends it again just as it was. What a browser makes of that page is
//! shown in [`crate::browser`].

use std::time::{Duration, Instant};

use crate::harness::child::Usher;
use crate::harness::gateway::complete;
use crate::harness::raw::Raw;
use crate::harness::scene::{ISSUERS, SESSION, SITES};
use crate::harness::wait::PATIENCE;
use crate::harness::{Answer, Ask, Client, Protocol, Scene, TokenAnswer, Upstream, get, post};

const URL_ENCODED: &str = "application/x-www-form-urlencoded";
const FIELDS: &str = "a=1&a=2&b=&text=x+%2B+y%0D%0Az&%C3%A4=%22%3E%3C%2Fform%3E%3Cscript%3E&submit=&_charset_=UTF-8";

/// The usual sites, which keep forms.
fn sites() -> String {
    SITES.replacen("    body_limit: 1MiB\n", "    body_limit: 1MiB\n    resend_forms: 64KiB\n", 1).replacen(
        "      - path: /\n",
        "      - path: /\n      - { path: /off/, resend_forms: 0 }\n      - { path: /small/, body_limit: 10 }\n",
        1,
    )
}

async fn scene() -> Scene {
    Scene::start(&format!("limits: {{ body_timeout: 1s }}\n{ISSUERS}{SESSION}{}", sites())).await
}

/// What a browser sends of a form that stands on a page of this origin.
fn form(url: &str, origin: &str, site: &str) -> Ask {
    let ask = post(url).header("sec-fetch-mode", "navigate").header("sec-fetch-dest", "document");
    let ask = ask.header("accept", "text/html,*/*;q=0.8").header("content-type", URL_ENCODED);
    let ask = if origin.is_empty() { ask } else { ask.header("origin", origin) };
    if site.is_empty() { ask } else { ask.header("sec-fetch-site", site) }
}

fn own_form(url: &str) -> Ask {
    form(url, "https://app.test", "same-origin")
}

/// The page as an HTML parser reads it, as far as escapes go.
fn unescaped(answer: &Answer) -> String {
    let escapes = [("&#x2f;", "/"), ("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#x27;", "'"), ("&amp;", "&")];
    escapes.iter().fold(answer.text().to_owned(), |text, (escape, letter)| text.replace(escape, letter))
}

/// The page keeps the form, and is what such a page has to be.
#[track_caller]
fn assert_kept(answer: &Answer) {
    answer.assert_status(401);
    let text = answer.text();
    assert!(text.contains("it is kept on this page") && text.contains(">Send again</button>"), "{text}");
    assert!(answer.header("cache-control").unwrap().contains("no-store"), "{answer:?}");
    assert_eq!(answer.header("referrer-policy"), Some("same-origin"), "or the browser would say Origin: null");
    let policy = answer.header("content-security-policy").unwrap();
    for part in ["default-src 'none'", "form-action 'self'", "base-uri 'none'", "frame-ancestors 'none'"] {
        assert!(policy.contains(part), "{part} in {policy}");
    }
    assert!(!policy.contains("script-src") && !text.contains("<script"), "{policy}: {text}");
    assert!(answer.header("www-authenticate").is_some());
}

/// The page says that the form must be filled in again, and has nothing of it.
#[track_caller]
fn assert_lost(answer: &Answer) {
    answer.assert_status(401);
    let text = answer.text();
    assert!(text.contains("fill it in again") && !text.contains("<form"), "{text}");
    assert_eq!(answer.header("referrer-policy"), Some("no-referrer"));
}

#[tokio::test]
async fn a_form_that_meets_no_session_comes_back_with_every_field_over_both_protocols() {
    let scene = scene().await;
    for client in [scene.client(), scene.http2()] {
        let answer = client.send(own_form("https://app.test/orders?q=1&x=%2F%2fy").body(FIELDS)).await;
        assert_kept(&answer);
        let page = unescaped(&answer);
        assert!(page.contains("<form method=\"post\" action=\"https://app.test/orders?q=1&x=%2F%2fy\">"), "{page}");
        let hidden = |name: &str, value: &str| format!("<input type=\"hidden\" name=\"{name}\" value=\"{value}\">\n");
        let fields = [
            ("a", "1"),
            ("a", "2"),
            ("b", ""),
            ("text", "x + y\r\nz"),
            ("ä", "\"></form><script>"),
            ("submit", ""),
            ("_charset_", "UTF-8"),
        ];
        let fields: String = fields.iter().map(|(name, value)| hidden(name, value)).collect();
        assert!(page.contains(&format!("{fields}<button type=\"submit\">")), "in order: {page}");
        let link = "href=\"/.usher/sign-in?rd=%2F%2Eusher%2Fgo%2Dback\" target=\"_blank\" rel=\"noopener\"";
        assert!(page.contains(link), "{page}");
        // Sent again too early, nothing is lost.
        let again = client.send(own_form("https://app.test/orders?q=1&x=%2F%2fy").body(FIELDS)).await;
        assert!(unescaped(&again).contains(&fields));
    }
    assert_eq!(scene.upstream.count(), 0);
}

#[tokio::test]
async fn a_session_that_has_ended_on_the_server_loses_no_form_either() {
    let scene = scene().await;
    let mut jar = scene.session("alice");
    scene.client().send(own_form("https://app.test/x").cookies(&jar).body(FIELDS)).await.assert_status(200);
    let button = own_form("https://app.test/.usher/sign-out").cookies(&jar);
    scene.client().send(button).await.assert_status(303);
    let ended = scene.client().send(own_form("https://app.test/x").cookies(&jar).body(FIELDS)).await;
    assert_kept(&ended);
    jar.take(&ended.headers);
    assert_kept(&scene.client().send(own_form("https://app.test/x").cookies(&jar).body(FIELDS)).await);
    let signed_in = own_form("https://app.test/x").cookies(&scene.session("root")).body(FIELDS);
    scene.client().send(signed_in).await.assert_status(200);
    assert_eq!(scene.upstream.seen().len(), 2);
    assert_eq!(scene.upstream.last().body, FIELDS, "byte for byte");
}

#[tokio::test]
async fn nor_does_an_issuer_that_cannot_be_reached() {
    let scene = scene().await;
    let jar = scene.expired_session("alice");
    scene.issuer.behave(TokenAnswer::Status(500, None));
    let answer = scene.client().send(own_form("https://app.test/x").cookies(&jar).body(FIELDS)).await;
    let text = answer.assert_status(503).text();
    assert!(text.contains("You are still signed in") && text.contains(">Send again</button>"), "{text}");
    assert!(text.contains("name=\"text\"") && !text.contains("new tab"), "{text}");
}

/// Otherwise a page of another site could have its own form sent by ours, in the name of whoever presses the button.
#[tokio::test]
async fn a_form_that_does_not_show_that_it_comes_from_the_site_itself_is_not_kept() {
    let scene = scene().await;
    for (origin, site) in [
        ("https://evil.test", "cross-site"),
        ("https://evil.test", ""),
        ("https://evil.test", "same-origin"),
        ("https://pub.test", "same-site"),
        ("https://app.test", "cross-site"),
        ("https://app.test", "none"),
        ("https://app.test:8443", ""),
        ("http://app.test", ""),
        ("null", "same-origin"),
        ("null", ""),
        ("", "cross-site"),
        ("", "same-site"),
        ("", "none"),
        ("", ""),
    ] {
        let answer = scene.client().send(form("https://app.test/x", origin, site).body(FIELDS)).await;
        assert_lost(&answer);
    }
    let two = form("https://app.test/x", "https://app.test", "").header("origin", "https://evil.test");
    assert_lost(&scene.client().send(two.body(FIELDS)).await);
    for (origin, site) in [("https://app.test", ""), ("", "same-origin"), ("https://app.test:443", "same-origin")] {
        assert_kept(&scene.client().send(form("https://app.test/x", origin, site).body(FIELDS)).await);
    }
}

#[tokio::test]
async fn what_cannot_be_sent_again_as_it_was_must_be_filled_in_again() {
    let scene = scene().await;
    let large = format!("a={}", "x".repeat(64 * 1024));
    let many = "a=1&".repeat(1_000) + "a=1";
    let mebibyte = "x".repeat(1024 * 1024);
    for body in [&*large, &many, &mebibyte, "a=%ff", "a=%00", "a=x%0Ay", "=1", "a", "_charset_=x"] {
        assert_lost(&scene.client().send(own_form("https://app.test/x").body(body.to_owned())).await);
        assert_lost(&scene.http2().send(own_form("https://app.test/x").body(body.to_owned())).await);
    }
    for url in ["https://app.test/off/x", "https://app.test/small/x"] {
        assert_lost(&scene.client().send(own_form(url).body(FIELDS)).await);
    }
    let of_kind = |kind: &str| {
        let ask = post("https://app.test/x").header("sec-fetch-mode", "navigate").header("content-type", kind);
        ask.header("origin", "https://app.test").header("sec-fetch-site", "same-origin").body(FIELDS)
    };
    for kind in ["multipart/form-data; boundary=x", "text/plain", "application/x-www-form-urlencoded; charset=latin1"] {
        assert_lost(&scene.client().send(of_kind(kind)).await);
    }
    assert_kept(&scene.client().send(of_kind("application/x-www-form-urlencoded; charset=UTF-8")).await);
    assert_eq!(scene.upstream.count(), 0);
    scene.assert_well().await;
}

#[tokio::test]
async fn only_the_form_of_a_person_is_kept() {
    let scene = scene().await;
    let by_script = post("https://app.test/x").header("content-type", URL_ENCODED).header("sec-fetch-mode", "cors");
    let by_script = by_script.header("origin", "https://app.test").header("sec-fetch-site", "same-origin");
    let answer = scene.client().send(by_script.body(FIELDS)).await;
    assert_eq!(answer.assert_status(401).header("content-type"), Some("application/problem+json"));
    assert_eq!(answer.json()["login_url"], "/.usher/sign-in?rd=%2F", "{}", answer.text());
    // A GET has its fields in the address, which the sign-in leads back to.
    let get = get("https://app.test/x?a=1").header("sec-fetch-mode", "navigate").header("content-type", URL_ENCODED);
    let get = get.header("origin", "https://app.test").header("sec-fetch-site", "same-origin");
    let answer = scene.client().send(get.body("a=1")).await;
    let location = answer.assert_status(302).header("location").unwrap();
    assert_eq!(location, "/.usher/sign-in?rd=%2Fx%3Fa%3D1");
}

#[tokio::test]
async fn a_form_that_does_not_arrive_is_not_waited_for_longer_than_a_body_may_take() {
    let scene = scene().await;
    let head = format!(
        "POST /x HTTP/1.1\r\nHost: app.test\r\nOrigin: https://app.test\r\nSec-Fetch-Mode: navigate\r\n\
         Content-Type: {URL_ENCODED}\r\nContent-Length: 1000\r\n\r\n"
    );
    let mut raw = Raw::connect(scene.gateway.https(), "app.test").await;
    raw.write(head).await;
    let started = Instant::now();
    let slow = async {
        loop {
            raw.write("a").await;
            tokio::select! {
                answer = raw.read() => return answer,
                () = tokio::time::sleep(Duration::from_millis(100)) => {}
            }
        }
    };
    let answer = slow.await.unwrap();
    assert_eq!(answer.status, 401);
    let took = started.elapsed();
    assert!(took > Duration::from_millis(900) && took < Duration::from_secs(4), "{took:?}");
    assert_eq!(scene.upstream.count(), 0);
    scene.assert_well().await;
}

#[tokio::test]
async fn forms_that_are_waited_for_take_so_much_memory_and_no_more() {
    let sites = sites().replacen("resend_forms: 64KiB", "resend_forms: 1MiB", 1);
    let scene = Scene::start(&format!("{ISSUERS}{SESSION}{sites}")).await;
    let head = format!(
        "POST /x HTTP/1.1\r\nHost: app.test\r\nOrigin: https://app.test\r\nSec-Fetch-Mode: navigate\r\n\
         Content-Type: {URL_ENCODED}\r\nContent-Length: 1048576\r\n\r\n"
    );
    let ask = async || scene.client().send(own_form("https://app.test/x").body(FIELDS)).await;
    assert_kept(&ask().await);
    let mut waited_for = Vec::new();
    for _ in 0..16 {
        let mut raw = Raw::connect(scene.gateway.https(), "app.test").await;
        raw.write(&head).await;
        waited_for.push(raw);
    }
    let started = Instant::now();
    loop {
        let answer = ask().await;
        if answer.text().contains("fill it in again") {
            break assert_lost(&answer);
        }
        assert!(started.elapsed() < PATIENCE, "there is room for ever more");
    }
    // Whoever goes makes room.
    drop(waited_for);
    let started = Instant::now();
    while !ask().await.text().contains("it is kept on this page") {
        assert!(started.elapsed() < PATIENCE, "the room is not given back");
    }
}

#[tokio::test]
async fn the_page_that_sends_people_back_is_shown_to_whoever_is_signed_in() {
    let scene = scene().await;
    let url = "https://app.test/.usher/go-back";
    let answer = scene.client().send(get(url).navigation().cookies(&scene.session("alice"))).await;
    assert!(answer.assert_status(200).text().contains("Go back to the tab"), "{}", answer.text());
    assert!(answer.header("cache-control").unwrap().contains("no-store"));
    let answer = scene.client().send(get(url).navigation()).await;
    assert!(!answer.assert_status(401).text().contains("Go back"));
    scene.client().send(own_form(url)).await.assert_status(405);
}

#[tokio::test]
async fn nothing_of_a_form_is_logged() {
    let (upstream, directory) = (Upstream::start().await, tempfile::tempdir().unwrap());
    let issuers = ISSUERS.replace("$ISSUER", "http://127.0.0.1:9").replace("$CLIENT_SECRET", "a secret of the client");
    let yaml = format!("log: {{ format: json, level: trace }}\n{issuers}{SESSION}{}", sites());
    let usher = Usher::serve(&complete(&yaml.replace("$UPSTREAM", &upstream.url()), &directory), directory.path());
    let client = Client { address: usher.address("https").await, protocol: Protocol::Http1 };
    let answer = client.send(own_form("https://app.test/x").body("canaryname=canaryvalue")).await;
    assert_kept(&answer);
    assert!(answer.text().contains("canaryname") && answer.text().contains("canaryvalue"));
    usher.says("app.test/").await;
    let log = usher.output();
    assert!(log.contains("no credentials") && !log.contains("canary"), "{log}");
}
