//! A collector, as it is dialled: one request takes a batch.

use std::time::Duration;

use http::{HeaderMap, StatusCode};
use url::Url;

use super::message::{self, PartialSuccess};
use super::span::{Span, Value};
use crate::config::Otlp;
use crate::issuer::{Answer, ClientError, Post, Transport, TransportError};

/// An answer is a few words; nothing longer is read.
const LIMIT: usize = 64 * 1024;

/// Who takes the spans.
pub struct Collector {
    transport: Transport,
    url: Url,
    fields: HeaderMap,
    service: Value,
}

/// Why a batch was not taken. The collector's, or that of the operator who says where it is.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// There is no answer.
    #[error("it does not answer")]
    NoAnswer(#[source] TransportError),
    /// It says no.
    #[error("it answered {status}")]
    Refused {
        /// Its status.
        status: StatusCode,
        /// How long it asks to be left alone.
        retry_after: Option<Duration>,
    },
}

impl Failure {
    /// Whether the same batch may be taken another time (OTLP specification, "Retryable Response Codes").
    pub(super) const fn may_pass(&self) -> bool {
        match self {
            Self::NoAnswer(_) => true,
            Self::Refused { status, .. } => matches!(status.as_u16(), 429 | 502 | 503 | 504),
        }
    }

    /// How long the collector asks to be left alone.
    pub(super) const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::NoAnswer(_) => None,
            Self::Refused { retry_after, .. } => *retry_after,
        }
    }
}

impl Collector {
    /// The collector of a configuration.
    ///
    /// # Errors
    /// [`ClientError`] when its CA or TLS is unusable.
    pub fn new(otlp: &Otlp) -> Result<Self, ClientError> {
        Ok(Self {
            transport: Transport::new(&otlp.transport)?,
            url: otlp.url.clone(),
            fields: otlp.headers.iter().cloned().collect(),
            service: otlp.service_name.as_str().into(),
        })
    }

    /// Where it is.
    pub(super) const fn url(&self) -> &Url {
        &self.url
    }

    /// Sends a batch, which may be empty: that is how a collector is tried.
    ///
    /// # Errors
    /// [`Failure`]; the collector has not taken it, as far as is known.
    pub async fn send(&self, batch: &[Span]) -> Result<(), Failure> {
        self.export(batch).await.map(drop)
    }

    /// Sends a batch; returns what the collector has not taken of it.
    pub(super) async fn export(&self, batch: &[Span]) -> Result<PartialSuccess, Failure> {
        let body = message::request(&self.service, batch);
        let (url, fields) = (self.url.clone(), self.fields.clone());
        let post = Post { url, content_type: "application/json", fields, body };
        let answer: Answer = self.transport.post(post, LIMIT).await.map_err(Failure::NoAnswer)?;
        if !answer.status.is_success() {
            return Err(Failure::Refused { status: answer.status, retry_after: answer.retry_after() });
        }
        Ok(PartialSuccess::of(&answer.body.unwrap_or_default()))
    }
}
