//! HTTP/2 upstreams.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Barrier;

use super::harness::*;
use crate::clock::Clock;
use crate::config::{Timeouts, Upstream, UpstreamAddress, UpstreamId};
use crate::forwarding::{BodyError, ForwardError, Forwarder, Upstreams};

/// An upstream that runs `answer` for every request.
async fn serve<F>(
    answer: impl Fn(Request<RecvStream>, SendResponse<Bytes>) -> F + Clone + Send + Sync + 'static,
) -> Script
where
    F: Future<Output = ()> + Send + 'static,
{
    Script::start(move |stream: TcpStream, _| {
        let answer = answer.clone();
        async move {
            let mut connection = h2::server::handshake(stream).await.unwrap();
            while let Some(Ok((request, respond))) = connection.accept().await {
                tokio::spawn(answer(request, respond));
            }
        }
    })
    .await
}

fn known(upstream: Upstream) -> (Forwarder, Arc<Upstreams>) {
    let upstreams = Upstreams::new(&[upstream], &Clock::stopped()).unwrap();
    (Forwarder::new(&upstreams), upstreams)
}

fn say(respond: &mut SendResponse<Bytes>, body: impl Into<Bytes>) {
    let mut stream = respond.send_response(Response::new(()), false).unwrap();
    stream.send_data(body.into(), true).unwrap();
}

#[tokio::test]
async fn concurrent_requests_share_one_connection() {
    let barrier = Arc::new(Barrier::new(50));
    let upstream = serve(move |_, mut respond| {
        let barrier = Arc::clone(&barrier);
        async move {
            barrier.wait().await;
            say(&mut respond, "ok");
        }
    })
    .await;
    let forwarder = forwarder(upstream.h2c());
    let answers = futures_util::future::join_all((0..50).map(|_| get(&forwarder, "/"))).await;
    assert!(answers.iter().all(|answer| *answer == (StatusCode::OK, "ok".into())));
    assert_eq!(upstream.accepted(), 1);
}

#[tokio::test]
async fn the_host_becomes_the_authority() {
    let upstream = serve(|request, mut respond| async move {
        assert!(!request.headers().contains_key("host"));
        say(&mut respond, request.uri().to_string());
    })
    .await;
    let forwarder = forwarder(upstream.h2c());
    assert_eq!(get(&forwarder, "/a//b%20?q").await.1, "http://app.test/a//b%20?q");
}

#[tokio::test]
async fn trailers_pass_in_both_directions_without_what_the_client_may_not_say() {
    let upstream = serve(|request, mut respond| async move {
        let mut body = request.into_body();
        while let Some(data) = body.data().await {
            body.flow_control().release_capacity(data.unwrap().len()).unwrap();
        }
        let trailers = body.trailers().await.unwrap().unwrap();
        let mut stream = respond.send_response(Response::new(()), false).unwrap();
        stream.send_data("ok".into(), false).unwrap();
        stream.send_trailers(trailers).unwrap();
    })
    .await;
    let client = Front { http2: true, ..Front::default() }.connect(upstream.h2c()).await;
    let (mut client, connection) = h2::client::handshake(client).await.unwrap();
    tokio::spawn(connection);
    let request = Request::post("http://app.test/").header("te", "trailers").body(()).unwrap();
    let (response, mut body) = client.send_request(request, false).unwrap();
    body.send_data("hello".into(), false).unwrap();
    let mut trailers = HeaderMap::new();
    for name in ["grpc-status", "x-user", "content-length"] {
        trailers.insert(name, HeaderValue::from_static("0"));
    }
    body.send_trailers(trailers).unwrap();
    let mut answer = response.await.unwrap().into_body();
    assert_eq!(answer.data().await.unwrap().unwrap(), "ok");
    let trailers = answer.trailers().await.unwrap().unwrap();
    assert_eq!(trailers.keys().collect::<Vec<_>>(), ["grpc-status"]);
}

#[tokio::test]
async fn an_upload_goes_on_while_the_answer_streams() {
    let upstream = serve(|request, mut respond| async move {
        let mut body = request.into_body();
        let mut stream = respond.send_response(Response::new(()), false).unwrap();
        while let Some(Ok(data)) = body.data().await {
            body.flow_control().release_capacity(data.len()).unwrap();
            stream.send_data(data, false).unwrap();
        }
        stream.send_data(Bytes::new(), true).unwrap();
    })
    .await;
    let mut client = Front::default().connect(upstream.h2c()).await;
    write(&mut client, "POST / HTTP/1.1\r\nhost: app.test\r\ntransfer-encoding: chunked\r\n\r\n").await;
    read_head(&mut client).await;
    for _ in 0..3 {
        write(&mut client, "4\r\nping\r\n").await;
        assert_eq!(read_until(&mut client, "ping\r\n").await, "4\r\nping\r\n");
    }
    write(&mut client, "0\r\n\r\n").await;
    assert_eq!(read_until(&mut client, "0\r\n\r\n").await, "0\r\n\r\n");
}

