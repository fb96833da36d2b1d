use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::in_force::InForce;
use super::store::{Store, StoreError};
use super::testing::{SOURCE, argon2id, claims, easy, issuer, open, sign_in, terms, user};
use super::{EndedSession, ExchangeError, Local, NotSignedIn};
use crate::clock::Clock;
use crate::config::{LocalIssuer, TotpSecret, User};
use crate::oauth::{RefreshToken, TokenResponse};

fn local(users: impl IntoIterator<Item = User>) -> (Local, Clock) {
    let clock = Clock::stopped();
    (open(&terms(users, None), &clock), clock)
}

fn refresh_token(response: &TokenResponse) -> RefreshToken {
    response.refresh_token.clone().unwrap()
}

async fn is_rejected(local: &Local, token: &RefreshToken) -> bool {
    matches!(local.refresh(token).await, Err(ExchangeError::Rejected))
}

#[tokio::test]
async fn a_refresh_token_is_rotated_and_a_lost_answer_may_be_asked_for_again_within_the_grace() {
    let (local, clock) = local([easy("alice")]);
    let first = refresh_token(&sign_in(&local, "alice", "alice").await.unwrap());
    let second = refresh_token(&local.refresh(&first).await.unwrap());
    assert_ne!(first, second);
    clock.advance(Duration::from_secs(59));
    let again = refresh_token(&local.refresh(&first).await.unwrap());
    for token in [&second, &again] {
        local.refresh(token).await.unwrap();
    }
}

#[tokio::test]
async fn a_token_that_was_spent_long_ago_ends_its_family_and_no_other() {
    let (local, clock) = local([easy("alice")]);
    let first = refresh_token(&sign_in(&local, "alice", "alice").await.unwrap());
    let beside = refresh_token(&sign_in(&local, "alice", "alice").await.unwrap());
    let second = refresh_token(&local.refresh(&first).await.unwrap());
    clock.advance(Duration::from_secs(40));
    local.refresh(&first).await.unwrap();
    // The grace began with the first use, not with the last.
    clock.advance(Duration::from_secs(30));
    assert!(is_rejected(&local, &first).await);
    assert!(is_rejected(&local, &second).await, "its successor goes with it");
    local.refresh(&beside).await.unwrap();
}

#[tokio::test]
async fn what_is_no_token_of_ours_is_rejected_and_ends_nothing() {
    let (local, _) = local([easy("alice")]);
    let token = refresh_token(&sign_in(&local, "alice", "alice").await.unwrap());
    for other in ["", "x", &token.expose().to_uppercase(), &format!("{} ", token.expose()), "ü"] {
        assert!(is_rejected(&local, &RefreshToken::new(other)).await);
    }
    local.refresh(&token).await.unwrap();
}

#[tokio::test]
async fn a_session_ends_so_long_after_the_sign_in_and_no_access_token_outlives_it() {
    let (local, clock) = local([easy("alice")]);
    let started = clock.now();
    let first = sign_in(&local, "alice", "alice").await.unwrap();
    clock.advance(Duration::from_secs(7 * 86_400 - 100));
    let response = local.refresh(&refresh_token(&first)).await.unwrap();
    let left = claims(&response)["exp"].as_u64().unwrap() - started.0;
    assert!((7 * 86_400..=7 * 86_400 + 2).contains(&left), "{left}");
    clock.advance(Duration::from_secs(103));
    assert!(is_rejected(&local, &refresh_token(&response)).await);
}

#[tokio::test]
async fn a_revoked_token_is_the_end_of_its_family() {
    let (local, _) = local([easy("alice")]);
    let first = refresh_token(&sign_in(&local, "alice", "alice").await.unwrap());
    let second = refresh_token(&local.refresh(&first).await.unwrap());
    local.revoke(&first).await.unwrap();
    assert!(is_rejected(&local, &second).await);
    local.revoke(&second).await.unwrap();
    local.revoke(&RefreshToken::new("unknown")).await.unwrap();
}

/// The same issuer with other users, and which sessions have ended.
fn succeeded(local: &Local, terms: &LocalIssuer) -> (Local, Vec<EndedSession>) {
    let successor = local.succeeded_by(&issuer(terms), terms);
    let ended = local.end_sessions(&successor);
    (successor, ended)
}

