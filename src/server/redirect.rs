//! The plain listener: 308 to the same host and path over https (RFC 9110 §15.4.9), and nothing else.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{HOST, LOCATION};
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::Empty;
use hyper::body::Incoming;

use super::service::Handler;
use crate::gateway::Connection;
use crate::routing::{self, Router};

const HTTPS: u16 = 443;

/// Answers every request with where it should have gone.
#[derive(Debug)]
pub(super) struct Redirect {
    /// The sites: nobody is sent to a host that is not one of ours.
    pub(super) sites: Arc<Router>,
    /// The port of the TLS listener; `None`: there is none.
    pub(super) https_port: Option<u16>,
}

impl Handler for Redirect {
    type Body = Empty<Bytes>;

    async fn handle(&self, connection: &Arc<Connection>, request: Request<Incoming>) -> Response<Self::Body> {
        let mut response = Response::new(Empty::new());
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
        let redirect = Redirect { sites, https_port: Some(https_port) };
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
}
