//! The collector of spans: whether it takes a batch, of which none is in it.

use http::StatusCode;

use super::Trial;
use super::finding::{Finding, told};
use super::remedy::{self, Keys};
use crate::config::{Config, Otlp};
use crate::traces::{Collector, Failure};

const CHECK: &str = "tracing.otlp";
const KEYS: Keys = Keys { ca: "tracing.otlp.ca_file", server_name: None };

/// Where spans are exported.
pub(super) fn trial(config: &Config) -> Option<Trial<'_>> {
    let otlp = config.tracing.as_ref()?.otlp.as_ref()?;
    Some(Trial::new(CHECK, otlp.url.as_str(), examine(otlp)))
}

async fn examine(otlp: &Otlp) -> Vec<Finding> {
    let of = otlp.url.as_str();
    let collector = match Collector::new(otlp) {
        Ok(collector) => collector,
        Err(error) => return vec![Finding::failed(CHECK, of, told(&error), "see tracing.otlp.ca_file")],
    };
    vec![match collector.send(&[]).await {
        Ok(()) => Finding::ok(CHECK, of, "takes spans"),
        Err(failure) => Finding::warning(CHECK, of, told(&failure), unusable(&failure)),
    }]
}

fn unusable(failure: &Failure) -> String {
    let status = match failure {
        Failure::NoAnswer(error) => {
            return remedy::of_tls(error, &KEYS).unwrap_or_else(|| remedy::of_socket(error).to_owned());
        }
        Failure::Refused { status, .. } => *status,
    };
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            "correct what it wants to see, in tracing.otlp.headers_file"
        }
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => {
            "see whether OTLP over HTTP is spoken there, and under which path"
        }
        StatusCode::UNSUPPORTED_MEDIA_TYPE => "put a collector before it that takes the JSON of OTLP",
        _ => "see its log",
    }
    .to_owned()
}
