//! What is counted for one rate limit: a leaky bucket for each key (the generic cell rate algorithm), kept as the one moment at
//! which everything is free again.
//!
//! Memory is bounded: 64 shards of at most 896 keys, some 1.1 MiB, made as keys come. Where a shard is full of keys that are
//! still counted, those that are closest to free make room, and the shard remembers how far the furthest of them was: whoever
//! is not in it begins there. So nobody gets a fresh bucket by bringing others along, and no key is ever let in more often than
//! its limit says; under an attack by more keys than there is room for, newcomers get less than theirs.
//!
//! To give newcomers a fresh bucket instead would let whoever has more keys than there is room for come back with each of them
//! as new, bound by nothing; to let go of those who have used up most would free them of what they owe. As it is, all keys
//! together are let in no more often than as many as there is room for may be, and to keep newcomers out takes nearly as much:
//! of a limit of 100 a minute some 5 million requests in that minute, all of which the application would have to bear.
//!
//! Whoever has one IPv6 network mostly has 65,536 of them, so there a key comes with a wider one. Where a shard is half full,
//! newcomers are counted by the wider key, which is in the same shard: all of them together make no room there, and nobody
//! else begins with less for them. Whoever has many wider keys, or many IPv4 addresses, still does that.
//!
//! A shard has a lock of its own, which is held for one look-up. Keys are hashed with a secret of the process, so that nobody
//! can choose whose shard, or whose bucket, to meet. Two keys of the same hash would share a bucket.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, Hash, RandomState};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::config::RateLimit;

const SHARDS: usize = 64;
/// What a hash table of 1,024 places holds before it grows.
const MOST: usize = 896;
/// Room is made for so many at once, so that not every newcomer costs a search.
const ROOM: usize = MOST / 8;
/// From so many on, newcomers are counted by their wider keys.
const CROWD: usize = MOST / 2;

/// The buckets of one limit.
#[derive(Debug)]
pub(super) struct Buckets {
    /// Nanoseconds until one more is free.
    interval: u64,
    /// Nanoseconds until all are free, of whoever has used up everything.
    whole: u64,
    shards: Box<[Mutex<Shard>]>,
    hasher: RandomState,
    origin: Instant,
}

#[derive(Debug, Default)]
struct Shard {
    /// By hash: when everything is free again, in nanoseconds since the origin.
    free_at: HashMap<u64, u64>,
    /// The same for whoever is not in it.
    floor: u64,
    /// When it was last looked through for what is free.
    swept: u64,
}

/// How it stands with a bucket after a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Level {
    /// So many more may come at once.
    pub(super) remaining: u32,
    /// All are free again after this.
    pub(super) free_after: Duration,
    /// The request is one too many: the next may come after this.
    pub(super) refused_for: Option<Duration>,
}

impl Buckets {
    pub(super) fn new(limit: &RateLimit, now: Instant) -> Self {
        let interval = nanoseconds(limit.interval());
        Self {
            interval,
            whole: interval.saturating_mul(limit.burst.into()),
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            hasher: RandomState::new(),
            origin: now,
        }
    }

    /// Lets a request of this key in or not. It takes something only where it `counts` and is let in.
    pub(super) fn take<K: Hash>(&self, (key, wider): (&K, Option<&K>), now: Instant, counts: bool) -> Level {
        let own = self.hasher.hash_one(key);
        let wider = wider.map(|wider| self.hasher.hash_one(wider));
        let now = nanoseconds(now.saturating_duration_since(self.origin));
        // The remainder of a division by 64 is an index into 64.
        let Some(shard) = self.shards.get(usize::try_from(wider.unwrap_or(own) % 64).unwrap_or_default()) else {
            return Level { remaining: 0, free_after: Duration::ZERO, refused_for: None };
        };
        let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
        let (hash, before) = shard.find((own, wider), (now, self.interval));
        let before = before.max(now);
        let after = before.saturating_add(self.interval);
        if let Some(beyond) = (after - now).checked_sub(self.whole).filter(|beyond| *beyond > 0) {
            let free_after = Duration::from_nanos(before - now);
            return Level { remaining: 0, free_after, refused_for: Some(Duration::from_nanos(beyond)) };
        }
        if !counts {
            return self.level(before - now);
        }
        shard.keep(hash, after, now);
        self.level(after - now)
    }

    fn level(&self, used: u64) -> Level {
        let remaining = self.whole.saturating_sub(used) / self.interval.max(1);
        let remaining = u32::try_from(remaining).unwrap_or(u32::MAX);
        Level { remaining, free_after: Duration::from_nanos(used), refused_for: None }
    }

    #[cfg(test)]
    fn keys(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().unwrap().free_at.len()).sum()
    }
}

impl Shard {
    /// By which of its keys a request is counted, and when everything of that is free again.
    fn find(&mut self, (own, wider): (u64, Option<u64>), (now, interval): (u64, u64)) -> (u64, u64) {
        if let Some(free_at) = self.free_at.get(&own) {
            return (own, *free_at);
        }
        let Some(wider) = wider else { return (own, self.floor) };
        // Hardly anything becomes free in less than an interval, and looking takes a microsecond.
        if self.free_at.len() >= CROWD && now.saturating_sub(self.swept) >= interval {
            self.swept = now;
            self.free_at.retain(|_, free_at| *free_at > now);
        }
        // What was taken by the wider key may have been this one's.
        let before = self.free_at.get(&wider).copied().unwrap_or_default().max(self.floor);
        (if self.free_at.len() >= CROWD { wider } else { own }, before)
    }

    fn keep(&mut self, hash: u64, free_at: u64, now: u64) {
        if self.free_at.len() >= MOST && !self.free_at.contains_key(&hash) {
            self.make_room(now);
        }
        self.free_at.insert(hash, free_at);
    }

    /// What is free goes, for that is as if it had never come; where that is not enough, what is next to free.
    fn make_room(&mut self, now: u64) {
        self.free_at.retain(|_, free_at| *free_at > now);
        if self.free_at.len() <= MOST - ROOM {
            return;
        }
        let mut all: Vec<u64> = self.free_at.values().copied().collect();
        let most_that_go = self.free_at.len() - (MOST - ROOM);
        let last = *all.select_nth_unstable(most_that_go).1;
        self.free_at.retain(|_, free_at| *free_at > last);
        self.floor = self.floor.max(last);
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
