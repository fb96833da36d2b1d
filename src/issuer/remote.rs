//! A document that an issuer publishes, held here: fetched when it is first needed or looked at, kept while the issuer is down,
//! refreshed in the background while it is in use.
//!
//! Reading it is one atomic load. At most one fetch is underway at a time; whoever waits for it waits for a bounded time,
//! and nobody waits who can do with what is held. A fetch runs as a background task: a client that goes away does not
//! take it along. This module does *not* know what the document says.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use futures_util::future::BoxFuture;
use tokio::sync::watch;

use super::document::FetchError;
use crate::clock::Clock;
use crate::forwarding::chain;
use crate::tasks::Tasks;

/// A document is fetched anew when it is used and older than this.
const STALE_AFTER: Duration = Duration::from_secs(600);

/// However many tokens name a key that is not in the set, it is fetched for their sake once per this long.
const COOLDOWN: Duration = Duration::from_secs(10);

/// How long a request waits for a fetch that it cannot do without.
const PATIENCE: Duration = Duration::from_secs(5);

/// Between two attempts that fail: doubled each time, up to the longest.
const FIRST_BACK_OFF: Duration = Duration::from_millis(500);
const LONGEST_BACK_OFF: Duration = Duration::from_secs(5);

type Fetch<T> = Box<dyn Fn(Option<Arc<T>>) -> BoxFuture<'static, Result<T, FetchError>> + Send + Sync>;

/// The document and what is known about fetching it.
pub(super) struct Remote<T> {
    /// What it is, for the log: `discovery document`, `key set`.
    what: &'static str,
    /// Whose it is, for the log.
    issuer: Arc<str>,
    tasks: Tasks,
    clock: Clock,
    fetch: Fetch<T>,
    held: ArcSwapOption<T>,
    created: Instant,
    /// When to refresh, in milliseconds since `created`. Outside the lock, because every use looks at it.
    due: AtomicU64,
    /// When what is held was fetched, in milliseconds since `created`.
    fetched: AtomicU64,
    schedule: Mutex<Schedule>,
    /// The number of the last attempt that has ended.
    ended: watch::Sender<u64>,
}

/// Attempts so far. Locked for a few instructions at a time, never across an await.
#[derive(Default)]
struct Schedule {
    /// The number of the last attempt that was started: underway while greater than `ended`.
    started: u64,
    /// When the set was last fetched for the sake of a key that it lacks.
    on_demand: Option<Instant>,
    /// Failures in a row, and until when to leave the issuer alone.
    failures: u32,
    not_before: Option<Instant>,
    last_error: Option<Arc<FetchError>>,
}

/// Why a fetch is wanted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reason {
    /// Nothing is held, or what is held is old.
    Due,
    /// What is held is fresh, but somebody saw something that it does not explain.
    OnDemand,
}

/// The document cannot be had now. The issuer's.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the {what} of the issuer {issuer} cannot be had")]
pub struct Unavailable {
    what: &'static str,
    issuer: Arc<str>,
    /// When it may be worth trying again.
    pub retry_after: Duration,
    /// Why the last attempt failed; `None` when it is still underway.
    #[source]
    pub cause: Option<Arc<FetchError>>,
}