#[tokio::test]
async fn a_stream_that_is_reset_in_the_middle_of_the_answer_is_an_error() {
    for reason in [Reason::INTERNAL_ERROR, Reason::CANCEL, Reason::NO_ERROR] {
        let upstream = serve(move |_, mut respond| async move {
            let mut stream = respond.send_response(Response::new(()), false).unwrap();
            stream.send_data("half".into(), false).unwrap();
            tokio::time::sleep(Duration::from_millis(50)).await;
            stream.send_reset(reason);
        })
        .await;
        let forwarder = forwarder(upstream.h2c());
        let mut body = send(&forwarder, request(Method::GET, "/")).await.unwrap().into_body();
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "half");
        let error = body.frame().await.unwrap().unwrap_err();
        assert!(matches!(error, BodyError::UpstreamBroken(_)), "{reason:?}: {error:?}");
    }
}

#[tokio::test]
async fn after_goaway_a_new_connection_is_made() {
    let upstream = Script::start(|stream: TcpStream, number| async move {
        let mut connection = h2::server::handshake(stream).await.unwrap();
        while let Some(Ok((_, mut respond))) = connection.accept().await {
            say(&mut respond, number.to_string());
            connection.graceful_shutdown();
        }
    })
    .await;
    let forwarder = forwarder(upstream.h2c());
    for number in 0..5 {
        assert_eq!(get(&forwarder, "/").await.1, number.to_string());
    }
}

#[tokio::test]
async fn a_get_survives_a_connection_that_dies_and_a_reset_does_not_kill_the_connection() {
    let upstream = Script::start(|stream: TcpStream, number| async move {
        let mut connection = h2::server::handshake(stream).await.unwrap();
        while let Some(Ok((request, mut respond))) = connection.accept().await {
            match request.uri().path() {
                "/reset" => respond.send_reset(Reason::INTERNAL_ERROR),
                "/die" if number == 0 => return,
                _ => say(&mut respond, number.to_string()),
            }
        }
    })
    .await;
    let forwarder = forwarder(upstream.h2c());
    assert_eq!(get(&forwarder, "/").await.1, "0");
    let error = send(&forwarder, request(Method::GET, "/reset")).await.err().unwrap();
    assert!(matches!(error, ForwardError::Broken { sent: true, .. }), "{error:?}");
    assert_eq!(get(&forwarder, "/").await.1, "0");
    assert_eq!(get(&forwarder, "/die").await.1, "1");
}

#[tokio::test]
async fn more_requests_than_streams_open_another_connection() {
    let barrier = Arc::new(Barrier::new(150));
    let upstream = serve(move |_, mut respond| {
        let barrier = Arc::clone(&barrier);
        async move {
            barrier.wait().await;
            say(&mut respond, "ok");
        }
    })
    .await;
    let forwarder = forwarder(upstream.h2c());
    futures_util::future::join_all((0..150).map(|_| get(&forwarder, "/"))).await;
    assert_eq!(upstream.accepted(), 2);
}

#[tokio::test]
async fn a_peer_that_takes_few_requests_at_a_time_gets_more_connections() {
    let barrier = Arc::new(Barrier::new(32));
    let upstream = Script::start(move |stream: TcpStream, _| {
        let barrier = Arc::clone(&barrier);
        async move {
            let mut connection = h2::server::Builder::new().max_concurrent_streams(8).handshake(stream).await.unwrap();
            while let Some(Ok((request, mut respond))) = connection.accept().await {
                let barrier = Arc::clone(&barrier);
                tokio::spawn(async move {
                    if request.uri().path() == "/together" {
                        barrier.wait().await;
                    }
                    say(&mut respond, "ok");
                });
            }
        }
    })
    .await;
    let forwarder = forwarder(upstream.h2c());
    for _ in 0..2 {
        get(&forwarder, "/").await;
    }
    let together = futures_util::future::join_all((0..32).map(|_| get(&forwarder, "/together")));
    let answers = tokio::time::timeout(TIMEOUTS.response / 2, together).await.expect("all are there at a time");
    assert!(answers.iter().all(|answer| *answer == (StatusCode::OK, "ok".into())));
    assert_eq!(upstream.accepted(), 4);
}

