//! Why there is no certificate, and whose fault that is.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use instant_acme::Problem;

use crate::issuer::ClientError;

/// The authority's words are somebody else's: so much of them goes into the log.
const MOST_WORDS: usize = 600;

/// Why a certificate was not issued.
#[derive(Debug, thiserror::Error)]
pub enum OrderError {
    /// The operator: a state directory that cannot be written to.
    #[error("cannot keep {}", path.display())]
    Keep {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The operator: the CA file, or this machine's TLS set-up.
    #[error("TLS towards the authority cannot be set up")]
    Client(#[source] ClientError),
    /// The authority, or the network on the way there: no answer, or none that makes sense.
    #[error("no answer from the authority that could be understood")]
    Unreachable(#[source] instant_acme::Error),
    /// The same, in the middle of an order, which the authority may count, and may have issued a certificate for.
    #[error("no answer from the authority that could be understood, in the middle of an order")]
    BrokenOff(#[source] instant_acme::Error),
    /// The authority: it took longer than anybody waits.
    #[error("the authority did not come to an end in time")]
    TooSlow,
    /// The operator, in most cases: the authority looked, and did not find what proves that the name is ours.
    #[error("the authority could not see that the name is ours: {0}")]
    NotSeen(String),
    /// The authority: it knows the account no more. Another one is made for the next attempt.
    #[error("the authority does not know the account any more; another one is made")]
    UnknownAccount,
    /// The authority refuses for now: too many orders, or it is in trouble itself.
    #[error("the authority refuses for now: {0}")]
    RefusedForNow(String),
    /// The authority: it took none of several nonces, and so has looked at nothing (RFC 8555 §6.5).
    #[error("the authority refuses the nonces that it gives out: {0}")]
    NoncesRefused(String),
    /// The operator: the authority refuses what it is asked for.
    #[error("the authority refuses: {0}")]
    Refused(String),
    /// The authority: it does not offer the challenge that is configured.
    #[error("the authority does not offer the challenge that tls.acme.challenge names")]
    NoSuchChallenge,
    /// The authority: a certificate that cannot be used, or that says something else than was ordered.
    #[error("the authority has issued something that cannot be used: {0}")]
    Unusable(&'static str),
    /// Us or the system's randomness.
    #[error("cannot make a request for a certificate")]
    Request(#[source] rcgen::Error),
    /// Us or the system's randomness.
    #[error("cannot make a certificate for the challenge")]
    Challenge(#[source] rcgen::Error),
    /// Us: ordering panicked.
    #[error("a defect of Usher: ordering panicked")]
    Defect,
    /// Us.
    #[error("cannot use the key of a certificate")]
    Key(#[source] rustls::Error),
}

impl OrderError {
    /// What an authority's refusal means.
    pub(super) fn of(error: instant_acme::Error) -> Self {
        let instant_acme::Error::Api(problem) = error else {
            return match error {
                instant_acme::Error::Timeout(_) => Self::TooSlow,
                error => Self::Unreachable(error),
            };
        };
        let kind = problem.r#type.as_deref().unwrap_or_default().rsplit(':').next().unwrap_or_default().to_owned();
        let words = words(&problem);
        match kind.as_str() {
            "accountDoesNotExist" => Self::UnknownAccount,
            "badNonce" => Self::NoncesRefused(words),
            "rateLimited" | "serverInternal" => Self::RefusedForNow(words),
            "connection" | "dns" | "tls" | "incorrectResponse" | "caa" => Self::NotSeen(words),
            _ if problem.status.is_some_and(|status| status >= 500) => Self::RefusedForNow(words),
            _ => Self::Refused(words),
        }
    }

    /// The same of a challenge. There, `unauthorized` is about the name, and everywhere else about the account.
    pub(super) fn of_challenge(error: instant_acme::Error) -> Self {
        match error {
            instant_acme::Error::Api(problem)
                if problem.r#type.as_deref().is_some_and(|kind| kind.ends_with(":unauthorized")) =>
            {
                Self::NotSeen(words(&problem))
            }
            error => Self::of(error),
        }
    }

    /// The same, of an order that was begun.
    pub(super) fn amid(self) -> Self {
        match self {
            Self::Unreachable(error) => Self::BrokenOff(error),
            error => error,
        }
    }

    /// Whom to turn to: `operator`, `authority` or `us`.
    #[must_use]
    pub const fn fault(&self) -> &'static str {
        match self {
            Self::Keep { .. } | Self::Client(_) | Self::NotSeen(_) | Self::Refused(_) => "operator",
            Self::Unreachable(_)
            | Self::BrokenOff(_)
            | Self::TooSlow
            | Self::UnknownAccount
            | Self::RefusedForNow(_)
            | Self::NoncesRefused(_)
            | Self::NoSuchChallenge
            | Self::Unusable(_) => "authority",
            Self::Request(_) | Self::Challenge(_) | Self::Key(_) | Self::Defect => "us",
        }
    }

    /// Whether the authority counts this attempt against us: then the next one comes late.
    pub(super) const fn counts(&self) -> bool {
        matches!(
            self,
            Self::BrokenOff(_)
                | Self::NotSeen(_)
                | Self::RefusedForNow(_)
                | Self::Refused(_)
                | Self::TooSlow
                | Self::Unusable(_)
                | Self::Defect
        )
    }

    /// How long to wait where the authority says nothing: after the first failure, and at the most.
    pub(super) const fn waits(&self) -> (Duration, Duration) {
        // Let's Encrypt allows five failed validations of a name in an hour. Who did not answer has counted nothing, and is
        // asked again soon after it is back.
        let (first, longest) = if self.counts() { (5 * 60, 12 * 60 * 60) } else { (2, 60 * 60) };
        (Duration::from_secs(first), Duration::from_secs(longest))
    }
}

/// What the authority says, on one line and of bounded length.
pub(super) fn words(problem: &Problem) -> String {
    let said = problem.to_string();
    said.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).take(MOST_WORDS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_looked_at_is_asked_again_soon() {
        let waits = |kind: &str| {
            let problem = format!(r#"{{"type":"urn:ietf:params:acme:error:{kind}","detail":"no","status":400}}"#);
            OrderError::of(serde_json::from_str::<Problem>(&problem).unwrap().into()).amid().waits().0.as_secs()
        };
        assert_eq!((waits("badNonce"), waits("rateLimited"), waits("malformed")), (2, 300, 300));
    }

    #[test]
    fn unauthorized_is_about_the_name_where_the_authority_looked_and_else_about_the_account() {
        let problem = || -> Problem {
            serde_json::from_str(r#"{"type":"urn:ietf:params:acme:error:unauthorized","detail":"no","status":403}"#)
                .unwrap()
        };
        assert!(matches!(OrderError::of(problem().into()), OrderError::Refused(_)));
        assert!(matches!(OrderError::of_challenge(problem().into()), OrderError::NotSeen(_)));
    }
}
