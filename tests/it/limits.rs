//! Bounds on what a client may do, and what happens at them.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::body::fed;
use crate::harness::raw::Raw;
use crate::harness::scene::{ISSUERS, SESSION, SITES};
use crate::harness::{Scene, eventually, get, post};

async fn scene(limits: &str) -> Scene {
    Scene::start(&format!("limits: {{ {limits} }}\n{ISSUERS}{SESSION}{SITES}")).await
}

/// Waits for the end of a connection and returns how long that took.
async fn closed_after(stream: &mut TcpStream) -> Duration {
    let started = Instant::now();
    let mut rest = Vec::new();
    drop(
        tokio::time::timeout(Duration::from_secs(15), stream.read_to_end(&mut rest))
            .await
            .expect("it is closed in time"),
    );
    started.elapsed()
}

#[tokio::test]
async fn too_many_and_too_long_header_fields_are_431() {
    let scene = scene("header_bytes: 16KiB, header_count: 50").await;
    let many = "X-Many: 1\r\n".repeat(60);
    let long = format!("X-Long: {}\r\n", "x".repeat(20 * 1024));
    for fields in [many, long] {
        let status = scene.raw_get("/public/x", &fields).await;
        assert!(matches!(status, 431 | 0), "{status}");
    }
    let fine = "X-Many: 1\r\n".repeat(40);
    assert_eq!(scene.raw_get("/public/x", &fine).await, 200);
    let target = format!("/public/{}", "x".repeat(20 * 1024));
    let status = scene.raw_get(&target, "").await;
    assert!(matches!(status, 414 | 431 | 0), "{status}");
}

#[tokio::test]
async fn a_body_over_the_limit_is_413_whether_it_says_so_or_not() {
    let scene = Scene::usual().await;
    let declared = post("https://app.test/public/x").body(vec![b'x'; 1024 * 1024 + 1]);
    scene.send(declared).await.assert_status(413);
    assert_eq!(scene.upstream.count(), 0, "a declared length is refused before the application hears of it");
    for client in [scene.client(), scene.http2()] {
        let (feed, body) = fed();
        let sending = tokio::spawn(async move {
            let mut connection = client.connect("app.test").await;
            connection
                .open(post("https://app.test/public/x").streamed(body))
                .await
                .map(|response| response.status().as_u16())
        });
        for _ in 0..20 {
            feed.chunk(vec![b'x'; 100_000]);
        }
        drop(feed);
        let status = sending.await.unwrap();
        assert!(matches!(status, Ok(413) | Err(_)), "{status:?}");
    }
    assert!(scene.upstream.seen().iter().all(|seen| !seen.complete), "what is too long is never completed");
    scene.assert_well().await;
}

#[tokio::test]
async fn silence_before_the_handshake_is_not_waited_for() {
    let scene = scene("handshake_timeout: 1s").await;
    for bytes in [&b""[..], b"\x16", b"\x16\x03\x01\x02\x00\x01"] {
        let mut stream = TcpStream::connect(scene.gateway.https()).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        assert!(closed_after(&mut stream).await < Duration::from_secs(5));
    }
    scene.assert_well().await;
}

#[tokio::test]
async fn slow_heads_are_not_waited_for() {
    let scene = scene("header_timeout: 1s").await;
    for bytes in ["GET / HT", "GET / HTTP/1.1\r\nHost: app.test\r\nX: ", "PRI * HTTP/2.0\r\n\r\nSM", ""] {
        let mut raw = Raw::connect(scene.gateway.https(), "app.test").await;
        raw.write(bytes).await;
        let started = Instant::now();
        let rest = String::from_utf8_lossy(&raw.closed().await).into_owned();
        assert!(started.elapsed() < Duration::from_secs(6), "{bytes:?}");
        assert!(rest.is_empty() || rest.starts_with("HTTP/1.1 4"), "{rest}");
    }
    scene.assert_well().await;
}

#[tokio::test]
async fn an_idle_connection_is_closed() {
    let scene = scene("idle_timeout: 1s").await;
    let mut raw = Raw::connect(scene.gateway.https(), "app.test").await;
    raw.write("GET /public/x HTTP/1.1\r\nHost: app.test\r\n\r\n").await;
    assert_eq!(raw.read().await.unwrap().status, 200);
    let started = Instant::now();
    raw.closed().await;
    assert!(started.elapsed() < Duration::from_secs(6));
    let mut connection = scene.http2().connect("app.test").await;
    connection.send(get("https://app.test/public/x")).await.assert_status(200);
    eventually("the HTTP/2 connection is closed", || connection.is_closed()).await;
}

#[tokio::test]
async fn a_body_that_stalls_is_given_up() {
    let scene = scene("body_timeout: 1s").await;
    let (feed, body) = fed();
    feed.chunk("begun");
    let started = Instant::now();
    let mut connection = scene.http2().connect("app.test").await;
    let answer = connection.open(post("https://app.test/public/x").streamed(body)).await;
    assert!(started.elapsed() < Duration::from_secs(10));
    assert!(answer.is_err() || answer.is_ok_and(|answer| answer.status() == 408));
    drop(feed);
    scene.assert_well().await;
}

#[tokio::test]
async fn connections_are_bounded_in_all_and_per_address() {
    let scene = scene("connections_per_address: 5").await;
    let mut held = Vec::new();
    for _ in 0..5 {
        held.push(scene.client().connect("app.test").await);
    }
    let mut sixth = TcpStream::connect(scene.gateway.https()).await.unwrap();
    sixth.write_all(b"\x16\x03\x01").await.ok();
    closed_after(&mut sixth).await;
    held.pop();
    let mut again = None;
    while again.is_none() {
        let stream = TcpStream::connect(scene.gateway.https()).await.unwrap();
        let name = rustls_pki_types::ServerName::try_from("app.test").unwrap();
        let config = crate::harness::certificates::authority().client(&[b"http/1.1"]);
        again = tokio_rustls::TlsConnector::from(config).connect(name, stream).await.ok();
    }
}

#[tokio::test]
async fn the_defaults_let_an_ordinary_crowd_pass() {
    let scene = Scene::usual().await;
    let mut held = Vec::new();
    for _ in 0..200 {
        held.push(scene.client().connect("app.test").await);
    }
    for connection in &mut held {
        connection.send(get("https://app.test/public/x")).await.assert_status(200);
    }
}
