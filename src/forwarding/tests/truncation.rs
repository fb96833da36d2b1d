//! A message that was cut short never looks whole.

use http::{Method, StatusCode};
use http_body_util::BodyExt as _;
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use super::harness::*;
use crate::forwarding::{BodyError, ForwardError};

async fn upstream_that_says(answer: &'static str) -> Script {
    Script::start(move |mut stream, _| async move {
        read_head(&mut stream).await;
        write(&mut stream, answer).await;
    })
    .await
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_an_error() {
    for answer in [
        "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n0\r\n",
    ] {
        let forwarder = forwarder(upstream_that_says(answer).await.http1());
        let response = send(&forwarder, request(Method::GET, "/")).await.unwrap();
        let error = text(response).await.unwrap_err();
        assert!(matches!(error, BodyError::UpstreamBroken(Some(_))), "{error:?}");
    }
}

#[tokio::test]
async fn the_client_sees_that_the_answer_broke_off() {
    for answer in [
        "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n",
    ] {
        let mut client = Front::default().connect(upstream_that_says(answer).await.http1()).await;
        write(&mut client, "GET / HTTP/1.1\r\nhost: app.test\r\n\r\n").await;
        // What came is there; the missing six bytes and the final chunk are not.
        assert!(read_until(&mut client, "half").await.starts_with("HTTP/1.1 200"));
        assert_eq!(read_all(&mut client).await.trim(), "");
    }
}

#[tokio::test]
async fn garbage_is_a_protocol_error_and_none_of_it_passes() {
    let huge = Box::leak(format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "x".repeat(300_000)).into_boxed_str());
    for answer in [
        "SSH-2.0-OpenSSH_9.2\r\n\r\n",
        "HTTP/1.1 200 OK\r\nbroken header\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\nok",
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n",
        huge,
    ] {
        let forwarder = forwarder(upstream_that_says(answer).await.http1());
        let error = send(&forwarder, request(Method::GET, "/")).await.err().unwrap();
        let head: String = answer.chars().take(60).collect();
        assert!(matches!(error, ForwardError::Protocol(_)), "{head}: {error:?}");
    }
}

#[tokio::test]
async fn a_length_beside_chunks_is_not_passed_on() {
    let answer = "HTTP/1.1 200 OK\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n";
    let forwarder = forwarder(upstream_that_says(answer).await.http1());
    let response = send(&forwarder, request(Method::GET, "/")).await.unwrap();
    assert!(response.headers().is_empty());
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "ok");
}

/// Reports everything that it read once the connection is closed.
async fn recorder() -> (Script, mpsc::UnboundedReceiver<String>) {
    let (record, recorded) = mpsc::unbounded_channel();
    let upstream = Script::start(move |mut stream: TcpStream, _| {
        let record = record.clone();
        async move {
            record.send(read_all(&mut stream).await).unwrap();
        }
    })
    .await;
    (upstream, recorded)
}

#[tokio::test]
async fn an_upload_that_the_client_aborts_is_aborted_at_the_upstream() {
    for (head, body) in [("content-length: 100", "only ten b"), ("transfer-encoding: chunked", "a\r\nonly ten b\r\n")] {
        let (upstream, mut recorded) = recorder().await;
        let mut client = Front::default().connect(upstream.http1()).await;
        write(&mut client, format!("POST / HTTP/1.1\r\nhost: app.test\r\n{head}\r\n\r\n{body}")).await;
        drop(client);
        let seen = recorded.recv().await.unwrap();
        assert!(seen.contains(head) && !seen.contains("\r\n0\r\n\r\n"), "{seen}");
    }
}

#[tokio::test]
async fn an_upload_of_an_http2_client_that_resets_its_stream_is_aborted_at_the_upstream() {
    for reason in [h2::Reason::CANCEL, h2::Reason::NO_ERROR] {
        let (upstream, mut recorded) = recorder().await;
        let client = Front { http2: true, ..Front::default() }.connect(upstream.http1()).await;
        let (mut client, connection) = h2::client::handshake(client).await.unwrap();
        tokio::spawn(connection);
        let request = http::Request::post("http://app.test/").body(()).unwrap();
        let (_response, mut body) = client.send_request(request, false).unwrap();
        body.send_data("only ten b".into(), false).unwrap();
        // The upstream must have the first part before the reset overtakes it.
        while upstream.accepted() == 0 {
            tokio::task::yield_now().await;
        }
        body.send_reset(reason);
        let seen = recorded.recv().await.unwrap();
        assert!(!seen.contains("\r\n0\r\n\r\n"), "{reason:?}: {seen}");
    }
}

#[tokio::test]
async fn the_upstream_dying_before_its_answer_is_a_bad_gateway() {
    let upstream = Script::start(|mut stream, _| async move {
        read_head(&mut stream).await;
        write(&mut stream, "HTTP/1.1 200 OK\r\ncontent-").await;
    })
    .await;
    let mut client = Front::default().connect(upstream.http1()).await;
    write(&mut client, "GET / HTTP/1.1\r\nhost: app.test\r\n\r\n").await;
    let head = read_head(&mut client).await;
    assert!(head.contains(StatusCode::BAD_GATEWAY.as_str()), "{head}");
}
