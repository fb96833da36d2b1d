//! The status page: how sites, applications, issuers, certificates and reloads are, and the last refusals, each with its
//! explanation one click away.
//!
//! One [`Overview`] is what the page shows and what `/status.json` says. The page is whole without JavaScript; with it, it
//! fetches itself every two seconds. Nothing secret is on it: what there is of requests is what the access log has of them.
//! This module does *not* decide who may look ([`guard`](super::guard)), and it changes nothing.

mod issuers;
mod overview;
mod page;
mod sites;
mod troubles;
mod upstreams;

use std::sync::Arc;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use http_body_util::Full;
use serde::Serialize;

use self::overview::Overview;
use super::readings::{Process, Readings};
use super::text;
use crate::gateway::Refusal;
use crate::gateway::explain::Explanation;

const SCRIPT: &str = include_str!("status.js");

/// What is looked at, and in which form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum View {
    /// Everything.
    Overview(Form),
    /// The refusal of this number.
    Refusal(u64, Form),
    /// What makes the page live.
    Script,
}

/// For people or for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Page,
    Json,
}

impl View {
    /// What is at a path, if there is something.
    pub(super) fn of(path: &str, headers: &HeaderMap) -> Option<Self> {
        match path {
            "/" => Some(Self::Overview(Form::wanted(headers))),
            "/status.json" => Some(Self::Overview(Form::Json)),
            "/status.js" => Some(Self::Script),
            path => {
                let name = path.strip_prefix("/refusals/")?;
                let (number, form) = match name.strip_suffix(".json") {
                    Some(number) => (number, Form::Json),
                    None => (name, Form::wanted(headers)),
                };
                number.parse().ok().map(|number| Self::Refusal(number, form))
            }
        }
    }
}

impl Form {
    /// Browsers name HTML; whoever names JSON and not that is a program.
    fn wanted(headers: &HeaderMap) -> Self {
        let accept = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
        if accept.contains("application/json") && !accept.contains("text/html") { Self::Json } else { Self::Page }
    }
}

/// A refusal, and what would become of the same request now.
#[derive(Serialize)]
struct Explained {
    refusal: Arc<Refusal>,
    /// `None`: the request could not be read, or is not kept whole.
    explanation: Option<Explanation>,
}

/// Answers.
pub(super) async fn respond(view: &View, process: &dyn Process) -> Response<Full<Bytes>> {
    match view {
        View::Script => with_type(SCRIPT.to_owned(), "text/javascript; charset=utf-8"),
        View::Overview(form) => {
            let overview = Overview::of(&process.readings(), process.readiness());
            match form {
                Form::Json => json(&overview),
                Form::Page => page::overview(&overview),
            }
        }
        View::Refusal(number, form) => {
            let Readings { gateway, now, .. } = process.readings();
            let refusals = gateway.refusals();
            let Some(refusal) = refusals.into_iter().find(|refusal| refusal.number == *number) else {
                return text(StatusCode::NOT_FOUND, "this refusal is not kept any more\n");
            };
            let explanation = gateway.explain_refusal(&refusal).await;
            let explained = Explained { refusal, explanation };
            match form {
                Form::Json => json(&explained),
                Form::Page => page::refusal(&explained, now),
            }
        }
    }
}

fn json(value: &impl Serialize) -> Response<Full<Bytes>> {
    match serde_json::to_string_pretty(value) {
        Ok(json) => with_type(json + "\n", "application/json"),
        Err(error) => {
            tracing::error!(fault = "us", %error, "the status cannot be written as JSON");
            text(StatusCode::INTERNAL_SERVER_ERROR, "a defect of Usher, which the log tells of\n")
        }
    }
}

fn with_type(body: String, media_type: &'static str) -> Response<Full<Bytes>> {
    let mut response = text(StatusCode::OK, body);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}
