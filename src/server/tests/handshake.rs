//! TLS: certificates, protocols, resumption.

use std::sync::{Arc, Mutex};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::{DigitallySignedStruct, HandshakeKind, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::net::TcpStream;

use super::super::testing::*;
use crate::config::{Config, Tls};

#[tokio::test]
async fn the_certificate_is_chosen_by_the_name_that_the_client_asks_for() {
    let (app, corp) = (CertificateFile::new(&["app.test", "127.0.0.1"]), CertificateFile::new(&["*.corp.test"]));
    let config = Config { tls: Tls::Files(vec![app.files.clone(), corp.files.clone()]), ..config() };
    let server = start(&config, Answer::who()).unwrap();
    let address = server.addresses().https[0];
    for (name, file) in [("app.test", &app), ("wiki.corp.test", &corp)] {
        let stream = tls(address, client_config(&[&app, &corp], &[]), name).await.unwrap();
        assert_eq!(stream.get_ref().1.peer_certificates().unwrap()[0], file.certificate, "{name}");
    }
    // An address is no server name (RFC 6066 §3): the first certificate is the default.
    let stream = tls(address, client_config(&[&app, &corp], &[]), "127.0.0.1").await.unwrap();
    assert_eq!(stream.get_ref().1.peer_certificates().unwrap()[0], app.certificate);
}

#[tokio::test]
async fn alpn_decides_what_is_spoken() {
    let server = TestServer::start(config(), Answer::who());
    let stream = server.tls(&[b"h2", b"http/1.1"]).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    for alpn in [&[&b"http/1.1"[..]][..], &[]] {
        let mut stream = server.tls(alpn).await.unwrap();
        let answer = exchange(&mut stream, GET_AND_CLOSE).await;
        assert!(answer.contains("HTTP/1.1 client=127.0.0.1 trusted=false"), "{answer}");
        assert!(answer.ends_with("secure=true name=app.test"), "{answer}");
    }
    assert!(server.tls(&[b"spdy/3"]).await.is_err());
}

#[tokio::test]
async fn http_without_tls_is_told_in_plain_words_that_the_port_speaks_https() {
    let server = TestServer::start(config(), Answer::who());
    let long = format!("POST /canary HTTP/1.1\r\nHost: app.test\r\n\r\n{}", "canary ".repeat(5_000));
    for request in ["GET /canary HTTP/1.1\r\nHost: canary.test\r\n\r\n", "G", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &long]
    {
        let mut stream = TcpStream::connect(server.https()).await.unwrap();
        let answer = exchange(&mut stream, request).await;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{request}: {answer:?}"));
        assert!(head.starts_with("HTTP/1.1 400 Bad Request\r\nconnection: close\r\n"), "{head}");
        assert!(head.contains(&format!("\r\ncontent-length: {}", body.len())), "{answer}");
        assert!(body.contains("https://") && !answer.contains("canary"), "{answer}");
    }
    assert!(server.ask(GET_AND_CLOSE).await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn what_is_no_http_either_is_met_as_a_handshake_that_failed() {
    let server = TestServer::start(config(), Answer::who());
    for bytes in ["get / HTTP/1.1\r\n\r\n", "\r\nGET / HTTP/1.1\r\n\r\n", "PROXY TCP4 192.0.2.7 198.51.100.1 1 2\r\n"] {
        let mut stream = TcpStream::connect(server.https()).await.unwrap();
        let answer = exchange(&mut stream, bytes).await;
        assert!(!answer.contains("HTTP"), "{bytes}: {answer:?}");
    }
}

#[tokio::test]
async fn a_session_is_resumed_whichever_worker_its_next_connection_lands_on() {
    let server = TestServer::start(config(), Answer::who());
    let client = client_config(&[&server.certificate], &[b"http/1.1"]);
    let mut kinds = Vec::new();
    for _ in 0..10 {
        let mut stream = tls(server.https(), client.clone(), "app.test").await.unwrap();
        kinds.push(stream.get_ref().1.handshake_kind().unwrap());
        // Tickets come with the answer.
        exchange(&mut stream, GET_AND_CLOSE).await;
    }
    assert_eq!(kinds[0], HandshakeKind::Full);
    assert!(kinds[1..].iter().all(|kind| *kind == HandshakeKind::Resumed), "{kinds:?}");
}

#[tokio::test]
async fn tls_1_2_is_still_spoken() {
    let server = TestServer::start(config(), Answer::who());
    let mut client = (*client_config(&[&server.certificate], &[])).clone();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(server.certificate.certificate.clone()).unwrap();
    client = rustls::ClientConfig::builder_with_provider(client.crypto_provider().clone())
        .with_protocol_versions(&[&rustls::version::TLS12])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = tls(server.https(), client.into(), "app.test").await.unwrap();
    assert_eq!(stream.get_ref().1.protocol_version(), Some(rustls::ProtocolVersion::TLSv1_2));
}

#[tokio::test]
async fn a_key_of_another_certificate_keeps_the_server_from_starting() {
    let (one, other) = (CertificateFile::new(&["one.test"]), CertificateFile::new(&["other.test"]));
    let mut files = one.files.clone();
    files.key = other.files.key.clone();
    let error = start(&Config { tls: Tls::Files(vec![files]), ..config() }, Answer::who()).unwrap_err();
    assert!(error.is_configuration(), "{error}");
}

#[tokio::test]
async fn an_authority_is_shown_what_it_looks_for_under_that_name_only_and_nothing_is_spoken_with_it() {
    let server = TestServer::start(config(), Answer::who());
    let challenges = server.server.reload().challenges().unwrap();
    let asks = |name: &'static str, alpn: &'static [&'static [u8]]| {
        // Whoever looks trusts nobody: the certificate is self-signed.
        let looking = client_config(&[&server.certificate], alpn);
        let seen = Arc::new(Seen(looking.crypto_provider().clone(), Mutex::default()));
        let mut looking = (*looking).clone();
        looking.dangerous().set_certificate_verifier(Arc::clone(&seen) as _);
        let address = server.https();
        async move { tls(address, looking.into(), name).await.map(|stream| (stream, seen.1.lock().unwrap().clone())) }
    };
    assert!(asks("app.test", &[b"acme-tls/1"]).await.is_err(), "nothing is looked for");

    let showing = challenges.show_certificate("app.test", &[7; 32]).unwrap();
    let (mut stream, certificate) = asks("app.test", &[b"acme-tls/1"]).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"acme-tls/1"[..]));
    assert!(certificate.windows(32).any(|window| window == [7; 32]), "the digest is in it");
    // The server may close before it has read that.
    let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, GET.as_bytes()).await;
    assert_eq!(read_to_end(&mut stream).await, "");

    assert!(asks("other.test", &[b"acme-tls/1"]).await.is_err(), "another name");
    let (stream, certificate) = asks("app.test", &[b"acme-tls/1", b"h2"]).await.unwrap();
    assert_eq!(
        (stream.get_ref().1.alpn_protocol(), certificate),
        (Some(&b"h2"[..]), server.certificate.certificate.to_vec())
    );
    server.tls(&[b"http/1.1"]).await.unwrap();
    drop(showing);
    assert!(asks("app.test", &[b"acme-tls/1"]).await.is_err(), "it has been seen");
}

/// Takes any certificate, and notes which.
#[derive(Debug)]
struct Seen(Arc<CryptoProvider>, Mutex<Vec<u8>>);

impl ServerCertVerifier for Seen {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        *self.1.lock().unwrap() = certificate.to_vec();
        Ok(ServerCertVerified::assertion())
    }

    // Checking a signature would parse the certificate, whose critical extension the library does not know.
    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
