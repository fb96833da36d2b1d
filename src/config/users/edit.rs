//! Changing a users file as a person would: one line, with comments, order and everything else as they were.
//!
//! A change is made in the text, at the places that the reader tells; then the result is read again and must say exactly
//! what was meant. Where it does not, or the file is written in a way that cannot be changed like this, nothing is.

use figment::value::{Dict, Value};
use serde_json::{Map, Value as Json};

use super::written::{flow, quoted, scalar};
use super::{NO_USERS, has_users_without_their_key};
use crate::config::FoldedName;
use crate::config::document::{Content, Document, Node};
use crate::config::error::Position;
use crate::config::load::Format;
use crate::config::path::KeyPath;

/// A change of a users file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change<'a> {
    /// A new user.
    Add(&'a NewUser<'a>),
    /// Another hash.
    Password(&'a str),
    /// Another second factor: its secret in base32.
    Totp(&'a str),
    /// No second factor any more.
    NoTotp,
    /// Whether the user may not sign in.
    Disabled(bool),
    /// No such user any more.
    Remove,
}

/// What is written of a new user.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewUser<'a> {
    /// The hash of the password.
    pub hash: &'a str,
    /// The claim `name`.
    pub name: Option<&'a str>,
    /// The claim `email`.
    pub email: Option<&'a str>,
    /// The claim `sub`, where it is not the name that the user signs in with.
    pub subject: Option<&'a str>,
    /// More claims.
    pub claims: Map<String, Json>,
}

/// Why a users file was left as it is. The operator's to do by hand.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// It is no YAML, or not a map of users.
    #[error("the users file cannot be read")]
    Unreadable,
    /// There is such a user already.
    #[error("there is a user of this name already; change the password with: usher user password NAME")]
    Known,
    /// There is no such user.
    #[error("there is no user of this name; add one with: usher user add NAME")]
    Unknown,
    /// Somebody has a name that people would take for this one.
    #[error(
        "there is {0} already, and case, width and outer spaces do not count in names: the two could not be told apart"
    )]
    Twin(String),
    /// The user is there under another spelling of the name.
    #[error("there is no user of this name; the file spells it {0}")]
    Spelling(String),
    /// The users stand where `users` should.
    #[error("the users file has no users: above its users; {NO_USERS}")]
    NoUsers,
    /// Nobody would be left, and a gateway does not take over a file like that.
    #[error("this is the only user: add another one first, or lock this one out with: usher user disable NAME")]
    Last,
    /// The user has no second factor that could be taken away.
    #[error("this user has no second factor")]
    NoTotp,
    /// It is written so that the change cannot be made without writing it anew.
    #[error("the users file is written in a way that cannot be changed here; by hand, below the user, {0}")]
    ByHand(String),
}

/// The text with a change of the user of exactly this name.
///
/// # Errors
/// [`EditError`]; the text must then stay as it is.
pub fn edit(text: &str, user: &str, change: &Change<'_>) -> Result<String, EditError> {
    let document = Document::parse("users", Format::Yaml, text).map_err(|_| EditError::Unreadable)?;
    if has_users_without_their_key(document.root()) {
        return Err(EditError::NoUsers);
    }
    let values = document.values();
    refuse_wrong_name(&values, user, matches!(change, Change::Add(_)))?;
    let edited = match change {
        Change::Add(new) => Some(appended(text, user, new, !document.contains(&KeyPath::root().key("users")))),
        Change::Password(hash) => with_key(text, &document, user, "password", &quoted(hash)),
        Change::Totp(secret) => with_key(text, &document, user, "totp", &quoted(secret)),
        Change::NoTotp if !document.contains(&key_of(user, "totp")) => return Err(EditError::NoTotp),
        Change::NoTotp => without_key(text, &document, user, "totp"),
        Change::Disabled(disabled) => with_key(text, &document, user, "disabled", &disabled.to_string()),
        Change::Remove if users(&values).is_none_or(|users| users.len() == 1) => return Err(EditError::Last),
        Change::Remove => without_user(text, &document, user),
    };
    let by_hand = || EditError::ByHand(by_hand(user, change));
    let edited = edited.ok_or_else(by_hand)?;
    let read = Document::parse("users", Format::Yaml, &edited).map_err(|_| by_hand())?;
    let is_meant = read.faults().is_empty() && meant(values, user, change).is_some_and(|meant| meant == read.values());
    if is_meant { Ok(edited) } else { Err(by_hand()) }
}

fn users(values: &Dict) -> Option<&Dict> {
    values.get("users")?.as_dict()
}

