//! Tokens that are remembered.

use std::time::{Duration, Instant};

use crate::oauth::Algorithm;
use serde_json::json;

use super::*;

#[test]
fn what_is_remembered_ends_with_the_token_and_is_the_same_object_until_then() {
    let fixture = Fixture::with(TestKey::new("k1", Algorithm::ES256), |config| {
        config.leeway = Duration::from_secs(5);
    });
    let token = fixture.key.token(&claims());
    assert!(fixture.verifier.cached(&token, &FIRST, NOW).is_none());
    let verified = fixture.verify(&token).unwrap();
    let again = fixture.verify_for(&token, &FIRST, Timestamp(NOW.0 + 304)).unwrap();
    assert!(Arc::ptr_eq(&verified, &again));
    assert!(fixture.verifier.cached(&token, &FIRST, Timestamp(NOW.0 + 305)).is_none());
    assert_eq!(verdict(fixture.verify_for(&token, &FIRST, Timestamp(NOW.0 + 305))).split('(').next(), Some("Expired"));
    let mut shorter = token.clone();
    shorter.pop();
    for other in [format!("{token}x"), token.to_uppercase(), shorter, String::new()] {
        assert!(fixture.verifier.cached(&other, &FIRST, NOW).is_none());
    }
}

#[test]
fn what_is_remembered_is_bounded_by_bytes() {
    let fixture = Fixture::new(Algorithm::EdDSA);
    for number in 0..2000 {
        fixture.verify(&fixture.key.token(&with(claims(), "jti", json!(number)))).unwrap();
    }
    let remembered = format!("{:?}", fixture.verifier);
    let count: usize = remembered.split("tokens: ").nth(1).unwrap().split(',').next().unwrap().trim().parse().unwrap();
    assert!((50..500).contains(&count), "{count}");
}

/// Prints what a look-up costs: `cargo test --release --lib a_hit -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement, of use in a release build only"]
fn a_hit_costs_well_under_a_microsecond() {
    let fixture = Fixture::new(Algorithm::RS256);
    let tokens: Vec<_> = (0..2000)
        .map(|number| fixture.key.token(&with(with(claims(), "jti", json!(number)), "pad", json!("x".repeat(300)))))
        .collect();
    for token in &tokens {
        fixture.verify(token).unwrap();
    }
    // As fast as the cache keeps them; the rest would measure misses.
    let kept: Vec<_> = tokens.iter().filter(|token| fixture.verifier.cached(token, &FIRST, NOW).is_some()).collect();
    let (rounds, started) = (1_000_000 / kept.len(), Instant::now());
    for _ in 0..rounds {
        for token in &kept {
            assert!(std::hint::black_box(fixture.verifier.cached(token, &FIRST, NOW)).is_some());
        }
    }
    let each = started.elapsed().as_nanos() / (rounds * kept.len()) as u128;
    println!("{each} ns a hit, over {} tokens of {} bytes", kept.len(), tokens[0].len());
    let started = Instant::now();
    let forgetful = Verifier::new(Arc::clone(&fixture.verifier.issuers), 0);
    for token in &tokens {
        fixture.runtime.block_on(forgetful.verify(token, &FIRST, NOW)).unwrap();
    }
    println!("{} ns a miss", started.elapsed().as_nanos() / tokens.len() as u128);
    assert!(each < 1000);
}
