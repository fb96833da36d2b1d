//! What becomes of a fleet when its store is away, or one of its instances is.

use std::time::{Duration, Instant};

use futures_util::future::join_all;

use crate::fleet::instances::{Processes, Troubled};
use crate::harness::scene::{assert_renewed, jar};
use crate::harness::wait::PATIENCE;
use crate::harness::{Answer, Jar, Redis, SetCookie, TokenAnswer, eventually, get, post};

/// A shorter time-out than the default, for tests that wait for it.
fn quick(redis: &Redis) -> String {
    format!("url: '{}', timeout: 200ms", redis.url())
}

/// Not now; nobody is signed out, nobody becomes anonymous.
#[track_caller]
fn assert_put_off(answer: &Answer) {
    answer.assert_status(503);
    assert!(answer.header("retry-after").is_some(), "{answer:?}");
    assert!(!answer.set_cookies().iter().any(SetCookie::clears), "{answer:?}");
}

/// While the store cannot be used: what is documented. Then it can be again, by itself.
async fn goes_away_and_comes_back(fleet: &Troubled, returns: impl Future<Output = ()>) {
    let good = jar(&fleet.issuer.sign_in("alice"));
    let expired = fleet.expired();
    for instance in [0, 1] {
        // Until the circuit is open: an operation takes its time-out, and no longer.
        let started = Instant::now();
        assert_put_off(&fleet.ask(instance, &expired).await);
        assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
        fleet.ask(instance, &good).await.assert_status(200);
    }
    for instance in [0, 1] {
        // A load balancer is told, and sends traffic all the same. To find that out takes some operations.
        for _ in 0..3 {
            assert_put_off(&fleet.ask(instance, &expired).await);
        }
        fleet.is(instance, "degraded: the shared store is out of reach").await;
        let started = Instant::now();
        for _ in 0..20 {
            assert_put_off(&fleet.ask(instance, &expired).await);
            fleet.ask(instance, &good).await.assert_status(200);
        }
        assert!(started.elapsed() < Duration::from_secs(2), "nothing is waited for: {:?}", started.elapsed());
    }
    assert_eq!(fleet.issuer.token_requests(), 0, "nothing was spent");
    returns.await;
    for instance in [0, 1] {
        fleet.is(instance, "ready").await;
    }
    let answers = join_all([0, 1, 0, 1].map(|instance| fleet.ask(instance, &expired))).await;
    for answer in &answers {
        assert_renewed(answer.assert_status(200));
    }
    assert_eq!(fleet.issuer.token_requests(), 1);
}

#[tokio::test]
async fn a_store_that_hangs_puts_renewals_off_until_it_goes_on() {
    let Some(redis) = Redis::start("a store that hangs").await else { return };
    let fleet = Troubled::start(&quick(&redis)).await;
    fleet.is(0, "ready").await;
    redis.signal("STOP").await;
    goes_away_and_comes_back(&fleet, redis.signal("CONT")).await;
}

#[tokio::test]
async fn a_store_that_dies_puts_renewals_off_until_it_is_started_again() {
    let Some(mut redis) = Redis::start("a store that dies").await else { return };
    let fleet = Troubled::start(&quick(&redis)).await;
    redis.kill().await;
    goes_away_and_comes_back(&fleet, redis.restart()).await;
}

#[tokio::test]
async fn a_store_that_has_become_a_replica_is_as_good_as_none_until_it_takes_writes_again() {
    let Some(redis) = Redis::start("a store that is read only").await else { return };
    let fleet = Troubled::start(&quick(&redis)).await;
    redis.command(&["REPLICAOF", "127.0.0.1", "1"]).await;
    goes_away_and_comes_back(&fleet, async {
        redis.command(&["REPLICAOF", "NO", "ONE"]).await;
    })
    .await;
}

#[tokio::test]
async fn a_store_that_is_full_and_evicts_nothing_puts_renewals_off_until_there_is_room() {
    let Some(redis) = Redis::start("a store that is full").await else { return };
    let fleet = Troubled::start(&quick(&redis)).await;
    // So that both are connected: a full store takes no new instances either.
    for instance in [0, 1] {
        fleet.is(instance, "ready").await;
    }
    redis.command(&["CONFIG", "SET", "maxmemory", "1"]).await;
    goes_away_and_comes_back(&fleet, async {
        redis.command(&["CONFIG", "SET", "maxmemory", "0"]).await;
    })
    .await;
}

