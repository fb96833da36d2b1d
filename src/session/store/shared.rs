//! The records on a server that several instances share.
//!
//! Each operation reads the sheet of one chain, takes the same step on it that the memory takes on all records
//! ([`super::records`]), and writes it back unless another instance was faster: then the step is taken again on what that
//! one has written. A token that came out of another finds its chain through a pointer, which is written before the value
//! that makes the token known. What cannot be written because the server is away is kept ([`super::kept`]) and written
//! later, by whoever asked for it.

mod leading;
mod sheets;

use std::collections::HashMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;

use super::kept::Kept;
use super::memory::Pending;
use super::records::{Decision, Records};
use super::sheet::{Calendar, ChainId, Sheet};
use super::waiting::Waiting;
use super::{Ask, EndCause, Ending, Lead, Newest, Outcome, Policy, RecordKey, Recording, Standing, Ticket};
use crate::clock::{Clock, Now};
use crate::oauth::AccessToken;
use crate::session::Sealer;
use crate::session::shared::{Away, Connection, Heard, Server};
use leading::{LEASE, Leading};
use sheets::{At, Taken};

pub(super) use leading::HEARTBEAT;

/// The most records and bytes of one chain. Spent tokens that are older are not recognised as such; an issuer that knows
/// them still refuses them.
const LONGEST_SHEET: (usize, usize) = (64, 128 << 10);

/// Records on a server.
pub struct SharedStore<S = Connection> {
    server: S,
    clock: Clock,
    calendar: Calendar,
    prefix: String,
    terms: ArcSwap<Terms>,
    waiting: Arc<Waiting>,
    local: Mutex<Local>,
    unreadable_told: AtomicBool,
}

/// What a reload may change.
struct Terms {
    policy: Policy,
    sealer: Sealer,
}

#[derive(Default)]
struct Local {
    /// The tokens that are being spent here.
    leading: HashMap<(RecordKey, u64), Leading>,
    kept: Kept,
    /// When the server's time was last seen, and what it was.
    time: Option<(Instant, u64)>,
}

/// How a token stands, and for how long whoever spends it is believed to be alive.
struct Looked {
    chain: ChainId,
    decision: Decision,
    lease_left: Duration,
}

