//! The templates: the built-in ones, and those of an operator that have their names. What they say is words, all of which must
//! be there.

use std::path::{Path, PathBuf};

use minijinja::{Environment, Template};

use crate::config::Word;

pub(super) const GO_BACK: &str = "go-back.html";
pub(super) const REFUSAL: &str = "refusal.html";
pub(super) const RESEND: &str = "resend.html";
pub(super) const SIGN_IN: &str = "sign-in.html";
pub(super) const ONE_TIME_CODE: &str = "one-time-code.html";
pub(super) const SIGNED_IN: &str = "signed-in.html";
pub(super) const SIGN_OUT: &str = "sign-out.html";

/// The templates, by the names under which an operator may replace them. The first is what the others have in common.
pub(super) const BUILT_IN: [(&str, &str); 8] = [
    ("layout.html", include_str!("layout.html")),
    (GO_BACK, include_str!("go-back.html")),
    (REFUSAL, include_str!("refusal.html")),
    (RESEND, include_str!("resend.html")),
    (SIGN_IN, include_str!("sign-in.html")),
    (ONE_TIME_CODE, include_str!("one-time-code.html")),
    (SIGNED_IN, include_str!("signed-in.html")),
    (SIGN_OUT, include_str!("sign-out.html")),
];

/// Why the templates cannot be used. The operator's mistake.
#[derive(Debug, thiserror::Error)]
pub enum PagesError {
    /// A template of the directory cannot be read.
    #[error("the template {path} cannot be read")]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A template is not one.
    #[error("the template {name} is not valid")]
    Invalid {
        /// Which.
        name: &'static str,
        /// Why.
        #[source]
        source: minijinja::Error,
    },
    /// A template says a word that there is not.
    #[error("the template {name} uses words.{word}, and there is no such word")]
    UnknownWord {
        /// Which.
        name: &'static str,
        /// What it says.
        word: String,
    },
}

/// The files that are taken from a directory, whether or not they are there.
#[must_use]
pub fn page_templates(directory: &Path) -> [PathBuf; 8] {
    BUILT_IN.map(|(name, _)| directory.join(name))
}

/// The templates of the directory, and the built-in ones for the rest.
pub(super) fn environment(directory: Option<&Path>) -> Result<Environment<'static>, PagesError> {
    let mut templates = Environment::new();
    for (name, built_in) in BUILT_IN {
        let own = directory.map(|directory| directory.join(name)).filter(|path| path.exists());
        let source = match own {
            Some(path) => std::fs::read_to_string(&path).map_err(|source| PagesError::Unreadable { path, source })?,
            None => built_in.to_owned(),
        };
        templates.add_template_owned(name, source).map_err(|source| PagesError::Invalid { name, source })?;
        let unknown = templates
            .get_template(name)
            .ok()
            .and_then(|template| words_of(&template).into_iter().find(|word| Word::of(word).is_none()));
        if let Some(word) = unknown {
            return Err(PagesError::UnknownWord { name, word });
        }
    }
    Ok(templates)
}

/// The keys of the words that a template says.
pub(super) fn words_of(template: &Template<'_, '_>) -> Vec<String> {
    let names = template.undeclared_variables(true);
    let key = |name: &String| Some(name.strip_prefix("words.")?.split('.').next()?.to_owned());
    let mut keys: Vec<_> = names.iter().filter_map(key).collect();
    keys.sort();
    keys
}
