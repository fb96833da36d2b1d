//! The task that empties the queue: batches, patience with a collector that is away, and a last word before the end.
//!
//! A batch in hand is tried a few times, and each failure in a row makes the wait longer; what comes meanwhile waits in the
//! queue as far as there is room. The log tells of an outage once, and once of its end.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::Receiver;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::SpanCounts;
use super::collector::{Collector, Failure};
use super::message::PartialSuccess;
use super::span::Span;

/// Spans of one request to the collector, and how long the first of them waits for others. Both are what the SDKs of
/// OpenTelemetry have by default.
const BATCH: usize = 512;
const PERIOD: Duration = Duration::from_secs(5);
/// After the first failure in a row; twice that after the next, up to the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// So often one batch is tried: it may be the batch that the collector cannot bear.
const ATTEMPTS: u32 = 5;
/// How long the last of them may take when the process ends: less than what a drain leaves to its last tasks.
const FLUSH: Duration = Duration::from_secs(5);
/// No more of what a collector says is put into the log.
const MOST_WORDS: usize = 200;

pub(super) struct Exporter {
    waiting: Receiver<Span>,
    /// Taken from the queue, and not yet taken by the collector.
    batch: Vec<Span>,
    collector: watch::Receiver<Arc<Collector>>,
    counts: Arc<SpanCounts>,
    /// In a row.
    failures: u32,
    /// Whether the log has it that the collector does not take everything.
    is_partial: bool,
}

impl Exporter {
    pub(super) fn new(
        waiting: Receiver<Span>,
        collector: watch::Receiver<Arc<Collector>>,
        counts: Arc<SpanCounts>,
    ) -> Self {
        Self { waiting, batch: Vec::with_capacity(BATCH), collector, counts, failures: 0, is_partial: false }
    }

    /// Runs until nobody has spans any more, or the process is about to end.
    pub(super) async fn run(mut self, concluding: CancellationToken) {
        let is_end = tokio::select! {
            biased;
            () = concluding.cancelled() => true,
            () = self.serve() => false,
        };
        if is_end {
            // An error says that the time was up.
            let _flushed = timeout(FLUSH, self.flush()).await;
        }
        let lost = self.batch.len() + self.waiting.len();
        if lost > 0 {
            self.counts.dropped.add_many(lost as u64);
            tracing::warn!(
                fault = "collector",
                lost,
                "spans are lost: the collector has not taken them before the end"
            );
        }
    }

    async fn serve(&mut self) {
        while self.gather().await {
            let mut attempts = 0;
            while let Err(pause) = self.attempt().await {
                attempts += 1;
                if attempts == ATTEMPTS {
                    self.give_up();
                }
                self.rest(pause).await;
                if self.batch.is_empty() {
                    break;
                }
            }
        }
    }

    /// Leaves the collector alone for so long, unless there is another one: nothing is known of that.
    async fn rest(&mut self, pause: Duration) {
        tokio::select! {
            () = sleep(pause) => {}
            Ok(()) = self.collector.changed() => self.failures = 0,
        }
    }

    /// Waits for a batch. `false`: there will be none.
    async fn gather(&mut self) -> bool {
        let Self { waiting, batch, .. } = self;
        if waiting.recv_many(batch, BATCH).await == 0 {
            return false;
        }
        let fill = async {
            while batch.len() < BATCH {
                if waiting.recv_many(batch, BATCH - batch.len()).await == 0 {
                    break;
                }
            }
        };
        // An error says that the time was up.
        let _filled = timeout(PERIOD, fill).await;
        true
    }

    /// Sends what is in hand, once. Afterwards it is gone, or may be tried again after the pause.
    async fn attempt(&mut self) -> Result<(), Duration> {
        let collector = Arc::clone(&self.collector.borrow_and_update());
        match collector.export(&self.batch).await {
            Ok(told) => {
                self.taken(&collector, &told);
                Ok(())
            }
            Err(failure) => {
                self.tell(&collector, &failure);
                self.failures += 1;
                if !failure.may_pass() {
                    self.give_up();
                }
                Err(failure.retry_after().unwrap_or_else(|| pause(self.failures)))
            }
        }
    }

