//! How a presented refresh token stands: the one place that decides whether a token may be spent.

use std::time::{Duration, Instant};

use super::Records;
use crate::clock::Now;
use crate::oauth::RefreshToken;
use crate::session::store::record::{Record, State, Term, Troubles};
use crate::session::store::{Ask, EndCause, Presenter, RecordKey, Tokens};

/// How a presented token stands; as [`Standing`](crate::session::store::Standing), with the record that the answer is about.
#[derive(Clone, Debug)]
pub(in crate::session::store) enum Decision {
    Recorded(Tokens),
    InFlight(RecordKey),
    Vacant(Spendable),
    Resting(Duration),
    Nameless,
    Rejected,
    Reused,
    Ended(EndCause),
    Forgotten,
}

/// A token that may be spent.
#[derive(Clone, Debug)]
pub(in crate::session::store) struct Spendable {
    pub(super) key: RecordKey,
    pub(super) token: RefreshToken,
    pub(super) troubles: Troubles,
}

impl Records {
    pub(super) fn decide(&self, ask: &Ask, now: Now) -> Decision {
        if let Some(cause) = self.ended.cause(self.session_of(ask)) {
            return Decision::Ended(cause);
        }
        let Some(presented) = self.shelf.get(&ask.key) else {
            let unheard_of = Spendable { key: ask.key, token: ask.token.clone(), troubles: Troubles::default() };
            return Decision::Vacant(unheard_of);
        };
        if ask.by == Presenter::Browser && self.is_past_grace(presented, now.instant) {
            return Decision::Reused;
        }
        let Some((key, tip)) = self.tip(&ask.key) else { return Decision::Forgotten };
        let own = key == ask.key;
        if let Some(fresh) = tip.tokens.as_ref().filter(|fresh| fresh.answers(ask.need, own, now)) {
            return Decision::Recorded(fresh.tokens.clone());
        }
        let troubles = match tip.state {
            State::Rejected => return Decision::Rejected,
            State::Lapsed | State::Renewed { .. } => return Decision::Forgotten,
            State::InFlight { lease, .. } if lease.left(now.instant).is_some() => return Decision::InFlight(key),
            // Whoever led is gone, and with it the answer, if there was one.
            State::InFlight { troubles, .. } => Troubles { answer_lost: true, ..troubles },
            State::Unspent(troubles) => troubles,
        };
        if let Some(left) = troubles.rest.and_then(|rest| rest.left(now.instant)) {
            return if troubles.nameless { Decision::Nameless } else { Decision::Resting(left) };
        }
        let token = if own { Some(ask.token.clone()) } else { tip.refresh_token() };
        token.map_or(Decision::Forgotten, |token| Decision::Vacant(Spendable { key, token, troubles }))
    }

    fn is_past_grace(&self, presented: &Record, now: Instant) -> bool {
        let State::Renewed { confirmed_at: Some(since), .. } = presented.state else { return false };
        Term { since, length: self.policy.grace }.left(now).is_none()
    }
}
