//! How many requests somebody may send, by address, subject and session, and what is said to whoever sends more.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use http::Method;
use tokio_tungstenite::tungstenite::Message;
use usher::clock::Clock;
use usher::gateway::Connection;
use usher::gateway::explain::{Decision, Presented};

use crate::harness::child::Usher;
use crate::harness::gateway::complete;
use crate::harness::metrics::Metrics;
use crate::harness::scene::{ISSUERS, SESSION};
use crate::harness::{Answer, Ask, Client, Gateway, Issuer, Scene, Upstream, get, post};
use crate::sign_out::signed_in;
use crate::websocket::{cookies, open, origin};

const LISTEN: &str = "listen: { https: '127.0.0.1:0', verify: '127.0.0.1:0', admin: '127.0.0.1:0' }\n";

const SITES: &str = "
sites:
  - host: app.test
    issuer: main
    upstream: $UPSTREAM
    cors: true
    allowed_origins: ['https://spa.test']
    rate_limit: { by: address, requests: 6, per: 1m }
    routes:
      - path: /
      - { path: /also/, access: public }
      - { path: /free/, access: public, rate_limit: [] }
      - { path: /own/, access: public, rate_limit: { by: address, requests: 3, per: 1m } }
      - { path: /people/, rate_limit: { by: subject, requests: 3, per: 1m } }
      - { path: /anybody/, access: optional, rate_limit: { by: subject, requests: 3, per: 1m } }
      - { path: /sessions/, rate_limit: { by: session, requests: 3, per: 1m } }
      - { path: /both/, rate_limit: [{ by: address, requests: 9, per: 1m }, { by: subject, requests: 60, per: 1h, burst: 2 }] }
";

/// A scene whose time stands still, where this host is a trusted proxy or is not.
async fn scene(session: &str, is_trusted: bool) -> Scene {
    let clock = Clock::stopped();
    let (upstream, issuer) = (Upstream::start().await, Issuer::start(&clock).await);
    let trusted = if is_trusted { "127.0.0.1/32" } else { "127.0.0.2/32" };
    let yaml = format!("{LISTEN}trusted_proxies: [{trusted}]\n{ISSUERS}{session}{SITES}");
    Scene::with(&yaml, upstream, issuer, clock).await
}

/// Sends the same so often, and counts what was let in.
async fn let_in(client: Client, times: usize, ask: impl Fn() -> Ask) -> usize {
    let mut passed = 0;
    for _ in 0..times {
        match client.send(ask()).await.status.as_u16() {
            429 => {}
            200 | 401 => passed += 1,
            status => panic!("{status}"),
        }
    }
    passed
}

fn fields(answer: &Answer) -> [Option<&str>; 3] {
    ["ratelimit-policy", "ratelimit", "retry-after"].map(|name| answer.header(name))
}

#[tokio::test]
async fn so_many_pass_over_both_protocols_and_the_next_is_told_when_to_come_back() {
    let scene = scene(SESSION, false).await;
    let ask = || get("https://app.test/own/x");
    let policy = Some("\"address\";q=3;w=60");
    let answer = scene.send(ask()).await;
    assert_eq!(fields(answer.assert_status(200)), [policy, Some("\"address\";r=2;t=20"), None]);
    assert_eq!(let_in(scene.http2(), 1, ask).await, 1);
    // An address that a stranger makes up is nobody's.
    let answer = scene.send(ask().header("x-forwarded-for", "203.0.113.1")).await;
    assert_eq!(fields(answer.assert_status(200)), [policy, Some("\"address\";r=0;t=60"), None]);
    for (client, made_up) in [(scene.client(), "203.0.113.2"), (scene.http2(), "203.0.113.3")] {
        let answer = client.send(ask().header("x-forwarded-for", made_up)).await;
        assert_eq!(fields(answer.assert_status(429)), [policy, Some("\"address\";r=0;t=20"), Some("20")]);
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!((&answer.json()["error"], &answer.json()["status"]), (&"rate_limited".into(), &429.into()));
    }
    let page = scene.send(ask().navigation()).await;
    assert!(page.assert_status(429).text().contains("There were too many requests"), "{page:?}");
    assert_eq!(scene.upstream.count(), 3, "what is refused reaches nobody");
    scene.clock.advance(Duration::from_secs(20));
    assert_eq!(let_in(scene.http2(), 5, ask).await, 1);

    let metrics = Metrics::of(scene.gateway.admin()).await;
    let limited = |route| metrics.count("usher_rate_limited_total", &[("route", route)]);
    assert_eq!(limited("app.test/own/"), 2 + 1 + 4, "{}", metrics.text);
}

