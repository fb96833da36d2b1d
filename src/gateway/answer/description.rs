//! What the answer to each rejection says: one total match, without a wildcard.

mod sign_in;

use std::time::Duration;

use http::{HeaderValue, StatusCode};

use crate::auth::step_up::Insufficient;
use crate::auth::unauthenticated::Unauthenticated;
use crate::auth::verify::{LogoutTokenError, VerifyError};
use crate::config::{Authentication, Word};
use crate::forwarding::{Fault, ForwardError};
use crate::gateway::admit::AdmitError;
use crate::gateway::rejection::Rejection;
use crate::gateway::verify::QuestionError;
use crate::issuer::local::NotSignedIn;
use crate::oauth::Challenge;
use crate::routing::PathError;

/// When to try again what was one too many.
const SHORTLY: Duration = Duration::from_secs(1);

/// What an answer says, before it takes a form.
pub(in crate::gateway) struct Answer {
    /// The status.
    pub(in crate::gateway) status: StatusCode,
    /// Whose fault it is: `client`, `operator`, `issuer`, `upstream`, `us`, for the log.
    pub(super) fault: &'static str,
    /// `WWW-Authenticate`: on every 401 (RFC 9110 §11.6.1), and where RFC 6750 §3.1 has an error code.
    pub(super) challenge: Option<Challenge>,
    /// When to try again.
    pub(super) retry_after: Option<Duration>,
    /// For a 405.
    pub(super) allow: Option<HeaderValue>,
    /// Signing in would help.
    pub(super) sign_in: bool,
    /// Signing in was what failed: once more may help, but only when somebody wants it.
    pub(super) again: bool,
    /// Where on the site things may be better.
    pub(in crate::gateway) elsewhere: Option<&'static str>,
    /// What a page is headed by, where the status would say something else.
    pub(in crate::gateway) title: Option<Word>,
    /// Being somebody else would help.
    pub(in crate::gateway) sign_out: bool,
    /// One sentence for whoever sent the request; nothing about the inside (X14).
    pub(in crate::gateway) detail: Word,
    /// What was required, where the site says so.
    pub(in crate::gateway) required: Option<String>,
    /// What a program can tell this answer by among others of its status.
    pub(super) error: Option<&'static str>,
}

impl Answer {
    const fn new(status: StatusCode, fault: &'static str, detail: Word) -> Self {
        Self {
            status,
            fault,
            challenge: None,
            retry_after: None,
            allow: None,
            sign_in: false,
            again: false,
            elsewhere: None,
            title: None,
            sign_out: false,
            detail,
            required: None,
            error: None,
        }
    }

    /// Rounded up: who comes when told to must not come too early.
    pub(in crate::gateway) fn retry_after_seconds(&self) -> Option<u64> {
        let seconds = |wait: Duration| wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        self.retry_after.map(|wait| seconds(wait).max(1))
    }

    fn unauthorized(challenge: Challenge, detail: Word) -> Self {
        Self { challenge: Some(challenge), sign_in: true, ..Self::new(StatusCode::UNAUTHORIZED, "client", detail) }
    }
}

