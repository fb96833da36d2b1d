//! From the file, the environment and the flags to a checked configuration.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::{fmt, fs};

use figment::value::{Dict, Map};
use figment::{Figment, Metadata, Profile, Provider};
use url::Url;

use super::document::{Document, Fault};
use super::error::{ConfigError, Note, Origin, Position, Problem};
use super::file::{File, Issuer, TextOr};
use super::overlay::{self, Setting};
use super::path::KeyPath;
use super::report::Report;
use super::{Config, check, repair};

/// How a configuration file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// YAML 1.2.
    Yaml,
    /// TOML 1.1.
    Toml,
    /// JSON.
    Json,
}

impl Format {
    /// By the ending of the name: `.toml`, `.json`; anything else is YAML.
    #[must_use]
    pub fn of(path: &Path) -> Self {
        match path.extension().and_then(|ending| ending.to_str()) {
            Some("toml") => Self::Toml,
            Some("json") => Self::Json,
            _ => Self::Yaml,
        }
    }
}

/// The configuration file.
#[derive(Clone)]
enum FileSource {
    Path(PathBuf),
    Text { name: String, format: Format, text: String, directory: PathBuf },
}

impl FileSource {
    fn path(&self) -> Option<PathBuf> {
        match self {
            Self::Path(path) => Some(path.clone()),
            Self::Text { .. } => None,
        }
    }
}

/// Everything that a configuration is made of. Later sources win: the file, the environment, the flags.
#[derive(Clone)]
pub struct Sources {
    file: FileSource,
    environment: BTreeMap<String, String>,
    flags: Vec<(String, String)>,
}

impl Sources {
    /// A file on disk, its format by its ending. Paths in it are relative to its directory.
    #[must_use]
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self::of(FileSource::Path(path.into()))
    }

    /// A file in memory. Messages call it `name`; paths in it are relative to `directory`.
    #[must_use]
    pub fn text(name: &str, format: Format, text: &str, directory: impl Into<PathBuf>) -> Self {
        let (name, text) = (name.to_owned(), text.to_owned());
        Self::of(FileSource::Text { name, format, text, directory: directory.into() })
    }

    const fn of(file: FileSource) -> Self {
        Self { file, environment: BTreeMap::new(), flags: Vec::new() }
    }

    /// With these environment variables, of which those that begin with `USHER__` count.
    #[must_use]
    pub fn with_environment(mut self, variables: impl IntoIterator<Item = (String, String)>) -> Self {
        self.environment.extend(variables);
        self
    }

    /// With the environment of this process. What is not UTF-8 in it is replaced, and then refused by the key it is for.
    #[must_use]
    pub fn with_process_environment(self) -> Self {
        let text = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
        self.with_environment(std::env::vars_os().map(|(name, value)| (text(name), text(value))))
    }

    /// With these flags: keys written with dots, and their values.
    #[must_use]
    pub fn with_flags(mut self, flags: impl IntoIterator<Item = (String, String)>) -> Self {
        self.flags.extend(flags);
        self
    }
}

/// Shows the name of the file only: texts, variables and flags hold secrets (law 8).
impl fmt::Debug for Sources {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match &self.file {
            FileSource::Path(path) => path.display().to_string(),
            FileSource::Text { name, .. } => name.clone(),
        };
        formatter.debug_tuple("Sources").field(&name).finish()
    }
}

/// A configuration that counts.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// What an operator should know about it.
    pub notes: Vec<Note>,
    /// Every file that it depends on, whether or not it is there: another configuration may come of a change of one.
    pub files: BTreeSet<PathBuf>,
    /// Those of them that several keys name.
    pub shared_files: BTreeSet<PathBuf>,
}

/// Reads and checks a configuration.
///
/// # Errors
///
/// Everything that is wrong with it, at once: the operator's mistakes.
pub fn load(sources: &Sources) -> Result<Loaded, ConfigError> {
    let (file, directory, mut report) = mirror(sources)?;
    let config = file.and_then(|file| check::check(&file, &directory, &mut report));
    let shared_files = report.shared_files();
    let (config, notes, files) = report.finish(config)?;
    Ok(Loaded { config, notes, files, shared_files })
}

/// The users of a local issuer: where their file is, and how they know the place where they sign in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalUsers {
    /// The users file.
    pub file: PathBuf,
    /// The host of the issuer's address, or of the first site with it; where there is neither, the issuer's name.
    pub place: String,
}

/// The users of the local issuers, by the names of the issuers. Whatever else is wrong with the configuration does not
/// matter.
///
/// # Errors
///
/// When the configuration cannot be read at all.
pub fn local_users(sources: &Sources) -> Result<BTreeMap<String, LocalUsers>, ConfigError> {
    let (file, directory, report) = mirror(sources)?;
    let Some(File { issuers, sites, .. }) = file else { return report.finish(None).map(|(users, ..)| users) };
    let sites = sites.unwrap_or_default();
    let users = |(name, issuer): (String, Issuer)| {
        let file = directory.join(issuer.local?.users_file?);
        let host = match issuer.issuer {
            Some(address) => Url::parse(&address).ok().and_then(|url| url.host_str().map(str::to_owned)),
            None => check::own_host(&name, &sites),
        };
        Some((name.clone(), LocalUsers { file, place: host.unwrap_or(name) }))
    };
    Ok(issuers.into_iter().flatten().filter_map(users).collect())
}

