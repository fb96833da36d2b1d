//! Refusing what was denied before its time, and ending what goes on for longer than a request.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

use super::{Authenticator, Identity, Source};
use crate::auth::refresh::{EndReason, PresentedRefresh};
use crate::auth::session_cookies::{PresentedSession, SessionOrigin};
use crate::auth::unauthenticated::{SessionEnd, Unauthenticated};
use crate::auth::verify::{VerifiedToken, VerifyError};
use crate::clock::{Now, Timestamp};
use crate::oauth::Claims;
use crate::session::{Denied, SidHash};

/// A stream looks whether it was denied at once when somebody was, and then not again for so long: ten thousand of them must
/// not all look at every sign-out.
const PAUSE: Duration = Duration::from_secs(1);

/// What a request stands on, beside its token: it falls with any of it.
struct Grounds<'a> {
    session: Option<&'a SessionOrigin>,
    issuer: &'a str,
    subject: Option<&'a str>,
    issued_at: Option<Timestamp>,
    sid: Option<SidHash>,
}

impl Authenticator {
    /// One atomic load when nothing was denied since this token was last looked at.
    pub(super) fn refuse_denied(
        &self,
        token: &VerifiedToken,
        session: Option<&SessionOrigin>,
    ) -> Result<(), Unauthenticated> {
        let mark = VerifiedToken::mark(self.denied.epoch(), session.map(|session| session.id));
        if token.denial_mark.load(Ordering::Acquire) == mark {
            return Ok(());
        }
        if is_denied(&self.denied, token, session) {
            return Err(Unauthenticated::SessionEnded(SessionEnd::Denied));
        }
        // Should an older look replace a newer one, the next request looks once more.
        token.denial_mark.store(mark, Ordering::Release);
        Ok(())
    }

    /// The same before a refresh token is spent: what it brings would be newer than the denial. `error` says what is wrong
    /// with the access token beside it.
    pub(super) fn refuse_denied_renewal(
        &self,
        presented: &PresentedSession,
        refresh: &PresentedRefresh,
        error: &Unauthenticated,
    ) -> Result<(), Unauthenticated> {
        let session = presented.facts.as_ref().map(|facts| &facts.origin);
        let by_claims = match error {
            Unauthenticated::Token(VerifyError::Expired(claims) | VerifyError::Withdrawn(claims)) => {
                Grounds::of(claims, session).is_some_and(|grounds| grounds.are_denied(&self.denied))
            }
            _ => false,
        };
        let issuer = self.verifier.issuers().by_id(refresh.issuer);
        let by_session = session.zip(issuer).is_some_and(|(session, issuer)| {
            let (issuer, subject) = (issuer.config().issuer.as_str(), refresh.subject.as_deref());
            let issued_at = Some(session.started_at);
            Grounds { session: Some(session), issuer, subject, issued_at, sid: session.sid }.are_denied(&self.denied)
        });
        // The record of the renewals may be gone before the denial.
        let by_name = session.is_some_and(|session| self.denied.is_denied(Some(session.id), ""));
        if by_name || by_claims || by_session { Err(Unauthenticated::SessionEnded(SessionEnd::Denied)) } else { Ok(()) }
    }

    /// The issuer renews this session no more: what is open of it ends as well, on every instance. Not for other reasons: what
    /// was forgotten here or names nobody may go on elsewhere. Cookies of an existing service name no session, and hold
    /// whatever somebody has written there.
    pub(super) fn deny_ended(&self, presented: &PresentedSession, reason: EndReason) {
        let by_issuer = matches!(reason, EndReason::Rejected | EndReason::IdentityChanged);
        if let Some(session) = presented.session().filter(|_| by_issuer) {
            let until = session.started_at.after(self.absolute_timeout);
            self.denied.deny_session(session.id, until, Now::of(&self.clock));
        }
    }

