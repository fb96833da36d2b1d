//! JSON objects in which no member stands twice, at any depth.
//!
//! Parsers differ in which of two members they take: whoever checks the one and uses the other can be fooled.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// Why a text is no such object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoObject {
    /// A member stands twice.
    #[error("a member stands twice")]
    Duplicate,
    /// It is no JSON, not one object, or nested too deeply.
    #[error("it is not a JSON object")]
    Syntax,
}

/// Reads one object and nothing after it. Nesting deeper than 128 is refused by the parser.
///
/// # Errors
/// [`NoObject`]
pub fn object(bytes: &[u8]) -> Result<Map<String, Value>, NoObject> {
    match serde_json::from_slice(bytes) {
        Ok(Strict(Value::Object(object))) => Ok(object),
        // The only thing that this module itself objects to; the rest is syntax.
        Err(error) if error.is_data() => Err(NoObject::Duplicate),
        Ok(_) | Err(_) => Err(NoObject::Syntax),
    }
}

/// A value without duplicate members.
struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Self)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Strict(element)) = elements.next_element()? {
            list.push(element);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some((name, Strict(value))) = members.next_entry()? {
            if object.insert(name, value).is_some() {
                return Err(A::Error::custom("a member stands twice"));
            }
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_read_as_serde_json_reads_it() {
        let text = br#"{"a":[1,-2,3.5,"x",null,true],"b":{"c":{}},"\u0064":"\u00e9"}"#;
        assert_eq!(Value::Object(object(text).unwrap()), serde_json::from_slice::<Value>(text).unwrap());
    }

    #[test]
    fn a_member_that_stands_twice_is_refused_at_any_depth_and_in_any_spelling() {
        for text in [r#"{"a":1,"a":1}"#, r#"{"a":{"b":1,"b":2}}"#, r#"{"a":[{"b":1,"b":2}]}"#, r#"{"a":1,"\u0061":2}"#]
        {
            assert_eq!(object(text.as_bytes()), Err(NoObject::Duplicate), "{text}");
        }
    }

    #[test]
    fn anything_else_than_one_object_is_refused() {
        let deep = format!("{}{}", r#"{"a":"#.repeat(5000), "1");
        for text in ["", "null", "[]", "\"a\"", "{}{}", "{} x", "{\"a\":1e999}", "{a:1}", "{\"a\":1,}", deep.as_str()] {
            assert_eq!(object(text.as_bytes()), Err(NoObject::Syntax), "{text:.20}");
        }
        assert_eq!(object(b"{\"a\":\"\xff\"}"), Err(NoObject::Syntax));
    }
}