#[tokio::test]
async fn what_somebody_else_puts_under_a_key_concerns_nobody_but_whose_key_it_is() {
    let Some(redis) = Redis::start("strange values in the store").await else { return };
    let fleet = Troubled::start(&format!("url: '{}'", redis.url())).await;
    // The records are lost with the key. This issuer gives its answer once more.
    fleet.issuer.forgive_reuse();
    let old = fleet.expired();
    assert_renewed(fleet.ask(0, &old).await.assert_status(200));
    let before = connections(&redis).await;
    let no_text = "for _, key in ipairs(redis.call('KEYS', 'usher:*:*')) do \
                   redis.call('SET', key, string.rep(string.char(255), 40)) end";
    for instance in [0, 1] {
        redis.command(&["EVAL", no_text, "0"]).await;
        assert_renewed(fleet.ask(instance, &old).await.assert_status(200));
    }
    let no_string = "for _, key in ipairs(redis.call('KEYS', 'usher:*:*')) do \
                     redis.call('DEL', key) redis.call('RPUSH', key, '1') end";
    redis.command(&["EVAL", no_string, "0"]).await;
    for _ in 0..4 {
        assert_put_off(&fleet.ask(0, &old).await);
        assert_renewed(fleet.ask(0, &fleet.expired()).await.assert_status(200));
    }
    // Whoever asked the server by hand connected for that.
    let by_hand = 4;
    assert_eq!(connections(&redis).await - before, by_hand, "nobody has given up a connection");
}

/// How many connections a server has seen.
async fn connections(redis: &Redis) -> u64 {
    let statistics = redis.command(&["INFO", "stats"]).await;
    let seen = statistics.lines().find_map(|line| line.trim().strip_prefix("total_connections_received:"));
    seen.unwrap().parse().unwrap()
}

#[tokio::test]
async fn an_instance_that_starts_without_its_store_serves_who_needs_no_renewal() {
    let Some(mut redis) = Redis::start("a store that is not there yet").await else { return };
    redis.kill().await;
    let fleet = Troubled::start(&quick(&redis)).await;
    goes_away_and_comes_back(&fleet, redis.restart()).await;
}

#[tokio::test]
async fn a_store_that_forgets_everything_loses_no_renewal_under_way_and_none_of_the_new_cookies() {
    let Some(redis) = Redis::start("a store that is flushed").await else { return };
    let fleet = Troubled::start(&quick(&redis)).await;
    let old = fleet.expired();
    fleet.issuer.hold();
    let (first, ()) = tokio::join!(fleet.ask(0, &old), async {
        fleet.is_asked(1).await;
        redis.command(&["FLUSHALL"]).await;
        fleet.issuer.release();
    });
    assert_renewed(first.assert_status(200));
    assert_renewed(fleet.ask(1, &old).await.assert_status(200));
    assert_eq!((fleet.issuer.token_requests(), fleet.issuer.reuses()), (1, 0));
    let mut new = old.clone();
    new.take(&first.headers);
    redis.command(&["FLUSHALL"]).await;
    fleet.ask(1, &new).await.assert_status(200);
    // Who comes with the old cookies now has to sign in: nobody knows any more that they are spent.
    assert!(fleet.ask(1, &old).await.assert_status(401).set_cookies().iter().all(SetCookie::clears));
}

#[tokio::test]
async fn an_outcome_that_cannot_be_recorded_is_served_where_it_was_obtained_and_recorded_later() {
    let Some(redis) = Redis::start("a store that goes away during a renewal").await else { return };
    let fleet = Troubled::start(&quick(&redis)).await;
    let old = fleet.expired();
    fleet.issuer.hold();
    let (first, ()) = tokio::join!(fleet.ask(0, &old), async {
        fleet.is_asked(1).await;
        redis.signal("STOP").await;
        fleet.issuer.release();
    });
    assert_renewed(first.assert_status(200));
    assert_renewed(fleet.ask(0, &old).await.assert_status(200));
    assert_put_off(&fleet.ask(1, &old).await);
    // For longer than a lease: the other instance must not conclude that this one has died.
    tokio::time::sleep(Duration::from_secs(4)).await;
    redis.signal("CONT").await;
    fleet.is(1, "ready").await;
    assert_renewed(fleet.ask(1, &old).await.assert_status(200));
    assert_eq!((fleet.issuer.token_requests(), fleet.issuer.reuses()), (1, 0));
}

