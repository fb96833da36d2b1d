//! Addresses of every kind: refused, several, Unix sockets, TLS.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{Method, StatusCode};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::server::WebPkiClientVerifier;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, UnixListener};
use tokio_rustls::TlsAcceptor;

use super::harness::*;
use crate::clock::Clock;
use crate::config::{CertificateFiles, Timeouts, Upstream, UpstreamAddress, UpstreamId, UpstreamTls};
use crate::forwarding::condition::Evidence;
use crate::forwarding::{ConnectError, Fault, ForwardError, Forwarder, UpstreamTlsError, Upstreams, upgrade};

async fn refused() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

async fn echo_ok() -> Script {
    Script::start(|mut stream, _| async move {
        while !read_head(&mut stream).await.is_empty() {
            write(&mut stream, OK).await;
        }
    })
    .await
}

#[tokio::test]
async fn a_refused_connection_fails_at_once_and_recovery_counts_at_once() {
    let address = refused().await;
    let forwarder = forwarder(upstream(vec![http1(address)]));
    let started = Instant::now();
    let error = send(&forwarder, request(Method::GET, "/")).await.err().unwrap();
    assert!(matches!(error, ForwardError::Unreachable(ConnectError::Socket(_))), "{error:?}");
    assert!(!error.sent() && error.fault() == Fault::Upstream);
    // The first random number of a process takes most of a tenth of a second.
    assert!(started.elapsed() < TIMEOUTS.connect / 2);

    let listener = TcpListener::bind(address).await.unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        read_head(&mut stream).await;
        write(&mut stream, OK).await;
    });
    assert_eq!(get(&forwarder, "/").await.0, StatusCode::OK);
}

#[tokio::test]
async fn an_address_that_swallows_connections_times_out() {
    // A full accept queue takes no more connections: the handshake of the next one is never answered.
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    socket.listen(0).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    let _filler = std::net::TcpStream::connect(address).unwrap();
    let forwarder = forwarder(upstream(vec![http1(address)]));
    let timeouts = Timeouts { connect: Duration::from_millis(200), ..TIMEOUTS };
    let error =
        forwarder.send(UpstreamId(0), Box::new(request(Method::GET, "/")), &timeouts, None).await.err().unwrap();
    assert!(matches!(error, ForwardError::ConnectTimedOut), "{error:?}");
}

#[tokio::test]
async fn more_connections_than_may_be_made_at_a_time_are_not_waited_for() {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    socket.listen(0).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    let _filler = std::net::TcpStream::connect(address).unwrap();
    let mut bounded = upstream(vec![http1(address)]);
    bounded.care.circuit.max_connects = Some(1);
    let forwarder = forwarder(bounded);
    let timeouts = Timeouts { connect: Duration::from_millis(500), ..TIMEOUTS };
    let ask = || forwarder.send(UpstreamId(0), Box::new(request(Method::GET, "/")), &timeouts, None);
    let started = Instant::now();
    let (first, second) = tokio::join!(ask(), async { (ask().await, started.elapsed()) });
    assert!(matches!(first.err(), Some(ForwardError::ConnectTimedOut)));
    assert!(matches!(second.0.err(), Some(ForwardError::Overloaded)));
    assert!(second.1 < Duration::from_millis(250), "{:?}", second.1);
}

#[tokio::test]
async fn requests_go_to_the_addresses_that_work() {
    let (one, two) = (echo_ok().await, echo_ok().await);
    let addresses = vec![http1(one.address), http1(refused().await), http1(two.address)];
    let forwarder = forwarder(upstream(addresses));
    for _ in 0..30 {
        let response = send(&forwarder, request(Method::POST, "/")).await.unwrap();
        assert_eq!(text(response).await.unwrap(), "ok");
    }
    assert!(one.accepted() > 0 && two.accepted() > 0);
}

