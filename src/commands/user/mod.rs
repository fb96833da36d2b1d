//! `usher user`: keeps the users file of a local issuer.
//!
//! Every change is made in the text of the file, so that its comments and order stay; a running gateway takes it over
//! within seconds. Commands at the same time change it one after the other. The file may be edited by hand as well.
//! Passwords are read from the terminal, without showing them, or from standard input; never from the command line,
//! which others can see.

mod file;
mod list;
mod new;
mod passwords;
mod totp;

use std::io::Write;
use std::path::PathBuf;

use super::Failure;
use super::source::{Output, SourceArgs};
use crate::config::error::ConfigError;
use crate::config::users::{self, edit};
use crate::config::{self, Format, LocalUsers, Problem, Users};
use file::{Turn, UsersFile};
use new::NewArgs;

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
    Add(NewArgs),
    /// Show the users
    List {
        /// How the list is written
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
    /// Say something else of a user: the claims that are given change, and the others stay
    Set(NewArgs),
    /// Stop a user from signing in, and end the user's sessions
    Disable {
        /// The name of the user
        name: String,
    },
    /// Let a disabled user sign in again
    Enable {
        /// The name of the user
        name: String,
    },
    /// Take a user out of the file, and end the user's sessions
    Remove {
        /// The name of the user
        name: String,
    },
    /// Set another password, and end the user's sessions
    Password {
        /// The name of the user
        name: String,
    },
    /// Give the user a second factor, and end the user's sessions: print the secret for an authenticator app
    Totp {
        /// The name of the user
        name: String,
        /// Take the second factor away
        #[arg(long, conflicts_with = "yes")]
        remove: bool,
        /// Replace a second factor without asking
        #[arg(long)]
        yes: bool,
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
    /// No flag says what is to change.
    #[error("say what is to change: --name, --email, --subject, --role or --claim")]
    NothingToSet,
    /// There is a second factor, and nobody has said that it may go.
    #[error("{0} has a second factor; replace it with --yes, or take it away with --remove")]
    HasTotp(String),
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
    let LocalUsers { file: path, place } = local_users(args)?;
    let ask = |name: &str| passwords::ask(name).map_err(Failure::world);
    let (name, change) = match &args.action {
        Action::List { output } => return list(&UsersFile::read(path).map_err(Failure::configuration)?, *output, out),
        Action::Totp { name, remove: false, yes } => return totp::give(path, &place, name, *yes, out),
        Action::Add(new) => (&new.name, NewValue::Added(new)),
        Action::Set(new) if new.says_nothing() => return Err(Failure::world(UserError::NothingToSet)),
        Action::Set(new) => (&new.name, NewValue::Set(new)),
        Action::Password { name } => (name, NewValue::Password),
        Action::Disable { name } => (name, NewValue::Disabled(true)),
        Action::Enable { name } => (name, NewValue::Disabled(false)),
        Action::Totp { name, remove: true, .. } => (name, NewValue::NoTotp),
        Action::Remove { name } => (name, NewValue::Removed),
    };
    let file = change_user(path, name, change, || ask(name))?;
    writeln!(out, "{name}: {}, in {}", change.done(), file.path().display())?;
    Ok(())
}

/// Changes a user in the file; `ask` gives the hash of the new password where there is one.
fn change_user(
    path: PathBuf,
    name: &str,
    change: NewValue<'_>,
    ask: impl FnOnce() -> Result<String, Failure>,
) -> Result<UsersFile, Failure> {
    if Format::of(&path) != Format::Yaml {
        return Err(Failure::configuration(UserError::OtherFormat(path)));
    }
    let hash = if change.has_password() {
        // Nobody types a password for nothing.
        change.apply(&change.read(path.clone())?, name, "")?;
        ask()?
    } else {
        String::new()
    };
    // Typing takes minutes, in which others may have changed the file: what counts is what it says now.
    let _turn = Turn::wait(&path).map_err(Failure::world)?;
    let file = change.read(path)?;
    let edited = change.apply(&file, name, &hash)?;
    refuse_new_problems(&file, &edited)?;
    file.write(&edited).map_err(Failure::world)?;
    Ok(file)
}

/// What becomes of a user.
#[derive(Clone, Copy, Debug)]
enum NewValue<'a> {
    Added(&'a NewArgs),
    Set(&'a NewArgs),
    Password,
    Disabled(bool),
    Totp {
        /// In base32.
        secret: &'a str,
        /// Whether it may take the place of another one.
        replaces: bool,
    },
    NoTotp,
    Removed,
}

impl NewValue<'_> {
    const fn done(self) -> &'static str {
        match self {
            Self::Added(_) => "added",
            Self::Set(_) => "changed",
            Self::Password => "has another password",
            Self::Disabled(true) => "disabled",
            Self::Disabled(false) => "enabled",
            Self::Totp { .. } => "has a second factor",
            Self::NoTotp => "has no second factor any more",
            Self::Removed => "removed",
        }
    }

    const fn has_password(self) -> bool {
        matches!(self, Self::Added(_) | Self::Password)
    }

    fn read(self, path: PathBuf) -> Result<UsersFile, Failure> {
        let file = match self {
            Self::Added(_) => UsersFile::read_or_begin(path),
            _ => UsersFile::read(path),
        };
        file.map_err(Failure::configuration)
    }

    fn apply(self, file: &UsersFile, name: &str, hash: &str) -> Result<String, Failure> {
        let edit = |change: &edit::Change<'_>| {
            let failed = |source| UserError::Edit { path: file.path().to_owned(), source };
            edit::edit(file.text(), name, change).map_err(|source| {
                // Whoever is named is not there, or is: nothing is wrong with the file.
                use edit::EditError::{Known, Last, Spelling, Twin, Unknown};
                let is_name = matches!(source, Known | Unknown | Spelling(_) | Twin(_) | Last);
                if is_name { Failure::world(failed(source)) } else { Failure::configuration(failed(source)) }
            })
        };
        match self {
            Self::Added(new) => edit(&edit::Change::Add(&new.with_hash(Some(hash)).map_err(Failure::world)?)),
            Self::Set(new) => edit(&edit::Change::Set(&new.with_hash(None).map_err(Failure::world)?)),
            Self::Password => edit(&edit::Change::Password(hash)),
            Self::Disabled(disabled) => edit(&edit::Change::Disabled(disabled)),
            Self::Totp { replaces: false, .. } if totp::is_there(file, name) => {
                Err(Failure::world(UserError::HasTotp(name.to_owned())))
            }
            Self::Totp { secret, .. } => edit(&edit::Change::Totp(secret)),
            Self::NoTotp => edit(&edit::Change::NoTotp),
            Self::Removed => edit(&edit::Change::Remove),
        }
    }
}

