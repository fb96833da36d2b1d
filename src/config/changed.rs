//! Which keys two configurations have written otherwise. Their names only: values may be secrets (law 8).

use figment::value::{Dict, Value};

use super::error::ConfigError;
use super::load::{Sources, written};
use super::path::KeyPath;

/// The keys that differ as they are written, in order, without those of `sites`; a list counts as one value. A default that one
/// of the two spells out is a difference too, and what is in a file that both name is none.
///
/// # Errors
///
/// When one of them cannot be read at all.
pub fn changed_keys(before: &Sources, after: &Sources) -> Result<Vec<String>, ConfigError> {
    let (mut before, mut after) = (written(before)?, written(after)?);
    before.remove("sites");
    after.remove("sites");
    let mut changed = Vec::new();
    compare(&KeyPath::root(), &before, &after, &mut changed);
    Ok(changed.iter().map(ToString::to_string).collect())
}

fn compare(at: &KeyPath, before: &Dict, after: &Dict, changed: &mut Vec<KeyPath>) {
    let only_after = after.keys().filter(|key| !before.contains_key(*key));
    let mut keys: Vec<_> = before.keys().chain(only_after).collect();
    keys.sort_unstable();
    for key in keys {
        match (before.get(key), after.get(key)) {
            (before, after) if before == after => {}
            (Some(Value::Dict(_, before)), Some(Value::Dict(_, after))) => {
                compare(&at.key(key), before, after, changed);
            }
            (None, Some(Value::Dict(_, only))) | (Some(Value::Dict(_, only)), None) if !only.is_empty() => {
                compare(&at.key(key), &Dict::new(), only, changed);
            }
            _ => changed.push(at.key(key)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Format;

    #[test]
    fn changed_keys_are_named_whatever_the_format_and_without_their_values() {
        let yaml = "{ limits: { connections: 7 }, log: { level: info }, session: { store: memory }, trusted_proxies: [a], sites: [] }";
        let json = r#"{ "limits": { "connections": 8 }, "log": { "level": "info" }, "pages": "p", "sites": [1] }"#;
        let before = Sources::text("a", Format::Yaml, yaml, "");
        let after = Sources::text("b", Format::Json, json, "");
        assert_eq!(
            changed_keys(&before, &after).unwrap(),
            ["limits.connections", "pages", "session.store", "trusted_proxies"]
        );
        let over = |sources: Sources| sources.with_flags([("limits.connections".to_owned(), "9".to_owned())]);
        assert_eq!(changed_keys(&over(before), &over(after)).unwrap(), ["pages", "session.store", "trusted_proxies"]);
    }
}
