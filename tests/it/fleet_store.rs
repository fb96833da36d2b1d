//! A store that does what it should not and does not go away: it evicts, or it is slow.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;

use crate::fleet::instances::Troubled;
use crate::harness::scene::{assert_renewed, echoed, jar};
use crate::harness::{Jar, Redis};

/// What the README warns of. Nobody becomes somebody else, and whoever signs in again is fine.
#[tokio::test]
async fn a_store_that_evicts_costs_a_sign_in_at_worst() {
    let Some(redis) = Redis::start("a store that evicts").await else { return };
    let fleet = Troubled::start(&format!("url: '{}'", redis.url())).await;
    let sessions: Vec<Jar> = (0..60).map(|_| fleet.expired()).collect();
    let mut renewed = Vec::new();
    for old in &sessions {
        let answer = fleet.ask(0, old).await;
        assert_renewed(answer.assert_status(200));
        let mut new = old.clone();
        new.take(&answer.headers);
        renewed.push(new);
    }
    let used = redis.command(&["INFO", "memory"]).await;
    let used: usize = used.lines().find_map(|line| line.strip_prefix("used_memory:")?.trim().parse().ok()).unwrap();
    redis.command(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]).await;
    redis.command(&["CONFIG", "SET", "maxmemory", &(used - 60_000).to_string()]).await;
    // Some of it is gone, and there is room again.
    redis.command(&["CONFIG", "SET", "maxmemory", "0"]).await;
    let evicted = redis.command(&["INFO", "stats"]).await;
    assert!(!evicted.contains("evicted_keys:0"), "{evicted}");
    for (old, new) in sessions.iter().zip(&renewed) {
        // Who has the new cookies goes on; of who comes with old ones, the spent token may be forgotten, which the issuer sees.
        assert_eq!(echoed(&fleet.ask(1, new).await.assert_status(200).json(), "x-user-id"), ["alice"]);
        let late = fleet.ask(1, old).await;
        assert!(matches!(late.status.as_u16(), 200 | 401), "{late:?}");
    }
    assert!(fleet.issuer.reuses() > 0, "some were forgotten");
    let again = jar(&fleet.issuer.sign_in_expired("root"));
    assert_eq!(echoed(&fleet.ask(0, &again).await.assert_status(200).json(), "x-user-id"), ["root"]);
}

/// Shorter than an operation may take: nobody notices but by the time.
#[tokio::test]
async fn a_store_that_is_slow_makes_renewals_slow_and_nothing_else() {
    let Some(redis) = Redis::start("a store that is slow").await else { return };
    let fleet = Troubled::start(&format!("url: '{}', timeout: 3s", redis.url())).await;
    let (old, good) = (fleet.expired(), jar(&fleet.issuer.sign_in("root")));
    let stop = AtomicBool::new(false);
    let slow = async {
        while !stop.load(Ordering::SeqCst) {
            redis.command(&["CLIENT", "PAUSE", "150", "ALL"]).await;
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    let asks = async {
        let started = Instant::now();
        for answer in join_all((0..20).map(|n| fleet.ask(n % 2, &old))).await {
            assert_renewed(answer.assert_status(200));
        }
        println!(
            "20 requests were renewed in {:?} by a store that hangs for 150 ms again and again",
            started.elapsed()
        );
        fleet.ask(0, &good).await.assert_status(200);
        for instance in [0, 1] {
            fleet.is(instance, "ready").await;
        }
        stop.store(true, Ordering::SeqCst);
    };
    tokio::join!(slow, asks);
    assert_eq!((fleet.issuer.token_requests(), fleet.issuer.reuses()), (1, 0));
}
