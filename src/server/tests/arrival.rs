//! Who a connection is from, and how many there may be.

use std::io;
use std::net::SocketAddr;

use bytes::Bytes;
use futures_util::StreamExt as _;
use http::Response;
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::super::testing::*;
use crate::config::{Config, Limits, Listen};

const HEADER: &str = "PROXY TCP4 192.0.2.7 198.51.100.1 4711 8443\r\n";

fn behind(trusted: &str) -> Config {
    let listen = Listen { proxy_protocol: true, ..config().listen };
    Config { listen, trusted_proxies: vec![trusted.parse().unwrap()], ..config() }
}

async fn ask_through_proxy(server: &TestServer, header: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(server.https()).await?;
    stream.write_all(header.as_bytes()).await?;
    let config = client_config(&[&server.certificate], &[]);
    let mut stream = TlsConnector::from(config).connect("app.test".try_into().unwrap(), stream).await?;
    Ok(exchange(&mut stream, GET_AND_CLOSE).await)
}

/// Waits until the server has closed the connection.
async fn is_closed(stream: &mut TcpStream) {
    read_to_end(stream).await;
}

#[tokio::test]
async fn a_trusted_proxy_says_who_the_client_is() {
    let server = TestServer::start(behind("127.0.0.0/8"), Answer::who());
    let answer = ask_through_proxy(&server, HEADER).await.unwrap();
    // The proxy has passed the client's bytes through: what they say of others is not believed.
    assert!(answer.contains("client=192.0.2.7 trusted=false local=8443"), "{answer}");
}

#[tokio::test]
async fn a_client_that_is_a_trusted_proxy_itself_is_believed() {
    let mut config = behind("127.0.0.0/8");
    config.trusted_proxies.push("192.0.2.0/24".parse().unwrap());
    let server = TestServer::start(config, Answer::who());
    let answer = ask_through_proxy(&server, HEADER).await.unwrap();
    assert!(answer.contains("client=192.0.2.7 trusted=true"), "{answer}");
}

#[tokio::test]
async fn nobody_else_does_so() {
    let server = TestServer::start(behind("10.0.0.0/8"), Answer::who());
    assert!(ask_through_proxy(&server, HEADER).await.is_err(), "the header is not TLS");
    let answer = server.ask(GET_AND_CLOSE).await;
    assert!(answer.contains("client=127.0.0.1 trusted=false"), "{answer}");
}

#[tokio::test]
async fn a_trusted_proxy_without_the_header_is_turned_away() {
    let server = TestServer::start(behind("127.0.0.0/8"), Answer::who());
    assert!(server.tls(&[]).await.is_err());
    assert!(ask_through_proxy(&server, "PROXY TCP4 nonsense\r\n").await.is_err());
}

#[tokio::test]
async fn http_without_tls_behind_the_header_of_a_trusted_proxy_is_answered_as_well() {
    let server = TestServer::start(behind("127.0.0.0/8"), Answer::who());
    let mut stream = TcpStream::connect(server.https()).await.unwrap();
    let answer = exchange(&mut stream, &format!("{HEADER}{GET}")).await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
}

#[tokio::test]
async fn a_proxy_header_that_does_not_come_to_its_end_is_not_waited_for() {
    let mut config = behind("127.0.0.0/8");
    config.limits.handshake_timeout = std::time::Duration::from_millis(100);
    let server = TestServer::start(config, Answer::who());
    let mut stream = TcpStream::connect(server.https()).await.unwrap();
    stream.write_all(b"PROXY TCP4 192").await.unwrap();
    is_closed(&mut stream).await;
}

#[tokio::test]
async fn a_plain_listener_serves_trusted_proxies_and_nobody_else() {
    let listen = Listen { plain: vec!["127.0.0.1:0".parse().unwrap()], ..config().listen };
    let untrusting = TestServer::start(Config { listen: listen.clone(), ..config() }, Answer::who());
    let mut stream = TcpStream::connect(untrusting.server.addresses().plain[0]).await.unwrap();
    stream.write_all(GET_AND_CLOSE.as_bytes()).await.unwrap();
    assert_eq!(read_to_end(&mut stream).await, "");

    let trusted_proxies = vec!["127.0.0.1/32".parse().unwrap()];
    let trusting = TestServer::start(Config { listen, trusted_proxies, ..config() }, Answer::who());
    let mut stream = TcpStream::connect(trusting.server.addresses().plain[0]).await.unwrap();
    let answer = exchange(&mut stream, GET_AND_CLOSE).await;
    assert!(answer.contains("client=127.0.0.1 trusted=true") && answer.contains("secure=false"), "{answer}");
}

