//! The protocol over two instances that share a server, under every interleaving: with messages and answers that are lost, a
//! server that goes away, and an instance that dies at any step, or is stopped there and goes on much later.

use std::time::Duration;

use shuttle::future::{JoinHandle, block_on, spawn};
use shuttle::rand::{Rng, thread_rng};
use shuttle::scheduler::{PctScheduler, RandomScheduler};
use shuttle::{Config, Runner};

use super::fake::{Trouble, World, presented};
use super::model::take_a_while;
use super::{EndReason, Renewal};
use crate::oauth::RefreshToken;
use crate::session::shared::simulated::Simulated;
use crate::session::store::yield_now;

/// Longer than whoever does not say that it is alive is believed to be; shorter than anybody waits.
const A_LEASE: Duration = Duration::from_secs(3);
const TABS: usize = 2;

type Tab = JoinHandle<Renewal<super::fake::FakeAccess>>;

fn fleet() -> ([World; 2], Simulated) {
    World::fleet(|work| drop(spawn(work)))
}

fn open_tabs(world: &World, token: &RefreshToken) -> Vec<Tab> {
    let tab = |_| {
        let (world, token) = (world.clone(), token.clone());
        spawn(async move { world.background.run(world.renewals.renew(&presented(&token), &mut false)).await })
    };
    (0..TABS).map(tab).collect()
}

fn successor<T>(renewal: Renewal<T>) -> Option<RefreshToken> {
    renewal.into_renewed().map(|renewed| renewed.refresh_token.clone())
}

/// Fewer than for one instance: each has many more steps.
const SCHEDULES: usize = 500;

/// A step on a sheet, deep in a renewal, takes more than the usual stack where nothing is optimised.
fn roomy() -> Config {
    let mut config = Config::default();
    config.stack_size = 256 << 10;
    config
}

fn explore(test: fn()) {
    Runner::new(RandomScheduler::new(SCHEDULES), roomy()).run(test);
    Runner::new(PctScheduler::new(3, SCHEDULES), roomy()).run(test);
}

/// Time passes only when nobody has anything else to do, which an unfair scheduler never lets us see.
fn explore_fairly(test: fn()) {
    Runner::new(RandomScheduler::new(2 * SCHEDULES), roomy()).run(test);
}

/// Time passes for everybody, while nobody is in the middle of anything.
fn pass(worlds: &[World], time: Duration) {
    worlds[0].clock.advance(time);
    for world in worlds {
        world.background.pass(time);
    }
}

async fn settle(worlds: &[World]) {
    while !worlds.iter().all(|world| world.background.is_idle()) {
        for world in worlds {
            world.background.idle().await;
        }
    }
}

/// Waits for the tabs. Whenever nothing is under way, a lease has passed.
async fn close(worlds: &[World], tabs: Vec<Tab>) -> Vec<Option<RefreshToken>> {
    let mut renewals = Vec::new();
    for mut tab in tabs {
        for _ in 0..200 {
            if tab.is_finished() {
                break;
            }
            settle(worlds).await;
            for _ in 0..200 {
                yield_now().await;
            }
            if !tab.is_finished() && worlds.iter().all(|world| world.background.is_idle()) {
                pass(worlds, A_LEASE);
            }
        }
        renewals.push(successor((&mut tab).await.unwrap()));
    }
    renewals
}

fn half_of_the_time() -> bool {
    thread_rng().gen_bool(0.5)
}

fn rarely() -> bool {
    thread_rng().gen_bool(0.05)
}

#[test]
fn all_instances_get_one_successor_by_one_request() {
    explore(|| {
        block_on(async {
            let (worlds, _) = fleet();
            let token = worlds[0].issuer.sign_in("alice");
            let tabs: Vec<_> = worlds.iter().flat_map(|world| open_tabs(world, &token)).collect();
            let mut renewals = Vec::new();
            for tab in tabs {
                renewals.push(successor(tab.await.unwrap()));
            }
            assert!(renewals.iter().all(|renewal| renewal.is_some() && *renewal == renewals[0]));
            assert_eq!(worlds[0].issuer.requests().len(), 1);
            // The next expiry: the chain is found by what came out of it.
            settle(&worlds).await;
            pass(&worlds, Duration::from_secs(301));
            let token = renewals[0].clone().unwrap();
            let tabs: Vec<_> = worlds.iter().flat_map(|world| open_tabs(world, &token)).collect();
            for tab in tabs {
                assert!(successor(tab.await.unwrap()).is_some());
            }
            assert_eq!(worlds[0].issuer.requests().len(), 2);
        });
    });
}

