//! Spans: what Usher did for a request and how long each part took, and their way to a collector (OTLP over HTTP).
//!
//! Whoever has a span puts it into a queue with an end to it and goes on ([`Spans::send`]); one task of the background sends
//! what is there in batches. No request waits for a collector, and none fails with it: what finds no room is counted and gone.
//!
//! The encoding is the JSON of OTLP, which collectors take at the same address as the binary one. Its messages are a few
//! structs for `serde`, which is there already; the crates of OpenTelemetry would bring a second machinery of spans, queues and
//! timers, and code made of all messages of which one is sent. This module does *not* know what the spans are about.

mod collector;
mod exporter;
mod message;
mod span;

use std::fmt;
use std::sync::Arc;

use tokio::sync::{mpsc, watch};

use crate::tally::Count;
use crate::tasks::Tasks;

pub use collector::{Collector, Failure};
pub use span::{Kind, Span, Value};

use exporter::Exporter;

/// So many spans may wait, which is what the SDKs of OpenTelemetry have by default.
const ROOM: usize = 2_048;

/// The queue of spans. Clones are one and the same; with the last, the task that empties it ends.
#[derive(Clone)]
pub struct Spans {
    queue: mpsc::Sender<Span>,
    collector: watch::Sender<Arc<Collector>>,
    counts: Arc<SpanCounts>,
}

/// What became of spans.
#[derive(Debug, Default)]
pub struct SpanCounts {
    /// The collector has taken them.
    pub exported: Count,
    /// They found no room, or the collector did not take them.
    pub dropped: Count,
}

impl Spans {
    /// Begins to send spans to the collector.
    #[must_use]
    pub fn start(collector: Collector, tasks: &Tasks) -> Self {
        let (queue, waiting) = mpsc::channel(ROOM);
        let (collector, led) = watch::channel(Arc::new(collector));
        let counts = Arc::default();
        let exporter = Exporter::new(waiting, led, Arc::clone(&counts));
        tasks.conclude(|concluding| exporter.run(concluding));
        Self { queue, collector, counts }
    }

    /// From the next attempt on, this is the collector. `is_other`: that the one before is to be left alone does not hold for it.
    pub fn lead_to(&self, collector: Collector, is_other: bool) {
        self.collector.send_if_modified(|place| {
            *place = Arc::new(collector);
            is_other
        });
    }

    /// Sends the spans of one request: all of them or, where there is no room, none.
    pub fn send<const N: usize>(&self, spans: [Option<Span>; N]) {
        let there = spans.iter().flatten().count();
        match self.queue.try_reserve_many(there) {
            Ok(places) => places.zip(spans.into_iter().flatten()).for_each(|(place, span)| place.send(span)),
            Err(_) => self.counts.dropped.add_many(there as u64),
        }
    }

    /// What became of them so far.
    #[must_use]
    pub fn counts(&self) -> &SpanCounts {
        &self.counts
    }
}

impl fmt::Debug for Spans {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Spans").finish_non_exhaustive()
    }
}
