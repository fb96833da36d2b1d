//! Pages for people: one small design, readable without JavaScript, that states the request id.
//!
//! An operator may replace each template with one of the same name in the `pages` directory. Everything that is put into a
//! page is escaped by the template engine, and the content security policy allows nothing but the page's own style and
//! forms that go back to the site.

use std::path::{Path, PathBuf};

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{
    CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, REFRESH, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use http::{HeaderValue, Response, StatusCode};
use minijinja::{Environment, Value, context};
use url::Url;

use super::answer::{Answer, with_header};
use super::endpoints::SIGN_OUT as SIGN_OUT_PATH;
use crate::auth::sign_in::ReturnTarget;
use crate::forwarding::Body;

const REFUSAL: &str = "refusal.html";
const SIGN_IN: &str = "sign-in.html";
const ONE_TIME_CODE: &str = "one-time-code.html";
const SIGNED_IN: &str = "signed-in.html";
const SIGN_OUT: &str = "sign-out.html";
const STYLE: &str = include_str!("pages/style.css");

/// The `Referrer-Policy` of pages with a form: with `no-referrer`, browsers say `Origin: null` of what it sends, as if it came
/// from nowhere.
const OF_FORMS: &str = "same-origin";

/// The templates, by the names under which an operator may replace them. The first is what the others have in common.
const BUILT_IN: [(&str, &str); 6] = [
    ("layout.html", include_str!("pages/layout.html")),
    (REFUSAL, include_str!("pages/refusal.html")),
    (SIGN_IN, include_str!("pages/sign-in.html")),
    (ONE_TIME_CODE, include_str!("pages/one-time-code.html")),
    (SIGNED_IN, include_str!("pages/signed-in.html")),
    (SIGN_OUT, include_str!("pages/sign-out.html")),
];

/// The templates.
pub(super) struct Pages {
    templates: Environment<'static>,
    built_in: Environment<'static>,
    policy: HeaderValue,
    /// The hash of the page's own style.
    style: String,
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
    pub(super) problem: Option<&'a str>,
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

/// Why the templates cannot be used. The operator's mistake.
#[derive(Debug, thiserror::Error)]
pub enum PagesError {
    /// A template of the directory cannot be read.
    #[error("the template {path} cannot be read")]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A template is not one.
    #[error("the template {name} is not valid")]
    Invalid {
        /// Which.
        name: &'static str,
        /// Why.
        #[source]
        source: minijinja::Error,
    },
}

/// The files that are taken from a directory, whether or not they are there.
#[must_use]
pub fn page_templates(directory: &Path) -> [PathBuf; 6] {
    BUILT_IN.map(|(name, _)| directory.join(name))
}

impl Pages {
    /// The built-in templates, or those of the directory that have their names.
    pub(super) fn load(directory: Option<&Path>) -> Result<Self, PagesError> {
        let hash = STANDARD.encode(digest::digest(&digest::SHA256, STYLE.as_bytes()));
        let policy = policy(&hash, "'self'");
        Ok(Self { templates: environment(directory)?, built_in: environment(None)?, policy, style: hash })
    }

    /// The page of a refusal.
    pub(super) fn refusal(&self, answer: &Answer, request_id: &str, sign_in: Option<&str>) -> Response<Body> {
        let words = context! {
            status => answer.status.as_u16(),
            title => answer.title.unwrap_or_else(|| title(answer.status)),
            detail => answer.detail,
            required => answer.required.as_deref(),
            request_id,
            sign_in,
            elsewhere => answer.elsewhere,
            sign_out => answer.sign_out.then_some(SIGN_OUT_PATH),
            style => style(),
        };
        self.page(REFUSAL, answer.status, "no-referrer", &words)
    }

    /// The page on which people sign in with the local issuer.
    pub(super) fn sign_in(&self, status: StatusCode, page: &SignInPage<'_>, request_id: &str) -> Response<Body> {
        let SignInPage { site, action, rd, username, problem } = *page;
        let words = context! { site, action, rd, username, problem, request_id, style => style() };
        self.page(SIGN_IN, status, OF_FORMS, &words)
    }

    /// The page on which they give a one-time password then. `again` is where the first one is.
    pub(super) fn one_time_code(
        &self,
        status: StatusCode,
        page: &SignInPage<'_>,
        again: &str,
        request_id: &str,
    ) -> Response<Body> {
        let SignInPage { site, action, rd, username, problem } = *page;
        let words = context! { site, action, rd, username, problem, again, request_id, style => style() };
        self.page(ONE_TIME_CODE, status, OF_FORMS, &words)
    }

    /// The page after that, which leads on by itself. A redirect would be one of the form, and Chromium holds those against
    /// `form-action`, the application's own to other sites included: nobody would get there. Here a new navigation begins.
    pub(super) fn signed_in(&self, site: &str, rd: &ReturnTarget, request_id: &str) -> Response<Body> {
        let words = context! { site, rd => rd.as_str(), request_id, style => style() };
        let mut response = self.page(SIGNED_IN, StatusCode::OK, "no-referrer", &words);
        let refresh = HeaderValue::try_from(format!("0; url={}", rd.as_str()));
        response.headers_mut().extend(refresh.ok().map(|refresh| (REFRESH, refresh)));
        response
    }

    /// The page that asks whether to sign out, or says that nobody is signed in.
    pub(super) fn sign_out(&self, page: &SignOutPage<'_>, request_id: &str) -> Response<Body> {
        let SignOutPage { site, action, user, onward } = *page;
        let words = context! { site, action, signed_in => user.is_some(), user, request_id, style => style() };
        let mut response = self.page(SIGN_OUT, StatusCode::OK, OF_FORMS, &words);
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
    fn page(&self, name: &str, status: StatusCode, referrer: &str, words: &Value) -> Response<Body> {
        let render =
            |templates: &Environment<'_>| templates.get_template(name).and_then(|template| template.render(words));
        let page = render(&self.templates).or_else(|error| {
            tracing::error!(fault = "operator", template = name, error = %error, "a page template failed");
            render(&self.built_in)
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
        response.headers_mut().insert(CONTENT_SECURITY_POLICY, self.policy.clone());
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
fn title(status: StatusCode) -> &'static str {
    match status {
        StatusCode::UNAUTHORIZED => "You are not signed in",
        StatusCode::FORBIDDEN => "This is not allowed",
        StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT => "Something is out of order",
        StatusCode::SERVICE_UNAVAILABLE => "Not available right now",
        StatusCode::LOOP_DETECTED => "Signing in goes in circles",
        _ => status.canonical_reason().unwrap_or("Error"),
    }
}

fn environment(directory: Option<&Path>) -> Result<Environment<'static>, PagesError> {
    let mut templates = Environment::new();
    for (name, built_in) in BUILT_IN {
        let own = directory.map(|directory| directory.join(name)).filter(|path| path.exists());
        let source = match own {
            Some(path) => std::fs::read_to_string(&path).map_err(|source| PagesError::Unreadable { path, source })?,
            None => built_in.to_owned(),
        };
        templates.add_template_owned(name, source).map_err(|source| PagesError::Invalid { name, source })?;
    }
    Ok(templates)
}

/// It is our own, and stands in the page as it is.
fn style() -> Value {
    Value::from_safe_string(STYLE.to_owned())
}