#[test]
fn who_waits_finds_the_outcome_even_when_nobody_tells_it() {
    explore_fairly(|| {
        block_on(async {
            let (worlds, server) = fleet();
            server.lose_messages(half_of_the_time);
            let token = worlds[0].issuer.sign_in("alice");
            let tabs: Vec<_> = worlds.iter().flat_map(|world| open_tabs(world, &token)).collect();
            let renewals = close(&worlds, tabs).await;
            assert!(renewals.iter().all(|renewal| renewal.is_some() && *renewal == renewals[0]), "{renewals:?}");
            assert_eq!(worlds[0].issuer.requests().len(), 1);
        });
    });
}

/// An instance dies at any step; what the issuer has done by then stays done.
fn one_dies(forgiving: bool) {
    block_on(async {
        let ([doomed, other], _) = fleet();
        if forgiving {
            doomed.issuer.forgive_repeats();
        }
        let token = doomed.issuer.sign_in("alice");
        let lost = open_tabs(&doomed, &token);
        take_a_while().await;
        let tabs = open_tabs(&other, &token);
        for _ in 0..thread_rng().gen_range(0..6) {
            take_a_while().await;
        }
        doomed.background.kill();
        for tab in &lost {
            tab.abort();
        }
        let mut recorded = Vec::new();
        for tab in lost {
            recorded.extend(tab.await.ok().and_then(successor));
        }
        let renewals = close(std::slice::from_ref(&other), tabs).await;
        let requests = other.issuer.requests().len();
        assert!(requests <= 2, "{requests} requests");
        if forgiving {
            assert!(renewals.iter().all(|renewal| renewal.is_some() && *renewal == renewals[0]), "{renewals:?}");
        }
        // Whoever was answered before saw what was recorded, and that is not lost.
        for successor in recorded {
            assert!(renewals.iter().all(|renewal| renewal.as_ref() == Some(&successor)), "{renewals:?}");
        }
    });
}

#[test]
fn whenever_an_instance_dies_the_others_go_on() {
    explore_fairly(|| one_dies(true));
}

#[test]
fn whenever_an_instance_dies_what_was_recorded_is_not_lost() {
    explore_fairly(|| one_dies(false));
}

/// Slowly, so that whoever leads gets to say so.
async fn let_pass(worlds: &[World], beats: usize) {
    for _ in 0..beats {
        for _ in 0..40 {
            yield_now().await;
        }
        pass(worlds, Duration::from_millis(250));
    }
}

/// An instance is stopped at any step for longer than its lease, and goes on at any step of the other. Who has been taken over
/// sends the token no more, so it is sent twice only where an answer was lost: here with the instance that was stopped.
fn one_is_stopped(trouble: Option<Trouble>) {
    block_on(async {
        let (worlds, _) = fleet();
        let [stopped, other] = &worlds;
        let token = stopped.issuer.sign_in("alice");
        stopped.issuer.trouble(trouble);
        let mut tabs = open_tabs(stopped, &token);
        for _ in 0..thread_rng().gen_range(0..6) {
            take_a_while().await;
        }
        stopped.background.stop();
        let had_rotated = stopped.issuer.has_rotated(&token);
        pass(&worlds, A_LEASE);
        tabs.extend(open_tabs(other, &token));
        let_pass(&worlds, thread_rng().gen_range(0..4)).await;
        for _ in 0..thread_rng().gen_range(0..6) {
            take_a_while().await;
        }
        stopped.background.go_on();
        for _ in 0..200 {
            if tabs.iter().all(JoinHandle::is_finished) && worlds.iter().all(|world| world.background.is_idle()) {
                break;
            }
            let_pass(&worlds, 1).await;
        }
        let mut asked_by = stopped.issuer.asked_by();
        asked_by.dedup();
        assert!([&[0][..], &[1], &[0, 1]].contains(&&asked_by[..]), "{:?}", stopped.issuer.asked_by());
        assert!(had_rotated || !stopped.issuer.has_revoked("alice"), "{:?}", stopped.issuer.asked_by());
    });
}

#[test]
fn an_instance_that_was_stopped_for_longer_than_its_lease_does_not_spend_what_others_have_spent() {
    explore_fairly(|| one_is_stopped(None));
}

#[test]
fn nor_does_it_when_its_own_request_was_lost() {
    explore_fairly(|| one_is_stopped(Some(Trouble::LoseRequest)));
}

