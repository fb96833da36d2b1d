//! The words of the pages in other languages.

use std::fs;
use std::path::Path;

use super::SMALL;
use crate::config::words::{Word, Words};
use crate::config::{ConfigError, Format, Loaded, Problem, Sources, load};

/// What comes of a directory with these files.
fn with(files: &[(&str, &str)]) -> Result<Loaded, ConfigError> {
    let directory = tempfile::tempdir().unwrap();
    let translations = directory.path().join("translations");
    fs::create_dir(&translations).unwrap();
    for (name, text) in files {
        fs::write(translations.join(name), text).unwrap();
    }
    let text = format!("{SMALL}translations: translations\n");
    load(&Sources::text("usher.yaml", Format::Yaml, &text, directory.path()))
}

/// The one thing that is wrong with `de.yaml`.
#[track_caller]
fn refused(text: &str, place: &str, message: &str) -> Problem {
    let problems = with(&[("de.yaml", text)]).unwrap_err().problems;
    assert_eq!(problems.len(), 1, "{text}\n{problems:#?}");
    let problem = problems.into_iter().next().unwrap();
    assert!(problem.origin.to_string().ends_with(&format!("translations/de.yaml:{place}")), "{text}\n{problem:#?}");
    assert!(problem.message.contains(message), "{text}\n{problem:#?}");
    problem
}

#[test]
fn what_a_translation_says_takes_the_place_of_english_key_by_key() {
    let loaded = with(&[
        ("de.yaml", "sign_in: Anmelden\nsign_in_to: 'Bei {site} anmelden'\n"),
        ("pt-BR.yaml", ""),
        ("README.md", "for people"),
    ])
    .unwrap();
    let tags: Vec<_> = loaded.config.translations.iter().map(|translation| translation.tag.to_string()).collect();
    assert_eq!(tags, ["de", "pt-BR"]);
    let words = &loaded.config.translations[0].words;
    assert_eq!(words.text(Word::SignIn).to_string(), "Anmelden");
    assert_eq!(words.text(Word::Password), Words::english().text(Word::Password));
    let note = loaded.notes.iter().find(|note| note.message.contains("de.yaml")).unwrap();
    assert!(note.message.contains(&format!("leaves {} of", Word::ALL.len() - 2)), "{}", note.message);
    // A language may be added, and each may change.
    let watched = |ending: &str| loaded.files.iter().any(|file| file.ends_with(ending));
    assert!(watched("translations") && watched("translations/de.yaml"), "{:?}", loaded.files);
}

#[test]
fn every_mistake_in_a_translation_is_told_with_its_place_and_a_remedy() {
    let problem = refused("sign_in: Anmelden\nsing_out: Abmelden\n", "2:1", "is no text of the pages");
    assert_eq!((problem.path.as_str(), problem.suggestion.as_deref()), ("sing_out", Some("sign_out")));
    let problem = refused("sign_in_to: Anmelden\n", "1:13", "lacks the place {site}");
    assert!(problem.remedy.unwrap().contains("Sign in to {site}"));
    let problem = refused("sign_in: '{site}'\n", "1:10", "has the place {site}, for which there is nothing");
    assert!(problem.remedy.unwrap().contains("no places"));
    refused("sign_in_to: '{site} {sites}'\n", "1:13", "has the place {sites}");
    refused("sign_in_to: '{site'\n", "1:13", "has a brace");
    refused("sign_in: 7\n", "1:10", "is not a text");
    refused("sign_in: [a]\n", "1:1", "is not a text");
    refused("sign_in: ''\n", "1:10", "is empty");
    refused("sign_in:\n", "1:8", "has no value");
    refused("sign_in: a\nsign_in: b\n", "2:1", "is set twice");
    refused("- a\n", "1:1", "must be a map");
    refused("sign_in: 'a\n", "2:1", "quoted");
}

#[test]
fn a_file_is_named_by_the_tag_of_its_language() {
    for (files, message) in [
        (&[("german.yaml", "")][..], "has german.yaml, which is not named by a language"),
        (&[("de.yml", "")], "has de.yml, which does not end in .yaml"),
        (&[("de.yaml", ""), ("DE.yaml", "")], "has two files for de"),
    ] {
        let problems = with(files).unwrap_err().problems;
        assert_eq!((problems.len(), problems[0].path.as_str()), (1, "translations"), "{problems:#?}");
        assert!(problems[0].message.contains(message) && problems[0].remedy.is_some(), "{problems:#?}");
    }
    let text = format!("{SMALL}translations: /nowhere/at/all\n");
    assert_eq!(super::problems(&text)[0].path, "translations");
}

#[test]
fn a_text_is_text_whatever_is_in_it() {
    let loaded = with(&[("de.yaml", "sign_in: '<b>Anmelden</b> & \"so\"'\n")]).unwrap();
    let text = loaded.config.translations[0].words.text(Word::SignIn).to_string();
    assert_eq!(text, "<b>Anmelden</b> & \"so\"", "it is escaped where it is written into a page");
}

#[test]
fn the_one_in_the_readme_counts() {
    let readme = include_str!("../../../README.md");
    let block = readme.split("```yml\n").nth(1).unwrap().split("```").next().unwrap();
    assert_eq!(with(&[("de.yaml", block)]).unwrap().config.translations.len(), 1);
}

#[test]
fn the_examples_have_every_text_and_no_other() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/translations");
    let text = format!("{SMALL}translations: {}\n", directory.display());
    let loaded = super::load_yaml(&text).unwrap();
    let incomplete: Vec<_> = loaded.notes.iter().filter(|note| note.path == "translations").collect();
    assert!(incomplete.is_empty(), "{incomplete:?}");
    let tags: Vec<_> = loaded.config.translations.iter().map(|translation| translation.tag.to_string()).collect();
    assert_eq!(tags, ["de", "fr"]);
    for translation in &loaded.config.translations {
        let same = |word: &Word| translation.words.text(*word) == Words::english().text(*word);
        let english: Vec<_> = Word::ALL.iter().filter(|word| same(word)).collect();
        assert!(english.is_empty(), "{}: {english:?}", translation.tag);
    }
}
