//! Why a sign-in does not begin, or comes to nothing, and whose fault that is.

use std::time::Duration;

use crate::auth::step_up::Insufficient;
use crate::auth::unauthenticated::{SessionEnd, Unauthenticated};
use crate::auth::verify::{IdTokenError, VerifyError};
use crate::issuer::{AuthorizationError, CodeError};
use crate::session::{NoRandomness, SealError};

/// Why a sign-in does not begin, or comes to nothing. No session has begun, and none has ended.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    /// Nobody can sign in here, or not at the issuer that was asked for. The client's, or the operator's.
    #[error("nobody can sign in here in this way")]
    NotOffered,
    /// Not somebody who has come here with a browser: a frame, an image, a prefetch, a program. The client's, or the page's
    /// that has asked.
    #[error("only a navigation signs in")]
    NoNavigation,
    /// A sort of sign-in that no route of the site asks for. The client's, whoever has made up the link, or a page that is
    /// older than the configuration.
    #[error("no route of the site asks for such a sign-in")]
    NotAskedFor,
    /// What has come of it is less than was asked for. The issuer's, which does not honour `acr_values` or `max_age`, does not
    /// say `acr` or `auth_time`, or has another clock; or the user's, who has no such means.
    #[error(
        "the issuer does not honour acr_values or max_age, does not tell acr or auth_time, or the user has no such means"
    )]
    Unmet(#[source] Insufficient),
    /// The same where no authorization server was asked. The user's, who lacks what it takes, or the login service's.
    #[error(
        "the user has signed in again, and not as the route asks: a local user needs a second factor for acr 2 (usher user \
         totp NAME), and a login service has to tell acr and auth_time in its tokens"
    )]
    UnmetHere(#[source] Insufficient),
    /// The browser has signed in again and again, and comes back unauthenticated. The operator's, mostly.
    #[error("signing in again and again: {0}")]
    Loop(LoopCause),
    /// There is nowhere to send the browser. The issuer's, or the operator's.
    #[error(transparent)]
    NoAuthorization(AuthorizationError),
    /// The response has a parameter twice, or lacks one. The client's, or an attack.
    #[error("the authorization response is not one")]
    Malformed,
    /// This browser has not begun such a sign-in, or finished it already. The client's, an attack, or a browser that does not
    /// keep the cookie: over plain http, or under another host than it began with.
    #[error("this browser has no such sign-in under way")]
    Unknown,
    /// This response has come before, and has been made use of. The client's, who has reloaded a page, or an attack.
    #[error("the authorization response has come before")]
    Repeated,
    /// It began too long ago. The client's.
    #[error("the sign-in began too long ago")]
    Expired,
    /// It began on another site, or in another configuration. The client's, or an attack.
    #[error("the sign-in began elsewhere")]
    OtherSite,
    /// The response is not that of the issuer which was asked (RFC 9207 §2.4): a mix-up. An attack, or the issuer's.
    #[error("the authorization response is not that of the issuer that was asked")]
    OtherIssuer,
    /// The issuer has refused. The client's for `access_denied`, else the operator's or the issuer's.
    #[error("the issuer refused the sign-in with the error {0:?}")]
    Refused(String),
    /// The code was not exchanged; the variant inside says whose fault it is.
    #[error(transparent)]
    Code(#[from] CodeError),
    /// The tokens cannot be verified: the issuer's keys cannot be had, or it gives no answer about the token. The issuer's.
    #[error("the issuer's keys cannot be had, or it gives no answer about the token")]
    NotVerified {
        /// When to try again.
        retry_after: Duration,
    },
    /// The ID token does not count. The issuer's, or an attack.
    #[error("the ID token of the sign-in was refused")]
    IdToken(#[source] IdTokenError),
    /// The access token does not count here: it is opaque, or meant for another audience. The operator's: `audiences`,
    /// `algorithms`, `authorization_parameters` that ask for the right one (`audience`, `resource`), or `identity`.
    #[error(
        "the access token of the sign-in was refused; see audiences, authorization_parameters, and identity: introspection or id_token"
    )]
    AccessToken(#[source] VerifyError),
    /// A token that was given out just now is not valid by this machine's clock. The operator's, of one of the two machines.
    #[error(
        "the issuer's new token is not valid here: the clock of this machine or that of the issuer is wrong (usher doctor \
         compares them), or its tokens live for too short a time"
    )]
    Clock(#[source] VerifyError),
    /// No randomness. Our host's.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
    /// It cannot be sealed. Our host's.
    #[error(transparent)]
    Seal(#[from] SealError),
}

/// Why a browser comes back unauthenticated, as far as its last request tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoopCause {
    /// It has not kept the session's cookies.
    #[error("the browser does not keep the session cookies")]
    NotKept,
    /// It has not kept them, and the site is open over plain http: cookies that are `Secure` need https.
    #[error("the browser does not keep the session cookies, which need https")]
    NotSecure,
    /// It has several of one name, or another instance's.
    #[error("the session cookies cannot be read here")]
    Unreadable,
    /// The new token is expired or not valid yet.
    #[error("the new token is not valid by this machine's clock")]
    Clock,
    /// The session that was just begun has been ended, or counts on other routes only.
    #[error("the new session does not count here")]
    Refused,
    /// The session is fine: it is the application that sends the browser to sign in.
    #[error("the browser is signed in, and sent to sign in all the same")]
    SignedIn,
    /// It was sent to sign in anew, and wherever that is, it was sent back as it was.
    #[error("the browser was sent to sign in anew, and comes back without")]
    NotAnew,
}

