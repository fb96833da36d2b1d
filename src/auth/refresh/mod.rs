//! The refresh protocol: one token request per expiry, whoever and how many ask, and nobody is signed out by accident.
//!
//! Who needs a token looks at the record of the refresh token it presents ([`Renewals::renew`]). When nobody is spending
//! that token yet, a task of its own claims it, spends it, judges the answer, records the outcome (`lead`), and only then
//! are those who wait woken to look again. Nobody is handed an outcome any other way: not the request that began the
//! renewal, not those beside it, not those that come late. So it cannot matter who of them is cancelled, or when.
//!
//! The letters R1 to R17 in the comments are the invariants of the protocol. The state machine that holds most of them
//! is [`crate::session::store`]; this module does the talking, and does *not* know cookies or HTTP.

mod authority;
mod counts;
mod ending;
#[cfg(test)]
mod fake;
mod lead;
#[cfg(test)]
mod model;
#[cfg(test)]
mod model_fleet;
#[cfg(test)]
mod outage;
mod report;
#[cfg(test)]
mod tests;
mod types;

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{Either, select};
use tokio::sync::oneshot;

use crate::clock::Clock;
use crate::config::IssuerId;
use crate::issuer::{Gate, TurnedAway};
use crate::oauth::{AccessToken, RefreshToken};
use crate::session::shared::Away;
use crate::session::store::{Ask, EndCause, Need, Newest, Pending, RecordKey, Standing, Tokens};
use crate::session::{Denied, Store};
use crate::tasks::Tasks;

pub use authority::{AcceptError, Authority, Background, NotRevoked, SpendError, VerifiedAccess};
pub use counts::RenewalCounts;
pub use types::{EndReason, IssuerSettings, PresentedRefresh, Renewal, Renewed, Settings, due_at};

use ending::Revocation;

/// What somebody is told to wait who was not served for want of time or luck.
const SHORTLY: Duration = Duration::from_secs(1);

/// Renews tokens. Clones are one and the same.
pub struct Renewals<A, B = Tasks>(Arc<Protocol<A, B>>);

impl<A, B> Clone for Renewals<A, B> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

struct Protocol<A, B> {
    authority: A,
    background: B,
    store: Arc<Store>,
    denied: Arc<Denied>,
    settings: Settings,
    gates: Vec<Gate>,
    clock: Clock,
}

/// The token was claimed by the renewal that was started for it, or nobody can say.
type Claimed = Result<(), Away>;

/// Why recorded tokens are not handed out.
enum Withheld {
    /// They are somebody else's.
    OtherIdentity,
    /// The access token among them, which verified when it was recorded, does not any more.
    Unverified(AccessToken),
    /// There is none, or it cannot be verified at the moment.
    NotNow,
}

impl<A: Authority, B: Background> Renewals<A, B> {
    /// The protocol over a store and a list of denials, both of which may outlive it (a reload keeps them).
    #[must_use]
    pub fn new(
        authority: A,
        background: B,
        (store, denied): (Arc<Store>, Arc<Denied>),
        settings: Settings,
        clock: Clock,
    ) -> Self {
        let gates = settings.issuers.iter().map(|_| Gate::new()).collect();
        Self(Arc::new(Protocol { authority, background, store, denied, settings, gates, clock }))
    }

    /// Gets an access token for whoever presents this refresh token. Waits for a renewal under way, at most
    /// `session.refresh_wait`; the renewal itself goes on beyond that, and its outcome is found by the next request (R12).
    /// `led` tells afterwards whether a renewal was begun for this one, or another's was joined.
    pub async fn renew(&self, presented: &PresentedRefresh, led: &mut bool) -> Renewal<A::Access> {
        let patience = self.0.background.sleep(self.0.settings.wait);
        match select(pin!(self.settle(presented, led)), pin!(patience)).await {
            Either::Left((renewal, _)) => renewal,
            Either::Right(_) => Renewal::Unavailable { retry_after: SHORTLY },
        }
    }

    /// Gets a fresher token for a request whose own is about to expire, if there is one already. If not, a renewal is
    /// started that a later request profits from; this one never waits for the issuer (R11).
    pub async fn renew_ahead(&self, presented: &PresentedRefresh) -> Option<Arc<Renewed<A::Access>>> {
        let ask = self.ask(presented, Need::FresherToken);
        match self.0.store.look(&ask).await {
            Standing::Recorded(tokens) => self.hand_out(presented, tokens).await.ok(),
            Standing::Vacant => {
                if self.turned_away(presented.issuer).is_none() {
                    drop(self.start_renewal(presented, ask));
                }
                None
            }
            Standing::Reused => {
                self.reused(presented, &ask).await;
                None
            }
            Standing::InFlight(_)
            | Standing::Resting(_)
            | Standing::Nameless
            | Standing::Rejected
            | Standing::Ended(_)
            | Standing::Forgotten
            | Standing::Away => None,
        }
    }

