//! What becomes of a request of the log by either configuration.
//!
//! The log keeps no claims. So where they decide, what was decided then says more than any guess: it holds for the first of the
//! two configurations if the request fell under the same route then, and for the other as far as that lets in the same people,
//! or more, or fewer.

use serde::Serialize;

use super::reach::{Shift, shift};
use super::side::Side;
use crate::commands::explain::logged::Logged;
use crate::gateway::explain::{Decision, Explanation};

/// What becomes of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Outcome {
    pub(super) decision: Decision,
    /// For a program and for a browser, which the log does not tell apart; one only, where the log has it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) status: Vec<u16>,
    /// Where it is forwarded to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) upstream: Option<String>,
    /// Why it is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<String>,
}

/// How the two compare.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Alike,
    Otherwise(Outcome, Outcome),
    Unknown(Outcome, Outcome),
}

impl Outcome {
    const fn of(decision: Decision) -> Self {
        Self { decision, status: Vec::new(), upstream: None, reason: None }
    }

    fn forwarded(side: &Side, told: &Explanation) -> Self {
        let route = told.route.as_deref().and_then(|name| side.route_named(name));
        Self { upstream: route.map(|route| side.addresses(route)), ..Self::of(Decision::Forwarded) }
    }

    fn explained(side: &Side, told: &Explanation) -> Self {
        match told.decision {
            Decision::Forwarded => Self::forwarded(side, told),
            Decision::Answered => Self::of(Decision::Answered),
            Decision::Refused => {
                let answers = told.answers.as_ref();
                let status = answers.map(|answers| vec![answers.program.status, answers.browser.status]);
                Self { status: status.unwrap_or_default(), ..Self::of(Decision::Refused) }
            }
            Decision::Unknown => Self { reason: told.reason.clone(), ..Self::of(Decision::Unknown) },
        }
    }

    /// What the log says that was decided, if that was for what is written about the route and not for the day's troubles.
    fn recorded(side: &Side, told: &Explanation, logged: &Logged) -> Option<Self> {
        if logged.route != told.route || logged.is_refused_in_passing() {
            return None;
        }
        match &*logged.decision {
            "forwarded" | "verified" => Some(Self::forwarded(side, told)),
            "refused" => Some(Self { status: vec![logged.status], ..Self::of(Decision::Refused) }),
            _ => None,
        }
    }

    fn is_known(&self) -> bool {
        self.decision != Decision::Unknown
    }

    /// Whether whoever asked would notice no difference.
    fn is_like(&self, other: &Self) -> bool {
        let refused_alike = || {
            let [status] = self.status[..] else { return self.status == other.status };
            other.status.contains(&status)
        };
        self.decision == other.decision && self.upstream == other.upstream && refused_alike()
    }
}

/// Compares what both explanations of a line of the log say.
pub(super) fn compare(sides: [&Side; 2], told: [&Explanation; 2], logged: &Logged) -> Verdict {
    let ([old, new], [was, is]) = (sides, told);
    let mut before = Outcome::explained(old, was);
    let mut after = Outcome::explained(new, is);
    let shift = shift_between(sides, told);
    if !before.is_known() && !after.is_known() && shift == Some(Shift::Same) {
        let (one, other) = (Outcome::forwarded(old, was), Outcome::forwarded(new, is));
        if one.is_like(&other) {
            return Verdict::Alike;
        }
    }
    if !before.is_known() {
        before = Outcome::recorded(old, was, logged).unwrap_or(before);
    }
    if !after.is_known() {
        after = match (shift, before.decision) {
            (Some(Shift::Same | Shift::Opened), Decision::Forwarded) => Outcome::forwarded(new, is),
            (Some(Shift::Same | Shift::Closed), Decision::Refused) => before.clone(),
            _ => after,
        };
    }
    if !before.is_known() || !after.is_known() {
        Verdict::Unknown(before, after)
    } else if before.is_like(&after) {
        Verdict::Alike
    } else {
        Verdict::Otherwise(before, after)
    }
}

/// How those whom the two routes let in compare. `None`: there are not two.
fn shift_between([old, new]: [&Side; 2], [was, is]: [&Explanation; 2]) -> Option<Shift> {
    let before = old.route_named(was.route.as_deref()?)?;
    let after = new.route_named(is.route.as_deref()?)?;
    Some(shift(&old.reach_of(before), &new.reach_of(after)))
}
