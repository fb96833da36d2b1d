//! Values with a unit: durations and sizes; and ranges of statuses.

use std::borrow::Cow;
use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::{Deserializer, Error, Visitor};

/// A duration as people write it: `30s`, `5m`, `8h`, `30d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HumanDuration(pub Duration);

/// A size as people write it: `64KiB`, `10MiB`, or a number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByteSize(pub u64);

/// A size, or `none`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyLimit(pub Option<u64>);

/// Statuses: `200`, or `200-399`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusRange(pub RangeInclusive<u16>);

impl<'de> Deserialize<'de> for HumanDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(DurationVisitor)
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match deserializer.deserialize_any(SizeVisitor { none: false })? {
            Some(size) => Ok(Self(size)),
            None => Err(D::Error::custom(NOT_A_SIZE)),
        }
    }
}

impl<'de> Deserialize<'de> for BodyLimit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SizeVisitor { none: true }).map(BodyLimit)
    }
}

impl<'de> Deserialize<'de> for StatusRange {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StatusVisitor)
    }
}

/// Nobody waits longer, and sums with points in time stay far from where they would overflow.
const LONGEST: Duration = Duration::from_secs(36_500 * 24 * 60 * 60);

const NOT_A_DURATION: &str = "must be a duration with its unit, as in 30s, 5m, 8h or 30d";
const TOO_LONG: &str = "must be at most 36500d";
const NOT_A_SIZE: &str = "must be a size, as in 64KiB or 10MiB";
const NOT_STATUSES: &str = "must be a status or a range of them, as in 200 or 200-399";

struct DurationVisitor;

impl Visitor<'_> for DurationVisitor {
    type Value = HumanDuration;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a duration with its unit, as in 30s, 5m, 8h or 30d")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<HumanDuration, E> {
        let duration = humantime::parse_duration(text).map_err(|_| E::custom(NOT_A_DURATION))?;
        if duration > LONGEST { Err(E::custom(TOO_LONG)) } else { Ok(HumanDuration(duration)) }
    }
}

struct SizeVisitor {
    none: bool,
}

impl Visitor<'_> for SizeVisitor {
    type Value = Option<u64>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a size, as in 64KiB or 10MiB")
    }

    fn visit_u64<E: Error>(self, bytes: u64) -> Result<Self::Value, E> {
        Ok(Some(bytes))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        if self.none && text == "none" {
            return Ok(None);
        }
        text.parse::<bytesize::ByteSize>().map(|size| Some(size.as_u64())).map_err(|_| E::custom(NOT_A_SIZE))
    }
}

struct StatusVisitor;

impl Visitor<'_> for StatusVisitor {
    type Value = StatusRange;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a status or a range of them, as in 200 or 200-399")
    }

    fn visit_u64<E: Error>(self, status: u64) -> Result<StatusRange, E> {
        self.visit_str(&status.to_string())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<StatusRange, E> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let status = |text: &str| text.trim().parse().ok().filter(|status| (100..=599).contains(status));
        match (status(first), status(last)) {
            (Some(first), Some(last)) if first <= last => Ok(StatusRange(first..=last)),
            _ => Err(E::custom(NOT_STATUSES)),
        }
    }
}

impl JsonSchema for StatusRange {
    fn schema_name() -> Cow<'static, str> {
        "Statuses".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["string", "integer"],
            "description": "A status or a range of them: 200, 200-399.",
            "minimum": 100,
            "maximum": 599,
            "pattern": r"^[1-5]\d\d(\s*-\s*[1-5]\d\d)?$",
        })
    }
}

impl JsonSchema for HumanDuration {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "A duration with its unit: 30s, 5m, 8h, 30d.",
            "pattern": r"^\s*(\d+\s*[a-zA-Z]+\s*)+$",
        })
    }
}

impl JsonSchema for ByteSize {
    fn schema_name() -> Cow<'static, str> {
        "Size".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["string", "integer"],
            "description": "A size with its unit, 64KiB or 10MiB, or a number of bytes.",
            "minimum": 0,
            "pattern": r"^\s*\d+(\.\d+)?\s*([kKmMgGtT]i?[bB]?|[bB])?\s*$",
        })
    }
}

impl JsonSchema for BodyLimit {
    fn schema_name() -> Cow<'static, str> {
        "SizeOrNone".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [generator.subschema_for::<ByteSize>(), { "const": "none" }] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_need_a_unit() {
        let read = |text: &str| serde_json::from_str::<HumanDuration>(text).ok().map(|duration| duration.0.as_secs());
        assert_eq!(read(r#""30s""#), Some(30));
        assert_eq!(read(r#""1h 30m""#), Some(5400));
        assert_eq!(read(r#""30d""#), Some(30 * 86_400));
        assert_eq!(read(r#""soon""#), None);
        assert_eq!(read("30"), None);
    }

    #[test]
    fn sizes_are_binary_or_decimal_and_only_a_body_limit_may_be_none() {
        let read = |text: &str| serde_json::from_str::<ByteSize>(text).ok().map(|size| size.0);
        assert_eq!(read(r#""64KiB""#), Some(65_536));
        assert_eq!(read(r#""1MB""#), Some(1_000_000));
        assert_eq!(read("10"), Some(10));
        assert_eq!(read(r#""none""#), None);
        assert_eq!(serde_json::from_str::<BodyLimit>(r#""none""#).unwrap(), BodyLimit(None));
    }

    #[test]
    fn statuses_are_one_or_a_range_that_ascends() {
        let read = |text: &str| serde_json::from_str::<StatusRange>(text).ok().map(|range| range.0);
        assert_eq!(read("204"), Some(204..=204));
        assert_eq!(read(r#""200""#), Some(200..=200));
        assert_eq!(read(r#""200-399""#), Some(200..=399));
        for wrong in ["99", "600", r#""399-200""#, r#""2xx""#, r#""200-""#, r#""""#] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
