//! Simulated time: work runs until all of it waits, and then it is the next moment that anybody waits for.

use std::collections::{BTreeMap, VecDeque};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use super::super::Background;
use super::super::fake::Work;
use crate::clock::Clock;

/// The time, and all work in it. Clones are one and the same.
#[derive(Clone)]
pub(super) struct Time(Arc<Inner>);

struct Inner {
    clock: Clock,
    ready: Arc<Ready>,
    timers: Mutex<Timers>,
    under_way: Arc<AtomicUsize>,
}

type Ready = Mutex<VecDeque<Arc<Task>>>;

/// In milliseconds since the beginning; who waits for the same one wakes up in the order in which they came.
#[derive(Default)]
struct Timers {
    now: u64,
    last: u64,
    waiting: BTreeMap<(u64, u64), Waker>,
}

struct Task {
    work: Mutex<Option<Work>>,
    ready: Arc<Ready>,
}

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        let ready = Arc::clone(&self.ready);
        ready.lock().unwrap().push_back(self);
    }
}

impl Time {
    pub(super) fn new(clock: Clock) -> Self {
        Self(Arc::new(Inner { clock, ready: Arc::default(), timers: Mutex::default(), under_way: Arc::default() }))
    }

    pub(super) fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// Since the beginning.
    pub(super) fn now(&self) -> Duration {
        Duration::from_millis(self.0.timers.lock().unwrap().now)
    }

    /// Work that nobody counts.
    pub(super) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let task = Task { work: Mutex::new(Some(Box::pin(work))), ready: Arc::clone(&self.0.ready) };
        Arc::new(task).wake();
    }

    /// How much background work there is.
    pub(super) fn under_way(&self) -> usize {
        self.0.under_way.load(Ordering::SeqCst)
    }

    /// Lets time pass until then.
    pub(super) fn pass_until(&self, until: Duration) {
        let until = millis(until);
        loop {
            self.run();
            let (waker, passed) = {
                let mut timers = self.0.timers.lock().unwrap();
                let next = timers.waiting.first_key_value().map(|((at, _), _)| *at).filter(|at| *at <= until);
                let at = next.unwrap_or(until).max(timers.now);
                let passed = at - std::mem::replace(&mut timers.now, at);
                (next.and_then(|_| timers.waiting.pop_first()), passed)
            };
            self.0.clock.advance(Duration::from_millis(passed));
            match waker {
                Some((_, waker)) => waker.wake(),
                None => return,
            }
        }
    }

    fn run(&self) {
        loop {
            // Bound by a name, the lock would be held while the work runs.
            let Some(task) = self.0.ready.lock().unwrap().pop_front() else { return };
            let waker = Waker::from(Arc::clone(&task));
            let mut work = task.work.lock().unwrap();
            if let Some(future) = work.as_mut()
                && future.as_mut().poll(&mut Context::from_waker(&waker)).is_ready()
            {
                *work = None;
            }
        }
    }
}

impl Background for Time {
    fn start(&self, work: impl Future<Output = ()> + Send + 'static) {
        let under_way = Arc::clone(&self.0.under_way);
        under_way.fetch_add(1, Ordering::SeqCst);
        self.spawn(async move {
            work.await;
            under_way.fetch_sub(1, Ordering::SeqCst);
        });
    }

    async fn sleep(&self, duration: Duration) {
        let at = millis(self.now() + duration);
        Sleep { time: self.clone(), at, place: None }.await;
    }

    async fn rest(&self, duration: Duration) {
        self.sleep(duration).await;
    }
}

struct Sleep {
    time: Time,
    at: u64,
    place: Option<(u64, u64)>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let time = self.time.clone();
        let mut timers = time.0.timers.lock().unwrap();
        if timers.now >= self.at {
            return Poll::Ready(());
        }
        timers.last += 1;
        let new = (self.at, timers.last);
        let place = *self.place.get_or_insert(new);
        timers.waiting.insert(place, context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(place) = self.place {
            self.time.0.timers.lock().unwrap().waiting.remove(&place);
        }
    }
}

/// Rounded up: nobody wakes up too early.
fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos().div_ceil(1_000_000)).unwrap()
}
