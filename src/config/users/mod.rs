//! Users files by themselves: for the commands that keep them, without the rest of the configuration.
//!
//! Texts become other texts here ([`edit`]); no file is read or written.

pub mod edit;

use super::check::users_of;
use super::document::Document;
use super::error::{Origin, Problem};
use super::load::{Format, tell_fault};
use super::report::Report;
use super::{Users, repair};

/// The users of a text that messages call `name`, and everything that is wrong with it.
#[must_use]
pub fn read(name: &str, format: Format, text: &str) -> (Users, Vec<Problem>) {
    let document = match Document::parse(name, format, text) {
        Ok(document) => document,
        Err(errors) => {
            let problem = |error: super::document::SyntaxError| Problem {
                origin: Origin::File { file: name.to_owned(), position: error.position },
                path: String::new(),
                message: error.message,
                suggestion: None,
                remedy: None,
            };
            return (Users::default(), errors.into_iter().map(problem).collect());
        }
    };
    let (faults, values) = (document.faults(), document.values());
    let mut report = Report::new(document, Vec::new());
    for fault in faults {
        tell_fault(fault, &mut report);
    }
    let users = repair::read(values.into(), &mut report).map(|mirror| users_of(&mirror, &mut report));
    (users.unwrap_or_default(), report.into_problems())
}