#[tokio::test]
async fn the_least_busy_address_is_chosen() {
    let (one, two) = (echo_ok().await, echo_ok().await);
    let forwarder = forwarder(upstream(vec![http1(one.address), http1(two.address)]));
    let mut held = Vec::new();
    for _ in 0..10 {
        held.push(send(&forwarder, request(Method::GET, "/")).await.unwrap());
    }
    assert_eq!((one.accepted(), two.accepted()), (5, 5));
}

#[tokio::test]
async fn an_address_that_comes_back_gets_fewer_requests_at_first() {
    let closing = || {
        Script::start(|mut stream, _| async move {
            read_head(&mut stream).await;
            write(&mut stream, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok").await;
        })
    };
    let (one, two) = (closing().await, closing().await);
    let clock = Clock::stopped();
    let upstreams = Upstreams::new(&[upstream(vec![http1(one.address), http1(two.address)])], &clock).unwrap();
    let forwarder = Forwarder::new(&upstreams);
    let pool = &upstreams.pools()[0];
    pool.failed(&pool.addresses[1], (0, Evidence::NoConnection), &ConnectError::Lost);
    clock.advance(pool.care.ejection.longest);
    assert!(pool.addresses[1].condition.worked(1));
    let of_32 = async || {
        let before = two.accepted();
        for _ in 0..32 {
            assert_eq!(get(&forwarder, "/").await.0, StatusCode::OK);
        }
        two.accepted() - before
    };
    assert_eq!(of_32().await, 1);
    clock.advance(pool.care.ejection.slow_start / 2);
    assert_eq!(of_32().await, 9);
    clock.advance(pool.care.ejection.slow_start / 2);
    assert_eq!(of_32().await, 16);
}

#[tokio::test]
async fn an_address_that_is_out_takes_nothing_from_those_that_are_full_while_one_is_in() {
    let (one, two) = (echo_ok().await, echo_ok().await);
    let mut bounded = upstream(vec![http1(one.address), http1(two.address)]);
    bounded.care.circuit.max_requests = Some(1);
    let upstreams = Upstreams::new(&[bounded], &Clock::stopped()).unwrap();
    let forwarder = Forwarder::new(&upstreams);
    let [well, ill] = [0, 1].map(|index| &upstreams.pools()[0].addresses[index].condition);
    ill.checked(false);
    let held = send(&forwarder, request(Method::GET, "/")).await.unwrap();
    for _ in 0..4 {
        let error = send(&forwarder, request(Method::GET, "/")).await.err().unwrap();
        assert!(matches!(error, ForwardError::Overloaded), "{error:?}");
    }
    assert_eq!((one.accepted(), two.accepted()), (1, 0));
    well.checked(false);
    let other = send(&forwarder, request(Method::GET, "/")).await.unwrap();
    assert_eq!(two.accepted(), 1, "when all are out, all are tried");
    drop((held, other));
}

#[tokio::test]
async fn the_last_address_stays_however_many_may_go_and_a_500_ends_an_ejection_for_something_else() {
    let mut upstream = upstream(vec![http1(refused().await), http1(refused().await)]);
    upstream.care.ejection.max_percent = 100;
    upstream.care.ejection.server_errors = Some(20);
    let clock = Clock::stopped();
    let upstreams = Upstreams::new(&[upstream], &clock).unwrap();
    let pool = &upstreams.pools()[0];
    for _ in 0..pool.care.ejection.faults {
        for address in &pool.addresses {
            pool.failed(address, (0, Evidence::Fault), &ConnectError::Lost);
        }
    }
    let [first, last] = [0, 1].map(|index| &pool.addresses[index]);
    assert_eq!((first.condition.is_out(), last.condition.is_out()), (true, false));
    clock.advance(pool.care.ejection.longest);
    pool.answered(first, 1, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(!first.condition.is_out());
}

#[tokio::test]
async fn a_unix_socket_serves() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("app.sock");
    let listener = UnixListener::bind(&path).unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = [0; 4096];
        assert!(stream.read(&mut head).await.unwrap() > 0);
        stream.write_all(OK.as_bytes()).await.unwrap();
    });
    let forwarder = forwarder(upstream(vec![UpstreamAddress::Unix(path)]));
    assert_eq!(get(&forwarder, "/").await, (StatusCode::OK, "ok".into()));
}

