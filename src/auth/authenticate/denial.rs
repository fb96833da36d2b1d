//! Refusing what was denied before its time.

use std::sync::atomic::Ordering;

use super::Authenticator;
use crate::auth::unauthenticated::{SessionEnd, Unauthenticated};
use crate::auth::verify::VerifiedToken;
use crate::session::SessionId;

impl Authenticator {
    /// One atomic load when nothing was denied since this token was last looked at.
    pub(super) fn refuse_denied(
        &self,
        token: &VerifiedToken,
        session: Option<SessionId>,
    ) -> Result<(), Unauthenticated> {
        let mark = VerifiedToken::mark(self.denied.epoch(), session);
        if token.denial_mark.load(Ordering::Acquire) == mark {
            return Ok(());
        }
        if self.denied.is_denied(session, token.token.expose()) || self.is_subject_denied(token) {
            return Err(Unauthenticated::SessionEnded(SessionEnd::Denied));
        }
        // Should an older look replace a newer one, the next request looks once more.
        token.denial_mark.store(mark, Ordering::Release);
        Ok(())
    }

    /// Whether whatever its user was given then was denied: another password, or no such user any more.
    fn is_subject_denied(&self, token: &VerifiedToken) -> bool {
        let issuer = token.claims.0.get("iss").and_then(|issuer| issuer.as_str());
        let named = issuer.zip(token.claims.subject());
        named.is_some_and(|(issuer, subject)| self.denied.is_subject_denied(issuer, subject, token.issued_at()))
    }
}
