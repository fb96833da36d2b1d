//! Everything that is wrong with a configuration, told at once.
//!
//! A problem names the place and the key, never the line of the file itself: that line may hold a secret, also beside the
//! key that is wrong or in a key that is misspelt (law 8).

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;

use anstyle::{AnsiColor, Style};
use serde::Serialize;

/// A place in a text, both counted from 1; columns in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Position {
    /// Line.
    pub line: usize,
    /// Column.
    pub column: usize,
}

impl Position {
    /// The first character.
    pub const START: Self = Self { line: 1, column: 1 };
}

/// Where a value was set, or where it should have been.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(untagged)]
pub enum Origin {
    /// In the configuration file.
    File {
        /// Its name, as it was given.
        file: String,
        /// Where in it.
        #[serde(flatten)]
        position: Position,
    },
    /// In an environment variable.
    Environment {
        /// The name of the variable.
        variable: String,
    },
    /// In a flag on the command line.
    Flag {
        /// The flag without its value.
        flag: String,
    },
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { file, position } => write!(formatter, "{file}:{}:{}", position.line, position.column),
            Self::Environment { variable } => formatter.write_str(variable),
            Self::Flag { flag } => formatter.write_str(flag),
        }
    }
}

/// One thing that is wrong. The operator's mistake, always.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Problem {
    /// Where.
    #[serde(flatten)]
    pub origin: Origin,
    /// The key: `sites[0].routes[2].require`. Empty when the file as a whole is meant.
    pub path: String,
    /// What is wrong, as a sentence without its subject: `must begin with /`.
    pub message: String,
    /// What was probably meant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suggestion: Option<String>,
    /// How to put it right.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

/// Something that an operator should know, though the configuration works.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Note {
    /// The key.
    pub path: String,
    /// What to know.
    pub message: String,
    /// Whether it looks like a mistake.
    #[serde(skip)]
    pub is_warning: bool,
}

/// On one line, for a log or a list.
impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = if self.path.is_empty() { String::new() } else { format!("{} ", self.path) };
        write!(formatter, "{}: {key}{}", self.origin, self.message)?;
        match (&self.suggestion, &self.remedy) {
            (Some(suggestion), _) => write!(formatter, "; did you mean `{suggestion}`?"),
            (None, Some(remedy)) => write!(formatter, "; {remedy}"),
            (None, None) => Ok(()),
        }
    }
}

impl fmt::Display for Note {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.path, self.message)
    }
}

/// A configuration that does not count, with everything that is wrong with it. The operator is at fault.
///
/// `Display` is for people, one problem after the other; [`ConfigError::styled`] is the same with colours, and the
/// serialised form is for scripts: `{"problems": […]}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ConfigError {
    /// In the order of the file; never empty.
    pub problems: Vec<Problem>,
    /// Every file that was looked at: a change of one may put things right.
    #[serde(skip)]
    pub files: BTreeSet<PathBuf>,
}

impl ConfigError {
    /// The text for a terminal, with ANSI styles; write it through `anstream`, which takes them out where they do not
    /// belong.
    #[must_use]
    pub fn styled(&self) -> impl fmt::Display + '_ {
        Rendered { error: self, styles: Styles::COLOURED }
    }
}

impl std::error::Error for ConfigError {}

impl fmt::Display for ConfigError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        Rendered { error: self, styles: Styles::PLAIN }.fmt(formatter)
    }
}

struct Styles {
    origin: Style,
    path: Style,
    advice: Style,
}

impl Styles {
    const PLAIN: Self = Self { origin: Style::new(), path: Style::new(), advice: Style::new() };
    const COLOURED: Self = Self {
        origin: Style::new().dimmed(),
        path: AnsiColor::Red.on_default().bold(),
        advice: AnsiColor::Green.on_default(),
    };
}

struct Rendered<'a> {
    error: &'a ConfigError,
    styles: Styles,
}

impl fmt::Display for Rendered<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Styles { origin, path, advice } = self.styles;
        for problem in &self.error.problems {
            write!(formatter, "{origin}{}{origin:#}: ", problem.origin)?;
            if !problem.path.is_empty() {
                write!(formatter, "{path}{}{path:#} ", problem.path)?;
            }
            writeln!(formatter, "{}", problem.message)?;
            if let Some(suggestion) = &problem.suggestion {
                writeln!(formatter, "    {advice}did you mean `{suggestion}`?{advice:#}")?;
            }
            if let Some(remedy) = &problem.remedy {
                writeln!(formatter, "    {advice}{remedy}{advice:#}")?;
            }
        }
        match self.error.problems.len() {
            1 => formatter.write_str("1 problem in the configuration"),
            count => write!(formatter, "{count} problems in the configuration"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error() -> ConfigError {
        let origin = Origin::File { file: "usher.yaml".into(), position: Position { line: 3, column: 5 } };
        let variable = Origin::Environment { variable: "USHER__LOG__LEVEL".into() };
        ConfigError {
            files: BTreeSet::new(),
            problems: vec![
                Problem {
                    origin,
                    path: "sites[0].hots".into(),
                    message: "is not a key".into(),
                    suggestion: Some("host".into()),
                    remedy: None,
                },
                Problem {
                    origin: variable,
                    path: "log.level".into(),
                    message: "is not a filter".into(),
                    suggestion: None,
                    remedy: Some("write info".into()),
                },
            ],
        }
    }

    #[test]
    fn people_read_place_key_problem_and_remedy() {
        let expected = "usher.yaml:3:5: sites[0].hots is not a key\n    did you mean `host`?\n\
                        USHER__LOG__LEVEL: log.level is not a filter\n    write info\n2 problems in the configuration";
        assert_eq!(error().to_string(), expected);
        assert!(error().styled().to_string().contains("\u{1b}["));
    }

    #[test]
    fn scripts_read_json() {
        let json = serde_json::to_value(error()).unwrap();
        assert_eq!(json["problems"][0]["line"], 3);
        assert_eq!(json["problems"][0]["suggestion"], "host");
        assert_eq!(json["problems"][1]["variable"], "USHER__LOG__LEVEL");
    }
}
