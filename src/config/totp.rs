//! Secrets of one-time passwords as they stand in a users file: base32, as authenticator apps take them. No code is made or
//! compared here.

use std::fmt;

use data_encoding::BASE32_NOPAD;

use super::Secret;

/// Bytes: 128 bits at least (RFC 4226 §4, R6). More than SHA-1's block of 64 would only be hashed down.
const LENGTH: std::ops::RangeInclusive<usize> = 16..=64;

/// What a user's authenticator app and Usher both know (RFC 6238).
#[derive(Clone, PartialEq, Eq)]
pub struct TotpSecret(Secret);

/// Why a text is no secret of one-time passwords. The operator's mistakes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TotpError {
    /// Something else than base32, or cut.
    #[error("is not base32 without spaces and padding: capital letters, and digits from 2 to 7")]
    NotBase32,
    /// It could be guessed, or is no secret of an authenticator app.
    #[error("is not a secret of 16 to 64 bytes, which are 26 to 103 characters")]
    Length,
}

impl TotpSecret {
    /// Reads base32 (RFC 4648 §6) without padding.
    ///
    /// # Errors
    /// [`TotpError`].
    pub fn parse(text: &[u8]) -> Result<Self, TotpError> {
        let secret = Secret::new(BASE32_NOPAD.decode(text).map_err(|_| TotpError::NotBase32)?);
        if LENGTH.contains(&secret.expose().len()) { Ok(Self(secret)) } else { Err(TotpError::Length) }
    }

    /// The bytes. Whoever has them makes codes.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        self.0.expose()
    }
}

impl fmt::Debug for TotpSecret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("TotpSecret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_base32_of_enough_bytes_and_nothing_else() {
        let good = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
        assert_eq!(TotpSecret::parse(good.as_bytes()).unwrap().expose(), b"12345678901234567890");
        assert_eq!(TotpSecret::parse(&[b'A'; 103]).unwrap().expose().len(), 64);
        for text in [
            &good.to_lowercase(),
            "GEZD GNBV GY3T QOJQ GEZD GNBV GY3T QOJQ",
            "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQ===",
            "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJ1",
            "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQA",
            "12345678901234567890",
            "wonderland",
        ] {
            assert_eq!(TotpSecret::parse(text.as_bytes()), Err(TotpError::NotBase32), "{text}");
        }
        for length in [0, 16, 24, 104, 1_000] {
            assert_eq!(TotpSecret::parse(&vec![b'A'; length]), Err(TotpError::Length), "{length}");
        }
        assert_eq!(format!("{:?}", TotpSecret::parse(good.as_bytes())), "Ok(TotpSecret(…))");
    }
}