#[tokio::test]
async fn another_password_second_factor_or_subject_or_no_such_user_ends_the_sessions_and_nothing_else_does() {
    let other_password = user("alice", &argon2id(b"other"));
    let other_subject = User { subject: "7f3".to_owned(), ..easy("alice") };
    let disabled = User { disabled: true, ..easy("alice") };
    let second_factor = User { totp: TotpSecret::parse(&[b'A'; 32]).ok(), ..easy("alice") };
    for (after, stands) in [
        (vec![easy("alice"), easy("bob")], true),
        (vec![User { claims: [("team".to_owned(), json!("a"))].into_iter().collect(), ..easy("alice") }], true),
        (vec![other_password], false),
        (vec![other_subject], false),
        (vec![second_factor], false),
        (vec![disabled], false),
        (vec![easy("bob")], false),
    ] {
        let (before, _) = local([easy("alice")]);
        let response = sign_in(&before, "alice", "alice").await.unwrap();
        let (token, sid) = (refresh_token(&response), &claims(&response)["sid"]);
        let (successor, ended) = succeeded(&before, &terms(after.clone(), None));
        assert_eq!(ended.len(), usize::from(!stands), "{after:?}");
        assert!(ended.iter().all(|ended| *sid == *ended.sid && ended.issuer == super::testing::ISSUER));
        assert_eq!(is_rejected(&successor, &token).await, !stands, "{after:?}");
    }
}

#[tokio::test]
async fn a_request_of_before_gives_out_no_tokens_by_users_of_before() {
    let (before, _) = local([easy("alice"), easy("bob")]);
    let token = refresh_token(&sign_in(&before, "bob", "bob").await.unwrap());
    // The password is verified on another thread, and the users change before it is looked at again.
    let mut under_way = Box::pin(sign_in(&before, "alice", "alice"));
    assert!(futures_util::future::poll_immediate(&mut under_way).await.is_none());
    let (_, ended) = succeeded(&before, &terms([user("alice", &argon2id(b"other"))], None));
    assert_eq!(ended.len(), 1);
    assert!(matches!(under_way.await, Err(NotSignedIn::Wrong)));
    assert!(is_rejected(&before, &token).await);
}

#[tokio::test]
async fn a_user_who_is_enabled_again_has_to_sign_in_again() {
    let (local, _) = local([easy("alice")]);
    let token = refresh_token(&sign_in(&local, "alice", "alice").await.unwrap());
    let (disabled, _) = succeeded(&local, &terms([User { disabled: true, ..easy("alice") }], None));
    assert!(matches!(sign_in(&disabled, "alice", "alice").await, Err(NotSignedIn::Wrong)));
    let (enabled, _) = succeeded(&disabled, &terms([easy("alice")], None));
    assert!(is_rejected(&enabled, &token).await);
    let token = refresh_token(&sign_in(&enabled, "alice", "alice").await.unwrap());
    enabled.refresh(&token).await.unwrap();
}

fn stands_by(local: &Local, response: &TokenResponse) -> bool {
    local.stands_by(&claims(response))
}

#[tokio::test]
async fn an_access_token_counts_as_long_as_its_session_and_not_again_when_the_user_is_enabled_again() {
    let (local, _) = local([easy("alice")]);
    let first = sign_in(&local, "alice", "alice").await.unwrap();
    let second = local.refresh(&refresh_token(&first)).await.unwrap();
    let beside = sign_in(&local, "alice", "alice").await.unwrap();
    assert!([&first, &second, &beside].iter().all(|token| stands_by(&local, token)));
    local.revoke(&refresh_token(&second)).await.unwrap();
    assert_eq!([&first, &second, &beside].map(|token| stands_by(&local, token)), [false, false, true]);

    let (disabled, _) = succeeded(&local, &terms([User { disabled: true, ..easy("alice") }], None));
    assert!(!stands_by(&disabled, &beside) && !stands_by(&local, &beside));
    let (enabled, _) = succeeded(&disabled, &terms([easy("alice")], None));
    assert!(!stands_by(&enabled, &beside));
    let anew = sign_in(&enabled, "alice", "alice").await.unwrap();
    assert!(stands_by(&enabled, &anew), "in the same second");
}

#[tokio::test]
async fn an_access_token_counts_as_long_as_it_says_what_the_file_says() {
    let odd =
        json!({ "n": 0.1, "big": 1e300, "m": -7, "deep": { "b": [null, 18_446_744_073_709_551_615_u64] }, "é": "ü" });
    let with = |claims: &Value| User { claims: claims.as_object().unwrap().clone(), ..easy("alice") };
    let (local, _) = local([with(&odd)]);
    let first = sign_in(&local, "alice", "alice").await.unwrap();
    assert!(stands_by(&local, &first));
    let mut now = local.clone();
    for (claims, counts) in [(json!({ "role": "user" }), false), (json!({}), false), (odd, true)] {
        now = succeeded(&now, &terms([with(&claims)], None)).0;
        assert_eq!(stands_by(&now, &first), counts, "{claims}");
    }
    let more = terms([with(&json!({ "role": "user" }))], None);
    now = succeeded(&now, &more).0;
    let renewed = now.refresh(&refresh_token(&first)).await.unwrap();
    assert!(stands_by(&now, &renewed) && !stands_by(&now, &first));
}

