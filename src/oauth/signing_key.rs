//! A private key that signs JWTs (RFC 7515), and its public half as others are told it (RFC 7517).

use std::fmt;

use aws_lc_rs::encoding::AsBigEndian as _;
use aws_lc_rs::signature::Ed25519KeyPair;
use jsonwebtoken::errors::{Error, ErrorKind};
use jsonwebtoken::jwk::{Jwk, JwkSet, PublicKeyUse, ThumbprintHash};
use jsonwebtoken::{EncodingKey, Header};
use serde::Serialize;
use zeroize::Zeroizing;

use super::algorithm::{Algorithm, Family};

/// A key for one algorithm. Two are equal when they publish the same.
#[derive(Clone)]
pub struct SigningKey {
    key: EncodingKey,
    algorithm: jsonwebtoken::Algorithm,
    kid: String,
    jwk: Jwk,
}

impl SigningKey {
    /// The key in this PEM (PKCS#8), whose name is its thumbprint (RFC 7638) unless another one is given. It has signed once when
    /// it is returned, so it can.
    ///
    /// # Errors
    /// It is no key, or none for this algorithm.
    pub fn from_pem(pem: &[u8], algorithm: Algorithm, kid: Option<&str>) -> Result<Self, Error> {
        let key = match algorithm.family() {
            Family::Rsa => EncodingKey::from_rsa_pem(pem)?,
            Family::Ec => EncodingKey::from_ec_pem(pem)?,
            Family::Ed => ed25519(pem)?,
            Family::Hmac => return Err(ErrorKind::InvalidAlgorithm.into()),
        };
        let algorithm: jsonwebtoken::Algorithm = algorithm.name().parse()?;
        let mut jwk = Jwk::from_encoding_key(&key, algorithm)?;
        let kid = kid.map_or_else(|| jwk.thumbprint(ThumbprintHash::SHA256), |kid| Ok(kid.to_owned()))?;
        jwk.common.key_id = Some(kid.clone());
        jwk.common.public_key_use = Some(PublicKeyUse::Signature);
        let key = Self { key, algorithm, kid, jwk };
        key.sign("JWT", &())?;
        Ok(key)
    }

    /// The kind of key in this PEM, if it is one that signs.
    #[must_use]
    pub fn family(pem: &[u8]) -> Option<Family> {
        let kinds = [
            (Family::Rsa, EncodingKey::from_rsa_pem as fn(&[u8]) -> Result<EncodingKey, Error>),
            (Family::Ec, EncodingKey::from_ec_pem),
            (Family::Ed, EncodingKey::from_ed_pem),
        ];
        kinds.into_iter().find(|(_, read)| read(pem).is_ok()).map(|(family, _)| family)
    }

    /// Signs these claims as a JWT of this type.
    ///
    /// # Errors
    /// The claims are no JSON object, or the system has no randomness.
    pub fn sign(&self, token_type: &str, claims: &impl Serialize) -> Result<String, Error> {
        let mut header = Header::new(self.algorithm);
        header.typ = Some(token_type.to_owned());
        header.kid = Some(self.kid.clone());
        jsonwebtoken::encode(&header, claims, &self.key)
    }

    /// Its name in a key set.
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The public halves of these keys as a JWK Set.
    ///
    /// # Errors
    /// It cannot be written. Ours.
    pub fn set<'a>(keys: impl IntoIterator<Item = &'a Self>) -> Result<Vec<u8>, Error> {
        Ok(serde_json::to_vec(&JwkSet { keys: keys.into_iter().map(|key| key.jwk.clone()).collect() })?)
    }
}

/// An Ed25519 key in the form of RFC 8410 §7 without its public half, whatever form it has: only of that one can a JWK be made.
fn ed25519(pem: &[u8]) -> Result<EncodingKey, Error> {
    const START: [u8; 16] = *b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20";
    let key = EncodingKey::from_ed_pem(pem)?;
    let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(key.as_bytes());
    let seed = pair.ok().and_then(|pair| pair.seed().ok()?.as_be_bytes().ok()).ok_or(ErrorKind::InvalidEddsaKey)?;
    let der = Zeroizing::new([&START, seed.as_ref()].concat());
    Ok(EncodingKey::from_ed_der(&der))
}

impl PartialEq for SigningKey {
    fn eq(&self, other: &Self) -> bool {
        self.jwk == other.jwk
    }
}

impl Eq for SigningKey {}

/// Shows the name, never the key.
impl fmt::Debug for SigningKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("SigningKey").field("kid", &self.kid).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn pem(algorithm: &'static rcgen::SignatureAlgorithm) -> String {
        rcgen::KeyPair::generate_for(algorithm).unwrap().serialize_pem()
    }

    #[test]
    fn a_key_signs_with_the_algorithms_of_its_kind_and_publishes_no_more_than_its_public_half() {
        let rsa = pem(&rcgen::PKCS_RSA_SHA256);
        for (pem, family, fitting) in [
            (&rsa, Family::Rsa, &[Algorithm::RS256, Algorithm::PS256][..]),
            (&pem(&rcgen::PKCS_ECDSA_P256_SHA256), Family::Ec, &[Algorithm::ES256]),
            (&pem(&rcgen::PKCS_ECDSA_P384_SHA384), Family::Ec, &[Algorithm::ES384]),
            (&pem(&rcgen::PKCS_ED25519), Family::Ed, &[Algorithm::EdDSA]),
        ] {
            assert_eq!(SigningKey::family(pem.as_bytes()), Some(family));
            for algorithm in [Algorithm::RS256, Algorithm::PS256, Algorithm::ES256, Algorithm::ES384, Algorithm::EdDSA]
            {
                let key = SigningKey::from_pem(pem.as_bytes(), algorithm, None);
                assert_eq!(key.is_ok(), fitting.contains(&algorithm), "{algorithm:?}");
                let Ok(key) = key else { continue };
                let set: Value = serde_json::from_slice(&SigningKey::set([&key]).unwrap()).unwrap();
                let jwk = set["keys"][0].as_object().unwrap();
                assert_eq!((&jwk["kid"], &jwk["use"]), (&json!(key.kid()), &json!("sig")));
                assert!(!["d", "p", "q", "k"].iter().any(|private| jwk.contains_key(*private)), "{jwk:?}");
                let token = key.sign("JWT", &json!({ "a": 1 })).unwrap();
                let public = jsonwebtoken::DecodingKey::from_jwk(&key.jwk).unwrap();
                let mut rules = jsonwebtoken::Validation::new(key.algorithm);
                rules.required_spec_claims.clear();
                rules.validate_exp = false;
                assert_eq!(jsonwebtoken::decode::<Value>(&token, &public, &rules).unwrap().claims, json!({ "a": 1 }));
            }
        }
        let named = SigningKey::from_pem(rsa.as_bytes(), Algorithm::RS256, Some("k1")).unwrap();
        assert_eq!((named.kid(), format!("{named:?}").contains("BEGIN")), ("k1", false));
        assert_ne!(named, SigningKey::from_pem(rsa.as_bytes(), Algorithm::PS256, Some("k1")).unwrap());
        for none in ["", "not a key", &rcgen::KeyPair::generate().unwrap().public_key_pem()] {
            assert_eq!(SigningKey::family(none.as_bytes()), None, "{none}");
        }
    }
}