impl SignInError {
    /// The new token that says who somebody is does not count.
    pub(super) fn of_access_token(error: VerifyError) -> Self {
        match error.retry_after() {
            Some(retry_after) => Self::NotVerified { retry_after },
            None if error.is_of_time() => Self::Clock(error),
            None => Self::AccessToken(error),
        }
    }
}

impl From<IdTokenError> for SignInError {
    fn from(error: IdTokenError) -> Self {
        match error {
            IdTokenError::Token(VerifyError::IssuerUnavailable(unavailable)) => {
                Self::NotVerified { retry_after: unavailable.retry_after }
            }
            IdTokenError::Token(error) if error.is_of_time() => Self::Clock(error),
            error => Self::IdToken(error),
        }
    }
}

impl LoopCause {
    /// The likely cause of a loop, when this is what became of the request that should have been signed in.
    #[must_use]
    pub const fn of<T>(outcome: &Result<T, Unauthenticated>, secure: bool) -> Self {
        match outcome {
            Ok(_) => Self::SignedIn,
            Err(Unauthenticated::NoCredentials) if secure => Self::NotKept,
            Err(Unauthenticated::NoCredentials) => Self::NotSecure,
            Err(Unauthenticated::UnreadableCookies(_)) => Self::Unreadable,
            Err(
                Unauthenticated::Token(VerifyError::Expired(_) | VerifyError::NotYetValid { .. })
                | Unauthenticated::SessionEnded(SessionEnd::Expired | SessionEnd::Idle | SessionEnd::Absolute)
                | Unauthenticated::RenewalNotAllowed,
            ) => Self::Clock,
            Err(
                Unauthenticated::Token(_)
                | Unauthenticated::Certificate(_)
                | Unauthenticated::SessionEnded(_)
                | Unauthenticated::IssuerUnavailable { .. }
                | Unauthenticated::Unverified { .. }
                | Unauthenticated::StoreAway { .. }
                | Unauthenticated::Unkept(_)
                | Unauthenticated::NoRandomness(_),
            ) => Self::Refused,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oauth::Claims;

    #[test]
    fn a_new_token_whose_time_is_wrong_points_to_the_clocks_and_to_no_key() {
        let of_time = || {
            [VerifyError::Expired(Box::new(Claims(serde_json::Map::new()))), VerifyError::NotYetValid { seconds: 7 }]
        };
        let of_access_tokens = of_time().map(SignInError::of_access_token);
        let of_id_tokens = of_time().map(|error| SignInError::from(IdTokenError::Token(error)));
        for error in of_access_tokens.into_iter().chain(of_id_tokens) {
            assert!(matches!(error, SignInError::Clock(_)), "{error}");
            assert!(error.to_string().contains("clock"), "{error}");
        }
        let other = SignInError::of_access_token(VerifyError::WrongAudience);
        assert!(matches!(other, SignInError::AccessToken(_)), "{other}");
    }
}
