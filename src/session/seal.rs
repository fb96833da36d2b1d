//! Sealing: what leaves for a browser and comes back, readable and writable by Usher alone.
//!
//! AES-256-GCM with a random 96-bit nonce. Each key comes from a configured secret of any length by HKDF-SHA256
//! (RFC 5869); what the value is for stands in the associated data, so that a value sealed for one purpose does not open
//! for another. Under one secret at most 2³² values should be sealed (NIST SP 800-38D §8.3); at a hundred sign-ins and
//! renewals per second that is sixteen months, and a list of secrets rotates. This module does *not* know about time:
//! what is sealed carries its own.

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::config::Secret;

/// The first byte of everything sealed: layout and algorithms as described above.
const VERSION: u8 = 1;
/// Names this use of the secret, so that no other key made of it is the same.
const KEY_INFO: &[u8] = b"usher seal v1";
const TAG_LEN: usize = 16;

/// Why a sealed value did not open. Always treated as if the value were not there: the client's doing, or the
/// operator's, who took a secret away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// Not Base64, or too short: the client sent something else.
    #[error("the value was not sealed by Usher")]
    Malformed,
    /// Sealed by a newer or older Usher whose layout this one does not know.
    #[error("the value was sealed in a layout that is not known here")]
    UnknownVersion,
    /// Changed on the way, sealed under a secret that is not configured, or for another purpose.
    #[error("the value was changed, or sealed under another secret or for another purpose")]
    NotAuthentic,
    /// The cryptographic library failed, for want of randomness most likely. Our host's trouble.
    #[error("sealing failed")]
    Failed,
}

/// Seals and opens. The first secret seals, all of them open.
pub struct Sealer {
    keys: Vec<RandomizedNonceKey>,
}

impl Sealer {
    /// Derives one key from each secret.
    ///
    /// # Errors
    /// [`SealError::Failed`] when a key cannot be made, which the library gives no reason to expect.
    pub fn new(secrets: &[Secret]) -> Result<Self, SealError> {
        let keys = secrets.iter().map(derive).collect::<Result<_, _>>()?;
        Ok(Self { keys })
    }

    /// Seals `plaintext` for `purpose` (and whatever else the caller binds in: the issuer, the cookie's name). The result
    /// is Base64url without padding: a third longer than the plaintext, and 39 characters more.
    ///
    /// # Errors
    /// [`SealError::Failed`] when there is no randomness or no secret.
    pub fn seal(&self, purpose: &str, plaintext: &[u8]) -> Result<String, SealError> {
        let key = self.keys.first().ok_or(SealError::Failed)?;
        let mut text = plaintext.to_vec();
        let nonce = key.seal_in_place_append_tag(bound(purpose), &mut text).map_err(|_| SealError::Failed)?;
        let mut sealed = Vec::with_capacity(1 + NONCE_LEN + text.len());
        sealed.push(VERSION);
        sealed.extend_from_slice(nonce.as_ref());
        sealed.append(&mut text);
        Ok(URL_SAFE_NO_PAD.encode(sealed))
    }

    /// Opens what was sealed for the same purpose.
    ///
    /// # Errors
    /// For everything that is not exactly that; see [`SealError`].
    pub fn open(&self, purpose: &str, sealed: &str) -> Result<Vec<u8>, SealError> {
        let bytes = URL_SAFE_NO_PAD.decode(sealed).map_err(|_| SealError::Malformed)?;
        let (&version, rest) = bytes.split_first().ok_or(SealError::Malformed)?;
        if version != VERSION {
            return Err(SealError::UnknownVersion);
        }
        let (nonce, text) = rest.split_first_chunk::<NONCE_LEN>().ok_or(SealError::Malformed)?;
        if text.len() < TAG_LEN {
            return Err(SealError::Malformed);
        }
        self.keys.iter().find_map(|key| open_with(key, purpose, nonce, text)).ok_or(SealError::NotAuthentic)
    }
}

fn open_with(key: &RandomizedNonceKey, purpose: &str, nonce: &[u8; NONCE_LEN], text: &[u8]) -> Option<Vec<u8>> {
    // A failed attempt overwrites its input, so each key gets a copy.
    let mut copy = text.to_vec();
    let length = key.open_in_place(Nonce::from(nonce), bound(purpose), &mut copy).ok()?.len();
    copy.truncate(length);
    Some(copy)
}

fn bound(purpose: &str) -> Aad<Vec<u8>> {
    let mut data = Vec::with_capacity(1 + purpose.len());
    data.push(VERSION);
    data.extend_from_slice(purpose.as_bytes());
    Aad::from(data)
}