#[test]
fn an_answer_of_the_server_that_is_lost_spends_nothing_twice() {
    explore_fairly(|| {
        block_on(async {
            let (worlds, server) = fleet();
            server.lose_answers(rarely);
            let token = worlds[0].issuer.sign_in("alice");
            let tabs: Vec<_> = worlds.iter().flat_map(|world| open_tabs(world, &token)).collect();
            for tab in tabs {
                while !tab.is_finished() {
                    let_pass(&worlds, 1).await;
                }
                // Somebody may be told to come again.
                let _renewal = tab.await.unwrap();
            }
            server.lose_answers(|| false);
            finish(&worlds, &token, 1).await;
        });
    });
}

/// After all the trouble, every instance finds the one successor, and this many requests were made.
async fn finish(worlds: &[World], token: &RefreshToken, requests: usize) {
    for _ in 0..20 {
        for _ in 0..40 {
            yield_now().await;
        }
        // Outcomes that could not be recorded are offered again.
        pass(worlds, Duration::from_millis(500));
    }
    settle(worlds).await;
    let mut successors = Vec::new();
    for world in worlds {
        let tabs = open_tabs(world, token);
        successors.extend(close(worlds, tabs).await);
    }
    assert!(successors.iter().all(|successor| successor.is_some() && *successor == successors[0]), "{successors:?}");
    assert_eq!(worlds[0].issuer.requests().len(), requests);
    assert!(!worlds[0].issuer.has_revoked("alice"));
}

/// Whenever the server goes away, and for however long.
#[test]
fn a_server_that_goes_away_costs_nobody_the_session_and_no_token_is_spent_twice() {
    explore_fairly(|| {
        block_on(async {
            let (worlds, server) = fleet();
            let token = worlds[0].issuer.sign_in("alice");
            let tabs: Vec<_> = worlds.iter().flat_map(|world| open_tabs(world, &token)).collect();
            for _ in 0..thread_rng().gen_range(0..4) {
                take_a_while().await;
            }
            server.leave();
            for _ in 0..60 {
                yield_now().await;
            }
            pass(&worlds, 2 * A_LEASE);
            let mut answered = Vec::new();
            for tab in tabs {
                answered.extend(successor(tab.await.unwrap()));
            }
            server.return_again();
            finish(&worlds, &token, 1).await;
            let now = worlds[1].renew(&token).await;
            assert!(answered.into_iter().all(|successor| Some(successor) == now));
        });
    });
}

#[test]
fn a_sign_out_on_one_instance_wins_over_a_renewal_on_another() {
    explore(|| {
        block_on(async {
            let (worlds, _) = fleet();
            let token = worlds[0].issuer.sign_in("alice");
            let tabs = open_tabs(&worlds[0], &token);
            take_a_while().await;
            worlds[1].renewals.end(&presented(&token)).await;
            settle(&worlds).await;
            for tab in tabs {
                if let Some(successor) = successor(tab.await.unwrap()) {
                    for world in &worlds {
                        let renewal = world.renewals.renew(&presented(&successor), &mut false).await;
                        assert!(matches!(renewal, Renewal::Ended(EndReason::SignedOut)), "{renewal:?}");
                    }
                }
            }
            settle(&worlds).await;
            assert!(worlds[0].issuer.has_revoked("alice"));
            assert!(worlds[0].issuer.requests().len() <= 1);
        });
    });
}

/// Whichever answers of the server are lost, and whoever has renewed the session.
#[test]
fn a_sign_out_that_hears_nothing_from_the_server_denies_and_revokes_what_renewals_brought() {
    explore_fairly(|| {
        block_on(async {
            let (worlds, server) = fleet();
            let token = worlds[0].issuer.sign_in("alice");
            let renewal = worlds[1].renewals.renew(&presented(&token), &mut false).await;
            let renewed = renewal.into_renewed().unwrap();
            settle(&worlds).await;
            server.lose_answers(half_of_the_time);
            worlds[0].renewals.end(&presented(&token)).await;
            server.lose_answers(|| false);
            while !worlds.iter().all(|world| world.background.is_idle()) {
                for _ in 0..40 {
                    yield_now().await;
                }
                pass(&worlds, Duration::from_millis(500));
            }
            assert!(worlds[0].denied.is_denied(None, &renewed.access.text));
            let revocations = worlds[0].issuer.revocations();
            assert!(revocations.contains(&renewed.refresh_token.expose().to_owned()), "{revocations:?}");
            let renewal = worlds[1].renewals.renew(&presented(&renewed.refresh_token), &mut false).await;
            assert!(matches!(renewal, Renewal::Ended(EndReason::SignedOut)), "{renewal:?}");
        });
    });
}
