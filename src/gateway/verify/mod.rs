//! Forward authentication: another proxy serves the request, and asks here first whether it may pass, and as whom.
//!
//! A [`question`] describes a request. That request goes through the steps 1 to 6 of the [journey](super::journey), the same
//! ones; nothing is forwarded, and no body is looked at. The answer to one that may pass is [what the application is to be
//! told](told); to one that may not, it is the refusal that the client would get, in the [form](Form) that suits the proxy. What
//! the browser must be told about its cookies goes out on both.
//!
//! Questions are answered on a listener of their own (`listen.verify`) and to trusted proxies only. On the others there is no
//! such endpoint: a proxy passes a client's own request for it on to them, and what the application is told (the token, what
//! `upstream_authorization` says) is for no client.

mod question;
pub(super) mod told;

use http::header::{
    CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, LOCATION, REFERRER_POLICY, SET_COOKIE, WWW_AUTHENTICATE,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};

use super::authentication::InEarnest;
use super::exchange::Exchange;
use super::rate_limits::Standings;
use super::{Connection, Gateway, LoggedBody, Rejection, admit, answer, client_certificate, decide};
use crate::forwarding::Body;

pub(super) use question::QuestionError;
use question::{Form, describe};

/// What the lines of `Set-Cookie` are called for a proxy that would read no more than one of them: this and a number.
const NUMBERED_COOKIE: &str = "x-usher-set-cookie-";

/// Answers one question.
pub(super) async fn answer(
    gateway: &Gateway,
    connection: &Connection,
    mut request: Request<()>,
) -> Response<LoggedBody> {
    let (is_head, form) = (request.method() == Method::HEAD, Form::of(request.uri().path()));
    let question = describe(&mut request, connection, &gateway.router);
    let mut exchange = Exchange::begin(gateway, connection, &request);
    exchange.bodyless = is_head;
    // Whoever asks for the refusal was refused just before, and the auditor has heard of it.
    exchange.is_audited = question.is_err() || form != Form::Refusal;
    // So the last request that a rate limit lets in looks like the first that it does not, where it is refused for another
    // reason: whoever sends it is told to wait.
    if form == Form::Refusal {
        exchange.standings = Standings::of_repeated();
    }
    let outcome = match question {
        Ok(()) => verify(gateway, connection, form, &mut request, &mut exchange).await,
        Err(refusal) => Err(refusal),
    };
    let response = outcome.unwrap_or_else(|refusal| refuse(gateway, &mut exchange, &refusal, form));
    gateway.authenticator.freshen(&mut exchange.jar).await;
    let mut response = exchange.finish(response);
    if form == Form::Statuses {
        number_cookies(response.headers_mut());
    }
    response
}

/// The steps 1 to 6, with the request that is asked about.
async fn verify<'g>(
    gateway: &'g Gateway,
    connection: &Connection,
    form: Form,
    request: &mut Request<()>,
    exchange: &mut Exchange<'g>,
) -> Result<Response<Body>, Rejection> {
    let target = exchange.note_target(admit::admit(request, connection)?);
    client_certificate::check(gateway, connection, &target)?;
    refuse_impostor(gateway, request.headers())?;
    gateway.stripper.strip(request.headers_mut(), connection.peer_trusted);
    if target.is_own() {
        exchange.note_own_path();
        return Err(Rejection::NoEndpoint);
    }
    let decision = decide(gateway, connection, &target, request, exchange, &mut InEarnest).await?;
    if decision.route.login.is_some() && *request.method() == Method::POST {
        return Err(QuestionError::LoginPassesBy.into());
    }
    if form == Form::Refusal {
        return again(request, &target.origin());
    }
    let identity = decision.identity.as_ref();
    let fields = told::fields(gateway, &target, decision.route, identity, request.headers_mut())?;
    exchange.record.verified = true;
    Ok(told::answer(fields))
}

/// Nothing can be taken off a request that somebody else forwards.
pub(super) fn refuse_impostor(gateway: &Gateway, headers: &HeaderMap) -> Result<(), QuestionError> {
    match gateway.stripper.impostor(headers, &gateway.config.reserved_headers) {
        Some(name) => Err(QuestionError::Impostor(name.clone())),
        None => Ok(()),
    }
}

/// A request that has just been refused, and would pass by now: whatever stood in its way is over. The browser tries again.
fn again(request: &Request<()>, origin: &str) -> Result<Response<Body>, Rejection> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return Err(QuestionError::Overtaken.into());
    }
    let url = format!("{origin}{}", request.uri());
    let headers = [(LOCATION, url.as_str()), (REFERRER_POLICY, "no-referrer"), (CACHE_CONTROL, "no-store")];
    Ok(answer::with_header(Body::Empty, StatusCode::TEMPORARY_REDIRECT, &headers))
}

/// The answer that the client would get, as far as the proxy can hand it on.
fn refuse(gateway: &Gateway, exchange: &mut Exchange<'_>, refusal: &Rejection, form: Form) -> Response<Body> {
    let mut response = answer::answer(gateway, exchange, refusal);
    // That was about the client's connection, which is the proxy's business.
    response.headers_mut().remove(CONNECTION);
    match form {
        Form::Whole | Form::Refusal => {
            // Traefik would take a path for one on the host that it asks.
            let path = response.headers().get(LOCATION).and_then(|url| url.to_str().ok());
            let path = path.filter(|url| url.starts_with('/') && !url.starts_with("//"));
            let url = path.zip(exchange.target()).map(|(path, target)| format!("{}{path}", target.origin()));
            if let Some(url) = url.and_then(|url| HeaderValue::try_from(url).ok()) {
                response.headers_mut().insert(LOCATION, url);
            }
            response
        }
        Form::Statuses => {
            let signing_in_helps = matches!(response.status(), StatusCode::UNAUTHORIZED | StatusCode::FOUND);
            let (mut head, _) = response.into_parts();
            head.status = if signing_in_helps { StatusCode::UNAUTHORIZED } else { StatusCode::FORBIDDEN };
            // The refusal has them. A challenge here would be another one: nginx sends that of a 401 beside whatever comes then.
            for name in [LOCATION, CONTENT_TYPE, CONTENT_LENGTH, REFERRER_POLICY, WWW_AUTHENTICATE] {
                head.headers.remove(name);
            }
            Response::from_parts(head, Body::Empty)
        }
    }
}

/// Gives each `Set-Cookie` a name of its own.
fn number_cookies(headers: &mut HeaderMap) {
    let lines: Vec<HeaderValue> = headers.get_all(SET_COOKIE).iter().cloned().collect();
    headers.remove(SET_COOKIE);
    for (line, number) in lines.into_iter().zip(1..) {
        if let Ok(name) = HeaderName::try_from(format!("{NUMBERED_COOKIE}{number}")) {
            headers.insert(name, line);
        }
    }
}
