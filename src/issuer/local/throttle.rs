//! How often somebody may try a password.
//!
//! | counted by | attempts without a wait | then |
//! |---|---|---|
//! | account: the folded name, whether or not there is such a user | 5 | 1 s, 2 s, 4 s, … 60 s between attempts |
//! | source: an IPv4 address, or an IPv6 /64 | 20 | the same |
//!
//! An attempt counts as failed from its beginning, so that a thousand at once are not a thousand free ones; a success
//! clears the account's count and takes its own off the source's. A count ends 15 minutes after the last attempt. An
//! attempt that has to wait is not counted. So somebody who guesses without pause can make the owner of an account wait,
//! for a minute at a time: the price of a bound on guessing. Counts are in memory and end with the process.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use aws_lc_rs::digest::{SHA256, digest};

use crate::clock::Clock;
use crate::config::FoldedName;

const ACCOUNT_ATTEMPTS: u32 = 5;
const SOURCE_ATTEMPTS: u32 = 20;
const LONGEST_WAIT: Duration = Duration::from_secs(60);
const FORGOTTEN_AFTER: Duration = Duration::from_secs(15 * 60);
/// Counts of each kind: some MiB.
const MOST: usize = 20_000;

/// A hash: names may be long.
type Account = Box<[u8]>;

/// The counts.
#[derive(Debug)]
pub(super) struct Throttle {
    counts: Mutex<(Counts<Account>, Counts<IpAddr>)>,
    clock: Clock,
}

/// An attempt that has been counted.
#[derive(Debug)]
pub(super) struct Attempt {
    account: Account,
    source: IpAddr,
}

impl Throttle {
    pub(super) fn new(clock: Clock) -> Self {
        Self { counts: Mutex::new((Counts::new(ACCOUNT_ATTEMPTS), Counts::new(SOURCE_ATTEMPTS))), clock }
    }

    /// Counts an attempt.
    ///
    /// # Errors
    /// How long to wait before the next one; this one must not be made.
    pub(super) fn begin(&self, name: &FoldedName, source: IpAddr) -> Result<Attempt, Duration> {
        let attempt = Attempt { account: account(name), source: network(source) };
        let now = self.clock.instant();
        let (accounts, sources) = &mut *self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let wait = accounts.wait(&attempt.account, now).max(sources.wait(&attempt.source, now));
        if wait > Duration::ZERO {
            return Err(wait);
        }
        accounts.count(attempt.account.clone(), now);
        sources.count(attempt.source, now);
        Ok(attempt)
    }

    /// The password was right.
    pub(super) fn succeeded(&self, attempt: &Attempt) {
        let (accounts, sources) = &mut *self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        accounts.counts.remove(&attempt.account);
        sources.take_back(&attempt.source);
    }

    /// The password was not looked at.
    pub(super) fn take_back(&self, attempt: &Attempt) {
        let (accounts, sources) = &mut *self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        accounts.take_back(&attempt.account);
        sources.take_back(&attempt.source);
    }
}

fn account(name: &FoldedName) -> Account {
    digest(&SHA256, name.as_str().as_bytes()).as_ref().into()
}

/// Whoever has one IPv6 address mostly has the other 2^64 of its network too.
fn network(source: IpAddr) -> IpAddr {
    match source.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
        address @ IpAddr::V4(_) => address,
    }
}

#[derive(Debug)]
struct Counts<K> {
    counts: HashMap<K, Count>,
    free: u32,
}

#[derive(Clone, Copy, Debug)]
struct Count {
    attempts: u32,
    last: Instant,
}

impl<K: Clone + Eq + Hash> Counts<K> {
    fn new(free: u32) -> Self {
        Self { counts: HashMap::new(), free }
    }

    fn wait(&self, key: &K, now: Instant) -> Duration {
        let Some(count) = self.counts.get(key).filter(|count| !count.is_over(now)) else { return Duration::ZERO };
        let Some(beyond) = count.attempts.checked_sub(self.free) else { return Duration::ZERO };
        let pause = Duration::from_secs(1 << beyond.min(6)).min(LONGEST_WAIT);
        pause.saturating_sub(now.saturating_duration_since(count.last))
    }

    fn count(&mut self, key: K, now: Instant) {
        if self.counts.len() >= MOST && !self.counts.contains_key(&key) {
            self.make_room(now);
        }
        let count = self.counts.entry(key).or_insert(Count { attempts: 0, last: now });
        let before = if count.is_over(now) { 0 } else { count.attempts };
        *count = Count { attempts: before.saturating_add(1), last: now };
    }

