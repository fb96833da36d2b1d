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
use super::exchange::Exchange;
use super::rejection::Rejection;
use super::way_in;
use crate::auth::unauthenticated::Unauthenticated;
use crate::auth::verify::{LogoutTokenError, VerifyError};
use crate::config;
use crate::forwarding::{Body, Fault, ForwardError};
use crate::issuer::local::NotSignedIn;
use crate::oauth::Challenge;
use crate::routing::PathError;

/// A form must not be lost silently: whoever signs in again would think that it has arrived (O13).
const UNDELIVERED: &str =
    "You are not signed in, or no longer. What you sent was not delivered: sign in, and send it again.";

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
    /// Being somebody else would help.
    pub(super) sign_out: bool,
    /// One sentence for whoever sent the request; nothing about the inside (X14).
    pub(super) detail: &'static str,
    /// What was required, where the site says so.
    pub(super) required: Option<String>,
    /// What a program can tell this answer by among others of its status.
    error: Option<&'static str>,
}

impl Answer {
    const fn new(status: StatusCode, fault: &'static str, detail: &'static str) -> Self {
        let (challenge, retry_after, allow, required, error) = (None, None, None, None, None);
        let (sign_in, again, sign_out) = (false, false, false);
        Self { status, fault, challenge, retry_after, allow, sign_in, again, sign_out, detail, required, error }
    }

    fn unauthorized(challenge: Challenge, detail: &'static str) -> Self {
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
        answer.detail = UNDELIVERED;
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
    let is_unread = matches!(
        rejection,
        Rejection::Malformed(_) | Rejection::BodyTooLarge | Rejection::NotSignedIn(NotSignedIn::TooLong)
    );
    if is_unread && exchange.record.version != Version::HTTP_2 {
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
            Answer::new(S::URI_TOO_LONG, "client", "The address is too long.")
        }
        Rejection::Malformed(AdmitError::Method) => Answer {
            allow: Some(HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")),
            ..Answer::new(S::METHOD_NOT_ALLOWED, "client", "This method is not served here.")
        },
        Rejection::Malformed(_) | Rejection::AmbiguousPath => {
            Answer::new(S::BAD_REQUEST, "client", "The request cannot be read in one way only.")
        }
        Rejection::UnknownHost => Answer::new(S::MISDIRECTED_REQUEST, "client", "There is no site of this name here."),
        Rejection::NoPath | Rejection::NoEndpoint => {
            Answer::new(S::NOT_FOUND, "client", "There is nothing at this address.")
        }
        Rejection::Method { allow } => Answer {
            allow: Some(allow.clone()),
            ..Answer::new(S::METHOD_NOT_ALLOWED, "client", "This address does not take this method.")
        },
        Rejection::Credentials(_) => Answer {
            challenge: Some(Challenge::InvalidRequest),
            ..Answer::new(S::BAD_REQUEST, "client", "The request must carry one credential, in one form.")
        },
        Rejection::CrossSite => Answer::new(S::FORBIDDEN, "client", "Another site made the browser send this request."),
        Rejection::Unauthenticated(unauthenticated) => describe_unauthenticated(unauthenticated),
        Rejection::Forbidden(refusal) => Answer {
            challenge: (!refusal.insufficient_scope.is_empty())
                .then(|| Challenge::InsufficientScope(refusal.insufficient_scope.clone())),
            required: explain.then(|| refusal.to_string()),
            sign_out: true,
            ..Answer::new(S::FORBIDDEN, "client", "You are signed in, but not allowed to do this.")
        },
        // Not 401: signing in once more would bring the same token.
        Rejection::NoSubject => Answer::new(S::FORBIDDEN, "issuer", "Your account has no name for the application."),
        Rejection::UnspeakableClaim(_) | Rejection::Assertion(_) => {
            Answer::new(S::BAD_GATEWAY, "issuer", "Your account cannot be described to the application.")
        }
        Rejection::BodyTooLarge => Answer::new(S::PAYLOAD_TOO_LARGE, "client", "The request body is too large."),
        Rejection::Forward(error) => {
            let (status, detail) = describe_forward(error);
            Answer::new(status, fault(error.fault()), detail)
        }
        Rejection::LoginTokens(Unauthenticated::IssuerUnavailable { retry_after }) => Answer {
            retry_after: Some(*retry_after),
            ..Answer::new(S::SERVICE_UNAVAILABLE, "issuer", "Sign-in is not possible at the moment.")
        },
        Rejection::LoginTokens(_) | Rejection::LoginAnswer => {
            Answer::new(S::BAD_GATEWAY, "upstream", "The sign-in service did not answer properly.")
        }
        Rejection::SignIn(error) => sign_in::describe(error),
        Rejection::SignInRequest => Answer::new(
            S::BAD_REQUEST,
            "client",
            "A sign-in is a JSON object with username and password, and totp where it is needed, all text.",
        ),
        Rejection::LogoutToken(LogoutTokenError::Token(VerifyError::IssuerUnavailable(_))) => {
            Answer::new(S::BAD_REQUEST, "issuer", "The logout token cannot be verified at the moment.")
        }
        Rejection::LogoutRequest | Rejection::LogoutToken(_) => {
            Answer::new(S::BAD_REQUEST, "client", "This is no logout token that counts here.")
        }
        Rejection::CookiesNotKept => Answer::new(
            S::BAD_REQUEST,
            "client",
            "Your browser does not keep cookies of this site, without which nobody stays signed in. Allow them, and sign in again.",
        ),
        Rejection::NotSignedIn(error) => describe_not_signed_in(error),
        Rejection::Internal => Answer::new(S::INTERNAL_SERVER_ERROR, "us", "Something went wrong here."),
    }
}

/// Nothing of it tells whether there is such a user.
fn describe_not_signed_in(error: &NotSignedIn) -> Answer {
    use StatusCode as S;
    match error {
        // A program that presents both is not told which of them was wrong.
        NotSignedIn::Wrong | NotSignedIn::WrongCode => Answer {
            sign_in: false,
            ..Answer::unauthorized(Challenge::Missing, "The user name or the password is wrong.")
        },
        NotSignedIn::CodeNeeded(_) => Answer {
            sign_in: false,
            error: Some("totp_required"),
            ..Answer::unauthorized(Challenge::Missing, "A one-time password is needed as well.")
        },
        NotSignedIn::Stale => Answer::new(S::BAD_REQUEST, "client", "This took too long. Please sign in again."),
        NotSignedIn::TooLong => Answer::new(S::BAD_REQUEST, "client", "The user name or the password is too long."),
        NotSignedIn::Throttled { retry_after } => Answer {
            retry_after: Some(*retry_after),
            ..Answer::new(S::TOO_MANY_REQUESTS, "client", "There were too many attempts to sign in. Please wait.")
        },
        NotSignedIn::Busy { retry_after } => Answer {
            retry_after: Some(*retry_after),
            ..Answer::new(S::SERVICE_UNAVAILABLE, "us", "Too many sign in at once. Please try again in a moment.")
        },
        NotSignedIn::Unavailable { retry_after, .. } => Answer {
            retry_after: Some(*retry_after),
            ..Answer::new(S::SERVICE_UNAVAILABLE, "us", "Sign-in is not possible at the moment.")
        },
    }
}

fn describe_unauthenticated(error: &Unauthenticated) -> Answer {
    match error {
        Unauthenticated::NoCredentials => Answer::unauthorized(Challenge::Missing, "Please sign in."),
        Unauthenticated::UnreadableCookies(_) | Unauthenticated::SessionEnded(_) => {
            Answer::unauthorized(Challenge::Missing, "Your session has ended. Please sign in again.")
        }
        Unauthenticated::RenewalNotAllowed => {
            Answer::unauthorized(Challenge::InvalidToken, "The access token has expired.")
        }
        Unauthenticated::Token(_) => {
            Answer::unauthorized(Challenge::InvalidToken, "The access token does not count here.")
        }
        Unauthenticated::NoRandomness(_) => {
            Answer::new(StatusCode::INTERNAL_SERVER_ERROR, "us", "Something went wrong here.")
        }
        Unauthenticated::Unkept(_) => {
            Answer::new(StatusCode::BAD_GATEWAY, "issuer", "The sign-in service did not answer properly.")
        }
        Unauthenticated::IssuerUnavailable { retry_after } => Answer {
            retry_after: Some(*retry_after),
            ..Answer::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "issuer",
                "The sign-in service cannot be reached. You are still signed in: please try again in a moment.",
            )
        },
    }
}

