//! The plain listener: 308 to the same host and path over https (RFC 9110 §15.4.9), and nothing else but the answer to a
//! certificate authority that looks whether a host is ours (RFC 8555 §8.3).

use std::sync::Arc;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HOST, LOCATION};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;

use super::service::Handler;
use crate::acme::Challenges;
use crate::gateway::Connection;
use crate::routing::{self, Router};

const HTTPS: u16 = 443;

/// Where a certificate authority looks.
const CHALLENGES: &str = "/.well-known/acme-challenge/";

/// Answers every request with where it should have gone.
#[derive(Debug)]
pub(super) struct Redirect {
    /// The sites: nobody is sent to a host that is not one of ours.
    pub(super) sites: Arc<Router>,
    /// What a certificate authority is shown.
    pub(super) challenges: Option<Arc<Challenges>>,
    /// The port of the TLS listener; `None`: there is none.
    pub(super) https_port: Option<u16>,
}

impl Handler for Redirect {
    type Body = Full<Bytes>;

    async fn handle(&self, connection: &Arc<Connection>, request: Request<Incoming>) -> Response<Self::Body> {
        if let Some(shown) = self.shown(&request) {
            return shown;
        }
        let mut response = Response::new(Full::default());
        match self.location(connection.local.port(), &request) {
            Ok(location) => {
                *response.status_mut() = StatusCode::PERMANENT_REDIRECT;
                response.headers_mut().insert(LOCATION, location);
            }
            Err(status) => *response.status_mut() = status,
        }
        response
    }
}

impl Redirect {
    /// What a certificate authority looks for, while it does. Any other path below that one is redirected: an application
    /// may order certificates of its own.
    fn shown<B>(&self, request: &Request<B>) -> Option<Response<Full<Bytes>>> {
        let token = request.uri().path().strip_prefix(CHALLENGES)?;
        let host = routing::canonical_host(authority(request)?).ok()?;
        let shown = self.challenges.as_ref()?.key_authorization(&host, token)?;
        if request.method() != Method::GET {
            return None;
        }
        let mut response = Response::new(Full::from(shown.as_bytes().to_vec()));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        Some(response)
    }

    /// The https URL of what is asked for. 400 when that has no valid host or no path, 421 when the host is not ours.
    fn location<B>(&self, local_port: u16, request: &Request<B>) -> Result<HeaderValue, StatusCode> {
        let authority = authority(request).ok_or(StatusCode::BAD_REQUEST)?;
        let host = routing::canonical_host(authority).map_err(|_| StatusCode::BAD_REQUEST)?;
        if self.sites.site(&host).is_none() {
            return Err(StatusCode::MISDIRECTED_REQUEST);
        }
        let target = request.uri().path_and_query().map_or("", http::uri::PathAndQuery::as_str);
        // `OPTIONS *` would otherwise become part of the host.
        if !target.starts_with('/') {
            return Err(StatusCode::BAD_REQUEST);
        }
        let port = self.public_port(port(authority), local_port).ok_or(StatusCode::MISDIRECTED_REQUEST)?;
        let port = if port == HTTPS { String::new() } else { format!(":{port}") };
        HeaderValue::try_from(format!("https://{host}{port}{target}")).map_err(|_| StatusCode::BAD_REQUEST)
    }

    /// The port that the client will find https at. A client that dialled another port than we listen on came through a
    /// port mapping (`80:8080`), of which we know but one thing: who maps 80 maps 443.
    fn public_port(&self, dialled: u16, local_port: u16) -> Option<u16> {
        let own = self.https_port?;
        Some(if dialled == local_port { own } else { HTTPS })
    }
}

/// The one authority of the request: that of an absolute target wins over `Host` (RFC 9112 §3.2.2), which must still be
/// there once.
fn authority<B>(request: &Request<B>) -> Option<&str> {
    let mut hosts = request.headers().get_all(HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else { return None };
    request.uri().authority().map_or_else(|| host.to_str().ok(), |authority| Some(authority.as_str()))
}

fn port(authority: &str) -> u16 {
    let port = authority.rsplit_once(':').map(|(_, port)| port);
    port.and_then(|port| port.parse().ok()).unwrap_or(80)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{HostPattern, Site};

    fn location(https_port: u16, local_port: u16, target: &str, hosts: &[&str]) -> Result<String, StatusCode> {
        let request = hosts.iter().fold(Request::get(target), |request, host| request.header(HOST, *host));
        let site = |host: &str| Site { host: HostPattern::Exact(host.to_owned()), routes: Vec::new() };
        let sites = Arc::new(Router::new(&[site("app.test")]));
        let redirect = Redirect { sites, challenges: None, https_port: Some(https_port) };
        let location = redirect.location(local_port, &request.body(()).unwrap());
        location.map(|location| location.to_str().unwrap().to_owned())
    }

    #[test]
    fn the_same_path_and_query_of_the_same_host_are_pointed_at() {
        assert_eq!(location(443, 80, "/a/%2e?b=c", &["App.test."]).unwrap(), "https://app.test/a/%2e?b=c");
        assert_eq!(location(443, 80, "http://app.test/x", &["other.test"]).unwrap(), "https://app.test/x");
    }

    #[test]
    fn the_port_of_https_is_named_when_it_is_not_443() {
        assert_eq!(location(8443, 8080, "/", &["app.test:8080"]).unwrap(), "https://app.test:8443/");
        assert_eq!(location(8443, 80, "/", &["app.test"]).unwrap(), "https://app.test:8443/");
    }

    #[test]
    fn behind_a_port_mapping_https_is_at_its_usual_port() {
        assert_eq!(location(8443, 8080, "/", &["app.test"]).unwrap(), "https://app.test/");
    }

    #[test]
    fn without_one_valid_host_or_a_path_there_is_no_redirect() {
        for hosts in [&[][..], &[""], &["app.test", "app.test"], &["app.test@evil.test"], &["app.test, evil.test"]] {
            assert_eq!(location(443, 80, "/", hosts), Err(StatusCode::BAD_REQUEST), "{hosts:?}");
        }
        assert_eq!(location(443, 80, "*", &["app.test"]), Err(StatusCode::BAD_REQUEST));
    }

    #[test]
    fn nobody_is_sent_to_a_host_that_is_not_ours() {
        assert_eq!(location(443, 80, "/", &["evil.test"]), Err(StatusCode::MISDIRECTED_REQUEST));
    }

    #[test]
    fn an_authority_finds_a_token_while_it_is_pending_under_its_own_host_only() {
        let challenges = Arc::new(Challenges::default());
        let showing = challenges.show_token("app.test", "token", "token.thumbprint");
        let redirect =
            Redirect { sites: Arc::new(Router::new(&[])), challenges: Some(challenges), https_port: Some(443) };
        let shown = |method: Method, target: &str, host: &str| {
            let request = Request::builder().method(method).uri(target).header(HOST, host).body(()).unwrap();
            redirect.shown(&request).map(|response| response.status())
        };
        let target = "/.well-known/acme-challenge/token";
        assert_eq!(shown(Method::GET, target, "App.test:80"), Some(StatusCode::OK));
        assert_eq!(shown(Method::GET, target, "other.test"), None);
        assert_eq!(shown(Method::POST, target, "app.test"), None);
        assert_eq!(shown(Method::GET, "/.well-known/acme-challenge/other", "app.test"), None);
        assert_eq!(shown(Method::GET, "/.well-known/acme-challenge/", "app.test"), None);
        drop(showing);
        assert_eq!(shown(Method::GET, target, "app.test"), None);
    }
}
