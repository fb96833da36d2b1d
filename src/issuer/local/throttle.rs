//! How often somebody may try a password, or a one-time password after it.
//!
//! | counted by | attempts without a wait | then |
//! |---|---|---|
//! | account and source: an IPv4 address, or an IPv6 /64 | 5 | 1 s, 2 s, 4 s, … 60 s between attempts |
//! | source, whichever accounts it tries | 20 | the same |
//! | account: the folded name, whether or not there is such a user | 20 | one in 20 s, from wherever |
//! | the same for one-time passwords | 10 | one in 15 minutes, from wherever |
//!
//! An attempt counts as failed from its beginning, so that a thousand at once are not a thousand free ones; a success
//! clears the count of its account and source, and takes its own off the other two. Counts end 15 minutes after the last
//! attempt; an account has all of its 20 again after 400 s of rest. An attempt that has to wait is counted against its
//! source, which therefore waits for 60 s after the last one if it does not stop: so it takes no place that somebody else
//! waits for.
//!
//! From one address an account is tried once a minute, 1440 times a day; from any number of them three times a minute, 4320
//! times a day. One address, or two, keep nobody else out. Whoever guesses without pause from three or more can make the
//! owner of the account wait, for a place that comes up every 20 s: the price of that bound. Counts are in memory and end
//! with the process.
//!
//! One-time passwords are counted by themselves, after the right password: who does not know it never makes the owner wait
//! there. Who does know it tries 10 of them, and then 96 a day, of which each is right by three chances in a million: the
//! odds are 3 in 10,000 a day. Another password ends that at once.

mod counts;
mod rates;

use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};

use self::counts::Counts;
use self::rates::Rates;
use crate::clock::Clock;
use crate::config::FoldedName;
use crate::forwarding::network;

const PAIR_ATTEMPTS: u32 = 5;
const SOURCE_ATTEMPTS: u32 = 20;
const ACCOUNT_ATTEMPTS: u32 = 20;
/// A third of the longest wait of one source, which alone never uses up an account.
const ACCOUNT_INTERVAL: Duration = Duration::from_secs(20);
const CODE_ATTEMPTS: u32 = 10;
const CODE_INTERVAL: Duration = Duration::from_secs(15 * 60);
const LONGEST_WAIT: Duration = Duration::from_secs(60);
const FORGOTTEN_AFTER: Duration = Duration::from_secs(15 * 60);
/// Counts of each kind: some MiB.
const MOST: usize = 20_000;

/// A hash: names may be long.
type Account = Box<[u8]>;

/// The counts.
#[derive(Debug)]
pub(super) struct Throttle {
    counts: Mutex<All>,
    clock: Clock,
}

#[derive(Debug)]
struct All {
    pairs: Counts<(Account, IpAddr)>,
    sources: Counts<IpAddr>,
    accounts: Rates,
}

/// An attempt that has been counted.
#[derive(Debug)]
pub(super) struct Attempt {
    account: Account,
    source: IpAddr,
}

impl Throttle {
    pub(super) fn of_passwords(clock: Clock) -> Self {
        Self::new(Rates::new(ACCOUNT_ATTEMPTS, ACCOUNT_INTERVAL), clock)
    }

    pub(super) fn of_codes(clock: Clock) -> Self {
        Self::new(Rates::new(CODE_ATTEMPTS, CODE_INTERVAL), clock)
    }

    fn new(accounts: Rates, clock: Clock) -> Self {
        let (pairs, sources) = (Counts::new(PAIR_ATTEMPTS), Counts::new(SOURCE_ATTEMPTS));
        Self { counts: Mutex::new(All { pairs, sources, accounts }), clock }
    }

    /// Counts an attempt.
    ///
    /// # Errors
    /// How long to wait before the next one; this one must not be made.
    pub(super) fn begin(&self, name: &FoldedName, source: IpAddr) -> Result<Attempt, Duration> {
        let attempt = Attempt { account: account(name), source: network(source) };
        let now = self.clock.instant();
        let All { pairs, sources, accounts } = &mut *self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let (pair, source) = (attempt.pair(), attempt.source);
        let wait = pairs.wait(&pair, now).max(sources.wait(&source, now)).max(accounts.wait(&attempt.account, now));
        if wait > Duration::ZERO {
            sources.count_refused(source, now);
            return Err(wait.max(sources.wait(&source, now)));
        }
        pairs.count(pair, now);
        sources.count(source, now);
        accounts.count(attempt.account.clone(), now);
        Ok(attempt)
    }

    /// It was right.
    pub(super) fn succeeded(&self, attempt: &Attempt) {
        let All { pairs, sources, accounts } = &mut *self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        pairs.clear(&attempt.pair());
        sources.take_back(&attempt.source);
        accounts.take_back(&attempt.account);
    }

    /// It was not looked at.
    pub(super) fn take_back(&self, attempt: &Attempt) {
        let All { pairs, sources, accounts } = &mut *self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        pairs.take_back(&attempt.pair());
        sources.take_back(&attempt.source);
        accounts.take_back(&attempt.account);
    }
}

