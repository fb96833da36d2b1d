//! The invariants of the protocol, one by one.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt;

use super::fake::{FakeAccess, FakeBackground, POLICY, Trouble, Work, World, presented, settings};
use super::{EndReason, PresentedRefresh, Renewal, Renewed, Settings};
use crate::config::{IssuerId, OnReuse};
use crate::oauth::RefreshToken;
use crate::session::{SessionId, Store};

const EXPIRY: Duration = Duration::from_secs(301);

fn spawn(work: Work) {
    drop(tokio::spawn(work));
}

fn world() -> World {
    World::new(Store::Memory, spawn, || false)
}

fn world_with(change: impl FnOnce(&mut Settings)) -> World {
    let mut settings = settings();
    change(&mut settings);
    World::with(settings, Store::Memory, FakeBackground::new(spawn, || false))
}

/// One request with a session in its cookies that is beyond its first expiry: what it presents, and what was spent for it.
async fn renewed_once(world: &World) -> (RefreshToken, RefreshToken) {
    let spent = world.issuer.sign_in("alice");
    let successor = world.renew(&spent).await.unwrap();
    (spent, successor)
}

/// What was recorded for a spent token, while it may still be handed out.
async fn recorded(world: &World, token: &RefreshToken) -> Arc<Renewed<FakeAccess>> {
    world.renewals.renew(&presented(token), &mut false).await.into_renewed().unwrap()
}

async fn present(world: &World, token: &RefreshToken) {
    world.renewals.note_presented(IssuerId(0), token).await;
}

async fn ended(world: &World, token: &RefreshToken) -> Option<EndReason> {
    match world.renewals.renew(&presented(token), &mut false).await {
        Renewal::Ended(reason) => Some(reason),
        Renewal::Renewed(_) | Renewal::Unavailable { .. } | Renewal::StoreAway { .. } => None,
    }
}

async fn unavailable(world: &World, token: &RefreshToken) -> Option<Duration> {
    match world.renewals.renew(&presented(token), &mut false).await {
        Renewal::Unavailable { retry_after } => Some(retry_after),
        Renewal::Renewed(_) | Renewal::Ended(_) | Renewal::StoreAway { .. } => None,
    }
}

#[tokio::test]
async fn r1_a_thousand_requests_with_one_token_make_one_token_request() {
    let world = world();
    let token = world.issuer.sign_in("alice");
    let renewals = futures_util::future::join_all((0..1_000).map(|_| world.renew(&token))).await;
    assert!(renewals.iter().all(|renewal| renewal.is_some() && *renewal == renewals[0]));
    assert_eq!(world.issuer.requests().len(), 1);
}

#[tokio::test]
async fn r1_a_request_without_answer_is_sent_once_more_and_not_a_third_time() {
    let world = world();
    let token = world.issuer.sign_in("alice");
    world.issuer.trouble([Trouble::LoseRequest, Trouble::LoseRequest, Trouble::LoseRequest]);
    assert!(unavailable(&world, &token).await.is_some());
    assert_eq!(world.issuer.requests().len(), 2);
    // The retry is used up: after the rest it is one request again.
    world.clock.advance(Duration::from_secs(1));
    assert!(unavailable(&world, &token).await.is_some());
    assert_eq!(world.issuer.requests().len(), 3);
    world.clock.advance(Duration::from_secs(2));
    assert!(world.renew(&token).await.is_some());
}

#[tokio::test]
async fn r1_an_answered_request_and_one_that_never_left_are_not_repeated() {
    for trouble in [Trouble::Answered(None), Trouble::NoConnection] {
        let world = world();
        let token = world.issuer.sign_in("alice");
        world.issuer.trouble([trouble]);
        assert!(unavailable(&world, &token).await.is_some());
        assert_eq!(world.issuer.requests().len(), 1);
    }
}

#[tokio::test]
async fn r2_the_renewal_goes_on_when_the_client_is_gone() {
    let world = world();
    let token = world.issuer.sign_in("alice");
    assert!(world.renew(&token).now_or_never().is_none());
    world.background.idle().await;
    assert!(world.renew(&token).await.is_some());
    assert_eq!(world.issuer.requests().len(), 1);
}

