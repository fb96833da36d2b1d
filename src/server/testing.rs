//! What the server's tests stand on: a small configuration, certificates, a server with an answer of the test's own, and
//! clients that can be stopped at any byte.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full, combinators::BoxBody};
use hyper::body::Incoming;
use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::service::Handler;
use super::watchdog::Finding;
use super::{Server, StartupError};
use crate::clock::Clock;
use crate::config::{
    CertificateFiles, Config, Cookies, HostPattern, Limits, Listen, Log, LogFormat, LogSubject, OnReuse, Session,
    SessionStore, Shutdown, Site, Tls,
};
use crate::gateway::Connection;
use crate::service_manager::Sockets;

/// Longer than anything takes that is going to happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Generous bounds; a test lowers the one that it is about.
pub(crate) fn limits() -> Limits {
    Limits {
        header_bytes: 64 * 1024,
        header_count: 100,
        connections: 10_000,
        connections_per_address: 10_000,
        streams_per_connection: 100,
        handshake_timeout: PATIENCE,
        header_timeout: PATIENCE,
        idle_timeout: PATIENCE,
        body_timeout: PATIENCE,
        connection_age: 100 * PATIENCE,
        token_cache_bytes: 1024 * 1024,
    }
}

/// One TLS listener on this machine, a self-made certificate, one site without routes.
pub(crate) fn config() -> Config {
    let here = "127.0.0.1:0".parse().unwrap();
    Config {
        listen: Listen {
            https: vec![here],
            http: vec![],
            plain: vec![],
            verify: vec![],
            admin: None,
            proxy_protocol: false,
        },
        tls: Tls::SelfSigned,
        trusted_proxies: vec![],
        issuers: vec![],
        session: Session {
            secrets: vec![],
            idle_timeout: PATIENCE,
            absolute_timeout: PATIENCE,
            refresh_ahead: Duration::ZERO,
            refresh_grace: PATIENCE,
            refresh_wait: PATIENCE,
            on_reuse: OnReuse::Revoke,
            max_records: 10,
            store: SessionStore::Memory,
            cookies: Cookies::Raw { access: "access".into(), refresh: "refresh".into() },
        },
        sites: vec![Site { host: HostPattern::Exact("app.test".to_owned()), routes: vec![] }],
        client_certificates: vec![],
        upstreams: vec![],
        identity_sets: vec![],
        rate_limits: vec![],
        reserved_headers: vec![],
        limits: limits(),
        log: Log { format: LogFormat::Text, level: "info".into(), subject: LogSubject::Omit },
        tracing: None,
        shutdown: Shutdown { delay: Duration::ZERO, deadline: PATIENCE },
        pages: None,
        translations: vec![],
        state_directory: None,
    }
}

/// A certificate with its key, in files.
pub(crate) struct CertificateFile {
    pub(crate) files: CertificateFiles,
    pub(crate) certificate: CertificateDer<'static>,
    _directory: TempDir,
}

impl CertificateFile {
    pub(crate) fn new(names: &[&str]) -> Self {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let files =
            CertificateFiles { certificate: directory.path().join("site.pem"), key: directory.path().join("site.key") };
        std::fs::write(&files.certificate, made.cert.pem()).unwrap();
        std::fs::write(&files.key, made.signing_key.serialize_pem()).unwrap();
        let certificate = CertificateDer::from_pem_slice(made.cert.pem().as_bytes()).unwrap();
        Self { files, certificate, _directory: directory }
    }
}

pub(crate) type TestBody = BoxBody<Bytes, io::Error>;
type Answering = Pin<Box<dyn Future<Output = Response<TestBody>> + Send>>;

/// What a test's server answers.
#[derive(Clone)]
pub(crate) struct Answer(Arc<dyn Fn(Arc<Connection>, Request<Incoming>) -> Answering + Send + Sync>);

impl Answer {
    pub(crate) fn new<F>(answer: impl Fn(Arc<Connection>, Request<Incoming>) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Response<TestBody>> + Send + 'static,
    {
        Self(Arc::new(move |connection, request| Box::pin(answer(connection, request))))
    }

    /// Says who is asking, to whom, over what.
    pub(crate) fn who() -> Self {
        Self::new(|connection, request| {
            let Connection { client, peer_trusted, local, secure, server_name, .. } = &*connection;
            let text = format!(
                "{:?} client={} trusted={peer_trusted} local={} secure={secure} name={}",
                request.version(),
                client.ip(),
                local.port(),
                server_name.as_deref().unwrap_or("-"),
            );
            async move { Response::new(whole(text)) }
        })
    }
}

impl Handler for Answer {
    type Body = TestBody;

