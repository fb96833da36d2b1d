//! TOML 1.1.

use std::ops::Range;

use ::toml::Spanned;
use ::toml::de::{DeTable, DeValue};
use figment::value::Value;

use super::{Content, Entry, Node, SyntaxError};
use crate::config::error::Position;

/// Reads TOML. Unlike the other readers, this one goes on after a mistake and tells all of them.
pub(super) fn parse(text: &str) -> Result<Node, Vec<SyntaxError>> {
    let (root, errors) = DeTable::parse_recoverable(text);
    if errors.is_empty() {
        return Ok(Node { position: Position::START, content: table(text, root.get_ref()) });
    }
    let told = |error: &::toml::de::Error| SyntaxError {
        position: error.span().map_or(Position::START, |span| position(text, &span)),
        message: error.message().to_owned(),
        remedy: None,
    };
    let mut told: Vec<_> = errors.iter().map(told).collect();
    // It looks at values again once it has seen all keys.
    told.sort_by_key(|error| error.position);
    Err(told)
}

fn table(text: &str, table: &DeTable<'_>) -> Content {
    let mut entries: Vec<_> = table
        .iter()
        .map(|(key, value)| Entry {
            key: key.get_ref().to_string(),
            position: position(text, &key.span()),
            value: node(text, value),
        })
        .collect();
    entries.sort_by_key(|entry| entry.position);
    Content::Map(entries)
}

fn node(text: &str, value: &Spanned<DeValue<'_>>) -> Node {
    let content = match value.get_ref() {
        DeValue::Table(inner) => table(text, inner),
        DeValue::Array(items) => Content::List(items.iter().map(|item| node(text, item)).collect()),
        DeValue::String(inner) => Content::Single(Value::from(inner.as_ref())),
        DeValue::Boolean(inner) => Content::Single(Value::from(*inner)),
        DeValue::Integer(inner) => Content::Single(integer(inner.as_str(), inner.radix())),
        DeValue::Float(inner) => Content::Single(match inner.as_str().parse::<f64>() {
            Ok(number) => Value::from(number),
            Err(_) => Value::from(inner.as_str()),
        }),
        DeValue::Datetime(inner) => Content::Single(Value::from(inner.to_string())),
    };
    Node { position: position(text, &value.span()), content }
}

/// The number; one that fits no type stays text, and is then refused by the key that it is meant for.
fn integer(digits: &str, radix: u32) -> Value {
    match (u64::from_str_radix(digits, radix), i64::from_str_radix(digits, radix)) {
        (Ok(number), _) => Value::from(number),
        (_, Ok(number)) => Value::from(number),
        _ => Value::from(digits),
    }
}

fn position(text: &str, span: &Range<usize>) -> Position {
    let before = text.get(..span.start).unwrap_or(text);
    let line = before.rsplit('\n').next().unwrap_or_default();
    Position { line: before.matches('\n').count() + 1, column: line.chars().count() + 1 }
}