#[tokio::test]
async fn r2_a_panic_in_a_renewal_leaves_the_session_alone() {
    for trouble in [Trouble::Panic, Trouble::PanicOverAnswer] {
        let world = world();
        let token = world.issuer.sign_in("alice");
        world.issuer.trouble([trouble]);
        assert!(unavailable(&world, &token).await.is_some());
        world.clock.advance(Duration::from_secs(1));
        assert!(world.renew(&token).await.is_some());
    }
}

#[tokio::test]
async fn r3_a_lost_outcome_is_found_for_as_long_as_nobody_presents_the_successor() {
    let world = world();
    let (spent, successor) = renewed_once(&world).await;
    world.clock.advance(Duration::from_secs(200));
    assert_eq!(world.renew(&spent).await, Some(successor));
    assert_eq!(world.issuer.requests().len(), 1);
}

#[tokio::test]
async fn r3_a_laptop_that_slept_over_a_lost_outcome_and_its_expiry_stays_signed_in() {
    let world = world();
    let (spent, successor) = renewed_once(&world).await;
    world.clock.advance(Duration::from_secs(8 * 3600 - 5));
    let newer = world.renew(&spent).await.unwrap();
    assert_eq!(world.issuer.requests(), [spent.expose(), successor.expose()]);
    // And the tab beside it, which has the token in between, finds the same.
    assert_eq!(world.renew(&successor).await, Some(newer));
}

#[tokio::test]
async fn r3_a_client_that_never_keeps_its_cookies_is_served_for_good() {
    let world = world();
    let token = world.issuer.sign_in("alice");
    for expiry in 1..=200 {
        assert!(world.renew(&token).await.is_some());
        assert!(world.renew(&token).await.is_some());
        assert_eq!(world.issuer.requests().len(), expiry);
        world.clock.advance(EXPIRY);
    }
}

#[tokio::test]
async fn r3_an_outcome_that_nobody_comes_for_is_forgotten_after_the_idle_time_out() {
    let world = world();
    let (spent, _) = renewed_once(&world).await;
    world.clock.advance(POLICY.idle);
    assert_eq!(ended(&world, &spent).await, Some(EndReason::Forgotten));
    assert_eq!(world.issuer.requests().len(), 1);
}

#[tokio::test]
async fn r3_the_grace_begins_when_the_successor_is_first_presented() {
    let world = world();
    let (spent, successor) = renewed_once(&world).await;
    world.clock.advance(Duration::from_secs(1_000));
    present(&world, &successor).await;
    world.clock.advance(Duration::from_secs(59));
    present(&world, &successor).await;
    assert!(world.renew(&spent).await.is_some());
    world.clock.advance(Duration::from_secs(1));
    assert_eq!(ended(&world, &spent).await, Some(EndReason::Reused));
}

#[tokio::test]
async fn r3_a_successor_far_down_the_chain_shows_that_everything_before_it_arrived() {
    let world = world();
    let (first, second) = renewed_once(&world).await;
    world.clock.advance(EXPIRY);
    let third = world.renew(&first).await.unwrap();
    present(&world, &third).await;
    world.clock.advance(POLICY.grace);
    assert_eq!(ended(&world, &second).await, Some(EndReason::Reused));
    assert_eq!(ended(&world, &first).await, Some(EndReason::Reused));
}

#[tokio::test]
async fn r4_late_comers_get_the_newest_outcome_of_the_chain() {
    let world = world();
    let (first, second) = renewed_once(&world).await;
    let at_hand = recorded(&world, &first).await;
    world.clock.advance(EXPIRY);
    let third = world.renew(&second).await.unwrap();
    assert_eq!(world.renew(&first).await, Some(third.clone()));
    assert_eq!(world.renewals.newest(&presented(&first), &at_hand).await.unwrap().refresh_token, third);
}

