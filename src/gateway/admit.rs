//! Step 1: is this a request that everybody between here and the application reads the same way?
//!
//! Host, target and framing are checked before anything is decided, because hyper hands over what parses (see the traps in
//! the checks below). The result is the one canonical target that routes are matched with and that is forwarded (law 2).

use std::borrow::Cow;

use http::header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::{HeaderValue, Method, Request, Version};

use super::Connection;
use crate::config::Site;
use crate::forwarding::forwarded;
use crate::routing::{CanonicalPath, HostError, PathError, Router, canonical_host, check_query};

/// Where Usher's own endpoints live.
const OWN_PREFIX: &str = "/.usher";

/// The one reading of a request's target.
#[derive(Debug)]
pub(super) struct Target {
    /// The canonical host, without port.
    pub(super) host: Box<str>,
    /// The canonical path: the bytes that are matched and the bytes that are forwarded.
    pub(super) path: CanonicalPath<'static>,
    /// The query as it was sent, without its `?`.
    pub(super) query: Option<Box<str>>,
    /// Host and port as the client said them, lower case.
    authority: Box<str>,
    /// The canonical host that a proxy says it was asked for, when that proxy is believed.
    said_host: Option<Box<str>>,
    /// Whether the client speaks TLS, to Usher or to a proxy that is believed.
    pub(super) secure: bool,
}

/// Why a request is refused before it is looked at. The client's mistake, or an attack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AdmitError {
    /// RFC 9112 §3.2.
    #[error("the request has no Host header")]
    NoHost,
    /// RFC 9112 §3.2: hyper lets them through.
    #[error("the request has more than one Host header")]
    SeveralHosts,
    /// RFC 9113 §8.3.1: the two must say the same. So must X-Forwarded-Host, as far as it names one of our sites.
    #[error("the request names two hosts")]
    HostMismatch,
    /// The host is not one.
    #[error("the host is not valid: {0}")]
    Host(#[source] HostError),
    /// The target is neither origin-form nor absolute-form with http or https.
    #[error("the request target has a form that is not served here")]
    TargetForm,
    /// The path can be read in more than one way.
    #[error("the path is not valid: {0}")]
    Path(#[source] PathError),
    /// The query has bytes that no URL has.
    #[error("the query is not valid")]
    Query,
    /// RFC 9112 §6.1: a sign of request smuggling; hyper lets some of it through.
    #[error("the request's framing is ambiguous")]
    Framing,
    /// RFC 9113 §8.2.1: h2 lets it through. A field that begins with a space is another one to whoever trims it.
    #[error("a header field begins or ends with white space")]
    Padding,
    /// TRACE and CONNECT are for nobody here (RFC 9110 §9.3.6, §9.3.8), and neither is a method in small letters.
    #[error("this method is not served here")]
    Method,
}

/// Admits a request, or says why not.
pub(super) fn admit<B>(request: &Request<B>, connection: &Connection) -> Result<Target, AdmitError> {
    check_method(request.method())?;
    check_framing(request)?;
    check_padding(request)?;
    let authority = authority(request)?;
    let host = canonical_host(&authority).map_err(AdmitError::Host)?;
    let path = CanonicalPath::parse(request.uri().path()).map_err(AdmitError::Path)?;
    let query = request.uri().query();
    if query.is_some_and(|query| check_query(query).is_err()) {
        return Err(AdmitError::Query);
    }
    let said_host = if connection.peer_trusted { forwarded::said_host(request.headers()) } else { None };
    let said_host = said_host.map(canonical_host).transpose().map_err(AdmitError::Host)?;
    Ok(Target {
        host: Box::from(&*host),
        said_host: said_host.map(Box::from),
        path: path.into_owned(),
        query: query.map(Box::from),
        secure: connection.secure || (connection.peer_trusted && forwarded::says_https(request.headers())),
        authority: authority.to_ascii_lowercase().into_boxed_str(),
    })
}

/// Methods are compared with their case (RFC 9110 §9.1), but Werkzeug, Django and Symfony turn them into capitals: to a
/// route `post` is another method than `POST`, and to the application it is the same one.
fn check_method(method: &Method) -> Result<(), AdmitError> {
    let small = method.as_str().bytes().any(|byte| byte.is_ascii_lowercase());
    if small || matches!(*method, Method::CONNECT | Method::TRACE) { Err(AdmitError::Method) } else { Ok(()) }
}

/// Exactly one host, from wherever the protocol version puts it.
pub(super) fn authority<B>(request: &Request<B>) -> Result<Cow<'_, str>, AdmitError> {
    let mut lines = request.headers().get_all(HOST).iter();
    let header = match (lines.next(), lines.next()) {
        (Some(_), Some(_)) => return Err(AdmitError::SeveralHosts),
        (line, _) => line
            .map(|line| std::str::from_utf8(line.as_bytes()).map_err(|_| AdmitError::Host(HostError::BadName)))
            .transpose()?,
    };
    let uri = request.uri();
    match (uri.authority(), header) {
        (None, Some(host)) => Ok(Cow::Borrowed(host)),
        (None, None) => Err(AdmitError::NoHost),
        (Some(_), _) if !matches!(uri.scheme_str(), Some("http" | "https")) => Err(AdmitError::TargetForm),
        // RFC 9112 §3.2.2 lets the target win; a client that names two hosts is refused rather than guessed at.
        (Some(target), Some(host)) if !host.eq_ignore_ascii_case(target.as_str()) => Err(AdmitError::HostMismatch),
        (Some(target), _) => Ok(Cow::Borrowed(target.as_str())),
    }
}

