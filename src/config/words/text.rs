//! A text with places where something is put in: `Sign in to {site}`. Plain text: whoever writes it into a page escapes it.

use std::collections::BTreeSet;
use std::fmt;

/// A text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text(Vec<Part>);

/// A piece of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// As it is.
    Literal(Box<str>),
    /// What has this name is put in here.
    Place(Box<str>),
}

/// Why a text is none. Whoever wrote it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::config) enum TextError {
    /// There is nothing in it.
    Empty,
    /// A brace has no other one, or what is between the two is no name.
    Brace,
}

impl Text {
    /// Reads a text. A brace is always part of a place.
    ///
    /// # Errors
    /// [`TextError`]
    pub(in crate::config) fn parse(text: &str) -> Result<Self, TextError> {
        if text.trim().is_empty() {
            return Err(TextError::Empty);
        }
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let (name, after) = after.split_once('}').ok_or(TextError::Brace)?;
            let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
            if !is_name || before.contains('}') {
                return Err(TextError::Brace);
            }
            parts.extend([Part::Literal(before.into()), Part::Place(name.into())]);
            rest = after;
        }
        if rest.contains('}') {
            return Err(TextError::Brace);
        }
        parts.push(Part::Literal(rest.into()));
        parts.retain(|part| *part != Part::Literal("".into()));
        Ok(Self(parts))
    }

    /// One of ours, which is one.
    pub(in crate::config) fn english(text: &str) -> Self {
        Self::parse(text).unwrap_or_else(|_| Self(vec![Part::Literal(text.into())]))
    }

    pub(super) const fn nothing() -> Self {
        Self(Vec::new())
    }

    /// The pieces, in order.
    #[must_use]
    pub fn parts(&self) -> &[Part] {
        &self.0
    }

    /// The names of its places.
    #[must_use]
    pub fn places(&self) -> BTreeSet<&str> {
        let place = |part: &'_ Part| matches!(part, Part::Place(_));
        self.0.iter().filter(|part| place(part)).map(Part::as_str).collect()
    }
}

impl Part {
    fn as_str(&self) -> &str {
        match self {
            Self::Literal(text) | Self::Place(text) => text,
        }
    }
}

/// As it was written.
impl fmt::Display for Text {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|part| match part {
            Part::Literal(text) => formatter.write_str(text),
            Part::Place(name) => write!(formatter, "{{{name}}}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_brace_is_always_part_of_a_place() {
        let text = Text::parse("{user}: signed in to {site}.").unwrap();
        assert_eq!(text.places(), BTreeSet::from(["site", "user"]));
        assert_eq!(text.parts().len(), 4);
        assert_eq!(Text::parse("no place").unwrap().places(), BTreeSet::new());
        for text in ["{", "}", "a { b", "a } b {c}", "{}", "{a b}", "{{site}}", "{site", "{Site}"] {
            assert_eq!(Text::parse(text), Err(TextError::Brace), "{text}");
        }
        assert_eq!(Text::parse(" \n"), Err(TextError::Empty));
    }
}