    async fn handle(&self, connection: &Arc<Connection>, request: Request<Incoming>) -> Response<TestBody> {
        (self.0)(Arc::clone(connection), request).await
    }
}

pub(crate) fn whole(text: impl Into<Bytes>) -> TestBody {
    Full::new(text.into()).map_err(|never| match never {}).boxed()
}

/// A server under test.
pub(crate) struct TestServer {
    pub(crate) server: Server,
    pub(crate) certificate: CertificateFile,
}

impl TestServer {
    /// With a certificate for `app.test` and two workers.
    pub(crate) fn start(config: Config, answer: Answer) -> Self {
        Self::start_watched(config, answer, Finding::tell)
    }

    /// With a watchdog that tells `told`.
    pub(super) fn start_watched(config: Config, answer: Answer, told: impl Fn(Finding) + Send + 'static) -> Self {
        let certificate = CertificateFile::new(&["app.test"]);
        let config = Config { tls: Tls::Files(vec![certificate.files.clone()]), ..config };
        Self { server: start_watched(&config, answer, told).unwrap(), certificate }
    }

    pub(crate) fn https(&self) -> SocketAddr {
        self.server.addresses().https[0]
    }

    /// An HTTP/1.1 connection over TLS.
    pub(crate) async fn http1(&self) -> TlsStream<TcpStream> {
        self.tls(&[b"http/1.1"]).await.unwrap()
    }

    pub(crate) async fn tls(&self, alpn: &[&[u8]]) -> io::Result<TlsStream<TcpStream>> {
        tls(self.https(), client_config(&[&self.certificate], alpn), "app.test").await
    }

    /// An HTTP/2 connection that only hands over what the test asks for.
    pub(crate) async fn http2(&self) -> h2::client::SendRequest<Bytes> {
        let (client, connection) = h2::client::handshake(self.tls(&[b"h2"]).await.unwrap()).await.unwrap();
        drop(tokio::spawn(connection));
        client.ready().await.unwrap()
    }

    /// One request on a connection of its own; the whole answer.
    pub(crate) async fn ask(&self, request: &str) -> String {
        exchange(&mut self.http1().await, request).await
    }
}

pub(crate) fn start(config: &Config, answer: Answer) -> Result<Server, StartupError> {
    start_watched(config, answer, Finding::tell)
}

/// With a watchdog that tells `told`.
pub(super) fn start_watched(
    config: &Config,
    answer: Answer,
    told: impl Fn(Finding) + Send + 'static,
) -> Result<Server, StartupError> {
    Server::start_with(config, &Clock::system(), (2, &mut Sockets::default()), move || answer.clone(), told)
}

pub(crate) fn client_config(trusted: &[&CertificateFile], alpn: &[&[u8]]) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    for file in trusted {
        roots.add(file.certificate.clone()).unwrap();
    }
    let mut config = ClientConfig::builder_with_provider(aws_lc_rs::default_provider().into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
    Arc::new(config)
}

pub(crate) async fn tls(
    address: SocketAddr,
    config: Arc<ClientConfig>,
    name: &str,
) -> io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    TlsConnector::from(config).connect(ServerName::try_from(name.to_owned()).unwrap(), stream).await
}

/// Sends `request` as it stands and reads until the server closes.
pub(crate) async fn exchange<S: AsyncRead + tokio::io::AsyncWrite + Unpin>(stream: &mut S, request: &str) -> String {
    stream.write_all(request.as_bytes()).await.unwrap();
    read_to_end(stream).await
}

/// What the server says until it closes, however it does that.
pub(crate) async fn read_to_end<S: AsyncRead + Unpin>(stream: &mut S) -> String {
    let mut answer = Vec::new();
    let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
    let _ = read.expect("the server closes in time");
    String::from_utf8(answer).unwrap()
}

/// What the server says until `end` has come.
pub(crate) async fn read_until<S: AsyncRead + Unpin>(stream: &mut S, end: &str) -> String {
    let mut answer = String::new();
    let read = async {
        while !answer.contains(end) {
            let mut buffer = [0; 1024];
            match stream.read(&mut buffer).await {
                Ok(0) => panic!("the connection ended after {answer:?}"),
                Ok(count) => answer.push_str(std::str::from_utf8(&buffer[..count]).unwrap()),
                Err(error) => panic!("the connection broke after {answer:?}: {error}"),
            }
        }
    };
    tokio::time::timeout(PATIENCE, read).await.expect("an answer in time");
    answer
}

pub(crate) const GET: &str = "GET / HTTP/1.1\r\nHost: app.test\r\n\r\n";
pub(crate) const GET_AND_CLOSE: &str = "GET / HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\n\r\n";
