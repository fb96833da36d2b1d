//! A session in the shared store that is remembered here: enough for most requests, so that they ask nobody.

use std::sync::Arc;

use super::{Authenticator, Identity, SHORTLY, Source};
use crate::auth::session_cookies::{CookieJar, PresentedSession, Unread};
use crate::auth::unauthenticated::{SessionEnd, Unauthenticated};
use crate::auth::verify::VerifiedToken;
use crate::config::IssuerId;

impl Authenticator {
    /// What is remembered is good for as long as its access token is, for whatever ends a session earlier is a denial. All else
    /// is for the session as it is now: another instance may have renewed it, and its refresh token must not be taken for a
    /// stolen one (R16), nor its idle time-out for the present one. While nobody can say, a good access token goes on.
    pub(super) async fn by_remembered(
        &self,
        remembered: &PresentedSession,
        allowed: &[IssuerId],
        may_renew: bool,
        jar: &mut CookieJar,
    ) -> Result<Identity, Unauthenticated> {
        let verified = self.verify_remembered(remembered, allowed).await;
        let goes_on = |token: Arc<VerifiedToken>| {
            let session = remembered.session();
            self.refuse_denied(&token, session.as_ref())?;
            Ok(Identity { token, session, source: Source::Cookie })
        };
        match verified {
            Ok(token) if remembered.refresh.is_none() || !may_renew || !self.is_due(&token) => {
                let identity = goes_on(token)?;
                if let Some(refresh) = &remembered.refresh {
                    self.note(&identity.token, refresh.issuer, refresh).await;
                }
                Ok(identity)
            }
            Err(error @ Unauthenticated::IssuerUnavailable { .. }) => Err(error),
            verified => match (self.read_anew(remembered, allowed).await, verified) {
                (Ok(Some(anew)), _) => Box::pin(self.by_session(&anew, allowed, may_renew, jar)).await,
                (Ok(None), _) => Err(Unauthenticated::NoCredentials),
                (Err(Unread::Away(_)), Ok(token)) => goes_on(token),
                (Err(Unread::Away(_)), Err(_)) => Err(Unauthenticated::StoreAway { retry_after: SHORTLY }),
                (Err(unread), _) => Err(self.unread(unread)),
            },
        }
    }

    /// Why there is no session, though there are cookies.
    pub(super) fn unread(&self, unread: Unread) -> Unauthenticated {
        match unread {
            Unread::Unreadable(unreadable) => unreadable.into(),
            Unread::Unknown(id) if self.denied.is_denied(Some(id), "") => {
                Unauthenticated::SessionEnded(SessionEnd::Denied)
            }
            Unread::Unknown(_) => Unauthenticated::SessionEnded(SessionEnd::Unknown),
            Unread::Away(_) => Unauthenticated::StoreAway { retry_after: SHORTLY },
        }
    }

    async fn verify_remembered(
        &self,
        remembered: &PresentedSession,
        allowed: &[IssuerId],
    ) -> Result<Arc<VerifiedToken>, Unauthenticated> {
        self.refuse_old(remembered)?;
        match &remembered.access {
            Some(access) => self.verify(access, remembered.counts_for(allowed)).await,
            None => Err(Unauthenticated::SessionEnded(SessionEnd::Expired)),
        }
    }

    async fn read_anew(
        &self,
        remembered: &PresentedSession,
        allowed: &[IssuerId],
    ) -> Result<Option<PresentedSession>, Unread> {
        match &remembered.stored {
            Some(found) => self.cookies.read_anew(found, allowed).await,
            None => Ok(None),
        }
    }
}
