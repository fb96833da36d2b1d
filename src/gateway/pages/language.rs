//! In which language a page is: what the browser would like (RFC 9110 §12.5.4), looked up among what there is (RFC 4647 §3.4).

use std::sync::Arc;

use http::HeaderValue;
use minijinja::Value;

use super::speech::Speech;
use crate::config::{Direction, LanguageTag, Translation, Word, Words};

/// So many wishes are looked at: nobody has more, and nobody is to keep the server busy with them.
const MOST_RANGES: usize = 16;

/// No language has a longer tag (RFC 5646 §4.4.1).
const LONGEST_RANGE: usize = 35;

/// The languages that there are.
pub(super) struct Languages {
    translations: Vec<Language>,
    english: Language,
}

/// One of them.
pub(super) struct Language {
    tag: LanguageTag,
    speech: Arc<Speech>,
}

impl Languages {
    /// The translations, and English, which is built in unless one of them is it.
    pub(super) fn new(translations: &[Translation]) -> Self {
        let language = |translation: &Translation| Language {
            tag: translation.tag.clone(),
            speech: Arc::new(Speech::new(translation.words.clone())),
        };
        let english = Language { tag: LanguageTag::english(), speech: Arc::new(Speech::new(Words::english())) };
        Self { translations: translations.iter().map(language).collect(), english }
    }

    /// Whether what the browser would like makes no difference.
    pub(super) fn is_one(&self) -> bool {
        self.translations.is_empty()
    }

    /// The language to answer in; English where there is none that is wanted, or nothing is said.
    pub(super) fn wanted(&self, accept_language: Option<&HeaderValue>) -> &Language {
        let said = accept_language.filter(|_| !self.is_one()).and_then(|value| value.to_str().ok());
        let found = said.and_then(|said| ranges(said).into_iter().find_map(|range| self.lookup(range)));
        found.or_else(|| self.find(self.english.tag.as_str())).unwrap_or(&self.english)
    }

    /// RFC 4647 §3.4: the range, made shorter until there is a language of that name.
    fn lookup(&self, mut range: &str) -> Option<&Language> {
        loop {
            if let Some(language) = self.find(range) {
                return Some(language);
            }
            range = range.rsplit_once('-')?.0;
            // A single letter or digit is nothing without what followed it.
            if let Some((before, _)) = range.rsplit_once('-').filter(|(_, last)| last.len() == 1) {
                range = before;
            }
        }
    }

    fn find(&self, tag: &str) -> Option<&Language> {
        let mut languages = self.translations.iter().chain([&self.english]);
        languages.find(|language| language.tag.as_str().eq_ignore_ascii_case(tag))
    }
}

impl Language {
    /// Its tag.
    pub(super) fn tag(&self) -> &str {
        self.tag.as_str()
    }

    /// How it is written.
    pub(super) fn direction(&self) -> Direction {
        self.tag.direction()
    }

    /// A text without places.
    pub(super) fn text(&self, word: Word) -> String {
        self.speech.text(word)
    }

    /// When something may be tried again, rounded up. Never one second or one minute, which many languages have other words for.
    pub(super) fn try_again_in(&self, seconds: u64) -> String {
        match seconds {
            ..=90 => self.speech.count(Word::TryInSeconds, seconds.max(2)),
            _ => self.speech.count(Word::TryInMinutes, seconds.div_ceil(60)),
        }
    }

    /// Its words, as templates use them.
    pub(super) fn words(&self) -> Value {
        Value::from_dyn_object(Arc::clone(&self.speech))
    }
}

/// The ranges that are wanted, the most wanted first. A weight that is none counts as not wanted.
fn ranges(said: &str) -> Vec<&str> {
    let range = |item| {
        let (range, weight) = match str::split_once(item, ';') {
            Some((range, parameter)) => {
                let (name, weight) = parameter.split_once('=')?;
                let weight: f32 = weight.trim().parse().ok()?;
                (range, Some(weight).filter(|_| name.trim().eq_ignore_ascii_case("q"))?)
            }
            None => (item, 1.0),
        };
        let range = range.trim();
        (weight > 0.0 && range.len() <= LONGEST_RANGE).then_some((range, weight))
    };
    let mut ranges: Vec<(&str, f32)> = said.split(',').take(MOST_RANGES).filter_map(range).collect();
    ranges.sort_by(|(_, one), (_, other)| other.total_cmp(one));
    ranges.into_iter().map(|(range, _)| range).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn languages(tags: &[&str]) -> Languages {
        let translation = |tag: &&str| Translation { tag: LanguageTag::parse(tag).unwrap(), words: Words::english() };
        Languages::new(&tags.iter().map(translation).collect::<Vec<_>>())
    }

    #[track_caller]
    fn assert_wanted(said: &str, expected: &str) {
        let languages = languages(&["de", "fr", "pt-BR", "zh-Hant", "en-x-plain"]);
        assert_eq!(languages.wanted(HeaderValue::from_str(said).ok().as_ref()).tag(), expected, "{said}");
    }

    #[test]
    fn the_most_wanted_language_that_there_is_wins() {
        assert_wanted("de", "de");
        assert_wanted("FR;q=0.4, DE;q=0.5", "de");
        assert_wanted("fr, de", "fr");
        assert_wanted("it, fr;q=0.8, de;q=0.9", "de");
        assert_wanted("en;q=0.9, de;q=0.8", "en");
        assert_wanted("de ; Q=0.1 , en ; q=0", "de");
    }

    #[test]
    fn a_range_is_made_shorter_until_there_is_such_a_language() {
        assert_wanted("de-CH-1996", "de");
        assert_wanted("zh-Hant-TW", "zh-Hant");
        assert_wanted("de-x-private", "de");
        assert_wanted("pt-br", "pt-BR");
        assert_wanted("en-x-plain", "en-x-plain");
    }

    #[test]
    fn without_a_wish_that_can_be_met_it_is_english() {
        for said in ["", "*", "it", "pt", "zh", "de;q=0", "de;q=x", "de;v=1", "de;q", ",,;;", "-", "q=1"] {
            assert_wanted(said, "en");
        }
        assert_wanted(&format!("{}de", "it,".repeat(MOST_RANGES)), "en");
        assert_wanted(&format!("de{}", "-a".repeat(30_000)), "en");
        assert_eq!(languages(&["de"]).wanted(None).tag(), "en");
        assert_eq!(languages(&[]).wanted(Some(&HeaderValue::from_static("de"))).tag(), "en");
    }
}