fn derive(secret: &Secret) -> Result<RandomizedNonceKey, SealError> {
    let extracted = Salt::new(HKDF_SHA256, &[]).extract(secret.expose());
    let mut key = zeroize::Zeroizing::new([0; 32]);
    extracted
        .expand(&[KEY_INFO], &AES_256_GCM)
        .and_then(|expanded| expanded.fill(key.as_mut()))
        .map_err(|_| SealError::Failed)?;
    RandomizedNonceKey::new(&AES_256_GCM, key.as_ref()).map_err(|_| SealError::Failed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::formats::committed;
    use proptest::prelude::*;

    fn sealer(secrets: &[&str]) -> Sealer {
        let secrets: Vec<_> = secrets.iter().map(|secret| Secret::new(secret.as_bytes().to_vec())).collect();
        Sealer::new(&secrets).unwrap()
    }

    #[test]
    fn two_seals_of_one_value_differ() {
        let sealer = sealer(&["s"]);
        assert_ne!(sealer.seal("p", b"value"), sealer.seal("p", b"value"));
    }

    #[test]
    fn after_a_rotation_old_values_open_and_new_ones_are_under_the_new_secret() {
        let (old, both, new) = (sealer(&["old"]), sealer(&["new", "old"]), sealer(&["new"]));
        let before = old.seal("p", b"value").unwrap();
        assert_eq!(both.open("p", &before), Ok(b"value".to_vec()));
        let after = both.seal("p", b"value").unwrap();
        assert_eq!(new.open("p", &after), Ok(b"value".to_vec()));
        assert_eq!(old.open("p", &after), Err(SealError::NotAuthentic));
        assert_eq!(new.open("p", &before), Err(SealError::NotAuthentic));
    }

    #[test]
    fn what_was_sealed_once_opens() {
        let sealed = committed("seal", "value");
        assert_eq!(sealer(&["a session secret"]).open("purpose", &sealed), Ok(b"a value".to_vec()));
    }

    #[test]
    fn another_version_is_told_apart_from_a_forgery() {
        let sealed = sealer(&["s"]).seal("p", b"value").unwrap();
        let mut bytes = URL_SAFE_NO_PAD.decode(sealed).unwrap();
        bytes[0] = 2;
        assert_eq!(sealer(&["s"]).open("p", &URL_SAFE_NO_PAD.encode(bytes)), Err(SealError::UnknownVersion));
    }

    #[test]
    fn without_a_secret_nothing_is_sealed() {
        assert_eq!(sealer(&[]).seal("p", b"value"), Err(SealError::Failed));
    }

    proptest! {
        #[test]
        fn what_was_sealed_opens_under_secrets_of_any_length(
            secret in prop::collection::vec(any::<u8>(), 1..200),
            purpose in ".{0,20}",
            value in prop::collection::vec(any::<u8>(), 0..300),
        ) {
            let sealer = Sealer::new(&[Secret::new(secret)]).unwrap();
            let sealed = sealer.seal(&purpose, &value).unwrap();
            prop_assert_eq!(sealer.open(&purpose, &sealed), Ok(value));
        }

        #[test]
        fn purposes_do_not_cross(one in ".{0,20}", other in ".{0,20}") {
            prop_assume!(one != other);
            let sealer = sealer(&["s"]);
            let sealed = sealer.seal(&one, b"value").unwrap();
            prop_assert_eq!(sealer.open(&other, &sealed), Err(SealError::NotAuthentic));
        }

        #[test]
        fn a_bit_flipped_at_any_position_fails(value in prop::collection::vec(any::<u8>(), 0..40)) {
            let sealer = sealer(&["s"]);
            let sealed = URL_SAFE_NO_PAD.decode(sealer.seal("p", &value).unwrap()).unwrap();
            for position in 0..sealed.len() * 8 {
                let mut flipped = sealed.clone();
                flipped[position / 8] ^= 1 << (position % 8);
                prop_assert!(sealer.open("p", &URL_SAFE_NO_PAD.encode(flipped)).is_err());
            }
        }

        #[test]
        fn a_character_changed_or_cut_at_any_position_fails(value in prop::collection::vec(any::<u8>(), 0..40)) {
            let sealer = sealer(&["s"]);
            let sealed = sealer.seal("p", &value).unwrap();
            for position in 0..sealed.len() {
                prop_assert!(sealer.open("p", sealed.get(..position).unwrap()).is_err());
                let mut changed = sealed.clone().into_bytes();
                changed[position] = if changed[position] == b'A' { b'B' } else { b'A' };
                prop_assert!(sealer.open("p", std::str::from_utf8(&changed).unwrap()).is_err());
            }
        }

        #[test]
        fn garbage_is_an_error_and_never_a_panic(garbage in ".{0,100}") {
            prop_assert!(sealer(&["s"]).open("p", &garbage).is_err());
        }
    }
}
