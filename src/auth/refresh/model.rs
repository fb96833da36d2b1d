//! The protocol under every interleaving that a scheduler can come up with.
//!
//! The same code as in production runs against a fake authorization server that revokes the family of a token it sees
//! twice. Every operation of the store, every request to the server and every verification lets everybody else run before
//! and after, and shuttle chooses who. Each test explores thousands of schedules; a failing one prints how to replay it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use shuttle::future::{block_on, spawn};
use shuttle::rand::{Rng, thread_rng};

use super::fake::{POLICY, Trouble, World, presented};
use super::{EndReason, PresentedRefresh, Renewal};
use crate::oauth::RefreshToken;
use crate::session::store::yield_now;
use crate::session::{SessionId, Store};

const SCHEDULES: usize = 2_000;
const TABS: usize = 4;

fn world(hurry: fn() -> bool) -> World {
    World::new(Store::Distant, |work| drop(spawn(work)), hurry)
}

fn patient() -> World {
    world(|| false)
}

/// So many requests at once, each with the same token; what became of them.
async fn renew_at_once(world: &World, token: &RefreshToken, requests: usize) -> Vec<Option<RefreshToken>> {
    let mut tasks = Vec::new();
    for _ in 0..requests {
        let (world, token) = (world.clone(), token.clone());
        tasks.push(spawn(async move { world.renew(&token).await }));
    }
    let mut renewals = Vec::new();
    for task in tasks {
        renewals.push(task.await.unwrap());
    }
    renewals
}

/// Explores schedules chosen at random, and such that prefer rare orders.
fn explore(test: fn()) {
    shuttle::check_random(test, SCHEDULES);
    shuttle::check_pct(test, SCHEDULES, 3);
}

pub(super) async fn take_a_while() {
    for _ in 0..thread_rng().gen_range(0..8) {
        yield_now().await;
    }
}

fn now_and_then() -> bool {
    thread_rng().gen_bool(0.3)
}

#[test]
fn all_who_present_one_token_get_one_successor_by_one_request() {
    explore(|| {
        block_on(async {
            let world = patient();
            let token = world.issuer.sign_in("alice");
            let renewals = renew_at_once(&world, &token, TABS).await;
            assert!(renewals.iter().all(|renewal| renewal.is_some() && *renewal == renewals[0]));
            assert_eq!(world.renew(&token).await, renewals[0]);
            assert_eq!(world.issuer.requests().len(), 1);
        });
    });
}

#[test]
fn whoever_is_cancelled_and_whenever_the_others_are_served_by_one_request() {
    explore(|| {
        block_on(async {
            let world = patient();
            let token = world.issuer.sign_in("alice");
            let mut tasks = Vec::new();
            for _ in 0..TABS {
                let (world, token) = (world.clone(), token.clone());
                tasks.push(spawn(async move { world.renew(&token).await }));
            }
            for task in tasks.iter().skip(1) {
                take_a_while().await;
                task.abort();
            }
            let mut served = Vec::new();
            for task in tasks {
                served.extend(task.await.ok());
            }
            world.background.idle().await;
            assert!(served.iter().all(|renewal| renewal.is_some() && *renewal == served[0]));
            assert_eq!(world.renew(&token).await, served[0]);
            assert_eq!(world.issuer.requests().len(), 1);
        });
    });
}

#[test]
fn the_outcome_is_there_even_when_everybody_is_gone() {
    explore(|| {
        block_on(async {
            let world = patient();
            let token = world.issuer.sign_in("alice");
            let only = spawn({
                let (world, token) = (world.clone(), token.clone());
                async move { world.renew(&token).await }
            });
            take_a_while().await;
            only.abort();
            drop(only.await);
            world.background.idle().await;
            assert!(world.renew(&token).await.is_some());
            assert_eq!(world.issuer.requests().len(), 1);
        });
    });
}

