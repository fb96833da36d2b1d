//! Tokens: nothing is verified but what an issuer of the configuration has signed as it stands, for us and for now.
//!
//! Both issuers sign deterministically, so that of every message it is known what its one genuine signature is: by another
//! spelling of that, by a signature of another key and by no signature at all nothing may come through.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use futures_util::FutureExt as _;
use serde_json::Value;
use tokio::runtime::{Builder, Runtime};

use crate::auth::verify::{VerifiedToken, Verifier, VerifyError};
use crate::clock::{Clock, Timestamp};
use crate::config::{IdentityToken, Issuer, IssuerId, IssuerTransport, KeySource, Secret};
use crate::issuer::Issuers;
use crate::oauth::Algorithm;
use crate::tasks::Tasks;

const NOW: f64 = 1_800_000_000.0;
const TIME: Timestamp = Timestamp(1_800_000_000);
const SECRET: &[u8] = b"the shared secret of a legacy application";
const SIGNER: &str = "https://signer.test";
const LEGACY: &str = "legacy";
const ALL: [IssuerId; 2] = [IssuerId(0), IssuerId(1)];
/// An Ed25519 key in the form of PEM begins so (RFC 8410 §4).
const SPKI: [u8; 12] = [0x30, 0x2a, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 3, 0x21, 0];

static SCENE: LazyLock<Scene> = LazyLock::new(Scene::new);

struct Scene {
    pair: Ed25519KeyPair,
    secret: hmac::Key,
    verifier: Verifier,
    _runtime: Runtime,
}

/// A token in its compact form; or a header and claims on two lines, which are signed by whom the claims name; or these and
/// a third line, which stands in for the signature.
pub fn token(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let mut lines = text.splitn(3, '\n');
    let Some(first) = lines.next() else { return };
    let Some(claims) = lines.next() else { return SCENE.present(first) };
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(first), URL_SAFE_NO_PAD.encode(claims));
    let issuer =
        serde_json::from_str::<Value>(claims).ok().and_then(|claims| claims["iss"].as_str().map(str::to_owned));
    let signature = match lines.next() {
        Some(signature) => signature.to_owned(),
        None => SCENE.sign(issuer.as_deref().unwrap_or(SIGNER), &message),
    };
    SCENE.present(&format!("{message}.{signature}"));
}

impl Scene {
    fn new() -> Self {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).expect("a seed of 32 bytes");
        let spki = STANDARD.encode([&SPKI, pair.public_key().as_ref()].concat());
        let pem = format!("-----BEGIN PUBLIC KEY-----\n{spki}\n-----END PUBLIC KEY-----\n");
        // The secret's issuer may not use the other's algorithm, but the other's key must not pass for a secret either.
        let signer = issuer(SIGNER, KeySource::PublicKey(pem.into_bytes()), &[Algorithm::EdDSA, Algorithm::HS256]);
        let legacy = issuer(LEGACY, KeySource::Hmac(Secret::new(SECRET.to_vec())), &[Algorithm::HS256]);
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        let entered = runtime.enter();
        let tasks = Tasks::new(runtime.handle().clone());
        let issuers = Issuers::new(&[signer, legacy], &tasks, &Clock::system()).expect("keys that are configured");
        drop(entered);
        let verifier = Verifier::new(issuers, 1 << 20);
        Self { pair, secret: hmac::Key::new(hmac::HMAC_SHA256, SECRET), verifier, _runtime: runtime }
    }

    /// The one genuine signature of a message.
    fn sign(&self, issuer: &str, message: &str) -> String {
        match issuer {
            LEGACY => URL_SAFE_NO_PAD.encode(hmac::sign(&self.secret, message.as_bytes())),
            _ => URL_SAFE_NO_PAD.encode(self.pair.sign(message.as_bytes())),
        }
    }

    fn verify(&self, token: &str, allowed: &[IssuerId]) -> Result<Arc<VerifiedToken>, VerifyError> {
        self.verifier.verify(token, allowed, TIME).now_or_never().expect("keys at hand are not waited for")
    }

    fn present(&self, token: &str) {
        let named = self.verifier.named_issuer(token, &[]);
        let Ok(verified) = self.verify(token, &ALL) else {
            return assert!(self.verifier.cached(token, &ALL, TIME).is_none(), "a refused token is remembered");
        };
        assert_eq!(named, Some(verified.issuer));
        let (message, signature) = token.rsplit_once('.').expect("three parts");
        let (header, claims) = message.split_once('.').expect("three parts");
        let [header, claims] = [header, claims].map(read);
        let name = claims["iss"].as_str().expect("an issuer");
        assert_eq!(signature, self.sign(name, message), "forged: {header} {claims}");
        check(&header, &claims, name);
        assert_eq!(Value::Object(verified.claims.0.clone()), claims, "other claims than were signed");

        assert!(self.verifier.cached(token, &ALL, TIME).is_some());
        let others: Vec<IssuerId> = ALL.into_iter().filter(|id| *id != verified.issuer).collect();
        assert!(self.verify(token, &others).is_err(), "the issuer does not count here");
        assert!(self.verifier.cached(token, &ALL, verified.usable_until).is_none(), "it has expired");
        let last = token.len() - 1;
        for at in [0, header_end(token), last - 1] {
            self.refuse_changed(token, at, if token.as_bytes()[at] == b'A' { "B" } else { "A" });
        }
        // The last character carries bits that base64 has no use for: the next one decodes to the same signature.
        let next = char::from(token.as_bytes()[last] + 1);
        self.refuse_changed(token, last, next.encode_utf8(&mut [0; 4]));
        self.refuse_changed(token, token.len(), "=");
    }

    fn refuse_changed(&self, token: &str, at: usize, instead: &str) {
        let mut changed = token.to_owned();
        changed.replace_range(at..(at + 1).min(token.len()), instead);
        assert!(self.verify(&changed, &ALL).is_err(), "changed at {at}: {changed}");
    }
}

