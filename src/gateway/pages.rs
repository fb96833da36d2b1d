//! Pages for people: one small design, readable without JavaScript, that states the request id.
//!
//! An operator may replace each template with one of the same name in the `pages` directory. Everything that is put into a
//! page is escaped by the template engine, and the content security policy allows nothing but the page's own style and
//! forms that go back to the site. What the built-in ones say are the words of the language that the browser asks for.

mod language;
mod speech;
mod templates;

use std::path::Path;

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{
    CONTENT_LANGUAGE, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, REFRESH, VARY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use http::{HeaderValue, Response, StatusCode};
use minijinja::{Environment, Value, context};
use url::Url;

use self::language::Languages;
pub(super) use self::templates::PagesError;
pub use self::templates::page_templates;
use self::templates::{GO_BACK, ONE_TIME_CODE, REFUSAL, RESEND, SIGN_IN, SIGN_OUT, SIGNED_IN, environment};
use super::BuildError;
use super::answer::{Answer, with_header};
use super::endpoints::SIGN_OUT as SIGN_OUT_PATH;
use super::unsent_form::UnsentForm;
use crate::auth::sign_in::ReturnTarget;
use crate::config::{Config, Translation, Word};
use crate::forwarding::Body;

const STYLE: &str = include_str!("pages/style.css");

/// The `Referrer-Policy` of pages with a form: with `no-referrer`, browsers say `Origin: null` of what it sends, as if it came
/// from nowhere.
const OF_FORMS: &str = "same-origin";

/// The templates.
pub(super) struct Pages {
    templates: Environment<'static>,
    built_in: Environment<'static>,
    languages: Languages,
    policy: HeaderValue,
    /// The hash of the page's own style.
    style: String,
}

/// Whom a page is for.
pub(super) struct Reader<'a> {
    /// The id of the request.
    pub(super) request_id: &'a str,
    /// The languages that the browser would like.
    pub(super) accept_language: Option<&'a HeaderValue>,
}

/// What a sign-in page says: that of the password, and that of the one-time password.
pub(super) struct SignInPage<'a> {
    /// The host of the site.
    pub(super) site: &'a str,
    /// Where the form goes.
    pub(super) action: &'a str,
    /// Where to go then.
    pub(super) rd: &'a str,
    /// What was typed before; who gave the password.
    pub(super) username: &'a str,
    /// What was wrong with it.
    pub(super) problem: Option<Problem>,
}

/// What was wrong with a sign-in.
#[derive(Clone, Copy)]
pub(super) struct Problem {
    /// What.
    pub(super) what: Word,
    /// After so many seconds it may be tried again; `None`: at once.
    pub(super) retry_after: Option<u64>,
}

/// What the page of a sign-out says.
pub(super) struct SignOutPage<'a> {
    /// The host of the site.
    pub(super) site: &'a str,
    /// Where the form goes.
    pub(super) action: &'a str,
    /// Who is signed in, if somebody is; empty where there is no name.
    pub(super) user: Option<&'a str>,
    /// Where the form may lead in the end, off the site.
    pub(super) onward: &'a [Url],
}

/// Whether the templates that a configuration names can be used.
///
/// # Errors
/// [`BuildError`], with the template that cannot.
pub fn check_pages(config: &Config) -> Result<(), BuildError> {
    Ok(Pages::load(config.pages.as_deref(), &config.translations).map(drop)?)
}

impl Pages {
    /// The built-in templates, or those of the directory that have their names.
    pub(super) fn load(directory: Option<&Path>, translations: &[Translation]) -> Result<Self, PagesError> {
        let hash = STANDARD.encode(digest::digest(&digest::SHA256, STYLE.as_bytes()));
        let policy = policy(&hash, "'self'");
        let (templates, built_in) = (environment(directory)?, environment(None)?);
        Ok(Self { templates, built_in, languages: Languages::new(translations), policy, style: hash })
    }

    /// Whether it makes a difference which languages a browser would like.
    pub(super) fn has_languages(&self) -> bool {
        !self.languages.is_one()
    }

