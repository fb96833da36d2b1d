//! Tokens of every kind that an attacker, another issuer or a wrong clock may produce.

mod arbitrary;
mod claims;
mod form;
mod memory;
mod rotation;

use crate::oauth::Algorithm;
use serde_json::{Value, json};

use super::*;
use crate::clock::Clock;
use crate::config::{self, KeySource};
use crate::issuer::testing::{TestKey, configured, issuers};

const NOW: Timestamp = Timestamp(1_800_000_000);
const ISSUER: &str = "https://i1.test";
const FIRST: [IssuerId; 1] = [IssuerId(0)];

/// A verifier for one issuer with one key, which needs no network.
struct Fixture {
    key: TestKey,
    verifier: Verifier,
    runtime: tokio::runtime::Runtime,
}

impl Fixture {
    fn new(algorithm: Algorithm) -> Self {
        Self::with(TestKey::new("k1", algorithm), |_| {})
    }

    fn with(key: TestKey, change: impl FnOnce(&mut config::Issuer)) -> Self {
        let mut config = configured(ISSUER, KeySource::PublicKey(key.public_pem().into_bytes()));
        change(&mut config);
        Self::of(key, &[config])
    }

    fn of(key: TestKey, configs: &[config::Issuer]) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let verifier = runtime.block_on(async { Verifier::new(issuers(configs, &Clock::system()), 1 << 20) });
        Self { key, verifier, runtime }
    }

    fn verify(&self, token: &str) -> Result<Arc<VerifiedToken>, VerifyError> {
        self.verify_for(token, &FIRST, NOW)
    }

    fn verify_for(&self, token: &str, allowed: &[IssuerId], now: Timestamp) -> Result<Arc<VerifiedToken>, VerifyError> {
        self.runtime.block_on(self.verifier.verify(token, allowed, now))
    }

    /// The verdict on claims that differ in one member from good ones.
    fn claim(&self, name: &str, value: Value) -> Result<Arc<VerifiedToken>, VerifyError> {
        self.verify(&self.key.token(&with(claims(), name, value)))
    }

    /// The verdict on a header that differs in one member from a good one.
    fn header(&self, name: &str, value: Value) -> Result<Arc<VerifiedToken>, VerifyError> {
        self.verify(&self.key.signed(&with(self.key.header(), name, value).to_string(), &claims().to_string()))
    }
}

fn claims() -> Value {
    json!({"iss": ISSUER, "aud": "gw", "sub": "alice", "exp": NOW.0 + 300, "iat": NOW.0, "jti": "1"})
}

fn with(mut object: Value, name: &str, value: Value) -> Value {
    object[name] = value;
    object
}

fn without(mut object: Value, name: &str) -> Value {
    object.as_object_mut().unwrap().remove(name);
    object
}

/// The name of the variant.
fn verdict(result: Result<Arc<VerifiedToken>, VerifyError>) -> String {
    match result {
        Ok(_) => "Ok".to_owned(),
        Err(error) => format!("{error:?}").split('{').next().unwrap().trim().to_owned(),
    }
}
