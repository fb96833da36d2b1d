//! Changing a users file as a person would: one line, with comments, order and everything else as they were.
//!
//! A change is made in the text, at the places that the reader tells; then the result is read again and must say exactly
//! what was meant. Where it does not, or the file is written in a way that cannot be changed like this, nothing is.

use figment::value::{Dict, Value};

use crate::config::document::{Content, Document, Node};
use crate::config::error::Position;
use crate::config::load::Format;
use crate::config::path::KeyPath;

/// A change of a users file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change<'a> {
    /// A new user with this hash.
    Add(&'a str),
    /// Another hash.
    Password(&'a str),
    /// Whether the user may not sign in.
    Disabled(bool),
}

/// Why a users file was left as it is. The operator's to do by hand.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// It is no YAML, or not a map of users.
    #[error("the users file cannot be read")]
    Unreadable,
    /// There is such a user already.
    #[error("there is a user of this name already; change the password with: usher user password")]
    Known,
    /// There is no such user.
    #[error("there is no user of this name; add one with: usher user add")]
    Unknown,
    /// It is written so that the change cannot be made without writing it anew.
    #[error("the users file is written in a way that cannot be changed here; write by hand, below the user: {0}")]
    ByHand(String),
}

/// The text with a change of the user of exactly this name.
///
/// # Errors
/// [`EditError`]; the text must then stay as it is.
pub fn edit(text: &str, user: &str, change: &Change<'_>) -> Result<String, EditError> {
    let document = Document::parse("users", Format::Yaml, text).map_err(|_| EditError::Unreadable)?;
    let values = document.values();
    let is_known = users(&values).is_some_and(|users| users.contains_key(user));
    let edited = match change {
        Change::Add(_) if is_known => return Err(EditError::Known),
        Change::Add(hash) => Some(appended(text, user, hash, !document.contains(&KeyPath::root().key("users")))),
        Change::Password(_) | Change::Disabled(_) if !is_known => return Err(EditError::Unknown),
        Change::Password(hash) => with_key(text, &document, user, "password", &quoted(hash)),
        Change::Disabled(disabled) => with_key(text, &document, user, "disabled", &disabled.to_string()),
    };
    let by_hand = || EditError::ByHand(by_hand(user, change));
    let edited = edited.ok_or_else(by_hand)?;
    let read = Document::parse("users", Format::Yaml, &edited).map_err(|_| by_hand())?;
    let is_meant = read.faults().is_empty() && read.values() == meant(values, user, change);
    if is_meant { Ok(edited) } else { Err(by_hand()) }
}

fn users(values: &Dict) -> Option<&Dict> {
    values.get("users")?.as_dict()
}

/// What the file says after the change.
fn meant(mut values: Dict, user: &str, change: &Change<'_>) -> Dict {
    let (key, value) = match change {
        Change::Add(hash) | Change::Password(hash) => ("password", Value::from(*hash)),
        Change::Disabled(disabled) => ("disabled", Value::from(*disabled)),
    };
    let of = |value: Option<&Value>| value.and_then(Value::as_dict).cloned().unwrap_or_default();
    let mut users = of(values.get("users"));
    let mut keys = of(users.get(user));
    keys.insert(key.to_owned(), value);
    users.insert(user.to_owned(), Value::from(keys));
    values.insert("users".to_owned(), Value::from(users));
    values
}

/// `users` is the only key, so the end of the file is the end of the users.
fn appended(text: &str, user: &str, hash: &str, is_first: bool) -> String {
    let newline = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    let users = if is_first { "users:\n" } else { "" };
    let indent = indent_of_users(text).unwrap_or("  ");
    format!("{text}{newline}{users}{indent}{}:\n{indent}{indent}password: {}\n", name(user), quoted(hash))
}

