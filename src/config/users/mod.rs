//! Users files by themselves: for the commands that keep them, without the rest of the configuration.
//!
//! Texts become other texts here ([`edit`]); no file is read or written.

pub mod edit;
mod written;

use super::check::users_of;
use super::document::{Content, Document, Entry, Node};
use super::error::{Origin, Problem};
use super::load::{Format, tell_fault};
use super::report::Report;
use super::{Users, repair};

/// What to do with a file of users that does not say that they are.
const NO_USERS: &str = "begin with a line that says users: and indent everybody below it";

/// Whether this is no map, or one of users where a map with the key `users` should be.
fn has_users_without_their_key(root: &Node) -> bool {
    let is_user = |user: &Entry| match &user.value.content {
        Content::Map(keys) => user.key != "users" && keys.iter().any(|key| key.key == "password"),
        Content::Single(_) | Content::List(_) => false,
    };
    match &root.content {
        Content::Map(entries) => entries.iter().any(is_user),
        Content::Single(_) | Content::List(_) => !root.is_null(),
    }
}

/// The users of a text that messages call `name`, and everything that is wrong with it.
#[must_use]
pub fn read(name: &str, format: Format, text: &str) -> (Users, Vec<Problem>) {
    let document = match Document::parse(name, format, text) {
        Ok(document) => document,
        Err(errors) => {
            return (Users::default(), errors.into_iter().map(|error| error.into_problem(name)).collect());
        }
    };
    if has_users_without_their_key(document.root()) {
        let problem = Problem {
            origin: Origin::File { file: name.to_owned(), position: document.root().position },
            path: String::new(),
            message: "has no users: above its users".to_owned(),
            suggestion: None,
            remedy: Some(NO_USERS.to_owned()),
        };
        return (Users::default(), vec![problem]);
    }
    let (faults, values) = (document.faults(), document.values());
    let mut report = Report::new(document, Vec::new());
    for fault in faults {
        tell_fault(fault, &mut report);
    }
    let users = repair::read(values.into(), &mut report).map(|mirror| users_of(&mirror, &mut report));
    (users.unwrap_or_default(), report.into_problems())
}