#[tokio::test]
async fn a_flood_of_bad_tokens_ends_before_any_is_looked_at() {
    let scene = scene(SESSION, false).await;
    let forged = |number: usize| get("https://app.test/x").bearer(&format!("e30.e30.{number}"));
    for number in 0..6 {
        scene.send(forged(number)).await.assert_status(401);
    }
    scene.send(forged(6)).await.assert_status(429);
    // Nor does it help to be somebody, or to send two credentials at once.
    let token = scene.issuer.access_token("alice");
    scene.send(get("https://app.test/x").bearer(&token)).await.assert_status(429);
    scene.send(get("https://app.test/x").bearer(&token).bearer(&token)).await.assert_status(429);
    assert_eq!(scene.upstream.count(), 0);
}

#[tokio::test]
async fn what_a_site_limits_is_counted_together_and_a_route_may_have_a_limit_of_its_own_or_none() {
    let scene = scene(SESSION, false).await;
    assert_eq!(let_in(scene.client(), 4, || get("https://app.test/also/x")).await, 4);
    assert_eq!(let_in(scene.client(), 4, || get("https://app.test/x")).await, 2, "of six in all");
    assert_eq!(let_in(scene.client(), 4, || get("https://app.test/own/x")).await, 3);
    assert_eq!(let_in(scene.client(), 20, || get("https://app.test/free/x")).await, 20);
    let answer = scene.send(get("https://app.test/free/x")).await;
    assert_eq!(fields(&answer), [None; 3], "nothing is said where there is no limit");
    // Usher's own paths have bounds of their own.
    scene.send(get("https://app.test/.usher/session")).await.assert_status(200);
}

#[tokio::test]
async fn a_client_behind_a_trusted_proxy_is_counted_by_its_own_address_and_ipv6_by_its_network() {
    let scene = scene(SESSION, true).await;
    let from = |address: &str| get("https://app.test/own/x").header("x-forwarded-for", address);
    assert_eq!(let_in(scene.client(), 4, || from("203.0.113.1")).await, 3);
    assert_eq!(let_in(scene.client(), 4, || from("203.0.113.2")).await, 3);
    for made_up in ["198.51.100.1, 203.0.113.1", "198.51.100.2,203.0.113.1", "::1, 203.0.113.1", "::ffff:203.0.113.1"] {
        scene.send(from(made_up)).await.assert_status(429);
    }
    let addresses = ["2001:db8::1", "2001:db8::ffff:1", "2001:db8:0:0:8000::", "2001:db8::2"];
    for (address, status) in addresses.into_iter().zip([200, 200, 200, 429]) {
        scene.send(from(address)).await.assert_status(status);
    }
    scene.send(from("2001:db8:0:1::1")).await.assert_status(200);
}

#[tokio::test]
async fn a_subject_is_counted_wherever_it_comes_from_and_nobody_by_the_address() {
    let scene = scene(SESSION, true).await;
    let ask = |path: &str, address: &str| get(&format!("https://app.test{path}")).header("x-forwarded-for", address);
    let (alice, bob) = (scene.issuer.access_token("alice"), scene.issuer.access_token("bob"));
    assert_eq!(let_in(scene.client(), 2, || ask("/people/x", "192.0.2.1").bearer(&alice)).await, 2);
    let cookies = scene.session("alice");
    let from_cookies = || ask("/people/x", "192.0.2.2").cookies(&cookies);
    assert_eq!(let_in(scene.client(), 3, from_cookies).await, 1, "in whatever way she shows who she is");
    assert_eq!(let_in(scene.client(), 4, || ask("/people/x", "192.0.2.1").bearer(&bob)).await, 3);
    // Whose token does not count is nobody, and takes nothing from anybody.
    assert_eq!(let_in(scene.client(), 9, || ask("/people/x", "192.0.2.1")).await, 9);

    assert_eq!(let_in(scene.client(), 4, || ask("/anybody/x", "192.0.2.1")).await, 3);
    assert_eq!(let_in(scene.client(), 4, || ask("/anybody/x", "192.0.2.2")).await, 3);
    assert_eq!(let_in(scene.client(), 4, || ask("/anybody/x", "192.0.2.1").bearer(&bob)).await, 3);
}

