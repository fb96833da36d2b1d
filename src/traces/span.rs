//! One part of the work for a request, and when it was.

use std::sync::Arc;
use std::time::SystemTime;

use serde::{Serialize, Serializer};

/// A span.
#[derive(Debug)]
pub struct Span {
    /// The trace that it belongs to.
    pub trace: u128,
    /// Its id.
    pub id: u64,
    /// The span within which this happened, if there is one.
    pub parent: Option<u64>,
    /// What was done; there are only so many of them.
    pub name: String,
    /// Which side of what this was.
    pub kind: Kind,
    /// When it began.
    pub began: SystemTime,
    /// When it ended.
    pub ended: SystemTime,
    /// What else is known.
    pub attributes: Vec<(&'static str, Value)>,
    /// Whether it came to nothing through no fault of whoever asked.
    pub failed: bool,
}

/// Which side of an exchange a span is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Neither.
    Internal,
    /// The one that answers.
    Server,
    /// The one that asks.
    Client,
}

/// The value of an attribute, in the form that OTLP has for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum Value {
    /// Text.
    #[serde(rename = "stringValue")]
    Text(Arc<str>),
    /// A number. JSON has no whole numbers of 64 bits: they are written as text.
    #[serde(rename = "intValue", serialize_with = "as_text")]
    Number(i64),
    /// Yes or no.
    #[serde(rename = "boolValue")]
    Flag(bool),
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn as_text<S: Serializer>(number: &i64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(number)
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}
