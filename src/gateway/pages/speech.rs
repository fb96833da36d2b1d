//! The words of one language as templates use them: `words.sign_in`, and `words.sign_in_to(site=site)` for one with places.
//!
//! Words are plain text: the template engine escapes those without places, and those with places are escaped here, as is what
//! is put into them unless it is a piece of the template itself.

use std::fmt::Write as _;
use std::sync::Arc;

use minijinja::value::{Kwargs, Object, Value, from_args};
use minijinja::{Error, ErrorKind, HtmlEscape, State};

use crate::config::{Part, Word, Words};

/// The words.
#[derive(Debug)]
pub(super) struct Speech(Words);

impl Speech {
    pub(super) const fn new(words: Words) -> Self {
        Self(words)
    }

    /// The text, places and all.
    pub(super) fn text(&self, word: Word) -> String {
        self.0.text(word).to_string()
    }

    /// The text with this number in its place.
    pub(super) fn count(&self, word: Word, number: u64) -> String {
        let part = |part: &_| match part {
            Part::Literal(text) => text.to_string(),
            Part::Place(_) => number.to_string(),
        };
        self.0.text(word).parts().iter().map(part).collect()
    }
}

impl Object for Speech {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        Some(Value::from(self.text(Word::of(key.as_str()?)?)))
    }

    fn call_method(self: &Arc<Self>, _: &mut State<'_, '_>, key: &str, given: &[Value]) -> Result<Value, Error> {
        let word = Word::of(key).ok_or_else(|| Error::new(ErrorKind::UnknownMethod, format!("no word {key}")))?;
        let (given,): (Kwargs,) = from_args(given)?;
        let mut html = String::new();
        for part in self.0.text(word).parts() {
            let (text, is_html) = match part {
                Part::Literal(text) => (text.to_string(), false),
                Part::Place(name) => {
                    let value: Value = given.get(name)?;
                    (value.to_string(), value.is_safe())
                }
            };
            let written = if is_html { html.write_str(&text) } else { write!(html, "{}", HtmlEscape(&text)) };
            written.map_err(|_| Error::from(ErrorKind::WriteFailure))?;
        }
        given.assert_all_used()?;
        Ok(Value::from_safe_string(html))
    }
}
