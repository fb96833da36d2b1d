//! `/.usher/issuer/one-time-code`: the second step of people with a second factor. Programs present both at once, where
//! [`sign_in`](super::sign_in) is.

use http::header::{LOCATION, REFERRER_POLICY};
use http::{Request, Response, StatusCode};

use super::sign_in::{CodeForm, enter, page_again, return_target};
use super::{ONE_TIME_CODE, SIGN_IN};
use crate::auth::credentials::Credentials;
use crate::auth::origin;
use crate::auth::sign_in::{ReturnTarget, SignInError};
use crate::config::{IssuerId, Word};
use crate::forwarding::{Body, RequestBody};
use crate::gateway::admit::Target;
use crate::gateway::answer::{answer_with, with_header};
use crate::gateway::exchange::Exchange;
use crate::gateway::pages::{Problem, SignInPage};
use crate::gateway::{Gateway, Rejection, way_in};
use crate::issuer::local::{FirstStep, Local, NotSignedIn};

/// 303 to the page, after a password that was right.
pub(super) fn ask(
    gateway: &Gateway,
    (first, local): (&FirstStep, &Local),
    rd: &ReturnTarget,
    exchange: &mut Exchange<'_>,
) -> Result<Response<Body>, SignInError> {
    gateway.sign_ins.keep_first_step(first, local, &mut exchange.jar)?;
    Ok(see_other(&way_in::with_return(ONE_TIME_CODE, rd.as_str())))
}

/// The page, for a browser in which a password was right; any other begins there.
pub(super) fn page(
    gateway: &Gateway,
    target: &Target,
    credentials: &Credentials,
    local: &Local,
    exchange: &Exchange<'_>,
) -> Response<Body> {
    let rd = return_target(target);
    let Some(first) = gateway.sign_ins.first_step(local, &credentials.cookies) else {
        return see_other(&way_in::with_return(SIGN_IN, rd.as_str()));
    };
    let (site, username, rd) = (&*target.host, first.name(), rd.as_str());
    let page = SignInPage { site, action: ONE_TIME_CODE, rd, username, problem: None };
    gateway.pages.one_time_code(StatusCode::OK, &page, &way_in::with_return(SIGN_IN, rd), &exchange.reader())
}

/// 303 to the page that leads on, or the page again: this one when it is about the code, the first one when that has to be
/// done again. Only the site itself may ask for it.
pub(super) async fn sign_in(
    gateway: &Gateway,
    target: &Target,
    request: Request<RequestBody>,
    credentials: &Credentials,
    (id, local): (IssuerId, &Local),
    exchange: &mut Exchange<'_>,
) -> Result<Response<Body>, Rejection> {
    if !origin::may_act(request.method(), request.headers(), target.scheme(), target.authority(), &[]) {
        return Err(Rejection::CrossSite);
    }
    let CodeForm { code, rd } = CodeForm::read(request, gateway.config.limits.body_timeout).await?;
    let rd = ReturnTarget::parse(&rd, &target.origin());
    let Some(first) = gateway.sign_ins.first_step(local, &credentials.cookies) else {
        return Ok(begin_again(gateway, target, exchange, &rd, NotSignedIn::Stale));
    };
    let username = first.name().to_owned();
    match local.second_step(first, &code, exchange.client).await {
        Ok(response) => {
            gateway.sign_ins.forget_first_step(&mut exchange.jar);
            enter(gateway, id, response, Some(&rd), credentials, exchange).await
        }
        Err(
            error @ (NotSignedIn::WrongCode { .. }
            | NotSignedIn::Throttled { .. }
            | NotSignedIn::Busy { .. }
            | NotSignedIn::Unavailable { .. }),
        ) => Ok(code_again(gateway, target, exchange, (&username, &rd), error)),
        Err(error @ (NotSignedIn::Wrong | NotSignedIn::CodeNeeded(_) | NotSignedIn::Stale | NotSignedIn::TooLong)) => {
            Ok(begin_again(gateway, target, exchange, &rd, error))
        }
    }
}

fn code_again(
    gateway: &Gateway,
    target: &Target,
    exchange: &mut Exchange<'_>,
    (username, rd): (&str, &ReturnTarget),
    error: NotSignedIn,
) -> Response<Body> {
    // Who gets here has been told before that it is about the code.
    let is_wrong = matches!(error, NotSignedIn::WrongCode { .. });
    answer_with(exchange, &error.into(), |exchange, answer| {
        let (site, rd, what) = (&*target.host, rd.as_str(), if is_wrong { Word::WrongCode } else { answer.detail });
        let problem = Some(Problem { what, retry_after: answer.retry_after_seconds() });
        let page = SignInPage { site, action: ONE_TIME_CODE, rd, username, problem };
        gateway.pages.one_time_code(answer.status, &page, &way_in::with_return(SIGN_IN, rd), &exchange.reader())
    })
}

fn begin_again(
    gateway: &Gateway,
    target: &Target,
    exchange: &mut Exchange<'_>,
    rd: &ReturnTarget,
    error: NotSignedIn,
) -> Response<Body> {
    gateway.sign_ins.forget_first_step(&mut exchange.jar);
    page_again(gateway, target, exchange, ("", rd), &error.into())
}

fn see_other(location: &str) -> Response<Body> {
    with_header(Body::Empty, StatusCode::SEE_OTHER, &[(LOCATION, location), (REFERRER_POLICY, "no-referrer")])
}
