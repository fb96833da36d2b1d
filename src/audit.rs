//! What an auditor looks for: the events of security, each under one name, on the target `usher::audit` of the log.
//!
//! Where something happens the line is written, with what is known there; the names are here, so that they stay one
//! vocabulary. Each is counted as well, whatever the log's level: as of the log, there is one of that in a process. This
//! module does *not* write lines: it knows no requests.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The target of these lines.
pub const TARGET: &str = "usher::audit";

/// What has happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Somebody has signed in, and a session has begun.
    SignIn,
    /// Somebody tried to sign in, and it came to nothing.
    SignInFailed,
    /// A password was right, and the one-time password after it was not.
    SecondFactorFailed,
    /// A session, or all sessions of somebody, have ended because somebody wanted that.
    SignOut,
    /// Somebody wanted to end a session, and it could not be found.
    SignOutFailed,
    /// A session was presented that has ended in another way.
    SessionEnded,
    /// A request was refused although, or because, it is known whose it is; or its token does not count.
    Refused,
    /// A spent refresh token was presented after its grace: somebody may have a copy of the cookie.
    ReuseDetected,
    /// A renewal gave tokens of another issuer or subject: the session has ended.
    IdentityChanged,
    /// A refresh token was presented beside somebody else's access token.
    IdentityMismatch,
}

impl Event {
    /// All there are.
    pub const ALL: [Self; 10] = [
        Self::SignIn,
        Self::SignInFailed,
        Self::SecondFactorFailed,
        Self::SignOut,
        Self::SignOutFailed,
        Self::SessionEnded,
        Self::Refused,
        Self::ReuseDetected,
        Self::IdentityChanged,
        Self::IdentityMismatch,
    ];

    /// Its name in the field `event`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::SignIn => "sign_in",
            Self::SignInFailed => "sign_in_failed",
            Self::SecondFactorFailed => "second_factor_failed",
            Self::SignOut => "sign_out",
            Self::SignOutFailed => "sign_out_failed",
            Self::SessionEnded => "session_ended",
            Self::Refused => "refused",
            Self::ReuseDetected => "reuse_detected",
            Self::IdentityChanged => "identity_changed",
            Self::IdentityMismatch => "identity_mismatch",
        }
    }

    /// Counts it; the name, for the line that says so.
    #[must_use]
    pub fn happens(self) -> &'static str {
        self.count().fetch_add(1, Relaxed);
        self.name()
    }

    /// How often it has happened in this process.
    #[must_use]
    pub fn times(self) -> u64 {
        self.count().load(Relaxed)
    }

    fn count(self) -> &'static AtomicU64 {
        static COUNTS: [AtomicU64; Event::ALL.len()] = [const { AtomicU64::new(0) }; Event::ALL.len()];
        static NEVER: AtomicU64 = AtomicU64::new(0);
        COUNTS.get(self as usize).unwrap_or(&NEVER)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_event_has_a_name_and_a_count_of_its_own() {
        for (index, event) in Event::ALL.into_iter().enumerate() {
            assert_eq!(event as usize, index);
            assert!(Event::ALL.iter().all(|other| *other == event || other.name() != event.name()));
            assert!(!std::ptr::eq(event.count(), Event::ALL[(index + 1) % Event::ALL.len()].count()));
        }
    }
}
