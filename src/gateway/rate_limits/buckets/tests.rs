//! What a limit promises: never more, whoever else comes along, and in bounded memory.

use proptest::prelude::{ProptestConfig, Strategy, prop, prop_assert, proptest};

use super::*;
use crate::clock::Clock;
use crate::config::LimitedBy;

const MINUTE: Duration = Duration::from_secs(60);

fn limit(requests: u32, per: Duration, burst: u32) -> RateLimit {
    RateLimit { name: "address".into(), scope: "app.test".into(), by: LimitedBy::Address, requests, per, burst }
}

fn buckets(requests: u32, per: Duration, burst: u32) -> (Buckets, Clock) {
    let clock = Clock::stopped();
    (Buckets::new(&limit(requests, per, burst), clock.instant()), clock)
}

#[test]
fn as_many_pass_as_may_and_then_one_by_one() {
    let (buckets, clock) = buckets(3, MINUTE, 3);
    let take = |key: &str| buckets.take((&key, None), clock.instant(), true);
    let left: Vec<_> = (0..3).map(|_| take("a")).collect();
    assert_eq!(left.iter().map(|level| level.remaining).collect::<Vec<_>>(), [2, 1, 0]);
    assert_eq!(left[2], Level { remaining: 0, free_after: MINUTE, refused_for: None });
    assert_eq!(take("a").refused_for, Some(Duration::from_secs(20)));
    assert_eq!(take("b").remaining, 2, "another key has a bucket of its own");
    // Who was refused has not been counted.
    clock.advance(Duration::from_millis(19_999));
    assert_eq!(take("a").refused_for, Some(Duration::from_millis(1)));
    clock.advance(Duration::from_millis(1));
    assert_eq!(take("a").refused_for, None);
    assert_eq!(take("a").refused_for, Some(Duration::from_secs(20)));
    clock.advance(MINUTE);
    assert_eq!((0..9).filter(|_| take("a").refused_for.is_none()).count(), 3);
}

#[test]
fn a_burst_bounds_what_comes_at_once_and_not_what_comes_in_all() {
    let (buckets, clock) = buckets(60, MINUTE, 5);
    let passes = || buckets.take((&"a", None), clock.instant(), true).refused_for.is_none();
    assert_eq!((0..60).filter(|_| passes()).count(), 5);
    let in_a_minute = (0..600).filter(|_| {
        clock.advance(Duration::from_millis(100));
        passes()
    });
    assert_eq!(in_a_minute.count(), 60);
}

#[test]
fn what_does_not_count_is_told_the_same_and_takes_nothing() {
    let (buckets, clock) = buckets(1, MINUTE, 1);
    let take = |counts| buckets.take((&"a", None), clock.instant(), counts).refused_for;
    assert_eq!((take(false), take(false), take(true)), (None, None, None));
    assert_eq!((take(false), take(true)), (Some(MINUTE), Some(MINUTE)));
}

#[test]
fn a_million_keys_stay_within_the_memory_and_nobody_gets_a_fresh_bucket_by_bringing_them() {
    let (buckets, clock) = buckets(2, MINUTE, 2);
    let passes = |key: u32| buckets.take((&key, None), clock.instant(), true).refused_for.is_none();
    assert_eq!((0..10).filter(|_| passes(0)).count(), 2);
    let mut newcomers = 0;
    for key in 1..=1_000_000 {
        newcomers += usize::from(passes(key));
        if key % 10_000 == 0 {
            assert!(!passes(0), "after {key} others");
        }
    }
    assert!(buckets.keys() <= SHARDS * MOST, "{}", buckets.keys());
    // There is room for so many, and those who come later share what is left.
    assert!((SHARDS * MOST..1_000_000).contains(&newcomers), "{newcomers}");
    clock.advance(MINUTE);
    assert!((1_000_001..1_001_000).all(passes), "a minute later there is room for everybody again");
}

