//! How an address is, as plain data for whoever shows it.

use std::sync::Arc;
use std::time::Duration;

use crate::forwarding::condition::AddressFailure;
use crate::forwarding::upstreams::Address;

/// How one address of an application is at the moment, and what has been counted of it in this process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressHealth {
    /// As it stands in the configuration, its port added: `http://app:8080`.
    pub address: Arc<str>,
    /// How it is.
    pub state: AddressState,
    /// What keeps it out, where something does.
    pub failure: Option<Arc<AddressFailure>>,
    /// How often it was passed over for what became of requests.
    pub ejections: u64,
    /// How often checks found that it is not well any more.
    pub failed_checks: u64,
    /// Requests to it that broke, and were sent once more.
    pub retries: u64,
    /// Those that were not, because too many were already.
    pub retries_refused: u64,
    /// How often a request found as many at it as there may be.
    pub overloads: u64,
}

/// Whether an address gets requests; the worse comes last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AddressState {
    /// It does, and neither a request nor a check has shown yet whether it works.
    Untried,
    /// It does.
    In,
    /// It came back a moment ago, and gets fewer than others.
    Returning,
    /// It does not while others do, because of what became of requests. One at a time tries it when its time is up.
    Ejected,
    /// It does not while others do, because checks fail.
    Ill,
}

impl AddressState {
    /// Whether it gets requests.
    #[must_use]
    pub const fn is_healthy(self) -> bool {
        matches!(self, Self::Untried | Self::In | Self::Returning)
    }

    /// One word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Untried => "untried",
            Self::In => "in",
            Self::Returning => "returning",
            Self::Ejected => "ejected",
            Self::Ill => "ill",
        }
    }
}

impl AddressHealth {
    pub(super) fn of(address: &Address, slow_start: Duration) -> Self {
        let (condition, counts) = (&address.condition, &address.condition.counts);
        let state = match (condition.is_ill(), condition.is_out(), condition.is_returning(slow_start)) {
            (true, _, _) => AddressState::Ill,
            (false, true, _) => AddressState::Ejected,
            (false, false, true) => AddressState::Returning,
            (false, false, false) if condition.is_tried() => AddressState::In,
            (false, false, false) => AddressState::Untried,
        };
        Self {
            address: Arc::clone(&address.name),
            state,
            failure: condition.failure(),
            ejections: counts.ejections.total(),
            failed_checks: counts.failed_checks.total(),
            retries: counts.retries.total(),
            retries_refused: counts.retries_refused.total(),
            overloads: counts.overloads.total(),
        }
    }
}
