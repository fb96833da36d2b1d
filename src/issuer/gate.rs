//! A gate before an endpoint of an issuer: how many requests at once, and how few while the issuer is down (R12).
//!
//! Requests of one kind to one issuer wait at their gate alone, so a stuck issuer is nobody else's trouble. After several
//! failures in a row the circuit opens: one request at a time goes through to see whether the issuer is back, all others are
//! told to come again: the later, the longer it has been down, and not all at the same moment. One success closes it. Who
//! leaves without having seen anything leaves the try to the next one: with requests that are given up at once, anybody could
//! use up all tries.
//!
//! An issuer that has just come back is met by everybody at once, and may be slow: whoever it keeps waiting for too long gives
//! up, and a refresh token whose answer nobody waited for is lost. So the first success makes room for two, and each answer
//! that does not take much longer than the first one did makes room for one more. That ends after some minutes in any case: an
//! issuer that was quick once and never again is slow, and not run over. The gate does *not* know what is asked.

use std::pin::pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::{Either, select};
use tokio::sync::{Semaphore, SemaphorePermit};

/// Requests under way.
const PLACES: usize = 32;
/// How many there may be just after the issuer has come back.
const PLACES_AT_FIRST: usize = 2;
/// An answer is slow if it took this much longer than twice the one that showed that the issuer is back.
const SLOWER_BY: Duration = Duration::from_secs(1);
/// The first answer may have been waited for since before the return: so much of it counts.
const FIRST_AT_MOST: Duration = Duration::from_secs(1);
/// A return lasts no longer.
const LONGEST_RETURN: Duration = Duration::from_secs(120);
/// Failures in a row that open the circuit.
const OPENS_AFTER: u32 = 5;
/// Between two tries while it is open, and the least that those turned away are told.
const BETWEEN_TRIES: Duration = Duration::from_secs(1);
/// They are told a part of the time that the issuer has been down: who comes again after that has waited little longer than
/// the issuer was away, and all who come again are not a load of their own.
const PART_OF_DOWN_TIME: u32 = 8;
/// The most that they are told.
const LONGEST: Duration = Duration::from_secs(30);
/// 2³² by the golden ratio: its multiples lie evenly between 0 and 2³², however many there are.
const GOLDEN: u32 = 0x9E37_79B9;

/// The gate.
#[derive(Debug)]
pub struct Gate {
    places: Semaphore,
    circuit: Mutex<Circuit>,
}

#[derive(Debug, Default)]
struct Circuit {
    failures: u32,
    trying: bool,
    tried_at: Option<Instant>,
    /// The first failure of those in a row.
    down_since: Option<Instant>,
    turned_away: u32,
    returning: Option<Return>,
}

/// The issuer has come back, and is not asked by as many as there may be yet.
#[derive(Clone, Copy, Debug)]
struct Return {
    began: Instant,
    /// How long the first answer took.
    first_took: Duration,
    /// How many may be inside.
    allowed: usize,
    /// How many places there are: more than that as long as some of them are taken.
    places: usize,
}

/// A place behind the gate, until it is dropped.
#[derive(Debug)]
pub struct Pass<'g> {
    gate: &'g Gate,
    place: Option<SemaphorePermit<'g>>,
    asked_at: Instant,
    on_trial: bool,
    has_seen: bool,
}

/// Turned away: come again after so long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TurnedAway(pub Duration);

impl Default for Gate {
    fn default() -> Self {
        Self::new()
    }
}

impl Gate {
    /// An open one, with nobody inside.
    #[must_use]
    pub fn new() -> Self {
        Self { places: Semaphore::new(PLACES), circuit: Mutex::default() }
    }

