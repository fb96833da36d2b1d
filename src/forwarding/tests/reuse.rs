//! Which connections are used again, and which requests are sent again.

use std::sync::Arc;
use std::time::Duration;

use http::{Method, StatusCode};
use tokio::sync::{mpsc, oneshot};

use super::harness::*;
use crate::clock::Clock;
use crate::forwarding::backend::{Backend, Connection, Demand};
use crate::forwarding::{Body, ForwardError, Forwarder, UpstreamBody, Upstreams};

#[tokio::test]
async fn sequential_requests_share_one_connection() {
    let upstream = Script::start(|mut stream, _| async move {
        while !read_head(&mut stream).await.is_empty() {
            write(&mut stream, OK).await;
        }
    })
    .await;
    let forwarder = forwarder(upstream.http1());
    for _ in 0..20 {
        assert_eq!(get(&forwarder, "/").await, (StatusCode::OK, "ok".into()));
    }
    assert_eq!(upstream.accepted(), 1);
}

#[tokio::test]
async fn chunked_and_bodiless_answers_leave_the_connection_usable() {
    let upstream = Script::start(|mut stream, _| async move {
        loop {
            let head = read_head(&mut stream).await;
            let answer = match head.split(' ').nth(1) {
                Some("/chunked") => {
                    "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n1\r\n!\r\n0\r\n\r\n"
                }
                Some("/none") => "HTTP/1.1 204 No Content\r\n\r\n",
                Some(_) => "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n",
                None => return,
            };
            write(&mut stream, answer).await;
        }
    })
    .await;
    let forwarder = forwarder(upstream.http1());
    for _ in 0..3 {
        assert_eq!(get(&forwarder, "/chunked").await.1, "ok!");
        assert_eq!(get(&forwarder, "/none").await.0, StatusCode::NO_CONTENT);
        let head = send(&forwarder, request(Method::HEAD, "/")).await.unwrap();
        assert_eq!(head.headers()["content-length"], "10");
    }
    assert_eq!(upstream.accepted(), 1);
}

#[tokio::test]
async fn concurrent_requests_use_connections_of_their_own_and_keep_them() {
    let upstream = Script::start(|mut stream, _| async move {
        while !read_head(&mut stream).await.is_empty() {
            write(&mut stream, OK).await;
        }
    })
    .await;
    let forwarder = forwarder(upstream.http1());
    for _ in 0..5 {
        futures_util::future::join_all((0..8).map(|_| get(&forwarder, "/"))).await;
    }
    assert_eq!(upstream.accepted(), 8);
}

#[tokio::test]
async fn a_connection_that_the_upstream_closed_while_idle_costs_no_request() {
    let (closed, mut is_closed) = mpsc::unbounded_channel();
    let upstream = Script::start(move |mut stream, number| {
        let closed = closed.clone();
        async move {
            while !read_head(&mut stream).await.is_empty() {
                write(&mut stream, OK).await;
                if number == 0 {
                    break;
                }
            }
            drop(stream);
            closed.send(()).unwrap();
        }
    })
    .await;
    let forwarder = forwarder(upstream.http1());
    get(&forwarder, "/").await;
    is_closed.recv().await.unwrap();
    // Whatever the method: nothing was written on the stale connection.
    let response = send(&forwarder, request(Method::POST, "/")).await.unwrap();
    assert_eq!(text(response).await.unwrap(), "ok");
    assert_eq!(upstream.accepted(), 2);
}

/// Answers the first request of the first connection, and closes it without a word after the second.
async fn dies_on_reuse() -> Script {
    Script::start(|mut stream, number| async move {
        read_head(&mut stream).await;
        write(&mut stream, OK).await;
        if !read_head(&mut stream).await.is_empty() && number > 0 {
            write(&mut stream, OK).await;
        }
    })
    .await
}

#[tokio::test]
async fn a_get_is_sent_once_more_when_a_used_connection_breaks() {
    let upstream = dies_on_reuse().await;
    let forwarder = forwarder(upstream.http1());
    get(&forwarder, "/").await;
    assert_eq!(get(&forwarder, "/").await.1, "ok");
    assert_eq!(upstream.accepted(), 2);
}

