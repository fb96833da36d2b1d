//! What framing demands of a request's head, on HTTP/1.1 and on HTTP/2. Everything else passes as the gateway made it.

use http::header::{CONNECTION, CONTENT_LENGTH, HOST, TE, TRANSFER_ENCODING, UPGRADE};
use http::uri::{Authority, PathAndQuery};
use http::{HeaderMap, HeaderValue, Method, Request, Response, Uri, Version};
use http_body::Body as _;

use crate::forwarding::error::ForwardError;
use crate::forwarding::request_body::RequestBody;
use crate::forwarding::upgrade;
use crate::forwarding::upstreams::Address;

/// Makes a request ready for HTTP/1.1.
pub(super) fn for_http1(
    request: &mut Request<RequestBody>,
    upgrade: Option<&upgrade::Protocol>,
) -> Result<(), ForwardError> {
    *request.version_mut() = Version::HTTP_11;
    to_origin_form(request)?;
    let length = measure(request);
    let headers = request.headers_mut();
    match length {
        Length::Known => {}
        // hyper drops the body of unknown length of a GET unless it is told.
        Length::Unknown => drop(headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"))),
    }
    if let Some(protocol) = upgrade {
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, protocol.value().clone());
    } else if headers.contains_key(TE) {
        // RFC 9110 §10.1.4: TE is for the next hop only, which is said like this.
        headers.insert(CONNECTION, HeaderValue::from_static("te"));
    }
    Ok(())
}

/// Makes a request ready for HTTP/2: the authority stands in the URI, not in `Host`.
pub(super) fn for_http2(request: &mut Request<RequestBody>, address: &Address) -> Result<(), ForwardError> {
    *request.version_mut() = Version::HTTP_2;
    measure(request);
    if request.uri().authority().is_none() {
        let authority = match request.headers_mut().remove(HOST) {
            Some(host) => Authority::try_from(host.as_bytes()).ok(),
            None => address.authority(),
        };
        let uri = Uri::builder()
            .scheme(address.scheme())
            .authority(authority.ok_or(ForwardError::InvalidAuthority)?)
            .path_and_query(path_and_query(request.uri()));
        *request.uri_mut() = uri.build().map_err(|_| ForwardError::InvalidAuthority)?;
    }
    Ok(())
}

/// Makes the response's framing headers true: `Transfer-Encoding` was the last hop's, and a `Content-Length` beside it is
/// a lie (RFC 9112 §6.3).
pub(super) fn of_response<B>(response: &mut Response<B>) {
    *response.version_mut() = Version::HTTP_11;
    if response.headers_mut().remove(TRANSFER_ENCODING).is_some() {
        response.headers_mut().remove(CONTENT_LENGTH);
    }
}

enum Length {
    Known,
    Unknown,
}

/// Builds the framing anew from the body as it is, whatever the headers say: one correct `Content-Length` or none.
fn measure(request: &mut Request<RequestBody>) -> Length {
    let length = request.body().size_hint().exact();
    let means_body = matches!(*request.method(), Method::POST | Method::PUT | Method::PATCH);
    let headers = request.headers_mut();
    headers.remove(TRANSFER_ENCODING);
    let Some(length) = length else {
        headers.remove(CONTENT_LENGTH);
        return Length::Unknown;
    };
    // RFC 9110 §8.6: no length for methods that mean nothing by a body, unless there is one.
    if length == 0 && !means_body {
        headers.remove(CONTENT_LENGTH);
    } else if !says(headers, length) {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    Length::Known
}

fn says(headers: &HeaderMap, length: u64) -> bool {
    let mut values = headers.get_all(CONTENT_LENGTH).iter();
    match (values.next().map(HeaderValue::to_str), values.next()) {
        (Some(Ok(value)), None) => value.parse() == Ok(length),
        _ => false,
    }
}

/// Undoes [`for_http2`], for a request that is repeated on another connection.
fn to_origin_form(request: &mut Request<RequestBody>) -> Result<(), ForwardError> {
    if let Some(authority) = request.uri().authority() {
        let host = HeaderValue::from_str(authority.as_str()).map_err(|_| ForwardError::InvalidAuthority)?;
        request.headers_mut().insert(HOST, host);
        *request.uri_mut() = Uri::from(path_and_query(request.uri()));
    }
    Ok(())
}

fn path_and_query(uri: &Uri) -> PathAndQuery {
    uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"))
}
