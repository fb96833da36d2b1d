//! How long things are remembered, and how many.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::config;

/// What is known of tokens stays so much longer than they count: clocks differ.
pub(super) const SPARE: Duration = Duration::from_secs(3600);

/// How long things are remembered, and how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// So long after its successor was first presented, a spent token still finds the outcome.
    pub grace: Duration,
    /// So long without being presented, an outcome that nobody fetched is kept.
    pub idle: Duration,
    /// So long a spent token is remembered as spent, and a session as ended: the longest life of a session.
    pub keep: Duration,
    /// Cookies say themselves until when they count: nobody comes with an older one.
    pub dated: bool,
    /// Bound on the number of records, and on that of ended sessions.
    pub max_records: usize,
    /// Bound on the bytes of the tokens in them.
    pub max_bytes: usize,
}

impl Policy {
    /// The policy that the configuration asks for. Tokens may take 2 KiB a record on average: a pair of long ones for
    /// every other record.
    #[must_use]
    pub fn new(session: &config::Session) -> Self {
        Self {
            grace: session.refresh_grace,
            idle: session.idle_timeout,
            keep: session.absolute_timeout,
            dated: !matches!(session.cookies, config::Cookies::Raw { .. }),
            max_records: session.max_records,
            max_bytes: session.max_records.saturating_mul(2048),
        }
    }

    /// For how long what is known of tokens is of use, when the access token that came last is accepted until then, if that is
    /// known. A cookie that says until when it counts does so for the idle time-out after its access token.
    pub(super) fn lasts(&self, accepted_until: Option<Timestamp>, now: Timestamp) -> Duration {
        match accepted_until.filter(|_| self.dated) {
            Some(until) => until.since(now).saturating_add(self.idle).saturating_add(SPARE).min(self.keep),
            None => self.keep,
        }
    }
}