#[tokio::test]
async fn what_ended_in_the_users_file_while_nobody_looked_has_ended() {
    let (directory, clock) = (tempfile::tempdir().unwrap(), Clock::adjustable());
    let terms = |users: [User; 2]| terms(users, Some(directory.path()));
    let disabled = || terms([User { disabled: true, ..easy("alice") }, easy("bob")]);
    let enabled = || terms([easy("alice"), easy("bob")]);
    let local = open(&enabled(), &clock);
    let (alice, bob) = (sign_in(&local, "alice", "alice").await.unwrap(), sign_in(&local, "bob", "bob").await.unwrap());
    drop(local);
    drop(open(&disabled(), &clock));
    let local = open(&enabled(), &clock);
    assert_eq!([&alice, &bob].map(|token| stands_by(&local, token)), [false, true]);
    assert!(is_rejected(&local, &refresh_token(&alice)).await);
    local.refresh(&refresh_token(&bob)).await.unwrap();
    succeeded(&local, &disabled());
    drop(local);
    assert!(stands_by(&open(&disabled(), &clock), &bob));
}

#[tokio::test]
async fn a_user_whose_name_folds_in_two_steps_keeps_the_session() {
    let (local, _) = local([easy("STRA\u{1e9e}E")]);
    let token = refresh_token(&sign_in(&local, "stra\u{1e9e}e", "STRA\u{1e9e}E").await.unwrap());
    local.refresh(&token).await.unwrap();
}

#[tokio::test]
async fn claims_are_those_of_the_file_now_and_override_nothing() {
    let forged = json!({ "iss": "x", "sub": "root", "aud": "x", "exp": 9, "iat": 9, "jti": "x", "sid": "x", "acr": "9", "role": "user" });
    let Value::Object(forged) = forged else { unreachable!() };
    let (local, _) = local([User { claims: forged, ..easy("alice") }]);
    let response = sign_in(&local, "alice", "alice").await.unwrap();
    let first = claims(&response);
    assert_eq!((&first["iss"], &first["sub"]), (&json!(super::testing::ISSUER), &json!("alice")));
    assert_eq!((&first["aud"], &first["role"]), (&json!("app"), &json!("user")));
    assert_eq!(first["exp"].as_u64().unwrap() - first["iat"].as_u64().unwrap(), 300);

    let admin = [("role".to_owned(), json!("admin"))].into_iter().collect();
    let (successor, _) = succeeded(&local, &terms([User { claims: admin, ..easy("alice") }], None));
    let second = claims(&successor.refresh(&refresh_token(&response)).await.unwrap());
    assert_eq!(second["role"], "admin");
    assert_eq!((&first["acr"], &first["amr"]), (&json!("1"), &json!(["pwd"])));
    for same in ["sid", "auth_time", "acr", "amr", "sub"] {
        assert_eq!(first[same], second[same], "{same}");
    }
    assert_ne!(first["jti"], second["jti"]);
}

#[tokio::test]
async fn somebody_unknown_or_disabled_costs_as_much_work_as_a_wrong_password() {
    let (local, _) = local([easy("alice"), User { disabled: true, ..easy("carol") }]);
    for (count, (name, password)) in (1..).zip([("alice", "wrong"), ("nobody", "alice"), ("carol", "carol")]) {
        assert!(matches!(sign_in(&local, name, password).await, Err(NotSignedIn::Wrong)), "{name}");
        assert_eq!(local.lasting.passwords.verified(), count, "{name}");
    }
    let decoy = local.terms.decoy.as_ref().unwrap();
    assert_eq!(decoy.cost(), easy("alice").password.cost());
}

#[tokio::test]
async fn names_and_passwords_of_any_length_are_answered() {
    let long = "p".repeat(super::passwords::LONGEST);
    let (local, _) = local([easy("alice"), user("long", &argon2id(long.as_bytes()))]);
    sign_in(&local, " LONG ", &long).await.unwrap();
    let longer = format!("{long}p");
    for (name, password) in [("long", longer.as_str()), (longer.as_str(), "p")] {
        let outcome = local.sign_in(name, Zeroizing::new(password.to_owned()), None, SOURCE).await;
        assert!(matches!(outcome, Err(NotSignedIn::TooLong)));
    }
    assert!(matches!(sign_in(&local, "", "").await, Err(NotSignedIn::Wrong)));
}

