//! Moving a session to where its tokens are to be: into the store, or out of it.

use std::sync::Arc;

use super::{Authenticator, Identity};
use crate::auth::session_cookies::{CookieJar, PresentedSession};

impl Authenticator {
    /// Whether the tokens are not where they are to be: the operator has changed that.
    pub(super) const fn is_elsewhere(&self, presented: &PresentedSession) -> bool {
        self.cookies.hold_tokens() != presented.stored.is_none()
    }

    /// Puts the session where the tokens are to be.
    pub(super) async fn move_over(&self, presented: &PresentedSession, identity: &Identity, jar: &mut CookieJar) {
        // The refresh token that goes with the access token: what is remembered of a session may have an older one.
        let anew = match &presented.stored {
            Some(found) if jar.renewed.is_none() => match self.cookies.read_anew(found, &[identity.token.issuer]).await
            {
                Ok(Some(anew)) if anew.access.as_ref() == Some(&identity.token.token) => Some(anew),
                Ok(_) | Err(_) => return,
            },
            _ => None,
        };
        let presented = anew.as_ref().unwrap_or(presented);
        let renewed = jar.renewed.as_ref().map(|session| Arc::clone(&session.tokens));
        let refresh = renewed.as_ref().map(|renewed| &renewed.refresh_token);
        let refresh = refresh.or(presented.refresh.as_ref().map(|refresh| &refresh.token));
        let moved = self.cookies.move_over(presented, (&identity.token, refresh), self.clock.now(), jar).await;
        match moved {
            Ok(()) => jar.moved = presented.session(),
            Err(error) => tracing::debug!(%error, "a session stays where it is for now"),
        }
    }
}
