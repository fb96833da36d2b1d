//! The part of the table that is about sign-ins: what people read when one does not begin, or comes to nothing.

use std::time::Duration;

use http::StatusCode;

use super::{Answer, describe_unauthenticated, unavailable};
use crate::auth::sign_in::{LoopCause, SignInError};
use crate::auth::unauthenticated::Unauthenticated;
use crate::config::Word;
use crate::issuer::{AuthorizationError, CodeError, RefreshFailure};

/// Where the issuer does not say when to come back.
const SOON: Duration = Duration::from_secs(5);

pub(super) fn describe(error: &SignInError) -> Answer {
    use StatusCode as S;
    match error {
        SignInError::NotOffered => Answer::new(S::NOT_FOUND, "client", Word::SignInNotOffered),
        SignInError::NoNavigation => Answer::new(S::FORBIDDEN, "client", Word::SignInNeedsWindow),
        SignInError::NotAskedFor => Answer::new(S::BAD_REQUEST, "client", Word::SignInNotAskedFor),
        SignInError::Unmet(_) => unmet("issuer"),
        SignInError::UnmetHere(_) => unmet("client"),
        SignInError::Loop(cause) => Answer { again: true, ..describe_loop(*cause) },
        SignInError::NoAuthorization(AuthorizationError::Discovery(unavailable)) => {
            unavailable_for(unavailable.retry_after)
        }
        SignInError::NoAuthorization(AuthorizationError::NotPushed(error)) if error.is_passing() => {
            unavailable_for(SOON)
        }
        SignInError::NoAuthorization(
            AuthorizationError::NotConfigured | AuthorizationError::NoEndpoint | AuthorizationError::NotPushed(_),
        ) => Answer::new(S::BAD_GATEWAY, "operator", Word::SignInNotSetUp),
        SignInError::Malformed => again(S::BAD_REQUEST, "client", Word::SignInMalformed),
        SignInError::Unknown => again(S::BAD_REQUEST, "client", Word::SignInUnknown),
        SignInError::Repeated => again(S::BAD_REQUEST, "client", Word::SignInRepeated),
        SignInError::Expired => again(S::BAD_REQUEST, "client", Word::SignInExpired),
        SignInError::OtherSite => again(S::BAD_REQUEST, "client", Word::SignInElsewhere),
        SignInError::OtherIssuer => again(S::BAD_REQUEST, "issuer", Word::SignInOtherIssuer),
        SignInError::Refused(code) => describe_refused(code),
        SignInError::Code(CodeError::InvalidGrant) => again(S::BAD_REQUEST, "client", Word::SignInNoLongerGood),
        SignInError::Code(CodeError::Unavailable { cause, retry_after }) => describe_exchange(cause, *retry_after),
        SignInError::NotVerified { retry_after } => unavailable_for(*retry_after),
        SignInError::IdToken(_) => again(S::BAD_GATEWAY, "issuer", Word::SignInUncertain),
        SignInError::AccessToken(_) | SignInError::Clock(_) => again(S::BAD_GATEWAY, "operator", Word::SignInUseless),
        SignInError::NoRandomness(_) | SignInError::Seal(_) => {
            Answer::new(S::INTERNAL_SERVER_ERROR, "us", Word::OurFault)
        }
    }
}

/// Whoever has signed in and gets no session is not told that they still have one.
pub(super) fn describe_not_begun(error: &Unauthenticated) -> Answer {
    match error {
        Unauthenticated::StoreAway { retry_after } => {
            Answer { again: true, ..unavailable("store", *retry_after, Word::SignInUnavailable) }
        }
        Unauthenticated::IssuerUnavailable { retry_after } => unavailable_for(*retry_after),
        Unauthenticated::Token(_) => again(StatusCode::BAD_GATEWAY, "operator", Word::SignInUseless),
        error => describe_unauthenticated(error),
    }
}

