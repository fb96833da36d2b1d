//! What follows from what has happened on a connection, and from what has not.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::time::Instant;

use super::Activity;

/// A peer that reads an answer slower than this, in bytes per second, is not reading.
const SLOWEST_READER: u64 = 1024;

/// How long a connection that we have ended stays open for its peer to read the last answer.
const LINGER: Duration = Duration::from_secs(2);

/// What a connection's silence calls for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::server) enum Verdict {
    /// Nothing until then.
    Wait(Instant),
    /// Accept no more requests on it, and close it when those at hand are answered.
    Retire,
    /// Close it now.
    Abort(Silence),
}

/// For what a connection is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::server) enum Silence {
    /// The head of a request did not come to its end; something of it had come if `begun`.
    Head {
        /// Whether the peer has sent anything of it.
        begun: bool,
    },
    /// The peer does not read what is written to it.
    Reading,
    /// The peer does not close a connection that we have ended.
    Closing,
}

impl Activity {
    /// What the connection's silence calls for at `now`.
    pub(in crate::server) fn verdict(&self, now: Instant) -> Verdict {
        let limits = &self.limits;
        let in_flight = self.in_flight.load(Relaxed) > 0;
        let mut next = self.soon(now);

        if let Some(since) = self.since(&self.lingering) {
            return due(since + LINGER, now, next, Verdict::Abort(Silence::Closing));
        }
        if let Some(since) = self.since(&self.blocked) {
            let end = since + limits.body_timeout;
            if end <= now && !self.reads_fast_enough() {
                return Verdict::Abort(Silence::Reading);
            }
            if end <= now {
                self.written_while_blocked.store(0, Relaxed);
                self.blocked.set(self.at(now));
            } else {
                next = next.min(end);
            }
        }
        // With streams at hand, pings see to it: a client amid a block cannot answer them.
        if !in_flight && let Some(since) = self.since(&self.head).or_else(|| self.since(&self.block)) {
            // Behind a body it may be the rest of that: another answer would be one to no request.
            let begun = self.head_bytes.load(Relaxed) > 0 && !self.had_body.load(Relaxed);
            return due(since + limits.header_timeout, now, next, Verdict::Abort(Silence::Head { begun }));
        }
        if let Some(retired) = self.since(&self.retired) {
            let since = self.since(&self.idle).map_or(retired, |idle| idle.max(retired));
            return if in_flight {
                Verdict::Wait(next)
            } else {
                due(since + limits.body_timeout, now, next, Verdict::Abort(Silence::Closing))
            };
        }
        if !in_flight && let Some(since) = self.since(&self.idle) {
            let end = since + limits.idle_timeout;
            if end <= now {
                return Verdict::Retire;
            }
            next = next.min(end);
        }
        due(self.opened + limits.connection_age, now, next, Verdict::Retire)
    }

    /// When a silence that begins right after `now` could be over at the earliest.
    fn soon(&self, now: Instant) -> Instant {
        let limits = &self.limits;
        now + limits.header_timeout.min(limits.body_timeout).min(limits.idle_timeout).min(LINGER)
    }

    fn reads_fast_enough(&self) -> bool {
        self.written_while_blocked.load(Relaxed) > SLOWEST_READER.saturating_mul(self.limits.body_timeout.as_secs())
    }
}

fn due(end: Instant, now: Instant, next: Instant, verdict: Verdict) -> Verdict {
    if end <= now { verdict } else { Verdict::Wait(next.min(end)) }
}
