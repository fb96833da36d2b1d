//! How Usher dials an issuer, or a collector of spans: bounded in time and bytes, without redirects and without a proxy from the environment.
//!
//! A redirect would carry a refresh token or a client secret to wherever the answer says; `HTTP_PROXY` would carry them
//! through whatever the environment says. Neither is followed. Nothing is sent twice either: whether a request may be
//! repeated is for the refresh protocol to decide. This module does *not* know what the answers mean.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::header::{ACCEPT, AGE, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, StatusCode};
use reqwest::redirect;
use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use rustls_platform_verifier::Verifier;
use url::Url;

use crate::config::IssuerTransport;

/// Shorter than the keep-alive of any common server (Node.js closes after 5 s), so that a request with a refresh token
/// does not race against the other side closing an idle connection: its outcome would be unknown.
const IDLE_CONNECTION: Duration = Duration::from_secs(4);

/// Whatever an issuer asks for, somebody looks again after five minutes.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(300);

/// Why no client could be made for an issuer. The operator's: the CA, or this machine's TLS set-up.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The configured CA is no list of PEM certificates.
    #[error("the CA is not a list of PEM certificates")]
    Ca(#[source] rustls_pki_types::pem::Error),
    /// TLS cannot be set up with these roots.
    #[error("TLS cannot be set up")]
    Tls(#[source] rustls::Error),
    /// The HTTP client cannot be built.
    #[error("the HTTP client cannot be built")]
    Http(#[source] reqwest::Error),
}

/// Why there is no answer, or no whole one. That of whoever was asked, or the network's.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// No connection: refused, no such name, TLS failed, no handshake in time. Nothing was sent.
    #[error("no connection")]
    Connect(#[source] reqwest::Error),
    /// The connection stood and then broke, or no answer came in time. What was sent may have had its effect.
    #[error("the exchange broke off")]
    Broken(#[source] reqwest::Error),
    /// Nothing is dialled: whoever started this wants it so. Nothing was sent.
    #[error("nobody is dialled, as was asked for")]
    Offline,
    /// The answer is longer than anything sensible.
    #[error("the answer is longer than {limit} bytes")]
    TooLarge {
        /// The bound, in bytes.
        limit: usize,
    },
}

/// An HTTP client for issuers that are dialled alike. Clones share its connections.
#[derive(Clone, Debug)]
pub struct Transport {
    /// `None`: nothing is dialled.
    client: Option<reqwest::Client>,
}

/// What came back.
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its header fields.
    pub(super) headers: HeaderMap,
    /// Broken when only the head arrived whole.
    pub body: Result<Vec<u8>, TransportError>,
}

/// What is posted.
pub struct Post {
    /// Where to.
    pub url: Url,
    /// What the body is.
    pub content_type: &'static str,
    /// Other fields of its head; what is secret in them is marked as sensitive.
    pub fields: HeaderMap,
    /// The body.
    pub body: String,
}

impl Transport {
    /// A client for this way of dialling.
    ///
    /// # Errors
    /// [`ClientError`] when the CA or TLS is unusable.
    pub fn new(config: &IssuerTransport) -> Result<Self, ClientError> {
        if config.offline {
            return Ok(Self { client: None });
        }
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(trusting(config.ca.as_deref())?)
            .redirect(redirect::Policy::none())
            .referer(false)
            .no_proxy()
            .retry(reqwest::retry::never())
            .timeout(config.timeout)
            // Half, so that a connection which does not come about is known as such and not as an answer that is missing.
            .connect_timeout(config.timeout / 2)
            .pool_idle_timeout(IDLE_CONNECTION)
            .user_agent(concat!("usher/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(ClientError::Http)?;
        Ok(Self { client: Some(client) })
    }

    /// Fetches a document of at most `limit` bytes.
    pub(super) async fn get(&self, url: Url, limit: usize) -> Result<Answer, TransportError> {
        answer(self.client()?.get(url), limit).await
    }

    /// Posts, and reads an answer of at most `limit` bytes.
    ///
    /// # Errors
    /// [`TransportError`] when there is no answer.
    pub async fn post(&self, post: Post, limit: usize) -> Result<Answer, TransportError> {
        let request = self.client()?.post(post.url).headers(post.fields);
        answer(request.header(CONTENT_TYPE, post.content_type).body(post.body), limit).await
    }

    fn client(&self) -> Result<&reqwest::Client, TransportError> {
        self.client.as_ref().ok_or(TransportError::Offline)
    }
}

/// TLS with aws-lc-rs, the system's roots and the configured ones.
pub(crate) fn trusting(ca: Option<&[u8]>) -> Result<ClientConfig, ClientError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(ClientError::Tls)?;
    let Some(ca) = ca else {
        // A minimal container may have no roots at all and reach its issuer over plain HTTP: then https fails when it is
        // dialled, and not everything at start.
        return Ok(match Verifier::new(provider) {
            Ok(verifier) => {
                builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth()
            }
            Err(error) => {
                tracing::warn!(%error, "no certificate of an issuer can be trusted: this machine has no roots");
                builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth()
            }
        });
    };
    let extra = CertificateDer::pem_slice_iter(ca).collect::<Result<Vec<_>, _>>().map_err(ClientError::Ca)?;
    let verifier = Verifier::new_with_extra_roots(extra, provider).map_err(ClientError::Tls)?;
    Ok(builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth())
}

async fn answer(request: reqwest::RequestBuilder, limit: usize) -> Result<Answer, TransportError> {
    let mut response = request.header(ACCEPT, "application/json").send().await.map_err(failure)?;
    let (status, headers) = (response.status(), std::mem::take(response.headers_mut()));
    Ok(Answer { status, headers, body: read(response, limit).await })
}

async fn read(mut response: reqwest::Response, limit: usize) -> Result<Vec<u8>, TransportError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(failure)? {
        if body.len() + chunk.len() > limit {
            return Err(TransportError::TooLarge { limit });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// URLs of an issuer may carry credentials: they stay out of errors.
fn failure(error: reqwest::Error) -> TransportError {
    let error = error.without_url();
    if error.is_connect() || error.is_builder() {
        TransportError::Connect(error)
    } else {
        TransportError::Broken(error)
    }
}

impl Answer {
    /// Whether the answer says that it is JSON: `application/json` or any `application/*+json` (RFC 6839 §3.1).
    pub(super) fn is_json(&self) -> bool {
        let Some(value) = self.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()) else { return false };
        let essence = value.split(';').next().unwrap_or_default().trim();
        essence.split_once('/').is_some_and(|(kind, subtype)| {
            let suffix = subtype.rsplit_once('+').map_or(subtype, |(_, suffix)| suffix);
            kind.eq_ignore_ascii_case("application") && suffix.eq_ignore_ascii_case("json")
        })
    }

    /// How long the issuer asks to be left alone (RFC 9110 §10.2.3: seconds or a date), five minutes at most.
    pub fn retry_after(&self) -> Option<Duration> {
        let value = self.headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
        let wait = match value.parse() {
            Ok(seconds) => Duration::from_secs(seconds),
            // A date counts from the issuer's own clock, which its `Date` shows; without that it says nothing.
            Err(_) => httpdate::parse_http_date(value).ok()?.duration_since(self.date()?).unwrap_or_default(),
        };
        Some(wait.min(LONGEST_RETRY_AFTER))
    }

    /// What time it was at the issuer when this came from there: a cache on the way has had it for as long as `Age` says (RFC 9111
    /// §5.1).
    pub(super) fn sent_at(&self) -> Option<SystemTime> {
        let age = self.headers.get(AGE).and_then(|age| age.to_str().ok()?.trim().parse().ok()).unwrap_or(0);
        self.date()?.checked_add(Duration::from_secs(age))
    }

    fn date(&self) -> Option<SystemTime> {
        httpdate::parse_http_date(self.headers.get(http::header::DATE)?.to_str().ok()?).ok()
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn answer(name: http::HeaderName, value: &'static str) -> Answer {
        let headers = HeaderMap::from_iter([(name, HeaderValue::from_static(value))]);
        Answer { status: StatusCode::OK, headers, body: Ok(Vec::new()) }
    }

    #[test]
    fn json_is_told_by_its_media_type() {
        for json in ["application/json", "Application/JSON; charset=utf-8", "application/jwk-set+json"] {
            assert!(answer(CONTENT_TYPE, json).is_json(), "{json}");
        }
        for other in ["text/html", "text/json", "application/jsonp", "application/json+xml", "json", ""] {
            assert!(!answer(CONTENT_TYPE, other).is_json(), "{other}");
        }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_and_has_a_cap() {
        assert_eq!(answer(RETRY_AFTER, "7").retry_after(), Some(Duration::from_secs(7)));
        assert_eq!(answer(RETRY_AFTER, "86400").retry_after(), Some(LONGEST_RETRY_AFTER));
        assert_eq!(answer(RETRY_AFTER, "soon").retry_after(), None);
        assert_eq!(answer(RETRY_AFTER, "-1").retry_after(), None);
        assert_eq!(answer(RETRY_AFTER, "Sun, 06 Nov 1994 08:49:37 GMT").retry_after(), None, "without a Date");
        let mut dated = answer(RETRY_AFTER, "Sun, 06 Nov 1994 08:49:37 GMT");
        dated.headers.insert(http::header::DATE, HeaderValue::from_static("Sun, 06 Nov 1994 08:49:07 GMT"));
        assert_eq!(dated.retry_after(), Some(Duration::from_secs(30)));
        dated.headers.insert(RETRY_AFTER, HeaderValue::from_static("Thu, 01 Jan 1970 00:00:00 GMT"));
        assert_eq!(dated.retry_after(), Some(Duration::ZERO), "in the past");
    }
}
