use super::*;
use crate::clock::Clock;
use crate::oauth::Algorithm as Named;

const LIFETIME: Duration = Duration::from_secs(10 * 86_400);

fn keys(store: &Store, clock: &Clock) -> SigningKeys {
    store.change(|rows| SigningKeys::begin(rows, clock.now())).unwrap();
    SigningKeys::load(store, &Arc::from("staff")).unwrap()
}

fn rotate(keys: &SigningKeys, store: &Store, clock: &Clock) {
    if keys.is_due(clock.now(), LIFETIME) {
        keys.rotate(store, clock.now(), LIFETIME).unwrap();
    }
}

fn sign(keys: &SigningKeys, clock: &Clock) -> String {
    keys.sign("at+jwt", &Map::new(), clock.now()).unwrap()
}

fn kid(token: &str) -> String {
    jsonwebtoken::decode_header(token).unwrap().kid.unwrap()
}

fn verifies(set: &Arc<KeySet>, token: &str) -> bool {
    let (message, signature) = token.rsplit_once('.').unwrap();
    let keys = Arc::clone(set).choose(Some(&kid(token)), Named::ES256);
    keys.is_ok_and(|keys| {
        keys.iter().any(|key| !key.is_withdrawn() && key.verifies(message.as_bytes(), signature, Named::ES256))
    })
}

/// Hour by hour for two months: somebody who fetches the set every hour, as we ourselves, can verify every token for a day.
#[test]
fn no_token_is_ever_refused_for_its_key() {
    let (store, clock) = (Store::in_memory(), Clock::adjustable());
    let keys = keys(&store, &clock);
    let (mut tokens, mut kids, mut fetched) = (Vec::new(), Vec::new(), keys.published());
    for _ in 0..60 * 24 {
        rotate(&keys, &store, &clock);
        let token = sign(&keys, &clock);
        assert!(verifies(&fetched, &token), "a set of an hour ago has the key");
        fetched = keys.published();
        kids.push(kid(&token));
        tokens.push(token);
        for token in tokens.iter().rev().take(25) {
            assert!(verifies(&keys.published(), token));
        }
        clock.advance(Duration::from_secs(3600));
    }
    kids.dedup();
    assert_eq!(kids.len(), 6, "one key in ten days");
    assert!(!verifies(&keys.published(), &tokens[0]), "old keys go");
    assert!(store.change(|rows| rows.first(Table::Keys, MOST)).unwrap().len() <= 2);
}

#[test]
fn after_a_long_rest_the_next_key_is_published_for_an_hour_before_it_signs() {
    let (store, clock) = (Store::in_memory(), Clock::adjustable());
    let keys = keys(&store, &clock);
    let first = kid(&sign(&keys, &clock));
    clock.advance(LIFETIME * 3);
    rotate(&keys, &store, &clock);
    assert_eq!(kid(&sign(&keys, &clock)), first);
    clock.advance(AHEAD);
    assert_ne!(kid(&sign(&keys, &clock)), first);
}

#[test]
fn keys_are_found_again_and_a_clock_that_was_set_back_finds_one_too() {
    let (store, clock) = (Store::in_memory(), Clock::adjustable());
    let before = keys(&store, &clock);
    clock.advance(LIFETIME);
    rotate(&before, &store, &clock);
    let again = SigningKeys::load(&store, &Arc::from("staff")).unwrap();
    assert_eq!(again.document(), before.document());
    let token = again.sign("at+jwt", &Map::new(), Timestamp(0)).unwrap();
    assert!(verifies(&before.published(), &token));
}

#[test]
fn a_damaged_key_or_none_is_refused_and_never_replaced() {
    let clock = Clock::adjustable();
    let other_curve = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap().serialize_pem();
    let damaged = [
        "{}".to_owned(),
        "not json".to_owned(),
        serde_json::json!({ "signs_from": 1, "pem": "not a key" }).to_string(),
        serde_json::json!({ "signs_from": 1, "pem": other_curve }).to_string(),
    ];
    for row in &damaged {
        let store = Store::in_memory();
        let _ = keys(&store, &clock);
        store.change(|rows| rows.put(Table::Keys, &[0; 8], row.as_bytes())).unwrap();
        SigningKeys::load(&store, &Arc::from("staff")).unwrap_err();
        assert_eq!(store.change(|rows| rows.first(Table::Keys, MOST)).unwrap().len(), 2);
    }
    SigningKeys::load(&Store::in_memory(), &Arc::from("staff")).unwrap_err();
}

#[test]
fn only_public_keys_are_published() {
    let (store, clock) = (Store::in_memory(), Clock::adjustable());
    let document: Value = serde_json::from_slice(&keys(&store, &clock).document()).unwrap();
    let mut members: Vec<_> = document["keys"][0].as_object().unwrap().keys().collect();
    members.sort_unstable();
    assert_eq!(members, ["alg", "crv", "kid", "kty", "use", "x", "y"]);
}
