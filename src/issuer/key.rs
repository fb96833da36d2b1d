//! One verification key of an issuer: what it may verify, and whether it still counts.
//!
//! A key is bound to the algorithms of its own kind (RFC 8725 §3.1): an RSA key never verifies an HMAC, whatever a
//! token's header says. Weak and broken keys are refused when they are read, not when they are used.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256,
    RsaPublicKeyComponents,
};
use jsonwebtoken::crypto::{aws_lc, verify};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, DecodingKeyKind};

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
    /// Another key of the set has the same `kid`.
    #[error("another key has the same kid")]
    DuplicateKid,
}

/// A key that verifies signatures.
pub struct Key {
    kid: Option<Box<str>>,
    /// Never empty, all of one family: one when the key names it, else the configured ones that fit its type.
    algorithms: Vec<Algorithm>,
    decoding: DecodingKey,
    /// The issuer no longer publishes the key: what it signed no longer counts.
    withdrawn: AtomicBool,
}

/// The public part of a key, checked to be usable, and the algorithms that its type allows.
pub(super) struct Material {
    decoding: DecodingKey,
    fits: &'static [Algorithm],
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
        let components = RsaPublicKeyComponents { n, e };
        components.to_parsed_public_key(&RSA_PKCS1_2048_8192_SHA256).map_err(|_| KeyRejected::Unreadable)?;
        let fits = &[
            Algorithm::RS256,
            Algorithm::RS384,
            Algorithm::RS512,
            Algorithm::PS256,
            Algorithm::PS384,
            Algorithm::PS512,
        ];
        Ok(Self { decoding: DecodingKey::from_rsa_raw_components(n, e), fits })
    }

    /// A point on P-256 or P-384, uncompressed (SEC 1 §2.3.3): the curve is told by its length.
    pub(super) fn ec(point: &[u8]) -> Result<Self, KeyRejected> {
        let (parsed, fits): (_, &'static [Algorithm]) = match point.len() {
            65 => (ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point), &[Algorithm::ES256]),
            97 => (ParsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, point), &[Algorithm::ES384]),
            _ => return Err(KeyRejected::Unsupported),
        };
        parsed.map_err(|_| KeyRejected::Unreadable)?;
        Ok(Self { decoding: DecodingKey::from_ec_der(point), fits })
    }

    /// An Ed25519 key (RFC 8037).
    pub(super) fn ed25519(bytes: &[u8]) -> Result<Self, KeyRejected> {
        ParsedPublicKey::new(&ED25519, bytes).map_err(|_| KeyRejected::Unreadable)?;
        Ok(Self { decoding: DecodingKey::from_ed_der(bytes), fits: &[Algorithm::EdDSA] })
    }

    /// A shared secret.
    pub(super) fn hmac(secret: &[u8]) -> Self {
        let fits = &[Algorithm::HS256, Algorithm::HS384, Algorithm::HS512];
        Self { decoding: DecodingKey::from_secret(secret), fits }
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
            AlgorithmFamily::Ed => Self::ed25519(bytes),
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
        let usable =
            |algorithm: &Algorithm| self.fits.contains(algorithm) && named.is_none_or(|named| named == *algorithm);
        let algorithms: Vec<_> = configured.iter().copied().filter(usable).collect();
        if algorithms.is_empty() {
            return Err(KeyRejected::NoAlgorithm);
        }
        Ok(Key { kid: kid.map(Box::from), algorithms, decoding: self.decoding, withdrawn: AtomicBool::new(false) })
    }
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
        self.algorithms.contains(&algorithm)
    }

    /// Whether `signature` (base64url) is the key's own over `message`, by an algorithm that it may verify.
    #[must_use]
    pub fn verifies(&self, message: &[u8], signature: &str, algorithm: Algorithm) -> bool {
        self.fits(algorithm) && verify(signature, message, &self.decoding, algorithm).unwrap_or(false)
    }

    /// Whether the issuer has stopped publishing the key, so that what it signed no longer counts.
    #[must_use]
    pub fn is_withdrawn(&self) -> bool {
        self.withdrawn.load(Ordering::Relaxed)
    }

    pub(super) fn withdraw(&self) {
        self.withdrawn.store(true, Ordering::Relaxed);
    }

    /// Whether both are one and the same key under the same name.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.kid == other.kid && self.algorithms == other.algorithms && self.has_same_material(other)
    }

    fn has_same_material(&self, other: &Self) -> bool {
        match (self.decoding.kind(), other.decoding.kind()) {
            (DecodingKeyKind::SecretOrDer(one), DecodingKeyKind::SecretOrDer(two)) => one == two,
            (
                DecodingKeyKind::RsaModulusExponent { n, e },
                DecodingKeyKind::RsaModulusExponent { n: other_n, e: other_e },
            ) => n == other_n && e == other_e,
            _ => false,
        }
    }
}

/// Shows the name and the algorithms, never the key: it may be a shared secret.
impl fmt::Debug for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kid, algorithms, .. } = self;
        formatter.debug_struct("Key").field("kid", kid).field("algorithms", algorithms).finish_non_exhaustive()
    }
}

fn without_leading_zeros(bytes: &[u8]) -> &[u8] {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    bytes.get(zeros..).unwrap_or_default()
}