#[test]
fn to_keep_newcomers_out_takes_what_all_who_have_room_may_have_and_does_not_last() {
    let (buckets, clock) = buckets(3, MINUTE, 3);
    let passes = |key: &u32| buckets.take((key, None), clock.instant(), true).refused_for.is_none();
    let let_in = (0..1_000_000).take_while(passes).count();
    let all = 3 * SHARDS * MOST;
    assert!((all / 10 * 8..all).contains(&let_in), "{let_in} of {all}");
    clock.advance(MINUTE / 3);
    assert!((1_000_000..1_010_000).all(|key| passes(&key)), "there is one for each again");
}

#[test]
fn a_bucket_that_made_room_is_no_fuller_when_its_owner_comes_back() {
    let (buckets, clock) = buckets(1, MINUTE, 1);
    let passes = |key: &u32| buckets.take((key, None), clock.instant(), true).refused_for.is_none();
    let let_in: Vec<u32> = (0..200_000).filter(passes).collect();
    assert!(let_in.len() >= SHARDS * (MOST - 1));
    assert_eq!(let_in.iter().filter(|key| passes(key)).count(), 0);
}

/// Whose request comes, and how long after the one before, in milliseconds.
fn requests() -> impl Strategy<Value = Vec<(u8, u64)>> {
    prop::collection::vec((0..3_u8, prop::sample::select(vec![0, 0, 0, 1, 50, 999, 1_000, 5_000, 61_000])), 1..200)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn never_more_than_the_burst_and_the_rate_pass_in_any_window(
        (number, seconds, burst) in (1..100_u32, 1..100_u64, 1..20_u32),
        requests in requests(),
    ) {
        let (buckets, clock) = buckets(number, Duration::from_secs(seconds), burst);
        let start = clock.instant();
        let mut passed: Vec<(u8, u128)> = Vec::new();
        for (key, pause) in requests {
            clock.advance(Duration::from_millis(pause));
            let at = (clock.instant() - start).as_nanos();
            if buckets.take((&u32::from(key), None), clock.instant(), true).refused_for.is_none() {
                passed.push((key, at));
            }
        }
        let interval = u128::from(buckets.interval);
        for key in 0..3 {
            let times: Vec<u128> = passed.iter().filter(|(one, _)| *one == key).map(|(_, at)| *at).collect();
            for (first, from) in times.iter().enumerate() {
                for (last, to) in times.iter().enumerate().skip(first) {
                    let most = u128::from(burst) + (to - from) / interval;
                    prop_assert!((last - first + 1) as u128 <= most, "{} in {} ns", last - first + 1, to - from);
                }
            }
        }
    }
}

#[test]
fn many_keys_of_one_wider_key_share_its_bucket_once_a_shard_is_half_full_and_nobody_else_begins_with_less() {
    let (buckets, clock) = buckets(2, MINUTE, 2);
    let passes = |key: u32, wider| buckets.take((&key, Some(&wider)), clock.instant(), true).refused_for.is_none();
    let wider = u32::MAX;
    let let_in = (0..50_000).filter(|key| passes(*key, wider) && passes(*key, wider)).count();
    assert_eq!(let_in, CROWD + 1, "two requests of each, and two of all the rest");
    assert_eq!(buckets.keys(), CROWD + 1);
    assert!(buckets.shards.iter().all(|shard| shard.lock().unwrap().floor == 0));
    assert!(!passes(0, wider) && !passes(60_000, wider));
    let alone = |key: u32| buckets.take((&key, None), clock.instant(), true).refused_for.is_none();
    assert!((100_000..120_000).all(alone));
    // A wider key that has used up everything gives none of its own a fresh bucket when there is room again.
    clock.advance(Duration::from_millis(59_999));
    assert!(passes(60_000, wider));
    clock.advance(MINUTE / 2);
    assert!(passes(60_001, wider) && !passes(60_001, wider));
}