fn header_end(token: &str) -> usize {
    token.find('.').unwrap_or_default() + 1
}

fn read(part: &str) -> Value {
    let bytes = URL_SAFE_NO_PAD.decode(part).expect("base64url");
    serde_json::from_slice(&bytes).expect("JSON")
}

/// The rules of RFC 7519, RFC 8725 and RFC 9068 once more, as plainly as can be.
fn check(header: &Value, claims: &Value, issuer: &str) {
    assert_eq!(header["alg"], if issuer == LEGACY { "HS256" } else { "EdDSA" });
    assert!(issuer == LEGACY || issuer == SIGNER, "{issuer}");
    assert!(header.get("crit").is_none() && header.get("b64").is_none(), "{header}");
    let audience = &claims["aud"];
    assert!(audience == "gw" || audience.as_array().is_some_and(|list| list.iter().any(|aud| aud == "gw")), "{claims}");
    assert!(claims["exp"].as_f64().expect("a date") >= NOW + 1.0, "expired: {claims}");
    for name in ["nbf", "iat"] {
        assert!(claims.get(name).is_none_or(|date| date.as_f64().expect("a date") < NOW + 1.0), "too early: {claims}");
    }
    for name in ["cnf", "at_hash", "c_hash", "s_hash", "events"] {
        assert!(claims.get(name).is_none(), "of another kind: {claims}");
    }
    assert!(claims.get("sub").is_none_or(|sub| sub.as_str().is_some_and(|sub| !sub.is_empty())), "{claims}");
}

fn issuer(name: &str, keys: KeySource, algorithms: &[Algorithm]) -> Issuer {
    Issuer {
        name: name.into(),
        issuer: name.to_owned(),
        keys,
        client: None,
        audiences: vec!["gw".to_owned()],
        algorithms: algorithms.to_vec(),
        identity: IdentityToken::AccessToken,
        token_type: None,
        leeway: Duration::ZERO,
        refresh: None,
        login: None,
        transport: IssuerTransport { ca: None, timeout: Duration::from_secs(3), offline: false },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_both_issuers_sign_is_verified() {
        for (alg, iss) in [("EdDSA", SIGNER), ("HS256", LEGACY)] {
            let header = URL_SAFE_NO_PAD.encode(format!(r#"{{"alg":"{alg}"}}"#));
            let claims = URL_SAFE_NO_PAD.encode(format!(r#"{{"iss":"{iss}","aud":"gw","exp":1800000300}}"#));
            let message = format!("{header}.{claims}");
            let token = format!("{message}.{}", SCENE.sign(iss, &message));
            assert!(SCENE.verify(&token, &ALL).is_ok(), "{token}");
            SCENE.present(&token);
        }
    }
}
