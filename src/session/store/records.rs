//! The state machine of the refresh protocol: every operation of the store as a pure step in time.
//!
//! No clock, no lock, nobody waits: the caller says what time it is. Rule by rule, this is where a spent token is never
//! handed out for spending again, however its presenters, its answers and its successors are ordered.

mod chain;
mod decision;
mod ended;

use std::time::{Duration, Instant};

use self::decision::Spendable;
use self::ended::EndedSessions;
use super::record::{Record, State, Term, Troubles};
use super::sheet::Sheet;
use super::shelf::Shelf;
use super::{Ask, EndCause, Ending, Lead, Newest, Outcome, Policy, RecordKey, Recording, Ticket, Tokens};
use crate::clock::Now;
use crate::oauth::AccessToken;
use crate::session::SessionId;

pub(super) use self::decision::Decision;

/// So many records at most are aged in one operation, so that none of them takes long.
const AGED_AT_ONCE: usize = 32;
/// A record that was seen within this time is not moved to be seen again.
const SEEN_LATELY: Duration = Duration::from_secs(30);

/// All records, and the sessions that have ended.
#[derive(Debug)]
pub(super) struct Records {
    policy: Policy,
    shelf: Shelf,
    ended: EndedSessions,
    last_ticket: u64,
    least_ticket: u64,
}

