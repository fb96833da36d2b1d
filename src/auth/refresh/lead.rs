//! One renewal: the task that claims a token, spends it, judges the answer and records the outcome.
//!
//! A process may be stopped at any point and go on much later, when others have taken over and spent the token (R14). So
//! whoever leads asks whether it still does before it sends the token, each time. What remains is a stop between that answer
//! and the packet, in which the connection to the issuer is made: no lease can close that gap, for the issuer does not know
//! of it. Who is stopped just there for longer than what is left of the lease sends a token that others may have spent.

use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{Either, select};
use tokio::sync::{Notify, oneshot};

use super::ending::Revocation;
use super::{AcceptError, Authority, Background, PresentedRefresh, Renewals, SHORTLY, SpendError, VerifiedAccess};
use super::{Claimed, due_at, report};
use crate::clock::{Now, Timestamp};
use crate::config::IssuerId;
use crate::issuer::Sent;
use crate::oauth::{RefreshToken, TokenResponse};
use crate::session::TokenHash;
use crate::session::shared::Away;
use crate::session::store::{Access, Ask, EndCause, Lead, Outcome, RecordKey, Recording, Ticket, Tokens};

/// How long a shared store that is away is left alone before it is offered the outcome again.
const RECORD_AGAIN_AFTER: Duration = Duration::from_millis(500);

/// A token request's answer, judged.
pub(super) struct Judged {
    pub(super) outcome: Outcome,
    /// The answer ends the session itself.
    pub(super) ends_session: bool,
}

impl<A: Authority, B: Background> Renewals<A, B> {
    /// One renewal, from the claim to the record. Runs in a task of its own.
    pub(super) async fn lead(&self, presented: &PresentedRefresh, ask: &Ask, claimed: oneshot::Sender<Claimed>) {
        // One leads; everybody else finds the record of that (R1, R5).
        // Nobody may be left to hear what came of that.
        let lead = match self.0.store.claim(ask, self.lease(presented.issuer)).await {
            Ok(Some(lead)) => lead,
            Ok(None) => return,
            Err(Away) => {
                let _heard = claimed.send(Err(Away));
                return;
            }
        };
        let _heard = claimed.send(Ok(()));

        let lost = Notify::new();
        let judged = self
            .holding(&lead.ticket, &lost, async {
                let answer = self.spend(presented, &lead, &lost);
                // Should that panic, those who wait must still be answered, and the token not stay claimed.
                let answer = AssertUnwindSafe(answer).catch_unwind().await; // R1, R12
                let answer = answer.unwrap_or_else(|_| Err(report::panicked(lead.ticket.key)));
                self.judge(presented, &lead, answer).await // R6, R7, R8
            })
            .await; // R14
        self.count(presented.issuer, |counts| counts.ended(&judged));
        let Judged { outcome, ends_session } = judged;

        // The end is recorded first: nobody may find tokens of somebody else.
        if ends_session {
            self.end_session(presented, EndCause::IdentityChanged, Revocation::AtIssuer).await;
        }
        let mut kept = false;
        loop {
            match self.0.store.record(&lead.ticket, &outcome).await {
                Recording::Recorded => {}                             // R3: recorded, and only now seen
                Recording::Fenced => report::fenced(lead.ticket.key), // R9
                Recording::SessionEnded(_) => self.undo(presented.issuer, lead.token, outcome).await, // R10
                Recording::Kept => {
                    if !std::mem::replace(&mut kept, true) {
                        report::kept(lead.ticket.key);
                    }
                    self.0.background.sleep(RECORD_AGAIN_AFTER).await;
                    continue;
                }
            }
            return;
        }
    }

    /// Does the work, and says meanwhile that whoever leads is alive, where others could not know. Tells when the lead is `lost`;
    /// work that has sent the token goes on all the same.
    async fn holding<T>(&self, ticket: &Ticket, lost: &Notify, work: impl Future<Output = T>) -> T {
        let Some(every) = self.0.store.heartbeat() else { return work.await };
        let beats = async {
            loop {
                self.0.background.sleep(every).await;
                if !self.0.store.hold(ticket).await {
                    lost.notify_one();
                }
            }
        };
        match select(pin!(work), pin!(beats)).await {
            Either::Left((done, _)) => done,
            Either::Right((never, _)) => never,
        }
    }

