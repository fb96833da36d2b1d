//! Tokens whose keys a server publishes, rotates, withdraws and fails to publish.

use std::time::{Duration, Instant};

use crate::oauth::Algorithm;
use serde_json::{Value, json};

use super::*;
use crate::issuer::testing::{DISCOVERY, KEYS, Reply, TestIssuer, wait_until};

/// A verifier for an issuer with a server.
fn verifier(server: &TestIssuer, clock: &Clock) -> Verifier {
    Verifier::new(issuers(&[server.config()], clock), 1 << 20)
}

fn claims_of(server: &TestIssuer) -> Value {
    with(claims(), "iss", json!(server.name()))
}

#[tokio::test]
async fn j35_keys_may_be_rotated_with_and_without_overlap() {
    let (first, second) = (TestKey::new("k1", Algorithm::RS256), TestKey::new("k2", Algorithm::ES256));
    let server = TestIssuer::start(&[&first]).await;
    let clock = Clock::adjustable();
    let verifier = verifier(&server, &clock);
    let (old, new) = (first.token(&claims_of(&server)), second.token(&claims_of(&server)));
    verifier.verify(&old, &FIRST, NOW).await.unwrap();
    server.set(KEYS, Reply::keys(&[&first, &second]));
    verifier.verify(&new, &FIRST, NOW).await.unwrap();
    assert_eq!(server.count(KEYS), 2);
    assert!(verifier.cached(&old, &FIRST, NOW).is_some());
    // The old key goes: even tokens that are remembered stop counting with the next refresh.
    server.set(KEYS, Reply::keys(&[&second]));
    clock.advance(Duration::from_secs(601));
    wait_until(|| verifier.cached(&old, &FIRST, NOW).is_none()).await;
    assert!(verifier.cached(&new, &FIRST, NOW).is_some());
    assert_eq!(verdict(verifier.verify(&old, &FIRST, NOW).await), "UnknownKey");
}

#[tokio::test]
async fn a_new_key_under_an_old_name_counts_at_once() {
    let (first, second) = (TestKey::new("k1", Algorithm::RS256), TestKey::other_rsa("k1"));
    let server = TestIssuer::start(&[&first]).await;
    let verifier = verifier(&server, &Clock::adjustable());
    let (old, new) = (first.token(&claims_of(&server)), second.token(&claims_of(&server)));
    verifier.verify(&old, &FIRST, NOW).await.unwrap();
    server.set(KEYS, Reply::keys(&[&second]));
    verifier.verify(&new, &FIRST, NOW).await.unwrap();
    assert_eq!(verdict(verifier.verify(&old, &FIRST, NOW).await), "BadSignature");
    for number in 0..50 {
        let forged = TestKey::new("k1", Algorithm::RS256).token(&with(claims_of(&server), "jti", json!(number)));
        assert_eq!(verdict(verifier.verify(&forged, &FIRST, NOW).await), "BadSignature");
    }
    assert_eq!(server.count(KEYS), 2);
}

#[tokio::test]
async fn a_token_without_kid_is_tried_with_the_keys_that_fit() {
    let keys = [TestKey::new("k1", Algorithm::ES256), TestKey::new("k2", Algorithm::ES256)];
    let server = TestIssuer::start(&[&keys[0], &keys[1]]).await;
    let verifier = verifier(&server, &Clock::adjustable());
    for key in keys {
        verifier.verify(&key.named(None).token(&claims_of(&server)), &FIRST, NOW).await.unwrap();
    }
}

#[tokio::test]
async fn an_issuer_that_is_down_is_not_the_clients_fault_and_is_known_again_by_itself() {
    let key = TestKey::new("k1", Algorithm::ES256);
    let server = TestIssuer::start(&[&key]).await;
    server.set(DISCOVERY, Reply::status(503));
    let clock = Clock::adjustable();
    let verifier = verifier(&server, &clock);
    let token = key.token(&claims_of(&server));
    let error = verifier.verify(&token, &FIRST, NOW).await.unwrap_err();
    assert!(error.retry_after().is_some_and(|wait| wait <= Duration::from_secs(5)));
    // What can be judged without keys still is.
    let elsewhere = key.token(&with(claims_of(&server), "aud", json!("other")));
    assert_eq!(verdict(verifier.verify(&elsewhere, &FIRST, NOW).await), "WrongAudience");
    assert_eq!(server.count(DISCOVERY), 1);
    server.set(DISCOVERY, Reply::json(&server.metadata()));
    clock.advance(Duration::from_secs(5));
    verifier.verify(&token, &FIRST, NOW).await.unwrap();
}

#[tokio::test]
async fn a_token_of_a_known_key_never_waits_for_the_sake_of_an_unknown_one() {
    let key = TestKey::new("k1", Algorithm::ES256);
    let server = TestIssuer::start(&[&key]).await;
    let verifier = verifier(&server, &Clock::adjustable());
    verifier.verify(&key.token(&claims_of(&server)), &FIRST, NOW).await.unwrap();
    server.set(KEYS, Reply::keys(&[&key]).delayed(Duration::from_millis(1500)));
    let unknown = TestKey::new("k9", Algorithm::ES256).token(&claims_of(&server));
    let started = Instant::now();
    let known = async {
        server.wait_for(KEYS, 2).await;
        for number in 0..20 {
            let token = key.token(&with(claims_of(&server), "jti", json!(number)));
            verifier.verify(&token, &FIRST, NOW).await.unwrap();
        }
        started.elapsed()
    };
    let (unknown, known) = tokio::join!(verifier.verify(&unknown, &FIRST, NOW), known);
    assert_eq!(verdict(unknown), "UnknownKey");
    assert!(known < Duration::from_millis(1200), "{known:?}");
}
