//! HTTP/2 upstreams.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use tokio::io::AsyncReadExt as _;
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
async fn a_request_that_finds_several_connections_going_away_is_sent_on_a_new_one() {
    let (together, end) = (Arc::new(Barrier::new(4)), Arc::new(Barrier::new(3)));
    let ending = Arc::clone(&end);
    let upstream = Script::start(move |stream: TcpStream, number| {
        let (together, ending) = (Arc::clone(&together), Arc::clone(&ending));
        async move {
            let mut connection = h2::server::Builder::new().max_concurrent_streams(2).handshake(stream).await.unwrap();
            let (mut count, mut ends, mut is_ending) = (0, pin!(ending.wait()), number > 1);
            loop {
                tokio::select! {
                    _ = &mut ends, if !is_ending => {
                        connection.graceful_shutdown();
                        is_ending = true;
                    }
                    accepted = connection.accept() => {
                        let Some(Ok((request, mut respond))) = accepted else { return };
                        if request.uri().path() == "/" {
                            say(&mut respond, "ok");
                            continue;
                        }
                        count += 1;
                        let (together, stays) = (Arc::clone(&together), count == 1);
                        tokio::spawn(async move {
                            together.wait().await;
                            let head = Response::builder().header("stays", stays.to_string()).body(()).unwrap();
                            let _stream = respond.send_response(head, !stays).unwrap();
                            std::future::pending::<()>().await;
                        });
                    }
                }
            }
        }
    })
    .await;
    let forwarder = forwarder(upstream.h2c());
    for _ in 0..2 {
        get(&forwarder, "/").await;
    }
    let streams = (0..4).map(|_| async {
        let response = send(&forwarder, request(Method::GET, "/together")).await.unwrap();
        (response.headers()["stays"] == "true").then_some(response)
    });
    let streams = futures_util::future::join_all(streams).await;
    assert_eq!((streams.iter().flatten().count(), upstream.accepted()), (2, 2));
    end.wait().await;
    while upstream.accepted() == 2 {
        // By then both have said so.
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(get(&forwarder, "/").await.0, StatusCode::OK);
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

/// What ends the connection, or the stream of the second request, whose number is 3.
const UNCOUNTED: &[u8] = &[0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0];
const COUNTED: &[u8] = &[0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0];
const FAILED: &[u8] = &[0, 0, 4, 3, 0, 0, 0, 0, 3, 0, 0, 0, 2];

/// An upstream that answers a first request, takes in `expected` bytes of the body of the second one, and ends that with `last`, or
/// the whole connection after what it has counted. On other connections, it sends every body back.
async fn giving_up(expected: usize, last: &'static [u8]) -> Script {
    Script::start(move |mut stream: TcpStream, number| async move {
        if number > 0 {
            return give_back(stream).await;
        }
        stream.read_exact(&mut [0; 24]).await.unwrap();
        write(&mut stream, [0, 0, 0, 4, 0, 0, 0, 0, 0]).await;
        let (mut taken, mut begun) = (0, false);
        while !begun || taken < expected {
            let mut head = [0; 9];
            stream.read_exact(&mut head).await.unwrap();
            let mut payload = vec![0; usize::from(head[1]) << 8 | usize::from(head[2])];
            stream.read_exact(&mut payload).await.unwrap();
            match (head[3], head[8]) {
                (0, 3) => taken += payload.len(),
                // HEADERS: `:status: 200`, and nothing more.
                (1, 1) => write(&mut stream, [0, 0, 1, 1, 5, 0, 0, 0, 1, 0x88]).await,
                (1, 3) => begun = true,
                (4, _) if head[4] == 0 => write(&mut stream, [0, 0, 0, 4, 1, 0, 0, 0, 0]).await,
                _ => {}
            }
        }
        write(&mut stream, last).await;
        if last != COUNTED {
            // What comes now is not looked at.
            closed_by_peer(&mut stream).await;
        }
    })
    .await
}

async fn give_back(stream: TcpStream) {
    let mut connection = h2::server::handshake(stream).await.unwrap();
    while let Some(Ok((request, respond))) = connection.accept().await {
        tokio::spawn(answer_back(request, respond));
    }
}

async fn answer_back(request: Request<RecvStream>, mut respond: SendResponse<Bytes>) {
    let said =
        request.headers().get("content-length").map_or("none".into(), |value| value.to_str().unwrap().to_owned());
    let (mut whole, mut body) = (format!("{} {said} ", request.method()).into_bytes(), request.into_body());
    while let Some(data) = body.data().await {
        let data = data.unwrap();
        body.flow_control().release_capacity(data.len()).unwrap();
        whole.extend_from_slice(&data);
    }
    let answer = Response::builder().header("content-length", whole.len()).body(()).unwrap();
    respond.send_response(answer, false).unwrap().send_data(whole.into(), true).unwrap();
}

/// Has the first request answered, and says what becomes of the second one, of which `later` comes only after a while.
async fn second(upstream: &Script, first: &str, later: &str) -> String {
    let mut client = Front::default().connect(upstream.h2c()).await;
    write(&mut client, "GET / HTTP/1.1\r\nhost: app.test\r\n\r\n").await;
    assert!(read_head(&mut client).await.starts_with("HTTP/1.1 200"));
    write(&mut client, first).await;
    if !later.is_empty() {
        eventually_accepted(upstream, 2).await;
        write(&mut client, later).await;
    }
    read_all(&mut client).await
}

async fn eventually_accepted(upstream: &Script, connections: usize) {
    let seen = async {
        while upstream.accepted() < connections {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(TIMEOUTS.response, seen).await.expect("another connection");
}

fn post(body: &str) -> String {
    let length = body.len();
    format!("POST / HTTP/1.1\r\nhost: app.test\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}")
}

#[tokio::test]
async fn what_the_upstream_says_it_has_not_processed_is_sent_once_more_with_all_of_its_body() {
    let long = "x".repeat(16 * 1024);
    for body in ["a=1", "", &long] {
        let upstream = giving_up(body.len(), UNCOUNTED).await;
        let answer = second(&upstream, &post(body), "").await;
        assert!(answer.ends_with(&format!("POST {} {body}", body.len())), "{answer}");
        assert_eq!(upstream.accepted(), 2);
    }
}

#[tokio::test]
async fn a_connection_on_which_one_request_was_refused_brings_it_once_more_and_others_after_that() {
    let upstream = Script::start(|stream: TcpStream, _| async move {
        let mut connection = h2::server::handshake(stream).await.unwrap();
        let mut is_refused = true;
        while let Some(Ok((request, mut respond))) = connection.accept().await {
            is_refused = !is_refused;
            if is_refused {
                respond.send_reset(Reason::REFUSED_STREAM);
            } else {
                tokio::spawn(answer_back(request, respond));
            }
        }
    })
    .await;
    let (forwarder, upstreams) = known(upstream.h2c());
    for _ in 0..10 {
        assert_eq!(get(&forwarder, "/").await.0, StatusCode::OK);
    }
    let answer = second(&upstream, &post("a=1"), "").await;
    assert!(answer.ends_with("POST 3 a=1"), "{answer}");
    assert_eq!(upstream.accepted(), 2, "one of each forwarder");
    assert!(!upstreams.pools()[0].addresses[0].condition.is_out());
}

#[tokio::test]
async fn an_address_that_refuses_one_stream_after_the_other_is_left_alone() {
    let taking = |count: usize| {
        Script::start(move |stream: TcpStream, _| async move {
            let (mut connection, mut left) = (h2::server::handshake(stream).await.unwrap(), count);
            while let Some(Ok((_, mut respond))) = connection.accept().await {
                if left == 0 {
                    respond.send_reset(Reason::REFUSED_STREAM);
                } else {
                    left -= 1;
                    say(&mut respond, "ok");
                }
            }
        })
    };
    let (full, other) = (taking(1).await, taking(usize::MAX).await);
    let mut both = full.h2c();
    both.addresses.extend(other.h2c().addresses);
    let (forwarder, upstreams) = known(both);
    for _ in 0..100 {
        drop(send(&forwarder, request(Method::GET, "/")).await);
    }
    let [first, second] = &upstreams.pools()[0].addresses[..] else { panic!() };
    assert!(first.condition.is_out() && !second.condition.is_out());
    assert_eq!(get(&forwarder, "/").await.0, StatusCode::OK);
}

#[tokio::test]
async fn a_body_that_has_not_come_whole_goes_on_where_it_was_on_the_next_connection() {
    let head = "POST / HTTP/1.1\r\nhost: app.test\r\nconnection: close\r\n";
    for (first, later, told) in [
        ("content-length: 6\r\n\r\nab", "cdef", "POST 6 abcdef"),
        ("content-length: 2\r\n\r\n", "ab", "POST 2 ab"),
        ("transfer-encoding: chunked\r\n\r\n2\r\nab\r\n", "2\r\ncd\r\n0\r\n\r\n", "POST none abcd"),
    ] {
        let upstream = giving_up(first.matches("ab").count() * 2, UNCOUNTED).await;
        let answer = second(&upstream, &format!("{head}{first}"), later).await;
        assert!(answer.contains(told), "{first}: {answer}");
    }
    let upstream = giving_up(4, UNCOUNTED).await;
    let whole = format!("{head}transfer-encoding: chunked\r\n\r\n2\r\nab\r\n2\r\ncd\r\n0\r\n\r\n");
    let answer = second(&upstream, &whole, "").await;
    assert!(answer.contains("POST none abcd"), "{answer}");
}

#[tokio::test]
async fn what_may_have_been_processed_is_not_sent_again_nor_a_body_of_which_more_went_by_than_is_kept() {
    let long = "x".repeat(16 * 1024 + 1);
    for (last, body) in [(COUNTED, "a=1"), (FAILED, "a=1"), (UNCOUNTED, &long)] {
        let upstream = giving_up(body.len(), last).await;
        let answer = second(&upstream, &post(body), "").await;
        assert!(answer.starts_with("HTTP/1.1 502"), "{last:?}: {answer}");
        assert_eq!(upstream.accepted(), 1, "{last:?}");
    }
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
