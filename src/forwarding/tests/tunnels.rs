//! WebSocket and other switched protocols.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::sync::mpsc;

use super::harness::*;
use crate::config::Timeouts;

const ASK: &str = "GET /ws HTTP/1.1\r\nhost: app.test\r\nconnection: keep-alive, Upgrade\r\nupgrade: websocket\r\n\
                   sec-websocket-protocol: chat\r\n\r\n";
const YES: &str = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                   sec-websocket-protocol: chat\r\n\r\n";

/// Switches, greets with the answer, and echoes until the client has ended; then it says goodbye.
async fn echo() -> (Script, mpsc::UnboundedReceiver<String>) {
    let (heads, seen) = mpsc::unbounded_channel();
    let upstream = Script::start(move |mut stream, _| {
        let heads = heads.clone();
        async move {
            heads.send(read_head(&mut stream).await).unwrap();
            write(&mut stream, format!("{YES}hello;")).await;
            loop {
                let word = read_until(&mut stream, ";").await;
                write(&mut stream, &word).await;
                if word.is_empty() {
                    write(&mut stream, "bye;").await;
                    return;
                }
            }
        }
    })
    .await;
    (upstream, seen)
}

#[tokio::test]
async fn a_switched_connection_carries_bytes_both_ways_until_both_ends_are_closed() {
    let (upstream, mut heads) = echo().await;
    let mut client = Front::default().connect(upstream.http1()).await;
    write(&mut client, ASK).await;
    let head = read_head(&mut client).await;
    for line in ["HTTP/1.1 101", "connection: upgrade", "upgrade: websocket", "sec-websocket-protocol: chat"] {
        assert!(head.contains(line), "{head}");
    }
    let asked = heads.recv().await.unwrap();
    for line in ["connection: upgrade\r\n", "upgrade: websocket\r\n", "sec-websocket-protocol: chat\r\n"] {
        assert!(asked.contains(line), "{asked}");
    }
    assert_eq!(read_until(&mut client, ";").await, "hello;");
    let long = format!("{};", "x".repeat(200_000));
    for word in ["one;", "two;", &long] {
        write(&mut client, word).await;
        assert_eq!(read_until(&mut client, ";").await, word);
    }
    client.shutdown().await.unwrap();
    assert_eq!(read_all(&mut client).await, "bye;");
}

#[tokio::test]
async fn what_the_client_says_early_waits_for_the_upstream_to_switch() {
    let (upstream, mut heads) = echo().await;
    let mut client = Front::default().connect(upstream.http1()).await;
    write(&mut client, format!("{ASK}early;")).await;
    read_head(&mut client).await;
    assert_eq!(read_until(&mut client, ";").await, "hello;");
    assert_eq!(read_until(&mut client, ";").await, "early;");
    assert!(heads.recv().await.unwrap().ends_with("\r\n\r\n"));
}

#[tokio::test]
async fn an_upstream_that_does_not_switch_answers_and_its_connection_is_not_used_again() {
    let upstream = Script::start(|mut stream, _| async move {
        while !read_head(&mut stream).await.is_empty() {
            write(&mut stream, "HTTP/1.1 426 Upgrade Required\r\ncontent-length: 2\r\n\r\nno").await;
        }
    })
    .await;
    let mut client = Front::default().connect(upstream.http1()).await;
    for _ in 0..2 {
        write(&mut client, ASK).await;
        let answer = read_until(&mut client, "\r\n\r\nno").await;
        assert!(answer.starts_with("HTTP/1.1 426"), "{answer}");
    }
    assert_eq!(upstream.accepted(), 2);
}

#[tokio::test]
async fn a_switch_to_something_else_is_a_bad_gateway() {
    let upstream = Script::start(|mut stream, _| async move {
        read_head(&mut stream).await;
        write(&mut stream, "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n").await;
        closed_by_peer(&mut stream).await;
    })
    .await;
    let mut client = Front::default().connect(upstream.http1()).await;
    write(&mut client, ASK).await;
    let head = read_head(&mut client).await;
    assert!(head.starts_with("HTTP/1.1 502"), "{head}");
}

#[tokio::test]
async fn http_inside_http_is_not_asked_for() {
    let (heads, mut seen) = mpsc::unbounded_channel();
    let upstream = Script::start(move |mut stream, _| {
        let heads = heads.clone();
        async move {
            heads.send(read_head(&mut stream).await).unwrap();
            write(&mut stream, OK).await;
        }
    })
    .await;
    let mut client = Front::default().connect(upstream.http1()).await;
    let ask = "GET / HTTP/1.1\r\nhost: app.test\r\nconnection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\n\
               http2-settings: AAMAAABk\r\n\r\n";
    write(&mut client, ask).await;
    read_until(&mut client, "\r\nok").await;
    assert_eq!(seen.recv().await.unwrap(), "GET / HTTP/1.1\r\nhost: app.test\r\n\r\n");
}

#[tokio::test]
async fn a_silent_tunnel_is_closed_on_both_sides() {
    let (closed, mut is_closed) = mpsc::unbounded_channel();
    let upstream = Script::start(move |mut stream, _| {
        let closed = closed.clone();
        async move {
            read_head(&mut stream).await;
            write(&mut stream, YES).await;
            closed_by_peer(&mut stream).await;
            closed.send(()).unwrap();
        }
    })
    .await;
    let timeouts = Timeouts { idle: Duration::from_millis(200), ..TIMEOUTS };
    let mut client = Front { timeouts, ..Front::default() }.connect(upstream.http1()).await;
    write(&mut client, ASK).await;
    read_head(&mut client).await;
    for _ in 0..4 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        write(&mut client, "x").await;
    }
    closed_by_peer(&mut client).await;
    is_closed.recv().await.unwrap();
}

#[tokio::test]
async fn a_tunnel_is_ended_from_outside_on_both_sides() {
    let (closed, mut is_closed) = mpsc::unbounded_channel();
    let upstream = Script::start(move |mut stream, _| {
        let closed = closed.clone();
        async move {
            read_head(&mut stream).await;
            write(&mut stream, format!("{YES}hello;")).await;
            closed_by_peer(&mut stream).await;
            closed.send(()).unwrap();
        }
    })
    .await;
    let front = Front::default();
    let end = Arc::clone(&front.end);
    let mut client = front.connect(upstream.http1()).await;
    write(&mut client, ASK).await;
    read_head(&mut client).await;
    assert_eq!(read_until(&mut client, ";").await, "hello;");
    end.notify_one();
    assert_eq!(read_all(&mut client).await, "");
    is_closed.recv().await.unwrap();
}

#[tokio::test]
async fn a_tunnel_whose_upstream_takes_nothing_any_more_ends_when_the_client_speaks() {
    let upstream = Script::start(|mut stream, _| async move {
        read_head(&mut stream).await;
        write(&mut stream, YES).await;
    })
    .await;
    let mut client = Front::default().connect(upstream.http1()).await;
    write(&mut client, ASK).await;
    read_head(&mut client).await;
    let speaks = async {
        while client.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    assert!(tokio::time::timeout(TIMEOUTS.idle / 2, speaks).await.is_ok());
}