impl<T: Send + Sync + 'static> Remote<T> {
    /// Nothing is fetched yet. `fetch` is handed what is held when it is called.
    pub(super) fn new(what: &'static str, issuer: Arc<str>, tasks: Tasks, clock: Clock, fetch: Fetch<T>) -> Arc<Self> {
        Arc::new(Self {
            what,
            issuer,
            tasks,
            created: clock.instant(),
            clock,
            fetch,
            held: ArcSwapOption::empty(),
            due: AtomicU64::new(0),
            fetched: AtomicU64::new(0),
            schedule: Mutex::default(),
            ended: watch::Sender::new(0),
        })
    }

    /// What is held, if anything. When it is old, a refresh starts in the background.
    pub(super) fn current(self: &Arc<Self>) -> Option<Arc<T>> {
        self.refresh_if_due();
        self.held.load_full()
    }

    /// Starts a refresh in the background when what is held is old.
    pub(super) fn refresh_if_due(self: &Arc<Self>) {
        if self.is_due() {
            let _ = self.begin(Reason::Due);
        }
    }

    /// What is held; the first fetch is waited for, later ones are not. Says whether it had to wait.
    pub(super) async fn obtain(self: &Arc<Self>) -> Result<(Arc<T>, Waited), Unavailable> {
        if let Some(held) = self.current() {
            return Ok((held, Waited::No));
        }
        self.wait(self.begin(Reason::Due)).await;
        self.held.load_full().map(|held| (held, Waited::Yes)).ok_or_else(|| self.unavailable())
    }

    /// What is held, made fresh first when it is old or somebody else is doing so already: for background work, which may
    /// wait. An issuer that does not answer leaves what was held.
    pub(super) async fn fresh(self: &Arc<Self>) -> Result<Arc<T>, Unavailable> {
        if self.is_due() || self.is_underway() {
            self.wait(self.begin(Reason::Due)).await;
        }
        self.held.load_full().ok_or_else(|| self.unavailable())
    }

    /// Something newer than `known`, fetched now if the cooldown allows.
    ///
    /// `Ok(None)`: there is nothing newer as far as can be known.
    ///
    /// # Errors
    /// [`Unavailable`] when the issuer could not be asked.
    pub(super) async fn newer_than(self: &Arc<Self>, known: &Arc<T>) -> Result<Option<Arc<T>>, Unavailable> {
        let newer = |held: &Arc<T>| !Arc::ptr_eq(held, known);
        if let Some(held) = self.held.load_full().filter(newer) {
            return Ok(Some(held));
        }
        self.wait(self.begin(Reason::OnDemand)).await;
        match self.held.load_full().filter(newer) {
            Some(held) => Ok(Some(held)),
            None if self.schedule().last_error.is_some() || self.is_underway() => Err(self.unavailable()),
            None => Ok(None),
        }
    }

    /// Starts an attempt unless one is underway or it is too early. The number of the attempt to wait for, if any.
    fn begin(self: &Arc<Self>, reason: Reason) -> Option<u64> {
        let attempt = {
            let mut schedule = self.schedule();
            if schedule.started > *self.ended.borrow() {
                return Some(schedule.started);
            }
            let now = self.clock.instant();
            if !schedule.allows(reason, now) {
                return None;
            }
            schedule.started += 1;
            if reason == Reason::OnDemand {
                schedule.on_demand = Some(now);
            }
            schedule.started
        };
        // Not due again while this one is underway: uses of a held document then do not even look at the lock.
        self.set_due(2 * PATIENCE);
        let this = Arc::clone(self);
        self.tasks.start(async move { this.attempt(attempt).await });
        Some(attempt)
    }

    async fn attempt(&self, attempt: u64) {
        // Whatever happens in between, whoever waits is woken and the next attempt can start.
        let _ended = Ended { attempt, ended: &self.ended };
        match (self.fetch)(self.held.load_full()).await {
            Ok(document) => {
                self.held.store(Some(Arc::new(document)));
                self.fetched.store(self.age(), Ordering::Relaxed);
                self.set_due(STALE_AFTER);
                let mut schedule = self.schedule();
                if schedule.failures > 0 {
                    tracing::info!(issuer = %self.issuer, "the {} can be had again", self.what);
                }
                (schedule.failures, schedule.not_before, schedule.last_error) = (0, None, None);
            }
            Err(error) => self.failed(error),
        }
    }

    fn failed(&self, error: FetchError) {
        let kept = self.held.load().is_some();
        let mut schedule = self.schedule();
        if let FetchError::OtherIssuer { .. } = error {
            tracing::error!(issuer = %self.issuer, kept, error = %error, "the {} is refused", self.what);
        } else if schedule.failures == 0 {
            let cause = std::error::Error::source(&error).map(|cause| tracing::field::display(chain(cause)));
            tracing::warn!(issuer = %self.issuer, kept, error = %error, cause, "the {} cannot be had", self.what);
        }
        let back_off = (FIRST_BACK_OFF * 2_u32.saturating_pow(schedule.failures)).min(LONGEST_BACK_OFF);
        schedule.failures = schedule.failures.saturating_add(1).min(16);
        schedule.not_before = Some(self.clock.instant() + back_off);
        schedule.last_error = Some(Arc::new(error));
        self.set_due(back_off);
    }

    /// Whether the last attempt failed. Starts another when it is time, so that whoever only watches sees the recovery.
    pub(super) fn is_failing(self: &Arc<Self>) -> bool {
        self.refresh_if_due();
        self.schedule().last_error.is_some()
    }

    /// What is held, if anything: for whoever only looks, and starts nothing by that.
    pub(super) fn held(&self) -> Option<Arc<T>> {
        self.held.load_full()
    }

    /// Why the last attempt failed, if it did.
    pub(super) fn last_error(&self) -> Option<Arc<FetchError>> {
        self.schedule().last_error.clone()
    }

    /// How long ago what is held was fetched, if anything is.
    pub(super) fn held_for(&self) -> Option<Duration> {
        let fetched = || self.age().saturating_sub(self.fetched.load(Ordering::Relaxed));
        self.held.load().is_some().then(|| Duration::from_millis(fetched()))
    }

    async fn wait(&self, attempt: Option<u64>) {
        let Some(attempt) = attempt else { return };
        let mut ended = self.ended.subscribe();
        // Neither a time-out nor a sender that is gone matters here: the caller looks at what is held.
        let _ = tokio::time::timeout(PATIENCE, ended.wait_for(|ended| *ended >= attempt)).await;
    }

    fn unavailable(&self) -> Unavailable {
        let schedule = self.schedule();
        let now = self.clock.instant();
        let wait = schedule.not_before.map(|at| at.saturating_duration_since(now)).unwrap_or_default();
        Unavailable {
            what: self.what,
            issuer: Arc::clone(&self.issuer),
            retry_after: wait.max(Duration::from_secs(1)),
            cause: schedule.last_error.clone(),
        }
    }

    fn is_underway(&self) -> bool {
        self.schedule().started > *self.ended.borrow()
    }

    fn is_due(&self) -> bool {
        self.age() >= self.due.load(Ordering::Relaxed)
    }

    fn set_due(&self, after: Duration) {
        self.due.store(self.age().saturating_add(millis(after)), Ordering::Relaxed);
    }

    fn age(&self) -> u64 {
        millis(self.clock.instant().saturating_duration_since(self.created))
    }

    fn schedule(&self) -> MutexGuard<'_, Schedule> {
        self.schedule.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Schedule {
    fn allows(&self, reason: Reason, now: Instant) -> bool {
        let cooled = |at: Instant| now.saturating_duration_since(at) >= COOLDOWN;
        self.not_before.is_none_or(|at| now >= at) && (reason == Reason::Due || self.on_demand.is_none_or(cooled))
    }
}

/// Whether what was obtained was fetched for whoever asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waited {
    /// It was at hand.
    No,
    /// It has just arrived: there cannot be anything newer.
    Yes,
}

/// Marks an attempt as ended when it is dropped.
struct Ended<'a> {
    attempt: u64,
    ended: &'a watch::Sender<u64>,
}

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.ended.send_replace(self.attempt);
    }
}

impl<T> fmt::Debug for Remote<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, issuer, .. } = self;
        formatter.debug_struct("Remote").field("what", what).field("issuer", issuer).finish_non_exhaustive()
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