    /// The page of a refusal.
    pub(super) fn refusal(&self, answer: &Answer, sign_in: Option<&str>, reader: &Reader<'_>) -> Response<Body> {
        let page = context! {
            required => answer.required.as_deref(),
            sign_in,
            elsewhere => answer.elsewhere,
            sign_out => answer.sign_out.then_some(SIGN_OUT_PATH),
            ..self.refused(answer, reader)
        };
        self.page(REFUSAL, answer.status, "no-referrer", reader, page)
    }

    /// The same with the form that was not delivered. The sign-in that it leads to comes back to the page of [`Pages::go_back`].
    ///
    /// The application may send whoever sent the form on to another site, as to one where people pay, and browsers hold that
    /// against the policy of this page: the form would have arrived, and its sender not.
    pub(super) fn resend(
        &self,
        answer: &Answer,
        form: &UnsentForm,
        sign_in: Option<&str>,
        reader: &Reader<'_>,
    ) -> Response<Body> {
        let UnsentForm { action, fields, .. } = form;
        let page = context! { sign_in, action, fields, ..self.refused(answer, reader) };
        let mut response = self.page(RESEND, answer.status, OF_FORMS, reader, page);
        let places = if action.starts_with("https:") { "'self' https:" } else { "'self' https: http:" };
        response.headers_mut().insert(CONTENT_SECURITY_POLICY, policy(&self.style, places));
        response
    }

    fn refused(&self, answer: &Answer, reader: &Reader<'_>) -> Value {
        let language = self.languages.wanted(reader.accept_language);
        let title = answer.title.unwrap_or_else(|| title(answer.status));
        let (title, detail) = (language.text(title), language.text(answer.detail));
        context! { status => answer.status.as_u16(), title, detail }
    }

    /// The page that sends people back to the tab that they came from.
    pub(super) fn go_back(&self, site: &str, reader: &Reader<'_>) -> Response<Body> {
        self.page(GO_BACK, StatusCode::OK, "no-referrer", reader, context! { site })
    }

    /// The page on which people sign in with the local issuer.
    pub(super) fn sign_in(&self, status: StatusCode, page: &SignInPage<'_>, reader: &Reader<'_>) -> Response<Body> {
        let SignInPage { site, action, rd, username, problem } = *page;
        let problem = problem.map(|problem| self.said(problem, reader));
        self.page(SIGN_IN, status, OF_FORMS, reader, context! { site, action, rd, username, problem })
    }

    /// The page on which they give a one-time password then. `again` is where the first one is.
    pub(super) fn one_time_code(
        &self,
        status: StatusCode,
        page: &SignInPage<'_>,
        again: &str,
        reader: &Reader<'_>,
    ) -> Response<Body> {
        let SignInPage { site, action, rd, username, problem } = *page;
        let problem = problem.map(|problem| self.said(problem, reader));
        let page = context! { site, action, rd, username, problem, again };
        self.page(ONE_TIME_CODE, status, OF_FORMS, reader, page)
    }

    fn said(&self, Problem { what, retry_after }: Problem, reader: &Reader<'_>) -> String {
        let language = self.languages.wanted(reader.accept_language);
        let wait = retry_after.map(|seconds| format!(" {}", language.try_again_in(seconds)));
        language.text(what) + &wait.unwrap_or_default()
    }

    /// The page after that, which leads on by itself. A redirect would be one of the form, and Chromium holds those against
    /// `form-action`, the application's own to other sites included: nobody would get there. Here a new navigation begins.
    pub(super) fn signed_in(&self, site: &str, rd: &ReturnTarget, reader: &Reader<'_>) -> Response<Body> {
        let page = context! { site, rd => rd.as_str() };
        let mut response = self.page(SIGNED_IN, StatusCode::OK, "no-referrer", reader, page);
        let refresh = HeaderValue::try_from(format!("0; url={}", rd.as_str()));
        response.headers_mut().extend(refresh.ok().map(|refresh| (REFRESH, refresh)));
        response
    }

