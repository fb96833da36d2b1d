//! Collects what is wrong while the configuration is read and checked.
//!
//! One mistake makes one problem: whoever reports something that follows from the absence or presence of other keys says
//! which, and is not heard when one of those is broken itself.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::document::Document;
use super::error::{ConfigError, Note, Origin, Position, Problem};
use super::overlay::Setting;
use super::path::{KeyPath, Step};

/// All problems and notes so far, and what is needed to place them.
pub(super) struct Report {
    document: Document,
    settings: Vec<Setting>,
    removed: BTreeMap<KeyPath, Vec<usize>>,
    broken: Vec<KeyPath>,
    problems: Vec<Problem>,
    notes: Vec<Note>,
    files: BTreeSet<PathBuf>,
    /// Those of them that are named more than once.
    shared_files: BTreeSet<PathBuf>,
}

impl Report {
    /// Nothing is wrong yet. Of the settings, later ones count more.
    pub(super) fn new(document: Document, settings: Vec<Setting>) -> Self {
        Self {
            document,
            settings,
            removed: BTreeMap::new(),
            broken: Vec::new(),
            problems: Vec::new(),
            notes: Vec::new(),
            files: BTreeSet::new(),
            shared_files: BTreeSet::new(),
        }
    }

    /// The value at `path` is wrong.
    pub(super) fn problem(&mut self, path: &KeyPath, message: impl Into<String>, remedy: impl Into<String>) {
        let path = self.written(path);
        let origin = self.origin(&path, Document::value_position);
        self.push(origin, path, message.into(), None, Some(remedy.into()));
    }

    /// The value at `path` is wrong, and something else was probably meant.
    pub(super) fn suggest(&mut self, path: &KeyPath, message: impl Into<String>, advice: Advice) {
        let path = self.written(path);
        let origin = self.origin(&path, Document::value_position);
        self.push(origin, path, message.into(), advice.suggestion, advice.remedy);
    }

    /// The value at `path` should name one of the keys of the map at `names`, and does not; not heard when what it names
    /// may be there but broken.
    pub(super) fn unknown_name(&mut self, path: &KeyPath, names: &KeyPath, message: &str, advice: Advice) {
        let lost = |broken: &KeyPath| names.is_within(broken) || broken.parent().as_ref() == Some(names);
        if !self.broken.iter().any(lost) {
            self.suggest(path, message, advice);
        }
    }

    /// The key at `path` is not one. When another key of the same map was meant, that one counts as broken too.
    pub(super) fn unknown_key(&mut self, path: &KeyPath, message: impl Into<String>, advice: Advice) {
        let path = self.written(path);
        if let (Some(parent), Some(meant)) = (path.parent(), &advice.suggestion) {
            self.broken.push(parent.key(meant));
        }
        let origin = self.origin(&path, Document::key_position);
        self.push(origin, path, message.into(), advice.suggestion, advice.remedy);
    }

    /// The key at `path` stands a second time, at `position`.
    pub(super) fn repeated_key(&mut self, path: &KeyPath, position: Position) {
        let origin = Origin::File { file: self.document.name.clone(), position };
        let remedy = "keep one of the two; the first is the one above".to_owned();
        self.push(origin, path.clone(), "is set twice".to_owned(), None, Some(remedy));
    }

    /// Something is wrong at `path` that would not be if `depends` were different; not heard when one of those, or
    /// something inside or around it, is broken.
    pub(super) fn conflict(
        &mut self,
        path: &KeyPath,
        depends: &[KeyPath],
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        if !depends.iter().any(|depended| self.is_broken(depended)) {
            self.problem(path, message, remedy);
        }
    }

    /// The value at `path` needs one of `missing`. Told of the first that does, and of none when one of those is there but
    /// broken.
    pub(super) fn lacks(
        &mut self,
        path: &KeyPath,
        missing: &[KeyPath],
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        if !missing.iter().any(|missing| self.is_broken(missing)) {
            self.problem(path, message, remedy);
            self.broken.extend(missing.iter().map(|missing| self.written(missing)).collect::<Vec<_>>());
        }
    }

    /// The key at `path` is needed and not there; not heard when it is there but broken.
    pub(super) fn absent(&mut self, path: &KeyPath, message: impl Into<String>, remedy: impl Into<String>) {
        self.conflict(path, std::slice::from_ref(path), message, remedy);
    }

    /// Something worth knowing.
    pub(super) fn note(&mut self, path: &KeyPath, message: impl Into<String>) {
        self.remember(path, message.into(), false);
    }

    /// Something that is valid and looks like a mistake.
    pub(super) fn warn(&mut self, path: &KeyPath, message: impl Into<String>) {
        self.remember(path, message.into(), true);
    }

