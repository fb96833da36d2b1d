//! What a request presents: a bearer token in the header, a session in the cookies, or the certificate of its connection.
//!
//! With a bearer token in the header, the header decides alone, and else the cookies do where there are any: what is presented
//! is never mixed, and what does not count never makes room for the next. Nothing is verified here.

use std::sync::Arc;

use http::HeaderMap;
use http::header::AUTHORIZATION;

use super::certificate::ClientCertificate;
use super::cookies::{CookieNames, FoundCookies};
use crate::oauth::{AccessToken, BearerError, bearer};

/// What a request presents.
pub struct Credentials {
    /// The token of `Authorization: Bearer`, if there is one. It decides alone.
    pub bearer: Option<AccessToken>,
    /// Usher's cookies, which have been taken out of the request.
    pub cookies: FoundCookies,
    /// The verified certificate of the connection, where the site takes it for an identity.
    pub certificate: Option<Arc<ClientCertificate>>,
}

/// Why the credentials cannot be taken at their word (RFC 6750 §3.1: `invalid_request`). The client's mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CredentialsError {
    /// More than one `Authorization` line: which one would the application believe?
    #[error("the request has more than one Authorization header")]
    Several,
    /// A bearer credential that is none.
    #[error(transparent)]
    Malformed(#[from] BearerError),
}

impl Credentials {
    /// Reads the credentials, and takes what is Usher's out of the request: its cookies always (law 9), the bearer token
    /// too, for the application gets it only where a route forwards it. `Authorization` of other schemes stays: it is the
    /// application's.
    ///
    /// # Errors
    /// [`CredentialsError`] when there are several credentials, or a malformed one.
    pub fn take(headers: &mut HeaderMap, names: &CookieNames) -> Result<Self, CredentialsError> {
        let cookies = names.take(headers);
        let mut lines = headers.get_all(AUTHORIZATION).iter();
        let bearer = match (lines.next(), lines.next()) {
            (Some(_), Some(_)) => return Err(CredentialsError::Several),
            (Some(only), None) => bearer::parse(only)?.map(AccessToken::new),
            (None, _) => None,
        };
        if bearer.is_some() {
            headers.remove(AUTHORIZATION);
        }
        Ok(Self { bearer, cookies, certificate: None })
    }

    /// The same on a connection whose handshake has verified this certificate.
    #[must_use]
    pub fn with_certificate(self, certificate: Option<Arc<ClientCertificate>>) -> Self {
        Self { certificate, ..self }
    }

    /// The certificate, where nothing else is presented.
    #[must_use]
    pub fn deciding_certificate(&self) -> Option<&ClientCertificate> {
        self.certificate.as_deref().filter(|_| self.bearer.is_none() && !self.cookies.any())
    }

    /// Whether a browser attaches by itself what would authenticate this request, the cookies or the certificate: whoever made
    /// it send the request matters.
    #[must_use]
    pub fn are_ambient(&self) -> bool {
        self.by_cookie() || self.deciding_certificate().is_some()
    }

    /// Whether it is the cookies that would authenticate this request: a browser attaches them by itself, so whoever made
    /// it send the request matters (RFC 6750 §5.3).
    #[must_use]
    pub fn by_cookie(&self) -> bool {
        self.bearer.is_none() && self.cookies.any()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Cookies;
    use http::HeaderValue;

    fn take(lines: &[(&'static str, &'static str)]) -> (Result<Credentials, CredentialsError>, HeaderMap) {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_static(value));
        }
        (Credentials::take(&mut headers, &CookieNames::new(&Cookies::Sealed)), headers)
    }

    #[test]
    fn a_bearer_token_is_taken_out_of_the_request() {
        let (credentials, headers) = take(&[("authorization", "Bearer abc")]);
        assert_eq!(credentials.ok().unwrap().bearer.unwrap().expose(), "abc");
        assert!(!headers.contains_key(AUTHORIZATION));
    }

    #[test]
    fn other_schemes_stay_with_the_application() {
        let (credentials, headers) = take(&[("authorization", "Basic YTpi")]);
        assert!(credentials.ok().unwrap().bearer.is_none());
        assert_eq!(headers.get(AUTHORIZATION).unwrap(), "Basic YTpi");
    }

    #[test]
    fn several_credentials_are_refused_whatever_they_are() {
        for second in ["Bearer abc", "Basic YTpi"] {
            let (credentials, _) = take(&[("authorization", "Bearer abc"), ("authorization", second)]);
            assert_eq!(credentials.err(), Some(CredentialsError::Several));
        }
    }

    #[test]
    fn the_header_decides_alone() {
        let (credentials, _) = take(&[("authorization", "Bearer abc"), ("cookie", "__Host-usher-access=A")]);
        assert!(!credentials.ok().unwrap().by_cookie());
        let (credentials, _) = take(&[("cookie", "__Host-usher-access=A")]);
        assert!(credentials.ok().unwrap().by_cookie());
    }
}
