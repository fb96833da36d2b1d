//! The connection to the shared server, which is kept open: bounded in time, given up when it fails, found again by itself.
//!
//! An operation that takes too long or breaks is counted; after some in a row, or at once when the connection is gone, the
//! circuit opens: operations fail without being tried, and one task connects anew until the server takes a write again.
//! That is told to the operator once, in both directions. Everybody who listens is told that messages may be missing.

mod circuit;
mod keeping;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use redis::{Cmd, FromRedisValue, PushInfo, PushKind, Value};
use tokio::sync::watch;
use tokio::time::timeout;

pub use self::keeping::Unusable;

use self::circuit::Circuit;
use super::link::{self, Answer, Link};
use super::{Away, Examination, Heard, Listed, Listener, Reading, Server, Swap};
use crate::clock::Clock;
use crate::config::{Arrangement, Redis};
use crate::tasks::Tasks;

/// A connection to the server. Clones are one and the same; it is closed when the last of them goes.
#[derive(Clone)]
pub struct Connection(Arc<Inner>);

struct Inner {
    /// Whatever is not about the next connection stays as it was at first.
    redis: ArcSwap<Redis>,
    link: watch::Sender<State>,
    listeners: Mutex<Vec<(String, Listener)>>,
    circuit: Circuit,
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
            circuit: Circuit::new(clock),
        }))
    }

    /// Connects, subscribes to what is listened to, and keeps doing so for as long as anybody has this connection.
    pub fn open(&self, tasks: &Tasks) {
        tasks.attend(keeping::keep_open(Arc::downgrade(&self.0)));
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

    /// Makes a connection of its own as [`Connection::open`] does, tries whatever sort of command there is (with those of sets
    /// where somebody keeps `sets`), and asks the servers what they are.
    ///
    /// # Errors
    /// [`Unusable`]: there is no link that takes writes, or one that does not take all commands.
    pub async fn examine(&self, sets: bool) -> Result<Examination, Unusable> {
        let mut link = self.0.try_to_connect().await?;
        self.0.try_each_sort(&mut link, sets).await?;
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
                inner.circuit.succeeded();
                Ok(answer)
            }
            Ok(Ok(Err(error))) => Err(inner.circuit.failed(&error, &inner.redis.load().arrangement)),
            Ok(Err(away)) => Err(away),
            Err(_) => Err(inner.circuit.timed_out()),
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
        self.0.circuit.regained_at()
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
                    self.circuit.opens();
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