    fn taken(&mut self, collector: &Collector, told: &PartialSuccess) {
        let sent = self.batch.len() as u64;
        let rejected = told.rejected().min(sent);
        self.batch.clear();
        self.counts.exported.add_many(sent - rejected);
        self.counts.dropped.add_many(rejected);
        if std::mem::take(&mut self.failures) > 0 {
            tracing::info!(collector = %collector.url(), "the collector takes spans again");
        }
        let is_partial = rejected > 0 || !told.error_message.is_empty();
        if is_partial && !self.is_partial {
            let says: String = told.error_message.chars().take(MOST_WORDS).collect();
            tracing::warn!(
                fault = "collector", collector = %collector.url(), rejected, says, "the collector does not take all spans"
            );
        }
        self.is_partial = is_partial;
    }

    /// Once in an outage.
    fn tell(&self, collector: &Collector, failure: &Failure) {
        if self.failures == 0 {
            tracing::warn!(
                fault = "collector",
                collector = %collector.url(),
                error = failure as &dyn Error,
                "the collector does not take spans; no request waits for it, and those without room are dropped"
            );
        }
    }

    fn give_up(&mut self) {
        self.counts.dropped.add_many(self.batch.len() as u64);
        self.batch.clear();
    }

    /// Sends what there is, as long as the collector takes it. What it was sending when the end came may come twice, under the
    /// same ids.
    async fn flush(&mut self) {
        loop {
            while self.batch.len() < BATCH {
                let Ok(span) = self.waiting.try_recv() else { break };
                self.batch.push(span);
            }
            if self.batch.is_empty() || self.attempt().await.is_err() {
                return;
            }
        }
    }
}

/// How long the collector is left alone after so many failures in a row.
fn pause(failures: u32) -> Duration {
    // Enough steps to come to the longest.
    let doublings = failures.saturating_sub(1).min(16);
    FIRST_PAUSE.saturating_mul(1 << doublings).min(LONGEST_PAUSE)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::StatusCode;
    use tokio::runtime::Handle;

    use super::pause;
    use crate::clock::time_of_day;
    use crate::config::{IssuerTransport, Otlp};
    use crate::tasks::Tasks;
    use crate::traces::{Collector, Failure, Kind, Span, Spans};

    fn span(id: u64) -> Span {
        let (name, began, ended) = ("GET /".to_owned(), time_of_day(), time_of_day());
        let attributes = Vec::new();
        Span { trace: 1, id, parent: None, name, kind: Kind::Server, began, ended, attributes, failed: false }
    }

    #[test]
    fn each_failure_in_a_row_doubles_the_pause_up_to_half_a_minute() {
        let pauses: Vec<u64> = [1, 2, 3, 4, 5, 6, 7, 1_000, u32::MAX].map(|failures| pause(failures).as_secs()).into();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 30, 30, 30, 30]);
    }

    #[test]
    fn only_what_may_pass_is_tried_again() {
        let may_pass = |status: u16| {
            let status = StatusCode::from_u16(status).unwrap();
            Failure::Refused { status, retry_after: None }.may_pass()
        };
        assert!([429, 502, 503, 504].into_iter().all(may_pass));
        assert!(![301, 400, 401, 403, 404, 413, 415, 500, 501].into_iter().any(may_pass));
    }

    #[tokio::test]
    async fn what_finds_no_room_is_dropped_and_counted_and_a_request_is_told_whole_or_not_at_all() {
        // Nobody listens there; what is bound stays so, for no one else to take the port.
        let taken = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        taken.bind(&"127.0.0.1:0".parse::<std::net::SocketAddr>().unwrap().into()).unwrap();
        let port = taken.local_addr().unwrap().as_socket().unwrap().port();
        let otlp = Otlp {
            url: format!("http://127.0.0.1:{port}/v1/traces").parse().unwrap(),
            headers: Vec::new(),
            service_name: "usher".to_owned(),
            transport: IssuerTransport { ca: None, timeout: Duration::from_secs(5), offline: false },
        };
        let tasks = Tasks::new(Handle::current());
        let spans = Spans::start(Collector::new(&otlp).unwrap(), &tasks);
        // Nothing else runs meanwhile: the queue alone has room.
        for id in 1..=1_000 {
            spans.send([Some(span(id)), None, Some(span(id)), Some(span(id))]);
        }
        let room = crate::traces::ROOM as u64;
        assert_eq!(spans.counts().dropped.total(), 3_000 - room / 3 * 3);
        assert!(tasks.finish(Duration::from_secs(10)).await, "it ends although the collector is away");
        assert_eq!((spans.counts().dropped.total(), spans.counts().exported.total()), (3_000, 0));
    }
}
