//! The part of the table that is about sign-ins: what people read when one does not begin, or comes to nothing.

use std::time::Duration;

use http::StatusCode;

use super::Answer;
use crate::auth::sign_in::{LoopCause, SignInError};
use crate::issuer::{AuthorizationError, CodeError, RefreshFailure};

/// Where the issuer does not say when to come back.
const SOON: Duration = Duration::from_secs(5);

pub(super) fn describe(error: &SignInError) -> Answer {
    use StatusCode as S;
    match error {
        SignInError::NotOffered => Answer::new(S::NOT_FOUND, "client", "Nobody can sign in here in this way."),
        SignInError::NoNavigation => {
            Answer::new(S::FORBIDDEN, "client", "Signing in takes a browser window: open this address in one.")
        }
        SignInError::Loop(cause) => Answer { again: true, ..describe_loop(*cause) },
        SignInError::NoAuthorization(AuthorizationError::Discovery(unavailable)) => {
            unavailable_for(unavailable.retry_after)
        }
        SignInError::NoAuthorization(AuthorizationError::NotPushed(error)) if error.is_passing() => {
            unavailable_for(SOON)
        }
        SignInError::NoAuthorization(
            AuthorizationError::NotConfigured | AuthorizationError::NoEndpoint | AuthorizationError::NotPushed(_),
        ) => Answer::new(S::BAD_GATEWAY, "operator", "The sign-in service is not set up for this."),
        SignInError::Malformed => again(S::BAD_REQUEST, "client", "This is no answer of the sign-in service."),
        SignInError::Unknown => again(
            S::BAD_REQUEST,
            "client",
            "This browser has no such sign-in under way. It is done already, was begun under another address, or the \
             browser does not keep cookies of this site.",
        ),
        SignInError::Repeated => again(
            S::BAD_REQUEST,
            "client",
            "This page was opened before, and the sign-in is done or has failed. If you are not signed in, try once more.",
        ),
        SignInError::Expired => again(S::BAD_REQUEST, "client", "This took too long. Please sign in again."),
        SignInError::OtherSite => again(S::BAD_REQUEST, "client", "This sign-in was begun elsewhere."),
        SignInError::OtherIssuer => again(
            S::BAD_REQUEST,
            "issuer",
            "This is the answer of another sign-in service than the one that was asked.",
        ),
        SignInError::Refused(code) => describe_refused(code),
        SignInError::Code(CodeError::InvalidGrant) => {
            again(S::BAD_REQUEST, "client", "The sign-in service says that this sign-in is no longer good.")
        }
        SignInError::Code(CodeError::Unavailable { cause, retry_after }) => describe_exchange(cause, *retry_after),
        SignInError::NotVerified { retry_after } => unavailable_for(*retry_after),
        SignInError::IdToken(_) => {
            again(S::BAD_GATEWAY, "issuer", "The sign-in service did not say for certain who you are.")
        }
        SignInError::AccessToken(_) => again(
            S::BAD_GATEWAY,
            "operator",
            "You have signed in, but the sign-in service's tokens do not count here. The operator's log says why.",
        ),
        SignInError::NoRandomness(_) | SignInError::Seal(_) => {
            Answer::new(S::INTERNAL_SERVER_ERROR, "us", "Something went wrong here.")
        }
    }
}

fn again(status: StatusCode, fault: &'static str, detail: &'static str) -> Answer {
    Answer { again: true, ..Answer::new(status, fault, detail) }
}

fn unavailable_for(retry_after: Duration) -> Answer {
    Answer {
        retry_after: Some(retry_after),
        ..again(
            StatusCode::SERVICE_UNAVAILABLE,
            "issuer",
            "The sign-in service cannot be reached. Please try again in a moment.",
        )
    }
}

/// RFC 6749 §4.1.2.1, OIDC Core §3.1.2.6. What only an operator can put right says so to the log, not to the user.
fn describe_refused(code: &str) -> Answer {
    match code {
        "access_denied" => again(StatusCode::FORBIDDEN, "client", "The sign-in service did not let you in."),
        "server_error" | "temporarily_unavailable" => unavailable_for(SOON),
        _ => again(StatusCode::BAD_GATEWAY, "operator", "The sign-in service refused to sign you in."),
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
            again(StatusCode::BAD_GATEWAY, "operator", "The sign-in service does not accept this site.")
        }
        RefreshFailure::Local(_) => Answer::new(StatusCode::INTERNAL_SERVER_ERROR, "us", "Something went wrong here."),
        RefreshFailure::Status(_) | RefreshFailure::Garbage(_) => {
            again(StatusCode::BAD_GATEWAY, "issuer", "The sign-in service did not answer properly.")
        }
    }
}

/// 508 (RFC 5842 §7.2): more of the same would not help, and nothing but a person can.
fn describe_loop(cause: LoopCause) -> Answer {
    let (fault, detail) = match cause {
        LoopCause::NotKept => (
            "operator",
            "You have signed in several times, but your browser does not send the session back. The likely cause: it \
             blocks cookies of this site, or the cookies are too large for it.",
        ),
        LoopCause::NotSecure => (
            "operator",
            "You have signed in several times, but your browser does not send the session back. The likely cause: this \
             site is open over plain http, and the session cookies are Secure. Use https.",
        ),
        LoopCause::Unreadable => (
            "operator",
            "You have signed in several times, but the session cookies cannot be read. The likely cause: another server \
             answers under this name with another session secret.",
        ),
        LoopCause::Clock => (
            "operator",
            "You have signed in several times, but each new session is over at once. The likely cause: the clock of \
             this server or that of the sign-in service is wrong, or its tokens live for too short a time.",
        ),
        LoopCause::Refused => (
            "operator",
            "You have signed in several times, but the session does not count here. The likely cause: it was ended \
             elsewhere, or the sign-in service's tokens are meant for another audience.",
        ),
        LoopCause::SignedIn => (
            "upstream",
            "You are signed in, but were sent to sign in again and again. The likely cause: the application asks for it \
             although it is told who you are.",
        ),
    };
    Answer::new(StatusCode::LOOP_DETECTED, fault, detail)
}
