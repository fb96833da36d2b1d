//! What is required: of claims, by what they are compared with, and of the sign-in.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use serde_json::Value;

use super::{HumanDuration, OneOrMany, RequirementLists};

/// The claims that say how, and when, somebody has signed in: they are asked for in ways of their own.
const ACR: &str = "acr";
const MAX_AGE: &str = "max_age";

/// Everything that is required.
#[derive(Clone, Debug, Default)]
pub struct Require {
    /// The `acr` of the sign-in is one of these.
    pub acr: Option<OneOrMany<Scalar>>,
    /// The sign-in is no older than this.
    pub max_age: Option<HumanDuration>,
    /// What other claims must be, by their paths.
    pub claims: BTreeMap<String, Requirement>,
}

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

impl<'de> Deserialize<'de> for Require {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(RequireVisitor)
    }
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

struct RequireVisitor;

impl<'de> Visitor<'de> for RequireVisitor {
    type Value = Require;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a map of claims, acr and max_age")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Require, A::Error> {
        let mut require = Require::default();
        while let Some(key) = access.next_key::<String>()? {
            match &*key {
                ACR => require.acr = Some(access.next_value()?),
                MAX_AGE => require.max_age = Some(access.next_value()?),
                _ => drop(require.claims.insert(key, access.next_value()?)),
            }
        }
        Ok(require)
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
        formatter.write_str("a single value, or a map with any, all, none or domain and a list")
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

impl JsonSchema for Require {
    fn schema_name() -> Cow<'static, str> {
        "Require".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "properties": {
                ACR: {
                    "description": "The acr of the sign-in is one of these.",
                    "allOf": [generator.subschema_for::<OneOrMany<Scalar>>()],
                },
                MAX_AGE: {
                    "description": "The sign-in is no older than this.",
                    "allOf": [generator.subschema_for::<HumanDuration>()],
                },
            },
            "additionalProperties": generator.subschema_for::<Requirement>(),
        })
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
