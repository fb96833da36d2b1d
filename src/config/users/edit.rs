//! Changing a users file as a person would: one line, with comments, order and everything else as they were.
//!
//! A change is made in the text, at the places that the reader tells; then the result is read again and must say exactly
//! what was meant. Where it does not, or the file is written in a way that cannot be changed like this, nothing is.

mod lines;

use figment::value::{Dict, Value};
use serde_json::{Map, Value as Json};

use super::written::{quoted, scalar};
use super::{NO_USERS, has_users_without_their_key};
use crate::config::FoldedName;
use crate::config::document::Document;
use crate::config::load::Format;
use crate::config::path::KeyPath;
use lines::{appended, key_of, with_key, with_keys, without_key, without_user, written};

/// A change of a users file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change<'a> {
    /// A new user.
    Add(&'a NewUser<'a>),
    /// Other values of what this says. Of the claims, those that it names: `null` takes one out, and the others stay.
    Set(&'a NewUser<'a>),
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

/// What is written of a new user, or otherwise of one who is there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewUser<'a> {
    /// The hash of the password, which a new user must have.
    pub hash: Option<&'a str>,
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
        Change::Add(new) => {
            let is_first = !document.contains(&KeyPath::root().key("users"));
            Some(appended(text, user, &new.keys(), is_first))
        }
        Change::Set(new) => new.over(&keys_of(&values, user)).and_then(|keys| with_keys(text, user, &keys)),
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

/// What stands below the name of a user.
fn keys_of(values: &Dict, user: &str) -> Dict {
    users(values).and_then(|users| users.get(user)?.as_dict()).cloned().unwrap_or_default()
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
    let (mut users, mut keys) = (users(&values).cloned().unwrap_or_default(), keys_of(&values, user));
    let set = match change {
        Change::Add(new) => new.keys(),
        Change::Set(new) => new.over(&keys)?,
        Change::Password(hash) => vec![("password", Json::from(*hash))],
        Change::Totp(secret) => vec![("totp", Json::from(*secret))],
        Change::Disabled(disabled) => vec![("disabled", Json::from(*disabled))],
        Change::NoTotp | Change::Remove => Vec::new(),
    };
    for (key, value) in set {
        keys.insert(key.to_owned(), Value::serialize(value).ok()?);
    }
    match change {
        Change::Remove => drop(users.remove(user)),
        Change::NoTotp => {
            keys.remove("totp");
            users.insert(user.to_owned(), Value::from(keys));
        }
        _ => drop(users.insert(user.to_owned(), Value::from(keys))),
    }
    values.insert("users".to_owned(), Value::from(users));
    Some(values)
}

impl NewUser<'_> {
    /// What stands below the name, in the order of the file.
    fn keys(&self) -> Vec<(&'static str, Json)> {
        let texts = [("password", self.hash), ("name", self.name), ("email", self.email), ("subject", self.subject)];
        let texts = texts.into_iter().filter_map(|(key, text)| Some((key, Json::from(text?))));
        let claims = (!self.claims.is_empty()).then(|| ("claims", Json::Object(self.claims.clone())));
        texts.chain(claims).collect()
    }

    /// The same of somebody of whom something is known: claims that this does not name stay.
    fn over(&self, known: &Dict) -> Option<Vec<(&'static str, Json)>> {
        let mut keys = self.keys();
        if let Some((_, Json::Object(claims))) = keys.iter_mut().find(|(key, _)| *key == "claims") {
            let known = known.get("claims").and_then(Value::as_dict).cloned().unwrap_or_default();
            let Json::Object(mut all) = serde_json::to_value(known).ok()? else { return None };
            all.append(claims);
            all.retain(|_, value| !value.is_null());
            *claims = all;
        }
        Some(keys)
    }
}

fn by_hand(user: &str, change: &Change<'_>) -> String {
    match change {
        Change::Add(new) => {
            let keys: Vec<_> =
                new.keys().iter().map(|(key, value)| format!("{key}: {}", written(key, value))).collect();
            format!("write {}: {{ {} }}", scalar(user), keys.join(", "))
        }
        Change::Set(new) => {
            let keys: Vec<_> =
                new.keys().iter().map(|(key, value)| format!("{key}: {}", written(key, value))).collect();
            format!("write {}", keys.join(", "))
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
