//! Bodies stream in both directions, within bounds, with their trailers.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::Method;
use http_body_util::BodyExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use super::harness::*;

#[tokio::test]
async fn the_framing_is_built_anew_from_the_body_as_it_is() {
    let (heads, mut seen) = mpsc::unbounded_channel();
    let upstream = Script::start(move |mut stream, _| {
        let heads = heads.clone();
        async move {
            loop {
                let head = read_head(&mut stream).await;
                if head.contains("chunked") {
                    read_until(&mut stream, "0\r\n\r\n").await;
                } else if head.contains("content-length: 4") {
                    read_until(&mut stream, "body").await;
                }
                if heads.send(head).is_err() {
                    return;
                }
                write(&mut stream, OK).await;
            }
        }
    })
    .await;
    let mut client = Front::default().connect(upstream.http1()).await;
    let chunked = "transfer-encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n";
    for (method, sent, framing) in [
        ("GET", "\r\n", None),
        ("GET", "content-length: 0\r\n\r\n", None),
        ("POST", "content-length: 0\r\n\r\n", Some("content-length: 0")),
        ("POST", "\r\n", Some("content-length: 0")),
        ("GET", "content-length: 4\r\n\r\nbody", Some("content-length: 4")),
        ("GET", chunked, Some("transfer-encoding: chunked")),
        ("POST", chunked, Some("transfer-encoding: chunked")),
    ] {
        write(&mut client, format!("{method} / HTTP/1.1\r\nhost: app.test\r\n{sent}")).await;
        read_until(&mut client, "\r\nok").await;
        let head = seen.recv().await.unwrap();
        let lines: Vec<&str> =
            head.lines().filter(|l| l.starts_with("content-") || l.starts_with("transfer-")).collect();
        assert_eq!(lines, Vec::from_iter(framing), "{method} {sent}");
    }
}

#[tokio::test]
async fn an_upload_goes_on_while_the_answer_streams() {
    let upstream = Script::start(|mut stream, _| async move {
        read_head(&mut stream).await;
        write(&mut stream, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await;
        for _ in 0..3 {
            let ping = read_until(&mut stream, "\r\nping\r\n").await;
            assert!(!ping.is_empty());
            write(&mut stream, "4\r\npong\r\n").await;
        }
        assert_eq!(read_until(&mut stream, "0\r\n\r\n").await, "0\r\n\r\n");
        write(&mut stream, "0\r\n\r\n").await;
    })
    .await;
    let mut client = Front::default().connect(upstream.http1()).await;
    write(&mut client, "POST / HTTP/1.1\r\nhost: app.test\r\ntransfer-encoding: chunked\r\n\r\n").await;
    read_head(&mut client).await;
    for _ in 0..3 {
        write(&mut client, "4\r\nping\r\n").await;
        assert_eq!(read_until(&mut client, "pong\r\n").await, "4\r\npong\r\n");
    }
    write(&mut client, "0\r\n\r\n").await;
    assert_eq!(read_until(&mut client, "0\r\n\r\n").await, "0\r\n\r\n");
}

#[tokio::test]
async fn an_answer_that_comes_before_the_upload_ends_reaches_the_client_whole() {
    let (done, mut is_done) = mpsc::unbounded_channel();
    let upstream = Script::start(move |mut stream, _| {
        let done = done.clone();
        async move {
            read_head(&mut stream).await;
            write(&mut stream, OK).await;
            closed_by_peer(&mut stream).await;
            done.send(()).unwrap();
        }
    })
    .await;
    let mut client = Front::default().connect(upstream.http1()).await;
    write(&mut client, "POST / HTTP/1.1\r\nhost: app.test\r\ncontent-length: 100000\r\n\r\nfirst").await;
    let seen = read_until(&mut client, "\r\n\r\nok").await;
    assert!(seen.starts_with("HTTP/1.1 200"), "{seen}");
    // What is left of the request goes nowhere: the connection cannot be used again.
    is_done.recv().await.unwrap();
}

#[tokio::test]
async fn trailers_of_an_answer_pass() {
    let upstream = Script::start(|mut stream, _| async move {
        read_head(&mut stream).await;
        let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-sum, set-cookie\r\n\r\n";
        write(&mut stream, head).await;
        write(&mut stream, "2\r\nok\r\n0\r\nx-sum: 7\r\nset-cookie: a=b\r\n\r\n").await;
    })
    .await;
    let forwarder = forwarder(upstream.http1());
    let response = send(&forwarder, request(Method::GET, "/")).await.unwrap();
    let body = response.into_body().collect().await.unwrap();
    let trailers = body.trailers().unwrap();
    assert_eq!(trailers.len(), 1);
    assert_eq!(trailers["x-sum"], "7");

    let mut client = Front::default().connect(upstream.http1()).await;
    write(&mut client, "GET / HTTP/1.1\r\nhost: app.test\r\nte: trailers\r\nconnection: te\r\n\r\n").await;
    let seen = read_until(&mut client, "\r\n0\r\nx-sum: 7\r\n\r\n").await;
    assert!(seen.ends_with("\r\n0\r\nx-sum: 7\r\n\r\n"), "{seen}");
}

#[tokio::test]
async fn a_body_above_the_limit_is_refused_ahead_or_cut_off_at_the_limit() {
    let upstream = Script::start(|mut stream, _| async move { closed_by_peer(&mut stream).await }).await;
    let front = Front { body_limit: Some(10), ..Front::default() };
    let address = front.start(upstream.http1()).await;
    let answer = |request: &'static str| async move {
        let mut client = tokio::net::TcpStream::connect(address).await.unwrap();
        write(&mut client, request).await;
        read_head(&mut client).await
    };
    let announced = answer("POST / HTTP/1.1\r\nhost: app.test\r\ncontent-length: 11\r\n\r\n").await;
    assert!(announced.starts_with("HTTP/1.1 413"), "{announced}");
    assert_eq!(upstream.accepted(), 0);
    let head = "POST / HTTP/1.1\r\nhost: app.test\r\ntransfer-encoding: chunked\r\n\r\n8\r\n12345678\r\n3\r\n123\r\n";
    let streamed = answer(head).await;
    assert!(streamed.starts_with("HTTP/1.1 413"), "{streamed}");
    assert_eq!(upstream.accepted(), 1);
}

