//! Says a thing at most so often, however often it happens: an attack must not fill the log.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

const PERIOD: Duration = Duration::from_secs(10);

/// Counts occurrences and lets one through per period.
#[derive(Debug, Default)]
pub struct Throttle {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    said: Option<Instant>,
    unsaid: u64,
}

impl Throttle {
    /// Notes one occurrence at `now`. Returns how many there were since the last time it was said, this one included,
    /// when it is time to say it again.
    pub fn note(&self, now: Instant) -> Option<u64> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.unsaid += 1;
        if state.said.is_some_and(|said| now.saturating_duration_since(said) < PERIOD) {
            return None;
        }
        state.said = Some(now);
        Some(std::mem::take(&mut state.unsaid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_occurrence_is_said_and_the_others_are_counted() {
        let throttle = Throttle::default();
        let start = Instant::now();
        assert_eq!(throttle.note(start), Some(1));
        assert_eq!(throttle.note(start + PERIOD / 2), None);
        assert_eq!(throttle.note(start + PERIOD / 2), None);
        assert_eq!(throttle.note(start + PERIOD), Some(3));
    }
}