#[tokio::test]
async fn an_answer_that_is_cut_resets_the_connection_of_a_proxy_that_speaks_http_1_0() {
    let answer = Answer::new(|_, request| async move {
        let cut = request.uri().path() == "/cut";
        let frames = futures_util::stream::iter([Ok(Frame::data(Bytes::from_static(b"begun")))]);
        let end = futures_util::stream::iter(cut.then(|| Err(io::Error::other("the session is over"))));
        Response::new(BodyExt::boxed(StreamBody::new(frames.chain(end))))
    });
    let listen = Listen { plain: vec!["127.0.0.1:0".parse().unwrap()], ..config().listen };
    let trusted_proxies = vec!["127.0.0.1/32".parse().unwrap()];
    let server = TestServer::start(Config { listen, trusted_proxies, ..config() }, answer);
    for (ask, is_whole) in [("GET /cut", false), ("GET /whole", true), ("HEAD /cut", true)] {
        let mut stream = TcpStream::connect(server.server.addresses().plain[0]).await.unwrap();
        stream.write_all(format!("{ask} HTTP/1.0\r\nHost: app.test\r\n\r\n").as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let end = stream.read_to_end(&mut answer).await;
        assert_eq!(end.is_ok(), is_whole, "{ask}: {end:?} {}", answer.escape_ascii());
    }
}

async fn is_served(address: SocketAddr) -> bool {
    let mut stream = TcpStream::connect(address).await.unwrap();
    exchange(&mut stream, GET_AND_CLOSE).await.starts_with("HTTP/1.1")
}

/// A server that redirects, which is the shortest way to an answer, within `limits`.
fn redirecting(limits: Limits) -> (TestServer, SocketAddr) {
    let listen = Listen { http: vec!["127.0.0.1:0".parse().unwrap()], ..config().listen };
    let server = TestServer::start(Config { listen, limits, ..config() }, Answer::who());
    let address = server.server.addresses().http[0];
    (server, address)
}

#[tokio::test]
async fn one_address_may_have_so_many_connections_and_again_when_they_are_gone() {
    let (_server, address) = redirecting(Limits { connections_per_address: 2, ..limits() });
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(GET.as_bytes()).await.unwrap();
        read_until(&mut stream, "\r\n\r\n").await;
        held.push(stream);
    }
    let mut third = TcpStream::connect(address).await.unwrap();
    is_closed(&mut third).await;

    drop(held);
    let freed = async {
        while !is_served(address).await {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, freed).await.unwrap();
}

#[tokio::test]
async fn connections_in_all_are_bounded_whatever_phase_they_are_in() {
    let (server, address) = redirecting(Limits { connections: 1, ..limits() });
    // In the middle of a handshake, and known to be so: the server has answered the hello.
    let mut handshaking = TcpStream::connect(server.https()).await.unwrap();
    let mut client =
        rustls::ClientConnection::new(client_config(&[&server.certificate], &[]), "app.test".try_into().unwrap())
            .unwrap();
    let mut hello = Vec::new();
    client.write_tls(&mut hello).unwrap();
    handshaking.write_all(&hello).await.unwrap();
    handshaking.read_u8().await.unwrap();

    let mut second = TcpStream::connect(address).await.unwrap();
    is_closed(&mut second).await;
}

#[tokio::test]
async fn the_redirect_listener_redirects() {
    let (server, address) = redirecting(limits());
    let request = format!("GET /a?b HTTP/1.1\r\nHost: app.test:{}\r\nConnection: close\r\n\r\n", address.port());
    let mut stream = TcpStream::connect(address).await.unwrap();
    let answer = exchange(&mut stream, &request).await;
    assert!(answer.starts_with("HTTP/1.1 308 "), "{answer}");
    let location = format!("\r\nlocation: https://app.test:{}/a?b\r\n", server.https().port());
    assert!(answer.contains(&location), "{answer}");

    let mut stream = TcpStream::connect(address).await.unwrap();
    let answer = exchange(&mut stream, "GET / HTTP/1.1\r\nConnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
}
