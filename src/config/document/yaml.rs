//! YAML 1.2, and JSON, which is a part of it.

use std::fmt;

use figment::value::{Empty, Value};
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{DuplicateKeyPolicy, Location, Spanned};

use super::{Content, Entry, Node, SyntaxError};
use crate::config::error::Position;

/// Reads YAML. Anchors and aliases work within the bounds of the reader's budget, so that a small file cannot become a
/// large tree; `yes`, `no`, `on` and `off` are text, as YAML 1.2 has it.
pub(super) fn parse(text: &str) -> Result<Node, SyntaxError> {
    let options = serde_saphyr::options! {
        with_snippet: false,
        strict_booleans: true,
        reject_unsupported_tags: true,
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
    };
    match serde_saphyr::from_str_with_options::<Spanned<Tree>>(text, options) {
        Ok(tree) => Ok(node(tree)),
        Err(error) => {
            let place = error.location().map_or(Position::START, position);
            let message = without_place(&error.without_snippet().to_string());
            // What is no YAML at all often began above the place where the reader has noticed.
            let is_misshapen = matches!(error.without_snippet(), serde_saphyr::Error::ExternalMessage { .. });
            let remedy = is_misshapen.then_some("look at indentation, quotes and brackets here and in the lines above");
            Err(tab(text, place, &message).unwrap_or(SyntaxError { position: place, message, remedy }))
        }
    }
}

/// Reads JSON: once strictly, for the syntax, and once as YAML, for the places.
pub(super) fn parse_json(text: &str) -> Result<Node, SyntaxError> {
    match serde_json::from_str::<IgnoredAny>(text) {
        Ok(_) => parse(text),
        Err(error) => {
            let line = error.line().max(1);
            let position = Position { line, column: characters(text, line, error.column()).max(1) };
            Err(SyntaxError { position, message: without_place(&error.to_string()), remedy: None })
        }
    }
}

/// The tab that the reader has stumbled over, if it is one. It tells of some only as a key that it has not found, on the line
/// before or after; and of none how to put it right.
fn tab(text: &str, stopped: Position, message: &str) -> Option<SyntaxError> {
    let tab_of = |line: &str| {
        let indentation: Vec<char> = line.chars().take_while(|letter| [' ', '\t', '-'].contains(letter)).collect();
        // A line of nothing else may have one.
        let is_blank = indentation.len() == line.chars().count();
        indentation.iter().position(|letter| *letter == '\t').filter(|_| !is_blank)
    };
    let at = |(line, text): (usize, &str)| Some(Position { line, column: tab_of(text)? + 1 });
    let from = |first: usize| (1..).zip(text.lines()).skip_while(move |(line, _)| *line < first);
    let position = if message.contains("tab") {
        from(stopped.line).find_map(at)?
    } else {
        let beside = from(stopped.line).take(2).find_map(at);
        beside.or_else(|| from(stopped.line.saturating_sub(1)).take(1).find_map(at))?
    };
    let message = "a tab stands in the indentation, which YAML does not take".to_owned();
    Some(SyntaxError { position, message, remedy: Some("indent with spaces") })
}

/// How many characters the first `bytes` of a line are.
fn characters(text: &str, line: usize, bytes: usize) -> usize {
    let line = text.split('\n').nth(line - 1).unwrap_or_default().as_bytes();
    String::from_utf8_lossy(line.get(..bytes).unwrap_or(line)).chars().count()
}

/// The first line of a reader's message without the place that it ends in, which is shown in front already.
fn without_place(message: &str) -> String {
    let line = message.lines().next().unwrap_or_default();
    line.split_once(" at line ").map_or(line, |(what, _)| what).to_owned()
}

fn position(location: Location) -> Position {
    let figure = |figure: u64| usize::try_from(figure).unwrap_or(usize::MAX).max(1);
    Position { line: figure(location.line()), column: figure(location.column()) }
}

fn node(tree: Spanned<Tree>) -> Node {
    Node { position: position(tree.referenced), content: tree.value.0 }
}

/// What [`Spanned`] wraps: any value.
struct Tree(Content);

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TreeVisitor)
    }
}

struct TreeVisitor;

fn single(value: impl Into<Value>) -> Tree {
    Tree(Content::Single(value.into()))
}

impl<'de> Visitor<'de> for TreeVisitor {
    type Value = Tree;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Tree, E> {
        Ok(single(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Tree, E> {
        Ok(single(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Tree, E> {
        Ok(single(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Tree, E> {
        Ok(single(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Tree, E> {
        Ok(single(value))
    }

    fn visit_unit<E>(self) -> Result<Tree, E> {
        Ok(single(Empty::Unit))
    }

    fn visit_none<E>(self) -> Result<Tree, E> {
        Ok(single(Empty::None))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Tree, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Tree, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element::<Spanned<Tree>>()? {
            items.push(node(item));
        }
        Ok(Tree(Content::List(items)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Tree, A::Error> {
        let mut entries = Vec::new();
        while let Some((key, value)) = access.next_entry::<Spanned<String>, Spanned<Tree>>()? {
            entries.push(Entry { position: position(key.referenced), key: key.value, value: node(value) });
        }
        Ok(Tree(Content::Map(entries)))
    }
}
