//! An issuer for tests: a real server on a port of its own that counts, delays, fails and rotates, and keys to sign with.

mod keys;

use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use crate::oauth::Algorithm;
use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::task::AbortHandle;
use url::Url;

pub(crate) use keys::TestKey;

use super::Issuers;
use crate::clock::Clock;
use crate::config::{self, IdentityToken, IssuerTransport, KeySource};
use crate::tasks::Tasks;

pub(crate) const DISCOVERY: &str = "/realm/.well-known/openid-configuration";
pub(crate) const KEYS: &str = "/realm/keys";
pub(crate) const TOKEN: &str = "/realm/token";
pub(crate) const REVOKE: &str = "/realm/revoke";

/// What the issuer answers at a path.
#[derive(Clone)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) content_type: &'static str,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: String,
    pub(crate) delay: Duration,
    pub(crate) breaks: Option<Break>,
}

/// Where the connection breaks.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Break {
    BeforeHead,
    MidBody,
}

/// A request as it arrived.
#[derive(Clone)]
pub(crate) struct Seen {
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

#[derive(Default)]
struct State {
    replies: HashMap<String, Reply>,
    seen: Vec<Seen>,
    under_way: usize,
    most_at_once: usize,
}

/// The server. It goes when this is dropped.
pub(crate) struct TestIssuer {
    pub(crate) address: SocketAddr,
    state: Arc<Mutex<State>>,
    server: AbortHandle,
}

impl Reply {
    pub(crate) fn json(body: &Value) -> Self {
        Self {
            status: 200,
            content_type: "application/json",
            headers: Vec::new(),
            body: body.to_string(),
            delay: Duration::ZERO,
            breaks: None,
        }
    }

    pub(crate) fn status(status: u16) -> Self {
        Self { status, ..Self::json(&json!({})) }
    }

    pub(crate) fn keys(keys: &[&TestKey]) -> Self {
        Self::json(&json!({"keys": keys.iter().map(|key| key.jwk()).collect::<Vec<_>>()}))
    }

    pub(crate) fn delayed(self, delay: Duration) -> Self {
        Self { delay, ..self }
    }

    pub(crate) fn breaking(self, at: Break) -> Self {
        Self { breaks: Some(at), ..self }
    }
}

impl TestIssuer {
    /// An issuer with discovery and these keys.
    pub(crate) async fn start(keys: &[&TestKey]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State::default()));
        let server = tokio::spawn(serve(listener, Arc::clone(&state))).abort_handle();
        let issuer = Self { address, state, server };
        issuer.set(DISCOVERY, Reply::json(&issuer.metadata()));
        issuer.set(KEYS, Reply::keys(keys));
        issuer
    }

    /// What `iss` says.
    pub(crate) fn name(&self) -> String {
        format!("http://{}/realm", self.address)
    }

    pub(crate) fn url(&self, path: &str) -> Url {
        format!("http://{}{path}", self.address).parse().unwrap()
    }

    pub(crate) fn metadata(&self) -> Value {
        json!({
            "issuer": self.name(),
            "jwks_uri": self.url(KEYS).as_str(),
            "token_endpoint": self.url(TOKEN).as_str(),
            "revocation_endpoint": self.url(REVOKE).as_str(),
        })
    }

    pub(crate) fn set(&self, path: &str, reply: Reply) {
        self.state().replies.insert(path.to_owned(), reply);
    }

    pub(crate) fn count(&self, path: &str) -> usize {
        self.state().seen.iter().filter(|seen| seen.path == path).count()
    }

    pub(crate) fn last(&self, path: &str) -> Seen {
        self.state().seen.iter().rfind(|seen| seen.path == path).unwrap().clone()
    }

    /// How many requests were under way at once, at most.
    pub(crate) fn most_at_once(&self) -> usize {
        self.state().most_at_once
    }

    /// Until the path has been asked for so often.
    pub(crate) async fn wait_for(&self, path: &str, count: usize) {
        wait_until(|| self.count(path) >= count).await;
    }

    /// The issuer as the configuration knows it: by discovery.
    pub(crate) fn config(&self) -> config::Issuer {
        configured(&self.name(), KeySource::Discovery { base: self.name().parse().unwrap() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

impl Drop for TestIssuer {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// An issuer with the audience `gw` and every asymmetric algorithm.
pub(crate) fn configured(issuer: &str, keys: KeySource) -> config::Issuer {
    config::Issuer {
        name: "test".into(),
        issuer: issuer.to_owned(),
        keys,
        client: None,
        audiences: vec!["gw".to_owned()],
        algorithms: vec![
            Algorithm::RS256,
            Algorithm::RS384,
            Algorithm::RS512,
            Algorithm::PS256,
            Algorithm::PS384,
            Algorithm::PS512,
            Algorithm::ES256,
            Algorithm::ES384,
            Algorithm::ES512,
            Algorithm::EdDSA,
        ],
        identity: IdentityToken::AccessToken,
        token_type: None,
        leeway: Duration::ZERO,
        refresh: None,
        login: None,
        transport: IssuerTransport { ca: None, timeout: Duration::from_secs(3), offline: false },
    }
}

/// These issuers on the runtime of the test.
pub(crate) fn issuers(configured: &[config::Issuer], clock: &Clock) -> Arc<Issuers> {
    Issuers::new(configured, &Tasks::new(Handle::current()), clock).unwrap()
}

/// Until the condition holds; the test fails when it never does.
pub(crate) async fn wait_until(condition: impl Fn() -> bool) {
    let patience = tokio::time::Instant::now() + Duration::from_secs(10);
    while !condition() {
        assert!(tokio::time::Instant::now() < patience, "the condition never held");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

async fn serve(listener: TcpListener, state: Arc<Mutex<State>>) {
    while let Ok((stream, _)) = listener.accept().await {
        let state = Arc::clone(&state);
        tokio::spawn(async move {
            let service = service_fn(move |request| respond(request, Arc::clone(&state)));
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn respond(
    request: Request<Incoming>,
    state: Arc<Mutex<State>>,
) -> Result<Response<BoxBody<Bytes, io::Error>>, io::Error> {
    let (head, body) = request.into_parts();
    let body = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
    let path = head.uri.path().to_owned();
    let reply = {
        let mut state = state.lock().unwrap();
        state.under_way += 1;
        state.most_at_once = state.most_at_once.max(state.under_way);
        state.seen.push(Seen { path: path.clone(), headers: head.headers, body });
        state.replies.get(&path).cloned().unwrap_or_else(|| Reply::status(404))
    };
    tokio::time::sleep(reply.delay).await;
    state.lock().unwrap().under_way -= 1;
    let mut response = Response::builder().status(StatusCode::from_u16(reply.status).unwrap());
    if !reply.content_type.is_empty() {
        response = response.header("content-type", reply.content_type);
    }
    for (name, value) in reply.headers {
        response = response.header(name, value);
    }
    let broken = || io::Error::other("the connection breaks here");
    let body = match reply.breaks {
        Some(Break::BeforeHead) => return Err(broken()),
        Some(Break::MidBody) => {
            let frames = [Ok(Frame::data(Bytes::from(reply.body))), Err(broken())];
            BoxBody::new(StreamBody::new(stream::iter(frames)))
        }
        None => Full::new(Bytes::from(reply.body)).map_err(|never: Infallible| match never {}).boxed(),
    };
    Ok(response.body(body).unwrap())
}