impl Records {
    pub(super) fn new(policy: Policy) -> Self {
        Self { policy, shelf: Shelf::default(), ended: EndedSessions::default(), last_ticket: 0, least_ticket: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.shelf.len()
    }

    /// Another policy for what is recorded already and what will be.
    pub(super) const fn set_policy(&mut self, policy: Policy) {
        self.policy = policy;
    }

    /// What was known of one chain, taken up again.
    pub(super) fn of(policy: Policy, sheet: Sheet) -> Self {
        let mut records = Self::new(policy);
        for (key, record) in sheet.records {
            records.shelf.put(key, record);
        }
        for (at, session, cause) in sheet.ended {
            records.ended.put(session, cause, at);
        }
        records.last_ticket = sheet.last_ticket;
        records
    }

    /// What is known, to be taken up again later.
    pub(super) fn into_sheet(self) -> Sheet {
        let Self { shelf, ended, last_ticket, .. } = self;
        Sheet { records: shelf.into_records(), ended: ended.into_list(), last_ticket }
    }

    /// Tickets are numbered from here on at least: who leads must not be taken for somebody from before a store forgot.
    pub(super) fn number_from(&mut self, number: u64) {
        self.least_ticket = number;
    }

    /// How long whoever spends this token may take still.
    pub(super) fn lease_left(&self, key: &RecordKey, now: Instant) -> Option<Duration> {
        match self.shelf.get(key)?.state {
            State::InFlight { lease, .. } => lease.left(now),
            State::Unspent(_) | State::Renewed { .. } | State::Lapsed | State::Rejected => None,
        }
    }

    /// Whoever leads is alive, and does so for another `lease`. `false` when another ticket took over.
    pub(super) fn extend(&mut self, ticket: &Ticket, lease: Duration, now: Now) -> bool {
        let Some((mut record, troubles)) = self.take_in_flight(ticket) else { return false };
        let lease = Term { since: now.instant, length: lease };
        record.state = State::InFlight { number: ticket.number, lease, troubles };
        self.shelf.put(ticket.key, record);
        true
    }

    pub(super) fn look(&mut self, ask: &Ask, now: Now) -> Decision {
        self.presented(&ask.key, now);
        self.shorten_chain(&ask.key);
        self.decide(ask, now)
    }

    pub(super) fn claim(&mut self, ask: &Ask, lease: Duration, now: Now) -> Option<Lead> {
        self.age(&ask.key, now.instant);
        let Decision::Vacant(Spendable { key, token, troubles }) = self.decide(ask, now) else { return None };
        let session = self.session_of(ask);
        self.last_ticket = self.last_ticket.saturating_add(1).max(self.least_ticket);
        let number = self.last_ticket;
        let lease = Term { since: now.instant, length: lease };
        let state = State::InFlight { number, lease, troubles };
        let mut record = self.shelf.take(&key).unwrap_or_else(|| Record::new(session, state, now.instant));
        record.state = state;
        // It outlives its renewal, and belongs to the session still.
        record
            .access_tokens
            .extend(ask.beside.filter(|beside| key == ask.key && !record.access_tokens.contains(beside)));
        self.shelf.put(key, record);
        Some(Lead { ticket: Ticket { key, number, session }, token, answer_lost: troubles.answer_lost })
    }

    pub(super) fn record(&mut self, ticket: &Ticket, outcome: Outcome, now: Now) -> Recording {
        let ended = self.ended.cause(ticket.session);
        let Some((mut spent, troubles)) = self.take_in_flight(ticket) else {
            // Of a session that has ended, it is to be undone whoever took over. Nobody may have: an outcome whose recording
            // was not answered is recorded once more.
            return ended.map_or(Recording::Fenced, Recording::SessionEnded);
        };
        let mut newest = [ticket.key; 2];
        spent.seen = now.instant;
        match outcome {
            Outcome::Tokens { successor, mut tokens, nameless } => {
                let troubles = match tokens.access {
                    Some(_) => Troubles::default(),
                    // It did not verify. The refresh token beside it is all there is to go on with, after a rest.
                    None => Troubles { nameless, ..troubles.and_another(None, false, now.instant) },
                };
                if ended.is_some() {
                    tokens.access = None;
                }
                newest = [ticket.key, successor];
                self.renewed(ticket, spent, successor, (tokens, troubles), now);
            }
            Outcome::Rejected => self.put_spent(ticket.key, spent, State::Rejected),
            Outcome::Unavailable { retry_after, answer_lost } => {
                spent.state = State::Unspent(troubles.and_another(retry_after, answer_lost, now.instant));
                self.shelf.put(ticket.key, spent);
            }
            Outcome::NotSent(rest) => {
                spent.state = State::Unspent(troubles.resting(rest, now.instant));
                self.shelf.put(ticket.key, spent);
            }
        }
        self.shelf.shrink(self.policy.max_records, self.policy.max_bytes, &newest);
        ended.map_or(Recording::Recorded, Recording::SessionEnded)
    }

    /// That a token was presented shows that every outcome before it arrived (R3).
    pub(super) fn presented(&mut self, key: &RecordKey, now: Now) {
        self.age(key, now.instant);
        let Some(record) = self.shelf.get(key) else { return };
        let predecessor = record.predecessor;
        if now.instant.saturating_duration_since(record.seen) >= SEEN_LATELY {
            self.shelf.change(key, |record| record.seen = now.instant);
        }
        self.confirm(predecessor, now.instant);
    }

    /// A token that is being spent is left alone: its outcome is on the way.
    pub(super) fn begin(&mut self, key: &RecordKey, now: Now) {
        if self.shelf.get(key).is_some_and(|record| record.is_in_flight(now.instant)) {
            return;
        }
        self.shelf.take(key);
        // Without a session of its own, it would be the one that ended.
        self.ended.remove(SessionId::beginning_with(key));
    }

    pub(super) fn disown(&mut self, key: &RecordKey, access_token: &AccessToken) {
        let Some((end, _)) = self.tip(key) else { return };
        self.shelf.change(&end, |record| {
            if let Some(fresh) = &mut record.tokens {
                fresh.tokens.access.take_if(|access| access.token == *access_token);
            }
        });
    }

    pub(super) fn newest(&self, ask: &Ask) -> Newest {
        if self.ended.cause(self.session_of(ask)).is_some() {
            return Newest::Ended;
        }
        match self.tip(&ask.key) {
            Some((_, Record { state: State::Rejected | State::Lapsed, .. })) => Newest::Ended,
            Some((_, Record { tokens: Some(fresh), .. })) => Newest::Tokens(fresh.tokens.clone()),
            Some(_) | None => Newest::Unknown,
        }
    }

    pub(super) fn end(&mut self, ask: &Ask, cause: EndCause, now: Now) -> Option<Ending> {
        let session = self.session_of(ask);
        if self.ended.cause(session).is_some() {
            return None;
        }
        self.ended.put(session, cause, now.instant);
        self.ended.shrink(self.policy.max_records);
        Some(self.ending(ask, now))
    }

    /// The same by somebody who has tried before, and may have been the one who ended it.
    pub(super) fn end_again(&mut self, ask: &Ask, cause: EndCause, now: Now) -> Ending {
        self.end(ask, cause, now).unwrap_or_else(|| self.ending(ask, now))
    }

    fn ending(&self, ask: &Ask, now: Now) -> Ending {
        let refresh_token = match self.tip(&ask.key) {
            Some((_, record)) if record.is_rejected() || record.is_in_flight(now.instant) => None,
            Some((key, record)) if key != ask.key => record.refresh_token(),
            // Revoking a token that was spent makes most issuers revoke what came of it.
            Some(_) | None => Some(ask.token.clone()),
        };
        Ending { refresh_token, access_tokens: self.access_tokens(&ask.key, now), recorded: true }
    }

    fn session_of(&self, ask: &Ask) -> SessionId {
        let inherited = || self.shelf.get(&ask.key).map(|record| record.session);
        ask.session.or_else(inherited).unwrap_or_else(|| SessionId::beginning_with(&ask.key))
    }

    /// The record that this ticket may write to, and no other ticket (R9).
    fn take_in_flight(&mut self, ticket: &Ticket) -> Option<(Record, Troubles)> {
        match self.shelf.get(&ticket.key)?.state {
            State::InFlight { number, troubles, .. } if number == ticket.number => {
                self.shelf.take(&ticket.key).map(|record| (record, troubles))
            }
            _ => None,
        }
    }

    fn renewed(
        &mut self,
        ticket: &Ticket,
        mut spent: Record,
        successor: RecordKey,
        (tokens, troubles): (Tokens, Troubles),
        now: Now,
    ) {
        if successor == ticket.key {
            // The issuer does not rotate: the token is good again (R8).
            spent.state = State::Unspent(troubles);
            if tokens.access.is_some() || spent.tokens.is_none() {
                spent.keep(tokens, now);
            }
            self.shelf.put(ticket.key, spent);
            return;
        }
        self.put_spent(ticket.key, spent, State::Renewed { successor, confirmed_at: None });
        // Whatever was known of the successor, the issuer has just said that it is good.
        let mut record = Record::new(ticket.session, State::Unspent(troubles), now.instant);
        record.predecessor = Some(ticket.key);
        record.keep(tokens, now);
        self.shelf.put(successor, record);
    }

    fn put_spent(&mut self, key: RecordKey, mut spent: Record, state: State) {
        spent.state = state;
        spent.tokens = None;
        self.shelf.put(key, spent);
    }

    /// Lets time pass for `key`, exactly, and for some of the others.
    fn age(&mut self, key: &RecordKey, now: Instant) {
        if self.shelf.get(key).is_some_and(|record| record.is_idle(self.policy.idle, now)) {
            self.let_go(key, now);
        }
        for _ in 0..AGED_AT_ONCE {
            if let Some(forgotten) = self.shelf.settled_for(self.policy.keep, now) {
                self.shelf.take(&forgotten);
            } else if let Some(idle) = self.shelf.unseen_for(self.policy.idle, now) {
                self.let_go(&idle, now);
            } else {
                break;
            }
        }
        self.ended.age(self.policy.keep, now);
    }

    /// Idle for too long: an unspent token is forgotten, a spent one is remembered as spent.
    fn let_go(&mut self, key: &RecordKey, now: Instant) {
        let Some(mut record) = self.shelf.take(key) else { return };
        if record.is_unconfirmed() {
            record.seen = now;
            self.put_spent(*key, record, State::Lapsed);
        }
    }
}

#[cfg(test)]
mod tests;
