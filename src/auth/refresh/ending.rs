//! The end of a session before its time: sign-out, a reused token, a changed identity.

use std::time::Duration;

use futures_util::future::join;
use tokio::sync::oneshot;

use super::{Authority, Background, PresentedRefresh, Renewals, report};
use crate::clock::Now;
use crate::config::{IssuerId, OnReuse};
use crate::oauth::RefreshToken;
use crate::session::store::{Ask, EndCause, Ending, Need};

/// How long an issuer that has not revoked a token is left alone before it is asked again. After the last time it is not: the
/// session has ended here all the same.
const RETRY_AFTER: [Duration; 3] = [Duration::from_secs(2), Duration::from_secs(10), Duration::from_secs(40)];

/// How long a shared store that is away is left alone before it is told again.
const END_AGAIN_AFTER: Duration = Duration::from_millis(500);

/// Whether the issuer is told.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Revocation {
    /// The refresh token is revoked.
    AtIssuer,
    /// The session ends here only.
    HereOnly,
}

impl<A: Authority, B: Background> Renewals<A, B> {
    /// A spent token long after its successor was in use: somebody has a copy of the cookie (R16).
    pub(super) async fn reused(&self, presented: &PresentedRefresh, ask: &Ask) {
        self.count(presented.issuer, |counts| counts.reused.add());
        report::reused(self.issuer_name(presented.issuer), ask.key, self.0.settings.on_reuse);
        match self.0.settings.on_reuse {
            OnReuse::Revoke => self.end_session(presented, EndCause::Reused, Revocation::AtIssuer).await,
            OnReuse::Refuse => {}
        }
    }

    /// Ends the session in a task of its own; when this returns, the end is recorded and denied.
    pub(super) async fn end_session(&self, presented: &PresentedRefresh, cause: EndCause, revocation: Revocation) {
        let (over, ended) = oneshot::channel::<()>();
        let (renewals, presented) = (self.clone(), presented.clone());
        self.0.background.start(async move {
            let ask = renewals.ask(&presented, Need::Token);
            // First, for the other end says what is to be revoked. Should this one not be recorded, its denial counts.
            if let Some(before) = presented.before
                && let Some(ending) = renewals.0.store.end(&Ask { session: Some(before), ..ask.clone() }, cause).await
            {
                renewals.deny(&presented, &ending);
            }
            let ending = renewals.0.store.end(&ask, cause).await;
            if let Some(ending) = &ending {
                renewals.deny(&presented, ending);
                report::ended(renewals.issuer_name(presented.issuer), ask.key, cause);
            }
            drop(over);
            let Some(Ending { refresh_token, recorded, .. }) = ending else { return };
            let revoking = renewals.revoke_by(revocation, presented.issuer, refresh_token.as_ref());
            if recorded {
                return revoking.await;
            }
            // Neither the others nor the issuer wait for each other.
            let telling = async {
                let ending = renewals.end_everywhere(&presented, &ask, cause).await;
                let newest = ending.and_then(|ending| ending.refresh_token);
                let newest = newest.filter(|newest| refresh_token.as_ref() != Some(newest));
                renewals.revoke_by(revocation, presented.issuer, newest.as_ref()).await;
            };
            join(revoking, telling).await;
        });
        let _over = ended.await;
    }

    /// The shared store is away, or has not answered: the session has ended here, and ends for the others as soon as the store
    /// is back. Only that says what renewals on other instances have brought.
    async fn end_everywhere(&self, presented: &PresentedRefresh, ask: &Ask, cause: EndCause) -> Option<Ending> {
        loop {
            self.0.background.sleep(END_AGAIN_AFTER).await;
            match self.0.store.end_again(ask, cause).await {
                Some(Ending { recorded: false, .. }) => {}
                Some(ending) => {
                    self.deny(presented, &ending);
                    return Some(ending);
                }
                None => return None,
            }
        }
    }

    fn deny(&self, presented: &PresentedRefresh, ending: &Ending) {
        let now = Now::of(&self.0.clock);
        // Cookies of an existing service name no session, so nobody asks for one, and anybody can make some up.
        if let Some(session) = presented.session {
            let until = presented.started_at.unwrap_or(now.wall).after(self.0.settings.absolute_timeout);
            self.0.denied.deny_session(session, until, now);
        }
        for (access_token, until) in &ending.access_tokens {
            self.0.denied.deny_access_token(*access_token, *until, now);
        }
    }

    async fn revoke_by(&self, revocation: Revocation, issuer: IssuerId, token: Option<&RefreshToken>) {
        if let Some(token) = token.filter(|_| revocation == Revocation::AtIssuer) {
            self.revoke(issuer, token).await;
        }
    }

    pub(super) async fn revoke(&self, issuer: IssuerId, token: &RefreshToken) {
        for pause in RETRY_AFTER.map(Some).into_iter().chain([None]) {
            let Err(failed) = self.0.authority.revoke(issuer, token).await else { return };
            report::not_revoked(self.issuer_name(issuer), pause, &failed);
            let Some(pause) = pause else { return };
            self.0.background.rest(pause).await;
        }
    }
}