/// The users of the issuer that is meant.
fn local_users(args: &Args) -> Result<LocalUsers, Failure> {
    let mut files = config::local_users(&args.source.sources())?;
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
    Ok(list::write(&users.iter().map(|(_, user)| user).collect::<Vec<_>>(), output, out)?)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;
    use crate::issuer::local::hash_password;

    const NEW: NewArgs = NewArgs {
        name: String::new(),
        full_name: None,
        email: None,
        subject: None,
        roles: Vec::new(),
        claims: Vec::new(),
    };

    fn change(path: &Path, name: &str, change: NewValue<'_>, meanwhile: impl FnOnce()) {
        let ask = || {
            meanwhile();
            Ok(hash_password("looking-glass").unwrap())
        };
        change_user(path.to_owned(), name, change, ask).unwrap();
    }

    #[test]
    fn what_others_change_while_a_password_is_typed_stays_changed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("users.yaml");
        change(&path, "alice", NewValue::Added(&NEW), || {});
        change(&path, "alice", NewValue::Password, || change(&path, "alice", NewValue::Disabled(true), || {}));
        let totp = NewValue::Totp { secret: "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ", replaces: false };
        change(&path, "alice", NewValue::Password, || change(&path, "alice", totp, || {}));
        change(&path, "bob", NewValue::Added(&NEW), || change(&path, "carol", NewValue::Added(&NEW), || {}));
        let text = fs::read_to_string(&path).unwrap();
        assert!(
            text.contains("disabled: true")
                && text.contains("totp: 'GEZD")
                && text.contains("bob:")
                && text.contains("carol:"),
            "{text}"
        );
    }

    #[test]
    fn changes_at_the_same_time_are_made_one_after_the_other() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("users.yaml");
        let hash = hash_password("looking-glass").unwrap();
        std::thread::scope(|scope| {
            for number in 0..16 {
                let (path, hash) = (path.clone(), hash.clone());
                scope.spawn(move || {
                    change_user(path, &format!("user{number}"), NewValue::Added(&NEW), || Ok(hash)).unwrap()
                });
            }
        });
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text.matches("password:").count(), 16, "{text}");
    }
}