#[tokio::test]
async fn sessions_and_keys_survive_a_restart_where_there_is_a_directory() {
    let (directory, clock) = (tempfile::tempdir().unwrap(), Clock::adjustable());
    let terms = terms([easy("alice")], Some(&directory.path().join("deep/issuer-staff")));
    let first = open(&terms, &clock);
    let (keys, token) = (first.jwks(), refresh_token(&sign_in(&first, "alice", "alice").await.unwrap()));
    let spent = refresh_token(&first.refresh(&token).await.unwrap());
    drop(first);
    let second = open(&terms, &clock);
    assert_eq!(second.jwks(), keys);
    second.refresh(&spent).await.unwrap();
    clock.advance(Duration::from_secs(61));
    assert!(is_rejected(&second, &token).await, "what was spent stays spent");
}

#[tokio::test]
async fn debug_shows_no_secret() {
    let (local, _) = local([easy("alice")]);
    let token = refresh_token(&sign_in(&local, "alice", "alice").await.unwrap());
    let shown = format!("{local:?}");
    assert!(!shown.contains(token.expose()) && !shown.contains("$argon2id") && !shown.contains("PRIVATE"), "{shown}");
}

#[tokio::test]
async fn a_store_that_cannot_be_written_costs_nobody_their_session() {
    let (local, _) = local([easy("alice")]);
    let Store::Memory(memory) = &local.lasting.store else { unreachable!() };
    let token = refresh_token(&sign_in(&local, "alice", "alice").await.unwrap());
    memory.is_full.store(true, Ordering::Relaxed);
    for _ in 0..3 {
        assert!(matches!(local.refresh(&token).await, Err(ExchangeError::Unavailable(_))));
        assert!(matches!(sign_in(&local, "alice", "alice").await, Err(NotSignedIn::Unavailable { .. })));
        local.revoke(&token).await.unwrap_err();
        assert!(local.is_out_of_order());
    }
    memory.is_full.store(false, Ordering::Relaxed);
    let successor = refresh_token(&local.refresh(&token).await.unwrap());
    assert!(!local.is_out_of_order());
    local.refresh(&successor).await.unwrap();
}

#[tokio::test]
async fn a_store_that_cannot_be_written_keeps_no_session_alive_that_has_to_end() {
    let (local, _) = local([easy("alice")]);
    let Store::Memory(memory) = &local.lasting.store else { unreachable!() };
    let response = sign_in(&local, "alice", "alice").await.unwrap();
    memory.is_full.store(true, Ordering::Relaxed);
    let (disabled, ended) = succeeded(&local, &terms([User { disabled: true, ..easy("alice") }], None));
    assert_eq!((ended.len(), stands_by(&disabled, &response)), (1, false));
    memory.is_full.store(false, Ordering::Relaxed);
    let (enabled, _) = succeeded(&disabled, &terms([easy("alice")], None));
    assert!(is_rejected(&enabled, &refresh_token(&response)).await && !stands_by(&enabled, &response));
}

#[tokio::test]
async fn users_who_change_while_a_renewal_waits_for_the_store_are_those_that_count() {
    let (local, _) = local([easy("alice")]);
    let token = refresh_token(&sign_in(&local, "alice", "alice").await.unwrap());
    let (release, released) = std::sync::mpsc::channel::<()>();
    let (held, is_held) = tokio::sync::oneshot::channel();
    let holder = {
        let local = local.clone();
        tokio::task::spawn_blocking(move || {
            local.lasting.store.change(|_| {
                held.send(()).unwrap();
                released.recv().map_err(|_| StoreError::GivenUp)
            })
        })
    };
    is_held.await.unwrap();
    let renewal = tokio::spawn({
        let local = local.clone();
        async move { is_rejected(&local, &token).await }
    });
    // Long enough to look users up too early; whoever looks in time is not hurried by it.
    tokio::time::sleep(Duration::from_millis(50)).await;
    let disabled = terms([User { disabled: true, ..easy("alice") }], None);
    local.lasting.in_force.store(std::sync::Arc::new(InForce::new(disabled.users)));
    release.send(()).unwrap();
    holder.await.unwrap().unwrap();
    assert!(renewal.await.unwrap());
}