/// Not a redirect: the same would come of it again. Whether a session has begun or not, nobody has lost one.
fn unmet(fault: &'static str) -> Answer {
    Answer {
        elsewhere: Some("/"),
        title: Some(Word::NotEnough),
        ..again(StatusCode::FORBIDDEN, fault, Word::SignInNotEnough)
    }
}

fn again(status: StatusCode, fault: &'static str, detail: Word) -> Answer {
    Answer { again: true, ..Answer::new(status, fault, detail) }
}

fn unavailable_for(retry_after: Duration) -> Answer {
    Answer {
        retry_after: Some(retry_after),
        ..again(StatusCode::SERVICE_UNAVAILABLE, "issuer", Word::SignInServiceAway)
    }
}

/// RFC 6749 §4.1.2.1, OIDC Core §3.1.2.6. What only an operator can put right says so to the log, not to the user.
fn describe_refused(code: &str) -> Answer {
    match code {
        "access_denied" => again(StatusCode::FORBIDDEN, "client", Word::SignInDenied),
        // OpenID Connect Core Error Code unmet_authentication_requirements 1.0.
        "unmet_authentication_requirements" => unmet("client"),
        "server_error" | "temporarily_unavailable" => unavailable_for(SOON),
        _ => again(StatusCode::BAD_GATEWAY, "operator", Word::SignInRefused),
    }
}

fn describe_exchange(cause: &RefreshFailure, retry_after: Option<Duration>) -> Answer {
    match cause {
        RefreshFailure::Discovery(_) | RefreshFailure::Transport(_) | RefreshFailure::Busy => {
            unavailable_for(retry_after.unwrap_or(SOON))
        }
        RefreshFailure::Status(status) if status.is_server_error() || *status == StatusCode::TOO_MANY_REQUESTS => {
            unavailable_for(retry_after.unwrap_or(SOON))
        }
        // `invalid_client` and its like: the credentials of the client are wrong.
        RefreshFailure::NotConfigured | RefreshFailure::NoEndpoint | RefreshFailure::Refused { .. } => {
            again(StatusCode::BAD_GATEWAY, "operator", Word::SignInSiteRefused)
        }
        RefreshFailure::Local(_) => Answer::new(StatusCode::INTERNAL_SERVER_ERROR, "us", Word::OurFault),
        RefreshFailure::Status(_) | RefreshFailure::Garbage(_) => {
            again(StatusCode::BAD_GATEWAY, "issuer", Word::SignInServiceBroken)
        }
    }
}

/// 508 (RFC 5842 §7.2): more of the same would not help, and nothing but a person can.
fn describe_loop(cause: LoopCause) -> Answer {
    let (fault, detail) = match cause {
        LoopCause::NotKept => ("operator", Word::LoopNotKept),
        LoopCause::NotSecure => ("operator", Word::LoopNotSecure),
        LoopCause::Unreadable => ("operator", Word::LoopUnreadable),
        LoopCause::Clock => ("operator", Word::LoopClock),
        LoopCause::Refused => ("operator", Word::LoopRefused),
        LoopCause::SignedIn => ("upstream", Word::LoopSignedIn),
        LoopCause::NotAnew => ("upstream", Word::LoopNotAnew),
    };
    Answer::new(StatusCode::LOOP_DETECTED, fault, detail)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::verify::VerifyError;

    #[test]
    fn who_gets_no_session_is_not_told_of_one_and_can_begin_again() {
        let retry_after = SOON;
        for (error, status, fault) in [
            (Unauthenticated::StoreAway { retry_after }, 503, "store"),
            (Unauthenticated::IssuerUnavailable { retry_after }, 503, "issuer"),
            (Unauthenticated::Token(VerifyError::Inactive), 502, "operator"),
        ] {
            let answer = describe_not_begun(&error);
            assert_eq!((answer.status.as_u16(), answer.fault, answer.again), (status, fault, true), "{error}");
            assert!(!answer.detail.english().contains("still signed in"), "{}", answer.detail.english());
        }
    }
}
