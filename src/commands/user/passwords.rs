//! Asking for a new password: twice at a terminal, without showing it; else one line of standard input.

use std::io::{self, BufRead as _, IsTerminal as _, Read as _};

use zeroize::Zeroizing;

use crate::issuer::local::{self, HashingError, LONGEST_PASSWORD};

/// NIST SP 800-63B §3.1.1.2.
const SHORTEST: usize = 8;

/// Why there is no new password.
#[derive(Debug, thiserror::Error)]
pub(super) enum PasswordError {
    /// The terminal or standard input cannot be read. The world's.
    #[error("the password cannot be read")]
    Read(#[from] io::Error),
    /// The two were different. Whoever typed.
    #[error("the passwords are not the same")]
    Different,
    /// It is too short or too long. Whoever typed.
    #[error("a password has at least {SHORTEST} characters, and at most {LONGEST_PASSWORD} bytes")]
    Length,
    /// It cannot be hashed. Ours, or the system's randomness.
    #[error(transparent)]
    Hash(#[from] HashingError),
}

/// Asks for a new password; returns its hash.
pub(super) fn ask(name: &str) -> Result<String, PasswordError> {
    let password = if io::stdin().is_terminal() {
        let first = Zeroizing::new(rpassword::prompt_password(format!("New password of {name}: "))?);
        let second = Zeroizing::new(rpassword::prompt_password("The same again: ")?);
        if first != second {
            return Err(PasswordError::Different);
        }
        first
    } else {
        one_line()?
    };
    if password.chars().count() < SHORTEST || password.len() > LONGEST_PASSWORD {
        return Err(PasswordError::Length);
    }
    Ok(local::hash_password(&password)?)
}

/// The first line of standard input without its end.
fn one_line() -> io::Result<Zeroizing<String>> {
    let mut line = Zeroizing::new(String::with_capacity(LONGEST_PASSWORD + 2));
    let longest = u64::try_from(LONGEST_PASSWORD + 2).unwrap_or(u64::MAX);
    io::stdin().lock().take(longest).read_line(&mut line)?;
    let length = line.trim_end_matches(['\r', '\n']).len();
    line.truncate(length);
    Ok(line)
}