#[tokio::test]
async fn r9_an_answer_that_took_long_brings_the_newest_refresh_token_whatever_became_of_the_rest() {
    let world = world();
    let (first, second) = renewed_once(&world).await;
    let at_hand = recorded(&world, &first).await;
    let newest = async || world.renewals.newest(&presented(&first), &at_hand).await;
    assert_eq!(newest().await.unwrap().refresh_token, second);
    world.clock.advance(EXPIRY);
    let third = world.renew(&second).await.unwrap();
    present(&world, &third).await;
    // Out of grace, and without an access token that is good.
    world.clock.advance(EXPIRY);
    assert_eq!(newest().await.unwrap().refresh_token, third);
    world.renewals.end(&presented(&third)).await;
    assert!(newest().await.is_none(), "the session has ended");
}

#[tokio::test]
async fn r5_the_same_token_text_at_two_issuers_is_two_tokens() {
    let world = world();
    let token = world.issuer.sign_in("alice");
    let elsewhere = PresentedRefresh { issuer: IssuerId(1), ..presented(&token) };
    assert!(world.renew(&token).await.is_some());
    drop(world.renewals.renew(&elsewhere, &mut false).await);
    assert_eq!(world.issuer.requests().len(), 2);
}

#[tokio::test]
async fn r6_only_a_refusal_ends_a_session_and_it_is_remembered() {
    let world = world();
    let token = world.issuer.sign_in("alice");
    world.issuer.trouble([Trouble::Reject]);
    for _ in 0..3 {
        assert_eq!(ended(&world, &token).await, Some(EndReason::Rejected));
        world.clock.advance(Duration::from_secs(5));
    }
    assert_eq!(world.issuer.requests().len(), 1);
}

#[tokio::test]
async fn r6_after_trouble_a_token_rests_ever_longer_and_is_good_again() {
    let world = world();
    let token = world.issuer.sign_in("alice");
    world.issuer.trouble(vec![Trouble::Answered(None); 4]);
    for seconds in [1, 2, 4, 8].map(Duration::from_secs) {
        assert!(unavailable(&world, &token).await.is_some_and(|rest| rest <= seconds && rest > seconds / 2));
        let requests = world.issuer.requests().len();
        assert!(unavailable(&world, &token).await.is_some());
        assert_eq!(world.issuer.requests().len(), requests);
        world.clock.advance(seconds);
    }
    assert!(world.renew(&token).await.is_some());
}

#[tokio::test]
async fn r6_the_issuers_retry_after_is_obeyed() {
    let world = world();
    let token = world.issuer.sign_in("alice");
    world.issuer.trouble([Trouble::Answered(Some(Duration::from_secs(100)))]);
    assert!(unavailable(&world, &token).await.is_some());
    world.clock.advance(Duration::from_secs(99));
    assert!(unavailable(&world, &token).await.is_some());
    world.clock.advance(Duration::from_secs(1));
    assert!(world.renew(&token).await.is_some());
    assert_eq!(world.issuer.requests().len(), 2);
}

#[tokio::test]
async fn r7_tokens_of_somebody_else_end_the_session_and_are_revoked() {
    let world = world();
    let token = world.issuer.sign_in("alice");
    world.issuer.trouble([Trouble::OtherSubject("mallory")]);
    let session = Some(SessionId([1; 16]));
    let shown = PresentedRefresh { subject: Some("alice".into()), session, ..presented(&token) };
    for _ in 0..2 {
        let renewal = world.renewals.renew(&shown, &mut false).await;
        assert!(matches!(renewal, Renewal::Ended(EndReason::IdentityChanged)));
    }
    world.background.idle().await;
    assert!(world.denied.is_denied(session, "any"));
    assert_eq!(world.issuer.revocations().len(), 1);
    assert_ne!(world.issuer.revocations()[0], token.expose());
}