const fn describe_forward(error: &ForwardError) -> (StatusCode, &'static str) {
    use StatusCode as S;
    match error {
        ForwardError::UnknownUpstream => (S::INTERNAL_SERVER_ERROR, "Something went wrong here."),
        ForwardError::InvalidAuthority => (S::BAD_REQUEST, "The request cannot be read in one way only."),
        ForwardError::Unreachable(_) => (S::BAD_GATEWAY, "The application cannot be reached."),
        ForwardError::Broken { .. } | ForwardError::Protocol(_) => {
            (S::BAD_GATEWAY, "The application did not answer properly.")
        }
        ForwardError::ConnectTimedOut | ForwardError::ResponseTimedOut | ForwardError::UploadStalled => {
            (S::GATEWAY_TIMEOUT, "The application did not answer in time.")
        }
        ForwardError::RequestTooLarge => (S::PAYLOAD_TOO_LARGE, "The request body is too large."),
        ForwardError::ClientIdle => (S::REQUEST_TIMEOUT, "The request body did not arrive in time."),
        // Nobody may be there to read this; a body whose framing is broken looks the same.
        ForwardError::ClientGone => (S::BAD_REQUEST, "The request body did not arrive whole."),
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
    if answer.fault != "client" && !rejection.is_said() {
        tracing::warn!(
            fault = answer.fault,
            request_id = exchange.id(),
            status = answer.status.as_u16(),
            reason,
            "request refused"
        );
    }
    exchange.record.refusal = Some((reason.into(), answer.fault));
}

/// An error and its causes on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

/// A redirect, a page or a problem document.
fn form(gateway: &Gateway, exchange: &Exchange<'_>, answer: &Answer) -> Response<Body> {
    let sign_in = exchange.route().filter(|_| answer.sign_in).and_then(|route| way_in::url(gateway, exchange, route));
    let sign_in = sign_in.or_else(|| answer.again.then(|| way_in::again(exchange)));
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
        sign_in if exchange.kind.navigation => gateway.pages.refusal(answer, exchange.id(), sign_in.as_deref()),
        sign_in => problem(answer, exchange.id(), sign_in.as_deref()),
    }
}

/// RFC 9457.
fn problem(answer: &Answer, request_id: &str, sign_in: Option<&str>) -> Response<Body> {
    let mut document = json!({
        "type": "about:blank",
        "title": answer.status.canonical_reason(),
        "status": answer.status.as_u16(),
        "detail": answer.detail,
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