    fn take_back(&mut self, key: &K) {
        if let Some(count) = self.counts.get_mut(key) {
            count.attempts = count.attempts.saturating_sub(1);
        }
    }

    /// Rarely, and beside the work of a password hash: what is over goes, else the lowest count.
    fn make_room(&mut self, now: Instant) {
        self.counts.retain(|_, count| !count.is_over(now));
        if self.counts.len() < MOST {
            return;
        }
        let lowest =
            self.counts.iter().min_by_key(|(_, count)| (count.attempts, count.last)).map(|(key, _)| key.clone());
        if let Some(lowest) = lowest {
            self.counts.remove(&lowest);
        }
    }
}

impl Count {
    fn is_over(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.last) >= FORGOTTEN_AFTER
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn throttle() -> (Throttle, Clock) {
        let clock = Clock::adjustable();
        (Throttle::new(clock.clone()), clock)
    }

    fn source(number: u32) -> IpAddr {
        IpAddr::V4(number.into())
    }

    #[test]
    fn the_sixth_attempt_at_an_account_waits_from_wherever_and_however_the_name_is_written() {
        let (throttle, clock) = throttle();
        for (number, name) in (0..).zip(["alice", "Alice", " alice", "ALICE ", "ａlice"]) {
            throttle.begin(&FoldedName::of(name), source(number)).unwrap();
        }
        let wait = |number| throttle.begin(&FoldedName::of("alice"), source(number)).unwrap_err();
        assert!(wait(100) <= Duration::from_secs(1));
        throttle.begin(&FoldedName::of("bob"), source(100)).unwrap();

        let mut longest = Duration::ZERO;
        for number in 0..12 {
            let pause = wait(200 + number);
            longest = longest.max(pause);
            clock.advance(pause + Duration::from_millis(1));
            throttle.begin(&FoldedName::of("alice"), source(200 + number)).unwrap();
        }
        assert!(longest > Duration::from_secs(59) && longest <= LONGEST_WAIT, "{longest:?}");
        clock.advance(FORGOTTEN_AFTER);
        throttle.begin(&FoldedName::of("alice"), source(300)).unwrap();
    }

    #[test]
    fn a_source_waits_whichever_accounts_it_tries() {
        let (throttle, _) = throttle();
        let attempt = |number: u32, source: &str| {
            throttle.begin(&FoldedName::of(&format!("user {number}")), source.parse().unwrap())
        };
        for number in 0..SOURCE_ATTEMPTS {
            attempt(number, &format!("2001:db8::{number:x}")).unwrap();
        }
        attempt(100, "2001:db8::ffff:1").unwrap_err();
        attempt(100, "2001:db8:0:1::1").unwrap();
        for number in 0..SOURCE_ATTEMPTS {
            attempt(200 + number, "192.0.2.1").unwrap();
        }
        attempt(300, "::ffff:192.0.2.1").unwrap_err();
    }

    #[test]
    fn a_success_clears_the_account_and_counts_for_nothing_at_the_source() {
        let (throttle, _) = throttle();
        let alice = FoldedName::of("alice");
        for _ in 0..100 {
            let attempt = throttle.begin(&alice, source(1)).unwrap();
            throttle.succeeded(&attempt);
        }
        for _ in 0..4 {
            throttle.begin(&alice, source(1)).unwrap();
        }
        let attempt = throttle.begin(&alice, source(1)).unwrap();
        throttle.take_back(&attempt);
        throttle.succeeded(&throttle.begin(&alice, source(1)).unwrap());
        throttle.begin(&alice, source(1)).unwrap();
    }

    #[test]
    fn memory_is_bounded_and_who_tried_most_stays_counted() {
        let (throttle, _) = throttle();
        for _ in 0..ACCOUNT_ATTEMPTS {
            throttle.begin(&FoldedName::of("alice"), source(1)).unwrap();
        }
        for number in 0..u32::try_from(MOST).unwrap() + 10 {
            throttle.begin(&FoldedName::of(&number.to_string()), source(1_000 + number)).unwrap();
        }
        assert_eq!(throttle.counts.lock().unwrap().0.counts.len(), MOST);
        throttle.begin(&FoldedName::of("alice"), source(2)).unwrap_err();
    }
}
