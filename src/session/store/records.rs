//! The state machine of the refresh protocol: every operation of the store as a pure step in time.
//!
//! No clock, no lock, nobody waits: the caller says what time it is. Rule by rule, this is where a spent token is never
//! handed out for spending again, however its presenters, its answers and its successors are ordered.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use super::record::{Record, State, Term, Troubles};
use super::sheet::Sheet;
use super::shelf::Shelf;
use super::{
    Ask, EndCause, Ending, Lead, Newest, Now, Outcome, Policy, Presenter, RecordKey, Recording, Ticket, Tokens,
};
use crate::clock::Timestamp;
use crate::oauth::{AccessToken, RefreshToken};
use crate::session::{SessionId, TokenHash};

/// So many records at most are aged in one operation, so that none of them takes long.
const AGED_AT_ONCE: usize = 32;
/// A record that was seen within this time is not moved to be seen again.
const SEEN_LATELY: Duration = Duration::from_secs(30);
/// Longer chains than this do not come about: following one shortens it.
const LONGEST_CHAIN: usize = 100_000;

/// All records, and the sessions that have ended.
#[derive(Debug)]
pub(super) struct Records {
    policy: Policy,
    shelf: Shelf,
    ended: HashMap<SessionId, EndCause>,
    ended_at: VecDeque<(Instant, SessionId)>,
    last_ticket: u64,
    least_ticket: u64,
}

/// How a presented token stands; as [`super::Standing`], with the record that the answer is about.
#[derive(Clone, Debug)]
pub(super) enum Decision {
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
pub(super) struct Spendable {
    key: RecordKey,
    token: RefreshToken,
    troubles: Troubles,
}

impl Records {
    pub(super) fn new(policy: Policy) -> Self {
        Self {
            policy,
            shelf: Shelf::default(),
            ended: HashMap::new(),
            ended_at: VecDeque::new(),
            last_ticket: 0,
            least_ticket: 0,
        }
    }

    /// Another policy for what is recorded already and what will be.
    pub(super) fn len(&self) -> usize {
        self.shelf.len()
    }

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
            records.ended.insert(session, cause);
            records.ended_at.push_back((at, session));
        }
        records.last_ticket = sheet.last_ticket;
        records
    }

    /// What is known, to be taken up again later.
    pub(super) fn into_sheet(self) -> Sheet {
        let Self { shelf, ended, ended_at, last_ticket, .. } = self;
        let ended_at = ended_at.into_iter();
        let ended = ended_at.filter_map(|(at, session)| Some((at, session, *ended.get(&session)?))).collect();
        Sheet { records: shelf.into_records(), ended, last_ticket }
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
        let ended = self.ended.get(&ticket.session).copied();
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
        let mut predecessor = record.predecessor;
        if now.instant.saturating_duration_since(record.seen) >= SEEN_LATELY {
            self.shelf.change(key, |record| record.seen = now.instant);
        }
        while let Some(before) = predecessor {
            let unconfirmed = self.shelf.get(&before).filter(|record| record.is_unconfirmed());
            predecessor = unconfirmed.and_then(|record| record.predecessor);
            self.shelf.change(&before, |record| {
                if let State::Renewed { confirmed_at, .. } = &mut record.state {
                    confirmed_at.get_or_insert(now.instant);
                }
            });
        }
    }

    /// A token that is being spent is left alone: its outcome is on the way.
    pub(super) fn begin(&mut self, key: &RecordKey, now: Now) {
        if self.shelf.get(key).is_some_and(|record| record.is_in_flight(now.instant)) {
            return;
        }
        self.shelf.take(key);
        // Without a session of its own, it would be the one that ended.
        let session = SessionId::beginning_with(key);
        if self.ended.remove(&session).is_some() {
            self.ended_at.retain(|(_, ended)| *ended != session);
        }
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
        if self.ended.contains_key(&self.session_of(ask)) {
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
        if self.ended.contains_key(&session) {
            return None;
        }
        self.ended.insert(session, cause);
        self.ended_at.push_back((now.instant, session));
        if self.ended_at.len() > self.policy.max_records {
            self.forget_oldest_end();
        }
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

    /// The end of the chain that a token belongs to.
    pub(super) fn tip(&self, key: &RecordKey) -> Option<(RecordKey, &Record)> {
        let mut key = *key;
        for _ in 0..LONGEST_CHAIN {
            let record = self.shelf.get(&key)?;
            let State::Renewed { successor, .. } = record.state else { return Some((key, record)) };
            key = successor;
        }
        None
    }

    fn decide(&self, ask: &Ask, now: Now) -> Decision {
        if let Some(cause) = self.ended.get(&self.session_of(ask)) {
            return Decision::Ended(*cause);
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

    /// Points a spent token straight at the end of its chain, so that a client that never keeps its new cookies does not
    /// make every look longer than the one before.
    fn shorten_chain(&mut self, key: &RecordKey) {
        let Some((end, _)) = self.tip(key) else { return };
        let Some(Record { state: State::Renewed { successor, confirmed_at }, .. }) = self.shelf.get(key) else {
            return;
        };
        if *successor != end {
            let state = State::Renewed { successor: end, confirmed_at: *confirmed_at };
            self.shelf.change(key, |record| record.state = state);
        }
    }

    /// What came of a chain and has not expired, from its end back.
    fn access_tokens(&self, key: &RecordKey, now: Now) -> Vec<(TokenHash, Timestamp)> {
        let mut found = Vec::new();
        let mut next = self.tip(key).map(|(end, _)| end);
        for _ in 0..LONGEST_CHAIN {
            let Some(record) = next.and_then(|key| self.shelf.get(&key)) else { break };
            let good = record.access_tokens.iter().filter(|(_, expires_at)| *expires_at > now.wall);
            let before = found.len();
            found.extend(good);
            if found.len() == before && !record.access_tokens.is_empty() {
                break;
            }
            next = record.predecessor;
        }
        found
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
        let over = |(since, _): &(Instant, _)| Term { since: *since, length: self.policy.keep }.left(now).is_none();
        if self.ended_at.front().is_some_and(over) {
            self.forget_oldest_end();
        }
    }

    /// Idle for too long: an unspent token is forgotten, a spent one is remembered as spent.
    fn let_go(&mut self, key: &RecordKey, now: Instant) {
        let Some(mut record) = self.shelf.take(key) else { return };
        if record.is_unconfirmed() {
            record.seen = now;
            self.put_spent(*key, record, State::Lapsed);
        }
    }

    fn forget_oldest_end(&mut self) {
        if let Some((_, session)) = self.ended_at.pop_front() {
            self.ended.remove(&session);
        }
    }
}

#[cfg(test)]
mod tests;
