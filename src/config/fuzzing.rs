//! What the configuration is held to, whatever is in the file, the environment and the flags: no panic; every problem at the
//! place of its path, in the order of the file; every note about something that is there; no key that is not known, which is
//! one problem; a line above moves places and nothing else; and JSON means what the same in YAML and TOML means.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    reason = "a promise that is broken is a panic, and a fuzzer's only way to tell"
)]

use std::collections::BTreeMap;
use std::sync::LazyLock;

use super::document::{Content, Document, Node};
use super::error::{Origin, Position};
use super::path::KeyPath;
use super::{Config, ConfigError, Format, Loaded, Sources, load};

/// A configuration for the other targets: it needs no file, and its secrets never change.
const EXAMPLE: &str = "
listen: { https: 127.0.0.1:0 }
tls: { self_signed: true }
issuers:
  main:
    issuer: https://main.test
    audiences: [gw]
    algorithms: [HS256]
    hmac_secret: kBq0vTz5uHjRmXw81nLq02PzQv7e3dXa
session: { secret: 0b5f7a1c9d3e2468ace13579bdf02468 }
sites:
  - host: app.test
    issuer: main
    upstream: http://app:8080
    identity_headers: { X-User: sub, X-Groups: groups, Remote-User-2: name }
    strip_headers: [X-Tenant]
    routes:
      - path: /
      - path: /admin/
      - path: /app/admin/
      - path: /public/
      - path: /public/x
      - { path: /cut/, strip_prefix: /cut }
";

/// The configuration of all targets.
pub(crate) static CONFIG: LazyLock<Config> = LazyLock::new(|| match load_text(Format::Yaml, EXAMPLE) {
    Ok(loaded) => loaded.config,
    Err(error) => unreachable!("{error}"),
});

