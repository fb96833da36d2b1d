//! Turns the merged values into the mirror of a file, telling *every* key that is unknown or of the wrong type.
//!
//! serde stops at the first mistake. So that mistake is reported, the piece that made it is taken out, and the rest is
//! read again, until nothing is wrong any more.

use std::collections::BTreeSet;

use figment::error::{Actual, Error, Kind};
use figment::value::{Dict, Num, Value};
use serde::de::DeserializeOwned;

use super::path::{KeyPath, Step};
use super::report::{Advice, Report};
use super::strict::Strict;

/// More than so many problems of this kind are not told at once.
const MOST_PROBLEMS: usize = 100;

/// Keys that the design knows and this version does not.
const LATER: [&str; 1] = ["telemetry"];

/// Reads what can be read. `None` when nothing can, or when too much is wrong to go on; the report then says why.
pub(super) fn read<T: DeserializeOwned>(mut values: Value, report: &mut Report) -> Option<T> {
    let mut reread = BTreeSet::new();
    loop {
        let error = match T::deserialize(Strict(&values)) {
            Ok(file) => return Some(file),
            Err(error) => error,
        };
        let path = resolve(&values, &error.path);
        if report.is_setting(&path) && reread.insert(path.clone()) && interpret(&mut values, &path, &error.kind) {
            continue;
        }
        tell(&path, error, report);
        if report.problem_count() > MOST_PROBLEMS || !remove(&mut values, &path, report) {
            return None;
        }
    }
}

/// figment's path as ours: whether a step is a key or an index is seen from what it leads into.
fn resolve(values: &Value, steps: &[String]) -> KeyPath {
    let mut path = KeyPath::root();
    let mut value = Some(values);
    for step in steps {
        if let (Some(Value::Array(_, items)), Ok(index)) = (value, step.parse::<usize>()) {
            path = path.index(index);
            value = items.get(index);
        } else {
            path = path.key(step);
            value = value.and_then(Value::as_dict).and_then(|values| values.get(step));
        }
    }
    path
}

/// Makes of a text from the environment what its key needs, if the text can be that.
fn interpret(values: &mut Value, path: &KeyPath, kind: &Kind) -> bool {
    let (Kind::InvalidType(_, expected), Some(place)) = (kind, find(values, path.steps())) else { return false };
    let Some(text) = place.as_str() else { return false };
    let interpreted = match expected.as_str() {
        "a boolean" => text.parse::<bool>().ok().map(Value::from),
        "a sequence" => Some(match serde_json::from_str::<Vec<Value>>(text) {
            Ok(items) => Value::from(items),
            Err(_) => text
                .split(',')
                .map(str::trim)
                .filter(|item| !item.is_empty())
                .map(Value::from)
                .collect::<Vec<_>>()
                .into(),
        }),
        number if is_number(number) => text.parse::<u64>().ok().map(|number| Value::from(Num::from(number))),
        _ => serde_json::from_str::<Dict>(text).ok().map(Value::from),
    };
    interpreted.map(|interpreted| *place = interpreted).is_some()
}

fn find<'a>(value: &'a mut Value, steps: &[Step]) -> Option<&'a mut Value> {
    let Some((step, rest)) = steps.split_first() else { return Some(value) };
    match (step, value) {
        (Step::Key(key), Value::Dict(_, values)) => find(values.get_mut(key)?, rest),
        (Step::Index(index), Value::Array(_, items)) => find(items.get_mut(*index)?, rest),
        _ => None,
    }
}

/// Takes out what was reported. Returns whether there was anything.
fn remove(values: &mut Value, path: &KeyPath, report: &mut Report) -> bool {
    let (Some(parent), Some(step)) = (path.parent(), path.steps().last()) else { return false };
    match (step, find(values, parent.steps())) {
        (Step::Key(key), Some(Value::Dict(_, values))) => values.remove(key).is_some(),
        (Step::Index(index), Some(Value::Array(_, items))) if *index < items.len() => {
            items.remove(*index);
            report.removed_item(&parent, *index);
            true
        }
        _ => false,
    }
}

/// Reports one mistake in plain words. Values are not repeated, because any of them may be a misplaced secret.
fn tell(path: &KeyPath, error: Error, report: &mut Report) {
    match error.kind {
        Kind::UnknownField(key, _) if LATER.contains(&key.as_str()) => {
            report.problem(path, "is not in this version of Usher", "take it out");
        }
        Kind::UnknownField(key, known) => {
            let advice =
                Advice::nearest(&key, known.iter().copied(), || format!("the keys here are {}", known.join(", ")));
            report.unknown_key(path, "is not a key", advice);
        }
        Kind::UnknownVariant(word, known) => {
            let advice = Advice::nearest(&word, known.iter().copied(), || format!("write {}", known.join(" or ")));
            report.suggest(path, format!("must be {}", known.join(" or ")), advice);
        }
        Kind::InvalidType(actual, expected) | Kind::InvalidValue(actual, expected) => {
            let remedy = remedy(&actual, &expected);
            let message = format!("{}, but must be {}", describe(&actual), plain(&expected));
            report.suggest(path, message, Advice { suggestion: None, remedy });
        }
        Kind::Message(message) => report.suggest(path, message, Advice::default()),
        other => report.suggest(path, format!("cannot be read: {other}"), Advice::default()),
    }
}

fn describe(actual: &Actual) -> &'static str {
    match actual {
        Actual::Bool(_) => "is true or false",
        Actual::Unsigned(_) | Actual::Signed(_) | Actual::Float(_) => "is a number",
        Actual::Str(_) | Actual::Char(_) => "is text",
        Actual::Unit | Actual::Option => "has no value",
        Actual::Seq => "is a list",
        Actual::Map => "is a map",
        _ => "is something else",
    }
}

fn is_number(expected: &str) -> bool {
    matches!(expected, "u8" | "u16" | "u32" | "u64" | "usize")
}

/// What serde calls a type, as an operator would.
fn plain(expected: &str) -> &str {
    match expected {
        "a boolean" => "true or false",
        "a string" | "string or map" | "path string" | "a character" => "text",
        "a sequence" => "a list",
        words if words.starts_with("enum ") => "one of its words",
        number if is_number(number) => "a whole number, 0 or more",
        other => other,
    }
}

fn remedy(actual: &Actual, expected: &str) -> Option<String> {
    let text = plain(expected).starts_with("text");
    match actual {
        Actual::Unsigned(_) | Actual::Signed(_) | Actual::Float(_) | Actual::Bool(_) if text => {
            Some("put it in quotes".to_owned())
        }
        Actual::Unit | Actual::Option => Some("give it a value, or take it out".to_owned()),
        _ => None,
    }
}