#[test]
fn whoever_runs_out_of_patience_finds_the_outcome_later() {
    explore(|| {
        block_on(async {
            let world = world(now_and_then);
            let token = world.issuer.sign_in("alice");
            let first = renew_at_once(&world, &token, TABS).await;
            world.background.idle().await;
            // Patience for a place at the gate may have run out too; then the token was not sent, and rests a while.
            world.clock.advance(Duration::from_secs(2));
            let mut later = None;
            for _ in 0..30 {
                later = later.or(world.renew(&token).await);
                world.background.idle().await;
                world.clock.advance(Duration::from_secs(2));
            }
            assert!(later.is_some());
            assert!(first.into_iter().flatten().all(|token| Some(token) == later));
            assert_eq!(world.issuer.requests().len(), 1);
        });
    });
}

#[test]
fn a_lost_request_is_sent_once_more_and_nobody_is_lost_with_it() {
    explore(|| {
        block_on(async {
            let world = patient();
            let token = world.issuer.sign_in("alice");
            world.issuer.trouble([Trouble::LoseRequest]);
            let renewals = renew_at_once(&world, &token, TABS).await;
            assert!(renewals.iter().all(|renewal| renewal.is_some() && *renewal == renewals[0]));
            assert_eq!(world.issuer.requests().len(), 2);
        });
    });
}

#[test]
fn a_lost_answer_is_asked_for_once_more_by_nobody_but_the_leader() {
    explore(|| {
        block_on(async {
            let world = patient();
            world.issuer.forgive_repeats();
            let token = world.issuer.sign_in("alice");
            world.issuer.trouble([Trouble::LoseAnswer]);
            let renewals = renew_at_once(&world, &token, TABS).await;
            assert!(renewals.iter().all(|renewal| renewal.is_some() && *renewal == renewals[0]));
            assert_eq!(world.issuer.requests(), vec![token.expose(); 2]);
        });
    });
}

#[test]
fn a_failing_issuer_costs_one_request_and_no_session() {
    explore(|| {
        block_on(async {
            let world = patient();
            let token = world.issuer.sign_in("alice");
            world.issuer.trouble([Trouble::Answered(None)]);
            assert_eq!(renew_at_once(&world, &token, TABS).await, vec![None; TABS]);
            assert_eq!(world.issuer.requests().len(), 1);
            world.clock.advance(Duration::from_secs(2));
            assert!(world.renew(&token).await.is_some());
        });
    });
}

#[test]
fn users_and_issuers_do_not_mix() {
    explore(|| {
        block_on(async {
            let world = patient();
            let (alice, bob) = (world.issuer.sign_in("alice"), world.issuer.sign_in("bob"));
            let mut tasks = Vec::new();
            for (token, subject) in [(&alice, "alice"), (&bob, "bob"), (&alice, "alice"), (&bob, "bob")] {
                let (world, token) = (world.clone(), token.clone());
                tasks.push(spawn(async move {
                    let Renewal::Renewed(renewed) = world.renewals.renew(&presented(&token), &mut false).await else {
                        panic!()
                    };
                    assert!(renewed.access.text.contains(subject) && renewed.refresh_token.expose().contains(subject));
                }));
            }
            for task in tasks {
                task.await.unwrap();
            }
            assert_eq!(world.issuer.requests().len(), 2);
        });
    });
}

