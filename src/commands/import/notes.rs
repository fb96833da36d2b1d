//! What the operator has to do, and what was not carried over: by option, with its line and a remedy, never with a secret.

use std::fmt::Write as _;

use super::options::Given;

/// Everything that is told beside a configuration.
#[derive(Debug, Default)]
pub(super) struct Notes {
    to_do: Vec<String>,
    left_out: Vec<LeftOut>,
}

#[derive(Debug)]
struct LeftOut {
    /// None where it is not about a line.
    line: Option<usize>,
    about: String,
    why: String,
}

impl Notes {
    /// Something that must be done before the configuration serves.
    pub(super) fn remains(&mut self, what: impl Into<String>) {
        self.to_do.push(what.into());
    }

    /// An option that was not carried over, or not quite: why, and what to do instead.
    pub(super) fn left_out(&mut self, given: &Given, why: impl Into<String>) {
        let about = format!("line {}, {}", given.line, given.name);
        self.left_out.push(LeftOut { line: Some(given.line), about, why: why.into() });
    }

    /// The same for the default of an option that is not given.
    pub(super) fn by_default(&mut self, option: &str, why: impl Into<String>) {
        self.about(format!("{option} (not given)"), why);
    }

    /// The same for what comes of several options.
    pub(super) fn about(&mut self, what: String, why: impl Into<String>) {
        self.left_out.push(LeftOut { line: None, about: what, why: why.into() });
    }

    /// All of it as text, in the order of the lines.
    pub(super) fn told(&self) -> String {
        let mut text = String::new();
        section(&mut text, "To do before it serves:", self.to_do.iter().cloned());
        let mut left_out: Vec<_> = self.left_out.iter().collect();
        left_out.sort_by_key(|note| note.line);
        let told = left_out.into_iter().map(|note| format!("{}: {}", note.about, note.why));
        section(&mut text, "Not carried over, or not quite:", told);
        text
    }
}

fn section(text: &mut String, title: &str, notes: impl Iterator<Item = String>) {
    let mut notes = notes.peekable();
    if notes.peek().is_some() {
        text.push_str(title);
        text.push('\n');
    }
    for note in notes {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "- {note}");
    }
}