/// Where the admin listener is, if the configuration can be read and says that. Whatever else is wrong with it does not matter,
/// and no other file is read.
#[must_use]
pub fn admin_address(sources: &Sources) -> Option<SocketAddr> {
    let (file, ..) = mirror(sources).ok()?;
    let written = match file?.listen?.admin? {
        TextOr::Text(address) => address,
        TextOr::Keys(keys) => keys.address?,
    };
    written.parse().ok()
}

/// The merged sources as the mirror of the file, if they can be, and the directory of the file.
fn mirror(sources: &Sources) -> Result<(Option<File>, PathBuf, Report), ConfigError> {
    let (document, directory) = read_document(&sources.file)?;
    let environment = Setting::from_environment(&sources.environment);
    let flags = Setting::from_flags(&sources.flags);
    let (environment_values, mut contradictions) = overlay::values(&environment);
    let (flag_values, more) = overlay::values(&flags);
    contradictions.extend(more);

    let figment = merged(&document, environment_values, flag_values);
    let faults = document.faults();
    let mut report = Report::new(document, [environment, flags].concat());
    sources.file.path().into_iter().for_each(|path| report.depends_on(path));
    for fault in faults {
        tell_fault(fault, &mut report);
    }
    for setting in contradictions {
        report.problem(&setting.path, "is set twice, or beside something that contains it", "set it once");
    }
    let file = match figment.find_value("") {
        Ok(values) => repair::read(values, &mut report),
        Err(error) => {
            report.problem(&KeyPath::root(), format!("cannot be merged: {error}"), "simplify it");
            None
        }
    };
    Ok((file, directory, report))
}

fn merged(document: &Document, environment: Dict, flags: Dict) -> Figment {
    Figment::new()
        .merge(Layer { name: "file", values: document.values() })
        .merge(Layer { name: "environment", values: environment })
        .merge(Layer { name: "flags", values: flags })
}

/// The merged sources as they were written, unchecked.
///
/// # Errors
///
/// When the file cannot be read at all.
pub(super) fn written(sources: &Sources) -> Result<Dict, ConfigError> {
    let (document, _) = read_document(&sources.file)?;
    let (environment, _) = overlay::values(&Setting::from_environment(&sources.environment));
    let (flags, _) = overlay::values(&Setting::from_flags(&sources.flags));
    // What cannot be merged has been told by whoever has loaded it.
    Ok(merged(&document, environment, flags).extract().unwrap_or_default())
}

/// One source as figment wants it.
struct Layer {
    name: &'static str,
    values: Dict,
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.name)
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Ok(Map::from([(Profile::Default, self.values.clone())]))
    }
}

/// Reads the file, and tells in which directory it lies.
fn read_document(source: &FileSource) -> Result<(Document, PathBuf), ConfigError> {
    let (name, format, text, directory) = match source {
        FileSource::Text { name, format, text, directory } => (name.clone(), *format, text.clone(), directory.clone()),
        FileSource::Path(path) => {
            let name = path.display().to_string();
            let text = fs::read_to_string(path).map_err(|error| unreadable(&name, path, &error))?;
            let directory = path.parent().map(Path::to_path_buf).unwrap_or_default();
            (name, Format::of(path), text, directory)
        }
    };
    match Document::parse(&name, format, &text) {
        Ok(document) => Ok((document, directory)),
        Err(errors) => Err(ConfigError {
            problems: errors.into_iter().map(|error| error.into_problem(&name)).collect(),
            files: BTreeSet::from_iter(source.path()),
        }),
    }
}

fn unreadable(name: &str, path: &Path, error: &std::io::Error) -> ConfigError {
    let problem = Problem {
        origin: Origin::File { file: name.to_owned(), position: Position::START },
        path: String::new(),
        message: format!("cannot be read: {error}"),
        suggestion: None,
        remedy: Some("correct the path; where none was given, name the configuration with --config FILE".to_owned()),
    };
    ConfigError { problems: vec![problem], files: BTreeSet::from([path.to_owned()]) }
}

pub(super) fn tell_fault(fault: Fault, report: &mut Report) {
    match fault {
        Fault::RootIsNoMap => {
            report.problem(&KeyPath::root(), "the file must be a map of keys", "begin with listen: and sites:");
        }
        Fault::NoValue(path) => report.problem(&path, "has no value", "give it a value, or take it out"),
        Fault::Duplicate(path, position) => report.repeated_key(&path, position),
    }
}
