//! The directory of translations: a file for each language, each a document of its own, whose problems are told with its own
//! places.

use std::fs;
use std::path::{Path, PathBuf};

use figment::value::Value;

use super::{Check, KeyPath, Mistake};
use crate::config::document::{Content, Document, Node};
use crate::config::load::{Format, tell_fault};
use crate::config::report::{Advice, Report};
use crate::config::words::{LanguageTag, Text, TextError, Translation, Word, Words};

const NAME_BY_TAG: &str = "name it by the tag of its language, as in de.yaml or pt-BR.yaml, or take it out";

impl Check<'_> {
    /// One for each file of the directory. Files that are not YAML by their name are none of our business.
    pub(super) fn translations(&mut self, at: &KeyPath, path: Option<&Path>) -> Vec<Translation> {
        let Some(directory) = path else { return Vec::new() };
        let Some(located) = self.directory(at, directory) else { return Vec::new() };
        // One more may come.
        self.report.depends_on(located.clone());
        let mut translations: Vec<Translation> = Vec::new();
        for name in yaml_files(&located) {
            let Some(tag) = self.accept(at, tag_of(&name)) else { continue };
            if translations.iter().any(|other| other.tag == tag) {
                let message = format!("has two files for {tag}");
                self.report.problem(at, message, "keep one of the two: the case of a language tag does not count");
            }
            translations.extend(self.translation(at, &directory.join(&name), tag));
        }
        translations
    }

    fn translation(&mut self, at: &KeyPath, path: &Path, tag: LanguageTag) -> Option<Translation> {
        let bytes = self.read(at, path)?;
        let path = self.located(path);
        let unreadable = || Mistake::new(format!("has {}, which is not text", path.display()), "write it in UTF-8");
        let text = self.accept(at, String::from_utf8(bytes).map_err(|_| unreadable()))?;
        let name = path.display().to_string();
        let document = match Document::parse(&name, Format::Yaml, &text) {
            Ok(document) => document,
            Err(errors) => {
                self.report.include(at, errors.into_iter().map(|error| error.into_problem(&name)).collect());
                return None;
            }
        };
        let mut words = Words::english();
        let mut missing = Word::ALL.to_vec();
        let faults = document.faults();
        let entries = texts(&document, &mut missing);
        let mut report = Report::new(document, Vec::new());
        for fault in faults {
            tell_fault(fault, &mut report);
        }
        for (key, value) in entries {
            if let Some((word, text)) = checked(&key, value, &mut report) {
                words.set(word, text);
            }
        }
        let problems = report.into_problems();
        if let (Some(first), true) = (missing.first(), problems.is_empty()) {
            let message = format!(
                "{name} leaves {} of {} texts in English; the first is {}",
                missing.len(),
                Word::ALL.len(),
                first.key()
            );
            self.report.note(at, message);
        }
        self.report.include(at, problems);
        Some(Translation { tag, words })
    }
}

/// The names of the files, in order.
fn yaml_files(directory: &Path) -> Vec<String> {
    let is_yaml = |path: &PathBuf| path.extension().is_some_and(|ending| ending == "yaml" || ending == "yml");
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let files = entries.map(|entry| entry.path()).filter(is_yaml);
    let mut names: Vec<_> = files.filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned())).collect();
    names.sort();
    names
}

fn tag_of(name: &str) -> Result<LanguageTag, Mistake> {
    match name.strip_suffix(".yaml") {
        Some(tag) => LanguageTag::parse(tag)
            .ok_or_else(|| Mistake::new(format!("has {name}, which is not named by a language"), NAME_BY_TAG)),
        None => Err(Mistake::new(format!("has {name}, which does not end in .yaml"), NAME_BY_TAG)),
    }
}

/// The keys of a file and their texts (`None`: not a text), without those that have no value. What it has is no longer missing.
fn texts(document: &Document, missing: &mut Vec<Word>) -> Vec<(String, Option<String>)> {
    let Content::Map(entries) = &document.root().content else { return Vec::new() };
    let text = |node: &Node| match &node.content {
        Content::Single(Value::String(_, text)) => Some(text.clone()),
        Content::Single(_) | Content::List(_) | Content::Map(_) => None,
    };
    let written = entries.iter().filter(|entry| !entry.value.is_null());
    missing.retain(|word| !entries.iter().any(|entry| entry.key == word.key()));
    written.map(|entry| (entry.key.clone(), text(&entry.value))).collect()
}

fn checked(key: &str, value: Option<String>, report: &mut Report) -> Option<(Word, Text)> {
    let at = KeyPath::root().key(key);
    let Some(word) = Word::of(key) else {
        let remedy = || "take it out; the keys are those of examples/translations".to_owned();
        let advice = Advice::nearest(key, Word::ALL.iter().map(|word| word.key()), remedy);
        report.unknown_key(&at, "is no text of the pages", advice);
        return None;
    };
    let english = Text::english(word.english());
    let Some(value) = value else {
        report.problem(&at, "is not a text", "write a text; one that looks like something else stands in quotes");
        return None;
    };
    let text = match Text::parse(&value) {
        Ok(text) => text,
        Err(TextError::Empty) => {
            report.problem(&at, "is empty", "write a text, or take the key out: it is shown in English then");
            return None;
        }
        Err(TextError::Brace) => {
            report.problem(&at, "has a brace that is not part of a place such as {site}", places_of(&english));
            return None;
        }
    };
    let (has, needs) = (text.places(), english.places());
    if let Some(unknown) = has.difference(&needs).next() {
        report.problem(
            &at,
            format!("has the place {{{unknown}}}, for which there is nothing here"),
            places_of(&english),
        );
    }
    if let Some(lost) = needs.difference(&has).next() {
        report.problem(&at, format!("lacks the place {{{lost}}}"), format!("the English text is: {english}"));
    }
    Some((word, text))
}

fn places_of(english: &Text) -> String {
    let places: Vec<_> = english.places().iter().map(|place| format!("{{{place}}}")).collect();
    if places.is_empty() {
        "this text has no places".to_owned()
    } else {
        format!("its places are {}", places.join(", "))
    }
}