    /// Waits for a place, until `patience` ends. `now` is asked for once there is one.
    ///
    /// # Errors
    /// [`TurnedAway`]: too many are inside, or the issuer is down.
    pub async fn enter(
        &self,
        patience: impl Future<Output = ()>,
        now: impl FnOnce() -> Instant,
    ) -> Result<Pass<'_>, TurnedAway> {
        let place = match select(pin!(self.places.acquire()), pin!(patience)).await {
            Either::Left((Ok(place), _)) => place,
            Either::Left((Err(_), _)) | Either::Right(_) => return Err(TurnedAway(BETWEEN_TRIES)),
        };
        // Only now: those who queued up while the issuer went down must not all go through.
        let asked_at = now();
        let on_trial = self.circuit().admit(asked_at)?;
        Ok(Pass { gate: self, place: Some(place), asked_at, on_trial, has_seen: false })
    }

    /// Whether the issuer is down and nobody is needed to try it: who sees that first need not begin anything.
    pub fn turns_away(&self, now: Instant) -> Option<TurnedAway> {
        self.circuit().turns_away(now)
    }

    /// The issuer is back: there are fewer places for a while.
    fn begin_return(&self, first_took: Duration, began: Instant) -> Return {
        let places = PLACES - self.places.forget_permits(PLACES - PLACES_AT_FIRST);
        Return { began, first_took, allowed: PLACES_AT_FIRST, places }
    }

    /// So many may be inside. Nothing is left to do once that is as many as ever.
    fn allow(&self, returning: Return, allowed: usize) -> Option<Return> {
        let missing = allowed.saturating_sub(returning.places);
        self.places.add_permits(missing);
        let returning = Return { allowed, places: returning.places + missing, ..returning };
        (allowed < PLACES).then_some(returning)
    }

    fn circuit(&self) -> MutexGuard<'_, Circuit> {
        self.circuit.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Return {
    /// How many may be inside after an answer that took so long.
    fn allowed_after(&self, took: Duration, now: Instant) -> usize {
        if now.saturating_duration_since(self.began) > LONGEST_RETURN {
            PLACES
        } else if took > self.first_took.min(FIRST_AT_MOST) * 2 + SLOWER_BY {
            self.allowed.saturating_sub(1).max(1)
        } else {
            self.allowed + 1
        }
    }
}

impl Circuit {
    /// Whether whoever goes through is on trial.
    fn admit(&mut self, now: Instant) -> Result<bool, TurnedAway> {
        if let Some(turned_away) = self.turns_away(now) {
            return Err(turned_away);
        }
        let is_open = self.failures >= OPENS_AFTER;
        if is_open {
            self.trying = true;
            self.tried_at = Some(now);
        }
        Ok(is_open)
    }

    fn turns_away(&mut self, now: Instant) -> Option<TurnedAway> {
        let since = self.tried_at.map_or(Duration::MAX, |at| now.saturating_duration_since(at));
        let waits = self.failures >= OPENS_AFTER && (self.trying || since < BETWEEN_TRIES);
        waits.then(|| TurnedAway(self.come_again_in(now)))
    }

    /// Between half of the longest time and all of it.
    fn come_again_in(&mut self, now: Instant) -> Duration {
        let down_for = self.down_since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
        let half = (down_for / PART_OF_DOWN_TIME).min(LONGEST) / 2;
        self.turned_away = self.turned_away.wrapping_add(1);
        let part = f64::from(self.turned_away.wrapping_mul(GOLDEN)) / f64::from(u32::MAX);
        (half + half.mul_f64(part)).max(BETWEEN_TRIES)
    }
}

impl Pass<'_> {
    /// No answer came, and the issuer is asked once more.
    pub const fn asks_again(&mut self, now: Instant) {
        self.asked_at = now;
    }

    /// The issuer answered, be it with a refusal.
    pub fn issuer_answered(mut self, now: Instant) {
        self.has_seen = true;
        let took = now.saturating_duration_since(self.asked_at);
        let mut circuit = self.gate.circuit();
        if circuit.failures >= OPENS_AFTER {
            circuit.returning.get_or_insert_with(|| self.gate.begin_return(took, now));
        } else if let Some(returning) = circuit.returning {
            circuit.returning = self.gate.allow(returning, returning.allowed_after(took, now));
        }
        (circuit.failures, circuit.down_since) = (0, None);
    }

    /// The issuer had trouble.
    pub fn issuer_failed(mut self, now: Instant) {
        self.has_seen = true;
        let mut circuit = self.gate.circuit();
        circuit.failures = circuit.failures.saturating_add(1);
        circuit.tried_at = Some(now);
        circuit.down_since.get_or_insert(now);
        // Down again: who comes is told so, and does not queue for that.
        if circuit.failures >= OPENS_AFTER
            && let Some(returning) = circuit.returning
        {
            circuit.returning = self.gate.allow(returning, PLACES);
        }
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        let mut circuit = self.gate.circuit();
        if self.on_trial {
            circuit.trying = false;
            circuit.tried_at = circuit.tried_at.filter(|_| self.has_seen);
        }
        if let Some(returning) = &mut circuit.returning
            && returning.places > returning.allowed
            && let Some(place) = self.place.take()
        {
            place.forget();
            returning.places -= 1;
        }
    }
}

#[cfg(test)]
mod tests;