/// RFC 9112 §6: one framing. hyper refuses differing Content-Lengths by itself, but accepts one beside Transfer-Encoding,
/// and codings before `chunked`.
fn check_framing<B>(request: &Request<B>) -> Result<(), AdmitError> {
    let headers = request.headers();
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    let Some(coding) = codings.next() else { return Ok(()) };
    let only_chunked = coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked") && codings.next().is_none();
    if !only_chunked || headers.contains_key(CONTENT_LENGTH) || request.version() != Version::HTTP_11 {
        return Err(AdmitError::Framing);
    }
    Ok(())
}

/// HTTP/1.1 takes white space off a value when it is read; on HTTP/2 there must be none, and it is part of the value. The
/// application, which gets it over HTTP/1.1 again, would read ` Bearer x` as a token that was never looked at.
fn check_padding<B>(request: &Request<B>) -> Result<(), AdmitError> {
    let is_padded = |value: &HeaderValue| {
        let ends = (value.as_bytes().first(), value.as_bytes().last());
        matches!(ends, (Some(b' ' | b'\t'), _) | (_, Some(b' ' | b'\t')))
    };
    let padded = request.version() == Version::HTTP_2 && request.headers().values().any(is_padded);
    if padded { Err(AdmitError::Padding) } else { Ok(()) }
}

impl Target {
    /// Whether the path is one of Usher's own, existing or not.
    pub(super) fn is_own(&self) -> bool {
        self.path.as_str().strip_prefix(OWN_PREFIX).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// An application that believes X-Forwarded-Host answers for that host, and a load balancer may pass on what a client
    /// has written there. So it must not name another site than the one that decides: its rules would not be looked at.
    pub(super) fn check_site(&self, router: &Router) -> Result<(), AdmitError> {
        let said = self.said_host.as_deref().and_then(|host| router.site(host));
        let decides = |said: &Site| router.site(&self.host).is_some_and(|site| std::ptr::eq(said, site));
        if said.is_none_or(decides) { Ok(()) } else { Err(AdmitError::HostMismatch) }
    }

    /// The scheme as the browser sees it.
    pub(super) const fn scheme(&self) -> &'static str {
        if self.secure { "https" } else { "http" }
    }

    /// Host and, where the client said it, port.
    pub(super) fn authority(&self) -> &str {
        &self.authority
    }

    /// `Host` as the application gets it: the host that was matched, and the port if the client said one. A dot at the end
    /// would lead to another virtual host there than the one that was decided about.
    pub(super) fn host_field(&self) -> String {
        let port = self.authority.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
        port.map_or_else(|| self.host.to_string(), |port| format!("{}:{port}", self.host))
    }

    /// Scheme, host and port as a browser compares them: without the port that goes without saying.
    pub(super) fn origin(&self) -> String {
        let default_port = if self.secure { ":443" } else { ":80" };
        let host = self.host_field();
        format!("{}://{}", self.scheme(), host.strip_suffix(default_port).unwrap_or(&host))
    }

    /// Whether this `Host` line of the request is [`Target::host_field`] already. May say no where it is.
    pub(super) fn is_host_field(&self, line: &[u8]) -> bool {
        match line.strip_prefix(self.host.as_bytes()) {
            Some([]) => true,
            // The number has been checked; here it must not be spelt in another way.
            Some([b':', b'1'..=b'9', digits @ ..]) => digits.iter().all(u8::is_ascii_digit),
            _ => false,
        }
    }

    /// This path with the query as it came.
    pub(super) fn path_and_query(&self, path: &str) -> String {
        match &self.query {
            Some(query) => format!("{path}?{query}"),
            None => path.to_owned(),
        }
    }
}
