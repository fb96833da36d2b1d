//! A certificate in place of a token: the handshake has verified it, so what is left is whom it names.

use super::{Authenticator, Identity, Source};
use crate::auth::certificate::ClientCertificate;
use crate::auth::unauthenticated::Unauthenticated;

impl Authenticator {
    /// Whoever shows it has no session, and nothing that could be renewed.
    pub(super) fn by_certificate(&self, certificate: &ClientCertificate) -> Result<Identity, Unauthenticated> {
        let token = certificate.as_token(&self.verifier)?;
        self.refuse_denied(&token, None)?;
        Ok(Identity { token, session: None, source: Source::Certificate })
    }
}