#[tokio::test]
async fn a_burst_before_any_connection_stands_is_served_and_says_nothing_about_the_address() {
    let upstream = serve(|_, mut respond| async move {
        tokio::time::sleep(Duration::from_millis(200)).await;
        say(&mut respond, "ok");
    })
    .await;
    let (forwarder, upstreams) = known(upstream.h2c());
    let answers = (0..600).map(|_| send(&forwarder, request(Method::GET, "/")));
    let failed = futures_util::future::join_all(answers).await.into_iter().filter_map(Result::err).collect::<Vec<_>>();
    assert!(failed.is_empty(), "{} of 600: {:?}", failed.len(), failed[0]);
    assert!(!upstreams.pools()[0].addresses[0].condition.is_out());
    assert!(upstream.accepted() > 1);
}

#[tokio::test]
async fn a_further_connection_that_cannot_be_made_takes_no_request_away_from_one_that_stands() {
    let barrier = Arc::new(Barrier::new(150));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        // From here on connections are refused.
        drop(listener);
        let mut connection = h2::server::handshake(stream).await.unwrap();
        while let Some(Ok((_, mut respond))) = connection.accept().await {
            let barrier = Arc::clone(&barrier);
            tokio::spawn(async move {
                barrier.wait().await;
                say(&mut respond, "ok");
            });
        }
    });
    let (host, port) = (address.ip().to_string(), address.port());
    let (forwarder, upstreams) = known(upstream(vec![UpstreamAddress::H2c { host, port }]));
    let answers = (0..150).map(|_| send(&forwarder, request(Method::GET, "/")));
    let failed = futures_util::future::join_all(answers).await.into_iter().filter_map(Result::err).collect::<Vec<_>>();
    assert!(failed.is_empty(), "{} of 150: {:?}", failed.len(), failed[0]);
    assert!(!upstreams.pools()[0].addresses[0].condition.is_out());
}

#[tokio::test]
async fn a_connection_on_which_nothing_comes_back_is_not_used_again() {
    let upstream = Script::start(|stream: TcpStream, number| async move {
        let mut connection = h2::server::handshake(stream).await.unwrap();
        while let Some(Ok((_, mut respond))) = connection.accept().await {
            say(&mut respond, number.to_string());
            if number == 0 {
                // Whatever stood between has forgotten the connection: nothing passes any more.
                let (request, _) = connection.accept().await.unwrap().unwrap();
                std::future::pending::<()>().await;
                drop(request);
            }
        }
    })
    .await;
    let forwarder = forwarder(upstream.h2c());
    assert_eq!(get(&forwarder, "/").await.1, "0");
    let timeouts = Timeouts { response: Duration::from_millis(200), ..TIMEOUTS };
    let ask = || forwarder.send(UpstreamId(0), Box::new(request(Method::GET, "/")), &timeouts, None);
    assert!(matches!(ask().await.err(), Some(ForwardError::ResponseTimedOut)));
    assert_eq!(text(ask().await.unwrap()).await.unwrap(), "1");
}

#[tokio::test]
async fn one_that_brings_the_answers_of_others_is_used_on_when_a_request_times_out() {
    let upstream = serve(|request, mut respond| async move {
        if request.uri().path() == "/hang" {
            std::future::pending::<()>().await;
        }
        say(&mut respond, "ok");
    })
    .await;
    let forwarder = forwarder(upstream.h2c());
    let timeouts = Timeouts { response: Duration::from_millis(300), ..TIMEOUTS };
    let hangs = forwarder.send(UpstreamId(0), Box::new(request(Method::GET, "/hang")), &timeouts, None);
    let others = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        get(&forwarder, "/").await
    };
    let (hangs, _) = tokio::join!(hangs, others);
    assert!(matches!(hangs.err(), Some(ForwardError::ResponseTimedOut)));
    assert_eq!(get(&forwarder, "/").await.1, "ok");
    assert_eq!(upstream.accepted(), 1);
}

#[tokio::test]
async fn trailers_of_a_request_end_at_an_http1_upstream() {
    let upstream = Script::start(|mut stream: TcpStream, _| async move {
        assert!(!read_head(&mut stream).await.contains("trailer:"));
        assert_eq!(read_until(&mut stream, "0\r\n\r\n").await, "5\r\nhello\r\n0\r\n\r\n");
        write(&mut stream, OK).await;
    })
    .await;
    let client = Front { http2: true, ..Front::default() }.connect(upstream.http1()).await;
    let (mut client, connection) = h2::client::handshake(client).await.unwrap();
    tokio::spawn(connection);
    let request = Request::post("http://app.test/").header("trailer", "x-sum").body(()).unwrap();
    let (response, mut body) = client.send_request(request, false).unwrap();
    body.send_data("hello".into(), false).unwrap();
    body.send_trailers(HeaderMap::from_iter([("x-sum".parse().unwrap(), HeaderValue::from_static("7"))])).unwrap();
    assert_eq!(response.await.unwrap().status(), StatusCode::OK);
}
