//! An application that refuses, hangs, breaks or talks nonsense.

use std::time::{Duration, Instant};

use usher::clock::Clock;

use crate::harness::scene::{ISSUERS, SESSION, SITES};
use crate::harness::{Issuer, Scene, Upstream, UpstreamAnswer, get, post};

#[tokio::test]
async fn an_application_that_is_not_there_is_502_at_once_and_recovers() {
    let scene = Scene::usual().await;
    let Scene { gateway, upstream, issuer: _issuer, clock: _ } = scene;
    let client = gateway.client();
    client.send(get("https://app.test/public/x")).await.assert_status(200);
    let stopped = upstream.stop();
    let started = Instant::now();
    client.send(get("https://app.test/public/x")).await.assert_status(502);
    assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
    let upstream = stopped.restart().await;
    client.send(get("https://app.test/public/x")).await.assert_status(200);
    assert_eq!(upstream.count(), 2);
}

#[tokio::test]
async fn an_application_that_never_answers_is_504_at_the_time_out_of_the_route() {
    let scene = Scene::usual().await;
    scene.upstream.answer("/public/hang", UpstreamAnswer::Hang);
    for client in [scene.client(), scene.http2()] {
        let mut connection = client.connect("app.test").await;
        let started = Instant::now();
        connection.send(get("https://app.test/public/hang")).await.assert_status(504);
        let took = started.elapsed();
        assert!(took >= Duration::from_millis(1900) && took < Duration::from_secs(5), "{took:?}");
    }
    scene.assert_well().await;
}

#[tokio::test]
async fn an_application_that_hangs_up_is_502_and_a_post_is_never_sent_twice() {
    let scene = Scene::usual().await;
    scene.upstream.answer("/public/hangup", UpstreamAnswer::Hangup);
    scene.send(post("https://app.test/public/hangup").body("once")).await.assert_status(502);
    assert_eq!(scene.upstream.count(), 1);
    scene.assert_well().await;
}

#[tokio::test]
async fn a_restart_of_the_application_costs_readers_nothing() {
    let scene = Scene::usual().await;
    let Scene { gateway, mut upstream, issuer: _issuer, clock: _ } = scene;
    let client = gateway.client();
    for _ in 0..5 {
        client.send(get("https://app.test/public/x")).await.assert_status(200);
        upstream = upstream.stop().restart().await;
    }
    client.send(get("https://app.test/public/x")).await.assert_status(200);
    assert_eq!(upstream.count(), 6, "a stale pooled connection is not the client's business");
}

#[tokio::test]
async fn nonsense_from_the_application_is_502_and_none_of_it_leaks() {
    let cases: [&'static [u8]; 7] = [
        b"complete nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nleaked",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\nleaked",
        b"HTTP/1.1 999999 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nbad header\r\n\r\nleaked",
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nleaked",
        b"",
    ];
    for bytes in cases {
        let clock = Clock::adjustable();
        let (upstream, issuer) = (Upstream::start_raw(bytes).await, Issuer::start(&clock).await);
        let scene = Scene::with(&format!("{ISSUERS}{SESSION}{SITES}"), upstream, issuer, clock).await;
        let answer = scene.send(post("https://app.test/public/x")).await;
        assert_eq!(answer.status, 502, "{}: {answer:?}", String::from_utf8_lossy(bytes));
        assert!(!answer.text().contains("leaked"));
        let address = scene.upstream.url().trim_start_matches("http://").to_owned();
        assert!(!answer.text().contains(&address), "no address of the application in an error page");
    }
}

#[tokio::test]
async fn an_early_answer_reaches_the_client() {
    let scene = Scene::usual().await;
    scene.upstream.answer("/public/early", UpstreamAnswer::Early(413));
    let answer = scene.http2().send(post("https://app.test/public/early").body(vec![b'x'; 100_000])).await;
    assert_eq!(answer.assert_status(413).text(), "early");
}

#[tokio::test]
async fn several_addresses_share_the_work_and_a_dead_one_is_left_out() {
    let clock = Clock::adjustable();
    let (first, second) = (Upstream::start().await, Upstream::start().await);
    let dead = Upstream::start().await;
    let dead_url = dead.url();
    drop(dead.stop());
    let list = format!("upstream: [$UPSTREAM, {}, {dead_url}]", second.url());
    let yaml = format!("{ISSUERS}{SESSION}{}", SITES.replace("upstream: $UPSTREAM", &list));
    let scene = Scene::with(&yaml, first, Issuer::start(&clock).await, clock).await;
    let mut failed = 0;
    for _ in 0..100 {
        failed += usize::from(scene.send(get("https://app.test/public/x")).await.status != 200);
    }
    assert!(failed <= 1, "{failed} of 100 failed");
    assert!(scene.upstream.count() > 10 && second.count() > 10, "{} and {}", scene.upstream.count(), second.count());
}
