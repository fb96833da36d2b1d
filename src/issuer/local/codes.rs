//! One-time passwords of an authenticator app (RFC 6238): made of a secret and the time by HMAC-SHA-1, six digits, a new one
//! every 30 seconds, which is what every such app understands.
//!
//! A code counts in its own step, and in the one before and after it: clocks differ, and people take their time. It counts
//! once (RFC 6238 §5.2), and none of an earlier step counts after it: the store knows the last step of each user.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::{hmac, rand};
use data_encoding::BASE32_NOPAD;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::store::{self, Rows, StoreError, Table};
use crate::clock::Timestamp;
use crate::config::{FoldedName, TotpSecret};

/// Seconds of a step.
const STEP: u64 = 30;
/// Steps before and after the present one.
const WINDOW: u64 = 1;
/// RFC 4226 §4, R6: 160 bits are recommended.
const SECRET_BYTES: usize = 20;

/// There is no randomness. The system's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no randomness for a new secret")]
pub struct NoSecret;

/// A new secret in base32, as a users file and authenticator apps take it.
///
/// # Errors
/// [`NoSecret`].
pub fn new_secret() -> Result<Zeroizing<String>, NoSecret> {
    let mut bytes = Zeroizing::new([0; SECRET_BYTES]);
    rand::fill(bytes.as_mut()).map_err(|_| NoSecret)?;
    Ok(Zeroizing::new(BASE32_NOPAD.encode(bytes.as_ref())))
}

/// The step that this is the code of, if it is one that counts now. Spaces, as apps show them, do not matter.
pub(super) fn step_of(secret: &TotpSecret, presented: &str, now: Timestamp) -> Option<u64> {
    let presented: Zeroizing<String> = Zeroizing::new(presented.split_ascii_whitespace().collect());
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret.expose());
    let present = now.0 / STEP;
    let mut found = None;
    // All of them, whichever it is: how long it takes says nothing.
    for step in present.saturating_sub(WINDOW)..=present.saturating_add(WINDOW) {
        let code = Zeroizing::new(format!("{:06}", code(&key, step)));
        if verify_slices_are_equal(code.as_bytes(), presented.as_bytes()).is_ok() {
            found = Some(step);
        }
    }
    found
}

/// The code of this time, for tests.
#[cfg(test)]
pub(super) fn code_of(secret: &TotpSecret, now: Timestamp) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret.expose());
    format!("{:06}", code(&key, now.0 / STEP))
}

/// RFC 4226 §5.3: 31 bits, from where the last half byte says, to their last six digits.
fn code(key: &hmac::Key, step: u64) -> u32 {
    let tag = hmac::sign(key, &step.to_be_bytes());
    let offset = usize::from(tag.as_ref().last().copied().unwrap_or_default() & 0xf);
    let bits = tag.as_ref().get(offset..).and_then(|rest| rest.first_chunk::<4>()).copied().unwrap_or_default();
    (u32::from_be_bytes(bits) & 0x7fff_ffff) % 1_000_000
}

/// The last code of a user that counted.
#[derive(Serialize, Deserialize)]
struct Spent {
    /// Of which secret: another one begins anew, wherever a clock that was wrong has led this one.
    secret: [u8; 32],
    step: u64,
}

/// Spends the code of a step. False when it, or a later one, was spent before.
pub(super) fn spend(
    rows: &mut dyn Rows,
    user: &FoldedName,
    secret: &TotpSecret,
    step: u64,
) -> Result<bool, StoreError> {
    let (key, secret) = (user.as_str().as_bytes(), store::sha256(secret.expose()));
    let before: Option<Spent> = store::read(rows, Table::Codes, key)?;
    if before.is_some_and(|before| before.secret == secret && before.step >= step) {
        return Ok(false);
    }
    store::write(rows, Table::Codes, key, &Spent { secret, step })?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::issuer::local::store::Store;

    /// That of RFC 6238, appendix B.
    fn secret() -> TotpSecret {
        TotpSecret::parse(b"GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ").unwrap()
    }

    /// Their last six of eight digits.
    const VECTORS: [(u64, &str); 6] = [
        (59, "287082"),
        (1_111_111_109, "081804"),
        (1_111_111_111, "050471"),
        (1_234_567_890, "005924"),
        (2_000_000_000, "279037"),
        (20_000_000_000, "353130"),
    ];

    #[test]
    fn codes_are_those_of_rfc_6238_appendix_b() {
        for (time, code) in VECTORS {
            assert_eq!(step_of(&secret(), code, Timestamp(time)), Some(time / 30), "{time}");
        }
    }

    #[test]
    fn a_code_counts_in_its_step_and_the_ones_beside_it() {
        let counts = |now| step_of(&secret(), "005924", Timestamp(now)).is_some();
        let step = 1_234_567_890;
        let times = [step - 31, step - 30, step, step + 29, step + 59, step + 60];
        assert_eq!(times.map(counts), [false, true, true, true, true, false]);
        assert_eq!(step_of(&secret(), "005 924 ", Timestamp(step)), Some(step / 30));
        for other in ["", "5924", "00592", "0005924", "005925", "00592４", "005924005924"] {
            assert_eq!(step_of(&secret(), other, Timestamp(step)), None, "{other}");
        }
        step_of(&secret(), "005924", Timestamp(0));
        step_of(&secret(), "005924", Timestamp(u64::MAX));
    }

    #[test]
    fn a_code_is_spent_once_with_all_before_it_and_another_secret_begins_anew() {
        let (store, alice) = (Store::in_memory(), FoldedName::of("alice"));
        let spend = |user: &FoldedName, secret: &TotpSecret, step| {
            store.change(|rows| super::spend(rows, user, secret, step)).unwrap()
        };
        assert_eq!([5, 5, 4, 6, 6].map(|step| spend(&alice, &secret(), step)), [true, false, false, true, false]);
        assert!(spend(&FoldedName::of("bob"), &secret(), 4));
        let other = TotpSecret::parse(new_secret().unwrap().as_bytes()).unwrap();
        assert_eq!([3, 3].map(|step| spend(&alice, &other, step)), [true, false]);
    }

    #[test]
    fn new_secrets_are_of_160_bits_and_differ() {
        let [one, other] = [(); 2].map(|()| TotpSecret::parse(new_secret().unwrap().as_bytes()).unwrap());
        assert_eq!(one.expose().len(), 20);
        assert_ne!(one, other);
    }
}
