//! Key sets as documents.

use super::*;
use crate::issuer::testing::TestKey;
use serde_json::json;

const ALL: [Algorithm; 9] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];

fn parse(keys: &[Value], configured: &[Algorithm]) -> Arc<KeySet> {
    let document = json!({ "keys": keys }).to_string();
    Arc::new(KeySet::parse(document.as_bytes(), "test", configured, None).unwrap())
}

fn ec(kid: &str) -> Value {
    TestKey::new(kid, Algorithm::ES256).jwk()
}

fn rsa(kid: &str) -> Value {
    TestKey::new(kid, Algorithm::RS256).jwk()
}

fn with(mut jwk: Value, member: &str, value: Value) -> Value {
    jwk[member] = value;
    jwk
}

fn without(mut jwk: Value, member: &str) -> Value {
    jwk.as_object_mut().unwrap().remove(member);
    jwk
}

fn rejected(jwk: &Value) -> KeyRejected {
    KeySet { keys: Vec::new(), by_kid: true }.add(jwk, &ALL, None).unwrap_err()
}

#[test]
fn a_key_that_cannot_be_used_is_skipped_and_takes_no_other_with_it() {
    let small = URL_SAFE_NO_PAD.encode([0xc3; 128]);
    let cases = [
        (json!("no object"), KeyRejected::Unreadable),
        (json!({"kid": "no type"}), KeyRejected::Unreadable),
        (json!({"kty": 7}), KeyRejected::Unreadable),
        (json!({"kty": "AKP", "alg": "ML-DSA-44", "pub": "AA"}), KeyRejected::Unsupported),
        (json!({"kty": "oct", "k": "c2VjcmV0"}), KeyRejected::Published),
        (with(ec("private"), "d", json!("AA")), KeyRejected::Published),
        (with(ec("enc"), "use", json!("enc")), KeyRejected::Unsupported),
        (with(ec("ops"), "key_ops", json!(["encrypt"])), KeyRejected::Unsupported),
        (with(ec("alg"), "alg", json!("ECDH-ES")), KeyRejected::Unsupported),
        (with(ec("none"), "alg", json!("none")), KeyRejected::Unsupported),
        (with(ec("confused"), "alg", json!("HS256")), KeyRejected::NoAlgorithm),
        (with(ec("other"), "alg", json!("ES384")), KeyRejected::NoAlgorithm),
        (with(ec("curve"), "crv", json!("secp256k1")), KeyRejected::Unsupported),
        (with(ec("mixed"), "crv", json!("P-384")), KeyRejected::Unreadable),
        (with(ec("off the curve"), "x", json!(URL_SAFE_NO_PAD.encode([7; 32]))), KeyRejected::Unreadable),
        (with(ec("padded"), "x", json!("AA==")), KeyRejected::Unreadable),
        (without(ec("half"), "y"), KeyRejected::Unreadable),
        (with(rsa("small"), "n", json!(small)), KeyRejected::RsaSize(1024)),
        (with(rsa("even"), "e", json!("Ag")), KeyRejected::Unreadable),
        (with(rsa("one"), "e", json!("AAE")), KeyRejected::Unreadable),
        (without(rsa("no exponent"), "e"), KeyRejected::Unreadable),
        (json!({"kty": "OKP", "crv": "X25519", "x": URL_SAFE_NO_PAD.encode([7; 32])}), KeyRejected::Unsupported),
        (json!({"kty": "OKP", "crv": "Ed25519", "x": "AA"}), KeyRejected::Unreadable),
    ];
    for (jwk, reason) in &cases {
        assert_eq!(rejected(jwk), *reason, "{jwk}");
    }
    let mut keys: Vec<_> = cases.into_iter().map(|(jwk, _)| jwk).collect();
    keys.push(ec("good"));
    assert!(parse(&keys, &ALL).choose(Some("good"), Algorithm::ES256).is_ok());
}

#[test]
fn the_first_of_two_keys_of_one_name_counts() {
    let first = ec("twice");
    let set = parse(&[first.clone(), ec("twice"), rsa("twice")], &ALL);
    assert_eq!(set.keys.len(), 1);
    assert_eq!(Arc::clone(&set).choose(Some("twice"), Algorithm::RS256).unwrap_err(), NoKey::OtherAlgorithm);
    assert!(set.keys[0].is_same(&parse(&[first], &ALL).keys[0]));
}

