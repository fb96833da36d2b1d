//! What is expected of what issuers publish, whatever they publish: a key set loses no good key to a bad one, and a
//! discovery document leads nobody astray.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    reason = "a promise that is broken is a panic, and a fuzzer's only way to tell"
)]

use std::sync::{Arc, LazyLock};

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use url::Url;

use super::discovery::Metadata;
use super::document::FetchError;
use super::jwks::KeySet;
use super::key::Key;
use crate::oauth::Algorithm;
use crate::oauth::algorithm::Family;

const GOOD: &str = "the good key";
const MESSAGE: &[u8] = b"header.payload";

static PAIR: LazyLock<Ed25519KeyPair> =
    LazyLock::new(|| Ed25519KeyPair::from_seed_unchecked(&[7; 32]).expect("a seed of 32 bytes"));

/// A published key set.
pub fn key_set(input: &[u8]) {
    let set = match parse(input, None) {
        Ok(set) => set,
        Err(error) => return assert!(matches!(error, FetchError::Unreadable(_)), "{error}"),
    };
    for key in set.keys() {
        let fitting: Vec<_> = Algorithm::ALL.into_iter().filter(|algorithm| key.fits(*algorithm)).collect();
        assert!(!fitting.is_empty(), "{key:?} is of no use");
        for algorithm in fitting {
            assert_ne!(algorithm.family(), Family::Hmac, "{key:?}: everybody knows a published secret");
            assert!(!key.verifies(MESSAGE, "", algorithm) && !key.verifies(MESSAGE, &"A".repeat(342), algorithm));
            let chosen = Arc::clone(&set).choose(key.kid(), algorithm).expect("a key that is there");
            assert!(key.kid().is_none() || chosen.iter().all(|chosen| Arc::ptr_eq(chosen, key)), "another of one name");
        }
    }
    let again = parse(input, Some(&set)).expect("the same document");
    assert!(again.keys().iter().zip(set.keys()).all(|(one, other)| Arc::ptr_eq(one, other) && !one.is_withdrawn()));
    each_alone(input, &set);
    parse(br#"{"keys":[]}"#, Some(&set)).expect("an empty set");
    assert!(set.keys().iter().all(|key| key.is_withdrawn()), "a key outlives its publication");
}

/// The set accepts what it would accept of each key alone, and a good key among them is as good as ever.
fn each_alone(input: &[u8], set: &KeySet) {
    let Ok(Value::Object(document)) = serde_json::from_slice(input) else { return };
    let Some(Value::Array(published)) = document.get("keys") else { return };
    let mut alone: Vec<Arc<Key>> = Vec::new();
    for jwk in published.iter().take(128) {
        let one = parse(json!({ "keys": [jwk] }).to_string().as_bytes(), None).expect("a key set of one");
        let is_new = |key: &&Arc<Key>| {
            alone.iter().all(|other| !other.is_same(key) && (key.kid().is_none() || other.kid() != key.kid()))
        };
        let new: Vec<_> = one.keys().iter().filter(is_new).cloned().collect();
        alone.extend(new);
    }
    assert_eq!(alone.len(), set.keys().len(), "one key has taken another with it");
    assert!(alone.iter().zip(set.keys()).all(|(one, other)| one.is_same(other)));

    let x = URL_SAFE_NO_PAD.encode(PAIR.public_key());
    let good = json!({"kty": "OKP", "crv": "Ed25519", "kid": GOOD, "x": x});
    let all = [&[good], published.as_slice()].concat();
    let with_good = json!({ "keys": all }).to_string();
    let keys = parse(with_good.as_bytes(), None)
        .expect("a key set")
        .choose(Some(GOOD), Algorithm::EdDSA)
        .expect("the good key");
    let signature = URL_SAFE_NO_PAD.encode(PAIR.sign(MESSAGE));
    assert!(keys.iter().all(|key| key.verifies(MESSAGE, &signature, Algorithm::EdDSA)));
}

fn parse(document: &[u8], previous: Option<&KeySet>) -> Result<Arc<KeySet>, FetchError> {
    KeySet::parse(document, "fuzz", &Algorithm::ALL, previous).map(Arc::new)
}

/// A discovery document, of an issuer that is dialled by its name and of one that is dialled elsewhere.
pub fn discovery_document(input: &[u8]) {
    const ISSUER: &str = "https://id.test/realm";
    for base in ["https://id.test/realm", "https://inner.test:8443/realm", "http://inner.test/realm"] {
        let base: Url = base.parse().expect("a URL");
        let other = Metadata::parse(input, "https://other.test", &base);
        let metadata = match Metadata::parse(input, ISSUER, &base) {
            Ok(metadata) => metadata,
            Err(FetchError::OtherIssuer { found, .. }) => {
                assert!(found.chars().count() <= 200, "all of a strange name is shown");
                continue;
            }
            Err(_) => continue,
        };
        assert!(matches!(other, Err(FetchError::OtherIssuer { .. })), "a document of two issuers");
        // Stricter about the members that nobody reads: what it does not take is not compared.
        let Ok(document) = serde_json::from_slice::<Value>(input) else { continue };
        assert_eq!(document["issuer"], ISSUER);
        let endpoints = [
            ("jwks_uri", Some(&metadata.jwks_uri)),
            ("token_endpoint", metadata.token_endpoint.as_ref()),
            ("revocation_endpoint", metadata.revocation_endpoint.as_ref()),
        ];
        for (name, dialled) in endpoints {
            let Some(dialled) = dialled else { continue };
            let written = document[name].as_str().expect("an endpoint that is dialled is written");
            check_endpoint(written, dialled, ISSUER, &base);
        }
    }
}

/// The document takes no encryption away, and leads to the host that it names or to the one that stands in for it.
fn check_endpoint(written: &str, dialled: &Url, issuer: &str, base: &Url) {
    assert!(dialled.scheme() == "https" || (dialled.scheme(), base.scheme()) == ("http", "http"), "{dialled}");
    let host = |url: &Url| (url.host_str().map(str::to_owned), url.port_or_known_default());
    let below = written.strip_prefix(issuer).is_some_and(|rest| rest.starts_with(['/', '?']));
    let expected = if below { base.clone() } else { written.parse().expect("a URL") };
    assert_eq!((host(dialled), dialled.scheme()), (host(&expected), expected.scheme()), "{written} leads to {dialled}");
}
