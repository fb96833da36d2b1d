//! Notices that a worker stands still: something on its thread blocks, and every connection of its core waits.
//!
//! Each worker has a [`Pulse`] that a task of its runtime beats, and one thread outside of all runtimes looks at them. A
//! request costs nothing for it. The watchdog *tells*; it does not end the worker, whose other requests are served as soon
//! as the thread comes free. A service manager that waits for signs of life gets them while no worker stands still, and may
//! decide otherwise. When the watchdog was not running itself, nobody was: the process was stopped or had no processor, and
//! no worker is blamed for that.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::service_manager::{self, Word};

/// How often a worker says that it runs.
const BEAT: Duration = Duration::from_millis(500);
/// How often the watchdog looks.
const LOOK: Duration = Duration::from_secs(1);
/// A silence that is told.
const LATE: Duration = Duration::from_secs(2);

/// In place of a time: the worker has ended, which is no silence.
const ENDED: u64 = u64::MAX;

/// When a worker last ran, in milliseconds since the pulse was made.
#[derive(Debug)]
pub(super) struct Pulse {
    made: Instant,
    last: AtomicU64,
}

impl Pulse {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { made: Instant::now(), last: AtomicU64::new(0) })
    }

    /// Beats for as long as the worker's runtime runs this.
    pub(super) async fn beat(self: Arc<Self>) {
        let alive = Alive(self);
        let mut beats = interval(BEAT);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            beats.tick().await;
            let Alive(pulse) = &alive;
            pulse.last.store(pulse.millis(Instant::now()), Relaxed);
        }
    }

    /// How long the worker has not run; `None` when it has ended.
    fn silence(&self, now: Instant) -> Option<Duration> {
        let last = self.last.load(Relaxed);
        (last != ENDED).then(|| Duration::from_millis(self.millis(now).saturating_sub(last)))
    }

    fn millis(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.made).as_millis()).unwrap_or(ENDED - 1)
    }
}

/// Marks the end of a worker, however it comes.
struct Alive(Arc<Pulse>);

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.last.store(ENDED, Relaxed);
    }
}

/// What the watchdog has noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Finding {
    /// This worker has not run for so long. Told once.
    Blocked {
        /// Its number.
        worker: usize,
        /// Since when, told from now.
        since: Duration,
    },
    /// It runs again.
    Running {
        /// Its number.
        worker: usize,
        /// How long it had stood still, to the watchdog's next look.
        after: Duration,
    },
    /// The whole process did not run for so long.
    Stopped(Duration),
}

impl Finding {
    /// Writes it into the log.
    pub(super) fn tell(self) {
        match self {
            Self::Blocked { worker, since } => {
                let since_ms = millis(since);
                tracing::error!(worker, since_ms, "a defect of Usher: a worker is blocked, its connections wait");
            }
            Self::Running { worker, after } => tracing::info!(worker, after_ms = millis(after), "a worker runs again"),
            Self::Stopped(length) => {
                tracing::warn!(length_ms = millis(length), "the process was stopped, or had no processor");
            }
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The thread that looks. It ends with this value.
#[derive(Debug)]
pub(super) struct Watchdog {
    leash: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Watchdog {
    /// Watches `pulses`, one for each worker, and tells `told` what it notices.
    pub(super) fn start(pulses: Vec<Arc<Pulse>>, told: impl Fn(Finding) + Send + 'static) -> io::Result<Self> {
        let (leash, held) = sync_channel(0);
        let watch = move || {
            let mut watch = Watch::new(pulses, Instant::now());
            while held.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
                watch.look(Instant::now()).into_iter().for_each(&told);
                if watch.all_run() {
                    service_manager::tell(Word::Alive);
                }
            }
        };
        let thread = thread::Builder::new().name("usher-watchdog".to_owned()).spawn(watch)?;
        Ok(Self { leash: Some(leash), thread: Some(thread) })
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.leash = None;
        if let Some(thread) = self.thread.take() {
            // It has nothing to say but a panic, which the log has told.
            let _ = thread.join();
        }
    }
}

/// What was seen so far.
struct Watch {
    /// Each with the longest silence that was told, while it lasts.
    pulses: Vec<(Arc<Pulse>, Option<Duration>)>,
    looked: Instant,
}

impl Watch {
    fn new(pulses: Vec<Arc<Pulse>>, now: Instant) -> Self {
        Self { pulses: pulses.into_iter().map(|pulse| (pulse, None)).collect(), looked: now }
    }

    /// Whether no worker stood still at the last look.
    fn all_run(&self) -> bool {
        self.pulses.iter().all(|(_, told)| told.is_none())
    }

    fn look(&mut self, now: Instant) -> Vec<Finding> {
        let length = now.saturating_duration_since(self.looked);
        self.looked = now;
        if length > LATE {
            // The workers get until the next look to show that they run again.
            return vec![Finding::Stopped(length)];
        }
        let mut findings = Vec::new();
        for (worker, (pulse, told)) in self.pulses.iter_mut().enumerate() {
            match (pulse.silence(now), told.take()) {
                (Some(since), before) if since > LATE => {
                    if before.is_none() {
                        findings.push(Finding::Blocked { worker, since });
                    }
                    *told = Some(since);
                }
                (_, Some(after)) => findings.push(Finding::Running { worker, after }),
                (_, None) => {}
            }
        }
        findings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn beat(pulse: &Pulse, at: Instant) {
        pulse.last.store(pulse.millis(at), Relaxed);
    }

    #[test]
    fn a_silence_is_told_once_and_so_is_its_end() {
        let pulses = [Pulse::new(), Pulse::new()];
        let start = Instant::now();
        let mut watch = Watch::new(pulses.to_vec(), start);
        let mut told = Vec::new();
        for second in 1..=8 {
            let now = start + second * SECOND;
            beat(&pulses[0], now);
            // The other one stands still from the second second to the seventh.
            if !(2..7).contains(&second) {
                beat(&pulses[1], now);
            }
            told.extend(watch.look(now));
            // Told in the second in which the silence is long enough, until it runs again.
            assert_eq!(watch.all_run(), !(4..7).contains(&second), "in second {second}");
        }
        let [Finding::Blocked { worker: 1, since }, Finding::Running { worker: 1, after }] = told[..] else {
            panic!("{told:?}")
        };
        assert!(since > LATE && since <= LATE + SECOND && after >= since, "{since:?} {after:?}");
    }

    #[test]
    fn nobody_is_blamed_for_a_process_that_did_not_run() {
        let pulse = Pulse::new();
        let start = Instant::now();
        let mut watch = Watch::new(vec![Arc::clone(&pulse)], start);
        assert!(watch.look(start + SECOND).is_empty());
        assert_eq!(watch.look(start + 6 * SECOND), [Finding::Stopped(5 * SECOND)]);
        beat(&pulse, start + 6 * SECOND);
        assert!(watch.look(start + 7 * SECOND).is_empty());
    }

    #[test]
    fn a_worker_that_has_ended_is_not_silent() {
        let pulse = Pulse::new();
        let start = Instant::now();
        let mut watch = Watch::new(vec![Arc::clone(&pulse)], start);
        drop(Alive(pulse));
        for second in 1..10 {
            assert!(watch.look(start + second * SECOND).is_empty());
        }
    }
}
