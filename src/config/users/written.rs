//! Values as people write them into YAML: plain where that can be read in one way only, on one line.

use serde_json::Value;

/// A value on one line.
pub(super) fn flow(value: &Value) -> String {
    match value {
        Value::String(text) => scalar(text),
        Value::Array(items) => format!("[{}]", items.iter().map(flow).collect::<Vec<_>>().join(", ")),
        Value::Object(members) if members.is_empty() => "{}".to_owned(),
        Value::Object(members) => {
            let members: Vec<_> =
                members.iter().map(|(key, value)| format!("{}: {}", scalar(key), flow(value))).collect();
            format!("{{ {} }}", members.join(", "))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}

/// A hash has letters in it that mean something within braces, and a secret may look like a number.
pub(super) fn quoted(hash: &str) -> String {
    format!("'{hash}'")
}

/// A text as a key or a value: plain where it can only be text.
pub(super) fn scalar(text: &str) -> String {
    let is_plain = text.starts_with(|letter: char| letter.is_ascii_alphabetic())
        && text.ends_with(|letter: char| letter.is_ascii_alphanumeric())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b" ._@-".contains(&byte))
        && !matches!(text.to_ascii_lowercase().as_str(), "true" | "false" | "null" | "yes" | "no" | "on" | "off");
    if is_plain { text.to_owned() } else { Value::from(text).to_string() }
}
