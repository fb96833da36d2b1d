//! Keys for tests, and tokens signed with them.

use std::sync::LazyLock;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, ECDSA_P521_SHA512_FIXED_SIGNING, EcdsaKeyPair,
    EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair as _,
};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::EncodingKey;
use jsonwebtoken::jwk::Jwk;
use serde_json::{Value, json};

use crate::oauth::Algorithm;
use crate::oauth::algorithm::Family;

/// Generating an RSA key takes long: two serve all tests.
static RSA: LazyLock<[RsaKeyPair; 2]> =
    LazyLock::new(|| [(); 2].map(|()| RsaKeyPair::generate(KeySize::Rsa2048).unwrap()));

/// A signing key of a test issuer.
pub(crate) struct TestKey {
    pub(crate) kid: Option<String>,
    pub(crate) algorithm: Algorithm,
    encoding: EncodingKey,
}

impl TestKey {
    /// A new key for the algorithm; RSA keys are always the same one.
    pub(crate) fn new(kid: &str, algorithm: Algorithm) -> Self {
        let random = SystemRandom::new();
        let encoding = match algorithm.family() {
            Family::Hmac => EncodingKey::from_secret(b"a secret of the legacy application"),
            Family::Rsa => rsa(0),
            Family::Ec => {
                EncodingKey::from_ec_der(EcdsaKeyPair::generate_pkcs8(curve(algorithm), &random).unwrap().as_ref())
            }
            Family::Ed => EncodingKey::from_ed_der(Ed25519KeyPair::generate_pkcs8(&random).unwrap().as_ref()),
        };
        Self { kid: Some(kid.to_owned()), algorithm, encoding }
    }

    /// An RSA key that is not the one of [`TestKey::new`].
    pub(crate) fn other_rsa(kid: &str) -> Self {
        Self { kid: Some(kid.to_owned()), algorithm: Algorithm::RS256, encoding: rsa(1) }
    }

    /// A shared secret, or what an attacker takes for one.
    pub(crate) fn hmac(secret: &[u8]) -> Self {
        Self { kid: None, algorithm: Algorithm::HS256, encoding: EncodingKey::from_secret(secret) }
    }

    pub(crate) fn named(self, kid: Option<&str>) -> Self {
        Self { kid: kid.map(str::to_owned), ..self }
    }

    /// The public key as a JWK with `alg` and `use`.
    pub(crate) fn jwk(&self) -> Value {
        let mut jwk = match self.p521() {
            Some(pair) => {
                let (x, y) = pair.public_key().as_ref()[1..].split_at(66);
                let [x, y] = [x, y].map(|coordinate| URL_SAFE_NO_PAD.encode(coordinate));
                json!({ "kty": "EC", "crv": "P-521", "alg": "ES512", "x": x, "y": y })
            }
            None => {
                serde_json::to_value(Jwk::from_encoding_key(&self.encoding, self.library_algorithm()).unwrap()).unwrap()
            }
        };
        jwk["use"] = json!("sig");
        if let Some(kid) = &self.kid {
            jwk["kid"] = json!(kid);
        }
        jwk
    }

    /// The header that goes with the key.
    pub(crate) fn header(&self) -> Value {
        let mut header = json!({"alg": self.algorithm.name(), "typ": "at+jwt"});
        if let Some(kid) = &self.kid {
            header["kid"] = json!(kid);
        }
        header
    }

    /// A token with these claims.
    pub(crate) fn token(&self, claims: &Value) -> String {
        self.signed(&self.header().to_string(), &claims.to_string())
    }

    /// A token with this header and these claims, whatever they say.
    pub(crate) fn signed(&self, header: &str, claims: &str) -> String {
        let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        let signature = match self.p521() {
            Some(pair) => URL_SAFE_NO_PAD.encode(pair.sign(&SystemRandom::new(), message.as_bytes()).unwrap()),
            None => jsonwebtoken::crypto::sign(message.as_bytes(), &self.encoding, self.library_algorithm()).unwrap(),
        };
        format!("{message}.{signature}")
    }

    /// The one key that the library does not know.
    fn p521(&self) -> Option<EcdsaKeyPair> {
        (self.algorithm == Algorithm::ES512)
            .then(|| EcdsaKeyPair::from_pkcs8(curve(self.algorithm), self.encoding.as_bytes()).unwrap())
    }

    fn library_algorithm(&self) -> jsonwebtoken::Algorithm {
        self.algorithm.name().parse().unwrap()
    }

    /// The public key in PEM.
    pub(crate) fn public_pem(&self) -> String {
        let spki = match self.algorithm.family() {
            Family::Hmac => unreachable!("a secret has no public half"),
            Family::Rsa => AsDer::<PublicKeyX509Der<'_>>::as_der(RSA[0].public_key()).unwrap().as_ref().to_vec(),
            Family::Ec => {
                let pair = EcdsaKeyPair::from_pkcs8(curve(self.algorithm), self.encoding.as_bytes()).unwrap();
                AsDer::<PublicKeyX509Der<'_>>::as_der(pair.public_key()).unwrap().as_ref().to_vec()
            }
            Family::Ed => {
                let pair = Ed25519KeyPair::from_pkcs8(self.encoding.as_bytes()).unwrap();
                AsDer::<PublicKeyX509Der<'_>>::as_der(pair.public_key()).unwrap().as_ref().to_vec()
            }
        };
        pem("PUBLIC KEY", &spki)
    }
}

fn curve(algorithm: Algorithm) -> &'static EcdsaSigningAlgorithm {
    match algorithm {
        Algorithm::ES256 => &ECDSA_P256_SHA256_FIXED_SIGNING,
        Algorithm::ES384 => &ECDSA_P384_SHA384_FIXED_SIGNING,
        _ => &ECDSA_P521_SHA512_FIXED_SIGNING,
    }
}

fn rsa(index: usize) -> EncodingKey {
    let pkcs8 = AsDer::<Pkcs8V1Der<'_>>::as_der(&RSA[index]).unwrap();
    EncodingKey::from_rsa_pem(pem("PRIVATE KEY", pkcs8.as_ref()).as_bytes()).unwrap()
}

fn pem(label: &str, der: &[u8]) -> String {
    let encoded = STANDARD.encode(der);
    let lines: Vec<_> = encoded.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}
