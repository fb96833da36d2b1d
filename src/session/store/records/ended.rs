//! The sessions that have ended, in the order in which they did.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use crate::session::SessionId;
use crate::session::store::EndCause;
use crate::session::store::record::Term;

/// Why which sessions ended. The oldest are forgotten first.
#[derive(Debug, Default)]
pub(super) struct EndedSessions {
    causes: HashMap<SessionId, EndCause>,
    ended_at: VecDeque<(Instant, SessionId)>,
}

impl EndedSessions {
    /// Why this session has ended, if it has.
    pub(super) fn cause(&self, session: SessionId) -> Option<EndCause> {
        self.causes.get(&session).copied()
    }

    /// A session has ended that had not before, and later than all the others.
    pub(super) fn put(&mut self, session: SessionId, cause: EndCause, at: Instant) {
        self.causes.insert(session, cause);
        self.ended_at.push_back((at, session));
    }

    /// It begins anew.
    pub(super) fn remove(&mut self, session: SessionId) {
        if self.causes.remove(&session).is_some() {
            self.ended_at.retain(|(_, ended)| *ended != session);
        }
    }

    /// Forgets the oldest one when there are more than so many.
    pub(super) fn shrink(&mut self, most: usize) {
        if self.ended_at.len() > most {
            self.forget_oldest();
        }
    }

    /// Forgets the oldest one when it ended so long ago.
    pub(super) fn age(&mut self, keep: Duration, now: Instant) {
        if self.ended_at.front().is_some_and(|(since, _)| Term { since: *since, length: keep }.left(now).is_none()) {
            self.forget_oldest();
        }
    }

    /// When, which and why, the oldest first.
    pub(super) fn into_list(self) -> Vec<(Instant, SessionId, EndCause)> {
        let Self { causes, ended_at } = self;
        ended_at.into_iter().filter_map(|(at, session)| Some((at, session, *causes.get(&session)?))).collect()
    }

    fn forget_oldest(&mut self) {
        if let Some((_, session)) = self.ended_at.pop_front() {
            self.causes.remove(&session);
        }
    }
}
