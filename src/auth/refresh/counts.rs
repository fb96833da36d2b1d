//! What is counted of the renewals at one issuer.

use super::lead::Judged;
use crate::session::store::Outcome;
use crate::tally::Count;

/// What is counted of them.
#[derive(Debug, Default)]
pub struct RenewalCounts {
    outcomes: [Count; Outcomes::NAMES.len()],
    /// Requests that waited for a renewal which another request had begun.
    pub joined: Count,
    /// Spent tokens that were presented after their grace.
    pub reused: Count,
}

/// What may come of a renewal, in the order of its names.
#[derive(Clone, Copy)]
enum Outcomes {
    Renewed,
    Rejected,
    Unavailable,
    NotSent,
    Unverified,
    OtherIdentity,
}

impl Outcomes {
    const NAMES: [&str; 6] = ["renewed", "rejected", "unavailable", "not_sent", "unverified", "other_identity"];

    const fn of(judged: &Judged) -> Self {
        match &judged.outcome {
            _ if judged.ends_session => Self::OtherIdentity,
            Outcome::Tokens { tokens, .. } if tokens.access.is_some() => Self::Renewed,
            Outcome::Tokens { .. } => Self::Unverified,
            Outcome::Rejected => Self::Rejected,
            Outcome::Unavailable { .. } => Self::Unavailable,
            Outcome::NotSent(_) => Self::NotSent,
        }
    }
}

impl RenewalCounts {
    pub(super) fn ended(&self, judged: &Judged) {
        if let Some(count) = self.outcomes.get(Outcomes::of(judged) as usize) {
            count.add();
        }
    }

    /// Renewals by what came of them: `renewed`; `rejected` by the issuer; `unavailable`, `not_sent`: the issuer was in
    /// trouble, or known to be; `unverified`: there were tokens, of no use here; `other_identity`: of somebody else.
    pub fn outcomes(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Outcomes::NAMES.into_iter().zip(self.outcomes.iter().map(Count::total))
    }
}