impl Attempt {
    fn pair(&self) -> (Account, IpAddr) {
        (self.account.clone(), self.source)
    }
}

fn account(name: &FoldedName) -> Account {
    digest(&SHA256, name.as_str().as_bytes()).as_ref().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How long a test takes counts for nothing.
    fn throttle() -> (Throttle, Clock) {
        let clock = Clock::stopped();
        (Throttle::of_passwords(clock.clone()), clock)
    }

    fn source(number: u32) -> IpAddr {
        IpAddr::V4(number.into())
    }

    #[test]
    fn the_sixth_attempt_at_an_account_waits_however_the_name_is_written_and_somebody_elsewhere_does_not() {
        let (throttle, clock) = throttle();
        let begin = |name: &str, number| throttle.begin(&FoldedName::of(name), source(number));
        for name in ["alice", "Alice", " alice", "ALICE ", "ａlice"] {
            begin(name, 1).unwrap();
        }
        assert!(begin("alice", 1).unwrap_err() <= Duration::from_secs(1));
        begin("bob", 1).unwrap();
        begin("alice", 2).unwrap();

        let mut longest = Duration::ZERO;
        for _ in 0..12 {
            let pause = begin("alice", 1).unwrap_err();
            longest = longest.max(pause);
            clock.advance(pause + Duration::from_millis(1));
            begin("alice", 1).unwrap();
        }
        assert!(longest > Duration::from_secs(59) && longest <= LONGEST_WAIT, "{longest:?}");
        clock.advance(FORGOTTEN_AFTER);
        begin("alice", 1).unwrap();
    }

    /// So many attempts at alice's account are made within an hour in which each of so many sources makes one in `every`.
    fn guesses(sources: u32, every: Duration, mut meanwhile: impl FnMut(&Throttle, u64)) -> u32 {
        let (throttle, clock) = throttle();
        let (alice, mut made) = (FoldedName::of("alice"), 0);
        for round in 0..3_600 * 1_000 / u64::try_from(every.as_millis()).unwrap() {
            for number in 0..sources {
                made += u32::from(throttle.begin(&alice, source(number)).is_ok());
            }
            meanwhile(&throttle, round);
            clock.advance(every);
        }
        made
    }

    #[test]
    fn who_guesses_without_pause_from_one_address_or_two_keeps_no_owner_out() {
        let alice = FoldedName::of("alice");
        let owner = |throttle: &Throttle, round: u64| {
            if round % 7 == 6 {
                let attempt = throttle.begin(&alice, source(1_000)).unwrap();
                throttle.succeeded(&attempt);
            }
        };
        for (sources, every, most) in [(1, 1, 100), (2, 1, 200), (1, 61, 100), (2, 61, 200)] {
            let made = guesses(sources, Duration::from_secs(every), owner);
            assert!(made >= 5 && made <= most, "{made} from {sources} every {every} s");
        }
    }

    #[test]
    fn guesses_at_an_account_are_bounded_from_however_many_addresses_they_come() {
        for sources in [50, 1_000] {
            let made = guesses(sources, Duration::from_secs(5), |_, _| {});
            assert!(made <= ACCOUNT_ATTEMPTS + 3 * 60, "{made} from {sources}");
        }
    }

    #[test]
    fn guesses_at_one_time_passwords_are_far_fewer_from_wherever() {
        let clock = Clock::stopped();
        let (throttle, alice, mut made) = (Throttle::of_codes(clock.clone()), FoldedName::of("alice"), 0);
        for number in 0..24 * 60 {
            made += u32::from(throttle.begin(&alice, source(number)).is_ok());
            clock.advance(Duration::from_secs(60));
        }
        assert!((CODE_ATTEMPTS + 90..=CODE_ATTEMPTS + 96).contains(&made), "{made}");
    }

    #[test]
    fn an_attempt_that_is_refused_makes_its_source_wait_longer_and_no_other() {
        let (throttle, clock) = throttle();
        let begin = |name: &str, number| throttle.begin(&FoldedName::of(name), source(number));
        for _ in 0..100 {
            let _ = begin("alice", 1);
        }
        assert!(begin("alice", 1).unwrap_err() > Duration::from_secs(59));
        begin("bob", 1).unwrap_err();
        begin("alice", 2).unwrap();
        clock.advance(LONGEST_WAIT);
        begin("bob", 1).unwrap();
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
        for _ in 0..PAIR_ATTEMPTS {
            throttle.begin(&FoldedName::of("alice"), source(1)).unwrap();
        }
        for number in 0..u32::try_from(MOST).unwrap() + 10 {
            throttle.begin(&FoldedName::of(&number.to_string()), source(1_000 + number)).unwrap();
        }
        let counts = throttle.counts.lock().unwrap();
        assert_eq!([counts.pairs.len(), counts.sources.len(), counts.accounts.len()], [MOST; 3]);
        drop(counts);
        throttle.begin(&FoldedName::of("alice"), source(1)).unwrap_err();
    }
}
