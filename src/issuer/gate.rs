//! A gate before an endpoint of an issuer: how many requests at once, and how few while the issuer is down (R12).
//!
//! Requests of one kind to one issuer wait at their gate alone, so a stuck issuer is nobody else's trouble. After several
//! failures in a row the circuit opens: one request at a time goes through to see whether the issuer is back, all others are
//! told to come again. One success closes it. Who leaves without having seen anything leaves the try to the next one: with
//! requests that are given up at once, anybody could use up all tries. The gate does *not* know what is asked.

use std::pin::pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::{Either, select};
use tokio::sync::{Semaphore, SemaphorePermit};

/// Requests under way.
const PLACES: usize = 32;
/// Failures in a row that open the circuit.
const OPENS_AFTER: u32 = 5;
/// Between two tries while it is open, and what those turned away are told.
const BETWEEN_TRIES: Duration = Duration::from_secs(1);

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
}

/// A place behind the gate, until it is dropped.
#[derive(Debug)]
pub struct Pass<'g> {
    gate: &'g Gate,
    _place: SemaphorePermit<'g>,
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
        let on_trial = self.circuit().admit(now())?;
        Ok(Pass { gate: self, _place: place, on_trial, has_seen: false })
    }

    fn circuit(&self) -> MutexGuard<'_, Circuit> {
        self.circuit.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Circuit {
    /// Whether whoever goes through is on trial.
    fn admit(&mut self, now: Instant) -> Result<bool, TurnedAway> {
        if self.failures < OPENS_AFTER {
            return Ok(false);
        }
        let since = self.tried_at.map_or(Duration::MAX, |at| now.saturating_duration_since(at));
        if self.trying || since < BETWEEN_TRIES {
            return Err(TurnedAway(BETWEEN_TRIES));
        }
        self.trying = true;
        self.tried_at = Some(now);
        Ok(true)
    }
}

impl Pass<'_> {
    /// The issuer answered, be it with a refusal.
    pub fn issuer_answered(mut self) {
        self.has_seen = true;
        self.gate.circuit().failures = 0;
    }

    /// The issuer had trouble.
    pub fn issuer_failed(mut self, now: Instant) {
        self.has_seen = true;
        let mut circuit = self.gate.circuit();
        circuit.failures = circuit.failures.saturating_add(1);
        circuit.tried_at = Some(now);
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        if self.on_trial {
            let mut circuit = self.gate.circuit();
            circuit.trying = false;
            circuit.tried_at = circuit.tried_at.filter(|_| self.has_seen);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use std::future::{pending, ready};

    fn enter(gate: &Gate, now: Instant) -> Option<Result<Pass<'_>, TurnedAway>> {
        gate.enter(pending(), || now).now_or_never()
    }

    fn fail(gate: &Gate, times: u32, now: Instant) {
        for _ in 0..times {
            enter(gate, now).unwrap().unwrap().issuer_failed(now);
        }
    }

    #[test]
    fn only_so_many_are_under_way_and_who_leaves_makes_room() {
        let (gate, now) = (Gate::new(), Instant::now());
        let mut inside: Vec<_> = (0..PLACES).map(|_| enter(&gate, now).unwrap().unwrap()).collect();
        assert!(enter(&gate, now).is_none());
        inside.pop();
        assert!(enter(&gate, now).unwrap().is_ok());
    }

    #[test]
    fn waiting_for_a_place_is_bounded() {
        let (gate, now) = (Gate::new(), Instant::now());
        let _inside: Vec<_> = (0..PLACES).map(|_| enter(&gate, now).unwrap().unwrap()).collect();
        let turned_away = gate.enter(ready(()), || now).now_or_never().unwrap();
        assert_eq!(turned_away.err(), Some(TurnedAway(BETWEEN_TRIES)));
    }

    #[test]
    fn an_issuer_that_keeps_failing_is_tried_by_one_at_a_time_and_once_a_second() {
        let (gate, now) = (Gate::new(), Instant::now());
        fail(&gate, OPENS_AFTER, now);
        assert!(enter(&gate, now).unwrap().is_err());
        let later = now + BETWEEN_TRIES;
        let trial = enter(&gate, later).unwrap().unwrap();
        assert!(enter(&gate, later + BETWEEN_TRIES).unwrap().is_err());
        trial.issuer_failed(later + BETWEEN_TRIES);
        assert!(enter(&gate, later + BETWEEN_TRIES).unwrap().is_err());
        assert!(enter(&gate, later + 2 * BETWEEN_TRIES).unwrap().is_ok());
    }

    #[test]
    fn one_success_lets_everybody_through_again() {
        let (gate, now) = (Gate::new(), Instant::now());
        fail(&gate, OPENS_AFTER, now);
        enter(&gate, now + BETWEEN_TRIES).unwrap().unwrap().issuer_answered();
        let _inside: Vec<_> = (0..PLACES).map(|_| enter(&gate, now + BETWEEN_TRIES).unwrap().unwrap()).collect();
    }

    #[test]
    fn a_trial_that_vanishes_does_not_keep_the_gate_shut() {
        let (gate, now) = (Gate::new(), Instant::now());
        fail(&gate, OPENS_AFTER, now);
        for _ in 0..3 {
            drop(enter(&gate, now + BETWEEN_TRIES).unwrap().unwrap());
        }
        enter(&gate, now + BETWEEN_TRIES).unwrap().unwrap().issuer_failed(now + BETWEEN_TRIES);
        assert!(enter(&gate, now + BETWEEN_TRIES).unwrap().is_err());
    }

    #[test]
    fn scattered_failures_do_not_open_the_circuit() {
        let (gate, now) = (Gate::new(), Instant::now());
        for _ in 0..10 {
            fail(&gate, OPENS_AFTER - 1, now);
            enter(&gate, now).unwrap().unwrap().issuer_answered();
        }
    }
}