#[test]
fn a_key_without_a_kid_that_is_published_twice_is_one_key_and_stays_in_force() {
    let nameless = without(ec("k"), "kid");
    let document = json!({ "keys": [nameless.clone(), nameless] }).to_string();
    let read = |previous| KeySet::parse(document.as_bytes(), "test", &ALL, previous).unwrap();
    let set = read(None);
    let again = read(Some(&set));
    assert!(set.keys.iter().all(|key| !key.is_withdrawn()));
    assert_eq!((set.keys.len(), again.keys.len()), (1, 1));
}

#[test]
fn a_key_is_for_the_algorithm_that_it_names_else_for_the_configured_ones_of_its_type() {
    let fits = |jwk: Value, configured: &[Algorithm]| {
        let set = parse(&[jwk], configured);
        ALL.into_iter().filter(|algorithm| Arc::clone(&set).choose(Some("k"), *algorithm).is_ok()).collect::<Vec<_>>()
    };
    assert_eq!(fits(rsa("k"), &ALL), [Algorithm::RS256]);
    assert_eq!(fits(with(rsa("k"), "alg", json!("PS384")), &ALL), [Algorithm::PS384]);
    let unnamed = without(rsa("k"), "alg");
    assert_eq!(fits(unnamed.clone(), &[Algorithm::RS256, Algorithm::ES256]), [Algorithm::RS256]);
    assert_eq!(fits(unnamed, &ALL).len(), 6);
    assert_eq!(fits(without(ec("k"), "alg"), &ALL), [Algorithm::ES256]);
    assert_eq!(fits(rsa("k"), &[Algorithm::ES256]), []);
}

#[test]
fn a_modulus_with_a_zero_byte_in_front_is_the_same_key() {
    let mut n = URL_SAFE_NO_PAD.decode(rsa("k")["n"].as_str().unwrap()).unwrap();
    n.insert(0, 0);
    let set = parse(&[with(rsa("k"), "n", json!(URL_SAFE_NO_PAD.encode(n)))], &ALL);
    let key = TestKey::new("k", Algorithm::RS256);
    let token = key.token(&json!({}));
    let (message, signature) = token.rsplit_once('.').unwrap();
    let keys = set.choose(Some("k"), Algorithm::RS256).unwrap();
    assert!(keys.iter().next().unwrap().verifies(message.as_bytes(), signature, Algorithm::RS256));
}

#[test]
fn without_a_kid_a_few_keys_that_fit_are_candidates() {
    let keys: Vec<_> = (0..20).map(|kid| ec(&kid.to_string())).chain([rsa("rsa")]).collect();
    let set = parse(&keys, &ALL);
    assert_eq!(Arc::clone(&set).choose(None, Algorithm::ES256).unwrap().iter().count(), MOST_CANDIDATES);
    assert_eq!(Arc::clone(&set).choose(None, Algorithm::RS256).unwrap().iter().count(), 1);
    assert_eq!(Arc::clone(&set).choose(None, Algorithm::EdDSA).unwrap_err(), NoKey::Unknown);
    assert_eq!(set.choose(Some("21"), Algorithm::ES256).unwrap_err(), NoKey::Unknown);
}

#[test]
fn what_is_no_key_set_is_an_error_and_an_empty_one_is_not() {
    for text in ["", "[]", "{}", r#"{"keys":{}}"#, r#"{"keys":[]"#] {
        assert!(matches!(KeySet::parse(text.as_bytes(), "test", &ALL, None), Err(FetchError::Unreadable(_))), "{text}");
    }
    assert!(parse(&[], &ALL).keys.is_empty());
}

#[test]
fn no_more_keys_are_read_than_anybody_has() {
    let keys: Vec<_> = (0..200).map(|kid| with(rsa("k"), "kid", json!(kid.to_string()))).collect();
    assert_eq!(parse(&keys, &ALL).keys.len(), MOST_KEYS);
}
