//! OpenID Connect Discovery: which endpoints an issuer has (OpenID Connect Discovery 1.0 §4).
//!
//! The document must be the configured issuer's own. URLs in it that lie below the issuer are dialled where the operator
//! says that the issuer is reached (`backchannel_url`), because inside a compose network the public name often leads
//! nowhere. The other way round, a browser is sent below the issuer, although a server that builds its URLs from what it was
//! dialled with names the inner host.

use serde::Deserialize;
use url::Url;

use super::document::FetchError;

/// So much of a strange issuer's name is shown in the log.
const LONGEST_SHOWN: usize = 200;

/// What Usher needs of a discovery document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Metadata {
    /// Where the keys are.
    pub(super) jwks_uri: Url,
    /// Where refresh tokens are exchanged, if anywhere.
    pub(super) token_endpoint: Option<Url>,
    /// Where tokens are revoked (RFC 7009), if anywhere.
    pub(super) revocation_endpoint: Option<Url>,
    /// Where tokens are introspected (RFC 7662), if anywhere.
    pub(super) introspection_endpoint: Option<Url>,
    /// Where browsers are sent to sign in, if anywhere.
    pub(super) authorization_endpoint: Option<Url>,
    /// Where browsers are sent to sign out (OIDC RP-Initiated Logout 1.0 §2.1), if anywhere.
    pub(super) end_session_endpoint: Option<Url>,
    /// Where authorization requests are pushed to (RFC 9126), if anywhere.
    pub(super) pushed_request_endpoint: Option<Url>,
    /// Whether they must be.
    pub(super) must_push: bool,
    /// Whether authorization responses name their issuer (RFC 9207 §3): one without a name is then not the issuer's.
    pub(super) names_issuer: bool,
}

#[derive(Deserialize)]
struct Document {
    issuer: String,
    jwks_uri: Option<String>,
    token_endpoint: Option<String>,
    revocation_endpoint: Option<String>,
    introspection_endpoint: Option<String>,
    authorization_endpoint: Option<String>,
    end_session_endpoint: Option<String>,
    pushed_authorization_request_endpoint: Option<String>,
    #[serde(default)]
    require_pushed_authorization_requests: bool,
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
}

/// Where the document of the issuer at `base` is.
pub(super) fn url(base: &Url) -> Url {
    let mut url = base.clone();
    url.set_path(&format!("{}/.well-known/openid-configuration", base.path().trim_end_matches('/')));
    url
}

impl Metadata {
    /// Reads the document that `issuer`, dialled at `base`, has published.
    ///
    /// # Errors
    /// [`FetchError::OtherIssuer`] when it is somebody else's, [`FetchError::NoEndpoint`] when it names no keys.
    pub(super) fn parse(bytes: &[u8], issuer: &str, base: &Url) -> Result<Self, FetchError> {
        let document: Document = serde_json::from_slice(bytes).map_err(FetchError::Unreadable)?;
        if document.issuer != issuer {
            let found = document.issuer.chars().take(LONGEST_SHOWN).collect();
            return Err(FetchError::OtherIssuer { expected: issuer.to_owned(), found });
        }
        let usable = |name, url: Option<Url>| {
            if url.is_none() {
                tracing::warn!(issuer, endpoint = name, "the discovery document names an endpoint that is not dialled");
            }
            url
        };
        let endpoint = |name, url: Option<String>| usable(name, dialled(&url?, issuer, base));
        let visited = |name, url: Option<String>| usable(name, visited(&url?, issuer, base));
        Ok(Self {
            jwks_uri: endpoint("jwks_uri", document.jwks_uri).ok_or(FetchError::NoEndpoint("jwks_uri"))?,
            token_endpoint: endpoint("token_endpoint", document.token_endpoint),
            revocation_endpoint: endpoint("revocation_endpoint", document.revocation_endpoint),
            introspection_endpoint: endpoint("introspection_endpoint", document.introspection_endpoint),
            authorization_endpoint: visited("authorization_endpoint", document.authorization_endpoint),
            end_session_endpoint: visited("end_session_endpoint", document.end_session_endpoint),
            pushed_request_endpoint: endpoint(
                "pushed_authorization_request_endpoint",
                document.pushed_authorization_request_endpoint,
            ),
            must_push: document.require_pushed_authorization_requests,
            names_issuer: document.authorization_response_iss_parameter_supported,
        })
    }
}

/// The URL to dial for one in the document: below `base` when it lies below the issuer. Only https, unless the operator
/// has configured a plain base: a document must not be able to take the encryption away.
fn dialled(url: &str, issuer: &str, base: &Url) -> Option<Url> {
    let url = moved(url, issuer, base.as_str())?;
    Some(url).filter(|url| url.scheme() == "https" || (url.scheme() == "http" && base.scheme() == "http"))
}

/// The URL that a browser visits for one in the document: below the issuer when it lies below `base`, which a browser may
/// not even know by name. Plain http only where the issuer itself is, and no fragment, which would swallow the request
/// (RFC 6749 §3.1).
fn visited(url: &str, issuer: &str, base: &Url) -> Option<Url> {
    let url = moved(url, base.as_str(), issuer)?;
    let is_plain = url.scheme() == "http" && issuer.starts_with("http://");
    Some(url).filter(|url| (url.scheme() == "https" || is_plain) && url.fragment().is_none())
}

