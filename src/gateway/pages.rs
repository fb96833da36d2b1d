//! Pages for people: one small design, readable without JavaScript, that states the request id.
//!
//! An operator may replace the template with one of the same name in the `pages` directory. Everything that is put into a
//! page is escaped by the template engine, and the content security policy allows nothing but the page's own style.

use std::path::{Path, PathBuf};

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS};
use http::{HeaderValue, Response};
use minijinja::{Environment, context};

use super::answer::{Answer, with_header};
use crate::forwarding::Body;

const REFUSAL: &str = "refusal.html";
const BUILT_IN: &str = include_str!("pages/refusal.html");
const STYLE: &str = include_str!("pages/style.css");

/// The templates.
pub(super) struct Pages {
    templates: Environment<'static>,
    policy: HeaderValue,
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

/// The files that [`Pages::load`] takes from a directory, whether or not they are there.
#[must_use]
pub fn page_templates(directory: &Path) -> [PathBuf; 1] {
    [directory.join(REFUSAL)]
}

impl Pages {
    /// The built-in templates, or those of the directory that have their names.
    pub(super) fn load(directory: Option<&Path>) -> Result<Self, PagesError> {
        let source = match directory
            .and_then(|directory| page_templates(directory).into_iter().next())
            .filter(|path| path.exists())
        {
            Some(path) => std::fs::read_to_string(&path).map_err(|source| PagesError::Unreadable { path, source })?,
            None => BUILT_IN.to_owned(),
        };
        let mut templates = Environment::new();
        templates
            .add_template_owned(REFUSAL, source)
            .map_err(|source| PagesError::Invalid { name: REFUSAL, source })?;
        let hash = STANDARD.encode(digest::digest(&digest::SHA256, STYLE.as_bytes()));
        let policy = format!(
            "default-src 'none'; style-src 'sha256-{hash}'; img-src data:; form-action 'self'; base-uri 'none'; \
             frame-ancestors 'none'"
        );
        let policy = HeaderValue::try_from(policy).unwrap_or(HeaderValue::from_static("default-src 'none'"));
        Ok(Self { templates, policy })
    }

    /// The page of a refusal.
    pub(super) fn refusal(&self, answer: &Answer, request_id: &str, sign_in: Option<&str>) -> Response<Body> {
        let title = answer.status.canonical_reason().unwrap_or("Error");
        let page = self.templates.get_template(REFUSAL).and_then(|template| {
            template.render(context! {
                status => answer.status.as_u16(),
                title,
                detail => answer.detail,
                required => answer.required.as_deref(),
                request_id,
                sign_in,
                style => minijinja::value::Value::from_safe_string(STYLE.to_owned()),
            })
        });
        // An operator's template that fails must not turn a refusal into something else.
        let page = page.unwrap_or_else(|error| {
            tracing::error!(fault = "operator", error = %error, "the page template failed");
            format!("{title}\n{request_id}")
        });
        let mut response = with_header(
            Body::full(page),
            answer.status,
            &[
                (CONTENT_TYPE, "text/html; charset=utf-8"),
                (REFERRER_POLICY, "no-referrer"),
                (X_CONTENT_TYPE_OPTIONS, "nosniff"),
                (X_FRAME_OPTIONS, "DENY"),
            ],
        );
        response.headers_mut().insert(CONTENT_SECURITY_POLICY, self.policy.clone());
        response
    }
}
