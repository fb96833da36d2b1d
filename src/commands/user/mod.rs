//! `usher user`: keeps the users file of a local issuer.
//!
//! Every change is made in the text of the file, so that its comments and order stay; a running gateway takes it over
//! within seconds. The file may be edited by hand as well. Passwords are read from the terminal, without showing them, or
//! from standard input; never from the command line, which others can see.

mod file;
mod passwords;

use std::io::Write;
use std::path::PathBuf;

use super::Failure;
use super::source::{Output, SourceArgs};
use crate::config::error::ConfigError;
use crate::config::users::{self, edit};
use crate::config::{self, Cost, Format, Problem, Users};
use file::UsersFile;

/// What `usher user` is told.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
    /// The local issuer, where there are several
    #[arg(long, value_name = "NAME", global = true)]
    issuer: Option<String>,
    /// Where the configuration comes from.
    #[command(flatten)]
    source: SourceArgs,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Add a user, with a password
    Add {
        /// The name that the user signs in with
        name: String,
    },
    /// Show the users
    List {
        /// How the list is written
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
    /// Let a user sign in no more, and end the user's sessions
    Disable {
        /// The name of the user
        name: String,
    },
    /// Let a disabled user sign in again
    Enable {
        /// The name of the user
        name: String,
    },
    /// Set another password, and end the user's sessions
    Password {
        /// The name of the user
        name: String,
    },
}

/// Why a users file cannot be kept. The operator's to put right.
#[derive(Debug, thiserror::Error)]
enum UserError {
    /// No issuer is local.
    #[error("the configuration has no local issuer; add one with local: {{ users_file: users.yaml }}")]
    NoIssuer,
    /// Several are, or none of that name.
    #[error("say which local issuer, with --issuer: {0}")]
    WhichIssuer(String),
    /// TOML and JSON are read, and not changed.
    #[error("{} is not YAML: change it by hand", .0.display())]
    OtherFormat(PathBuf),
    /// See there.
    #[error("{} stays as it is", path.display())]
    Edit {
        /// The users file.
        path: PathBuf,
        /// Why.
        #[source]
        source: edit::EditError,
    },
}

/// Does what is asked, and prints what was done to `out`.
///
/// # Errors
///
/// The configuration, the file or the password cannot be used (78 where it is the configuration or the file).
pub fn run(args: &Args, out: &mut impl Write) -> Result<(), Failure> {
    let path = users_file(args)?;
    let (name, change) = match &args.action {
        Action::List { output } => return list(&UsersFile::read(path).map_err(Failure::configuration)?, *output, out),
        Action::Add { name } => (name, NewValue::Added),
        Action::Password { name } => (name, NewValue::Password),
        Action::Disable { name } => (name, NewValue::Disabled(true)),
        Action::Enable { name } => (name, NewValue::Disabled(false)),
    };
    if Format::of(&path) != Format::Yaml {
        return Err(Failure::configuration(UserError::OtherFormat(path)));
    }
    let file = match change {
        NewValue::Added => UsersFile::read_or_begin(path),
        NewValue::Password | NewValue::Disabled(_) => UsersFile::read(path),
    };
    let file = file.map_err(Failure::configuration)?;
    let said = format!("{name}: {}, in {}", change.done(), file.path().display());
    let edited = change.apply(&file, name)?;
    refuse_new_problems(&file, &edited)?;
    file.write(&edited).map_err(Failure::world)?;
    writeln!(out, "{said}")?;
    Ok(())
}

/// What becomes of a user.
#[derive(Clone, Copy, Debug)]
enum NewValue {
    Added,
    Password,
    Disabled(bool),
}

impl NewValue {
    const fn done(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Password => "has another password",
            Self::Disabled(true) => "disabled",
            Self::Disabled(false) => "enabled",
        }
    }

    fn apply(self, file: &UsersFile, name: &str) -> Result<String, Failure> {
        let edit = |change: &edit::Change<'_>| {
            let path = || file.path().to_owned();
            edit::edit(file.text(), name, change)
                .map_err(|source| Failure::configuration(UserError::Edit { path: path(), source }))
        };
        // Nobody types a password for nothing.
        let hash = || passwords::ask(name).map_err(Failure::world);
        match self {
            Self::Disabled(disabled) => edit(&edit::Change::Disabled(disabled)),
            Self::Added => {
                edit(&edit::Change::Add(""))?;
                edit(&edit::Change::Add(&hash()?))
            }
            Self::Password => {
                edit(&edit::Change::Password(""))?;
                edit(&edit::Change::Password(&hash()?))
            }
        }
    }
}

/// The users file of the issuer that is meant.
fn users_file(args: &Args) -> Result<PathBuf, Failure> {
    let mut files = config::users_files(&args.source.sources())?;
    let names = || files.keys().cloned().collect::<Vec<_>>().join(", ");
    let name = match (&args.issuer, files.len()) {
        (Some(name), _) if files.contains_key(name) => name.clone(),
        (_, 0) => return Err(Failure::configuration(UserError::NoIssuer)),
        (None, 1) => names(),
        _ => return Err(Failure::configuration(UserError::WhichIssuer(names()))),
    };
    files.remove(&name).ok_or_else(|| Failure::configuration(UserError::NoIssuer))
}

/// What is wrong with the file already need not be put right first; but nothing else may be wrong with it afterwards.
fn refuse_new_problems(file: &UsersFile, edited: &str) -> Result<(), Failure> {
    let (_, before) = read(file, file.text());
    let (_, mut after) = read(file, edited);
    let is_old = |new: &Problem| before.iter().any(|old| (&old.path, &old.message) == (&new.path, &new.message));
    after.retain(|problem| !is_old(problem));
    if after.is_empty() { Ok(()) } else { Err(ConfigError { problems: after, files: [].into() }.into()) }
}

fn read(file: &UsersFile, text: &str) -> (Users, Vec<Problem>) {
    users::read(&file.path().display().to_string(), Format::of(file.path()), text)
}

fn list(file: &UsersFile, output: Output, out: &mut impl Write) -> Result<(), Failure> {
    let (users, problems) = read(file, file.text());
    if !problems.is_empty() {
        return Err(ConfigError { problems, files: [].into() }.into());
    }
    let users: Vec<_> = users.iter().map(|(_, user)| user).collect();
    if output == Output::Json {
        let line = |user: &&config::User| {
            serde_json::json!({
                "name": user.name, "subject": user.subject, "disabled": user.disabled, "hash": kind(user.password.cost()),
            })
        };
        writeln!(out, "{:#}", users.iter().map(line).collect::<serde_json::Value>())?;
        return Ok(());
    }
    let width = |column: fn(&config::User) -> &str| users.iter().map(|user| column(user).chars().count()).max();
    let (name, subject) = (width(|user| &user.name), width(|user| &user.subject));
    for user in users {
        let (name, subject) = (name.unwrap_or_default(), subject.unwrap_or_default());
        let state = if user.disabled { "  disabled" } else { "" };
        writeln!(out, "{:name$}  {:subject$}  {}{state}", user.name, user.subject, kind(user.password.cost()))?;
    }
    Ok(())
}

const fn kind(cost: Cost) -> &'static str {
    match cost {
        Cost::Argon2id { .. } => "argon2id",
        Cost::Bcrypt { .. } => "bcrypt",
    }
}