/// A browser: one cookie jar, several tabs whose requests take what is in it when they start, and whose answers put in
/// what they carry when they arrive, if they do.
#[test]
fn a_browser_with_many_tabs_and_lost_answers_is_never_signed_out() {
    explore(|| {
        block_on(async {
            let world = patient();
            let jar = Arc::new(Mutex::new(world.issuer.sign_in("alice")));
            for expiry in 1..=3 {
                let mut tabs = Vec::new();
                for _ in 0..3 {
                    let (world, jar) = (world.clone(), Arc::clone(&jar));
                    tabs.push(spawn(async move {
                        take_a_while().await;
                        let cookie = jar.lock().unwrap().clone();
                        let renewed = world.renew(&cookie).await;
                        take_a_while().await;
                        let arrives = thread_rng().gen_bool(0.5);
                        if let Some(newer) = renewed.clone().filter(|_| arrives) {
                            *jar.lock().unwrap() = newer;
                        }
                        renewed
                    }));
                }
                for tab in tabs {
                    assert!(tab.await.unwrap().is_some());
                }
                assert_eq!(world.issuer.requests().len(), expiry);
                world.clock.advance(Duration::from_secs(301));
            }
            assert!(!world.issuer.has_revoked("alice"));
        });
    });
}

/// Whatever a renewal under way produces after the sign-out, nothing of it is good for anything.
fn signed_out_in_flight(session: Option<SessionId>, troubles: &[Trouble]) {
    block_on(async {
        let world = patient();
        world.issuer.trouble(troubles.iter().cloned());
        let token = world.issuer.sign_in("alice");
        let shown = PresentedRefresh { session, ..presented(&token) };
        let mut tabs = Vec::new();
        for _ in 0..3 {
            let (world, shown) = (world.clone(), shown.clone());
            tabs.push(spawn(async move { world.renewals.renew(&shown, &mut false).await }));
        }
        take_a_while().await;
        world.renewals.end(&shown).await;
        let renewal = world.renewals.renew(&shown, &mut false).await;
        assert!(matches!(renewal, Renewal::Ended(EndReason::SignedOut)));
        world.background.idle().await;
        for tab in tabs {
            if let Renewal::Renewed(renewed) = tab.await.unwrap() {
                assert!(world.denied.is_denied(session, &renewed.access.text));
                let successor = PresentedRefresh { token: renewed.refresh_token.clone(), ..shown.clone() };
                let renewal = world.renewals.renew(&successor, &mut false).await;
                assert!(matches!(renewal, Renewal::Ended(EndReason::SignedOut)));
            }
        }
        assert!(world.issuer.has_revoked("alice"));
        assert!(world.issuer.requests().len() <= 1);
    });
}

#[test]
fn sign_out_wins_over_a_renewal_in_flight() {
    explore(|| signed_out_in_flight(None, &[]));
}

#[test]
fn sign_out_of_a_named_session_wins_over_a_renewal_in_flight() {
    explore(|| signed_out_in_flight(Some(SessionId([7; 16])), &[]));
}

#[test]
fn sign_out_wins_over_a_renewal_that_fails() {
    explore(|| signed_out_in_flight(None, &[Trouble::Answered(None)]));
}

#[test]
fn a_thief_who_comes_late_ends_the_session_even_while_it_is_being_renewed() {
    explore(|| {
        block_on(async {
            let world = patient();
            let stolen = world.issuer.sign_in("alice");
            let current = world.renew(&stolen).await.unwrap();
            world.clock.advance(Duration::from_secs(301));
            world.renewals.note_presented(presented(&current).issuer, &current).await;
            world.clock.advance(POLICY.grace);
            let victim = spawn({
                let (world, current) = (world.clone(), current.clone());
                async move { world.renewals.renew(&presented(&current), &mut false).await }
            });
            take_a_while().await;
            let theft = world.renewals.renew(&presented(&stolen), &mut false).await;
            assert!(matches!(theft, Renewal::Ended(EndReason::Reused)));
            world.background.idle().await;
            if let Renewal::Renewed(renewed) = victim.await.unwrap() {
                assert!(world.denied.is_denied(None, &renewed.access.text));
                assert_eq!(world.renew(&renewed.refresh_token).await, None);
            }
            assert_eq!(world.renew(&current).await, None);
            assert!(world.issuer.has_revoked("alice"));
            assert!(!world.issuer.requests()[1..].contains(&stolen.expose().to_owned()));
        });
    });
}