impl<S: Server> SharedStore<S> {
    /// A store on a server of which nothing has been asked yet. All its keys begin with `prefix`.
    #[must_use]
    pub fn new(server: S, prefix: &str, (policy, sealer): (Policy, Sealer), clock: Clock) -> Self {
        let waiting = Arc::<Waiting>::default();
        let store = Self {
            server,
            calendar: Calendar { epoch: clock.instant() },
            clock,
            prefix: prefix.to_owned(),
            terms: ArcSwap::from_pointee(Terms { policy: of_one_chain(policy), sealer }),
            waiting: Arc::clone(&waiting),
            local: Mutex::default(),
            unreadable_told: AtomicBool::new(false),
        };
        let listener = move |heard: Heard<'_>| match heard {
            Heard::Message(chain) => {
                if let Some(chain) = ChainId::parse(chain) {
                    waiting.wake(chain);
                }
            }
            Heard::Gap => waiting.wake_all(),
        };
        store.server.listen(&store.channel(), Box::new(listener));
        store
    }

    pub(super) fn set_terms(&self, policy: Policy, sealer: Sealer) {
        self.terms.store(Arc::new(Terms { policy: of_one_chain(policy), sealer }));
    }

    pub(super) async fn look(&self, ask: &Ask) -> Standing {
        let Ok(mut looked) = self.look_once(ask).await else { return self.look_here(ask) };
        let mut woken = None;
        if let Decision::InFlight(_) = looked.decision {
            // Looked at once more now that no wake-up can be missed.
            woken = Some(self.waiting.for_chain(looked.chain));
            match self.look_once(ask).await {
                Ok(again) => looked = again,
                Err(Away) => return self.look_here(ask),
            }
        }
        Standing::of(looked.decision, |_| {
            let woken = woken.unwrap_or_else(|| self.waiting.for_chain(looked.chain));
            Pending::bounded(woken, looked.lease_left)
        })
    }

    async fn look_once(&self, ask: &Ask) -> Result<Looked, Away> {
        let found = self.find(&ask.key).await?;
        let chain = found.0;
        let look = |records: &mut Records, now: Now| {
            let decision = records.look(ask, now);
            let lease_left = match &decision {
                // At its end there is something new to see, whether or not anybody says so.
                Decision::InFlight(key) => records.lease_left(key, now.instant).unwrap_or_default(),
                _ => Duration::ZERO,
            };
            Looked { chain, decision, lease_left }
        };
        self.step(At::quietly(found), look).await.map(|taken| taken.answer)
    }

    /// While the server is away: an outcome that is kept here answers, and nothing else is known.
    fn look_here(&self, ask: &Ask) -> Standing {
        let mut local = self.local();
        let now = self.now_without_server(&local);
        match local.kept.step(&ask.key, self.terms.load().policy, |records| records.look(ask, now)) {
            Some(Decision::Recorded(tokens)) => Standing::Recorded(tokens),
            Some(Decision::Resting(rest)) => Standing::Resting(rest),
            Some(Decision::Nameless) => Standing::Nameless,
            Some(Decision::Rejected) => Standing::Rejected,
            Some(Decision::Ended(cause)) => Standing::Ended(cause),
            Some(Decision::InFlight(_) | Decision::Vacant(_) | Decision::Reused | Decision::Forgotten) | None => {
                Standing::Away
            }
        }
    }

    /// The lease is this store's own, and held by saying so: see [`SharedStore::extend`].
    pub(super) async fn claim(&self, ask: &Ask) -> Result<Option<Lead>, Away> {
        let held_at = Now::of(&self.clock);
        let found = self.find(&ask.key).await?;
        let chain = found.0;
        let claim = |records: &mut Records, now: Now| {
            records.number_from(self.calendar.millis(now.instant));
            records.claim(ask, LEASE, now)
        };
        let Taken { answer, sheet } = self.step(At::quietly(found), claim).await?;
        if let Some(lead) = &answer {
            let leading = Leading { chain, claimed: sheet, held_at };
            self.local().leading.insert((lead.ticket.key, lead.ticket.number), leading);
        }
        Ok(answer)
    }

    /// Whether whoever leads still does. The server is not asked where it has just said so.
    pub(super) async fn extend(&self, ticket: &Ticket) -> bool {
        let id = (ticket.key, ticket.number);
        let asked_at = Now::of(&self.clock);
        let Some(leading) = self.local().leading.get(&id).cloned() else { return false };
        if leading.is_held_within(HEARTBEAT, asked_at) {
            return true;
        }
        // Where the server has forgotten the chain before the lease ended, nobody took over either.
        let or = leading.is_held_within(LEASE, asked_at).then_some(&leading.claimed);
        let extended = async {
            let reading = self.server.read(&self.sheet_key(leading.chain)).await?;
            let at = At { chain: leading.chain, reading, or, wakes: false };
            self.step(at, |records, now| records.extend(ticket, LEASE, now)).await
        };
        let held_at = match extended.await {
            Ok(Taken { answer: true, .. }) => asked_at,
            Ok(Taken { answer: false, .. }) => return false,
            Err(Away) => leading.held_at,
        };
        let leading = Leading { held_at, ..leading };
        // The answer may be an old one: the process may have been stopped while it was on its way.
        let is_held = leading.is_held_within(LEASE, Now::of(&self.clock));
        if let Some(known) = self.local().leading.get_mut(&id)
            && known.held_at.instant < held_at.instant
        {
            known.held_at = held_at;
        }
        is_held
    }

    pub(super) async fn record(&self, ticket: &Ticket, outcome: &Outcome) -> Recording {
        let id = (ticket.key, ticket.number);
        let Some(Leading { chain, claimed, .. }) = self.local().leading.get(&id).cloned() else {
            return Recording::Fenced;
        };
        let Ok(recording) = self.record_at(chain, &claimed, ticket, outcome).await else {
            let mut local = self.local();
            let now = self.now_without_server(&local);
            let policy = self.terms.load().policy;
            local.kept.keep(chain, claimed, policy, |records| records.record(ticket, outcome.clone(), now));
            drop(local);
            self.waiting.wake(chain);
            return Recording::Kept;
        };
        let mut local = self.local();
        local.leading.remove(&id);
        local.kept.forget(chain);
        drop(local);
        self.waiting.wake(chain);
        recording
    }

    async fn record_at(
        &self,
        chain: ChainId,
        claimed: &Sheet,
        ticket: &Ticket,
        outcome: &Outcome,
    ) -> Result<Recording, Away> {
        if let Outcome::Tokens { successor, tokens, .. } = outcome
            && ChainId::beginning_with(successor) != chain
        {
            let accepted_until = tokens.access.as_ref().map(|access| access.expires_at);
            let lasts = self.terms.load().policy.lasts(accepted_until, self.clock.now());
            self.server.put(&self.pointer_key(successor), &chain.to_string(), lasts).await?;
        }
        let reading = self.server.read(&self.sheet_key(chain)).await?;
        let record = |records: &mut Records, now| records.record(ticket, outcome.clone(), now);
        // Where the server has forgotten the chain, nobody took over either.
        self.step(At { chain, reading, or: Some(claimed), wakes: true }, record).await.map(|taken| taken.answer)
    }

    pub(super) async fn disown(&self, ask: &Ask, access_token: &AccessToken) -> Result<(), Away> {
        let found = self.find(&ask.key).await?;
        self.step(At::quietly(found), |records, _| records.disown(&ask.key, access_token)).await.map(drop)
    }

    pub(super) async fn begin(&self, key: &RecordKey) -> Result<(), Away> {
        let found = self.find(key).await?;
        self.step(At::quietly(found), |records, now| records.begin(key, now)).await.map(drop)
    }

    pub(super) async fn note_presented(&self, key: &RecordKey) -> Result<(), Away> {
        let found = self.find(key).await?;
        self.step(At::quietly(found), |records, now| records.presented(key, now)).await.map(drop)
    }

    pub(super) async fn newest(&self, ask: &Ask) -> Newest {
        let found = async {
            let found = self.find(&ask.key).await?;
            self.step(At::quietly(found), |records, _| records.newest(ask)).await
        };
        if let Ok(taken) = found.await {
            return taken.answer;
        }
        let policy = self.terms.load().policy;
        self.local().kept.step(&ask.key, policy, |records| records.newest(ask)).unwrap_or(Newest::Unknown)
    }

    /// While the server is away, the end is known here only, and to be recorded later.
    pub(super) async fn end(&self, ask: &Ask, cause: EndCause) -> Option<Ending> {
        self.end_by(ask, |records, now| records.end(ask, cause, now)).await
    }

    pub(super) async fn end_again(&self, ask: &Ask, cause: EndCause) -> Option<Ending> {
        self.end_by(ask, |records, now| Some(records.end_again(ask, cause, now))).await
    }

    async fn end_by(&self, ask: &Ask, end: impl Fn(&mut Records, Now) -> Option<Ending>) -> Option<Ending> {
        let found = async {
            let (chain, reading) = self.find(&ask.key).await?;
            let taken = self.step(At { chain, reading, or: None, wakes: true }, &end).await?;
            self.waiting.wake(chain);
            Ok::<_, Away>(taken.answer)
        };
        if let Ok(ending) = found.await {
            return ending;
        }
        let mut local = self.local();
        let (now, policy) = (self.now_without_server(&local), self.terms.load().policy);
        let ending = match local.kept.step(&ask.key, policy, |records| end(records, now)) {
            Some(ending) => ending,
            None => end(&mut Records::new(policy), now),
        };
        ending.map(|ending| Ending { recorded: false, ..ending })
    }

    fn local(&self) -> MutexGuard<'_, Local> {
        self.local.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The bounds are those of one chain; how much there is of all chains is the server's to bound.
fn of_one_chain(policy: Policy) -> Policy {
    let (max_records, max_bytes) = LONGEST_SHEET;
    Policy { max_records, max_bytes, ..policy }
}

#[cfg(test)]
mod tests;
