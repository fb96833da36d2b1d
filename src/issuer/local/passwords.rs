//! Verifying passwords: slow on purpose, so on threads of their own, a few at once, and never more than can be queued.
//!
//! Each takes some 20 MiB and 30 ms or more. So as many run at once as there are cores, and a bounded number waits. This
//! module does not know users; who is unknown is verified against a [`decoy`] that costs the same.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use argon2::Argon2;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _, phc};
use aws_lc_rs::rand;
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use crate::config::{Cost, PasswordHash, Users};

/// Longer passwords are refused (L04): hashing time must not be the client's to choose.
pub const LONGEST: usize = 4096;
/// bcrypt looks at so many bytes and no further: what is longer is refused rather than cut.
const LONGEST_FOR_BCRYPT: usize = 72;
/// So many wait for each that runs: two seconds of patience.
const QUEUE_PER_CORE: usize = 32;
/// When to come again who found the queue full.
pub(super) const COME_AGAIN: Duration = Duration::from_secs(2);

/// There is too much to do already. Nobody's fault, or that of whoever sends so many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Busy;

/// The threads that verify passwords.
#[derive(Debug)]
pub(super) struct Passwords {
    running: Arc<Semaphore>,
    queue: Arc<Semaphore>,
    /// How many have been verified, right or wrong.
    verified: AtomicUsize,
}

impl Passwords {
    pub(super) fn new() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let (running, queue) = (Semaphore::new(cores), Semaphore::new(cores * QUEUE_PER_CORE));
        Self { running: Arc::new(running), queue: Arc::new(queue), verified: AtomicUsize::new(0) }
    }

    /// Whether the password is the one of this hash.
    pub(super) async fn verify(&self, hash: PasswordHash, password: Zeroizing<String>) -> Result<bool, Busy> {
        let place = Arc::clone(&self.queue).try_acquire_owned().map_err(|_| Busy)?;
        let turn = Arc::clone(&self.running).acquire_owned().await.map_err(|_| Busy)?;
        // A client that goes away gives its place back only when the work is done.
        let work = move || {
            let _held = (place, turn);
            is_password_of(&hash, password.as_bytes())
        };
        let is_right = tokio::task::spawn_blocking(work).await.map_err(|_| Busy)?;
        self.verified.fetch_add(1, Ordering::Relaxed);
        Ok(is_right)
    }

    #[cfg(test)]
    pub(super) fn verified(&self) -> usize {
        self.verified.load(Ordering::Relaxed)
    }
}

fn is_password_of(hash: &PasswordHash, password: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(hash.expose()) else { return false };
    match hash.cost() {
        Cost::Argon2id { .. } => {
            let Ok(parsed) = phc::PasswordHash::new(text) else { return false };
            // The costs are those of the hash.
            Argon2::default().verify_password(password, &parsed).is_ok()
        }
        Cost::Bcrypt { .. } => {
            // The same work for what is refused: how long it takes says nothing.
            let looked_at = password.get(..LONGEST_FOR_BCRYPT).unwrap_or(password);
            let is_right = bcrypt::verify(looked_at, text).unwrap_or(false);
            is_right && password.len() <= LONGEST_FOR_BCRYPT && !password.contains(&0)
        }
    }
}

/// A password cannot be hashed. Ours, or the system's, which gave no randomness.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the password cannot be hashed")]
pub struct HashingError;

/// A new hash of a password: argon2id at the usual cost (19 MiB, 2 passes), as a users file takes it.
///
/// # Errors
/// [`HashingError`].
pub fn hash(password: &str) -> Result<String, HashingError> {
    let mut salt = [0; 16];
    rand::fill(&mut salt).map_err(|_| HashingError)?;
    let hash: phc::PasswordHash =
        Argon2::default().hash_password_with_salt(password.as_bytes(), &salt).map_err(|_| HashingError)?;
    Ok(hash.to_string())
}

/// A hash that costs what most of the users' hashes do, so that the fewest differ from somebody unknown by the time that they
/// take; the check of the configuration tells of the others. Nobody has its password, and whether it verifies is not asked.
pub(super) fn decoy(users: &Users) -> Option<PasswordHash> {
    let mut counts: HashMap<Cost, usize> = HashMap::new();
    for (_, user) in users.iter() {
        *counts.entry(user.password.cost()).or_default() += 1;
    }
    let (cost, _) = counts.into_iter().max_by_key(|(cost, count)| (*count, *cost))?;
    let text = match cost {
        Cost::Argon2id { memory, passes, lanes } => {
            let (salt, output) = ("A".repeat(22), "A".repeat(43));
            format!("$argon2id$v=19$m={memory},t={passes},p={lanes}${salt}${output}")
        }
        Cost::Bcrypt { cost } => format!("$2b${cost:02}${}", ".".repeat(53)),
    };
    PasswordHash::parse(&text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::issuer::local::testing::{argon2id, user};

    fn verifies(hash: &str, password: &[u8]) -> bool {
        is_password_of(&PasswordHash::parse(hash).unwrap(), password)
    }

    #[test]
    fn passwords_of_any_length_count_to_their_last_byte_with_argon2id() {
        for length in [1, 72, 73, 128, 1024, LONGEST] {
            let (password, other) = (vec![b'a'; length], [vec![b'a'; length - 1], vec![b'b']].concat());
            let hash = argon2id(&password);
            assert!(verifies(&hash, &password) && !verifies(&hash, &other), "{length}");
        }
        let odd = "n\0l pässwörd 🎟".as_bytes();
        assert!(verifies(&argon2id(odd), odd) && !verifies(&argon2id(odd), b"n"));
    }

    #[test]
    fn bcrypt_takes_72_bytes_and_refuses_more_rather_than_cut_them() {
        let password = "a".repeat(72);
        let hash = bcrypt::hash(&password, 8).unwrap();
        assert!(verifies(&hash, password.as_bytes()));
        assert!(!verifies(&hash, &[password.as_bytes(), b"a"].concat()));
        assert!(!verifies(&hash, &password.as_bytes()[..71]));
        assert!(!verifies(&bcrypt::hash("a", 8).unwrap(), b"a\0b"));
    }

    #[test]
    fn a_decoy_costs_what_most_hashes_cost() {
        let bcrypt = |password| bcrypt::hash(password, 8).unwrap();
        let users = |hashes: &[String]| {
            Users::new(hashes.iter().enumerate().map(|(number, hash)| user(&number.to_string(), hash)))
        };
        let cost = |hashes: &[String]| decoy(&users(hashes)).unwrap().cost();
        assert_eq!(cost(&[bcrypt("a"), bcrypt("b"), argon2id(b"c")]), Cost::Bcrypt { cost: 8 });
        let most = cost(&[bcrypt("a"), argon2id(b"b"), argon2id(b"c")]);
        assert!(matches!(most, Cost::Argon2id { .. }));
        let nobodys = decoy(&users(&[bcrypt("a")])).unwrap();
        assert!(!is_password_of(&nobodys, b""));
    }

    #[tokio::test]
    async fn a_full_queue_is_told_at_once() {
        let passwords = Passwords::new();
        let _all =
            passwords.queue.try_acquire_many(u32::try_from(passwords.queue.available_permits()).unwrap()).unwrap();
        let hash = PasswordHash::parse(&argon2id(b"a")).unwrap();
        assert_eq!(passwords.verify(hash, Zeroizing::new("a".to_owned())).await, Err(Busy));
    }
}
