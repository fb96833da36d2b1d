//! Nobody is waited for for ever, and the right one is blamed.

use std::time::{Duration, Instant};

use http::Method;
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::harness::*;
use crate::config::{Timeouts, UpstreamId};
use crate::forwarding::{BodyError, Fault, ForwardError};

const SHORT: Duration = Duration::from_millis(200);

#[tokio::test]
async fn an_upstream_that_never_answers_is_given_up_and_its_connection_closed() {
    let (closed, mut is_closed) = mpsc::unbounded_channel();
    let upstream = Script::start(move |mut stream, _| {
        let closed = closed.clone();
        async move {
            closed_by_peer(&mut stream).await;
            closed.send(()).unwrap();
        }
    })
    .await;
    let forwarder = forwarder(upstream.http1());
    let timeouts = Timeouts { response: SHORT, ..TIMEOUTS };
    let started = Instant::now();
    let error =
        forwarder.send(UpstreamId(0), Box::new(request(Method::GET, "/")), &timeouts, None).await.err().unwrap();
    assert!(matches!(error, ForwardError::ResponseTimedOut), "{error:?}");
    assert!(error.sent() && error.fault() == Fault::Upstream);
    assert!((SHORT..SHORT * 3).contains(&started.elapsed()));
    is_closed.recv().await.unwrap();
}

#[tokio::test]
async fn an_answer_that_falls_silent_ends_in_an_error_and_a_slow_one_does_not() {
    let upstream = Script::start(|mut stream, _| async move {
        read_head(&mut stream).await;
        write(&mut stream, "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n").await;
        for _ in 0..6 {
            sleep(SHORT / 3).await;
            write(&mut stream, "x").await;
        }
        closed_by_peer(&mut stream).await;
    })
    .await;
    let forwarder = forwarder(upstream.http1());
    let timeouts = Timeouts { idle: SHORT, ..TIMEOUTS };
    let started = Instant::now();
    let response = forwarder.send(UpstreamId(0), Box::new(request(Method::GET, "/")), &timeouts, None).await.unwrap();
    let error = text(response).await.unwrap_err();
    assert!(matches!(error, BodyError::UpstreamIdle), "{error:?}");
    assert!((SHORT * 3..SHORT * 6).contains(&started.elapsed()), "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_long_upload_does_not_count_as_waiting_for_the_answer() {
    let upstream = Script::start(|mut stream, _| async move {
        read_until(&mut stream, "0\r\n\r\n").await;
        write(&mut stream, OK).await;
    })
    .await;
    let timeouts = Timeouts { response: SHORT, ..TIMEOUTS };
    let mut client = Front { timeouts, ..Front::default() }.connect(upstream.http1()).await;
    write(&mut client, "POST / HTTP/1.1\r\nhost: app.test\r\ntransfer-encoding: chunked\r\n\r\n").await;
    for _ in 0..6 {
        sleep(SHORT / 2).await;
        write(&mut client, "1\r\nx\r\n").await;
    }
    write(&mut client, "0\r\n\r\n").await;
    let head = read_head(&mut client).await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
}

#[tokio::test]
async fn the_answer_is_waited_for_from_the_last_byte_of_an_upload() {
    for h2c in [false, true] {
        let upstream = Script::start(move |stream, _| async move {
            if h2c {
                let mut connection = h2::server::handshake(stream).await.unwrap();
                while let Some(Ok((request, respond))) = connection.accept().await {
                    let mut body = request.into_body();
                    tokio::spawn(async move {
                        while let Some(Ok(data)) = body.data().await {
                            let _ = body.flow_control().release_capacity(data.len());
                        }
                        sleep(TIMEOUTS.idle).await;
                        drop(respond);
                    });
                }
            } else {
                let mut stream = stream;
                closed_by_peer(&mut stream).await;
            }
        })
        .await;
        let timeouts = Timeouts { response: SHORT, ..TIMEOUTS };
        let to = if h2c { upstream.h2c() } else { upstream.http1() };
        let mut client = Front { timeouts, ..Front::default() }.connect(to).await;
        write(&mut client, "POST / HTTP/1.1\r\nhost: app.test\r\ncontent-length: 4\r\n\r\nbo").await;
        sleep(SHORT * 2).await;
        let finished = Instant::now();
        write(&mut client, "dy").await;
        let head = read_head(&mut client).await;
        assert!(head.starts_with("HTTP/1.1 504"), "{head}");
        assert!((SHORT..SHORT * 3).contains(&finished.elapsed()), "{:?}", finished.elapsed());
    }
}

#[tokio::test]
async fn a_client_that_stops_sending_is_told_so_and_the_upstream_is_released() {
    let (closed, mut is_closed) = mpsc::unbounded_channel();
    let upstream = Script::start(move |mut stream, _| {
        let closed = closed.clone();
        async move {
            closed_by_peer(&mut stream).await;
            closed.send(()).unwrap();
        }
    })
    .await;
    let mut client = Front { client_idle: SHORT, ..Front::default() }.connect(upstream.http1()).await;
    write(&mut client, "POST / HTTP/1.1\r\nhost: app.test\r\ncontent-length: 100\r\n\r\nfirst").await;
    let head = read_head(&mut client).await;
    assert!(head.starts_with("HTTP/1.1 408"), "{head}");
    is_closed.recv().await.unwrap();
}

#[tokio::test]
async fn an_upstream_that_stops_reading_an_upload_is_given_up() {
    let upstream = Script::start(|stream, _| async move {
        sleep(TIMEOUTS.idle).await;
        drop(stream);
    })
    .await;
    let timeouts = Timeouts { idle: SHORT, ..TIMEOUTS };
    let client = Front { timeouts, ..Front::default() }.connect(upstream.http1()).await;
    let (mut reader, mut writer) = client.into_split();
    tokio::spawn(async move {
        use tokio::io::AsyncWriteExt as _;
        writer.write_all(b"POST / HTTP/1.1\r\nhost: app.test\r\ncontent-length: 1000000000\r\n\r\n").await.unwrap();
        let chunk = vec![b'x'; 65536];
        while writer.write_all(&chunk).await.is_ok() {}
    });
    let mut status = [0; 12];
    tokio::io::AsyncReadExt::read_exact(&mut reader, &mut status).await.unwrap();
    assert_eq!(&status, b"HTTP/1.1 504");
}
