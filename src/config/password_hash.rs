//! Password hashes as they stand in a users file: argon2id, or bcrypt from elsewhere. Nothing is hashed here.

use std::fmt;

use argon2::password_hash::phc;

use super::Secret;

/// KiB that a hash may take at least (OWASP's weakest setting) and at most (more would let a few sign-ins fill the memory).
const MEMORY: std::ops::RangeInclusive<u32> = 7 * 1024..=256 * 1024;
const MOST_PASSES: u32 = 10;
const MOST_LANES: u32 = 8;
/// Each step doubles the time; 14 takes a second.
const BCRYPT_COST: std::ops::RangeInclusive<u32> = 8..=14;

/// A hash that a password can be verified against, at a cost that is within bounds.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash {
    text: Secret,
    cost: Cost,
}

/// What verifying a password costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cost {
    /// Argon2id (RFC 9106).
    Argon2id {
        /// KiB.
        memory: u32,
        /// Passes over the memory.
        passes: u32,
        /// Lanes.
        lanes: u32,
    },
    /// bcrypt.
    Bcrypt {
        /// The logarithm of its rounds.
        cost: u32,
    },
}

/// Why a text is no hash that counts. The operator's mistakes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HashError {
    /// Not a hash at all, or a damaged one: it may be the password itself.
    #[error("is not an argon2id or bcrypt hash")]
    Unreadable,
    /// Another kind of hash, such as MD5-crypt or argon2i.
    #[error("is a hash of another kind than argon2id and bcrypt")]
    OtherKind,
    /// It could be guessed from too quickly, or verifying it would take too long.
    #[error("is a hash with a cost outside of the bounds")]
    Cost,
}

impl PasswordHash {
    /// Reads a hash: `$argon2id$v=19$…` (PHC), or `$2b$…` (also `2a`, `2y`).
    ///
    /// # Errors
    /// [`HashError`].
    pub fn parse(text: &str) -> Result<Self, HashError> {
        let cost = match text.split('$').nth(1) {
            Some("argon2id") => argon2id(text)?,
            Some("2a" | "2b" | "2y") => bcrypt(text)?,
            Some(_) if text.starts_with('$') => return Err(HashError::OtherKind),
            _ => return Err(HashError::Unreadable),
        };
        Ok(Self { text: Secret::new(text.as_bytes().to_vec()), cost })
    }

    /// The hash. Not for eyes: passwords can be guessed from it.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        self.text.expose()
    }

    /// What verifying a password costs.
    #[must_use]
    pub const fn cost(&self) -> Cost {
        self.cost
    }
}

fn argon2id(text: &str) -> Result<Cost, HashError> {
    let hash = phc::PasswordHash::new(text).map_err(|_| HashError::Unreadable)?;
    let is_whole = hash.salt.is_some() && hash.hash.as_ref().is_some_and(|output| output.len() >= 16);
    if !is_whole || hash.version != Some(19) {
        return Err(HashError::Unreadable);
    }
    let params = argon2::Params::try_from(&hash).map_err(|_| HashError::Unreadable)?;
    let (memory, passes, lanes) = (params.m_cost(), params.t_cost(), params.p_cost());
    if MEMORY.contains(&memory) && passes <= MOST_PASSES && lanes <= MOST_LANES {
        Ok(Cost::Argon2id { memory, passes, lanes })
    } else {
        Err(HashError::Cost)
    }
}

fn bcrypt(text: &str) -> Result<Cost, HashError> {
    let parts: bcrypt::HashParts = text.parse().map_err(|_| HashError::Unreadable)?;
    let cost = parts.get_cost();
    if BCRYPT_COST.contains(&cost) { Ok(Cost::Bcrypt { cost }) } else { Err(HashError::Cost) }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "PasswordHash({:?}, …)", self.cost)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REST: &str = "$c29tZXNhbHRzYWx0c2FsdA$kGQ5XwZbhAYdJLhmLpvCNV9nxMFcm0WZx2dX1v7o0ZQ";

    #[test]
    fn hashes_are_told_by_their_beginning_and_bounded_in_cost() {
        let argon2id = |params: &str| PasswordHash::parse(&format!("$argon2id$v=19${params}{REST}"));
        let cost = Cost::Argon2id { memory: 19_456, passes: 2, lanes: 1 };
        assert_eq!(argon2id("m=19456,t=2,p=1").unwrap().cost(), cost);
        for params in ["m=4096,t=3,p=1", "m=524288,t=1,p=1", "m=19456,t=11,p=1", "m=19456,t=2,p=9"] {
            assert_eq!(argon2id(params), Err(HashError::Cost), "{params}");
        }
        let bcrypt = bcrypt::hash("wonderland", 8).unwrap();
        assert_eq!(PasswordHash::parse(&bcrypt).unwrap().cost(), Cost::Bcrypt { cost: 8 });
        assert_eq!(PasswordHash::parse(&bcrypt::hash("wonderland", 4).unwrap()), Err(HashError::Cost));
    }

    #[test]
    fn whatever_is_no_hash_that_counts_is_refused() {
        for text in ["wonderland", "", "$argon2id$v=19$m=19456,t=2,p=1", "$2b$10$short", "argon2id"] {
            assert_eq!(PasswordHash::parse(text), Err(HashError::Unreadable), "{text}");
        }
        for text in ["$1$abc$def", "$6$abc$def", "$argon2i$v=19$m=19456,t=2,p=1"] {
            assert_eq!(PasswordHash::parse(text), Err(HashError::OtherKind), "{text}");
        }
        let shown = format!("{:?}", PasswordHash::parse(&bcrypt::hash("wonderland", 8).unwrap()).unwrap());
        assert_eq!(shown, "PasswordHash(Bcrypt { cost: 8 }, …)");
    }
}
