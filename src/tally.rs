//! Counting: numbers that only grow, how many of something are open, and durations by how long they were.
//!
//! Each is one relaxed atomic or a few of them, made once and found again without a look-up, so that a request can afford it.
//! Who counts owns what it counts with, and hands it on to its successor at a reload: a count never falls while the process
//! lives. This module does *not* know what is counted, nor how that is shown.

mod throttle;

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use pin_project_lite::pin_project;

pub use throttle::Throttle;

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// None so far.
    #[must_use]
    pub const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// One more.
    pub fn add(&self) {
        self.0.fetch_add(1, Relaxed);
    }

    /// How many so far.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// How many of something are open at the moment. Clones are one and the same.
#[derive(Clone, Debug, Default)]
pub struct Open(Arc<AtomicU64>);

/// Counts as open until it is dropped, wherever that happens.
#[derive(Debug)]
pub struct Opened(Arc<AtomicU64>);

impl Open {
    /// One more is open.
    #[must_use]
    pub fn enter(&self) -> Opened {
        self.0.fetch_add(1, Relaxed);
        Opened(Arc::clone(&self.0))
    }

    /// Counts as open for as long as this goes on: from when it is first polled until it is over, or dropped.
    pub fn during<F: Future>(&self, what: F) -> During<F> {
        During { what, open: self.clone(), opened: None }
    }

    /// How many are.
    #[must_use]
    pub fn now(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

pin_project! {
    /// Something that counts as open while it goes on. Not an `async` block, which would have two places for it.
    #[derive(Debug)]
    pub struct During<F> {
        #[pin]
        what: F,
        open: Open,
        opened: Option<Opened>,
    }
}

impl<F: Future> Future for During<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        this.opened.get_or_insert_with(|| this.open.enter());
        let polled = this.what.poll(context);
        if polled.is_ready() {
            *this.opened = None;
        }
        polled
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

/// Durations, in buckets that were fixed when it was made: noting one is a search among a dozen numbers and two additions,
/// and nothing is kept of the single one.
#[derive(Debug)]
pub struct Durations {
    /// Upper bounds in microseconds, each within its bucket, ascending.
    bounds: &'static [u64],
    /// One for each bound, and one for what is longer than all of them.
    buckets: Box<[Count]>,
    nanoseconds: AtomicU64,
}

impl Durations {
    /// None so far. `bounds` are in microseconds and ascend.
    #[must_use]
    pub fn new(bounds: &'static [u64]) -> Self {
        let buckets = (0..=bounds.len()).map(|_| Count::new()).collect();
        Self { bounds, buckets, nanoseconds: AtomicU64::new(0) }
    }

    /// One more, that took so long.
    pub fn note(&self, took: Duration) {
        // 584 years in sum.
        let nanoseconds = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let bucket = self.bounds.partition_point(|bound| bound.saturating_mul(1000) < nanoseconds);
        if let Some(bucket) = self.buckets.get(bucket) {
            bucket.add();
        }
        self.nanoseconds.fetch_add(nanoseconds, Relaxed);
    }

    /// The bounds in seconds, each with how many were within it and not within the one before; infinity comes last.
    pub fn buckets(&self) -> impl Iterator<Item = (f64, u64)> {
        #[expect(clippy::cast_precision_loss, reason = "bounds are far below 2^52")]
        let bounds = self.bounds.iter().map(|bound| *bound as f64 / 1e6).chain([f64::INFINITY]);
        bounds.zip(self.buckets.iter().map(Count::total))
    }

    /// The seconds that all of them took together.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        Duration::from_nanos(self.nanoseconds.load(Relaxed)).as_secs_f64()
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    #[test]
    fn a_duration_is_in_the_bucket_of_the_first_bound_that_it_does_not_exceed() {
        let durations = Durations::new(&[1_000, 5_000]);
        for micros in [0, 1_000, 1_001, 5_000, 5_001, 60_000_000] {
            durations.note(Duration::from_micros(micros));
        }
        let buckets: Vec<_> = durations.buckets().collect();
        assert_eq!(buckets, [(0.001, 2), (0.005, 2), (f64::INFINITY, 2)]);
        assert!((durations.seconds() - 60.012_002).abs() < 1e-9, "{}", durations.seconds());
    }

    #[test]
    fn what_goes_on_is_open_from_its_first_poll_until_it_is_over_or_dropped() {
        let (open, context) = (Open::default(), &mut Context::from_waker(Waker::noop()));
        let mut ends = Box::pin(open.during(std::future::ready(1)));
        let mut goes_on = Box::pin(open.during(std::future::pending::<()>()));
        assert_eq!(open.now(), 0);
        assert!(goes_on.as_mut().poll(context).is_pending());
        assert_eq!(open.now(), 1);
        assert_eq!(ends.as_mut().poll(context), Poll::Ready(1));
        assert_eq!(open.now(), 1);
        drop(goes_on);
        assert_eq!(open.now(), 0);
    }

    #[test]
    fn what_is_open_is_closed_when_it_is_dropped() {
        let open = Open::default();
        let (one, other) = (open.enter(), open.clone().enter());
        assert_eq!(open.now(), 2);
        drop(one);
        assert_eq!(open.now(), 1);
        drop(other);
        assert_eq!(open.now(), 0);
    }
}