    /// Ends when the session that has authenticated a request does, for streams that outlive it: by a denial, within a second
    /// and at once where nobody else was denied just before, or by the absolute time-out. Without a session of ours, which
    /// alone says when it began, that is counted from now. The access token may expire meanwhile: it is renewed by others. A
    /// certificate is not, so with one it ends when that expires at the latest.
    /// Nothing is looked at, listened to or timed before it is polled.
    pub fn session_end(&self, identity: &Identity) -> impl Future<Output = ()> + Send + Sync + 'static {
        let (denied, token, session) = (Arc::clone(&self.denied), Arc::clone(&identity.token), identity.session);
        let (clock, lasts) = (self.clock.clone(), self.absolute_timeout);
        // Nobody renews a certificate on an open connection.
        let certified_until = (identity.source == Source::Certificate).then_some(identity.token.expires_at);
        let begun = session.is_none().then(|| clock.now());
        async move {
            let now = clock.now();
            let started_at = session.map(|session| session.started_at).or(begun).unwrap_or(now);
            let lasts_until = started_at.after(lasts);
            let ends_at =
                Instant::now() + certified_until.map_or(lasts_until, |until| until.min(lasts_until)).since(now);
            let mut changes = denied.changes();
            // The first look is for what was denied since the request was let in.
            while !is_denied(&denied, &token, session.as_ref()) {
                let Ok(Ok(())) = timeout_at(ends_at, changes.changed()).await else { return };
                if is_denied(&denied, &token, session.as_ref()) {
                    return;
                }
                sleep(PAUSE).await;
            }
        }
    }
}

fn is_denied(denied: &Denied, token: &VerifiedToken, session: Option<&SessionOrigin>) -> bool {
    denied.is_denied(session.map(|session| session.id), token.token.expose())
        || session.is_some_and(|session| session.is_denied_before(denied))
        || Grounds::of(&token.claims, session).is_some_and(|grounds| grounds.are_denied(denied))
}

impl SessionOrigin {
    /// Whether it is denied by the name that it had before it moved.
    pub(super) fn is_denied_before(&self, denied: &Denied) -> bool {
        self.before.is_some_and(|before| denied.is_denied(Some(before), ""))
    }
}

impl<'a> Grounds<'a> {
    /// What these claims, verified but perhaps expired, say of whose request it is. A session of ours began by our own clock;
    /// without one, the token says when it was issued. So a token by itself that was issued in the second of a sign-out by
    /// its issuer, or before, is denied: which came first is not known. A session is, which its beginning tells.
    fn of(claims: &'a Claims, session: Option<&'a SessionOrigin>) -> Option<Self> {
        let issued_at = || claims.0.get("iat")?.as_u64().map(Timestamp);
        Some(Self {
            session,
            issuer: claims.text("iss")?,
            subject: claims.subject(),
            issued_at: session.map_or_else(issued_at, |session| Some(session.started_at)),
            sid: sid_of(claims),
        })
    }

    fn are_denied(&self, denied: &Denied) -> bool {
        let known = self.session.and_then(|session| session.sid);
        let by_sid = |sid: Option<SidHash>| sid.is_some_and(|sid| denied.is_sid_denied(sid));
        let is_nameless = known.is_none() && self.sid.is_none();
        by_sid(known)
            || by_sid(self.sid)
            || self.subject.is_some_and(|subject| {
                let id = self.session.map(|session| session.id);
                let is_nameless_denied = |session: &SessionOrigin| {
                    denied.is_nameless_denied(self.issuer, subject, session.started_at, session.id)
                };
                denied.is_subject_denied(self.issuer, subject, self.issued_at, id)
                    || self.session.filter(|_| is_nameless).is_some_and(is_nameless_denied)
            })
    }
}

/// How the issuer of these claims calls the session that they belong to, where it says so.
pub(in crate::auth) fn sid_of(claims: &Claims) -> Option<SidHash> {
    Some(SidHash::of(claims.text("iss")?, claims.text("sid")?))
}
