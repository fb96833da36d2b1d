//! The lines of a users file: where a key of a user stands, and the text with that, or without.
//!
//! What comes of it may say something else than was meant: whoever asks reads it again.

use serde_json::Value as Json;

use super::super::written::{flow, quoted, scalar};
use crate::config::document::{Content, Document, Node};
use crate::config::error::Position;
use crate::config::load::Format;
use crate::config::path::KeyPath;

/// `users` is the only key, so the end of the file is the end of the users.
pub(super) fn appended(text: &str, user: &str, keys: &[(&str, Json)], is_first: bool) -> String {
    let newline = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    let users = if is_first { "users:\n" } else { "" };
    let indent = indent_of_users(text).unwrap_or("  ");
    let line = |(key, value): &(&str, Json)| format!("{indent}{indent}{key}: {}\n", written(key, value));
    let keys: Vec<String> = keys.iter().map(line).collect();
    format!("{text}{newline}{users}{indent}{}:\n{}", scalar(user), keys.concat())
}

/// A value on one line.
pub(super) fn written(key: &str, value: &Json) -> String {
    match value {
        Json::String(hash) if key == "password" => quoted(hash),
        value => flow(value),
    }
}

/// How far the users are indented, by the first of them.
fn indent_of_users(text: &str) -> Option<&str> {
    let mut lines = text.lines().skip_while(|line| !line.starts_with("users:")).skip(1);
    let first = lines.find(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#'))?;
    let indent = first.get(..first.len() - first.trim_start().len())?;
    (!indent.is_empty()).then_some(indent)
}

/// With each of these values as its key's.
pub(super) fn with_keys(text: &str, user: &str, keys: &[(&str, Json)]) -> Option<String> {
    keys.iter().try_fold(text.to_owned(), |text, (key, value)| {
        let document = Document::parse("users", Format::Yaml, &text).ok()?;
        with_key(&text, &document, user, key, &written(key, value))
    })
}

/// With another value of a key of a user, on the line where it stands, or on a new one above the others.
pub(super) fn with_key(text: &str, document: &Document, user: &str, key: &str, value: &str) -> Option<String> {
    let mut lines: Vec<String> = text.split('\n').map(str::to_owned).collect();
    let at = key_of(user, key);
    if document.contains(&at) {
        let position @ Position { line, column } = document.value_position(&at);
        let place = lines.get_mut(line.checked_sub(1)?)?;
        // Of braces and brackets it is the key whose place is known.
        let is_key = position == document.key_position(&at);
        *place =
            if is_key { replaced(place, column, &format!("{key}: {value}")) } else { replaced(place, column, value) }?;
        return Some(lines.join("\n"));
    }
    let first = first_key(document.root(), user)?;
    let line = first.line.checked_sub(1)?;
    let indent: String = lines.get(line)?.chars().take(first.column.checked_sub(1)?).collect();
    // Beside something else on its line the first key is one of braces.
    if !indent.chars().all(|letter| letter == ' ') {
        return None;
    }
    lines.insert(line, format!("{indent}{key}: {value}"));
    Some(lines.join("\n"))
}

/// Without a key of a user that has a line to itself.
pub(super) fn without_key(text: &str, document: &Document, user: &str, key: &str) -> Option<String> {
    let at = key_of(user, key);
    let (Position { line, column }, value) = (document.key_position(&at), document.value_position(&at));
    let mut lines: Vec<&str> = text.split('\n').collect();
    let before = lines.get(line.checked_sub(1)?)?.chars().take(column.checked_sub(1)?);
    if value.line != line || !before.into_iter().all(|letter| letter == ' ') {
        return None;
    }
    lines.remove(line - 1);
    Some(lines.join("\n"))
}

/// Without a user who begins on a line of their own: all that is indented below the name, and the comment right above it, which
/// would else stand above somebody else.
pub(super) fn without_user(text: &str, document: &Document, user: &str) -> Option<String> {
    let Position { line, column } = document.key_position(&KeyPath::root().key("users").key(user));
    let (at, indent) = (line.checked_sub(1)?, column.checked_sub(1)?);
    let mut lines: Vec<&str> = text.split('\n').collect();
    let indent_of = |line: &str| line.len() - line.trim_start().len();
    let (before, rest) = lines.split_at_checked(at)?;
    let (first, below) = rest.split_first()?;
    if indent_of(first) != indent {
        return None;
    }
    let is_about = |line: &&&str| line.trim_start().starts_with('#') && indent_of(line) == indent;
    let about = before.iter().rev().take_while(is_about).count();
    let is_below = |line: &&str| line.trim().is_empty() || indent_of(line) > indent;
    let last =
        below.iter().take_while(|line| is_below(line)).enumerate().filter(|(_, line)| !line.trim().is_empty()).last();
    lines.drain(at - about..=at + last.map_or(0, |(index, _)| index + 1));
    Some(lines.join("\n"))
}

/// Where a key of a user stands in the tree.
pub(super) fn key_of(user: &str, key: &str) -> KeyPath {
    KeyPath::root().key("users").key(user).key(key)
}

/// Where the first key of a user stands.
fn first_key(root: &Node, user: &str) -> Option<Position> {
    let inside = |node: &Node, name: &str| match &node.content {
        Content::Map(entries) => entries.iter().position(|entry| entry.key == name),
        Content::Single(_) | Content::List(_) => None,
    };
    let entry = |node, name| {
        let index = inside(node, name)?;
        let Content::Map(entries) = &node.content else { return None };
        entries.get(index)
    };
    let keys = &entry(&entry(root, "users")?.value, user)?.value;
    let Content::Map(entries) = &keys.content else { return None };
    entries.first().map(|entry| entry.position)
}

/// The line with another single value at this column, whatever is behind it: a comment, the end of braces.
fn replaced(line: &str, column: usize, value: &str) -> Option<String> {
    let start = line.char_indices().nth(column.checked_sub(1)?)?.0;
    let (before, old) = line.split_at_checked(start)?;
    let length = match old.chars().next()? {
        quote @ ('\'' | '"') => old.char_indices().skip(1).find(|(_, letter)| *letter == quote)?.0 + 1,
        _ => old.find(" #").or_else(|| old.find([',', '}']).filter(|_| before.contains('{'))).unwrap_or(old.len()),
    };
    let (old, behind) = old.split_at_checked(length)?;
    let space = old.get(old.trim_end().len()..)?;
    Some(format!("{before}{value}{space}{behind}"))
}
