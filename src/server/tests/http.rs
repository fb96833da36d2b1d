//! Requests that are too large, that panic, that are answered before they end.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use ::http::{Request, Response, StatusCode};
use bytes::Bytes;
use http_body::Frame;
use http_body_util::BodyExt as _;
use tokio::io::{AsyncWriteExt as _, split};

use super::super::testing::*;
use crate::config::{Config, Limits};

#[tokio::test]
async fn a_head_of_too_many_bytes_or_fields_is_answered_431() {
    let limits = Limits { header_bytes: 16 * 1024, header_count: 20, ..limits() };
    let server = TestServer::start(Config { limits, ..config() }, Answer::who());
    let fields =
        |count: usize, value: &str| (0..count).fold(String::new(), |fields, n| fields + &format!("x-{n}: {value}\r\n"));
    for (count, value, status) in [(18, "v", "200"), (30, "v", "431"), (1, &"v".repeat(20_000), "431")] {
        let request = format!("GET / HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\n{}\r\n", fields(count, value));
        let answer = server.ask(&request).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{count}: {answer}");
    }
    let mut client = server.http2().await;
    for (count, value, status) in [(18, "v", 200), (30, "v", 431), (1, &"v".repeat(20_000), 431)] {
        let request = (0..count).fold(Request::get("https://app.test/"), |r, n| r.header(format!("x-{n}"), value));
        let (response, _) = client.send_request(request.body(()).unwrap(), true).unwrap();
        assert_eq!(response.await.unwrap().status(), status, "{count} over HTTP/2");
    }
}

