//! Moving a session to where its tokens are to be: into the store, or out of it.
//!
//! Instances that want them in different places, as while the operator changes that, move a session to and fro. What an earlier
//! move has left in the store has a refresh token that may be spent by then: whoever presented that would be taken for a thief
//! (R16). So a session that moves in puts its tokens in the place of older ones, never of newer ones, and stays in its cookies
//! where nobody knows which are older.

use std::cmp::Ordering;
use std::sync::Arc;

use super::{Authenticator, Identity};
use crate::auth::session_cookies::{CookieJar, PresentedSession, SessionOrigin, SessionTokens, Unkept};
use crate::auth::unauthenticated::Unauthenticated;
use crate::auth::verify::VerifiedToken;
use crate::clock::Timestamp;
use crate::session::stored::{Found, SessionKey};

/// So often somebody else may write while a session moves.
const TRIES: usize = 3;

/// What the store has of a session that moves there.
#[derive(PartialEq, Eq)]
enum There {
    /// The tokens at hand, or newer ones.
    UpToDate,
    /// Older ones.
    Behind,
    /// Nobody can say.
    Unknown,
}

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
        let tokens = SessionTokens { access: &identity.token, refresh };
        let moved = match (presented.moves, presented.facts) {
            (Some(key), Some(facts)) => self.move_in(key, facts.origin, tokens, jar).await,
            _ => self.cookies.move_out(presented, tokens, self.clock.now(), jar),
        };
        if let Err(error) = moved {
            tracing::debug!(%error, "a session stays where it is for now");
        }
    }

    /// Hands the key out once the store has these tokens, or newer ones.
    async fn move_in(
        &self,
        key: SessionKey,
        session: SessionOrigin,
        tokens: SessionTokens<'_>,
        jar: &mut CookieJar,
    ) -> Result<(), Unkept> {
        let now = self.clock.now();
        for _ in 0..TRIES {
            let Some(found) = self.cookies.move_in(session, tokens, now).await? else { break };
            match self.what_is_there(&found, tokens, jar.renewed.is_some()).await {
                There::UpToDate => {
                    self.cookies.give_key(key, session.started_at, now, jar);
                    jar.moved = Some(session);
                    return Ok(());
                }
                There::Behind => self.cookies.move_over(&found, session, tokens, now).await?,
                There::Unknown => break,
            }
        }
        tracing::debug!("a session stays in its cookies for now: the store has other tokens of it");
        Ok(())
    }

    /// The access token at hand has just been verified, so one that is not good any more is older.
    async fn what_is_there(
        &self,
        found: &Found,
        SessionTokens { access, refresh }: SessionTokens<'_>,
        just_renewed: bool,
    ) -> There {
        let there = &found.held.session;
        if there.access == access.token && there.refresh.as_ref() == refresh {
            return There::UpToDate;
        }
        match self.verify(&there.access, &[access.issuer]).await {
            Ok(there) => match age(&there).cmp(&age(access)) {
                Ordering::Greater => There::UpToDate,
                Ordering::Less => There::Behind,
                // A renewal leads to the end of its chain.
                Ordering::Equal if just_renewed => There::Behind,
                Ordering::Equal => There::Unknown,
            },
            Err(Unauthenticated::IssuerUnavailable { .. }) => There::Unknown,
            Err(_) => There::Behind,
        }
    }
}

/// By which tokens of one issuer are put in order: when they were issued, where they say so, and when they expire.
fn age(token: &VerifiedToken) -> (Option<Timestamp>, Timestamp) {
    (token.issued_at(), token.expires_at)
}
