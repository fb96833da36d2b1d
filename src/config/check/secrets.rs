//! Secrets: given in place or in a file, never both, never guessable.

use std::path::PathBuf;

use super::{Check, KeyPath, Mistake};
use crate::config::Secret;

/// What people write until they have a secret. Compared without case, punctuation and digits at the end.
const WELL_KNOWN: [&str; 22] = [
    "admin",
    "change",
    "changeit",
    "changeme",
    "changethis",
    "default",
    "example",
    "insecure",
    "letmein",
    "mysecret",
    "notsecret",
    "passw0rd",
    "password",
    "placeholder",
    "qwerty",
    "replaceme",
    "secret",
    "secretkey",
    "supersecret",
    "test",
    "topsecret",
    "yoursecret",
];

/// A secret that is given under `key`, or in a file under `key_file`.
pub(super) struct Given<'a> {
    /// The map that holds the two keys.
    pub(super) at: &'a KeyPath,
    /// The key of the secret in place.
    pub(super) key: &'a str,
    /// The secret in place.
    pub(super) inline: Option<&'a Secret>,
    /// The file.
    pub(super) file: Option<&'a PathBuf>,
}

impl Given<'_> {
    /// Whether either is given.
    pub(super) const fn is_given(&self) -> bool {
        self.inline.is_some() || self.file.is_some()
    }

    fn file_key(&self) -> KeyPath {
        self.at.key(&format!("{}_file", self.key))
    }
}

impl Check<'_> {
    /// The secret, if one is given, and where. It is not empty, but may be well known: passwords of an application are not
    /// ours to judge.
    pub(super) fn secret(&mut self, given: &Given<'_>) -> Option<(KeyPath, Secret)> {
        let (key, file_key) = (given.at.key(given.key), given.file_key());
        match (given.inline, given.file) {
            (Some(_), Some(_)) => {
                let message = format!("is given beside {}", given.key);
                self.report.problem(&file_key, message, "keep one of the two");
                None
            }
            (Some(secret), None) => self.accept(&key, not_empty(secret.clone())).map(|secret| (key, secret)),
            (None, Some(path)) => {
                let secret = Secret::new(without_newline(self.read(&file_key, path)?));
                self.accept(&file_key, not_empty(secret)).map(|secret| (file_key, secret))
            }
            (None, None) => None,
        }
    }

    /// The secret, if one is given and it cannot be guessed, and where it is given.
    pub(super) fn strong_secret(&mut self, given: &Given<'_>) -> Option<(KeyPath, Secret)> {
        let (at, secret) = self.secret(given)?;
        self.accept(&at, not_well_known(&secret)).map(|()| (at, secret))
    }
}

/// Takes one newline off the end: editors and `echo` leave it there.
pub(super) fn without_newline(mut bytes: Vec<u8>) -> Vec<u8> {
    if bytes.ends_with(b"\n") {
        bytes.pop();
        if bytes.ends_with(b"\r") {
            bytes.pop();
        }
    }
    bytes
}

pub(super) fn not_empty(secret: Secret) -> Result<Secret, Mistake> {
    if secret.expose().is_empty() { Err(Mistake::new("is empty", GENERATE)) } else { Ok(secret) }
}

pub(super) fn not_well_known(secret: &Secret) -> Result<(), Mistake> {
    if is_well_known(secret.expose()) {
        Err(Mistake::new("is a secret that everybody knows", GENERATE))
    } else {
        Ok(())
    }
}

const GENERATE: &str = "make one with: openssl rand -base64 48";

fn is_well_known(secret: &[u8]) -> bool {
    let letters: Vec<u8> =
        secret.iter().filter(|byte| byte.is_ascii_alphanumeric()).map(u8::to_ascii_lowercase).collect();
    let end = letters.iter().rposition(|byte| !byte.is_ascii_digit()).map_or(0, |last| last + 1);
    let word = letters.get(..end).unwrap_or_default();
    is_repetition(secret) || is_sequence(&letters) || WELL_KNOWN.iter().any(|known| repeats(word, known.as_bytes()))
}

/// Whether the secret is one to three characters, over and over.
fn is_repetition(secret: &[u8]) -> bool {
    let repeats = |period| secret.iter().zip(secret.iter().skip(period)).all(|(a, b)| a == b);
    (1..=3).any(|period| secret.len() >= 2 * period && repeats(period))
}

/// Whether the secret just counts: `12345678`, `abcdef`.
fn is_sequence(letters: &[u8]) -> bool {
    let follows = |(a, b): (&u8, &u8)| *b == a.wrapping_add(1) || (*a == b'9' && *b == b'0');
    letters.len() > 2 && letters.iter().zip(letters.iter().skip(1)).all(follows)
}

fn repeats(word: &[u8], known: &[u8]) -> bool {
    !word.is_empty() && word.len().is_multiple_of(known.len()) && word.chunks(known.len()).all(|chunk| chunk == known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_everybody_writes_is_well_known() {
        for secret in [
            "changeme",
            "ChangeMe",
            "change-me",
            "change_me_123",
            "secret",
            "SECRET!",
            "password1",
            "passwordpassword",
            "xxxxxxxx",
            "00000000000000000000000000000000",
            "abababab",
            "12345678",
            "1234567890123456",
            "abcdefgh",
            "your-secret",
        ] {
            assert!(is_well_known(secret.as_bytes()), "{secret}");
        }
    }

    #[test]
    fn what_was_made_at_random_is_not() {
        for secret in ["hC2kQ0pZ9wX4", "007", "48213907645120983", "correct horse battery staple", "\u{0}\u{1}x"] {
            assert!(!is_well_known(secret.as_bytes()), "{secret}");
        }
    }

    #[test]
    fn one_newline_at_the_end_is_tolerated() {
        for (file, secret) in [("a\n", "a"), ("a\r\n", "a"), ("a\n\n", "a\n"), ("a\r", "a\r"), ("a", "a"), ("\n", "")] {
            assert_eq!(without_newline(file.into()), secret.as_bytes(), "{file:?}");
        }
    }
}
