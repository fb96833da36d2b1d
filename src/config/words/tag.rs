//! The tag of a language: `de`, `pt-BR`, `zh-Hant` (RFC 5646).

use std::fmt;

/// The primary languages that are written from right to left wherever no script is named.
const RIGHT_TO_LEFT: [&str; 14] =
    ["ar", "arc", "ckb", "dv", "fa", "he", "ks", "nqo", "ps", "sd", "syr", "ug", "ur", "yi"];

/// The scripts that are.
const RIGHT_TO_LEFT_SCRIPTS: [&str; 8] = ["adlm", "arab", "hebr", "mand", "nkoo", "rohg", "syrc", "thaa"];

/// The tag of a language, as the operator spells it. Case does not count.
#[derive(Clone, Debug)]
pub struct LanguageTag(Box<str>);

/// The direction in which a language is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From left to right.
    LeftToRight,
    /// From right to left.
    RightToLeft,
}

impl Direction {
    /// As the attribute `dir` of HTML says it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::LeftToRight => "ltr",
            Self::RightToLeft => "rtl",
        }
    }
}

impl LanguageTag {
    /// English, which is built in.
    #[must_use]
    pub fn english() -> Self {
        Self("en".into())
    }

    /// A language of two or three letters and what follows it, well-formed by RFC 5646 §2.1 as far as letters and digits go.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut subtags = text.split('-');
        let primary = subtags.next()?;
        let is_primary = matches!(primary.len(), 2 | 3) && primary.bytes().all(|byte| byte.is_ascii_alphabetic());
        let is_subtag =
            |subtag: &str| matches!(subtag.len(), 1..=8) && subtag.bytes().all(|byte| byte.is_ascii_alphanumeric());
        (is_primary && text.len() <= 35 && subtags.all(is_subtag)).then(|| Self(text.into()))
    }

    /// The tag.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// How it is written: as its script says, else as most who speak it do.
    #[must_use]
    pub fn direction(&self) -> Direction {
        let among = |list: &[&str], word: &str| list.iter().any(|known| known.eq_ignore_ascii_case(word));
        let mut subtags = self.0.split('-');
        let primary = subtags.next().unwrap_or_default();
        let script = subtags.find(|subtag| subtag.len() == 4 && subtag.bytes().all(|byte| byte.is_ascii_alphabetic()));
        let is_right_to_left =
            script.map_or_else(|| among(&RIGHT_TO_LEFT, primary), |script| among(&RIGHT_TO_LEFT_SCRIPTS, script));
        if is_right_to_left { Direction::RightToLeft } else { Direction::LeftToRight }
    }
}

impl PartialEq for LanguageTag {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

impl Eq for LanguageTag {}

impl fmt::Display for LanguageTag {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_a_language_and_what_follows_it() {
        for tag in ["de", "pt-BR", "zh-Hant-TW", "gsw", "sr-Latn", "de-1996", "en-x-plain"] {
            assert!(LanguageTag::parse(tag).is_some(), "{tag}");
        }
        for text in ["", "d", "german", "de_AT", "de-", "-de", "de--AT", "d3", "de-undemocratically", "ä", "de.bak"] {
            assert!(LanguageTag::parse(text).is_none(), "{text}");
        }
        assert_eq!(LanguageTag::parse("pt-br"), LanguageTag::parse("pt-BR"));
    }

    #[test]
    fn the_script_decides_on_the_direction_before_the_language() {
        for (tag, direction) in
            [("de", "ltr"), ("ar", "rtl"), ("he-IL", "rtl"), ("az-Arab", "rtl"), ("ks-Deva", "ltr"), ("AR-EG", "rtl")]
        {
            assert_eq!(LanguageTag::parse(tag).unwrap().direction().as_str(), direction, "{tag}");
        }
    }
}
