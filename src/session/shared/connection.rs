//! The connection to the shared server, which is kept open: bounded in time, given up when it fails, found again by itself.
//!
//! An operation that takes too long or breaks is counted; after some in a row, or at once when the connection is gone, the
//! circuit opens: operations fail without being tried, and one task connects anew until the server takes a write again.
//! That is told to the operator once, in both directions. Everybody who listens is told that messages may be missing.

use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use futures_util::FutureExt;
use redis::{Cmd, ErrorKind, FromRedisValue, PushInfo, PushKind, RedisError, Value};
use tokio::sync::{Notify, watch};
use tokio::time::timeout;

use super::link::{self, Answer, Link};
use super::{Away, Examination, Heard, Listed, Listener, Reading, Server, Swap, arrangement};
use crate::clock::Clock;
use crate::config::{Arrangement, Redis};
use crate::tasks::Tasks;

/// Failures in a row that open the circuit.
const OPENS_AFTER: u32 = 3;
/// Between two tries to connect while it is open.
const BETWEEN_TRIES: Duration = Duration::from_millis(500);
/// How many operations a try may take as long as: connecting, naming oneself, subscribing, writing.
const OPERATIONS_OF_A_TRY: u32 = 4;

/// A connection to the server. Clones are one and the same; it is closed when the last of them goes.
#[derive(Clone)]
pub struct Connection(Arc<Inner>);

struct Inner {
    /// Whatever is not about the next connection stays as it was at first.
    redis: ArcSwap<Redis>,
    link: watch::Sender<State>,
    listeners: Mutex<Vec<(String, Listener)>>,
    failures: AtomicU32,
    /// The link is of no use.
    given_up: Notify,
    regained_at: Mutex<Option<Instant>>,
    clock: Clock,
}

#[derive(Clone)]
enum State {
    /// For the first time, or the first time since it was lost.
    Connecting,
    Connected(Link),
    /// It has been tried.
    Away,
}

impl Connection {
    /// A connection that [`Connection::open`] will open.
    #[must_use]
    pub fn new(redis: Redis, clock: Clock) -> Self {
        Self(Arc::new(Inner {
            redis: ArcSwap::from_pointee(redis),
            link: watch::Sender::new(State::Connecting),
            listeners: Mutex::default(),
            failures: AtomicU32::new(0),
            given_up: Notify::new(),
            regained_at: Mutex::default(),
            clock,
        }))
    }

    /// Connects, subscribes to what is listened to, and keeps doing so for as long as anybody has this connection.
    pub fn open(&self, tasks: &Tasks) {
        tasks.attend(keep_open(Arc::downgrade(&self.0)));
    }

    /// From the next connection on, with this user, password and authorities. The one that stands goes on with those that it was
    /// made with: whether the others are good shows only when they are used.
    pub fn reconnect_as(&self, redis: &Redis) {
        if **self.0.redis.load() != *redis {
            self.0.redis.store(Arc::new(redis.clone()));
        }
    }

    /// Waits until it was tried for the first time.
    ///
    /// # Errors
    /// [`Away`]: in vain.
    pub async fn wait(&self) -> Result<(), Away> {
        self.0.connected().await.map(drop)
    }

    /// Makes a connection of its own as [`Connection::open`] does, the write that proves it good included, and asks the servers
    /// what they are.
    ///
    /// # Errors
    /// [`Unusable`]: there is no link that takes writes.
    pub async fn examine(&self) -> Result<Examination, Unusable> {
        let mut link = self.0.try_to_connect().await?;
        let describe = link::describe();
        let asking = timeout(self.0.timeout(), link.ask::<Value>(&describe));
        // Whoever may not ask can have a good store all the same.
        Ok(asking.await.ok().and_then(Result::ok).map(|answer| Examination::of(&answer)).unwrap_or_default())
    }

    pub(super) async fn ask<T: FromRedisValue>(&self, command: Cmd) -> Result<T, Away> {
        let inner = &self.0;
        let answer = timeout(inner.timeout(), async {
            let mut link = inner.connected().await?;
            Ok(link.ask(&command).await)
        });
        match answer.await {
            Ok(Ok(Ok(answer))) => {
                inner.succeeded();
                Ok(answer)
            }
            Ok(Ok(Err(error))) => Err(inner.failed(&error)),
            Ok(Err(away)) => Err(away),
            Err(_) => Err(inner.timed_out()),
        }
    }
}