/// A new user must not be there, nor anybody whom people would take for the new one; any other one must be.
fn refuse_wrong_name(values: &Dict, user: &str, is_new: bool) -> Result<(), EditError> {
    let users = users(values);
    let is_known = users.is_some_and(|users| users.contains_key(user));
    let is_twin = |known: &&String| FoldedName::of(known) == FoldedName::of(user);
    let twin = || users.and_then(|users| users.keys().find(is_twin).cloned());
    match (is_new, is_known) {
        (true, true) => Err(EditError::Known),
        (true, false) => twin().map_or(Ok(()), |twin| Err(EditError::Twin(twin))),
        (false, true) => Ok(()),
        (false, false) => Err(twin().map_or(EditError::Unknown, EditError::Spelling)),
    }
}

/// What the file says after the change. `None` when a claim can be no value of it.
fn meant(mut values: Dict, user: &str, change: &Change<'_>) -> Option<Dict> {
    let of = |value: Option<&Value>| value.and_then(Value::as_dict).cloned().unwrap_or_default();
    let mut users = of(values.get("users"));
    let mut keys = of(users.remove(user).as_ref());
    let mut set = |key: &str, value| keys.insert(key.to_owned(), value);
    match change {
        Change::Add(new) => {
            for (key, value) in new.keys() {
                set(key, Value::serialize(value).ok()?);
            }
        }
        Change::Password(hash) => drop(set("password", Value::from(*hash))),
        Change::Totp(secret) => drop(set("totp", Value::from(*secret))),
        Change::NoTotp => drop(keys.remove("totp")),
        Change::Disabled(disabled) => drop(set("disabled", Value::from(*disabled))),
        Change::Remove => {}
    }
    if !matches!(change, Change::Remove) {
        users.insert(user.to_owned(), Value::from(keys));
    }
    values.insert("users".to_owned(), Value::from(users));
    Some(values)
}

impl NewUser<'_> {
    /// What stands below the name, in the order of the file.
    fn keys(&self) -> Vec<(&'static str, Json)> {
        let texts =
            [("password", Some(self.hash)), ("name", self.name), ("email", self.email), ("subject", self.subject)];
        let texts = texts.into_iter().filter_map(|(key, text)| Some((key, Json::from(text?))));
        let claims = (!self.claims.is_empty()).then(|| ("claims", Json::Object(self.claims.clone())));
        texts.chain(claims).collect()
    }
}

/// `users` is the only key, so the end of the file is the end of the users.
fn appended(text: &str, user: &str, new: &NewUser<'_>, is_first: bool) -> String {
    let newline = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    let users = if is_first { "users:\n" } else { "" };
    let indent = indent_of_users(text).unwrap_or("  ");
    let line = |(key, value): &(&str, Json)| format!("{indent}{indent}{key}: {}\n", written(key, value));
    let keys: Vec<String> = new.keys().iter().map(line).collect();
    format!("{text}{newline}{users}{indent}{}:\n{}", scalar(user), keys.concat())
}

fn written(key: &str, value: &Json) -> String {
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

/// With another value of a key of a user, on the line where it stands, or on a new one above the others.
fn with_key(text: &str, document: &Document, user: &str, key: &str, value: &str) -> Option<String> {
    let mut lines: Vec<String> = text.split('\n').map(str::to_owned).collect();
    let at = key_of(user, key);
    if document.contains(&at) {
        let Position { line, column } = document.value_position(&at);
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

/// Without a key of a user that has a line to itself.
fn without_key(text: &str, document: &Document, user: &str, key: &str) -> Option<String> {
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
fn without_user(text: &str, document: &Document, user: &str) -> Option<String> {
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

fn key_of(user: &str, key: &str) -> KeyPath {
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

fn by_hand(user: &str, change: &Change<'_>) -> String {
    match change {
        Change::Add(new) => {
            let keys: Vec<_> =
                new.keys().iter().map(|(key, value)| format!("{key}: {}", written(key, value))).collect();
            format!("write {}: {{ {} }}", scalar(user), keys.join(", "))
        }
        Change::Password(hash) => format!("write password: {}", quoted(hash)),
        Change::Totp(secret) => format!("write totp: {}", quoted(secret)),
        Change::NoTotp => "take out totp".to_owned(),
        Change::Remove => "take out all of it, and the name as well".to_owned(),
        Change::Disabled(disabled) => format!("write disabled: {disabled}"),
    }
}

#[cfg(test)]
mod tests;