/// How far the users are indented, by the first of them.
fn indent_of_users(text: &str) -> Option<&str> {
    let mut lines = text.lines().skip_while(|line| !line.starts_with("users:")).skip(1);
    let first = lines.find(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#'))?;
    let indent = first.get(..first.len() - first.trim_start().len())?;
    (!indent.is_empty()).then_some(indent)
}

/// With another value of a key of a user, on the line where it stands, or on a new one above the others.
fn with_key(text: &str, document: &Document, user: &str, key: &str, value: &str) -> Option<String> {
    let mut lines: Vec<String> = text.split('\n').map(str::to_owned).collect();
    let at = KeyPath::root().key("users").key(user);
    if document.contains(&at.key(key)) {
        let Position { line, column } = document.value_position(&at.key(key));
        let place = lines.get_mut(line.checked_sub(1)?)?;
        *place = replaced(place, column, value)?;
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

/// A hash has letters in it that mean something within braces.
fn quoted(hash: &str) -> String {
    format!("'{hash}'")
}

/// A name as a key: plain where it can only be text.
fn name(user: &str) -> String {
    let is_plain = user.starts_with(|letter: char| letter.is_ascii_alphabetic())
        && user.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._@-".contains(&byte))
        && !matches!(user.to_ascii_lowercase().as_str(), "true" | "false" | "null" | "yes" | "no" | "on" | "off");
    if is_plain { user.to_owned() } else { serde_json::Value::from(user).to_string() }
}

fn by_hand(user: &str, change: &Change<'_>) -> String {
    match change {
        Change::Add(hash) => format!("{}: {{ password: {} }}", name(user), quoted(hash)),
        Change::Password(hash) => format!("password: {}", quoted(hash)),
        Change::Disabled(disabled) => format!("disabled: {disabled}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "# Who may sign in.
users:
  # The boss.
  alice:
    password: $2b$10$old   # of 2024
    name: Alice
  \"b c\":
    disabled: false # for now
    password: \"old\"
  dora: { password: 'old', email: d@example.com }   # in braces
";

    fn lines_that_differ(edited: &str) -> Vec<String> {
        let old: Vec<_> = FILE.lines().collect();
        edited.lines().filter(|line| !old.contains(line)).map(str::to_owned).collect()
    }

    #[test]
    fn one_line_changes_and_everything_else_stays() {
        for (user, change, line) in [
            ("alice", Change::Password("$2b$new"), "    password: '$2b$new'   # of 2024"),
            ("b c", Change::Password("$2b$new"), "    password: '$2b$new'"),
            (
                "dora",
                Change::Password("$2b$a,b"),
                "  dora: { password: '$2b$a,b', email: d@example.com }   # in braces",
            ),
            ("b c", Change::Disabled(true), "    disabled: true # for now"),
            ("alice", Change::Disabled(true), "    disabled: true"),
        ] {
            let edited = edit(FILE, user, &change).unwrap();
            assert_eq!(lines_that_differ(&edited), [line], "{user} {change:?}");
            assert_eq!(edited.lines().count() - FILE.lines().count(), usize::from(line.trim() == "disabled: true"));
        }
    }

    #[test]
    fn a_new_user_comes_last_and_begins_a_file_that_is_empty() {
        let edited = edit(FILE, "eve@example.com", &Change::Add("$2b$new")).unwrap();
        assert_eq!(edited, format!("{FILE}  eve@example.com:\n    password: '$2b$new'\n"));
        for (text, user, expected) in [
            ("", "a", "users:\n  a:\n    password: 'h'\n"),
            ("# nobody yet", "a", "# nobody yet\nusers:\n  a:\n    password: 'h'\n"),
            ("users:\n", "007", "users:\n  \"007\":\n    password: 'h'\n"),
            (
                "users:\n    b: { password: x }\n",
                "No",
                "users:\n    b: { password: x }\n    \"No\":\n        password: 'h'\n",
            ),
            (
                "users:\n  b:\n    password: x",
                "ü: #",
                "users:\n  b:\n    password: x\n  \"ü: #\":\n    password: 'h'\n",
            ),
        ] {
            assert_eq!(edit(text, user, &Change::Add("h")).as_deref(), Ok(expected));
        }
    }

    #[test]
    fn what_cannot_be_changed_like_this_is_left_alone_and_says_what_to_write() {
        let by_hand = |text, user, change: &Change<'_>| matches!(edit(text, user, change), Err(EditError::ByHand(_)));
        assert!(by_hand(FILE, "dora", &Change::Disabled(true)));
        assert!(by_hand("users: {}\n", "a", &Change::Add("h")));
        assert!(by_hand("{ users: { a: { password: x } } }\n", "b", &Change::Add("h")));
        assert!(by_hand("users:\n  a:\n    password: >-\n      folded\n", "a", &Change::Password("h")));
        assert!(by_hand("users:\n  a: &a\n    password: x\n  b: *a\n", "b", &Change::Password("h")));
        let message = edit(FILE, "dora", &Change::Disabled(true)).unwrap_err().to_string();
        assert!(message.ends_with("disabled: true"), "{message}");
    }

    #[test]
    fn users_must_be_there_to_be_changed_and_not_to_be_added() {
        assert_eq!(edit(FILE, "alice", &Change::Add("h")), Err(EditError::Known));
        assert_eq!(edit(FILE, "Alice", &Change::Password("h")), Err(EditError::Unknown));
        assert_eq!(edit("", "alice", &Change::Disabled(true)), Err(EditError::Unknown));
        assert_eq!(edit("users: [", "alice", &Change::Disabled(true)), Err(EditError::Unreadable));
    }
}
