//! Ending.

use std::sync::Arc;
use std::time::Duration;

use ::http::{Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio_rustls::TlsConnector;

use super::super::Server;
use super::super::testing::*;
use crate::clock::Clock;
use crate::config::Config;

/// An answer that says when it has begun, and ends when it is let.
fn held() -> (Answer, Arc<Semaphore>, Arc<Semaphore>) {
    let (begun, let_go) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let (begins, may_end) = (Arc::clone(&begun), Arc::clone(&let_go));
    let answer = Answer::new(move |_, _| {
        let (begins, may_end) = (Arc::clone(&begins), Arc::clone(&may_end));
        async move {
            begins.add_permits(1);
            may_end.acquire().await.unwrap().forget();
            Response::new(whole("done"))
        }
    });
    (answer, begun, let_go)
}

async fn is_refused(address: std::net::SocketAddr) {
    let refused = async { while TcpStream::connect(address).await.is_ok() {} };
    tokio::time::timeout(PATIENCE, refused).await.unwrap();
}

#[tokio::test]
async fn requests_at_hand_are_answered_and_connections_closed() {
    let (answer, begun, let_go) = held();
    let server = TestServer::start(config(), answer);
    let address = server.https();
    let mut busy = server.http1().await;
    let mut idle = server.http1().await;
    busy.write_all(GET.as_bytes()).await.unwrap();
    begun.acquire().await.unwrap().forget();

    let drained = tokio::spawn(server.server.drain(PATIENCE));
    assert_eq!(read_to_end(&mut idle).await, "");
    is_refused(address).await;
    assert!(!drained.is_finished());
    let_go.add_permits(1);
    let answer = read_to_end(&mut busy).await;
    assert!(answer.contains("connection: close") && answer.ends_with("done"), "{answer}");
    drop((busy, idle));
    assert!(drained.await.unwrap(), "nothing had to be cut");
}

#[tokio::test]
async fn an_answer_that_is_ready_together_with_the_drain_says_that_it_is_the_last_one() {
    let (begins, mut begun) = tokio::sync::mpsc::unbounded_channel();
    let answer = Answer::new(move |_, _| {
        let begins = begins.clone();
        async move {
            let (goes_on, wait) = std::sync::mpsc::channel::<()>();
            // Nothing else runs on this worker until the test goes on. Then the worker begins its drain, and before it has
            // told the connections, this answer is ready.
            let ready = tokio::spawn(async move {
                wait.recv().unwrap();
                tokio::task::yield_now().await;
            });
            begins.send(goes_on).unwrap();
            ready.await.unwrap();
            Response::new(whole("done"))
        }
    });
    let server = TestServer::start(config(), answer);
    let mut busy = server.http1().await;
    busy.write_all(GET.as_bytes()).await.unwrap();
    let goes_on = begun.recv().await.unwrap();
    let mut drained = std::pin::pin!(server.server.drain(PATIENCE));
    assert!(futures_util::poll!(&mut drained).is_pending());
    goes_on.send(()).unwrap();
    let (answer, drained) = tokio::join!(read_to_end(&mut busy), drained);
    assert!(answer.contains("connection: close") && answer.ends_with("done"), "{answer}");
    assert!(drained);
}

#[tokio::test]
async fn http_2_says_goaway_and_finishes_its_streams() {
    let (answer, begun, let_go) = held();
    let server = TestServer::start(config(), answer);
    let mut client = server.http2().await;
    let get = || Request::get("https://app.test/").body(()).unwrap();
    let (response, _) = client.send_request(get(), true).unwrap();
    begun.acquire().await.unwrap().forget();

    let drained = tokio::spawn(server.server.drain(PATIENCE));
    let goaway = async {
        loop {
            // A connection that has said goodbye takes no new streams.
            match std::future::poll_fn(|cx| client.poll_ready(cx)).await {
                Ok(()) => tokio::time::sleep(Duration::from_millis(5)).await,
                Err(error) => break error,
            }
        }
    };
    let error = tokio::time::timeout(PATIENCE, goaway).await.unwrap();
    assert!(error.is_go_away(), "{error}");
    assert_eq!(error.reason(), Some(h2::Reason::NO_ERROR));
    let_go.add_permits(1);
    let response = tokio::time::timeout(PATIENCE, response).await.unwrap().unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let mut body = response.into_body();
    assert_eq!(body.data().await.unwrap().unwrap(), "done");
    drop((client, body));
    assert!(drained.await.unwrap());
}

#[tokio::test]
async fn a_connection_that_the_drain_finds_in_its_handshake_still_brings_its_request() {
    let server = TestServer::start(config(), Answer::who());
    let address = server.https();
    let client = client_config(&[&server.certificate], &[]);
    let stream = TcpStream::connect(address).await.unwrap();
    let drained = tokio::spawn(server.server.drain(PATIENCE));
    is_refused(address).await;

    let mut stream = TlsConnector::from(client).connect("app.test".try_into().unwrap(), stream).await.unwrap();
    let answer = exchange(&mut stream, GET).await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("connection: close"), "{answer}");
    drop(stream);
    assert!(drained.await.unwrap());
}

