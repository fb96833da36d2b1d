//! OpenID Connect Discovery: which endpoints an issuer has (OpenID Connect Discovery 1.0 §4).
//!
//! The document must be the configured issuer's own. URLs in it that lie below the issuer are dialled where the operator
//! says that the issuer is reached (`backchannel_url`), because inside a compose network the public name often leads
//! nowhere.

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
}

#[derive(Deserialize)]
struct Document {
    issuer: String,
    jwks_uri: Option<String>,
    token_endpoint: Option<String>,
    revocation_endpoint: Option<String>,
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
        let endpoint = |name, url: Option<String>| {
            let dialled = dialled(&url?, issuer, base);
            if dialled.is_none() {
                tracing::warn!(issuer, endpoint = name, "the discovery document names an endpoint that is not dialled");
            }
            dialled
        };
        Ok(Self {
            jwks_uri: endpoint("jwks_uri", document.jwks_uri).ok_or(FetchError::NoEndpoint("jwks_uri"))?,
            token_endpoint: endpoint("token_endpoint", document.token_endpoint),
            revocation_endpoint: endpoint("revocation_endpoint", document.revocation_endpoint),
        })
    }
}

/// The URL to dial for one in the document: below `base` when it lies below the issuer. Only https, unless the operator
/// has configured a plain base: a document must not be able to take the encryption away.
fn dialled(url: &str, issuer: &str, base: &Url) -> Option<Url> {
    let below = url.strip_prefix(issuer.trim_end_matches('/')).filter(|rest| rest.starts_with(['/', '?']));
    let url = match below {
        Some(rest) => Url::parse(&format!("{}{rest}", base.as_str().trim_end_matches('/'))),
        None => Url::parse(url),
    };
    url.ok().filter(|url| url.scheme() == "https" || (url.scheme() == "http" && base.scheme() == "http"))
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
}
