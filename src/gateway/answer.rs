//! From a rejection to an answer: one total match, without a wildcard, then the form that the kind of request asks for.

mod sign_in;

use std::time::Duration;

use http::header::{
    ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, LOCATION, REFERRER_POLICY, RETRY_AFTER, WWW_AUTHENTICATE,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, Version};
use serde_json::json;

use super::Gateway;
use super::admit::AdmitError;
use super::audit;
use super::exchange::Exchange;
use super::rejection::Rejection;
use super::verify::QuestionError;
use super::way_in;
use crate::auth::step_up::Insufficient;
use crate::auth::unauthenticated::Unauthenticated;
use crate::auth::verify::{LogoutTokenError, VerifyError};
use crate::config::{self, Authentication, Word};
use crate::forwarding::{Body, Fault, ForwardError, chain};
use crate::issuer::local::NotSignedIn;
use crate::oauth::Challenge;
use crate::routing::PathError;

/// When to try again what was one too many.
const SHORTLY: Duration = Duration::from_secs(1);

/// What an answer says, before it takes a form.
pub(super) struct Answer {
    /// The status.
    pub(super) status: StatusCode,
    /// Whose fault it is: `client`, `operator`, `issuer`, `upstream`, `us`, for the log.
    fault: &'static str,
    /// `WWW-Authenticate`: on every 401 (RFC 9110 §11.6.1), and where RFC 6750 §3.1 has an error code.
    challenge: Option<Challenge>,
    /// When to try again.
    retry_after: Option<Duration>,
    /// For a 405.
    allow: Option<HeaderValue>,
    /// Signing in would help.
    sign_in: bool,
    /// Signing in was what failed: once more may help, but only when somebody wants it.
    again: bool,
    /// Where on the site things may be better.
    pub(super) elsewhere: Option<&'static str>,
    /// What a page is headed by, where the status would say something else.
    pub(super) title: Option<Word>,
    /// Being somebody else would help.
    pub(super) sign_out: bool,
    /// One sentence for whoever sent the request; nothing about the inside (X14).
    pub(super) detail: Word,
    /// What was required, where the site says so.
    pub(super) required: Option<String>,
    /// What a program can tell this answer by among others of its status.
    error: Option<&'static str>,
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

    fn unauthorized(challenge: Challenge, detail: Word) -> Self {
        Self { challenge: Some(challenge), sign_in: true, ..Self::new(StatusCode::UNAUTHORIZED, "client", detail) }
    }
}

/// Turns a rejection into the answer that the client gets, and the reason that the log gets.
pub(super) fn answer(gateway: &Gateway, exchange: &mut Exchange<'_>, rejection: &Rejection) -> Response<Body> {
    answer_with(exchange, rejection, |exchange, answer| form(gateway, exchange, answer))
}

/// The same for an answer that has a form of its own.
pub(super) fn answer_with<'g>(
    exchange: &mut Exchange<'g>,
    rejection: &Rejection,
    form: impl FnOnce(&Exchange<'g>, &Answer) -> Response<Body>,
) -> Response<Body> {
    let mut answer = describe(rejection, exchange.route().is_some_and(|route| route.explain_refusals));
    if answer.sign_in && exchange.kind.navigation && exchange.record.method != Method::GET {
        // A form must not be lost silently: whoever signs in again would think that it has arrived (O13).
        answer.detail = match (exchange.unsent.is_some(), exchange.asked.is_some()) {
            (true, false) => Word::FormKept,
            (false, false) => Word::FormLost,
            (true, true) => Word::FormKeptUntilAnew,
            (false, true) => Word::FormLostUntilAnew,
        };
    }
    note(exchange, &answer, rejection);
    let mut response = form(exchange, &answer);
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(challenge) = &answer.challenge {
        headers.insert(WWW_AUTHENTICATE, challenge.header_value());
    }
    if let Some(retry_after) = answer.retry_after {
        // Rounded up: who comes when told to must not come too early.
        let seconds = retry_after.as_secs() + u64::from(retry_after.subsec_nanos() > 0);
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds.max(1)));
    }
    if let Some(allow) = answer.allow {
        headers.insert(ALLOW, allow);
    }
    // What could not be read to its end, or might be smuggled, ends the connection (RFC 9112 §6.3). HTTP/2 ignores it.
    // So does what can only be had on another one: a client that sends one request after the other would go on with this.
    let is_last = matches!(
        rejection,
        Rejection::Malformed(_)
            | Rejection::BodyTooLarge
            | Rejection::NotSignedIn(NotSignedIn::TooLong)
            | Rejection::OtherHandshake
            | Rejection::CertificateExpired
    );
    if is_last && exchange.record.version != Version::HTTP_2 {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    exchange.add_cors(headers);
    response
}

