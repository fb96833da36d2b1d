//! How many requests may be sent once more: a share of all, so that an outage does not double the load of what is left.
//!
//! Only what may have reached the application is counted. That a request is sent elsewhere because nothing was sent yet costs
//! the application nothing.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use crate::clock::Clock;

/// A window begins with the first request that is to be sent once more after the last one has ended.
const WINDOW: Duration = Duration::from_secs(10);

/// So many may be in each window, however few requests there are.
const FLOOR: u64 = 10;

/// The requests of one upstream. A request adds one to a number, and only one that is to be sent again asks for the time.
#[derive(Debug)]
pub(super) struct RetryBudget {
    clock: Clock,
    origin: Instant,
    requests: AtomicU64,
    /// When the window began, in milliseconds after `origin`.
    window: AtomicU64,
    /// How many requests there were then.
    before: AtomicU64,
    /// How many there were in a window's time before it, on the average.
    usual: AtomicU64,
    /// How many were sent once more in it.
    spent: AtomicU64,
}

impl RetryBudget {
    pub(super) fn new(clock: Clock) -> Self {
        Self {
            origin: clock.instant(),
            clock,
            requests: AtomicU64::new(0),
            window: AtomicU64::new(0),
            before: AtomicU64::new(0),
            usual: AtomicU64::new(0),
            spent: AtomicU64::new(0),
        }
    }

    /// One more request.
    pub(super) fn deposit(&self) {
        self.requests.fetch_add(1, Relaxed);
    }

    /// Whether one of them may be sent once more.
    pub(super) fn withdraw(&self, percent: u32) -> bool {
        if percent == 0 {
            return false;
        }
        self.turn_over();
        let present = self.requests.load(Relaxed).saturating_sub(self.before.load(Relaxed));
        let share = present.max(self.usual.load(Relaxed)).saturating_mul(u64::from(percent)) / 100;
        // A refusal is taken back: what was not sent is not spent.
        let may = self.spent.fetch_add(1, Relaxed) < share.saturating_add(FLOOR);
        if !may {
            self.spent.fetch_sub(1, Relaxed);
        }
        may
    }

    fn turn_over(&self) {
        let (length, began) = (millis(WINDOW), self.window.load(Relaxed));
        let now = millis(self.clock.instant().saturating_duration_since(self.origin));
        let lasted = now.saturating_sub(began);
        // Of several that see its end, one begins the next.
        if lasted < length || self.window.compare_exchange(began, now, Relaxed, Relaxed).is_err() {
            return;
        }
        let total = self.requests.load(Relaxed);
        let since = total.saturating_sub(self.before.swap(total, Relaxed));
        self.usual.store(since.saturating_mul(length) / lasted, Relaxed);
        self.spent.store(0, Relaxed);
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn granted(budget: &RetryBudget, asked: usize) -> usize {
        (0..asked).filter(|_| budget.withdraw(20)).count()
    }

    #[test]
    fn a_fifth_of_the_requests_and_a_few_are_sent_once_more() {
        let clock = Clock::stopped();
        let budget = RetryBudget::new(clock.clone());
        assert_eq!(granted(&budget, 100), 10, "nobody has asked for anything yet");
        (0..1000).for_each(|_| budget.deposit());
        assert_eq!(granted(&budget, 1000), 200);
        clock.advance(WINDOW);
        assert_eq!(granted(&budget, 1000), 210, "as many as there usually are");
        clock.advance(10 * WINDOW);
        assert_eq!(granted(&budget, 1000), 10, "there were none for long");
        assert!(!budget.withdraw(0));
    }

    #[test]
    fn after_a_long_calm_a_window_is_as_large_as_the_average() {
        let clock = Clock::stopped();
        let budget = RetryBudget::new(clock.clone());
        (0..6000).for_each(|_| budget.deposit());
        clock.advance(60 * WINDOW);
        assert_eq!(granted(&budget, 1000), 30, "100 in ten seconds, not 6000");
    }
}
