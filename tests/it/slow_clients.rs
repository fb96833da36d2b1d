//! Clients that are slow, or gone: what they hold is given back in time, and nobody else waits for it.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::harness::frames::{
    CONTINUATION, DATA, END_STREAM, Frames, HEADERS, INITIAL_WINDOW_SIZE, Outcome, block, frame, get as get_frame,
    post, request,
};
use crate::harness::raw::Raw;
use crate::harness::scene::{ISSUERS, SESSION, SITES};
use crate::harness::scripted::Line;
use crate::harness::{Load, Scene, Scripted, UpstreamAnswer, eventually, get, long};

async fn scene(limits: &str) -> Scene {
    Scene::start(&format!("limits: {{ {limits} }}\n{ISSUERS}{SESSION}{SITES}")).await
}

/// How many clients in the short form, and how many in the long one.
fn clients(short: usize, whole: usize) -> usize {
    if long() { whole } else { short }
}

#[tokio::test]
async fn an_http_2_head_that_does_not_end_is_not_waited_for() {
    let scene = scene("header_timeout: 1s").await;
    let head = block(&request("GET", "/public/x"));
    for first in [frame(HEADERS, END_STREAM, 1, &head), frame(HEADERS, END_STREAM, 1, &head)[..12].to_vec()] {
        let mut frames = Frames::connect(scene.gateway.https()).await;
        assert_eq!(frames.ask(3, get_frame(3, "/")).await, Outcome::Answered(401));
        let started = Instant::now();
        let mut bytes = [&first[..]].concat();
        bytes[8] = 5;
        frames.write(bytes).await;
        // Byte by byte, well before any single byte is late.
        let rest = frame(CONTINUATION, 0, 5, &[0x20; 200]);
        for byte in rest {
            if first.len() > 12 && !frames.write([byte]).await {
                break;
            }
            tokio::select! {
                _ = frames.next() => break,
                () = tokio::time::sleep(Duration::from_millis(100)) => {}
            }
        }
        assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
        assert!(started.elapsed() > Duration::from_millis(900), "{:?}", started.elapsed());
    }
    assert_eq!(scene.upstream.count(), 0);
    scene.assert_well().await;
}

