//! How Usher dials an authority: as it dials issuers, bounded in time and bytes, without redirects and without a proxy from
//! the environment.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{DATE, RETRY_AFTER};
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt as _, Full};
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use reqwest::redirect;

use super::error::OrderError;
use crate::issuer;

const TIMEOUT: Duration = Duration::from_secs(30);

/// No answer of an authority is longer: a chain of certificates is some kilobytes.
const MOST_BYTES: usize = 1 << 20;

/// Whatever an authority asks for, somebody looks again after a week.
const LONGEST_WAIT: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Clones share their connections, and what the authority asked for.
#[derive(Clone, Debug)]
pub(super) struct Transport {
    client: reqwest::Client,
    wait: Arc<Mutex<Option<Duration>>>,
}

impl Transport {
    pub(super) fn new(ca: Option<&[u8]>) -> Result<Self, OrderError> {
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(issuer::trusting(ca).map_err(OrderError::Client)?)
            .redirect(redirect::Policy::none())
            .referer(false)
            .no_proxy()
            .https_only(true)
            .retry(reqwest::retry::never())
            .timeout(TIMEOUT)
            .build()
            .map_err(|error| OrderError::Client(issuer::ClientError::Http(error)))?;
        Ok(Self { client, wait: Arc::default() })
    }

    /// How long the authority asked to be left alone with its last answer, if that was a refusal.
    pub(super) fn asked_to_wait(&self) -> Option<Duration> {
        *self.wait.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HttpClient for Transport {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let Self { client, wait } = self.clone();
        // What it asked for earlier is over when it is asked again.
        *wait.lock().unwrap_or_else(PoisonError::into_inner) = None;
        Box::pin(async move {
            let failure = |error: reqwest::Error| Error::Other(Box::new(error));
            let (head, body) = request.into_parts();
            let body = match body.collect().await {
                Ok(body) => body.to_bytes(),
                Err(never) => match never {},
            };
            let request = Request::from_parts(head, body);
            let request = reqwest::Request::try_from(request).map_err(failure)?;
            let mut response = client.execute(request).await.map_err(failure)?;
            let refused = response.status().is_client_error() || response.status().is_server_error();
            let asked = refused.then(|| retry_after(response.headers())).flatten();
            *wait.lock().unwrap_or_else(PoisonError::into_inner) = asked;
            bound_retry_after(response.headers_mut());
            let mut body = Vec::new();
            while let Some(chunk) = response.chunk().await.map_err(failure)? {
                if body.len() + chunk.len() > MOST_BYTES {
                    return Err(Error::Str("the answer is too long"));
                }
                body.extend_from_slice(&chunk);
            }
            let mut answer = Response::new(Full::new(Bytes::from(body)));
            *answer.status_mut() = response.status();
            *answer.headers_mut() = std::mem::take(response.headers_mut());
            Ok(BytesResponse::from(answer))
        })
    }
}

/// Seconds or a date (RFC 9110 §10.2.3), which counts from the authority's own clock.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let date = |name| httpdate::parse_http_date(headers.get(name)?.to_str().ok()?).ok();
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = match value.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => SystemTime::duration_since(&date(RETRY_AFTER)?, date(DATE)?).unwrap_or_default(),
    };
    Some(wait.min(LONGEST_WAIT))
}

/// Whoever reads it below adds it to the time without a look at how long it is, which panics when it is too long.
fn bound_retry_after(headers: &mut HeaderMap) {
    match retry_after(headers) {
        Some(wait) => drop(headers.insert(RETRY_AFTER, wait.as_secs().into())),
        None => drop(headers.remove(RETRY_AFTER)),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date_and_has_a_cap() {
        let asked = |value: &'static str| {
            let date = HeaderValue::from_static("Sun, 06 Nov 1994 08:49:07 GMT");
            let headers = [(RETRY_AFTER, HeaderValue::from_static(value)), (DATE, date)];
            retry_after(&HeaderMap::from_iter(headers))
        };
        assert_eq!(asked("7"), Some(Duration::from_secs(7)));
        assert_eq!(asked("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Duration::from_secs(30)));
        assert_eq!(asked("99999999"), Some(LONGEST_WAIT));
        assert_eq!(asked("soon"), None);
    }

    #[test]
    fn a_retry_after_that_would_overflow_the_time_is_handed_on_within_its_cap_and_other_nonsense_not_at_all() {
        let handed_on = |value: &'static str| {
            let mut headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static(value))]);
            headers.append(RETRY_AFTER, HeaderValue::from_static("18446744073709551614"));
            bound_retry_after(&mut headers);
            let values: Vec<_> =
                headers.get_all(RETRY_AFTER).iter().map(|value| value.to_str().unwrap().to_owned()).collect();
            values.join(" ")
        };
        assert_eq!(handed_on("18446744073709551615"), LONGEST_WAIT.as_secs().to_string());
        assert_eq!(handed_on("7"), "7");
        assert_eq!(handed_on("Fri, 31 Dec 9999 23:59:59 GMT"), "", "no date to count from");
        assert_eq!(handed_on("soon"), "");
    }
}