/// The table of answers.
pub(super) fn describe(rejection: &Rejection, explain: bool) -> Answer {
    use StatusCode as S;
    match rejection {
        Rejection::Malformed(AdmitError::Path(PathError::TooLong)) => {
            Answer::new(S::URI_TOO_LONG, "client", Word::AddressTooLong)
        }
        Rejection::Malformed(AdmitError::Method) => Answer {
            allow: Some(HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")),
            ..Answer::new(S::METHOD_NOT_ALLOWED, "client", Word::MethodNotServed)
        },
        Rejection::Malformed(_) | Rejection::AmbiguousPath => Answer::new(S::BAD_REQUEST, "client", Word::Ambiguous),
        // Both were directed at a server that is not to produce their answer (RFC 9110 §15.5.20).
        Rejection::UnknownHost | Rejection::NotForwarded => Answer::new(S::MISDIRECTED_REQUEST, "client", Word::NoSite),
        // Another connection would do.
        Rejection::OtherHandshake => Answer::new(S::MISDIRECTED_REQUEST, "client", Word::OtherHandshake),
        Rejection::CertificateExpired => Answer {
            error: Some("certificate_expired"),
            ..Answer::new(S::MISDIRECTED_REQUEST, "client", Word::CertificateExpired)
        },
        Rejection::NoPath | Rejection::NoEndpoint => Answer::new(S::NOT_FOUND, "client", Word::NothingHere),
        Rejection::Method { allow } => {
            Answer { allow: Some(allow.clone()), ..Answer::new(S::METHOD_NOT_ALLOWED, "client", Word::MethodNotTaken) }
        }
        Rejection::RateLimited(exceeded) => Answer {
            retry_after: Some(exceeded.retry_after),
            error: Some("rate_limited"),
            ..Answer::new(S::TOO_MANY_REQUESTS, "client", Word::RateLimited)
        },
        Rejection::Credentials(_) => Answer {
            challenge: Some(Challenge::InvalidRequest),
            ..Answer::new(S::BAD_REQUEST, "client", Word::OneCredential)
        },
        Rejection::CrossSite => Answer::new(S::FORBIDDEN, "client", Word::CrossSite),
        Rejection::Unauthenticated(unauthenticated) => describe_unauthenticated(unauthenticated),
        Rejection::Forbidden(refusal) => Answer {
            challenge: (!refusal.insufficient_scope.is_empty())
                .then(|| Challenge::InsufficientScope(refusal.insufficient_scope.clone())),
            required: explain.then(|| refusal.to_string()),
            elsewhere: Some("/"),
            sign_out: true,
            ..Answer::new(S::FORBIDDEN, "client", Word::Forbidden)
        },
        Rejection::InsufficientAuthentication(insufficient) => describe_insufficient(insufficient),
        // Not 401: signing in once more would bring the same token.
        Rejection::NoSubject => Answer::new(S::FORBIDDEN, "issuer", Word::NoSubject),
        Rejection::UnspeakableClaim(_) | Rejection::Assertion(_) => {
            Answer::new(S::BAD_GATEWAY, "issuer", Word::Indescribable)
        }
        Rejection::BodyTooLarge => Answer::new(S::PAYLOAD_TOO_LARGE, "client", Word::BodyTooLarge),
        Rejection::Forward(error) => {
            let (status, detail) = describe_forward(error);
            let retry_after = matches!(error, ForwardError::Overloaded).then_some(SHORTLY);
            Answer { retry_after, ..Answer::new(status, fault(error.fault()), detail) }
        }
        Rejection::NotBegun(error) => sign_in::describe_not_begun(error),
        Rejection::LoginTokens(error) => describe_login_tokens(error),
        Rejection::LoginAnswer => Answer::new(S::BAD_GATEWAY, "upstream", Word::SignInServiceBroken),
        Rejection::SignIn(error) => sign_in::describe(error),
        Rejection::SignInRequest => Answer::new(S::BAD_REQUEST, "client", Word::SignInIsJson),
        Rejection::LogoutToken(LogoutTokenError::Token(VerifyError::IssuerUnavailable(_))) => {
            Answer::new(S::BAD_REQUEST, "issuer", Word::LogoutTokenLater)
        }
        Rejection::LogoutToken(LogoutTokenError::Untold(_)) => {
            Answer::new(S::BAD_REQUEST, "store", Word::LogoutTokenLater)
        }
        Rejection::LogoutRequest | Rejection::LogoutToken(_) => {
            Answer::new(S::BAD_REQUEST, "client", Word::LogoutTokenRefused)
        }
        Rejection::CookiesNotKept => Answer::new(S::BAD_REQUEST, "client", Word::CookiesNotKept),
        Rejection::NotSignedIn(error) => describe_not_signed_in(error),
        Rejection::Question(error) => describe_question(error),
        Rejection::Internal => Answer::new(S::INTERNAL_SERVER_ERROR, "us", Word::OurFault),
    }
}

/// Somebody whom Usher needs is away: 503, and when to try again.
fn unavailable(fault: &'static str, retry_after: Duration, detail: Word) -> Answer {
    Answer { retry_after: Some(retry_after), ..Answer::new(StatusCode::SERVICE_UNAVAILABLE, fault, detail) }
}

/// Why an application's login began no session.
fn describe_login_tokens(error: &Unauthenticated) -> Answer {
    match error {
        Unauthenticated::IssuerUnavailable { retry_after } => {
            unavailable("issuer", *retry_after, Word::SignInUnavailable)
        }
        Unauthenticated::StoreAway { retry_after } => unavailable("store", *retry_after, Word::SignInUnavailable),
        _ => Answer::new(StatusCode::BAD_GATEWAY, "upstream", Word::SignInServiceBroken),
    }
}

fn describe_question(error: &QuestionError) -> Answer {
    use StatusCode as S;
    match error {
        QuestionError::Stranger => Answer::new(S::FORBIDDEN, "operator", Word::NothingHere),
        QuestionError::NoQuestion => Answer::new(S::NOT_FOUND, "client", Word::NothingHere),
        QuestionError::Missing(_) => Answer::new(S::BAD_REQUEST, "operator", Word::Ambiguous),
        QuestionError::Unreadable(_) | QuestionError::Contradiction(_) | QuestionError::Impostor(_) => {
            Answer::new(S::BAD_REQUEST, "client", Word::Ambiguous)
        }
        QuestionError::LoginPassesBy => Answer::new(S::INTERNAL_SERVER_ERROR, "operator", Word::OurFault),
        // Once more, and it passes.
        QuestionError::Overtaken => Answer {
            retry_after: Some(Duration::from_secs(1)),
            ..Answer::new(S::SERVICE_UNAVAILABLE, "us", Word::OurFault)
        },
    }
}

fn describe_insufficient(insufficient: &Insufficient) -> Answer {
    let Authentication { acr_values, max_age } = insufficient.asked.clone();
    let max_age = max_age.map(|age| age.as_secs());
    Answer {
        title: Some(Word::PleaseSignInAgain),
        ..Answer::unauthorized(
            Challenge::InsufficientUserAuthentication { acr_values, max_age },
            Word::SignInInsufficient,
        )
    }
}

/// Nothing of it tells whether there is such a user.
fn describe_not_signed_in(error: &NotSignedIn) -> Answer {
    use StatusCode as S;
    match error {
        // A program that presents both is not told which of them was wrong.
        NotSignedIn::Wrong | NotSignedIn::WrongCode { .. } => {
            Answer { sign_in: false, ..Answer::unauthorized(Challenge::Missing, Word::WrongPassword) }
        }
        NotSignedIn::CodeNeeded(_) => Answer {
            sign_in: false,
            error: Some("totp_required"),
            ..Answer::unauthorized(Challenge::Missing, Word::CodeNeeded)
        },
        NotSignedIn::Stale => Answer::new(S::BAD_REQUEST, "client", Word::SignInExpired),
        NotSignedIn::TooLong => Answer::new(S::BAD_REQUEST, "client", Word::PasswordTooLong),
        NotSignedIn::Throttled { retry_after, .. } => Answer {
            retry_after: Some(*retry_after),
            error: Some("too_many_attempts"),
            ..Answer::new(S::TOO_MANY_REQUESTS, "client", Word::TooManyAttempts)
        },
        NotSignedIn::Busy { retry_after } => {
            Answer { retry_after: Some(*retry_after), ..Answer::new(S::SERVICE_UNAVAILABLE, "us", Word::Busy) }
        }
        NotSignedIn::Unavailable { retry_after, .. } => Answer {
            retry_after: Some(*retry_after),
            ..Answer::new(S::SERVICE_UNAVAILABLE, "us", Word::SignInUnavailable)
        },
    }
}

fn describe_unauthenticated(error: &Unauthenticated) -> Answer {
    match error {
        Unauthenticated::NoCredentials => Answer::unauthorized(Challenge::Missing, Word::PleaseSignIn),
        Unauthenticated::UnreadableCookies(_) | Unauthenticated::SessionEnded(_) => {
            Answer::unauthorized(Challenge::Missing, Word::SessionEnded)
        }
        Unauthenticated::RenewalNotAllowed => Answer::unauthorized(Challenge::InvalidToken, Word::TokenExpired),
        Unauthenticated::Token(_) => Answer::unauthorized(Challenge::InvalidToken, Word::TokenRefused),
        Unauthenticated::Certificate(_) => Answer {
            error: Some("certificate_nameless"),
            ..Answer::unauthorized(Challenge::Missing, Word::CertificateNameless)
        },
        Unauthenticated::NoRandomness(_) => Answer::new(StatusCode::INTERNAL_SERVER_ERROR, "us", Word::OurFault),
        Unauthenticated::Unkept(_) => Answer::new(StatusCode::BAD_GATEWAY, "issuer", Word::SignInServiceBroken),
        Unauthenticated::IssuerUnavailable { retry_after } => unavailable("issuer", *retry_after, Word::StillSignedIn),
        Unauthenticated::Unverified { retry_after } => unavailable("issuer", *retry_after, Word::TokenUnverified),
        Unauthenticated::StoreAway { retry_after } => unavailable("store", *retry_after, Word::NotRenewed),
    }
}

const fn describe_forward(error: &ForwardError) -> (StatusCode, Word) {
    use StatusCode as S;
    match error {
        ForwardError::UnknownUpstream => (S::INTERNAL_SERVER_ERROR, Word::OurFault),
        ForwardError::InvalidAuthority => (S::BAD_REQUEST, Word::Ambiguous),
        ForwardError::Unreachable(_) => (S::BAD_GATEWAY, Word::ApplicationAway),
        ForwardError::Broken { .. } | ForwardError::Protocol(_) => (S::BAD_GATEWAY, Word::ApplicationBroken),
        ForwardError::Overloaded => (S::SERVICE_UNAVAILABLE, Word::ApplicationBusy),
        ForwardError::ConnectTimedOut | ForwardError::ResponseTimedOut | ForwardError::UploadStalled => {
            (S::GATEWAY_TIMEOUT, Word::ApplicationSlow)
        }
        ForwardError::RequestTooLarge => (S::PAYLOAD_TOO_LARGE, Word::BodyTooLarge),
        ForwardError::ClientIdle => (S::REQUEST_TIMEOUT, Word::BodySlow),
        // Nobody may be there to read this; a body whose framing is broken looks the same.
        // Who was signed out is told that, not this.
        ForwardError::ClientGone | ForwardError::SessionOver => (S::BAD_REQUEST, Word::BodyCutShort),
    }
}

const fn fault(fault: Fault) -> &'static str {
    match fault {
        Fault::Client => "client",
        Fault::Upstream => "upstream",
        Fault::Us => "us",
    }
}