#[tokio::test]
async fn a_slow_renewal_is_not_taken_over_and_its_waiters_are_woken_everywhere() {
    let Some(redis) = Redis::start("a renewal that is slower than a lease").await else { return };
    let fleet = Troubled::start(&quick(&redis)).await;
    let old = fleet.expired();
    fleet.issuer.hold();
    let leader = fleet.ask(0, &old);
    let rest = async {
        fleet.is_asked(1).await;
        tokio::time::sleep(Duration::from_secs(4)).await;
        let waiter = fleet.ask(1, &old);
        let release = async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            fleet.issuer.release();
            Instant::now()
        };
        let (answer, released) = tokio::join!(waiter, release);
        (answer, released.elapsed())
    };
    let (first, (second, woken)) = tokio::join!(leader, rest);
    assert_renewed(first.assert_status(200));
    assert_renewed(second.assert_status(200));
    println!("a waiter on another instance had its answer {woken:?} after the issuer answered");
    assert!(woken < Duration::from_secs(1), "{woken:?}");
    assert_eq!(fleet.issuer.token_requests(), 1);
}

#[tokio::test]
async fn a_sign_out_on_one_instance_ends_renewals_on_all_even_when_the_store_was_away() {
    let Some(redis) = Redis::start("a sign-out in a fleet").await else { return };
    let fleet = Troubled::start(&quick(&redis)).await;
    for away in [false, true] {
        let old = fleet.expired();
        if away {
            redis.signal("STOP").await;
        }
        let ask = post("https://app.test/.usher/sign-out").header("origin", "https://app.test").cookies(&old);
        fleet.instances[0].client().send(ask).await.assert_status(204);
        if away {
            redis.signal("CONT").await;
            fleet.is(0, "ready").await;
            // Instance 0 tells the store as soon as it can.
            let told = Instant::now();
            while redis.command(&["KEYS", "usher:renewal:*"]).await.lines().count() < 2 {
                assert!(told.elapsed() < PATIENCE, "it is told");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        fleet.ask(1, &old).await.assert_status(401);
        assert_eq!(fleet.issuer.token_requests(), 0);
    }
}

async fn ask_process(processes: &Processes, instance: usize, jar: &Jar) -> Option<Answer> {
    processes.instances[instance].client().try_send(get("https://app.test/x").cookies(jar)).await
}

#[tokio::test]
async fn whoever_is_killed_while_it_leads_the_others_go_on_within_five_seconds() {
    let Some(redis) = Redis::start("an instance that is killed").await else { return };
    let processes = Processes::start(3, &redis.url()).await;
    let old = processes.expired();
    processes.issuer.hold();
    let leader = ask_process(&processes, 0, &old);
    let others = async {
        eventually("the issuer is asked", || processes.issuer.token_requests() == 1).await;
        let waiting = join_all((0..20).map(|n| ask_process(&processes, 1 + n % 2, &old)));
        let kill = async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            processes.instances[0].usher.signal("KILL").await;
            let killed = Instant::now();
            eventually("another takes over", || processes.issuer.token_requests() == 2).await;
            processes.issuer.release();
            killed
        };
        let (answers, killed) = tokio::join!(waiting, kill);
        (answers, killed.elapsed())
    };
    let (lost, (answers, took)) = tokio::join!(leader, others);
    assert!(lost.is_none());
    for answer in answers {
        assert_renewed(answer.expect("it is served").assert_status(200));
    }
    println!("the others went on {took:?} after the leader was killed");
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert_eq!((processes.issuer.token_requests(), processes.issuer.reuses()), (2, 0));
}

#[tokio::test]
async fn an_instance_killed_at_any_moment_takes_no_session_with_it() {
    let Some(redis) = Redis::start("instances that are killed at random").await else { return };
    let rounds = if crate::harness::long() { 40 } else { 3 };
    let mut processes = Processes::start(2, &redis.url()).await;
    // Where an answer dies with who asked for it, this issuer gives it once more: then nothing at all may be lost.
    processes.issuer.forgive_reuse();
    for round in 0..rounds {
        let old = processes.expired();
        processes.issuer.delay(Duration::from_millis(10));
        let asked = processes.issuer.token_requests();
        let doomed = ask_process(&processes, 0, &old);
        let kill = async {
            tokio::time::sleep(Duration::from_millis(3 + 17 * round % 61)).await;
            processes.instances[0].usher.signal("KILL").await;
        };
        tokio::join!(doomed, kill);
        let started = Instant::now();
        let answer = ask_process(&processes, 1, &old).await.expect("the other one lives");
        assert_renewed(answer.assert_status(200));
        assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
        assert!(processes.issuer.token_requests() - asked <= 2);
        let fresh = processes.another().await;
        processes.instances[0] = fresh;
    }
}

#[tokio::test]
async fn whoever_is_stopped_while_it_leads_is_fenced_when_it_wakes_up() {
    let Some(redis) = Redis::start("an instance that is stopped").await else { return };
    let processes = Processes::start(2, &redis.url()).await;
    processes.issuer.forgive_reuse();
    let old = processes.expired();
    processes.issuer.hold();
    let stopped = ask_process(&processes, 0, &old);
    let other = async {
        eventually("the issuer is asked", || processes.issuer.token_requests() == 1).await;
        processes.instances[0].usher.signal("STOP").await;
        let release = async {
            eventually("the other takes over", || processes.issuer.token_requests() == 2).await;
            processes.issuer.release();
        };
        let (answer, ()) = tokio::join!(ask_process(&processes, 1, &old), release);
        processes.instances[0].usher.signal("CONT").await;
        answer
    };
    let (_, answer) = tokio::join!(stopped, other);
    assert_renewed(answer.unwrap().assert_status(200));
    processes.instances[0].usher.says("longer than its lease").await;
    for instance in [0, 1] {
        assert_renewed(ask_process(&processes, instance, &old).await.unwrap().assert_status(200));
    }
    assert_eq!(processes.issuer.token_requests(), 2);
}

/// Stops the first instance, has the other one renew these cookies, and lets the first go on until it has heard of that.
async fn take_over(processes: &Processes, old: &Jar, while_stopped: impl FnOnce()) {
    let [stopped, other] = [0, 1].map(|instance| &processes.instances[instance]);
    stopped.usher.stop().await;
    while_stopped();
    let answer = other.client().send(get("https://app.test/x").cookies(old)).await;
    assert_renewed(answer.assert_status(200));
    stopped.usher.signal("CONT").await;
    stopped.usher.says("longer than its lease").await;
}

#[tokio::test]
async fn whoever_was_stopped_does_not_repeat_its_lost_request_when_others_have_spent_the_token() {
    let Some(redis) = Redis::start("an instance that is stopped and loses its request").await else { return };
    let processes = Processes::start(2, &redis.url()).await;
    let old = processes.expired();
    processes.issuer.hold();
    let other = async {
        eventually("the issuer is asked", || processes.issuer.token_requests() == 1).await;
        let restart = || {
            processes.issuer.next([TokenAnswer::Hangup]);
            processes.issuer.release();
        };
        take_over(&processes, &old, restart).await;
    };
    tokio::join!(ask_process(&processes, 0, &old), other);
    assert_eq!((processes.issuer.token_requests(), processes.issuer.reuses()), (2, 0));
    for instance in [0, 1] {
        assert_renewed(ask_process(&processes, instance, &old).await.unwrap().assert_status(200));
    }
}

/// So many are with an issuer at once.
const PLACES: usize = 32;

#[tokio::test]
async fn whoever_was_stopped_before_its_turn_at_the_issuer_does_not_send_what_others_have_spent() {
    let Some(redis) = Redis::start("an instance that is stopped before it asks").await else { return };
    let processes = Processes::patient(2, &redis.url()).await;
    processes.issuer.hold();
    let (before, old) = ((0..PLACES).map(|_| processes.expired()).collect::<Vec<_>>(), processes.expired());
    let inside = join_all(before.iter().map(|jar| ask_process(&processes, 0, jar)));
    let other = async {
        eventually("the issuer is asked", || processes.issuer.token_requests() == PLACES).await;
        let queued = async {
            let claimed = Instant::now();
            while redis.command(&["KEYS", "usher:renewal:*"]).await.lines().count() <= PLACES {
                assert!(claimed.elapsed() < PATIENCE, "the token is claimed");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            take_over(&processes, &old, || processes.issuer.release()).await;
        };
        tokio::join!(ask_process(&processes, 0, &old), queued);
    };
    tokio::join!(inside, other);
    assert_eq!((processes.issuer.token_requests(), processes.issuer.reuses()), (PLACES + 1, 0));
    for instance in [0, 1] {
        assert_renewed(ask_process(&processes, instance, &old).await.unwrap().assert_status(200));
    }
}

#[tokio::test]
async fn an_answer_of_the_issuer_that_was_lost_is_asked_for_once_more_by_the_fleet() {
    let Some(redis) = Redis::start("an issuer that hangs up").await else { return };
    let fleet = Troubled::start(&quick(&redis)).await;
    fleet.issuer.forgive_reuse();
    fleet.issuer.next([TokenAnswer::RotateThenHangup]);
    let old = fleet.expired();
    let answers = join_all((0..20).map(|n| fleet.ask(n % 2, &old))).await;
    for answer in &answers {
        assert_renewed(answer.assert_status(200));
    }
    assert_eq!(fleet.issuer.token_requests(), 2);
}