/// A certificate authority, and an upstream whose certificate for `app.internal` it signed. The upstream wants a client
/// certificate of the same authority and answers with the protocol that was negotiated.
struct TlsUpstream {
    authority: CertifiedIssuer<'static, KeyPair>,
    address: SocketAddr,
}

impl TlsUpstream {
    async fn start(alpn: &'static [&'static [u8]]) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate =
            CertificateParams::new(["app.internal".to_owned()]).unwrap().signed_by(&key, &authority).unwrap();
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut roots = rustls::RootCertStore::empty();
        roots.add(authority.der().clone()).unwrap();
        let clients = WebPkiClientVerifier::builder_with_provider(roots.into(), Arc::clone(&provider)).build().unwrap();
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(clients)
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())),
            )
            .unwrap();
        config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(Self::serve(listener, TlsAcceptor::from(Arc::new(config))));
        Self { authority, address }
    }

    async fn serve(listener: TcpListener, acceptor: TlsAcceptor) {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
                let mut connection = h2::server::handshake(stream).await.unwrap();
                tokio::spawn(async move {
                    while let Some(Ok((_, mut respond))) = connection.accept().await {
                        let mut body = respond.send_response(http::Response::new(()), false).unwrap();
                        body.send_data("h2".into(), true).unwrap();
                    }
                });
            } else {
                tokio::spawn(async move {
                    let mut head = [0; 4096];
                    while matches!(stream.read(&mut head).await, Ok(1..)) {
                        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nh1").await.unwrap();
                    }
                });
            }
        }
    }

    fn upstream(&self, directory: &tempfile::TempDir, client_certificate: bool) -> Upstream {
        let key = KeyPair::generate().unwrap();
        let certificate =
            CertificateParams::new(["usher".to_owned()]).unwrap().signed_by(&key, &self.authority).unwrap();
        let files = CertificateFiles {
            certificate: directory.path().join("usher.pem"),
            key: directory.path().join("usher.key"),
        };
        std::fs::write(&files.certificate, certificate.pem()).unwrap();
        std::fs::write(&files.key, key.serialize_pem()).unwrap();
        let address = UpstreamAddress::Https { host: self.address.ip().to_string(), port: self.address.port() };
        let tls = UpstreamTls {
            ca: Some(self.authority.pem().into_bytes()),
            client_certificate: client_certificate.then_some(files),
            server_name: Some("app.internal".to_owned()),
        };
        Upstream { tls, ..upstream(vec![address]) }
    }
}

#[tokio::test]
async fn tls_upstreams_are_spoken_to_in_what_alpn_gives() {
    let directory = tempfile::tempdir().unwrap();
    for (alpn, spoken) in [(&[b"h2" as &[u8], b"http/1.1"] as &[&[u8]], "h2"), (&[b"http/1.1"], "h1"), (&[], "h1")] {
        let server = TlsUpstream::start(alpn).await;
        let forwarder = forwarder(server.upstream(&directory, true));
        let answers = futures_util::future::join_all((0..5).map(|_| get(&forwarder, "/"))).await;
        assert!(answers.iter().all(|answer| *answer == (StatusCode::OK, spoken.into())), "{answers:?}");
        assert_eq!(get(&forwarder, "/").await.1, spoken);
    }
}