/// A file in each of the three formats. Lines that begin as variables or flags do are those, over the example.
pub fn configuration(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    if text.starts_with("USHER__") || text.starts_with("--") {
        return settings(text);
    }
    for (format, unknown, moved) in [
        (Format::Yaml, "not_a_key: 1\n".to_owned() + text, "# Above.\n".to_owned() + text),
        (Format::Toml, "not_a_key = 1\n".to_owned() + text, "# Above.\n".to_owned() + text),
        (Format::Json, text.replacen('{', r#"{"not_a_key": 1,"#, 1), "\n".to_owned() + text),
    ] {
        let outcome = load_text(format, text);
        check_outcome(format, text, &outcome);
        check_moved(text, &outcome, &load_text(format, &moved));
        check_json(format, text, &outcome);
        if outcome.is_ok() {
            let error = load_text(format, &unknown).expect_err("a key that is not known");
            check_problems(format, &unknown, &error);
            assert_eq!(error.problems.len(), 1, "one mistake: {error}");
            let path = &*error.problems[0].path;
            assert!(path == "not_a_key" || path.is_empty(), "{error}");
        }
    }
}

fn settings(text: &str) {
    let mut sources = Sources::text("usher", Format::Yaml, EXAMPLE, NOWHERE);
    for line in text.lines() {
        let Some((name, value)) = line.split_once('=') else { continue };
        let pair = |name: &str| [(name.to_owned(), value.to_owned())];
        sources = match name.strip_prefix("--") {
            Some(flag) => sources.with_flags(pair(flag)),
            None => sources.with_environment(pair(name)),
        };
    }
    if let Err(error) = load(&sources) {
        check_problems(Format::Yaml, EXAMPLE, &error);
    }
}

/// No file that a configuration names is found here.
const NOWHERE: &str = "/nonexistent";

fn load_text(format: Format, text: &str) -> Result<Loaded, ConfigError> {
    load(&Sources::text("usher", format, text, NOWHERE))
}

fn check_outcome(format: Format, text: &str, outcome: &Result<Loaded, ConfigError>) {
    match outcome {
        Ok(loaded) => {
            let places = places(format, text);
            for note in &loaded.notes {
                nearest(&places, &note.path);
            }
        }
        Err(error) => check_problems(format, text, error),
    }
}

/// Whatever is wrong can be found: there is a problem, its place is that of its path, and a key that is not one stands there.
fn check_problems(format: Format, text: &str, error: &ConfigError) {
    assert!(!error.problems.is_empty(), "a refusal without a reason");
    assert!(!error.to_string().is_empty() && !error.styled().to_string().is_empty());
    assert!(error.problems.is_sorted_by_key(|problem| &problem.origin), "{error}");
    // Whether a lone carriage return ends a line is a matter of the editor.
    if text.contains('\r') {
        return;
    }
    let places = places(format, text);
    let lines: Vec<&str> = text.split('\n').collect();
    for problem in &error.problems {
        let Origin::File { position, .. } = &problem.origin else { continue };
        let (line, column) = (position.line, position.column);
        assert!((1..=lines.len()).contains(&line), "{}: line {line} of {}", problem.path, lines.len());
        let found = lines.get(line - 1).copied().unwrap_or_default();
        assert!((1..=found.chars().count() + 1).contains(&column), "{}: {line}:{column} in {found:?}", problem.path);
        // The second of two keys has the path of the first.
        if problem.message != "is set twice"
            && let Some(place) = nearest(&places, &problem.path)
        {
            assert!(place.contains(position), "{problem} is at {place:?}");
        }
        if problem.message == "is not a key"
            && let Some(key) = plain_key(&problem.path)
            && !text.contains(['\\', '*'])
        {
            assert!(found.contains(key), "{}: not in line {line}: {found:?}", problem.path);
        }
    }
}

/// What is said of a text below another line is what is said of it alone, one line further down.
fn check_moved(text: &str, outcome: &Result<Loaded, ConfigError>, moved: &Result<Loaded, ConfigError>) {
    // A mark of the byte order is one at the beginning only.
    if text.contains('\r') || text.starts_with('\u{feff}') {
        return;
    }
    assert_eq!(told(outcome), told(moved), "below another line");
    let (Err(error), Err(moved)) = (outcome, moved) else { return };
    for (problem, moved) in error.problems.iter().zip(&moved.problems) {
        let (Origin::File { position, .. }, Origin::File { position: after, .. }) = (&problem.origin, &moved.origin)
        else {
            continue;
        };
        let below = Position { line: position.line + 1, ..*position };
        // Of what has no place, such as a file without anything, the first line is told.
        assert!(*after == below || [*position, *after] == [Position::START; 2], "{problem} became {moved}");
    }
}

/// The same values in JSON mean the same.
fn check_json(format: Format, text: &str, outcome: &Result<Loaded, ConfigError>) {
    let Ok(document) = Document::parse("usher", format, text) else { return };
    // What is wrong with it as such is not in its values.
    if !document.faults().is_empty() {
        return;
    }
    let json = serde_json::to_string(&document.values()).expect("values are JSON");
    // Numbers that JSON does not have become nothing.
    if !json.contains("null") {
        assert_eq!(sorted(told(outcome)), sorted(told(&load_text(Format::Json, &json))), "in JSON");
    }
}

/// Everything that is said of a configuration, but for places.
fn told(outcome: &Result<Loaded, ConfigError>) -> Vec<String> {
    match outcome {
        Ok(Loaded { config, notes, .. }) => {
            notes.iter().map(ToString::to_string).chain([format!("{config:?}")]).collect()
        }
        Err(error) => {
            let problems = error.problems.iter();
            problems.map(|one| format!("{:?}", (&one.path, &one.message, &one.suggestion, &one.remedy))).collect()
        }
    }
}

fn sorted(mut told: Vec<String>) -> Vec<String> {
    told.sort();
    told
}

/// Where everything stands, key and value, by its path.
type Places = BTreeMap<String, [Position; 2]>;

/// Nothing of what cannot be read at all.
fn places(format: Format, text: &str) -> Places {
    let mut places = Places::new();
    if let Ok(document) = Document::parse("usher", format, text) {
        let root = document.root();
        collect(root, root.position, &KeyPath::root(), &mut places);
    }
    places
}

fn collect(node: &Node, key: Position, at: &KeyPath, places: &mut Places) {
    // Of a repeated key the first counts.
    if places.contains_key(&at.to_string()) {
        return;
    }
    places.insert(at.to_string(), [key, node.position]);
    match &node.content {
        Content::Single(_) => {}
        Content::List(items) => {
            for (index, item) in items.iter().enumerate() {
                collect(item, item.position, &at.index(index), places);
            }
        }
        Content::Map(entries) => {
            for entry in entries {
                collect(&entry.value, entry.position, &at.key(&entry.key), places);
            }
        }
    }
}

/// The place of what is nearest to this path, if the text could be read. Of what may be missing around it, keys are, but
/// never the item of a list.
fn nearest(places: &Places, path: &str) -> Option<[Position; 2]> {
    let mut around = path;
    loop {
        if let Some(place) = places.get(around) {
            let missing = path.get(around.len()..).unwrap_or_default();
            let is_item =
                missing.strip_prefix('[').is_some_and(|index| index.starts_with(|one: char| one.is_ascii_digit()));
            assert!(!is_item, "{path}: there is no such item in {around}");
            return Some(*place);
        }
        if around.is_empty() {
            return None;
        }
        around = around.get(..around.rfind(['.', '[']).unwrap_or(0))?;
    }
}

/// The last key of a path, where it stands in the path as it does in the file.
fn plain_key(path: &str) -> Option<&str> {
    path.rsplit('.').next().filter(|key| !key.is_empty() && !key.contains(['[', ']', '"']))
}