#[tokio::test]
async fn r7_recorded_tokens_go_to_nobody_with_another_subject() {
    let world = world();
    let (spent, _) = renewed_once(&world).await;
    let shown = PresentedRefresh { subject: Some("bob".into()), ..presented(&spent) };
    assert!(matches!(world.renewals.renew(&shown, &mut false).await, Renewal::Ended(EndReason::IdentityChanged)));
    assert!(world.renew(&spent).await.is_some());
}

#[tokio::test]
async fn r7_an_answer_that_does_not_verify_keeps_the_session_by_its_successor() {
    let world = world();
    let token = world.issuer.sign_in("alice");
    world.issuer.trouble([Trouble::Unverifiable]);
    assert!(unavailable(&world, &token).await.is_some());
    assert!(unavailable(&world, &token).await.is_some());
    world.clock.advance(Duration::from_secs(1));
    assert!(world.renew(&token).await.is_some());
    let requests = world.issuer.requests();
    assert!(requests.len() == 2 && requests[0] != requests[1]);
}

#[tokio::test]
async fn r8_an_issuer_that_does_not_rotate_is_asked_once_per_expiry() {
    let world = world();
    world.issuer.stop_rotating();
    let token = world.issuer.sign_in("alice");
    for expiry in 1..=3 {
        for _ in 0..3 {
            assert_eq!(world.renew(&token).await, Some(token.clone()));
        }
        assert_eq!(world.issuer.requests().len(), expiry);
        world.clock.advance(EXPIRY);
    }
}

#[tokio::test]
async fn r8_renewing_ahead_at_an_issuer_that_does_not_rotate_is_one_request() {
    let world = world();
    world.issuer.stop_rotating();
    let token = world.issuer.sign_in("alice");
    world.renew(&token).await.unwrap();
    world.clock.advance(Duration::from_secs(280));
    for _ in 0..3 {
        assert!(world.renewals.renew_ahead(&presented(&token)).await.is_none());
    }
    world.background.idle().await;
    for _ in 0..3 {
        let renewed = world.renewals.renew_ahead(&presented(&token)).await.unwrap();
        assert!(renewed.access.text.ends_with('3'));
    }
    assert_eq!(world.issuer.requests().len(), 2);
}

#[tokio::test]
async fn r8_tokens_that_live_for_no_time_at_all_do_not_make_everybody_renew() {
    let world = world();
    world.issuer.issue_for(Duration::ZERO);
    let token = world.issuer.sign_in("alice");
    let renewals = futures_util::future::join_all((0..100).map(|_| world.renew(&token))).await;
    assert!(renewals.iter().all(Option::is_some));
    assert_eq!(world.issuer.requests().len(), 1);
}

#[tokio::test]
async fn r10_sign_out_ends_the_session_and_revokes_its_newest_token() {
    let world = world();
    let (spent, successor) = renewed_once(&world).await;
    let renewed = recorded(&world, &spent).await;
    world.renewals.end(&presented(&spent)).await;
    assert!(world.denied.is_denied(None, &renewed.access.text));
    world.background.idle().await;
    assert_eq!(world.issuer.revocations(), [successor.expose()]);
    for token in [&spent, &successor] {
        assert_eq!(ended(&world, token).await, Some(EndReason::SignedOut));
        assert!(world.renewals.renew_ahead(&presented(token)).await.is_none());
    }
    assert_eq!(world.issuer.requests().len(), 1);
}

#[tokio::test]
async fn r10_sign_out_does_not_wait_for_a_renewal_and_undoes_what_it_brings() {
    let world = world();
    let token = world.issuer.sign_in("alice");
    world.issuer.hold();
    let waiting = tokio::spawn({
        let (world, token) = (world.clone(), token.clone());
        async move { ended(&world, &token).await }
    });
    while world.issuer.requests().is_empty() {
        tokio::task::yield_now().await;
    }
    world.renewals.end(&presented(&token)).await;
    assert_eq!(waiting.await.unwrap(), Some(EndReason::SignedOut));
    assert_eq!(world.issuer.revocations().len(), 0);
    world.issuer.release();
    world.background.idle().await;
    assert!(world.denied.is_denied(None, &world.issuer.access_tokens()[0]));
    assert_eq!(world.issuer.revocations().len(), 1);
    assert_ne!(world.issuer.revocations()[0], token.expose());
    let successor = RefreshToken::new(&world.issuer.revocations()[0]);
    assert_eq!(ended(&world, &successor).await, Some(EndReason::SignedOut));
}

