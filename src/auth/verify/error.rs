//! Why a token does not count, and whose fault that is.

use std::sync::Arc;
use std::time::Duration;

use crate::issuer::{IntrospectionError, Unavailable};
use crate::oauth::Claims;
use crate::oauth::json::NoObject;

/// Why a token does not count. No variant holds any part of the token but [`VerifyError::Expired`] and
/// [`VerifyError::Withdrawn`], and those show names of claims only.
#[derive(Clone, Debug, thiserror::Error)]
pub enum VerifyError {
    /// It is no token of the form that is accepted here. The client's.
    #[error("the token is malformed: {0}")]
    Malformed(#[from] Malformed),
    /// A claim without which no token counts is missing. The issuer's, or it is another kind of token.
    #[error("the token has no {0} claim")]
    MissingClaim(&'static str),
    /// No issuer that counts here has the name in `iss`. The client's.
    #[error("the token's issuer does not count here")]
    UntrustedIssuer,
    /// It is meant for somebody else. The client's.
    #[error("the token is meant for another audience")]
    WrongAudience,
    /// It is an ID token for this client, but was issued to another one. The client's.
    #[error("the token was issued to another client")]
    OtherClient,
    /// Its algorithm is not one that the issuer, or the key, is configured or known for. The client's.
    #[error("the token's algorithm is not allowed")]
    AlgorithmNotAllowed,
    /// It is another kind of token, by its `typ` or by claims that only such a one has. The client's.
    #[error("the token is of another type")]
    WrongType,
    /// It is bound to a key that its sender must prove to have (`cnf`), so it is no bearer token (RFC 9449 §7.2). The
    /// client's.
    #[error("the token is bound to its sender's key")]
    SenderConstrained,
    /// The issuer has no such key. The client's; or the issuer has changed its keys a moment ago.
    #[error("the token's key is not one of the issuer's")]
    UnknownKey,
    /// The issuer's key has not made this signature. The client's.
    #[error("the token's signature is not the issuer's")]
    BadSignature,
    /// Everything is right, signature and all, but its time is up. Nobody's: this is what a refresh is for. The claims
    /// are those of the token, to compare the new ones with.
    #[error("the token has expired")]
    Expired(Box<Claims>),
    /// Its time is not up, but the local issuer stands by it no more: its session has ended, or its user has other claims
    /// now. Nobody's: a refresh tells the two apart.
    #[error("the token's session has ended, or its user has other claims now")]
    Withdrawn(Box<Claims>),
    /// It is signed, but its time is still to come. Somebody's clock is wrong: the issuer's or this machine's.
    #[error("the token is valid in {seconds} s only: the clock of its issuer or of this machine is wrong")]
    NotYetValid {
        /// How long it still takes.
        seconds: u64,
    },
    /// Its issuer says that it is not active (RFC 7662 §2.2): expired, revoked, of somebody else, or no token at all. Nobody's: a
    /// refresh tells.
    #[error("its issuer says that the token is not active")]
    Inactive,
    /// It cannot be known, because the issuer gives no answer about it. The issuer's, or the operator's: the answer is 503, and
    /// no session ends.
    #[error("the issuer gives no answer about the token")]
    NotIntrospected(#[source] Arc<IntrospectionError>),
    /// It cannot be known, because the issuer's keys cannot be had. The issuer's: the answer is 503, and no session ends.
    #[error(transparent)]
    IssuerUnavailable(Unavailable),
}

/// What is wrong with the form of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// More bytes than any header that is accepted.
    #[error("it is too long")]
    TooLong,
    /// Not three parts with a dot between them, none empty: not a JWS in compact form (RFC 7515 §7.1).
    #[error("it is not three parts")]
    Parts,
    /// A character that no token has (RFC 6750 §2.1).
    #[error("it has a character that no token has")]
    Character,
    /// A part is not base64url without padding (RFC 7515 §2).
    #[error("a part is not base64url")]
    Base64,
    /// The header or the claims are not one JSON object, or nested too deeply.
    #[error("a part is not a JSON object")]
    Json,
    /// An object has two members of one name: which of them would count (RFC 8725 §2.5 and §3.1 leave no choice)?
    #[error("a member stands twice")]
    Duplicate,
    /// A header parameter that must be understood and is not (`crit`), or has the wrong type.
    #[error("its header parameter {0} is not acceptable")]
    Header(&'static str),
    /// A claim of the wrong type or with a value that nobody can mean.
    #[error("its claim {0} is not acceptable")]
    Claim(&'static str),
}

impl From<NoObject> for Malformed {
    fn from(error: NoObject) -> Self {
        match error {
            NoObject::Duplicate => Self::Duplicate,
            NoObject::Syntax => Self::Json,
        }
    }
}

impl VerifyError {
    /// Whether nothing is known about the token because its issuer does not answer, and when to ask again. The answer is
    /// 503 then, and what the client presented stays as it is.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::IssuerUnavailable(unavailable) => Some(unavailable.retry_after),
            Self::NotIntrospected(error) => Some(error.retry_after()),
            _ => None,
        }
    }

    /// Whether everything but its time is right.
    #[must_use]
    pub const fn is_of_time(&self) -> bool {
        matches!(self, Self::Expired(_) | Self::NotYetValid { .. })
    }

    /// Whether it is about more than a token whose time is up, or that cannot be judged now.
    #[must_use]
    pub const fn is_suspect(&self) -> bool {
        !matches!(
            self,
            Self::Expired(_)
                | Self::Withdrawn(_)
                | Self::Inactive
                | Self::NotYetValid { .. }
                | Self::NotIntrospected(_)
                | Self::IssuerUnavailable(_)
        )
    }
}
