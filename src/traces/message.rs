//! What is said to a collector and what it says: the messages of OTLP in JSON
//! (<https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding>). Ids are hexadecimal, whole numbers of 64 bits are text,
//! enumerations are numbers, and keys are in camel case.

use std::time::SystemTime;

use serde::{Deserialize, Serialize, Serializer};

use super::span::{Kind, Span, Value};

/// Who the spans are of: this program.
const SCOPE: Scope = Scope { name: "usher", version: env!("CARGO_PKG_VERSION") };
/// `STATUS_CODE_ERROR`.
const ERROR: u8 = 2;

/// `ExportTraceServiceRequest`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Request<'a> {
    resource_spans: [ResourceSpans<'a>; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ResourceSpans<'a> {
    resource: Resource<'a>,
    scope_spans: [ScopeSpans<'a>; 1],
}

#[derive(Serialize)]
struct Resource<'a> {
    attributes: Vec<Attribute<'a>>,
}

#[derive(Serialize)]
struct ScopeSpans<'a> {
    scope: Scope,
    spans: Vec<SpanMessage<'a>>,
}

#[derive(Serialize)]
struct Scope {
    name: &'static str,
    version: &'static str,
}

#[derive(Serialize)]
struct Attribute<'a> {
    key: &'static str,
    value: &'a Value,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SpanMessage<'a> {
    trace_id: String,
    span_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_span_id: Option<String>,
    name: &'a str,
    kind: u8,
    #[serde(serialize_with = "nanoseconds")]
    start_time_unix_nano: SystemTime,
    #[serde(serialize_with = "nanoseconds")]
    end_time_unix_nano: SystemTime,
    attributes: Vec<Attribute<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Status>,
}

#[derive(Serialize)]
struct Status {
    code: u8,
}

/// The body that says these spans of a service.
pub(super) fn request(service: &Value, spans: &[Span]) -> String {
    let version = Value::from(SCOPE.version);
    let attributes = attributes([("service.name", service), ("service.version", &version)]);
    let spans = spans.iter().map(SpanMessage::of).collect();
    let scope_spans = [ScopeSpans { scope: SCOPE, spans }];
    let request = Request { resource_spans: [ResourceSpans { resource: Resource { attributes }, scope_spans }] };
    // There is nothing in it that JSON cannot say.
    serde_json::to_string(&request).unwrap_or_default()
}

fn attributes<'a>(pairs: impl IntoIterator<Item = (&'static str, &'a Value)>) -> Vec<Attribute<'a>> {
    pairs.into_iter().map(|(key, value)| Attribute { key, value }).collect()
}

impl<'a> SpanMessage<'a> {
    fn of(span: &'a Span) -> Self {
        Self {
            trace_id: format!("{:032x}", span.trace),
            span_id: format!("{:016x}", span.id),
            parent_span_id: span.parent.map(|parent| format!("{parent:016x}")),
            name: &span.name,
            kind: match span.kind {
                Kind::Internal => 1,
                Kind::Server => 2,
                Kind::Client => 3,
            },
            start_time_unix_nano: span.began,
            end_time_unix_nano: span.ended,
            attributes: attributes(span.attributes.iter().map(|(key, value)| (*key, value))),
            status: span.failed.then_some(Status { code: ERROR }),
        }
    }
}

fn nanoseconds<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_nanos())
}

/// `ExportTraceServiceResponse`. A collector may answer with nothing at all.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Response {
    partial_success: Option<PartialSuccess>,
}

/// What the collector did not take.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct PartialSuccess {
    rejected_spans: Count,
    /// Why, in its words.
    pub(super) error_message: String,
}

/// The same number, as text or not.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Count {
    Number(u64),
    Text(String),
}

impl Default for Count {
    fn default() -> Self {
        Self::Number(0)
    }
}

impl PartialSuccess {
    /// What an answer says of it; nothing where it cannot be read, for it is a success in any case.
    pub(super) fn of(body: &[u8]) -> Self {
        serde_json::from_slice::<Response>(body).unwrap_or_default().partial_success.unwrap_or_default()
    }

    /// How many spans it has rejected.
    pub(super) fn rejected(&self) -> u64 {
        match &self.rejected_spans {
            Count::Number(count) => *count,
            Count::Text(text) => text.parse().unwrap_or(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_may_say_that_some_were_rejected_and_may_say_nothing() {
        for (body, rejected, message) in [
            ("", 0, ""),
            ("{}", 0, ""),
            ("not json", 0, ""),
            (r#"{"partialSuccess":{}}"#, 0, ""),
            (r#"{"partialSuccess":null}"#, 0, ""),
            (r#"{"partialSuccess":{"rejectedSpans":"7","errorMessage":"too old"}}"#, 7, "too old"),
            (r#"{"partialSuccess":{"rejectedSpans":2},"more":1}"#, 2, ""),
        ] {
            let told = PartialSuccess::of(body.as_bytes());
            assert_eq!((told.rejected(), told.error_message.as_str()), (rejected, message), "{body}");
        }
    }
}