#[tokio::test]
async fn r10_a_revocation_that_comes_to_nothing_is_tried_again_and_not_for_ever() {
    for (refused, asked) in [(1, 2), (3, 4), (9, 4)] {
        let world = world();
        let token = world.issuer.sign_in("alice");
        world.issuer.refuse_revocations(refused);
        world.renewals.end(&presented(&token)).await;
        assert_eq!(ended(&world, &token).await, Some(EndReason::SignedOut), "whatever the issuer says");
        world.background.set_patience(false);
        world.background.idle().await;
        assert_eq!(world.issuer.revocations().len(), asked);
        assert_eq!(world.issuer.has_revoked("alice"), refused < asked);
    }
}

#[tokio::test]
async fn r10_a_token_never_seen_before_can_be_signed_out() {
    let world = world();
    let token = world.issuer.sign_in("alice");
    world.renewals.end(&presented(&token)).await;
    world.renewals.end(&presented(&token)).await;
    world.background.idle().await;
    assert_eq!(world.issuer.revocations(), [token.expose()]);
    assert_eq!(ended(&world, &token).await, Some(EndReason::SignedOut));
    assert_eq!(world.issuer.requests().len(), 0);
}

#[tokio::test]
async fn r11_renewing_ahead_never_waits_and_the_next_request_carries_the_tokens_away() {
    let world = world();
    let token = world.issuer.sign_in("alice");
    world.issuer.hold();
    for _ in 0..3 {
        assert!(world.renewals.renew_ahead(&presented(&token)).now_or_never().unwrap().is_none());
    }
    world.issuer.release();
    world.background.idle().await;
    assert!(world.renewals.renew_ahead(&presented(&token)).await.is_some());
    assert_eq!(world.issuer.requests().len(), 1);
}

#[tokio::test]
async fn r12_waiting_is_bounded_and_the_outcome_is_recorded_all_the_same() {
    let world = world();
    let token = world.issuer.sign_in("alice");
    world.issuer.hold();
    let waiting = tokio::spawn({
        let (world, token) = (world.clone(), token.clone());
        async move { unavailable(&world, &token).await }
    });
    while world.issuer.requests().is_empty() {
        tokio::task::yield_now().await;
    }
    world.background.set_patience(false);
    assert!(waiting.await.unwrap().is_some());
    world.background.set_patience(true);
    world.issuer.release();
    world.background.idle().await;
    assert!(world.renew(&token).await.is_some());
    assert_eq!(world.issuer.requests().len(), 1);
}

#[tokio::test]
async fn r12_a_stuck_issuer_gets_so_many_requests_and_others_are_served() {
    let world = world();
    world.issuer.hold();
    let waiting: Vec<_> = (0..100).map(|_| world.issuer.sign_in("crowd")).collect();
    for token in &waiting {
        assert!(world.renew(token).now_or_never().is_none());
    }
    while world.issuer.requests().len() < 32 {
        tokio::task::yield_now().await;
    }
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert_eq!(world.issuer.requests().len(), 32);
    let elsewhere = PresentedRefresh { issuer: IssuerId(1), ..presented(&world.issuer.sign_in("bob")) };
    assert!(world.renewals.renew(&elsewhere, &mut false).now_or_never().is_none());
    while world.issuer.requests().len() < 33 {
        tokio::task::yield_now().await;
    }
    world.issuer.release();
    world.background.idle().await;
    assert_eq!(world.issuer.requests().len(), 101);
}

