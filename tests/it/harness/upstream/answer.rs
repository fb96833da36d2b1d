//! How the application answers.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, Response};
use serde_json::Value;

use crate::harness::body::{TestBody, full};

/// One way to answer a request.
#[derive(Clone, Debug)]
pub(crate) enum UpstreamAnswer {
    /// JSON of what was seen: see [`super::Seen::to_json`].
    Echo,
    /// Always the same.
    Fixed {
        /// The status.
        status: u16,
        /// The fields.
        headers: HeaderMap,
        /// The body.
        body: Bytes,
    },
    /// 200 with a body that the test feeds; for one request.
    Streamed {
        /// The fields.
        headers: HeaderMap,
        /// The body, until a request takes it.
        body: Arc<Mutex<Option<StreamedBody>>>,
    },
    /// The echo, after that long.
    After(Duration),
    /// No answer, ever.
    Hang,
    /// The connection closes without an answer.
    Hangup,
    /// An answer at once, with the request's body left unread.
    Early(u16),
}

/// A body in waiting.
pub(crate) struct StreamedBody(pub(super) TestBody);

impl std::fmt::Debug for StreamedBody {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("StreamedBody")
    }
}

impl UpstreamAnswer {
    /// This status, these fields, this text.
    pub(crate) fn fixed(status: u16, headers: &[(&'static str, &str)], body: impl Into<Bytes>) -> Self {
        Self::Fixed { status, headers: fields(headers), body: body.into() }
    }

    /// 200 with JSON.
    pub(crate) fn json(body: &Value) -> Self {
        Self::fixed(200, &[(CONTENT_TYPE.as_str(), "application/json")], body.to_string())
    }

    pub(super) fn streamed(headers: &[(&'static str, &str)], body: TestBody) -> Self {
        Self::Streamed { headers: fields(headers), body: Arc::new(Mutex::new(Some(StreamedBody(body)))) }
    }
}

/// A response with these parts.
pub(super) fn response(status: u16, headers: HeaderMap, body: TestBody) -> Response<TestBody> {
    let mut response = Response::new(body);
    *response.status_mut() = status.try_into().unwrap();
    *response.headers_mut() = headers;
    response
}

/// The echo.
pub(super) fn json_response(body: &Value) -> Response<TestBody> {
    response(200, fields(&[(CONTENT_TYPE.as_str(), "application/json")]), full(body.to_string()))
}

fn fields(pairs: &[(&'static str, &str)]) -> HeaderMap {
    pairs.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap())).collect()
}
