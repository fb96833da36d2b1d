//! The status page as HTML. What is put into it is escaped by the template engine: paths of refused requests are whatever
//! somebody has sent, and claims whatever somebody wrote, so that what does not show is written out as on a terminal. The content
//! security policy allows the page's own style and script, and nothing else.

use std::sync::LazyLock;
use std::time::{Duration, UNIX_EPOCH};

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_FRAME_OPTIONS};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use http_body_util::Full;
use humantime::{format_duration, format_rfc3339_seconds};
use minijinja::value::Serde;
use minijinja::{Environment, Value, context, escape_formatter};

use super::overview::Overview;
use super::{Explained, text, with_type};
use crate::clock::Timestamp;
use crate::printable::printable;

const STYLE: &str = include_str!("status.css");
const OVERVIEW: &str = "status.html";
const REFUSAL: &str = "refusal.html";

/// More sites are in `/status.json` only.
const MOST_SITES: usize = 100;
/// More candidates that are for something else are only counted.
const MOST_CANDIDATES: usize = 12;
/// A moment of a text that has a date, a `T` and a time of this length.
const DATE: usize = 10;

const CROSS_ORIGIN_OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");

static PAGES: LazyLock<Pages> = LazyLock::new(Pages::new);

/// The templates, and what is said beside each page.
struct Pages {
    templates: Environment<'static>,
    policy: HeaderValue,
}

impl Pages {
    fn new() -> Self {
        let mut templates = Environment::new();
        templates.set_formatter(|out, state, value| match value.as_str().filter(|_| !value.is_safe()) {
            Some(text) => escape_formatter(out, state, &Value::from(printable(text).into_owned())),
            None => escape_formatter(out, state, value),
        });
        templates.add_filter("moment", moment);
        templates.add_filter("duration", duration);
        for (name, source) in [
            ("layout.html", include_str!("layout.html")),
            (OVERVIEW, include_str!("status.html")),
            (REFUSAL, include_str!("refusal.html")),
        ] {
            if let Err(error) = templates.add_template(name, source) {
                tracing::error!(fault = "us", %error, "a template of the status page cannot be used");
            }
        }
        let style = STANDARD.encode(digest::digest(&digest::SHA256, STYLE.as_bytes()));
        let policy = format!(
            "default-src 'none'; style-src 'sha256-{style}'; script-src 'self'; connect-src 'self'; img-src data:; \
             base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        );
        let policy = HeaderValue::try_from(policy).unwrap_or(HeaderValue::from_static("default-src 'none'"));
        Self { templates, policy }
    }

    fn page(&self, name: &str, page: Value) -> Response<Full<Bytes>> {
        let page = context! { style => Value::from_safe_string(STYLE.to_owned()), ..page };
        let written = self.templates.get_template(name).and_then(|template| template.render(&page));
        let page = match written {
            Ok(page) => page,
            Err(error) => {
                tracing::error!(fault = "us", %error, "the status page cannot be written");
                return text(StatusCode::INTERNAL_SERVER_ERROR, "a defect of Usher, which the log tells of\n");
            }
        };
        let mut response = with_type(page, "text/html; charset=utf-8");
        let headers = response.headers_mut();
        headers.insert(CONTENT_SECURITY_POLICY, self.policy.clone());
        headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
        headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        headers.insert(CROSS_ORIGIN_OPENER_POLICY, HeaderValue::from_static("same-origin"));
        response
    }
}

/// The page of everything.
pub(super) fn overview(overview: &Overview) -> Response<Full<Bytes>> {
    let left_out = overview.sites.len().saturating_sub(MOST_SITES);
    PAGES.page(OVERVIEW, context! { left_out, most_sites => MOST_SITES, ..Serde(overview) })
}

/// The page of one refusal.
pub(super) fn refusal(explained: &Explained, now: Timestamp) -> Response<Full<Bytes>> {
    PAGES.page(REFUSAL, context! { now => now.0, most => MOST_CANDIDATES, ..Serde(explained) })
}

/// A moment as people read it: without the date when that is the date of `now`.
fn moment(at: u64, now: Option<u64>) -> String {
    let written = |at: u64| format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(at.min(LATEST))).to_string();
    let at = written(at);
    let (date, time) = at.split_once('T').unwrap_or_default();
    let time = time.trim_end_matches('Z');
    let is_today = now.is_some_and(|now| written(now).get(..DATE) == Some(date));
    if is_today { format!("{time} UTC") } else { format!("{date} {time} UTC") }
}

/// The last second of the year 9999: what has no end is said to end there.
const LATEST: u64 = 253_402_300_799;

/// The two largest parts of a duration in seconds.
fn duration(seconds: u64) -> String {
    let whole = format_duration(Duration::from_secs(seconds)).to_string();
    whole.split(' ').take(2).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_of_today_have_no_date_and_durations_two_parts() {
        let at = 1_790_000_000;
        assert_eq!(moment(at, None), "2026-09-21 14:13:20 UTC");
        assert_eq!(moment(at, Some(at + 60)), "14:13:20 UTC");
        assert_eq!(moment(at, Some(at + 86_400)), "2026-09-21 14:13:20 UTC");
        assert_eq!(moment(u64::MAX, None), "9999-12-31 23:59:59 UTC");
        assert_eq!(duration(93_784), "1day 2h");
        assert_eq!(duration(0), "0s");
    }

    #[test]
    fn every_template_can_be_used() {
        let names: Vec<_> = PAGES.templates.templates().map(|(name, _)| name).collect();
        assert_eq!(names.len(), 3, "{names:?}");
    }
}
