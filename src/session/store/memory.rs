//! The records in the memory of this process.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::records::Records;
use super::{Ask, EndCause, Ending, Lead, Newest, Outcome, Policy, RecordKey, Recording, Standing, Ticket};
use crate::clock::{Clock, Now};
use crate::oauth::AccessToken;

/// The records under a lock that is held for the length of one operation, and those who wait for an outcome.
pub struct MemoryStore {
    clock: Clock,
    state: Mutex<State>,
}

struct State {
    records: Records,
    /// One channel per token in flight. Nothing is ever sent: dropping the sender wakes everybody.
    waiting: HashMap<RecordKey, watch::Sender<()>>,
}

/// A renewal somewhere between claim and record.
#[derive(Debug)]
pub struct Pending {
    woken: watch::Receiver<()>,
    patience: Option<Duration>,
}

impl Pending {
    /// Nobody may be there to wake who waits: worth waiting for so long, and then looking again.
    pub(super) const fn bounded(woken: watch::Receiver<()>, patience: Duration) -> Self {
        Self { woken, patience: Some(patience) }
    }

    /// How long it is worth waiting for; `None` where the end is never missed.
    #[must_use]
    pub const fn patience(&self) -> Option<Duration> {
        self.patience
    }

    /// Until there is something new to see.
    pub async fn done(mut self) {
        // The only message is the end of the channel.
        while self.woken.changed().await.is_ok() {}
    }
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new(policy: Policy, clock: Clock) -> Self {
        Self { clock, state: Mutex::new(State { records: Records::new(policy), waiting: HashMap::new() }) }
    }

    pub(super) fn set_policy(&self, policy: Policy) {
        self.state().records.set_policy(policy);
    }

    pub(super) fn len(&self) -> usize {
        self.state().records.len()
    }

    pub(super) fn look(&self, ask: &Ask) -> Standing {
        let mut state = self.state();
        let State { records, waiting } = &mut *state;
        Standing::of(records.look(ask, self.now()), |key| {
            // Subscribed under the lock that the outcome is recorded under: no wake-up can be missed.
            let woken = waiting.entry(key).or_insert_with(|| watch::Sender::new(())).subscribe();
            Pending { woken, patience: None }
        })
    }

    pub(super) fn claim(&self, ask: &Ask, lease: Duration) -> Option<Lead> {
        self.state().records.claim(ask, lease, self.now())
    }

    pub(super) fn record(&self, ticket: &Ticket, outcome: &Outcome) -> Recording {
        let mut state = self.state();
        let recording = state.records.record(ticket, outcome.clone(), self.now());
        if recording != Recording::Fenced {
            state.waiting.remove(&ticket.key);
        }
        recording
    }

    pub(super) fn disown(&self, ask: &Ask, access_token: &AccessToken) {
        self.state().records.disown(&ask.key, access_token);
    }

    pub(super) fn begin(&self, key: &RecordKey) {
        self.state().records.begin(key, self.now());
    }

    pub(super) fn note_presented(&self, key: &RecordKey) {
        self.state().records.presented(key, self.now());
    }

    pub(super) fn newest(&self, ask: &Ask) -> Newest {
        self.state().records.newest(ask)
    }

    pub(super) fn end(&self, ask: &Ask, cause: EndCause) -> Option<Ending> {
        let mut state = self.state();
        let ending = state.records.end(ask, cause, self.now());
        // Who waits for a renewal of an ended session waits no longer.
        if let Some((key, _)) = state.records.tip(&ask.key) {
            state.waiting.remove(&key);
        }
        ending
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No operation leaves the records half changed in a way that matters more than refusing everybody would.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Now {
        Now::of(&self.clock)
    }
}