    /// The newest tokens of the chain that this refresh token belongs to, for an answer that took long and has these `at
    /// hand`: they may have been renewed since, and must not replace newer ones in the browser (R9). Nothing is started.
    /// Where the newest access token is not good any more, the one at hand goes with the newest refresh token. `None` when
    /// the session has ended meanwhile: the browser may have another one by now (R10).
    pub async fn newest(
        &self,
        presented: &PresentedRefresh,
        at_hand: &Arc<Renewed<A::Access>>,
    ) -> Option<Arc<Renewed<A::Access>>> {
        let tokens = match self.0.store.newest(&self.ask(presented, Need::Token)).await {
            Newest::Tokens(tokens) => tokens,
            Newest::Unknown => return Some(Arc::clone(at_hand)),
            Newest::Ended => return None,
        };
        let refresh_token = tokens.refresh_token.clone();
        match self.hand_out(presented, tokens).await {
            Ok(newest) => Some(newest),
            Err(Withheld::Unverified(_) | Withheld::NotNow) => {
                Some(Arc::new(Renewed { access: Arc::clone(&at_hand.access), refresh_token }))
            }
            Err(Withheld::OtherIdentity) => None,
        }
    }

    /// Says that this refresh token was presented, with an access token that is good. That starts the grace of the token
    /// it came out of (R3). Need not be said more than once.
    pub async fn note_presented(&self, issuer: IssuerId, token: &RefreshToken) {
        let key = RecordKey::of(self.issuer_name(issuer), token);
        if self.0.store.is_shared() {
            // The request does not wait for that.
            let renewals = self.clone();
            self.0.background.start(async move {
                // Should it not be noted, late-comers find the outcome for longer.
                let _noted = renewals.0.store.note_presented(&key).await;
            });
        } else {
            let _noted = self.0.store.note_presented(&key).await;
        }
    }

    /// Says that a sign-in has just given out this refresh token. What was known of it before counts no more: some services
    /// give out one token until it expires, even after a sign-out.
    pub async fn begin(&self, issuer: IssuerId, token: &RefreshToken) {
        if self.0.store.begin(&RecordKey::of(self.issuer_name(issuer), token)).await.is_err() {
            report::not_begun(self.issuer_name(issuer));
        }
    }

    /// Signs out: the session ends now, whatever is under way for it (R10), and the refresh token is revoked at the issuer
    /// in the background. The access token that the request presented is the caller's to deny.
    pub async fn end(&self, presented: &PresentedRefresh) {
        self.end_session(presented, EndCause::SignedOut, Revocation::AtIssuer).await;
    }

    /// Ends a session whose user has just signed in once more at the same issuer. The old refresh token counts no more here,
    /// but is not revoked there: to many servers that is the end of the whole grant, which the new tokens belong to as well,
    /// and so do the codes of other tabs.
    pub async fn replace(&self, presented: &PresentedRefresh) {
        self.end_session(presented, EndCause::SignedOut, Revocation::HereOnly).await;
    }

