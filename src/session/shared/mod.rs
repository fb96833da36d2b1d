//! The server that several instances share: Redis or Valkey, and what is asked of it.
//!
//! Whoever keeps something there asks a [`Server`]: single keys, read and written back if nobody wrote meanwhile, and
//! messages to all instances. Each operation is bounded in time, and while the server is away all of them fail at once:
//! [`Away`] is an outcome that every caller has an answer to, not an error to give up on. This module does *not* know
//! what is kept, nor seal it: it sees bytes that mean nothing to it.

mod arrangement;
mod connection;
mod examination;
mod link;
mod sets;
#[cfg(test)]
pub mod simulated;

use std::time::{Duration, Instant};

pub use connection::{Connection, Unusable};
pub use examination::Examination;

/// A server that keeps values by key.
pub trait Server: Send + Sync + 'static {
    /// The value of a key, empty where there is none, and what time it is there.
    fn read(&self, key: &str) -> impl Future<Output = Result<Reading, Away>> + Send;

    /// Writes a value unless somebody has written since it was read. When somebody has: what stands there now.
    fn swap(&self, swap: &Swap<'_>) -> impl Future<Output = Result<Option<Reading>, Away>> + Send;

    /// The value of a key, empty where there is none, for whoever need not know when that was.
    fn look_up(&self, key: &str) -> impl Future<Output = Result<String, Away>> + Send;

    /// Writes a value, whatever stood there, which goes after so long.
    fn put(&self, key: &str, value: &str, lasts: Duration) -> impl Future<Output = Result<(), Away>> + Send;

    /// Adds an entry at the end of a list, which keeps so many of them at most and stays for at least so long, and tells a
    /// channel.
    fn append(
        &self,
        list: &str,
        entry: &str,
        bounds: (usize, Duration),
        channel: &str,
    ) -> impl Future<Output = Result<(), Away>> + Send;

    /// The entries of a list from a place on, the one there included, at most so many, in their order. An empty place is before
    /// all of them. What is too long for one of ours is empty, so that so many never take more than a moment.
    fn page(&self, list: &str, place: &str, most: usize) -> impl Future<Output = Result<Vec<Listed>, Away>> + Send;

    /// From now on `listener` hears what is said in `channel`. To be called before anything is asked.
    fn listen(&self, channel: &str, listener: Listener);

    /// Whether it is known to be out of reach.
    fn is_away(&self) -> bool;

    /// When the server was last found again after it had been away.
    fn regained_at(&self) -> Option<Instant>;
}

/// What stood under a key.
#[derive(Clone, Debug)]
pub struct Reading {
    /// Milliseconds since 1970 by the server's clock, at the moment of reading.
    pub at: u64,
    /// The value, empty when there is none: whatever bytes somebody has written there.
    pub value: Vec<u8>,
}

/// An entry of a list.
#[derive(Clone, Debug)]
pub struct Listed {
    /// Where it stands: what [`Server::page`] goes on from.
    pub place: String,
    /// The entry.
    pub entry: String,
}

/// A value that takes the place of another.
#[derive(Clone, Copy, Debug)]
pub struct Swap<'a> {
    /// The key.
    pub key: &'a str,
    /// What the old value must begin with still: all of it, or a part that no other value has. Empty when there must be
    /// none.
    pub held: &'a [u8],
    /// The new value.
    pub value: &'a str,
    /// How long it is kept unless it is written again.
    pub lasts: Duration,
    /// A channel, and what all instances that listen to it are told once the value is written.
    pub tell: Option<(&'a str, &'a str)>,
}

/// The server does not answer, or not as it should. Its operator's fault, or the network's; the log has said so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the shared store is out of reach")]
pub struct Away;

/// What comes from a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard<'a> {
    /// A message.
    Message(&'a str),
    /// Messages may have been lost: the connection was.
    Gap,
}

/// Who listens to a channel. It is called from where messages arrive, so it must not take long.
pub type Listener = Box<dyn Fn(Heard<'_>) + Send + Sync>;