#[tokio::test]
async fn a_session_is_counted_by_itself_and_a_bearer_token_as_its_subject() {
    let scene = scene("session: { secret: '$SECRET' }\n", false).await;
    let (one, other) = (signed_in(&scene, "alice").await, signed_in(&scene, "alice").await);
    let ask = || get("https://app.test/sessions/x");
    assert_eq!(let_in(scene.client(), 4, || ask().cookies(&one)).await, 3);
    assert_eq!(let_in(scene.client(), 4, || ask().cookies(&other)).await, 3);
    let tokens = [scene.issuer.access_token("alice"), scene.issuer.access_token("alice")];
    assert_eq!(let_in(scene.client(), 2, || ask().bearer(&tokens[0])).await, 2);
    assert_eq!(let_in(scene.client(), 2, || ask().bearer(&tokens[1])).await, 1);
}

#[tokio::test]
async fn every_limit_of_a_list_holds_and_is_told() {
    let scene = scene(SESSION, false).await;
    let tokens = ["alice", "bob", "carol", "dave", "erin"].map(|name| scene.issuer.access_token(name));
    let ask = |token: &str| get("https://app.test/both/x").bearer(token);
    let policies = Some("\"address\";q=9;w=60, \"subject\";q=60;w=3600");
    let answer = scene.send(ask(&tokens[0])).await;
    let standings = "\"address\";r=8;t=7, \"subject\";r=1;t=60";
    assert_eq!(fields(answer.assert_status(200)), [policies, Some(standings), None]);
    scene.send(ask(&tokens[0])).await.assert_status(200);
    let answer = scene.send(ask(&tokens[0])).await;
    assert_eq!(
        fields(answer.assert_status(429)),
        [policies, Some("\"address\";r=6;t=20, \"subject\";r=0;t=60"), Some("60")]
    );
    for token in &tokens[1..4] {
        assert_eq!(let_in(scene.client(), 2, || ask(token)).await, 2);
    }
    let answer = scene.send(ask(&tokens[4])).await;
    assert_eq!(fields(answer.assert_status(429)), [policies, Some("\"address\";r=0;t=7"), Some("7")]);
}

#[tokio::test]
async fn a_preflight_counts_by_address_alone_and_a_script_may_read_the_refusal() {
    let scene = scene(SESSION, false).await;
    let preflight = |path: &str| {
        let ask = Ask::new(Method::OPTIONS, &format!("https://app.test{path}"));
        ask.header("origin", "https://spa.test").header("access-control-request-method", "PUT")
    };
    assert_eq!(let_in(scene.client(), 9, || preflight("/people/x")).await, 9);
    assert_eq!(let_in(scene.client(), 9, || preflight("/own/x")).await, 3);
    let refused = scene.send(post("https://app.test/own/x").header("origin", "https://spa.test").body("x")).await;
    assert_eq!(refused.assert_status(429).header("access-control-allow-origin"), Some("https://spa.test"));
}

#[tokio::test]
async fn the_handshake_of_a_websocket_counts_and_its_messages_do_not() {
    let scene = scene(SESSION, false).await;
    let fields = [cookies(&scene.session("alice")), origin("https://app.test")];
    let mut sockets = Vec::new();
    for _ in 0..3 {
        sockets.push(open(&scene, "/people/x", &fields).await.expect("it opens"));
    }
    assert_eq!(open(&scene, "/people/x", &fields).await.err(), Some(429));
    let mut socket = sockets.remove(0);
    for _ in 0..9 {
        socket.send(Message::text("x")).await.unwrap();
        assert_eq!(socket.next().await.unwrap().unwrap(), Message::text("x"));
    }
}

