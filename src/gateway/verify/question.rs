//! A question: a request that another proxy describes, with header fields or with the rest of the path.
//!
//! There is one way to say each thing, and it is said once. A client may write the same fields, and a proxy that adds its own
//! beside them instead of in their place has two of them: nobody can tell then which one is the proxy's.

use http::header::{CONTENT_LENGTH, EXPECT, FORWARDED, HOST, TRANSFER_ENCODING, UPGRADE};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri};

use super::super::admit::{self, AdmitError};
use super::super::{Connection, Rejection};
use crate::config::Site;
use crate::routing::{Router, canonical_host};

const X_FORWARDED_METHOD: HeaderName = HeaderName::from_static("x-forwarded-method");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_URI: HeaderName = HeaderName::from_static("x-forwarded-uri");

/// Where a question is asked; below it, what follows is the path and query that it is about, and its method the one.
const VERIFY: &str = "/.usher/verify";
/// The same for a proxy that understands nothing but statuses.
const AUTH_REQUEST: &str = "/.usher/auth-request";
/// Where that proxy gets what it shows to whoever has been refused.
const REFUSAL: &str = "/.usher/auth-request/refusal";

/// What the proxy does with the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// It hands any answer but 200 on to the client as it is.
    Whole,
    /// It looks at the status, of which it knows 200, 401 and 403, and at fields by their names (`auth_request` of nginx).
    Statuses,
    /// It has been told that the request is refused, and hands the answer on in any case.
    Refusal,
}

impl Form {
    /// What the path of a question asks for.
    pub(super) fn of(path: &str) -> Self {
        match path {
            AUTH_REQUEST => Self::Statuses,
            REFUSAL => Self::Refusal,
            _ => Self::Whole,
        }
    }
}

/// Why a question is not answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuestionError {
    /// Whoever could describe requests would get what others are told. The operator's mistake, or an attack.
    #[error("a peer that is not in trusted_proxies asks at listen.verify")]
    Stranger,
    /// The listener is for questions only. Whoever sends the request.
    #[error(
        "listen.verify answers questions of other proxies, at /.usher/verify and /.usher/auth-request, and nothing else"
    )]
    NoQuestion,
    /// The proxy does not say all that is needed. The operator's mistake.
    #[error("the proxy does not say {0} of the request that it asks about")]
    Missing(HeaderName),
    /// Said more than once, mostly by the client and then by the proxy; or no value of its kind. The client, or the operator.
    #[error("{0} is not said once and properly of the request that is asked about")]
    Unreadable(HeaderName),
    /// The path that is asked about and a header field differ. The client, or the operator.
    #[error("{0} says another thing than the path that the question was sent to")]
    Contradiction(HeaderName),
    /// The application could believe a field that only Usher may write, and it cannot be taken off here. The client.
    #[error("the request carries {0}, which must not reach the application: have the proxy take it off before it asks")]
    Impostor(HeaderName),
    /// The tokens in the answer would go past Usher to the browser. The operator's mistake.
    #[error("this is the login of an issuer: the proxy must send it through Usher instead of asking")]
    LoginPassesBy,
    /// The request has just been refused, and would pass by now. Nobody's fault.
    #[error("the request would pass by now")]
    Overtaken,
}

