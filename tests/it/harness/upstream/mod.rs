//! The application behind the gateway: it writes down every request, byte by byte, and answers what it saw.

mod answer;
mod handle;
mod seen;
mod tap;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};

use tokio::net::UnixListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

pub(crate) use answer::UpstreamAnswer;
pub(crate) use seen::Seen;
use tap::Tap;

use super::body::{Feed, fed};
use super::certificates::authority;
use super::serve::{Served, http1, http2, serve, serve_at};

/// More requests than are under way at once.
const LATEST: usize = 64;

/// A running application.
#[derive(Debug)]
pub(crate) struct Upstream {
    served: Served,
    scheme: &'static str,
    log: Arc<Log>,
}

/// What the connections share with the test.
#[derive(Debug, Default)]
struct Log {
    seen: Mutex<Vec<Seen>>,
    wire: Arc<Mutex<Vec<u8>>>,
    connections: Mutex<usize>,
    answers: Mutex<HashMap<String, UpstreamAnswer>>,
    websockets: Mutex<usize>,
}

impl Upstream {
    /// Speaks HTTP/1.1.
    pub(crate) async fn start() -> Self {
        Self::http1_at(SocketAddr::from(([127, 0, 0, 1], 0))).await
    }

    /// Speaks HTTP/2 with prior knowledge.
    pub(crate) async fn start_h2c() -> Self {
        let log = Arc::<Log>::default();
        let shared = Arc::clone(&log);
        let served = serve(move |stream| {
            let log = Arc::clone(&shared);
            http2(Tap::new(stream, &log), move |request| handle::answer(Arc::clone(&log), request))
        })
        .await;
        Self { served, scheme: "h2c", log }
    }

    /// Speaks TLS with a certificate for `localhost`, and this protocol by ALPN (`h2` or `http/1.1`).
    pub(crate) async fn start_tls(alpn: &'static str) -> Self {
        let log = Arc::<Log>::default();
        let shared = Arc::clone(&log);
        let acceptor = TlsAcceptor::from(authority().server(&["localhost"], &[alpn.as_bytes()]));
        let served = serve(move |stream| {
            let (log, acceptor) = (Arc::clone(&shared), acceptor.clone());
            async move {
                let Ok(stream) = acceptor.accept(stream).await else { return };
                let stream = Tap::new(stream, &log);
                let handler = move |request| handle::answer(Arc::clone(&log), request);
                if alpn == "h2" { http2(stream, handler).await } else { http1(stream, handler).await }
            }
        })
        .await;
        Self { served, scheme: "https", log }
    }

    /// Answers every connection with these bytes, whatever they are, once a request head has come, and closes.
    pub(crate) async fn start_raw(bytes: &'static [u8]) -> Self {
        let log = Arc::<Log>::default();
        let shared = Arc::clone(&log);
        let served = serve(move |stream| handle::raw(Tap::new(stream, &shared), Arc::clone(&shared), bytes)).await;
        Self { served, scheme: "http", log }
    }

    /// Stops: the listener and all connections are closed. What was seen is kept.
    pub(crate) fn stop(self) -> Stopped {
        Stopped { address: self.served.address, log: Arc::clone(&self.log) }
    }

    /// What the configuration names.
    pub(crate) fn url(&self) -> String {
        match self.scheme {
            "https" => format!("https://localhost:{}", self.served.address.port()),
            scheme => format!("{scheme}://{}", self.served.address),
        }
    }

    /// Everything it saw, in order of arrival.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.log.seen.lock().unwrap().clone()
    }

    /// How many requests arrived.
    pub(crate) fn count(&self) -> usize {
        self.log.seen.lock().unwrap().len()
    }

    /// The one request that it saw.
    #[track_caller]
    pub(crate) fn only(&self) -> Seen {
        let seen = self.seen();
        assert_eq!(seen.len(), 1, "exactly one request: {seen:#?}");
        seen.into_iter().next().unwrap()
    }

    /// The latest request that it saw.
    #[track_caller]
    pub(crate) fn last(&self) -> Seen {
        self.seen().pop().expect("a request arrived")
    }

    /// Every byte that arrived, over all connections.
    pub(crate) fn wire(&self) -> Vec<u8> {
        self.log.wire.lock().unwrap().clone()
    }

    /// Lets go of what it saw, but for the latest, which may be under way: for tests that watch the memory of this process.
    pub(crate) fn forget(&self) {
        self.log.wire.lock().unwrap().clear();
        let mut seen = self.log.seen.lock().unwrap();
        let old = seen.len().saturating_sub(LATEST);
        // Those that are empty were forgotten before.
        for seen in seen[..old].iter_mut().rev().take_while(|seen| !seen.headers.is_empty()) {
            (seen.target, seen.headers, seen.body) = Default::default();
        }
    }

    /// How many connections were opened to it.
    pub(crate) fn connections(&self) -> usize {
        *self.log.connections.lock().unwrap()
    }

    /// How many WebSockets are open.
    pub(crate) fn websockets(&self) -> usize {
        *self.log.websockets.lock().unwrap()
    }

    /// Requests for this path (without query) are answered like that from now on.
    pub(crate) fn answer(&self, path: &str, answer: UpstreamAnswer) {
        self.log.answers.lock().unwrap().insert(path.to_owned(), answer);
    }

    /// The next request for this path is answered with 200, these fields and a body that the test feeds.
    pub(crate) fn stream(&self, path: &str, headers: &[(&'static str, &str)]) -> Feed {
        let (feed, body) = fed();
        self.answer(path, UpstreamAnswer::streamed(headers, body));
        feed
    }

    async fn http1_at(address: SocketAddr) -> Self {
        Self::http1_with(address, Arc::default()).await
    }

    async fn http1_with(address: SocketAddr, log: Arc<Log>) -> Self {
        let shared = Arc::clone(&log);
        let served = serve_at(address, move |stream| {
            let log = Arc::clone(&shared);
            http1(Tap::new(stream, &log), move |request| handle::answer(Arc::clone(&log), request))
        })
        .await;
        Self { served, scheme: "http", log }
    }
}

/// An application that was stopped and may come back at the same address.
#[derive(Debug)]
pub(crate) struct Stopped {
    address: SocketAddr,
    log: Arc<Log>,
}

impl Stopped {
    /// Starts it again with what it remembers.
    pub(crate) async fn restart(self) -> Upstream {
        Upstream::http1_with(self.address, self.log).await
    }
}

/// An application on a Unix socket, speaking HTTP/1.1. It answers until the returned set is dropped.
pub(crate) fn serve_unix(path: &Path) -> JoinSet<()> {
    let listener = UnixListener::bind(path).unwrap();
    let log = Arc::<Log>::default();
    let mut accepting = JoinSet::new();
    accepting.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            let shared = Arc::clone(&log);
            connections
                .spawn(http1(Tap::new(stream, &log), move |request| handle::answer(Arc::clone(&shared), request)));
        }
    });
    accepting
}