#[tokio::test]
async fn a_panic_is_answered_500_and_harms_no_other_request() {
    let answer = Answer::new(|_, request| async move {
        assert!(request.uri().path() != "/panic", "as the test wants it");
        Response::new(whole("well"))
    });
    let server = TestServer::start(config(), answer);
    let mut stream = server.http1().await;
    stream.write_all(b"GET /panic HTTP/1.1\r\nHost: app.test\r\n\r\n").await.unwrap();
    let head = read_until(&mut stream, "\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 500 ") && head.contains("no-store"), "{head}");
    stream.write_all(GET.as_bytes()).await.unwrap();
    assert!(read_until(&mut stream, "well").await.starts_with("HTTP/1.1 200 "));

    let mut client = server.http2().await;
    let get = |path: &str| Request::get(format!("https://app.test{path}")).body(()).unwrap();
    let (panicking, _) = client.send_request(get("/panic"), true).unwrap();
    let (other, _) = client.send_request(get("/"), true).unwrap();
    assert_eq!(panicking.await.unwrap().status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(other.await.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn an_answer_that_comes_before_the_upload_ends_reaches_its_client() {
    let answer = Answer::new(|_, _| async {
        let mut response = Response::new(whole("too large"));
        *response.status_mut() = StatusCode::PAYLOAD_TOO_LARGE;
        response
    });
    let server = TestServer::start(config(), answer);
    let (mut reader, mut writer) = split(server.http1().await);
    let upload = async move {
        let head = "POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 100000000\r\n\r\n";
        writer.write_all(head.as_bytes()).await.unwrap();
        // It fails at some point, as the server closes.
        for _ in 0..2_000 {
            if writer.write_all(&[0; 16 * 1024]).await.is_err() {
                break;
            }
        }
    };
    let (answer, ()) = tokio::join!(read_to_end(&mut reader), upload);
    assert!(answer.starts_with("HTTP/1.1 413 ") && answer.ends_with("too large"), "{answer}");
}

#[tokio::test]
async fn an_old_connection_is_closed_after_the_request_at_hand() {
    let answer = Answer::new(|_, _| async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        Response::new(whole("in the end"))
    });
    // The age is looked at once in the shortest of the other time-outs.
    let limits =
        Limits { connection_age: Duration::from_millis(100), idle_timeout: Duration::from_millis(500), ..limits() };
    let server = TestServer::start(Config { limits, ..config() }, answer);
    // One after the other, without a gap: however slow the machine is, the age comes in the middle of one.
    let answers = exchange(&mut server.http1().await, &GET.repeat(30)).await;
    assert!(answers.matches("HTTP/1.1 200 ").count() < 30, "{answers}");
    let last = answers.rsplit("HTTP/1.1 200 ").next().unwrap();
    assert!(last.contains("connection: close") && last.ends_with("in the end"), "{answers}");
    assert_eq!(answers.matches("connection: close").count(), 1, "{answers}");
}

/// Longer than a connection on which nothing is under way is held together.
const RESTED: Duration = Duration::from_millis(2500);

/// Answers at once, while somebody goes on waiting for the body; notes what was asked for.
fn early() -> (Arc<Mutex<Vec<String>>>, Answer) {
    let asked = Arc::<Mutex<Vec<String>>>::default();
    let noted = Arc::clone(&asked);
    let answer = Answer::new(move |_, request| {
        noted.lock().unwrap().push(request.uri().path().to_owned());
        async {
            let mut body = request.into_body();
            tokio::spawn(async move { while body.frame().await.is_some() {} });
            Response::new(whole("early"))
        }
    });
    (asked, answer)
}

#[tokio::test]
async fn what_is_left_of_a_body_is_never_taken_for_the_next_request() {
    let (asked, answer) = early();
    let server = TestServer::start(config(), answer);
    let mut stream = server.http1().await;
    let body = "GET /smuggled HTTP/1.1\r\nX-Swallow: ";
    let head = format!("POST /upload HTTP/1.1\r\nHost: app.test\r\nContent-Length: {}\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).await.unwrap();
    read_until(&mut stream, "early").await;
    tokio::time::sleep(RESTED).await;
    stream.write_all(body.as_bytes()).await.unwrap();
    let next = "GET /next HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\n\r\n";
    assert!(exchange(&mut stream, next).await.ends_with("early"));
    assert_eq!(*asked.lock().unwrap(), ["/upload", "/next"]);
}

#[tokio::test]
async fn a_connection_that_we_have_closed_takes_no_more_requests() {
    let (asked, answer) = early();
    let server = TestServer::start(config(), answer);
    let mut stream = server.http1().await;
    // So that the connection's timer looks at it while it lingers.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let last = "POST /last HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\nContent-Length: 1\r\n\r\n.";
    assert!(exchange(&mut stream, last).await.ends_with("early"));
    tokio::time::sleep(Duration::from_millis(1700)).await;
    // It fails, or nobody reads it.
    let _ = stream.write_all(GET.as_bytes()).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(*asked.lock().unwrap(), ["/last"]);
}

/// A body that panics when it is asked for its second frame.
fn body_that_panics() -> TestBody {
    let frames = futures_util::stream::unfold(0, |frame| async move {
        assert!(frame == 0, "as the test wants it");
        Some((Ok(Frame::data(Bytes::from_static(b"begun"))), frame + 1))
    });
    http_body_util::BodyExt::boxed(http_body_util::StreamBody::new(frames))
}

#[tokio::test]
async fn a_panic_within_an_answer_cuts_that_answer_and_no_other() {
    let answer = Answer::new(|_, request| async move {
        let panics = request.uri().path() == "/panic";
        Response::new(if panics { body_that_panics() } else { whole("well") })
    });
    let server = TestServer::start(config(), answer);
    let cut = server.ask("GET /panic HTTP/1.1\r\nHost: app.test\r\n\r\n").await;
    assert!(!cut.ends_with("0\r\n\r\n"), "the end is missing, as the client can see: {cut}");

    let mut client = server.http2().await;
    let get = |path: &str| Request::get(format!("https://app.test{path}")).body(()).unwrap();
    let (panicking, _) = client.send_request(get("/panic"), true).unwrap();
    let (other, _) = client.send_request(get("/"), true).unwrap();
    let mut body = panicking.await.unwrap().into_body();
    let ending = loop {
        match body.data().await {
            Some(Ok(_)) => {}
            other => break other,
        }
    };
    assert!(matches!(ending, Some(Err(_))), "{ending:?}");
    assert_eq!(other.await.unwrap().status(), StatusCode::OK);
    let (after, _) = client.send_request(get("/"), true).unwrap();
    assert_eq!(after.await.unwrap().status(), StatusCode::OK);
    assert!(server.ask(GET_AND_CLOSE).await.ends_with("well"));
}