/// Turns a question into the request that it is about. A question that cannot be read stays as it is.
pub(super) fn describe(request: &mut Request<()>, connection: &Connection, router: &Router) -> Result<(), Rejection> {
    if !connection.peer_trusted {
        return Err(QuestionError::Stranger.into());
    }
    let (method, uri) = read(request)?;
    let asked = admit::authority(request)?;
    let said = once(request.headers(), &X_FORWARDED_HOST)?.map(ToOwned::to_owned);
    if let Some(said) = &said
        && let (Some(asked), Some(said)) = (site(router, &asked), site(router, said))
        && !std::ptr::eq(asked, said)
    {
        // The proxy asks for one site in the name of another: one of the two is what a client has written.
        return Err(AdmitError::HostMismatch.into());
    }
    let host = HeaderValue::try_from(said.unwrap_or_else(|| asked.into_owned()));
    let host = host.map_err(|_| QuestionError::Unreadable(X_FORWARDED_HOST))?;
    let scheme = needed(request.headers(), X_FORWARDED_PROTO, scheme)?;

    *request.method_mut() = method;
    *request.uri_mut() = Uri::from(uri);
    let headers = request.headers_mut();
    // What described the request is no part of it, nor is what was said of a body: it stays with the proxy. `Forwarded` does
    // not describe it, so the proxy passes on the client's: beside the proxy's word that would take a client out of the limits.
    for name in [X_FORWARDED_METHOD, X_FORWARDED_HOST, X_FORWARDED_URI, FORWARDED] {
        headers.remove(name);
    }
    for name in [CONTENT_LENGTH, TRANSFER_ENCODING, EXPECT] {
        headers.remove(name);
    }
    headers.insert(HOST, host);
    headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static(scheme));
    // `Upgrade` is the proxy's affair, and mostly not passed on; but where a WebSocket comes from matters (W04).
    if ["sec-websocket-key", "sec-websocket-version"].iter().any(|name| headers.contains_key(*name)) {
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    }
    Ok(())
}

/// Which request it is, without its host.
fn read(request: &Request<()>) -> Result<(Method, PathAndQuery), QuestionError> {
    let headers = request.headers();
    if matches!(request.uri().path(), VERIFY | AUTH_REQUEST | REFUSAL) {
        let method = needed(headers, X_FORWARDED_METHOD, |said| Method::from_bytes(said.as_bytes()).ok())?;
        return Ok((method, needed(headers, X_FORWARDED_URI, target)?));
    }
    let below = request.uri().path_and_query().and_then(|whole| whole.as_str().strip_prefix(VERIFY));
    let below = below.and_then(target).ok_or(QuestionError::NoQuestion)?;
    if once(headers, &X_FORWARDED_URI)?.is_some_and(|said| said != below.as_str()) {
        return Err(QuestionError::Contradiction(X_FORWARDED_URI));
    }
    if once(headers, &X_FORWARDED_METHOD)?.is_some_and(|said| said != request.method().as_str()) {
        return Err(QuestionError::Contradiction(X_FORWARDED_METHOD));
    }
    Ok((request.method().clone(), below))
}

/// A path and query as they stand in a request line. `http` would drop a fragment, of which the proxy knows nothing.
fn target(text: &str) -> Option<PathAndQuery> {
    let parsed = PathAndQuery::try_from(text).ok().filter(|_| text.starts_with('/'))?;
    (parsed.as_str() == text).then_some(parsed)
}

/// Some proxies name the protocol of a WebSocket.
fn scheme(said: &str) -> Option<&'static str> {
    let is = |scheme: &str| said.eq_ignore_ascii_case(scheme);
    if is("https") || is("wss") {
        Some("https")
    } else if is("http") || is("ws") {
        Some("http")
    } else {
        None
    }
}

fn needed<T>(headers: &HeaderMap, name: HeaderName, parse: impl Fn(&str) -> Option<T>) -> Result<T, QuestionError> {
    match once(headers, &name)? {
        None => Err(QuestionError::Missing(name)),
        Some(said) => parse(said).ok_or(QuestionError::Unreadable(name)),
    }
}

/// The only line of a field. A list is none of the values here, but a URI may have a comma: each kind of value sees to that.
fn once<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<Option<&'h str>, QuestionError> {
    let mut lines = headers.get_all(name).iter();
    match (lines.next(), lines.next()) {
        (None, _) => Ok(None),
        (Some(line), None) => match line.to_str() {
            Ok(text) if !text.is_empty() => Ok(Some(text)),
            _ => Err(QuestionError::Unreadable(name.clone())),
        },
        (Some(_), Some(_)) => Err(QuestionError::Unreadable(name.clone())),
    }
}

fn site<'r>(router: &'r Router, host: &str) -> Option<&'r Site> {
    router.site(&canonical_host(host).ok()?)
}