#[tokio::test]
async fn what_does_not_end_by_the_deadline_is_cut() {
    let (answer, begun, _let_go) = held();
    let server = TestServer::start(config(), answer);
    let mut stream = server.http1().await;
    stream.write_all(GET.as_bytes()).await.unwrap();
    begun.acquire().await.unwrap().forget();
    assert!(!server.server.drain(Duration::from_millis(50)).await);
    assert_eq!(read_to_end(&mut stream).await, "");
}

#[tokio::test]
async fn a_tunnel_counts_until_it_ends() {
    let answer = Answer::new(|_, request| async move {
        drop(tokio::spawn(async move {
            let mut upgraded = hyper_util::rt::TokioIo::new(hyper::upgrade::on(request).await.unwrap());
            let mut byte = [0];
            let _ = tokio::io::AsyncReadExt::read_exact(&mut upgraded, &mut byte).await;
        }));
        let response = Response::builder().status(101).header("connection", "upgrade").header("upgrade", "test");
        response.body(http_body_util::Empty::new().map_err(|never| match never {}).boxed()).unwrap()
    });
    let server = TestServer::start(config(), answer);
    let mut tunnel = server.http1().await;
    tunnel
        .write_all(b"GET / HTTP/1.1\r\nHost: app.test\r\nConnection: upgrade\r\nUpgrade: test\r\n\r\n")
        .await
        .unwrap();
    assert!(read_until(&mut tunnel, "\r\n\r\n").await.starts_with("HTTP/1.1 101 "));

    let address = server.https();
    let drained = tokio::spawn(server.server.drain(PATIENCE));
    is_refused(address).await;
    assert!(!drained.is_finished());
    tunnel.write_all(b"x").await.unwrap();
    assert!(drained.await.unwrap());
}

#[tokio::test]
async fn a_server_that_is_dropped_ends_at_once() {
    let (answer, begun, _let_go) = held();
    let server = TestServer::start(config(), answer);
    let address = server.https();
    let mut stream = server.http1().await;
    stream.write_all(GET.as_bytes()).await.unwrap();
    begun.acquire().await.unwrap().forget();
    drop(server);
    assert_eq!(read_to_end(&mut stream).await, "");
    is_refused(address).await;
}

#[tokio::test]
async fn a_worker_that_panics_is_noticed() {
    let certificate = CertificateFile::new(&["app.test"]);
    let config = Config { tls: crate::config::Tls::Files(vec![certificate.files.clone()]), ..config() };
    let broken = || -> Answer { panic!("as the test wants it") };
    let mut server = Server::start_with(
        &config,
        &Clock::system(),
        (1, &mut crate::service_manager::Sockets::default()),
        broken,
        super::super::watchdog::Finding::tell,
    )
    .unwrap();
    tokio::time::timeout(PATIENCE, server.failed()).await.unwrap();
}
