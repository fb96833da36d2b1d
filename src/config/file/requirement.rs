//! What a claim is compared with.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use serde_json::Value;

use super::RequirementLists;

/// Text, a number, true or false: what a claim is compared with.
#[derive(Clone, Debug, PartialEq)]
pub struct Scalar(pub Value);

/// What a claim must be: a value that it equals or holds, or lists of such values.
#[derive(Clone, Debug)]
pub enum Requirement {
    /// One value.
    Value(Scalar),
    /// Lists.
    Lists(RequirementLists),
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ScalarVisitor)
    }
}

impl<'de> Deserialize<'de> for Requirement {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RequirementVisitor)
    }
}

struct ScalarVisitor;

impl Visitor<'_> for ScalarVisitor {
    type Value = Scalar;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a single value")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Scalar, E> {
        Ok(Scalar(value.into()))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Scalar, E> {
        Ok(Scalar(value.into()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Scalar, E> {
        Ok(Scalar(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Scalar, E> {
        Ok(Scalar(value.into()))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Scalar, E> {
        Ok(Scalar(value.into()))
    }
}

struct RequirementVisitor;

impl<'de> Visitor<'de> for RequirementVisitor {
    type Value = Requirement;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a single value, or a map with any, all or none and a list")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Requirement, E> {
        ScalarVisitor.visit_bool(value).map(Requirement::Value)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Requirement, E> {
        ScalarVisitor.visit_i64(value).map(Requirement::Value)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Requirement, E> {
        ScalarVisitor.visit_u64(value).map(Requirement::Value)
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Requirement, E> {
        ScalarVisitor.visit_f64(value).map(Requirement::Value)
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Requirement, E> {
        ScalarVisitor.visit_str(value).map(Requirement::Value)
    }

    fn visit_map<A: MapAccess<'de>>(self, access: A) -> Result<Requirement, A::Error> {
        RequirementLists::deserialize(MapAccessDeserializer::new(access)).map(Requirement::Lists)
    }
}

impl JsonSchema for Scalar {
    fn schema_name() -> Cow<'static, str> {
        "Scalar".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "number", "boolean"] })
    }
}

impl JsonSchema for Requirement {
    fn schema_name() -> Cow<'static, str> {
        "Requirement".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "anyOf": [generator.subschema_for::<Scalar>(), generator.subschema_for::<RequirementLists>()]
        })
    }
}