#[tokio::test]
async fn a_post_whose_bytes_were_written_is_never_sent_again() {
    let upstream = dies_on_reuse().await;
    let forwarder = forwarder(upstream.http1());
    get(&forwarder, "/").await;
    let error = send(&forwarder, request(Method::POST, "/")).await.err().unwrap();
    assert!(matches!(error, ForwardError::Broken { sent: true, .. }), "{error:?}");
    assert_eq!(upstream.accepted(), 1);
}

#[tokio::test]
async fn a_get_that_breaks_on_a_fresh_connection_is_not_sent_again() {
    let upstream = Script::start(|mut stream, _| async move { drop(read_head(&mut stream).await) }).await;
    let forwarder = forwarder(upstream.http1());
    let error = send(&forwarder, request(Method::GET, "/")).await.err().unwrap();
    assert!(matches!(error, ForwardError::Broken { .. }), "{error:?}");
    assert_eq!(upstream.accepted(), 1);
}

#[tokio::test]
async fn a_get_that_was_answered_in_part_is_not_sent_again() {
    let upstream = Script::start(|mut stream, _| async move {
        read_head(&mut stream).await;
        write(&mut stream, OK).await;
        read_head(&mut stream).await;
        write(&mut stream, "HTTP/1.1 200 OK\r\ncontent-le").await;
    })
    .await;
    let forwarder = forwarder(upstream.http1());
    get(&forwarder, "/").await;
    assert!(send(&forwarder, request(Method::GET, "/")).await.is_err());
    assert_eq!(upstream.accepted(), 1);
}

#[tokio::test]
async fn a_connection_that_says_close_or_speaks_http_1_0_is_not_used_again() {
    for answer in [
        "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok",
        "HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok and more than was announced",
    ] {
        let upstream = Script::start(move |mut stream, _| async move {
            while !read_head(&mut stream).await.is_empty() {
                write(&mut stream, answer).await;
            }
        })
        .await;
        let forwarder = forwarder(upstream.http1());
        for _ in 0..3 {
            assert_eq!(get(&forwarder, "/").await, (StatusCode::OK, "ok".into()));
        }
        assert_eq!(upstream.accepted(), 3, "{answer}");
    }
}

#[tokio::test]
async fn giving_up_on_an_answer_closes_the_upstream_connection() {
    let (closed, is_closed) = oneshot::channel();
    let closed = std::sync::Mutex::new(Some(closed));
    let upstream = Script::start(move |mut stream, _| {
        let closed = closed.lock().unwrap().take();
        async move {
            read_head(&mut stream).await;
            write(&mut stream, "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nfirst").await;
            closed_by_peer(&mut stream).await;
            closed.unwrap().send(()).unwrap();
        }
    })
    .await;
    let forwarder = forwarder(upstream.http1());
    let response = send(&forwarder, request(Method::GET, "/")).await.unwrap();
    drop(response);
    is_closed.await.unwrap();
}

#[tokio::test]
async fn connections_that_stay_idle_or_were_closed_are_swept_away() {
    let upstream = Script::start(|mut stream, number| async move {
        if number == 1 {
            return;
        }
        closed_by_peer(&mut stream).await;
    })
    .await;
    let upstreams = Upstreams::new(&[upstream.http1()], &Clock::system()).unwrap();
    let pool = &upstreams.pools()[0];
    let backend = Arc::new(Backend::new(Arc::clone(&pool.addresses[0]), Arc::clone(pool)));
    let demand = Demand { reuse: true, upgrade: false, connect: TIMEOUTS.connect };
    let mut connections = Vec::new();
    for _ in 0..2 {
        match backend.connection(demand).await.unwrap() {
            (Connection::Http1(connection), false) => connections.push(connection),
            _ => panic!("a fresh HTTP/1.1 connection was expected"),
        }
    }
    for connection in connections {
        backend.park(connection);
    }
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(backend.parked().sweep());
    assert!(backend.parked().take().is_some_and(|open| {
        backend.park(open);
        true
    }));
    while backend.parked().sweep() {}
    assert!(backend.parked().take().is_none());
}

#[test]
fn what_workers_share_or_hand_over_may_cross_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Upstreams>();
    shared::<Forwarder>();
    shared::<UpstreamBody>();
    shared::<Body>();
}
