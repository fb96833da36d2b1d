//! One verification key of an issuer: what it may verify, and whether it still counts.
//!
//! A key is bound to the algorithms of its own kind (RFC 8725 §3.1): an RSA key never verifies an HMAC, whatever a
//! token's header says. Weak and broken keys are refused when they are read, not when they are used.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ECDSA_P521_SHA512_FIXED, ED25519, ParsedPublicKey,
    RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256,
    RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, RsaPublicKeyComponents, VerificationAlgorithm,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::crypto::aws_lc;
use jsonwebtoken::{AlgorithmFamily, DecodingKey};

use crate::config::Secret;
use crate::oauth::Algorithm;

/// Bits of an RSA modulus: fewer are weak (RFC 7518 §3.3), more cost too much time.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// Why a key does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyRejected {
    /// It is not a key of the kind that it says it is.
    #[error("it cannot be read")]
    Unreadable,
    /// An RSA key shorter than 2048 bits, or longer than 8192.
    #[error("its modulus has {0} bits, not 2048 to 8192")]
    RsaSize(usize),
    /// Its type, curve or use is not one that verifies signatures here.
    #[error("it is not for verifying signatures with a supported algorithm")]
    Unsupported,
    /// A symmetric or private key in a public key set: everybody could sign with it.
    #[error("a secret key is published")]
    Published,
    /// None of the issuer's configured algorithms fits it.
    #[error("none of the configured algorithms fits it")]
    NoAlgorithm,
    /// Another key of the set has the same `kid`, or is the same key without one.
    #[error("the set has another key of its name, or has it already")]
    Repeated,
}

/// A key that verifies signatures. Parsed once, for each algorithm that it may verify: parsing costs a third of a check.
pub struct Key {
    kid: Option<Box<str>>,
    /// Never empty, all of one family: one when the key names it, else the configured ones that fit its type.
    checks: Vec<(Algorithm, Check)>,
    /// What tells one public key from another.
    public: Box<[u8]>,
    /// The issuer no longer publishes the key: what it signed no longer counts.
    withdrawn: AtomicBool,
}

/// A key, ready for one algorithm.
enum Check {
    Signature(ParsedPublicKey),
    Mac(Box<hmac::Key>),
}

/// What a key is made of, before it is known what it is for.
pub(super) enum Material {
    /// An RSA key by modulus and exponent, big-endian, checked.
    Rsa {
        n: Box<[u8]>,
        e: Box<[u8]>,
    },
    /// A point on P-256, P-384 or P-521, uncompressed.
    Ec(Box<[u8]>),
    Ed25519(Box<[u8]>),
    Hmac(Secret),
}

impl Material {
    /// An RSA key by modulus and exponent, big-endian.
    pub(super) fn rsa(modulus: &[u8], exponent: &[u8]) -> Result<Self, KeyRejected> {
        // Some issuers put a zero byte in front, as DER would.
        let (n, e) = (without_leading_zeros(modulus), without_leading_zeros(exponent));
        let bits = n.first().map_or(0, |first| n.len() * 8 - first.leading_zeros() as usize);
        if !RSA_BITS.contains(&bits) {
            return Err(KeyRejected::RsaSize(bits));
        }
        // Odd, and greater than 1: with 1, every signature would be its own message.
        if e == [1] || e.last().is_none_or(|last| last % 2 == 0) {
            return Err(KeyRejected::Unreadable);
        }
        Ok(Self::Rsa { n: n.into(), e: e.into() })
    }

    /// A point on P-256, P-384 or P-521, uncompressed (SEC 1 §2.3.3): the curve is told by its length.
    pub(super) fn ec(point: &[u8]) -> Result<Self, KeyRejected> {
        if matches!(point.len(), 65 | 97 | 133) { Ok(Self::Ec(point.into())) } else { Err(KeyRejected::Unsupported) }
    }

    /// An Ed25519 key (RFC 8037).
    pub(super) fn ed25519(bytes: &[u8]) -> Self {
        Self::Ed25519(bytes.into())
    }

    /// A shared secret.
    pub(super) const fn hmac(secret: Secret) -> Self {
        Self::Hmac(secret)
    }

    /// The key, ready for one algorithm; `None` when that takes another kind of key.
    ///
    /// # Errors
    /// [`KeyRejected::Unreadable`] when these bytes are no such key.
    fn check(&self, algorithm: Algorithm) -> Result<Option<Check>, KeyRejected> {
        use Algorithm as A;
        let parsed = match (self, algorithm) {
            (Self::Rsa { n, e }, A::RS256 | A::RS384 | A::RS512 | A::PS256 | A::PS384 | A::PS512) => {
                let parameters = match algorithm {
                    A::RS384 => &RSA_PKCS1_2048_8192_SHA384,
                    A::RS512 => &RSA_PKCS1_2048_8192_SHA512,
                    A::PS256 => &RSA_PSS_2048_8192_SHA256,
                    A::PS384 => &RSA_PSS_2048_8192_SHA384,
                    A::PS512 => &RSA_PSS_2048_8192_SHA512,
                    _ => &RSA_PKCS1_2048_8192_SHA256,
                };
                RsaPublicKeyComponents { n, e }.to_parsed_public_key(parameters).map_err(|_| KeyRejected::Unreadable)?
            }
            (Self::Ec(point), A::ES256) if point.len() == 65 => parse(&ECDSA_P256_SHA256_FIXED, point)?,
            (Self::Ec(point), A::ES384) if point.len() == 97 => parse(&ECDSA_P384_SHA384_FIXED, point)?,
            (Self::Ec(point), A::ES512) if point.len() == 133 => parse(&ECDSA_P521_SHA512_FIXED, point)?,
            (Self::Ed25519(bytes), A::EdDSA) => parse(&ED25519, bytes)?,
            (Self::Hmac(secret), A::HS256) => return Ok(Some(mac(hmac::HMAC_SHA256, secret))),
            (Self::Hmac(secret), A::HS384) => return Ok(Some(mac(hmac::HMAC_SHA384, secret))),
            (Self::Hmac(secret), A::HS512) => return Ok(Some(mac(hmac::HMAC_SHA512, secret))),
            _ => return Ok(None),
        };
        Ok(Some(Check::Signature(parsed)))
    }