#[tokio::test]
async fn r12_an_issuer_that_is_down_is_tried_by_one_user_at_a_time() {
    let world = world();
    world.issuer.trouble(vec![Trouble::NoConnection; 5]);
    let users: Vec<_> = (0..50).map(|_| world.issuer.sign_in("crowd")).collect();
    for user in &users {
        assert!(unavailable(&world, user).await.is_some());
    }
    assert_eq!(world.issuer.requests().len(), 5);
    world.clock.advance(Duration::from_secs(2));
    for user in &users {
        assert!(world.renew(user).await.is_some());
    }
}

#[tokio::test]
async fn r16_a_spent_token_after_the_grace_ends_the_session_everywhere() {
    let world = world();
    let (stolen, successor) = renewed_once(&world).await;
    let current = recorded(&world, &stolen).await;
    present(&world, &successor).await;
    world.clock.advance(POLICY.grace);
    assert_eq!(ended(&world, &stolen).await, Some(EndReason::Reused));
    assert!(world.denied.is_denied(None, &current.access.text));
    world.background.idle().await;
    assert_eq!(world.issuer.revocations(), [successor.expose()]);
    assert_eq!(ended(&world, &successor).await, Some(EndReason::Reused));
    assert_eq!(world.issuer.requests().len(), 1);
}

#[tokio::test]
async fn r16_reuse_beside_a_valid_access_token_is_noticed_too() {
    let world = world();
    let (stolen, successor) = renewed_once(&world).await;
    let session = Some(SessionId([1; 16]));
    let shown = |token: &RefreshToken| PresentedRefresh { session, ..presented(token) };
    present(&world, &successor).await;
    world.clock.advance(POLICY.grace);
    assert!(world.renewals.renew_ahead(&shown(&stolen)).await.is_none());
    assert!(world.denied.is_denied(session, "any"));
}

#[tokio::test]
async fn what_anybody_makes_up_and_signs_out_denies_nothing() {
    let world = world();
    let mut news = world.denied.news();
    world.renewals.end(&presented(&RefreshToken::new("made up"))).await;
    assert!(news.try_recv().is_err(), "the list is bounded, and so are those of others");
    let (spent, successor) = renewed_once(&world).await;
    let renewed = recorded(&world, &spent).await;
    world.renewals.end(&presented(&successor)).await;
    assert!(world.denied.is_denied(None, &renewed.access.text));
}

#[tokio::test]
async fn r16_where_reuse_is_only_refused_the_session_goes_on() {
    let world = world_with(|settings| settings.on_reuse = OnReuse::Refuse);
    let (stolen, successor) = renewed_once(&world).await;
    present(&world, &successor).await;
    world.clock.advance(POLICY.grace);
    assert_eq!(ended(&world, &stolen).await, Some(EndReason::Reused));
    world.clock.advance(EXPIRY);
    assert!(world.renew(&successor).await.is_some());
    assert_eq!(world.issuer.revocations().len(), 0);
}

/// Everything that is logged, as text.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn no_token_is_logged_whatever_happens() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber =
        tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(move || writer.clone()).finish();
    let guard = tracing::subscriber::set_default(subscriber);
    let world = world();
    world.issuer.trouble([
        Trouble::LoseRequest,
        Trouble::Answered(None),
        Trouble::Unverifiable,
        Trouble::OtherSubject("mallory"),
        Trouble::Reject,
        Trouble::Panic,
    ]);
    for subject in ["u1", "u2", "u3", "u4", "u5", "u6", "u7", "u8"] {
        let token = world.issuer.sign_in(subject);
        let shown = PresentedRefresh { subject: Some(subject.into()), ..presented(&token) };
        drop(world.renewals.renew(&shown, &mut false).await);
        world.renewals.end(&shown).await;
    }
    let (stolen, successor) = renewed_once(&world).await;
    present(&world, &successor).await;
    world.clock.advance(POLICY.grace);
    assert_eq!(ended(&world, &stolen).await, Some(EndReason::Reused));
    world.background.idle().await;
    drop(guard);
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    for expected in ["renewed", "signed out", "usher::audit", "after its grace", "panicked", "does not verify"] {
        assert!(text.contains(expected), "{expected} is missing in:\n{text}");
    }
    assert!(!text.contains("-of-"), "{text}");
}
