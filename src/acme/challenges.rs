//! What an authority is shown of a name while it looks whether that is ours, and at no other time.
//!
//! A token is shown under its own host only (RFC 8555 §8.3), a certificate with the digest of one to whoever asks for its
//! name and offers nothing but `acme-tls/1` (RFC 8737 §3). Neither is a secret: both say something to the authority only that
//! gave the token out.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rcgen::{CertificateParams, CustomExtension, KeyPair};
use rustls::crypto::aws_lc_rs;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::error::OrderError;

/// What is being shown at the moment.
#[derive(Debug, Default)]
pub struct Challenges(ArcSwap<Shown>);

#[derive(Clone, Debug, Default)]
struct Shown {
    /// Key authorizations by host and token.
    tokens: HashMap<(String, String), Arc<str>>,
    /// Certificates by name.
    certificates: HashMap<String, Arc<CertifiedKey>>,
}

/// Shows something until it is dropped.
#[must_use]
#[derive(Debug)]
pub struct Showing {
    challenges: Arc<Challenges>,
    host: String,
    token: Option<String>,
}

impl Challenges {
    /// The key authorization of a token that is pending for this host.
    #[must_use]
    pub fn key_authorization(&self, host: &str, token: &str) -> Option<Arc<str>> {
        let shown = self.0.load();
        if shown.tokens.is_empty() {
            return None;
        }
        shown.tokens.get(&(host.to_owned(), token.to_owned())).cloned()
    }

    /// Whether a handshake may be an authority's.
    #[must_use]
    pub fn has_certificates(&self) -> bool {
        !self.0.load().certificates.is_empty()
    }

    /// Answers with this for `token` from now on.
    pub fn show_token(self: &Arc<Self>, host: &str, token: &str, key_authorization: &str) -> Showing {
        let key = (host.to_owned(), token.to_owned());
        self.change(|shown| drop(shown.tokens.insert(key.clone(), key_authorization.into())));
        Showing { challenges: Arc::clone(self), host: key.0, token: Some(key.1) }
    }

    /// Shakes hands with a certificate that has this digest in it from now on; it is one of SHA-256, 32 bytes.
    ///
    /// # Errors
    ///
    /// No certificate could be made.
    pub fn show_certificate(self: &Arc<Self>, host: &str, digest: &[u8]) -> Result<Showing, OrderError> {
        let certificate = Arc::new(certificate(host, digest)?);
        self.change(|shown| drop(shown.certificates.insert(host.to_owned(), Arc::clone(&certificate))));
        Ok(Showing { challenges: Arc::clone(self), host: host.to_owned(), token: None })
    }

    fn change(&self, change: impl Fn(&mut Shown)) {
        self.0.rcu(|shown| {
            let mut shown = Shown::clone(shown);
            change(&mut shown);
            shown
        });
    }
}

impl Drop for Showing {
    fn drop(&mut self) {
        self.challenges.change(|shown| match &self.token {
            Some(token) => drop(shown.tokens.remove(&(self.host.clone(), token.clone()))),
            None => drop(shown.certificates.remove(&self.host)),
        });
    }
}

impl ResolvesServerCert for Challenges {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.load().certificates.get(hello.server_name()?).cloned()
    }
}

/// Self-signed, with the digest in a critical extension (RFC 8737 §3).
fn certificate(host: &str, digest: &[u8]) -> Result<CertifiedKey, OrderError> {
    let mut params = CertificateParams::new([host.to_owned()]).map_err(OrderError::Challenge)?;
    params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
    let key = KeyPair::generate().map_err(OrderError::Challenge)?;
    let certificate = params.self_signed(&key).map_err(OrderError::Challenge)?;
    let key = aws_lc_rs::default_provider().key_provider.load_private_key(key.into()).map_err(OrderError::Key)?;
    // Not compared with the key: the extension is critical, and the library would refuse what it does not know.
    Ok(CertifiedKey::new(vec![certificate.der().clone()], key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_shown_under_its_own_host_and_only_while_it_is_pending() {
        let challenges = Arc::new(Challenges::default());
        let showing = challenges.show_token("app.test", "token", "token.thumbprint");
        assert_eq!(challenges.key_authorization("app.test", "token").as_deref(), Some("token.thumbprint"));
        assert_eq!(challenges.key_authorization("other.test", "token"), None);
        assert_eq!(challenges.key_authorization("app.test", "other"), None);
        drop(showing);
        assert_eq!(challenges.key_authorization("app.test", "token"), None);
    }

    #[test]
    fn a_certificate_is_there_only_while_it_is_wanted() {
        let challenges = Arc::new(Challenges::default());
        let showing = challenges.show_certificate("app.test", &[7; 32]).unwrap();
        assert!(challenges.has_certificates());
        drop(showing);
        assert!(!challenges.has_certificates());
    }
}
