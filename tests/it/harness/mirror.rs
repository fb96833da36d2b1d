//! An application that says back the fields of each request byte by byte, and keeps nothing but their number: for tests
//! with more requests than one wants to remember.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::{Request, Response};
use hyper::body::Incoming;

use super::body::{TestBody, full};
use super::serve::{Served, http1, serve};

/// A running mirror.
#[derive(Debug)]
pub(crate) struct Mirror {
    served: Served,
    count: Arc<AtomicUsize>,
}

impl Mirror {
    /// Speaks HTTP/1.1.
    pub(crate) async fn start() -> Self {
        let count = Arc::<AtomicUsize>::default();
        let shared = Arc::clone(&count);
        let served = serve(move |stream| {
            let count = Arc::clone(&shared);
            http1(stream, move |request| {
                count.fetch_add(1, Ordering::SeqCst);
                std::future::ready(Ok(reflect(&request)))
            })
        })
        .await;
        Self { served, count }
    }

    /// What the configuration names.
    pub(crate) fn url(&self) -> String {
        let address: SocketAddr = self.served.address;
        format!("http://{address}")
    }

    /// How many requests arrived.
    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }
}

/// One line per field; a value cannot hold a line break.
fn reflect(request: &Request<Incoming>) -> Response<TestBody> {
    let mut lines = Vec::new();
    for (name, value) in request.headers() {
        lines.extend_from_slice(&[name.as_str().as_bytes(), b"\n", value.as_bytes(), b"\n"].concat());
    }
    Response::new(full(lines))
}

/// The fields that a mirror said back.
#[derive(Debug)]
pub(crate) struct Reflection(Vec<(String, Vec<u8>)>);

impl Reflection {
    /// Reads the body of an answer.
    pub(crate) fn read(body: &[u8]) -> Self {
        let mut lines = body.split(|byte| *byte == b'\n');
        let mut fields = Vec::new();
        while let (Some(name), Some(value)) = (lines.next(), lines.next()) {
            fields.push((String::from_utf8_lossy(name).into_owned(), value.to_vec()));
        }
        Self(fields)
    }

    /// Every value of a field, in order.
    pub(crate) fn all(&self, name: &str) -> Vec<&[u8]> {
        self.0.iter().filter(|(seen, _)| seen == name).map(|(_, value)| value.as_slice()).collect()
    }

    /// Every field whose name begins so, with its value as text.
    pub(crate) fn beginning(&self, prefix: &str) -> Vec<(String, String)> {
        let matching = self.0.iter().filter(|(name, _)| name.starts_with(prefix));
        matching.map(|(name, value)| (name.clone(), String::from_utf8_lossy(value).into_owned())).collect()
    }
}