#[tokio::test]
async fn a_slow_reader_slows_the_upstream_down() {
    let written = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&written);
    let upstream = Script::start(move |mut stream, _| {
        let count = Arc::clone(&count);
        async move {
            read_head(&mut stream).await;
            write(&mut stream, "HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n").await;
            let chunk = vec![b'x'; 64 * 1024];
            while stream.write_all(&chunk).await.is_ok() {
                count.fetch_add(chunk.len(), Ordering::SeqCst);
            }
        }
    })
    .await;
    let forwarder = forwarder(upstream.http1());
    let response = send(&forwarder, request(Method::GET, "/")).await.unwrap();
    let mut body = response.into_body();
    body.frame().await.unwrap().unwrap();
    // The sockets' own buffers fill up, and then nothing moves any more.
    let mut before = usize::MAX;
    while before != written.load(Ordering::SeqCst) {
        before = written.load(Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(before < 16 * 1024 * 1024, "{before} bytes were taken for a client that reads nothing");
    drop(body);
}

#[tokio::test]
async fn answers_without_a_body_leave_the_connections_of_both_sides_usable() {
    let upstream = Script::start(|mut stream, _| async move {
        loop {
            let head = read_head(&mut stream).await;
            let answer = match head.split(' ').nth(1) {
                Some("/length") => "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n",
                Some("/chunked") => "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
                Some(_) => "HTTP/1.1 304 Not Modified\r\netag: 1\r\n\r\n",
                None => return,
            };
            write(&mut stream, answer).await;
        }
    })
    .await;
    let mut client = Front::default().connect(upstream.http1()).await;
    for (request, length) in [("HEAD /length", Some("10")), ("HEAD /chunked", None), ("GET /304", None)] {
        write(&mut client, format!("{request} HTTP/1.1\r\nhost: app.test\r\n\r\n")).await;
        let head = read_head(&mut client).await;
        let announced = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        assert_eq!(announced, length, "{request}: {head}");
    }
    assert_eq!(upstream.accepted(), 1);
}

#[tokio::test]
async fn an_upload_that_is_refused_early_has_its_answer_though_the_connection_is_reset() {
    let upstream = Script::start(|mut stream, _| async move {
        read_head(&mut stream).await;
        // Closing with the rest of the upload unread resets the connection.
        write(&mut stream, "HTTP/1.1 413 Too Large\r\nconnection: close\r\ncontent-length: 2\r\n\r\nno").await;
    })
    .await;
    let address = Front::default().start(upstream.http1()).await;
    let upload =
        ["POST / HTTP/1.1\r\nhost: app.test\r\ncontent-length: 3000000\r\n\r\n", &"x".repeat(3_000_000)].concat();
    for _ in 0..20 {
        let mut client = TcpStream::connect(address).await.unwrap();
        let (mut reading, mut writing) = client.split();
        let sent = async {
            let _ = writing.write_all(upload.as_bytes()).await;
            std::future::pending::<()>().await;
        };
        let answer = tokio::select! {
            answer = read_until(&mut reading, "\r\n\r\nno") => answer,
            () = sent => unreachable!(),
        };
        assert!(answer.starts_with("HTTP/1.1 413") && answer.ends_with("\r\n\r\nno"), "{answer}");
    }
}