/// D01, D02, D04: silence at every stage before a request, of a crowd at once.
#[tokio::test]
async fn a_silent_crowd_is_sent_away_and_keeps_nobody_waiting() {
    let crowd = clients(100, 4000);
    let scene =
        scene("handshake_timeout: 2s, header_timeout: 2s, connections: 10000, connections_per_address: 10000").await;
    let mut waiting = JoinSet::new();
    for n in 0..crowd {
        let address = scene.gateway.https();
        let silent = async move {
            if n % 4 == 3 {
                let mut raw = Raw::connect(address, "app.test").await;
                raw.write(&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r"[..]).await;
                raw.closed().await;
                return;
            }
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all([&b""[..], b"\x16", b"\x16\x03\x01\x02\x00\x01"][n % 4]).await.unwrap();
            drop(stream.read_to_end(&mut Vec::new()).await);
        };
        waiting.spawn(async move { tokio::time::timeout(Duration::from_secs(15), silent).await.is_ok() });
    }
    let started = Instant::now();
    scene.assert_well().await;
    assert!(started.elapsed() < Duration::from_secs(5), "an honest client waited {:?}", started.elapsed());
    while let Some(closed) = waiting.join_next().await {
        assert!(closed.unwrap(), "a silent connection was kept");
    }
    scene.assert_well().await;
}

/// D03.
#[tokio::test]
async fn heads_that_come_byte_by_byte_are_refused_with_408() {
    let scene = scene("header_timeout: 1s, connections: 10000, connections_per_address: 10000").await;
    let mut slow = JoinSet::new();
    for _ in 0..clients(20, 2000) {
        let address = scene.gateway.https();
        slow.spawn(async move {
            let mut raw = Raw::connect(address, "app.test").await;
            let mut trickle = b"GET /public/x HTTP/1.1\r\nHost: app.test\r\nX: ".iter().chain(std::iter::repeat(&b'x'));
            let started = Instant::now();
            loop {
                raw.write([*trickle.next().unwrap()]).await;
                tokio::select! {
                    answer = raw.read() => return (answer.map(|answer| answer.status), started.elapsed()),
                    () = tokio::time::sleep(Duration::from_millis(200)) => {}
                }
            }
        });
    }
    while let Some(outcome) = slow.join_next().await {
        let (status, took) = outcome.unwrap();
        assert_eq!(status, Some(408));
        assert!(took < Duration::from_secs(30), "{took:?}");
    }
    assert_eq!(scene.upstream.count(), 0);
    scene.assert_well().await;
}

/// D06: over HTTP/1.1 the socket fills, over HTTP/2 the stream's window stays shut.
#[tokio::test]
async fn a_reader_that_stops_is_given_up_and_frees_the_application() {
    let scene = scene("body_timeout: 1s").await;
    let feed = scene.upstream.stream("/public/large", &[]);
    for _ in 0..64 {
        feed.chunk(vec![b'x'; 1 << 20]);
    }
    let mut raw = Raw::connect(scene.gateway.https(), "app.test").await;
    raw.write("GET /public/large HTTP/1.1\r\nHost: app.test\r\n\r\n").await;
    eventually("the application is freed", || feed.is_dropped()).await;
    drop(raw);
    let feed = scene.upstream.stream("/public/large", &[]);
    for _ in 0..64 {
        feed.chunk(vec![b'x'; 1 << 20]);
    }
    let mut frames = Frames::with_settings(scene.gateway.https(), &[(INITIAL_WINDOW_SIZE, 0)]).await;
    frames.write(get_frame(1, "/public/large")).await;
    eventually("the application is freed", || feed.is_dropped()).await;
    assert!(matches!(frames.outcome(1).await, Outcome::Reset(_)), "the stream alone is given up");
    assert_eq!(frames.ask(3, get_frame(3, "/favicon.ico")).await, Outcome::Reset(8), "its window is shut as well");
    scene.assert_well().await;
}

/// F36, where there is a FIN or a reset; one that leaves no sign is found by silence.
#[tokio::test]
async fn a_client_that_is_gone_frees_the_application_at_once() {
    let scene = scene("body_timeout: 20s").await;
    let feed = scene.upstream.stream("/public/down", &[]);
    feed.chunk("begun");
    let mut connection = scene.client().connect("app.test").await;
    let answer = connection.open(get("https://app.test/public/down")).await.unwrap();
    drop((answer, connection));
    eventually("the download is given up", || feed.is_dropped()).await;

    scene.upstream.answer("/public/hang", UpstreamAnswer::Hang);
    let mut raw = Raw::connect(scene.gateway.https(), "app.test").await;
    raw.write("POST /public/up HTTP/1.1\r\nHost: app.test\r\nContent-Length: 100\r\n\r\nhalf").await;
    eventually("the upload arrives", || scene.upstream.seen().iter().any(|seen| seen.body == "half")).await;
    drop(raw);
    let started = Instant::now();
    scene.assert_well().await;
    assert!(started.elapsed() < Duration::from_secs(5));
    assert!(scene.upstream.seen().iter().filter(|seen| seen.target == "/public/up").all(|seen| !seen.complete));
}

/// F36, without a FIN: the other end is there no more, and nothing says so.
#[tokio::test]
async fn a_client_that_leaves_no_sign_frees_the_application_in_time() {
    let app = Scripted::start(|mut line: Line| async move { while line.request().await.is_some() {} }).await;
    let scene = Scene::start(&format!(
        "limits: {{ body_timeout: 1s }}\n{ISSUERS}{SESSION}{}",
        SITES.replace("$UPSTREAM", &app.url())
    ))
    .await;
    let mut raw = Raw::connect(scene.gateway.https(), "app.test").await;
    raw.write("POST /public/up HTTP/1.1\r\nHost: app.test\r\nContent-Length: 100\r\n\r\nhalf").await;
    let mut frames = Frames::connect(scene.gateway.https()).await;
    frames.write([post(1, "/public/up"), frame(DATA, 0, 1, b"half")].concat()).await;
    eventually("both uploads arrive", || app.accepted() == 2).await;
    eventually("both are given up", || app.open() == 0).await;
    assert_eq!(raw.read().await.map(|answer| answer.status), Some(408));
    assert!(matches!(frames.outcome(1).await, Outcome::Answered(408) | Outcome::Reset(_)));
}

/// F04, F36, D03, D05, D06, while others work.
#[tokio::test]
async fn who_works_beside_slow_clients_notices_nothing() {
    let scene = scene("header_timeout: 1s, body_timeout: 1s, connections_per_address: 10000").await;
    scene.upstream.answer("/public/large", UpstreamAnswer::fixed(200, &[], vec![b'x'; 8 << 20]));
    let load = Load::start(&scene, 6).await;
    let mut slow = JoinSet::new();
    for n in 0..clients(60, 1000) {
        let address = scene.gateway.https();
        slow.spawn(async move {
            let started = Instant::now();
            let mut raw = Raw::connect(address, "app.test").await;
            let first = [
                "GET /public/x HTTP/1.1\r\nHost: app.test\r\nX: ",
                "POST /public/up HTTP/1.1\r\nHost: app.test\r\nContent-Length: 100\r\n\r\nhalf",
                "GET /public/large HTTP/1.1\r\nHost: app.test\r\n\r\n",
            ];
            raw.write(first[n % first.len()]).await;
            if n % first.len() == 2 {
                // Longer than it is waited for; what was buffered is read then, up to the end.
                tokio::time::sleep(Duration::from_secs(4)).await;
            }
            raw.closed().await;
            started.elapsed()
        });
    }
    while let Some(took) = slow.join_next().await {
        let took = took.unwrap();
        assert!(took < Duration::from_secs(15), "{took:?}");
    }
    load.goes_on(24).await;
    load.stop().await.assert_undisturbed();
}

/// D09.
#[tokio::test]
async fn many_requests_on_one_connection_are_welcome() {
    let scene = Scene::usual().await;
    scene.upstream.answer("/public/x", UpstreamAnswer::fixed(200, &[], "ok"));
    let mut connection = scene.client().connect("app.test").await;
    for _ in 0..clients(500, 100_000) {
        connection.send(get("https://app.test/public/x")).await.assert_status(200);
    }
}

/// D10.
#[tokio::test]
async fn connections_that_come_and_go_leave_nothing_behind() {
    let scene = scene("connections_per_address: 10000").await;
    let (mut churn, until) = (JoinSet::new(), Instant::now() + Duration::from_secs(if long() { 10 } else { 1 }));
    for n in 0..16 {
        let address = scene.gateway.https();
        churn.spawn(async move {
            while Instant::now() < until {
                if let Ok(mut stream) = TcpStream::connect(address).await {
                    drop(stream.set_zero_linger());
                    drop(stream.write_all(&b"\x16\x03\x01"[..n % 4]).await);
                }
            }
        });
    }
    churn.join_all().await;
    let started = Instant::now();
    scene.assert_well().await;
    assert!(started.elapsed() < Duration::from_secs(5));
}