    /// A public key in PEM: SPKI, or PKCS#1 for RSA.
    pub(super) fn pem(pem: &[u8]) -> Result<Self, KeyRejected> {
        let readers = [DecodingKey::from_rsa_pem, DecodingKey::from_ec_pem, DecodingKey::from_ed_pem];
        let key = readers.iter().find_map(|read| read(pem).ok()).ok_or(KeyRejected::Unreadable)?;
        let bytes = key.try_get_as_bytes().map_err(|_| KeyRejected::Unreadable)?;
        match key.family() {
            AlgorithmFamily::Rsa => {
                let components = aws_lc::DEFAULT_PROVIDER.key_utils.rsa_pub_components_from_public_key;
                let (n, e) = components(bytes).map_err(|_| KeyRejected::Unreadable)?;
                Self::rsa(&n, &e)
            }
            AlgorithmFamily::Ec => Self::ec(bytes),
            AlgorithmFamily::Ed => Ok(Self::ed25519(bytes)),
            AlgorithmFamily::Hmac => Err(KeyRejected::Published),
        }
    }

    /// The key, for the algorithm that it names or else for those of the issuer's that fit its type.
    ///
    /// # Errors
    /// [`KeyRejected::NoAlgorithm`] when none is left.
    pub(super) fn key(
        self,
        kid: Option<&str>,
        named: Option<Algorithm>,
        configured: &[Algorithm],
    ) -> Result<Key, KeyRejected> {
        let mut checks = Vec::with_capacity(1);
        for algorithm in configured.iter().copied() {
            if let Some(check) = self.check(algorithm)?
                && named.is_none_or(|named| named == algorithm)
            {
                checks.push((algorithm, check));
            }
        }
        if checks.is_empty() {
            return Err(KeyRejected::NoAlgorithm);
        }
        let public = match self {
            Self::Rsa { n, e } => [n, e].concat().into(),
            Self::Ec(bytes) | Self::Ed25519(bytes) => bytes,
            Self::Hmac(_) => Box::default(),
        };
        Ok(Key { kid: kid.map(Box::from), checks, public, withdrawn: AtomicBool::new(false) })
    }
}

fn parse(algorithm: &'static dyn VerificationAlgorithm, bytes: &[u8]) -> Result<ParsedPublicKey, KeyRejected> {
    ParsedPublicKey::new(algorithm, bytes).map_err(|_| KeyRejected::Unreadable)
}

fn mac(algorithm: hmac::Algorithm, secret: &Secret) -> Check {
    Check::Mac(Box::new(hmac::Key::new(algorithm, secret.expose())))
}

impl Key {
    /// The key's name in the set, if it has one.
    #[must_use]
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// Whether the key may verify this algorithm.
    #[must_use]
    pub fn fits(&self, algorithm: Algorithm) -> bool {
        self.check(algorithm).is_some()
    }

    /// Whether `signature` (base64url) is the key's own over `message`, by an algorithm that it may verify.
    #[must_use]
    pub fn verifies(&self, message: &[u8], signature: &str, algorithm: Algorithm) -> bool {
        let Ok(signature) = URL_SAFE_NO_PAD.decode(signature) else { return false };
        match self.check(algorithm) {
            Some(Check::Signature(key)) => key.verify_sig(message, &signature).is_ok(),
            Some(Check::Mac(key)) => hmac::verify(key, message, &signature).is_ok(),
            None => false,
        }
    }

    fn check(&self, algorithm: Algorithm) -> Option<&Check> {
        self.checks.iter().find(|(fitting, _)| *fitting == algorithm).map(|(_, check)| check)
    }

    /// What it may verify.
    pub(super) fn algorithms(&self) -> impl Iterator<Item = Algorithm> {
        self.checks.iter().map(|(algorithm, _)| *algorithm)
    }

    /// Whether the issuer has stopped publishing the key, so that what it signed no longer counts.
    #[must_use]
    pub fn is_withdrawn(&self) -> bool {
        self.withdrawn.load(Ordering::Relaxed)
    }

    pub(super) fn withdraw(&self) {
        self.withdrawn.store(true, Ordering::Relaxed);
    }

    /// Whether both are one and the same public key under the same name.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.kid == other.kid && self.public == other.public && self.algorithms().eq(other.algorithms())
    }
}

/// Shows the name and the algorithms, never the key: it may be a shared secret.
impl fmt::Debug for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let algorithms: Vec<_> = self.algorithms().collect();
        formatter.debug_struct("Key").field("kid", &self.kid).field("algorithms", &algorithms).finish_non_exhaustive()
    }
}

fn without_leading_zeros(bytes: &[u8]) -> &[u8] {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    bytes.get(zeros..).unwrap_or_default()
}
