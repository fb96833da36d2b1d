//! What the pages say, and in which languages: checked texts, of which every language has all.
//!
//! English is built in. A [`Translation`] has what its file says, and English for the rest. Which of them a browser is
//! answered in is not decided here.

mod english;
mod tag;
mod text;

pub use english::Word;
pub use tag::{Direction, LanguageTag};
pub(super) use text::TextError;
pub use text::{Part, Text};

/// Every text of the pages in one language.
#[derive(Clone, Debug)]
pub struct Words(Vec<Text>);

/// The texts of one language.
#[derive(Clone, Debug)]
pub struct Translation {
    /// The language.
    pub tag: LanguageTag,
    /// The texts.
    pub words: Words,
}

impl Word {
    /// The word of this key.
    #[must_use]
    pub fn of(key: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|word| word.key() == key)
    }

    /// Its place in [`Word::ALL`].
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }
}

impl Words {
    /// The built-in ones.
    #[must_use]
    pub fn english() -> Self {
        Self(Word::ALL.iter().map(|word| Text::english(word.english())).collect())
    }

    /// With this text in place of the one that was there.
    pub(super) fn set(&mut self, word: Word, text: Text) {
        if let Some(place) = self.0.get_mut(word.index()) {
            *place = text;
        }
    }

    /// The text.
    #[must_use]
    pub fn text(&self, word: Word) -> &Text {
        static NOTHING: Text = Text::nothing();
        self.0.get(word.index()).unwrap_or(&NOTHING)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_has_a_key_of_its_own_and_a_text_that_is_one() {
        for (index, word) in Word::ALL.iter().enumerate() {
            assert_eq!((Word::of(word.key()), word.index()), (Some(*word), index), "{}", word.key());
            assert!(Text::parse(word.english()).is_ok(), "{}", word.key());
            assert_eq!(Words::english().text(*word).to_string(), word.english());
        }
    }
}
