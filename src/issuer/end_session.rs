//! Signing out at the issuer as well: the URL that a browser is sent to (OpenID Connect RP-Initiated Logout 1.0 §2).

use url::Url;

use super::Issuer;
use crate::oauth::AccessToken;

impl Issuer {
    /// Where a browser goes to sign out here, and comes back from to `come_back_to`, which must be registered there. `hint` is
    /// an ID token that the issuer has given this browser: without one, most issuers ask before they sign anybody out.
    ///
    /// `None` when there is no such place, the operator wants nobody sent there, or discovery cannot be had: the session here
    /// has ended all the same. Waits only when discovery has never been had; for 5 s at most.
    pub async fn end_session_url(&self, come_back_to: &str, hint: Option<&AccessToken>) -> Option<Url> {
        let client = self.config.client.as_ref().filter(|client| client.end_session)?;
        let (metadata, _) = self.metadata.as_ref()?.obtain().await.ok()?;
        let mut url = metadata.end_session_endpoint.clone()?;
        let hint = hint.map(|hint| ("id_token_hint", hint.expose()));
        let own = [("client_id", client.id.as_str()), ("post_logout_redirect_uri", come_back_to)];
        url.query_pairs_mut().extend_pairs(own.into_iter().chain(hint));
        Some(url)
    }
}