impl Server for Connection {
    async fn read(&self, key: &str) -> Result<Reading, Away> {
        let answer: Answer = self.ask(link::read(key)).await?;
        link::reading(answer).ok_or(Away)
    }

    async fn swap(&self, swap: &Swap<'_>) -> Result<Option<Reading>, Away> {
        let answer: Answer = self.ask(link::swap(swap)).await?;
        if answer.is_empty() { Ok(None) } else { link::reading(answer).ok_or(Away).map(Some) }
    }

    async fn look_up(&self, key: &str) -> Result<String, Away> {
        let value: Option<Vec<u8>> = self.ask(link::look_up(key)).await?;
        Ok(link::text(&value.unwrap_or_default()))
    }

    async fn put(&self, key: &str, value: &str, lasts: Duration) -> Result<(), Away> {
        self.ask(link::put(key, value, lasts)).await
    }

    async fn append(&self, list: &str, entry: &str, bounds: (usize, Duration), channel: &str) -> Result<(), Away> {
        self.ask(link::append(list, entry, bounds, channel)).await
    }

    async fn page(&self, list: &str, place: &str, most: usize) -> Result<Vec<Listed>, Away> {
        self.ask(link::page(list, place, most)).await.map(|page| link::listed(&page))
    }

    fn listen(&self, channel: &str, listener: Listener) {
        self.0.listeners.lock().unwrap_or_else(PoisonError::into_inner).push((channel.to_owned(), listener));
    }

    fn is_away(&self) -> bool {
        matches!(*self.0.link.borrow(), State::Away)
    }