#[tokio::test]
async fn an_upgrade_that_an_address_of_http2_alone_refuses_says_nothing_about_it() {
    let directory = tempfile::tempdir().unwrap();
    let server = TlsUpstream::start(&[b"h2"]).await;
    let upstreams = Upstreams::new(&[server.upstream(&directory, true)], &Clock::stopped()).unwrap();
    let forwarder = Forwarder::new(&upstreams);
    let condition = &upstreams.pools()[0].addresses[0].condition;
    let mut handshake = request(Method::GET, "/");
    for (name, value) in [("connection", "upgrade"), ("upgrade", "websocket")] {
        handshake.headers_mut().insert(name, value.parse().unwrap());
    }
    let protocol = upgrade::requested(&handshake).unwrap();
    handshake.extensions_mut().insert(protocol);
    let error = send(&forwarder, handshake).await.err().unwrap();
    assert!(matches!(error, ForwardError::Unreachable(ConnectError::Tls(_))), "{error:?}");
    assert!(!condition.is_out());
    assert_eq!(get(&forwarder, "/").await.1, "h2");
}

#[tokio::test]
async fn nor_does_one_that_such_an_address_hangs_up_on() {
    let directory = tempfile::tempdir().unwrap();
    let server = TlsUpstream::start(&[b"h2"]).await;
    // Some servers close the connection without an alert: RFC 7301 §3.2 only says that they should send one.
    let upstream = Script::start(|mut stream, _| async move {
        let mut hello = [0; 5];
        let _ = stream.read_exact(&mut hello).await;
    })
    .await;
    let mut configured = server.upstream(&directory, true);
    configured.addresses = vec![UpstreamAddress::Https { host: "127.0.0.1".to_owned(), port: upstream.address.port() }];
    let upstreams = Upstreams::new(&[configured], &Clock::stopped()).unwrap();
    let mut handshake = request(Method::GET, "/");
    for (name, value) in [("connection", "upgrade"), ("upgrade", "websocket")] {
        handshake.headers_mut().insert(name, value.parse().unwrap());
    }
    let protocol = upgrade::requested(&handshake).unwrap();
    handshake.extensions_mut().insert(protocol);
    let error = send(&Forwarder::new(&upstreams), handshake).await.err().unwrap();
    assert!(matches!(error, ForwardError::Unreachable(ConnectError::Tls(_))), "{error:?}");
    assert!(!upstreams.pools()[0].addresses[0].condition.is_out());
}

#[tokio::test]
async fn tls_upstreams_with_another_name_or_authority_are_not_spoken_to() {
    let directory = tempfile::tempdir().unwrap();
    let (server, other) = (TlsUpstream::start(&[]).await, TlsUpstream::start(&[]).await);
    let mut wrong_name = server.upstream(&directory, true);
    wrong_name.tls.server_name = None;
    let mut wrong_authority = server.upstream(&directory, true);
    wrong_authority.tls.ca = Some(other.authority.pem().into_bytes());
    for upstream in [wrong_name, wrong_authority] {
        let error = send(&forwarder(upstream), request(Method::GET, "/")).await.err().unwrap();
        assert!(matches!(error, ForwardError::Unreachable(ConnectError::Tls(_))), "{error:?}");
        assert!(!error.sent());
    }
    // TLS 1.3 tells of a missing client certificate only when the answer is read.
    assert!(send(&forwarder(server.upstream(&directory, false)), request(Method::GET, "/")).await.is_err());
}

#[test]
fn certificates_that_cannot_be_used_are_said_at_the_start() {
    let address = UpstreamAddress::Https { host: "app.internal".to_owned(), port: 443 };
    let broken =
        |tls| Upstreams::new(&[Upstream { tls, ..upstream(vec![address.clone()]) }], &Clock::system()).unwrap_err();
    let no_roots = UpstreamTls { ca: Some(b"nothing".to_vec()), ..UpstreamTls::default() };
    assert!(matches!(broken(no_roots), UpstreamTlsError::Root(None)));
    let name = UpstreamTls { server_name: Some("not a name".to_owned()), ..UpstreamTls::default() };
    assert!(matches!(broken(name), UpstreamTlsError::ServerName(_)));
    let files = CertificateFiles { certificate: "/nowhere.pem".into(), key: "/nowhere.key".into() };
    let files = UpstreamTls { client_certificate: Some(files), ..UpstreamTls::default() };
    assert!(matches!(broken(files), UpstreamTlsError::ClientCertificate { .. }));
}
