//! What is set over the file: environment variables, then flags.
//!
//! `USHER__SESSION__STORE=memory` sets `session.store`. The text stays text until the key that it is meant for turns out
//! to need something else (see `repair`), so that a secret `007` is not the number 7.

use std::collections::BTreeMap;

use figment::value::{Dict, Value};

use super::error::Origin;
use super::path::{KeyPath, Step};

/// What the names of Usher's environment variables begin with.
const PREFIX: &str = "USHER__";

/// One value that is set over the file.
#[derive(Clone)]
pub(super) struct Setting {
    /// The key. Keys of lists cannot be reached: a list is set as a whole.
    pub(super) path: KeyPath,
    /// Who sets it.
    pub(super) origin: Origin,
    text: String,
}

impl Setting {
    /// The settings among `variables`, sorted by name; other variables are not Usher's.
    pub(super) fn from_environment(variables: &BTreeMap<String, String>) -> Vec<Self> {
        let setting = |(variable, text): (&String, &String)| {
            let path = path(variable.strip_prefix(PREFIX)?.to_ascii_lowercase().split("__"));
            Some(Self { path, origin: Origin::Environment { variable: variable.clone() }, text: text.clone() })
        };
        variables.iter().filter_map(setting).collect()
    }

    /// The settings of `--set KEY=VALUE`, the keys written with dots.
    pub(super) fn from_flags(flags: &[(String, String)]) -> Vec<Self> {
        let setting = |(key, text): &(String, String)| Self {
            path: path(key.split('.')),
            origin: Origin::Flag { flag: format!("--set {key}") },
            text: text.clone(),
        };
        flags.iter().map(setting).collect()
    }
}

fn path<'a>(keys: impl Iterator<Item = &'a str>) -> KeyPath {
    keys.fold(KeyPath::root(), |path, key| path.key(key))
}

/// All settings of one kind as one map of texts. Those that contradict an earlier one, because it sets the same key, a
/// map around it or something inside it, are returned beside it.
pub(super) fn values(settings: &[Setting]) -> (Dict, Vec<Setting>) {
    let mut values = Dict::new();
    let mut contradictions = Vec::new();
    for setting in settings {
        if !insert(&mut values, setting.path.steps(), &setting.text) {
            contradictions.push(setting.clone());
        }
    }
    (values, contradictions)
}

fn insert(values: &mut Dict, steps: &[Step], text: &str) -> bool {
    let Some((Step::Key(key), rest)) = steps.split_first() else { return false };
    if rest.is_empty() {
        return values.insert(key.clone(), Value::from(text)).is_none();
    }
    match values.entry(key.clone()).or_insert_with(|| Value::from(Dict::new())) {
        Value::Dict(_, inner) => insert(inner, rest, text),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(variables: &[(&str, &str)]) -> Vec<Setting> {
        let variables = variables.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
        Setting::from_environment(&variables)
    }

    #[test]
    fn variables_name_keys_and_stay_text() {
        let settings = environment(&[("USHER__SESSION__SECRET", "007"), ("USHER_LOG", "x"), ("PATH", "/bin")]);
        let (values, contradictions) = values(&settings);
        assert!(contradictions.is_empty());
        assert_eq!(Value::from(values).find_ref("session.secret").unwrap().as_str(), Some("007"));
        assert_eq!(settings.len(), 1);
    }

    #[test]
    fn settings_that_contradict_each_other_are_told() {
        let settings = environment(&[("USHER__LOG", "x"), ("USHER__LOG__LEVEL", "info")]);
        let (_, contradictions) = values(&settings);
        assert_eq!(contradictions.len(), 1);
        assert_eq!(contradictions[0].path.to_string(), "log.level");
    }
}