    fn remember(&mut self, path: &KeyPath, message: String, is_warning: bool) {
        let note = Note { path: self.written(path).to_string(), message, is_warning };
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    /// Takes note that item `index` of the list at `path` was taken out after it had been reported, so that the paths of
    /// those behind it still point at what the operator wrote.
    pub(super) fn removed_item(&mut self, path: &KeyPath, index: usize) {
        let Some(Step::Index(index)) = self.written(&path.index(index)).steps().last().cloned() else { return };
        let removed = self.removed.entry(self.written(path)).or_default();
        removed.push(index);
        removed.sort_unstable();
    }

    /// Takes over what is wrong with a file that is named at `path`.
    pub(super) fn include(&mut self, path: &KeyPath, problems: Vec<Problem>) {
        if !problems.is_empty() {
            self.broken.push(path.clone());
        }
        self.problems.extend(problems);
    }

    /// The setting over the file that decides about exactly `path`.
    pub(super) fn is_setting(&self, path: &KeyPath) -> bool {
        let path = self.written(path);
        self.settings.iter().any(|setting| setting.path == path)
    }

    /// Takes note that the outcome depends on what this file holds, or on whether it is there.
    pub(super) fn depends_on(&mut self, file: PathBuf) {
        if !self.files.insert(file.clone()) {
            self.shared_files.insert(file);
        }
    }

    /// The files that the outcome depends on in several ways.
    pub(super) fn shared_files(&self) -> BTreeSet<PathBuf> {
        self.shared_files.clone()
    }

    /// How many problems there are.
    pub(super) fn problem_count(&self) -> usize {
        self.problems.len()
    }

    /// The outcome: what was `made`, if nothing is wrong. Either way with the files that it depends on.
    pub(super) fn finish<T>(mut self, made: Option<T>) -> Result<(T, Vec<Note>, BTreeSet<PathBuf>), ConfigError> {
        match made {
            Some(made) if self.problems.is_empty() => Ok((made, self.notes, self.files)),
            _ => {
                self.problems.sort();
                self.problems.dedup();
                Err(ConfigError { problems: self.problems, files: self.files })
            }
        }
    }

    /// Everything that is wrong, in the order of the file.
    pub(super) fn into_problems(mut self) -> Vec<Problem> {
        self.problems.sort();
        self.problems.dedup();
        self.problems
    }

    fn push(
        &mut self,
        origin: Origin,
        path: KeyPath,
        message: String,
        suggestion: Option<String>,
        remedy: Option<String>,
    ) {
        self.problems.push(Problem { origin, path: path.to_string(), message, suggestion, remedy });
        self.broken.push(path);
    }

    /// Whether something is wrong at `path`, inside it or around it.
    fn is_broken(&self, path: &KeyPath) -> bool {
        let path = self.written(path);
        self.broken.iter().any(|broken| broken.touches(&path))
    }

    /// The path as it stands in the file, given the path in what was left of it.
    fn written(&self, path: &KeyPath) -> KeyPath {
        path.steps().iter().fold(KeyPath::root(), |written, step| match (step, self.removed.get(&written)) {
            (Step::Index(index), Some(removed)) => {
                let shifted = removed.iter().fold(*index, |index, gone| if *gone <= index { index + 1 } else { index });
                written.index(shifted)
            }
            (step, _) => written.with(step.clone()),
        })
    }

    fn origin(&self, path: &KeyPath, position: fn(&Document, &KeyPath) -> Position) -> Origin {
        let mut by_weight = self.settings.iter().rev();
        let deciding = by_weight.clone().find(|setting| path.is_within(&setting.path));
        let inside = || by_weight.find(|setting| setting.path.is_within(path) && !self.document.contains(path));
        match deciding.or_else(inside) {
            Some(setting) => setting.origin.clone(),
            None => Origin::File { file: self.document.name.clone(), position: position(&self.document, path) },
        }
    }
}

/// What to do about a problem.
#[derive(Debug, Default)]
pub(super) struct Advice {
    /// What was probably meant.
    pub(super) suggestion: Option<String>,
    /// How to put it right.
    pub(super) remedy: Option<String>,
}

impl Advice {
    /// The nearest of the `known` words if one is near enough to be meant, else a `remedy`.
    pub(super) fn nearest<'a>(
        word: &str,
        known: impl IntoIterator<Item = &'a str>,
        remedy: impl FnOnce() -> String,
    ) -> Self {
        let distance = |known: &str| strsim::osa_distance(&word.to_lowercase(), &known.to_lowercase());
        let near = known.into_iter().map(|known| (distance(known), known)).min();
        match near {
            Some((distance, known)) if distance <= 1.max(known.chars().count() / 3) => {
                Self { suggestion: Some(known.to_owned()), remedy: None }
            }
            _ => Self { suggestion: None, remedy: Some(remedy()) },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load::Format;

    fn report(text: &str) -> Report {
        Report::new(Document::parse("usher.yaml", Format::Yaml, text).unwrap(), Vec::new())
    }

    fn problems(report: Report) -> Vec<Problem> {
        report.finish(None::<()>).unwrap_err().problems
    }

    #[test]
    fn what_follows_from_something_broken_is_not_reported() {
        let mut report = report("sites:\n  - hots: a\n");
        let site = KeyPath::root().key("sites").index(0);
        let advice = Advice::nearest("hots", ["host", "routes"], String::new);
        report.unknown_key(&site.key("hots"), "is not a key", advice);
        report.absent(&site.key("host"), "is missing", "add it");
        report.absent(&site.key("routes"), "is missing", "add it");
        let problems = problems(report);
        assert_eq!(problems.len(), 2);
        assert_eq!(problems[0].path, "sites[0].hots");
        assert_eq!(problems[1].path, "sites[0].routes");
    }

    #[test]
    fn paths_point_at_what_was_written_although_items_before_are_gone() {
        let mut report = report("sites:\n  - 1\n  - 2\n  - host: a\n  - 4\n  - host: b\n");
        let sites = KeyPath::root().key("sites");
        report.removed_item(&sites, 0);
        report.removed_item(&sites, 0);
        report.removed_item(&sites, 1);
        report.problem(&sites.index(0).key("host"), "first", "");
        report.problem(&sites.index(1).key("host"), "second", "");
        let problems = problems(report);
        assert_eq!((problems[0].path.as_str(), problems[1].path.as_str()), ("sites[2].host", "sites[4].host"));
    }

    #[test]
    fn a_word_is_suggested_only_when_it_is_near() {
        let nearest = |word| Advice::nearest(word, ["issuer", "host"], || "no".into()).suggestion;
        assert_eq!(nearest("isuer").as_deref(), Some("issuer"));
        assert_eq!(nearest("HOST").as_deref(), Some("host"));
        assert_eq!(nearest("telemetry"), None);
    }
}
