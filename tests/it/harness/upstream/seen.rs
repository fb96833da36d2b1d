//! A request as the application saw it.

use bytes::Bytes;
use http::{HeaderMap, Request, Version};
use serde_json::{Value, json};

/// One request, its fields in order, duplicates kept, values as text (bytes that are not UTF-8 are replaced).
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    /// The method.
    pub(crate) method: String,
    /// Path and query, as they stood in the request line or `:path`.
    pub(crate) target: String,
    /// `Host`, or `:authority`.
    pub(crate) host: String,
    /// The version.
    pub(crate) version: Version,
    /// The fields: names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    /// The body, as far as it came.
    pub(crate) body: Bytes,
    /// The trailers.
    pub(crate) trailers: Vec<(String, String)>,
    /// Whether the body came to a clean end.
    pub(crate) complete: bool,
}

impl Seen {
    pub(super) fn head<B>(request: &Request<B>) -> Self {
        let headers = pairs(request.headers());
        let host = headers.iter().find(|(name, _)| name == "host").map(|(_, value)| value.clone());
        let authority = request.uri().authority().map(ToString::to_string);
        Self {
            method: request.method().to_string(),
            target: request.uri().path_and_query().map_or_else(|| request.uri().to_string(), ToString::to_string),
            host: host.or(authority).unwrap_or_default(),
            version: request.version(),
            headers,
            body: Bytes::new(),
            trailers: Vec::new(),
            complete: false,
        }
    }

    /// Every value of a field, in order.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        self.headers
            .iter()
            .filter(|(seen, _)| seen.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
            .collect()
    }

    /// Every value of every field that an application server could take for `name`: CGI and WSGI turn `-` and more into
    /// `_`, and some drop what they do not know.
    pub(crate) fn folded(&self, name: &str) -> Vec<&str> {
        let fold = |text: &str| text.to_ascii_lowercase().replace(|letter: char| !letter.is_ascii_alphanumeric(), "");
        self.headers
            .iter()
            .chain(&self.trailers)
            .filter(|(seen, _)| fold(seen) == fold(name))
            .map(|(_, value)| value.as_str())
            .collect()
    }

    /// The one value of a field.
    #[track_caller]
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let all = self.all(name);
        assert!(all.len() < 2, "{name} came more than once: {all:?}");
        all.first().copied()
    }

    /// What the echo answers.
    pub(crate) fn to_json(&self) -> Value {
        json!({
            "method": self.method,
            "target": self.target,
            "host": self.host,
            "headers": self.headers,
            "body": String::from_utf8_lossy(&self.body),
            "trailers": self.trailers,
        })
    }
}

pub(super) fn pairs(headers: &HeaderMap) -> Vec<(String, String)> {
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect()
}
