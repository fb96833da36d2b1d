use serde_json::Value;

use super::{FULL, files};
use crate::config::document::{Content, Document, Node};
use crate::config::error::{Origin, Position};
use crate::config::path::{KeyPath, Step};
use crate::config::{Format, Problem, Sources, load};

struct Key {
    path: KeyPath,
    position: Position,
    name: String,
    single: bool,
}

/// Every key of [`FULL`] that Usher knows, leaving out the names that an operator chooses.
fn known_keys() -> Vec<Key> {
    let document = Document::parse("full", Format::Yaml, FULL).unwrap();
    let mut keys = Vec::new();
    collect(document.root(), &KeyPath::root(), &mut keys);
    assert!(keys.len() > 150);
    keys
}

fn collect(node: &Node, at: &KeyPath, keys: &mut Vec<Key>) {
    let chosen = matches!(at.steps().last(), Some(Step::Key(key)) if ["issuers", "require", "identity_headers", "identity", "authorization_parameters"].contains(&key.as_str()));
    match &node.content {
        Content::Single(_) => {}
        Content::List(items) => {
            for (index, item) in items.iter().enumerate() {
                collect(item, &at.index(index), keys);
            }
        }
        Content::Map(entries) => {
            for entry in entries {
                let path = at.key(&entry.key);
                collect(&entry.value, &path, keys);
                if !chosen {
                    let single = entry.value.position.line == entry.position.line;
                    keys.push(Key { path, position: entry.position, name: entry.key.clone(), single });
                }
            }
        }
    }
}

fn at<'v>(document: &'v mut Value, path: &KeyPath) -> &'v mut Value {
    path.steps().iter().fold(document, |value, step| match step {
        Step::Key(key) => &mut value[key],
        Step::Index(index) => &mut value[index],
    })
}

fn only_problem(text: &str, format: Format, directory: &tempfile::TempDir, about: &KeyPath) -> Problem {
    let error = load(&Sources::text("full", format, text, directory.path())).expect_err(&about.to_string());
    assert_eq!(error.problems.len(), 1, "{about}: {error}");
    error.problems[0].clone()
}

#[test]
fn a_document_with_every_key_counts() {
    let directory = files();
    let loaded = load(&Sources::text("full", Format::Yaml, FULL, directory.path()));
    loaded.unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn every_misspelt_key_is_reported_once_with_its_line_and_the_key_that_was_meant() {
    let directory = files();
    for key in known_keys() {
        let mut lines: Vec<String> = FULL.lines().map(str::to_owned).collect();
        let line = &mut lines[key.position.line - 1];
        line.insert(key.position.column - 1 + key.name.len(), 'x');
        let problem = only_problem(&lines.join("\n"), Format::Yaml, &directory, &key.path);
        assert_eq!(problem.path, format!("{}x", key.path));
        assert_eq!(problem.origin, Origin::File { file: "full".into(), position: key.position }, "{}", key.path);
        assert_eq!(problem.suggestion.as_deref(), Some(key.name.as_str()), "{}", key.path);
    }
}

#[test]
fn every_repeated_key_is_reported_once_where_it_stands_again() {
    let directory = files();
    for key in known_keys().into_iter().filter(|key| key.single) {
        let mut lines: Vec<String> = FULL.lines().map(str::to_owned).collect();
        let again = lines[key.position.line - 1].replacen(
            "- ",
            "  ",
            usize::from(lines[key.position.line - 1].trim_start().starts_with("- ")),
        );
        lines.insert(key.position.line, again);
        let problem = only_problem(&lines.join("\n"), Format::Yaml, &directory, &key.path);
        let position = Position { line: key.position.line + 1, column: key.position.column };
        assert_eq!(problem.path, key.path.to_string());
        assert_eq!(problem.origin, Origin::File { file: "full".into(), position });
    }
}

#[test]
fn every_value_of_the_wrong_type_is_reported_once() {
    let directory = files();
    let whole: Value = serde_json::to_value(Document::parse("full", Format::Yaml, FULL).unwrap().values()).unwrap();
    for key in known_keys() {
        for wrong in [serde_json::json!([[1]]), Value::Null] {
            let mut document = whole.clone();
            *at(&mut document, &key.path) = wrong;
            let text = serde_json::to_string_pretty(&document).unwrap();
            let problem = only_problem(&text, Format::Json, &directory, &key.path);
            assert!(problem.path.starts_with(&key.path.to_string()), "{} for {}", problem.path, key.path);
        }
    }
}

/// Another value of its type that hardly any key takes. Of a map, one that is empty lacks several things.
fn other(value: &Value) -> Option<Value> {
    match value {
        Value::String(_) => Some("? %".into()),
        Value::Number(_) => Some(0.into()),
        Value::Bool(given) => Some((!given).into()),
        Value::Array(_) => Some(Value::Array(Vec::new())),
        Value::Object(_) | Value::Null => None,
    }
}

#[test]
fn every_key_that_is_missing_or_has_another_value_is_one_problem_at_most() {
    let directory = files();
    let whole: Value = serde_json::to_value(Document::parse("full", Format::Yaml, FULL).unwrap().values()).unwrap();
    let mut refused = 0;
    // Whoever names an issuer is wrong without them.
    for key in known_keys().into_iter().filter(|key| key.path.to_string() != "issuers") {
        let mut document = whole.clone();
        let (parent, Some(Step::Key(name))) = (key.path.parent().unwrap(), key.path.steps().last()) else { continue };
        let was = at(&mut document, &parent).as_object_mut().unwrap().remove(name).unwrap();
        let without = serde_json::to_string(&document).unwrap();
        let with_another = other(&was).map(|other| {
            at(&mut document, &parent)[name] = other;
            serde_json::to_string(&document).unwrap()
        });
        for text in [Some(without), with_another].into_iter().flatten() {
            if let Err(error) = load(&Sources::text("full", Format::Json, &text, directory.path())) {
                assert_eq!(error.problems.len(), 1, "{}: {error}", key.path);
                refused += 1;
            }
        }
    }
    assert!(refused > 150, "{refused}");
}

#[test]
fn an_unknown_key_far_from_all_others_comes_with_the_list() {
    let problem = &super::problems(&super::small_with("host:", "colour: red\n    host:"))[0];
    assert_eq!(problem.path, "sites[0].colour");
    assert!(problem.remedy.as_deref().unwrap().contains("upstream"));
}

#[test]
fn keys_of_later_versions_are_called_so() {
    let problem = &super::problems(&super::small_with("sites:", "telemetry: { otlp: x }\nsites:"))[0];
    assert!(problem.message.contains("not in this version"));
}