/// The URL, which lies below `to` from now on if it lay below `from`: whole segments only.
fn moved(url: &str, from: &str, to: &str) -> Option<Url> {
    let below = url.strip_prefix(from.trim_end_matches('/')).filter(|rest| rest.starts_with(['/', '?']));
    let url = match below {
        Some(rest) => Url::parse(&format!("{}{rest}", to.trim_end_matches('/'))),
        None => Url::parse(url),
    };
    url.ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const ISSUER: &str = "https://id.example.com/realms/main";

    fn parse(document: &serde_json::Value, issuer: &str, base: &str) -> Result<Metadata, FetchError> {
        Metadata::parse(document.to_string().as_bytes(), issuer, &base.parse().unwrap())
    }

    #[test]
    fn the_document_lies_below_the_base() {
        let at = |base: &str| url(&base.parse().unwrap()).to_string();
        assert_eq!(at("https://id.example.com"), "https://id.example.com/.well-known/openid-configuration");
        assert_eq!(at("http://kc:8080/realms/main"), "http://kc:8080/realms/main/.well-known/openid-configuration");
    }

    #[test]
    fn urls_below_the_issuer_are_dialled_at_the_backchannel() {
        let document = json!({
            "issuer": ISSUER,
            "jwks_uri": format!("{ISSUER}/certs"),
            "token_endpoint": "http://kc:8080/realms/main/token",
            "revocation_endpoint": "https://id.example.com/realms/mainland/revoke",
        });
        let metadata = parse(&document, ISSUER, "http://kc:8080/realms/main").unwrap();
        assert_eq!(metadata.jwks_uri.as_str(), "http://kc:8080/realms/main/certs");
        assert_eq!(metadata.token_endpoint.unwrap().as_str(), "http://kc:8080/realms/main/token");
        // Not below the issuer: the boundary is a whole segment.
        assert_eq!(metadata.revocation_endpoint.unwrap().as_str(), "https://id.example.com/realms/mainland/revoke");
    }

    #[test]
    fn an_issuer_with_a_slash_at_its_end_is_re_based_as_well() {
        let document = json!({"issuer": "https://t.example/", "jwks_uri": "https://t.example/keys"});
        let metadata = parse(&document, "https://t.example/", "http://inner:1/").unwrap();
        assert_eq!(metadata.jwks_uri.as_str(), "http://inner:1/keys");
    }

    #[test]
    fn the_issuer_must_be_exactly_the_configured_one() {
        for other in ["https://id.example.com/realms/main/", "https://ID.example.com/realms/main", ""] {
            let document = json!({"issuer": other, "jwks_uri": format!("{ISSUER}/certs")});
            assert!(matches!(parse(&document, ISSUER, ISSUER), Err(FetchError::OtherIssuer { .. })), "{other}");
        }
        assert!(matches!(parse(&json!({"jwks_uri": "https://a/"}), ISSUER, ISSUER), Err(FetchError::Unreadable(_))));
    }

    #[test]
    fn a_document_cannot_lead_from_https_to_http_or_elsewhere() {
        for url in ["http://id.example.com/realms/main/certs", "file:///etc/passwd", "nonsense", ""] {
            let document = json!({"issuer": ISSUER, "jwks_uri": url, "token_endpoint": url});
            assert!(matches!(parse(&document, ISSUER, ISSUER), Err(FetchError::NoEndpoint("jwks_uri"))), "{url}");
        }
        let document = json!({"issuer": ISSUER, "jwks_uri": format!("{ISSUER}/certs"), "token_endpoint": "http://x/"});
        assert_eq!(parse(&document, ISSUER, ISSUER).unwrap().token_endpoint, None);
    }

    /// The same for both endpoints that browsers visit.
    fn visited_endpoint(url: &str, issuer: &str, base: &str) -> Option<String> {
        let keys = format!("{issuer}/certs");
        let (one, other) = ("authorization_endpoint", "end_session_endpoint");
        let document = json!({"issuer": issuer, "jwks_uri": keys, one: url, other: url});
        let metadata = parse(&document, issuer, base).unwrap();
        assert_eq!(metadata.authorization_endpoint, metadata.end_session_endpoint);
        metadata.end_session_endpoint.map(String::from)
    }

    #[test]
    fn browsers_are_sent_below_the_issuer_whatever_the_server_was_dialled_with() {
        let inner = "http://kc:8080/realms/main";
        let visited = |url: &str| visited_endpoint(url, ISSUER, inner);
        let public = Some(format!("{ISSUER}/auth?kc=1"));
        assert_eq!(visited("http://kc:8080/realms/main/auth?kc=1"), public);
        assert_eq!(visited(&format!("{ISSUER}/auth?kc=1")), public);
        assert_eq!(visited("https://login.example.com/auth"), Some("https://login.example.com/auth".to_owned()));
    }

    #[test]
    fn browsers_are_not_sent_to_plain_http_unless_the_issuer_is_there() {
        for url in ["http://kc:8080/realms/mainland/auth", "javascript:alert(1)", "data:,x", "https://a/auth#x", ""] {
            assert_eq!(visited_endpoint(url, ISSUER, "http://kc:8080/realms/main"), None, "{url}");
        }
        let plain = "http://localhost:9000";
        assert_eq!(
            visited_endpoint("http://localhost:9000/auth", plain, plain),
            Some("http://localhost:9000/auth".to_owned())
        );
    }
}