    /// Sends the token, and once more if no answer came, for all the user's hope lies in that (R1); never once the lead is lost
    /// (R14).
    async fn spend(&self, presented: &PresentedRefresh, lead: &Lead, lost: &Notify) -> Result<TokenResponse, Outcome> {
        let issuer = presented.issuer;
        let Some(gate) = self.0.gates.get(issuer.0) else { return Err(Outcome::NotSent(SHORTLY)) };
        let patience = async {
            let _either = select(pin!(self.0.background.sleep(self.0.settings.wait)), pin!(lost.notified())).await;
        };
        let mut pass = gate.enter(patience, || self.0.clock.instant()).await.map_err(|_turned_away| {
            report::turned_away(self.issuer_name(issuer), lead.ticket.key);
            // Whatever others are told, whoever tries again sooner is not kept out once the issuer is back.
            Outcome::NotSent(SHORTLY)
        })?;

        if !self.0.store.hold(&lead.ticket).await {
            report::not_sent(lead.ticket.key);
            return Err(Outcome::NotSent(SHORTLY));
        }
        let mut answer = self.0.authority.spend(issuer, &lead.token).await;
        let mut answer_lost = is_lost(&answer);
        if answer_lost && !lead.answer_lost && self.0.store.hold(&lead.ticket).await {
            report::answer_lost(self.issuer_name(issuer), lead.ticket.key);
            pass.asks_again(self.0.clock.instant());
            answer = self.0.authority.spend(issuer, &lead.token).await;
            answer_lost = true;
        }

        match answer {
            Ok(tokens) => {
                pass.issuer_answered(self.0.clock.instant());
                Ok(tokens)
            }
            Err(SpendError::Rejected) => {
                pass.issuer_answered(self.0.clock.instant());
                report::rejected(self.issuer_name(issuer), lead.ticket.key, answer_lost || lead.answer_lost);
                Err(Outcome::Rejected)
            }
            Err(SpendError::Unavailable { sent, retry_after, fault, cause }) => {
                // Of a text that nobody has vouched for, an answer says nothing: with five texts that make the issuer
                // stumble, anybody could keep everybody else from renewing.
                if sent != Sent::Answered || presented.subject.is_some() {
                    pass.issuer_failed(self.0.clock.instant());
                }
                report::unavailable(self.issuer_name(issuer), lead.ticket.key, sent, (fault, cause.as_ref()));
                Err(Outcome::Unavailable { retry_after, answer_lost })
            }
        }
    }

    /// What the answer means: new tokens are verified like presented ones, and must speak of the same person (R7).
    async fn judge(&self, presented: &PresentedRefresh, lead: &Lead, answer: Result<TokenResponse, Outcome>) -> Judged {
        let answer = match answer {
            Ok(answer) => answer,
            Err(outcome) => return Judged { outcome, ends_session: false },
        };
        let name = self.issuer_name(presented.issuer);
        // The issuer does not rotate when it sends none, or the same again (R8).
        let refresh_token = answer.refresh_token.clone().unwrap_or_else(|| lead.token.clone());
        let successor = RecordKey::of(name, &refresh_token);
        let received_at = self.0.clock.now();
        let accepted = AssertUnwindSafe(self.0.authority.accept(presented.issuer, &answer)).catch_unwind().await;
        let accepted = accepted.unwrap_or_else(|_| Err(AcceptError::Unverified("verification panicked".into())));
        let nameless = matches!(accepted, Err(AcceptError::NoIdToken));
        let (access, ends_session) = match accepted {
            Ok(access) if presented.is_of(access.subject()) => {
                report::renewed(name, lead.ticket.key, successor);
                (Some(self.access(access.as_ref(), received_at)), false)
            }
            Ok(_) | Err(AcceptError::OtherIdentity) => (None, true),
            // The presented token is spent all the same: its successor must not be lost, or the user would be (R6).
            Err(AcceptError::Unverified(cause) | AcceptError::NotNow(cause)) => {
                report::unverified(name, lead.ticket.key, cause.as_ref());
                (None, false)
            }
            Err(AcceptError::NoIdToken) => {
                report::without_id_token(name, lead.ticket.key);
                (None, false)
            }
        };
        let tokens = Tokens { access, refresh_token };
        Judged { outcome: Outcome::Tokens { successor, tokens, nameless }, ends_session }
    }

    fn access(&self, verified: &A::Access, received_at: Timestamp) -> Access {
        Access {
            token: verified.token(),
            subject: verified.subject().map(Box::from),
            expires_at: verified.expires_at(),
            due_at: due_at(received_at, verified.expires_at(), self.0.settings.ahead),
        }
    }

    /// What a renewal produced for a session that has ended meanwhile revives nothing (R10).
    async fn undo(&self, issuer: IssuerId, spent: RefreshToken, produced: Outcome) {
        let refresh_token = match produced {
            Outcome::Tokens { tokens: Tokens { access, refresh_token }, .. } => {
                if let Some(Access { token, expires_at, .. }) = access {
                    let hash = TokenHash::of(token.expose());
                    self.0.denied.deny_access_token(hash, expires_at, Now::of(&self.0.clock));
                }
                refresh_token
            }
            Outcome::Rejected => return,
            Outcome::Unavailable { .. } | Outcome::NotSent(_) => spent,
        };
        self.revoke(issuer, &refresh_token).await;
    }

    fn lease(&self, issuer: IssuerId) -> Duration {
        self.0.settings.issuers.get(issuer.0).map_or(SHORTLY, |issuer| issuer.lease)
    }
}

const fn is_lost(answer: &Result<TokenResponse, SpendError>) -> bool {
    matches!(answer, Err(SpendError::Unavailable { sent: Sent::Unknown, .. }))
}