/// The table of answers.
fn describe(rejection: &Rejection, explain: bool) -> Answer {
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
        Rejection::CertificateExpired => Answer::new(S::MISDIRECTED_REQUEST, "client", Word::CertificateExpired),
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

/// Why an application's login began no session.
fn describe_login_tokens(error: &Unauthenticated) -> Answer {
    let unavailable = |fault, retry_after| Answer {
        retry_after: Some(retry_after),
        ..Answer::new(StatusCode::SERVICE_UNAVAILABLE, fault, Word::SignInUnavailable)
    };
    match error {
        Unauthenticated::IssuerUnavailable { retry_after } => unavailable("issuer", *retry_after),
        Unauthenticated::StoreAway { retry_after } => unavailable("store", *retry_after),
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
        Unauthenticated::Certificate(_) => Answer::unauthorized(Challenge::Missing, Word::CertificateNameless),
        Unauthenticated::NoRandomness(_) => Answer::new(StatusCode::INTERNAL_SERVER_ERROR, "us", Word::OurFault),
        Unauthenticated::Unkept(_) => Answer::new(StatusCode::BAD_GATEWAY, "issuer", Word::SignInServiceBroken),
        Unauthenticated::IssuerUnavailable { retry_after } => Answer {
            retry_after: Some(*retry_after),
            ..Answer::new(StatusCode::SERVICE_UNAVAILABLE, "issuer", Word::StillSignedIn)
        },
        Unauthenticated::StoreAway { retry_after } => Answer {
            retry_after: Some(*retry_after),
            ..Answer::new(StatusCode::SERVICE_UNAVAILABLE, "store", Word::NotRenewed)
        },
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

/// Tells the log why. What is somebody's fault other than the client's is also worth a line of its own.
fn note(exchange: &mut Exchange<'_>, answer: &Answer, rejection: &Rejection) {
    let reason = chain(rejection);
    if answer.fault != "client" && !rejection.is_said() && exchange.is_audited {
        tracing::warn!(
            fault = answer.fault,
            request_id = exchange.id(),
            status = answer.status.as_u16(),
            reason,
            "request refused"
        );
    }
    audit::rejected(exchange, rejection, (&reason, answer.fault));
    exchange.record.refusal = Some((reason.into(), answer.fault));
}

/// A redirect, a page or a problem document.
fn form(gateway: &Gateway, exchange: &Exchange<'_>, answer: &Answer) -> Response<Body> {
    let sign_in = exchange.route().filter(|_| answer.sign_in).and_then(|route| way_in::url(gateway, exchange, route));
    let sign_in = sign_in.or_else(|| answer.again.then(|| way_in::again(gateway, exchange)));
    let wanted = exchange.route().map_or(config::Unauthenticated::Auto, |route| route.unauthenticated);
    let redirects = match wanted {
        config::Unauthenticated::Auto => exchange.kind.navigation && exchange.record.method == Method::GET,
        config::Unauthenticated::Redirect => exchange.record.method == Method::GET,
        config::Unauthenticated::Status => false,
    };
    match sign_in {
        Some(url) if redirects && !answer.again => {
            with_header(Body::Empty, StatusCode::FOUND, &[(LOCATION, &url), (REFERRER_POLICY, "no-referrer")])
        }
        sign_in if exchange.kind.navigation => {
            let (sign_in, reader) = (sign_in.as_deref(), exchange.reader());
            match &exchange.unsent {
                Some(form) => gateway.pages.resend(answer, form, sign_in, &reader),
                None => gateway.pages.refusal(answer, sign_in, &reader),
            }
        }
        sign_in => problem(answer, exchange.id(), sign_in.as_deref()),
    }
}

/// RFC 9457. For programs, and so always in the same words.
fn problem(answer: &Answer, request_id: &str, sign_in: Option<&str>) -> Response<Body> {
    let mut document = json!({
        "type": "about:blank",
        "title": answer.status.canonical_reason(),
        "status": answer.status.as_u16(),
        "detail": answer.detail.english(),
        "request_id": request_id,
    });
    if let Some(members) = document.as_object_mut() {
        members.extend(answer.required.as_ref().map(|required| ("required".to_owned(), json!(required))));
        members.extend(answer.error.map(|error| ("error".to_owned(), json!(error))));
        members.extend(sign_in.map(|url| ("login_url".to_owned(), json!(url))));
    }
    let body = Body::full(format!("{document}\n"));
    with_header(body, answer.status, &[(CONTENT_TYPE, "application/problem+json")])
}

/// A response with a few headers that are known to be valid.
pub(super) fn with_header(body: Body, status: StatusCode, headers: &[(HeaderName, &str)]) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let valid = |(name, value): &(HeaderName, &str)| Some((name.clone(), HeaderValue::try_from(*value).ok()?));
    response.headers_mut().extend(headers.iter().filter_map(valid).collect::<HeaderMap>());
    response
}
