//! A time-out on silence: it runs only while somebody waits, and starts anew with each sign of life.

use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// Later than anybody waits: what a deadline becomes that would overflow.
const FAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// `limit` after `since`, or a year later when that is beyond what an instant can say.
pub(super) fn deadline(since: Instant, limit: Duration) -> Instant {
    since.checked_add(limit).unwrap_or_else(|| since + FAR)
}

/// Measures how long nothing has come. A body that never has to wait never makes a timer.
pub(super) struct Silence {
    limit: Duration,
    since: Option<Instant>,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Silence {
    pub(super) const fn new(limit: Duration) -> Self {
        Self { limit, since: None, sleep: None }
    }

    /// Something came: the next wait counts from its own start.
    pub(super) const fn broken(&mut self) {
        self.since = None;
    }

    /// Ready once nothing has come for the limit. `elsewhere` is when something last moved in the other direction, which
    /// counts as a sign of life too.
    pub(super) fn poll(&mut self, elsewhere: Option<Instant>, context: &mut Context<'_>) -> Poll<()> {
        let waiting_since = *self.since.get_or_insert_with(Instant::now);
        let deadline = deadline(elsewhere.map_or(waiting_since, |moved| moved.max(waiting_since)), self.limit);
        loop {
            // An armed timer never fires too late, because deadlines only move forward: so it is left alone until it
            // fires, instead of being moved with every frame.
            let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
            ready!(sleep.as_mut().poll(context));
            if Instant::now() >= deadline {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(deadline);
        }
    }
}