    /// The page that asks whether to sign out, or says that nobody is signed in.
    pub(super) fn sign_out(&self, page: &SignOutPage<'_>, reader: &Reader<'_>) -> Response<Body> {
        let SignOutPage { site, action, user, onward } = *page;
        let page = context! { site, action, signed_in => user.is_some(), user };
        let mut response = self.page(SIGN_OUT, StatusCode::OK, OF_FORMS, reader, page);
        if !onward.is_empty() {
            // Browsers hold every redirect of a form against `form-action`, and an issuer may send people on to another one
            // that it trusts.
            let plain = onward.iter().filter(|url| url.scheme() == "http");
            let places = ["'self'".to_owned(), "https:".to_owned()].into_iter();
            let places: Vec<String> = places.chain(plain.map(|url| url.origin().ascii_serialization())).collect();
            let policy = policy(&self.style, &places.join(" "));
            response.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
        }
        response
    }

    /// An operator's template that fails must not turn an answer into something else: there is the built-in one.
    fn page(&self, name: &str, status: StatusCode, referrer: &str, reader: &Reader<'_>, page: Value) -> Response<Body> {
        let language = self.languages.wanted(reader.accept_language);
        let page = context! {
            request_id => reader.request_id,
            language => language.tag(),
            direction => language.direction().as_str(),
            words => language.words(),
            style => style(),
            ..page
        };
        let written =
            |templates: &Environment<'_>| templates.get_template(name).and_then(|template| template.render(&page));
        let page = written(&self.templates).or_else(|error| {
            tracing::error!(fault = "operator", template = name, error = %error, "a page template failed");
            written(&self.built_in)
        });
        let mut response = with_header(
            Body::full(page.unwrap_or_else(|_| status.to_string())),
            status,
            &[
                (CONTENT_TYPE, "text/html; charset=utf-8"),
                (REFERRER_POLICY, referrer),
                (X_CONTENT_TYPE_OPTIONS, "nosniff"),
                (X_FRAME_OPTIONS, "DENY"),
            ],
        );
        let headers = response.headers_mut();
        headers.insert(CONTENT_SECURITY_POLICY, self.policy.clone());
        if self.has_languages() {
            headers.append(VARY, HeaderValue::from_static("Accept-Language"));
            headers.extend(HeaderValue::try_from(language.tag()).ok().map(|tag| (CONTENT_LANGUAGE, tag)));
        }
        response
    }
}

/// Nothing but the page's own style, and forms that go where they should.
fn policy(style: &str, form_action: &str) -> HeaderValue {
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{style}'; img-src data:; form-action {form_action}; base-uri 'none'; \
         frame-ancestors 'none'"
    );
    HeaderValue::try_from(policy).unwrap_or(HeaderValue::from_static("default-src 'none'"))
}

/// What people read first. The names of the protocol are for programs.
const fn title(status: StatusCode) -> Word {
    match status {
        StatusCode::UNAUTHORIZED => Word::NotSignedIn,
        StatusCode::FORBIDDEN => Word::NotAllowed,
        StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT => Word::OutOfOrder,
        StatusCode::SERVICE_UNAVAILABLE => Word::NotAvailable,
        StatusCode::LOOP_DETECTED => Word::Circles,
        StatusCode::BAD_REQUEST => Word::BadRequest,
        StatusCode::NOT_FOUND => Word::NotFound,
        StatusCode::METHOD_NOT_ALLOWED => Word::MethodNotAllowed,
        StatusCode::REQUEST_TIMEOUT => Word::RequestTimeout,
        StatusCode::PAYLOAD_TOO_LARGE => Word::PayloadTooLarge,
        StatusCode::URI_TOO_LONG => Word::UriTooLong,
        StatusCode::MISDIRECTED_REQUEST => Word::MisdirectedRequest,
        StatusCode::TOO_MANY_REQUESTS => Word::TooManyRequests,
        StatusCode::INTERNAL_SERVER_ERROR => Word::InternalServerError,
        _ => Word::Error,
    }
}

/// It is our own, and stands in the page as it is.
fn style() -> Value {
    Value::from_safe_string(STYLE.to_owned())
}

#[cfg(test)]
mod tests;
