//! Peers that keep us waiting.

use std::time::Duration;

use ::http::{Request, Response, StatusCode};
use bytes::Bytes;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use super::super::testing::*;
use crate::config::{Config, Limits};

const SHORT: Duration = Duration::from_millis(150);

fn with(limits: Limits) -> Config {
    Config { limits, ..config() }
}

/// An answer that never ends.
fn endless() -> Answer {
    Answer::new(|_, request| async move {
        if request.uri().path() == "/short" {
            return Response::new(whole("short"));
        }
        let chunk = Bytes::from(vec![b'x'; 16 * 1024]);
        let frames = futures_util::stream::repeat_with(move || Ok(Frame::data(chunk.clone())));
        Response::new(StreamBody::new(frames).boxed())
    })
}

#[tokio::test]
async fn a_handshake_that_stalls_is_closed() {
    let server = TestServer::start(with(Limits { handshake_timeout: SHORT, ..limits() }), Answer::who());
    let mut nothing = TcpStream::connect(server.https()).await.unwrap();
    let mut something = TcpStream::connect(server.https()).await.unwrap();
    something.write_all(b"\x16").await.unwrap();
    read_to_end(&mut nothing).await;
    read_to_end(&mut something).await;
}

#[tokio::test]
async fn a_head_that_stalls_is_answered_408() {
    let server = TestServer::start(with(Limits { header_timeout: SHORT, ..limits() }), Answer::who());
    let mut stream = server.http1().await;
    let answer = exchange(&mut stream, "GET / HTTP/1.1\r\nHost: ap").await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
}

#[tokio::test]
async fn a_later_head_that_stalls_is_answered_408_too() {
    let server = TestServer::start(with(Limits { header_timeout: SHORT, ..limits() }), Answer::who());
    let mut stream = server.http1().await;
    stream.write_all(GET.as_bytes()).await.unwrap();
    read_until(&mut stream, "name=app.test").await;
    let answer = exchange(&mut stream, "GET / HT").await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
}

#[tokio::test]
async fn a_connection_that_was_opened_for_nothing_is_closed_without_a_word() {
    let server = TestServer::start(with(Limits { header_timeout: SHORT, ..limits() }), Answer::who());
    let mut stream = server.http1().await;
    assert_eq!(read_to_end(&mut stream).await, "");
}

#[tokio::test]
async fn an_idle_connection_is_closed() {
    let server = TestServer::start(with(Limits { idle_timeout: SHORT, ..limits() }), Answer::who());
    let mut stream = server.http1().await;
    let answer = exchange(&mut stream, GET).await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && !answer.contains("HTTP/1.1 408"), "{answer}");

    let mut client = server.http2().await;
    let (response, _) = client.send_request(Request::get("https://app.test/").body(()).unwrap(), true).unwrap();
    assert_eq!(response.await.unwrap().status(), StatusCode::OK);
    let closed = async {
        while std::future::poll_fn(|cx| client.poll_ready(cx)).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, closed).await.unwrap();
}

#[tokio::test]
async fn an_http_2_preface_on_http_1_1_ends_the_connection() {
    let server = TestServer::start(with(Limits { header_timeout: SHORT, ..limits() }), Answer::who());
    for length in [23, 24, 10] {
        let mut stream = server.http1().await;
        stream.write_all(&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..length]).await.unwrap();
        let answer = read_to_end(&mut stream).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    }
}

#[tokio::test]
async fn half_an_http_2_preface_ends_the_connection() {
    let server = TestServer::start(with(Limits { header_timeout: SHORT, ..limits() }), Answer::who());
    let mut stream = server.tls(&[b"h2"]).await.unwrap();
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r").await.unwrap();
    let mut answer = Vec::new();
    let read = tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut answer);
    let _ = tokio::time::timeout(PATIENCE, read).await.unwrap();
}

#[tokio::test]
async fn a_client_that_does_not_read_loses_its_connection() {
    let server = TestServer::start(with(Limits { body_timeout: SHORT, connections: 1, ..limits() }), endless());
    let mut stream = server.http1().await;
    stream.write_all(GET.as_bytes()).await.unwrap();
    read_until(&mut stream, "\r\n\r\n").await;
    // The buffers of both systems fill up; then the server waits, and waits no longer. Its only place is then free.
    let freed = async {
        while server.tls(&[]).await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, freed).await.unwrap();
}

#[tokio::test]
async fn an_http_2_stream_that_is_not_read_is_reset_and_the_others_live() {
    let server = TestServer::start(with(Limits { body_timeout: SHORT, ..limits() }), endless());
    let mut client = server.http2().await;
    let get = |path: &str| Request::get(format!("https://app.test{path}")).body(()).unwrap();
    let (stuck, _) = client.send_request(get("/endless"), true).unwrap();
    let mut stuck = stuck.await.unwrap().into_body();
    // Nothing is released, so the window of the stream shuts after 64 KiB.
    let reset = async {
        loop {
            match stuck.data().await {
                Some(Ok(_)) => {}
                Some(Err(error)) => break error,
                None => panic!("the answer has no end"),
            }
        }
    };
    let error = tokio::time::timeout(PATIENCE, reset).await.unwrap();
    assert!(error.is_reset(), "{error}");
    let (other, _) = client.send_request(get("/short"), true).unwrap();
    assert_eq!(other.await.unwrap().status(), StatusCode::OK);
}
