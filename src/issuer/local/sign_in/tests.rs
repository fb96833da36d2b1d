use super::super::testing::{SOURCE, argon2id, claims, easy, issuer, open, sign_in, terms, user};
use super::*;
use crate::clock::Clock;
use crate::config::TotpSecret;

fn secret() -> TotpSecret {
    TotpSecret::parse(b"GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ").unwrap()
}

/// Alice, with a second factor.
fn alice() -> User {
    User { totp: Some(secret()), ..easy("alice") }
}

fn local(users: impl IntoIterator<Item = User>) -> (Local, Clock) {
    let clock = Clock::stopped();
    (open(&terms(users, None), &clock), clock)
}

fn code(clock: &Clock) -> String {
    codes::code_of(&secret(), clock.now())
}

async fn with_code(local: &Local, password: &str, code: &str) -> Result<TokenResponse, NotSignedIn> {
    local.sign_in("Alice", Zeroizing::new(password.to_owned()), Some(code), SOURCE).await
}

async fn first_step(local: &Local) -> FirstStep {
    match sign_in(local, "alice", "alice").await {
        Err(NotSignedIn::CodeNeeded(first)) => first,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_second_factor_takes_both_and_the_token_says_so() {
    let (local, clock) = local([alice(), easy("bob")]);
    let first = first_step(&local).await;
    let response = local.second_step(first, &code(&clock), SOURCE).await.unwrap();
    let claims_of = |response| claims(response);
    let said = claims_of(&response);
    assert_eq!((&said["acr"], &said["amr"]), (&"2".into(), &serde_json::json!(["pwd", "otp", "mfa"])));
    let renewed = local.refresh(&response.refresh_token.unwrap()).await.unwrap();
    assert_eq!(claims(&renewed)["acr"], "2");

    clock.advance(Duration::from_secs(60));
    let at_once = with_code(&local, "alice", &code(&clock)).await.unwrap();
    assert_eq!(claims(&at_once)["acr"], "2");
    let bob = local.sign_in("bob", Zeroizing::new("bob".to_owned()), Some("123456"), SOURCE).await.unwrap();
    assert_eq!(claims(&bob)["acr"], "1", "a code that nobody has looked at counts for nothing");
}

#[tokio::test]
async fn a_code_is_looked_at_after_the_right_password_only() {
    let (local, clock) = local([alice()]);
    assert!(matches!(with_code(&local, "wrong", &code(&clock)).await, Err(NotSignedIn::Wrong)));
    assert!(matches!(with_code(&local, "alice", "000000x").await, Err(NotSignedIn::WrongCode { .. })));
    with_code(&local, "alice", &code(&clock)).await.unwrap();
    let disabled = User { disabled: true, ..alice() };
    let (local, clock) = self::local([disabled]);
    assert!(matches!(with_code(&local, "alice", &code(&clock)).await, Err(NotSignedIn::Wrong)));
}

#[tokio::test]
async fn a_code_counts_once_however_many_present_it_and_after_a_restart_too() {
    let (directory, clock) = (tempfile::tempdir().unwrap(), Clock::stopped());
    let terms = terms([alice()], Some(directory.path()));
    let local = open(&terms, &clock);
    let (code, first) = (code(&clock), first_step(&local).await);
    let present = || local.second_step(first.clone(), &code, SOURCE);
    let outcomes = futures_util::future::join_all([(); 4].map(|()| present())).await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1, "{outcomes:?}");
    drop(local);
    let local = open(&terms, &clock);
    assert!(matches!(local.second_step(first.clone(), &code, SOURCE).await, Err(NotSignedIn::WrongCode { .. })));
    clock.advance(Duration::from_secs(30));
    local.second_step(first, &self::code(&clock), SOURCE).await.unwrap();
}

#[tokio::test]
async fn a_first_step_is_good_for_five_minutes_and_for_the_user_as_it_was() {
    let (local, clock) = local([alice()]);
    let first = first_step(&local).await;
    let other_password = User { totp: Some(secret()), ..user("alice", &argon2id(b"other")) };
    let other_secret = User { totp: TotpSecret::parse(&[b'A'; 32]).ok(), ..alice() };
    let disabled = User { disabled: true, ..alice() };
    for other in [other_password, other_secret, disabled, easy("alice"), easy("bob")] {
        let terms = terms([other.clone()], None);
        let successor = local.succeeded_by(&issuer(&terms), &terms);
        local.end_sessions(&successor);
        let outcome = successor.second_step(first.clone(), &code(&clock), SOURCE).await;
        assert!(matches!(outcome, Err(NotSignedIn::Stale)), "{other:?} {outcome:?}");
    }
    let terms = terms([alice()], None);
    local.end_sessions(&local.succeeded_by(&issuer(&terms), &terms));
    clock.advance(Duration::from_secs(280));
    local.second_step(first.clone(), &code(&clock), SOURCE).await.unwrap();
    clock.advance(Duration::from_secs(40));
    assert!(matches!(local.second_step(first, &code(&clock), SOURCE).await, Err(NotSignedIn::Stale)));
}

#[tokio::test]
async fn wrong_codes_are_slowed_down_whatever_the_passwords_before_them_and_another_address_is_not() {
    let (local, clock) = local([alice()]);
    let first = first_step(&local).await;
    for number in 0..5 {
        let wrong = if number % 2 == 0 {
            local.second_step(first.clone(), "000000x", SOURCE).await
        } else {
            // A right password in between clears nothing.
            with_code(&local, "alice", "000000x").await
        };
        assert!(matches!(wrong, Err(NotSignedIn::WrongCode { .. })), "{wrong:?}");
    }
    for outcome in
        [local.second_step(first.clone(), &code(&clock), SOURCE).await, with_code(&local, "alice", &code(&clock)).await]
    {
        assert!(matches!(outcome, Err(NotSignedIn::Throttled { .. })), "{outcome:?}");
    }
    let elsewhere = IpAddr::from([192, 0, 2, 1]);
    local.second_step(first, &code(&clock), elsewhere).await.unwrap();
}

#[tokio::test]
async fn who_guesses_passwords_keeps_nobody_from_the_second_step() {
    let (local, clock) = local([alice()]);
    let first = first_step(&local).await;
    for number in 0..60 {
        let guesser = IpAddr::from([192, 0, 2, number]);
        let _ = local.sign_in("alice", Zeroizing::new("guess".to_owned()), Some("000000"), guesser).await;
    }
    assert!(matches!(sign_in(&local, "alice", "alice").await, Err(NotSignedIn::Throttled { .. })));
    local.second_step(first, &code(&clock), SOURCE).await.unwrap();
}

#[tokio::test]
async fn a_code_that_could_not_be_recorded_is_not_spent() {
    let (local, clock) = local([alice()]);
    let super::super::store::Store::Memory(memory) = &local.lasting.store else { unreachable!() };
    let first = first_step(&local).await;
    memory.is_full.store(true, std::sync::atomic::Ordering::Relaxed);
    let outcome = local.second_step(first.clone(), &code(&clock), SOURCE).await;
    assert!(matches!(outcome, Err(NotSignedIn::Unavailable { .. })));
    memory.is_full.store(false, std::sync::atomic::Ordering::Relaxed);
    local.second_step(first, &code(&clock), SOURCE).await.unwrap();
}

#[test]
fn nothing_shows_what_a_first_step_is_made_of_and_families_of_before_go_on() {
    let (alice, plain) = (alice(), easy("alice"));
    let first = FirstStep { name: "alice".to_owned(), mark: families::mark(&alice), at: Timestamp(0) };
    assert_eq!(format!("{first:?}"), "FirstStep { name: \"alice\", .. }");
    assert_eq!(families::mark(&plain), super::super::store::sha256(plain.password.expose()));
    assert_ne!(families::mark(&plain), families::mark(&alice));
}