    fn regained_at(&self) -> Option<Instant> {
        *self.0.regained_at.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn timeout(&self) -> Duration {
        self.redis.load().timeout
    }

    async fn connected(&self) -> Result<Link, Away> {
        let mut states = self.link.subscribe();
        let state = states.wait_for(|state| !matches!(state, State::Connecting)).await.map_err(|_| Away)?;
        match &*state {
            State::Connected(link) => Ok(link.clone()),
            State::Connecting | State::Away => Err(Away),
        }
    }

    fn succeeded(&self) {
        // Most of the time nothing is to be written to what all threads read.
        if self.failures.load(Ordering::Relaxed) > 0 && self.failures.swap(0, Ordering::Relaxed) > 0 {
            self.regained();
        }
    }

    fn regained(&self) {
        let now = self.clock.instant();
        *self.regained_at.lock().unwrap_or_else(PoisonError::into_inner) = Some(now);
    }

    fn failed(&self, error: &RedisError) -> Away {
        // What somebody else has put under a key of ours says nothing of other keys.
        if error.code() == Some("WRONGTYPE") {
            tracing::debug!("a key of the shared store holds what is not a string");
            return Away;
        }
        let useless = match error.kind() {
            ErrorKind::Io | ErrorKind::Parse | ErrorKind::AuthenticationFailed => true,
            // One server that refuses an operation is read only, full, or starting, and refuses the next one too. Of a
            // Cluster it is one part.
            ErrorKind::Server(_) | ErrorKind::Extension => self.redis.load().arrangement != Arrangement::Cluster,
            _ => error.is_unrecoverable_error(),
        };
        tracing::debug!(code = error.code(), kind = ?error.kind(), "an operation of the shared store failed");
        self.count_failure(useless)
    }

    fn timed_out(&self) -> Away {
        tracing::debug!("an operation of the shared store took too long");
        self.count_failure(false)
    }

    fn count_failure(&self, useless: bool) -> Away {
        let failures = self.failures.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        if useless || failures >= OPENS_AFTER {
            self.given_up.notify_one();
        }
        Away
    }

    fn hear(&self, PushInfo { kind, data }: &PushInfo) {
        match kind {
            PushKind::Message => {
                if let [channel, message] = data.as_slice()
                    && let (Some(channel), Some(message)) = (text(channel), text(message))
                {
                    self.tell(Heard::Message(message), |listened| listened == channel);
                }
            }
            PushKind::Disconnection => match self.redis.load().arrangement {
                // One node of several: the library connects to it again, and subscribes.
                Arrangement::Cluster => self.tell(Heard::Gap, |_| true),
                Arrangement::Single | Arrangement::Sentinel(_) => {
                    self.given_up.notify_one();
                }
            },
            _ => {}
        }
    }

    fn tell(&self, heard: Heard<'_>, to: impl Fn(&str) -> bool) {
        let listeners = self.listeners.lock().unwrap_or_else(PoisonError::into_inner);
        for (_, listener) in listeners.iter().filter(|(channel, _)| to(channel)) {
            listener(heard);
        }
    }

    fn channels(&self) -> Vec<String> {
        let listeners = self.listeners.lock().unwrap_or_else(PoisonError::into_inner);
        listeners.iter().map(|(channel, _)| channel.clone()).collect()
    }

    /// A link that has taken a write: one to a replica, or to a server that is full, is as good as none.
    async fn try_to_connect(self: &Arc<Self>) -> Result<Link, Unusable> {
        let hearer = Arc::downgrade(self);
        let pushes = move |push: PushInfo| hearer.upgrade().ok_or(Away).map(|inner| inner.hear(&push));
        let redis = self.redis.load_full();
        let trying = async {
            let mut link = arrangement::connect(&redis, pushes).await?;
            for channel in self.channels() {
                link.subscribe(&channel).await?;
            }
            let () = link.ask(&link::put(&probe_key(&redis), "", Duration::from_secs(1))).await?;
            Ok(link)
        };
        let patience = redis.timeout.saturating_mul(OPERATIONS_OF_A_TRY);
        timeout(patience, trying).await.map_err(|_| Unusable::TookTooLong)?.map_err(Unusable::Refused)
    }
}

/// Why there is no connection that takes writes. The operator's of the store, or the network's.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// It cannot be reached, or hangs.
    #[error("it does not answer in time")]
    TookTooLong,
    /// It cannot be reached, lets nobody in by these credentials, or refuses to write.
    #[error("it cannot be used")]
    Refused(#[source] RedisError),
}

async fn keep_open(connection: Weak<Inner>) {
    let mut was_away = false;
    let mut first = true;
    loop {
        let Some(inner) = connection.upgrade() else { return };
        match inner.try_to_connect().await {
            Ok(link) => {
                if was_away {
                    tracing::info!("the shared store is back");
                }
                if !first {
                    inner.regained();
                }
                (first, was_away) = (false, false);
                // What was said of the link before this one.
                inner.failures.store(0, Ordering::Relaxed);
                let _of_the_last = inner.given_up.notified().now_or_never();
                inner.link.send_replace(State::Connected(link));
                inner.tell(Heard::Gap, |_| true);
                drop(inner);
                if given_up(&connection).await.is_none() {
                    return;
                }
            }
            Err(failure) => {
                if !was_away {
                    let cause = &failure as &dyn std::error::Error;
                    tracing::error!(
                        fault = "store",
                        cause,
                        "the shared store is out of reach: sessions go on, and renewals wait until it is back"
                    );
                }
                (first, was_away) = (false, true);
                inner.link.send_replace(State::Away);
                drop(inner);
                tokio::time::sleep(BETWEEN_TRIES).await;
            }
        }
    }
}

/// Until the link is of no use; `None` when nobody has use for one. It is tried now and then, for an instance that asks for
/// nothing must know all the same that the server was away: others may have been unable to say that they are alive.
async fn given_up(connection: &Weak<Inner>) -> Option<()> {
    loop {
        let inner = connection.upgrade()?;
        if timeout(BETWEEN_TRIES, inner.given_up.notified()).await.is_ok() {
            inner.link.send_replace(State::Connecting);
            return Some(());
        }
        let probe = probe_key(&inner.redis.load());
        // A failure is counted like any other.
        let _there = Connection(inner).look_up(&probe).await;
    }
}

fn probe_key(redis: &Redis) -> String {
    format!("{}:probe", redis.prefix)
}

fn text(value: &Value) -> Option<&str> {
    match value {
        Value::BulkString(bytes) => std::str::from_utf8(bytes).ok(),
        Value::SimpleString(text) => Some(text),
        _ => None,
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Connection").field("away", &self.is_away()).finish_non_exhaustive()
    }
}