#[tokio::test]
async fn a_proxy_that_asks_is_told_and_its_second_question_is_not_counted() {
    let scene = scene(SESSION, true).await;
    let client = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let ask = async |path: &str, address: &str, uri: &str| {
        let ask = client.get(format!("http://{}{path}", scene.gateway.verify())).header("x-forwarded-method", "GET");
        let ask = ask.header("x-forwarded-proto", "https").header("x-forwarded-host", "app.test");
        ask.header("x-forwarded-uri", uri).header("x-forwarded-for", address).send().await.unwrap()
    };
    let (verify, asked, refusal) = ("/.usher/verify", "/.usher/auth-request", "/.usher/auth-request/refusal");
    for (path, status) in [(verify, 200), (verify, 200), (asked, 200), (asked, 403), (refusal, 429), (verify, 429)] {
        let answer = ask(path, "192.0.2.1", "/own/x").await;
        assert_eq!(answer.status().as_u16(), status, "{path}");
        assert_eq!(answer.headers().contains_key("retry-after"), status > 400, "{path}");
    }
    assert_eq!(ask(verify, "192.0.2.2", "/own/x").await.status(), 200);
    // Six in all: each of these is asked about twice. Of the last that is let in, and then refused for something else, nobody
    // can tell afterwards that it was.
    for number in 1..=6 {
        assert_eq!(ask(asked, "192.0.2.3", "/x").await.status(), 401, "{number}");
        assert_eq!(ask(refusal, "192.0.2.3", "/x").await.status(), if number < 6 { 401 } else { 429 }, "{number}");
    }
    assert_eq!(ask(asked, "192.0.2.3", "/x").await.status(), 403);
}

#[tokio::test]
async fn a_reload_keeps_what_was_counted_for_a_limit_that_stays_as_it_is() {
    let scene = scene(SESSION, false).await;
    let ask = |path: &str| get(&format!("https://app.test{path}"));
    assert_eq!(let_in(scene.client(), 4, || ask("/own/x")).await, 3);
    assert_eq!(let_in(scene.client(), 7, || ask("/also/x")).await, 6);
    // Another limit stands before it, and the site's is another one.
    let sites = SITES.replace("requests: 6,", "requests: 5,").replace(
        "      - { path: /also/",
        "      - { path: /first/, access: public, rate_limit: { by: address, requests: 1, per: 1h } }\n      - { path: /also/",
    );
    let listen = format!("{LISTEN}trusted_proxies: [127.0.0.2/32]\n");
    scene.reload(&format!("{listen}{ISSUERS}{SESSION}{sites}")).await.unwrap();
    assert_eq!(let_in(scene.client(), 4, || ask("/own/x")).await, 0);
    assert_eq!(let_in(scene.client(), 6, || ask("/also/x")).await, 5);
}

#[tokio::test]
async fn a_request_that_is_only_talked_about_takes_nothing_of_a_limit() {
    let sites = "sites: [{ host: app.test, upstream: 'http://127.0.0.1:9', access: public, routes: [{ path: / }],
        rate_limit: { by: address, requests: 1, per: 1m } }]\n";
    let explainer = Gateway::explainer(sites, &Clock::stopped());
    let (peer, here) = (([127, 0, 0, 1], 1).into(), ([127, 0, 0, 1], 443).into());
    let connection = Connection::new(peer, false, here, true, Some("app.test".into()));
    for _ in 0..3 {
        let request = http::Request::builder().uri("/x").header("host", "app.test").body(()).unwrap();
        let told = explainer.explain(&connection, request, &Presented::AsSent).await;
        assert_eq!(told.decision, Decision::Forwarded, "{told:?}");
    }
}

#[tokio::test]
async fn explain_tells_the_limits_that_hold() {
    let directory = tempfile::tempdir().unwrap();
    let sites = "sites: [{ host: app.test, upstream: 'http://127.0.0.1:9', access: public, routes: [{ path: / }],
        rate_limit: { by: address, requests: 100, per: 1m, burst: 20 } }]\n";
    std::fs::write(directory.path().join("usher.yaml"), complete(sites, &directory)).unwrap();
    let (code, said, error) = Usher::finish(&["explain", "GET", "https://app.test/x"], directory.path(), "").await;
    assert_eq!(code, Some(0), "{said}{error}");
    assert!(said.contains("100 requests in 1m by address, 20 at once, on app.test"), "{said}");
}