    /// Looks until there is an answer. May be abandoned at any point.
    async fn settle(&self, presented: &PresentedRefresh, led: &mut bool) -> Renewal<A::Access> {
        let ask = self.ask(presented, Need::Token);
        let mut waited = false;
        loop {
            return match self.0.store.look(&ask).await {
                Standing::Recorded(tokens) => match self.hand_out(presented, tokens).await {
                    Ok(renewed) => Renewal::Renewed(renewed),
                    // Its key was withdrawn: the refresh token decides, as it does beside a presented one.
                    Err(Withheld::Unverified(access_token)) => match self.0.store.disown(&ask, &access_token).await {
                        Ok(()) => continue,
                        Err(Away) => Renewal::StoreAway { retry_after: SHORTLY },
                    },
                    Err(Withheld::NotNow) => Renewal::Unavailable { retry_after: SHORTLY },
                    Err(Withheld::OtherIdentity) => Renewal::Ended(EndReason::IdentityChanged),
                },
                Standing::InFlight(pending) => {
                    if !*led && !std::mem::replace(&mut waited, true) {
                        self.count(presented.issuer, |counts| counts.joined.add());
                    }
                    self.wait_for(pending).await;
                    continue;
                }
                Standing::Vacant if !*led => {
                    if let Some(TurnedAway(retry_after)) = self.turned_away(presented.issuer) {
                        return Renewal::Unavailable { retry_after };
                    }
                    // Now wait like the others. Where another renewal was faster, whoever leads that may die yet (R14).
                    match self.start_renewal(presented, ask.clone()).await {
                        Ok(Err(Away)) => Renewal::StoreAway { retry_after: SHORTLY },
                        Ok(Ok(())) => {
                            *led = true;
                            continue;
                        }
                        Err(_) => continue,
                    }
                }
                // One request is good for one renewal, whatever came of it.
                Standing::Vacant => Renewal::Unavailable { retry_after: SHORTLY },
                Standing::Resting(rest) => Renewal::Unavailable { retry_after: rest },
                // The successor is kept all the same: should the issuer name somebody next time, whoever still has these cookies
                // goes on.
                Standing::Nameless => Renewal::Ended(EndReason::Nameless),
                Standing::Rejected => Renewal::Ended(EndReason::Rejected),
                Standing::Reused => {
                    self.reused(presented, &ask).await;
                    Renewal::Ended(EndReason::Reused)
                }
                Standing::Ended(cause) => Renewal::Ended(cause.into()),
                Standing::Forgotten => Renewal::Ended(EndReason::Forgotten),
                Standing::Away => Renewal::StoreAway { retry_after: SHORTLY },
            };
        }
    }

    /// Whether nothing can come of a renewal now. While an issuer is down, everybody whose token has expired comes again and
    /// again: the store is not to be written to for each of them.
    fn turned_away(&self, issuer: IssuerId) -> Option<TurnedAway> {
        self.0.gates.get(issuer.0)?.turns_away(self.0.clock.instant())
    }

    /// Until the renewal is over, or has to be looked at again.
    async fn wait_for(&self, pending: Pending) {
        match pending.patience() {
            None => pending.done().await,
            Some(patience) => {
                let patience = self.0.background.sleep(patience);
                let _either = select(pin!(pending.done()), pin!(patience)).await;
            }
        }
    }

    /// Starts a renewal that no client can cancel (R2). The receiver hears when the token is claimed: an error says that it
    /// is by another renewal.
    fn start_renewal(&self, presented: &PresentedRefresh, ask: Ask) -> oneshot::Receiver<Claimed> {
        let (claimed, seen) = oneshot::channel();
        let (renewals, presented) = (self.clone(), presented.clone());
        self.0.background.start(async move { renewals.lead(&presented, &ask, claimed).await });
        seen
    }

    /// Recorded tokens for one of those who may have them.
    async fn hand_out(
        &self,
        presented: &PresentedRefresh,
        tokens: Tokens,
    ) -> Result<Arc<Renewed<A::Access>>, Withheld> {
        let Some(access) = tokens.access else { return Err(Withheld::NotNow) };
        if !presented.is_of(access.subject.as_deref()) {
            report::other_identity(self.issuer_name(presented.issuer));
            return Err(Withheld::OtherIdentity);
        }
        let verified = self.0.authority.verify(presented.issuer, &access.token).await;
        let access_token = access.token;
        let access = verified.map_err(|error| {
            report::unusable(self.issuer_name(presented.issuer), &error);
            match error {
                AcceptError::Unverified(_) | AcceptError::OtherIdentity | AcceptError::NoIdToken => {
                    Withheld::Unverified(access_token)
                }
                AcceptError::NotNow(_) => Withheld::NotNow,
            }
        })?;
        Ok(Arc::new(Renewed { access, refresh_token: tokens.refresh_token }))
    }

    fn ask(&self, presented: &PresentedRefresh, need: Need) -> Ask {
        Ask {
            key: RecordKey::of(self.issuer_name(presented.issuer), &presented.token),
            token: presented.token.clone(),
            session: presented.session,
            beside: presented.beside,
            by: presented.by,
            need,
        }
    }

    fn count(&self, issuer: IssuerId, count: impl FnOnce(&RenewalCounts)) {
        if let Some(issuer) = self.0.settings.issuers.get(issuer.0) {
            count(&issuer.counts);
        }
    }

    fn issuer_name(&self, issuer: IssuerId) -> &str {
        self.0.settings.issuers.get(issuer.0).map_or("", |issuer| &issuer.name)
    }
}
