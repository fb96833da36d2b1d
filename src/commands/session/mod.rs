//! `usher session`: lists and ends the sessions that instances share, in the store that the configuration names.
//!
//! Nothing is asked of the instances. What is ended is denied where they all look, so it counts on each of them at once. A
//! token is never shown, and what is shown as the id of a session opens none.

mod end;
mod list;
mod reach;

use std::io::Write;

use super::Failure;
use super::log;
use super::source::{Output, SourceArgs};
use crate::clock::Clock;
use crate::config::{self, Config};
use crate::printable::printable;
use crate::session::SessionId;
use reach::Reach;

/// What `usher session` is told.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
    /// Where the configuration comes from.
    #[command(flatten)]
    source: SourceArgs,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Show the sessions in the store
    List {
        /// Only those of this user, by the subject
        #[arg(long, value_name = "SUB")]
        user: Option<String>,
        /// Only those of this issuer, by its name in the configuration
        #[arg(long, value_name = "NAME")]
        issuer: Option<String>,
        /// How the list is written
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
    /// End sessions everywhere, and revoke their refresh tokens at the issuer
    End {
        /// The ids of the sessions, as the list shows them
        #[arg(value_name = "ID", value_parser = id, required_unless_present = "user", conflicts_with = "user")]
        ids: Vec<SessionId>,
        /// Everything that this user was given until now: sessions in the store, those in cookies, access tokens
        #[arg(long, value_name = "SUB")]
        user: Option<String>,
        /// The user of this issuer only, by its name in the configuration
        #[arg(long, value_name = "NAME", requires = "user")]
        issuer: Option<String>,
    },
}

/// Why sessions can be neither shown nor ended.
#[derive(Debug, thiserror::Error)]
enum SessionError {
    /// They are in the memory of other processes. The operator's, who may choose otherwise.
    #[error(
        "session.store is memory, which no other process sees: name a Redis there, as in session.store: {{ redis: {{ url: redis://redis:6379 }} }}"
    )]
    Memory,
    /// Tokens are in cookies, of which there is no list. The operator's, who may choose otherwise.
    #[error(
        "session.tokens is cookies: browsers have the sessions, and nobody a list of them. With tokens: store there is one"
    )]
    Cookies,
    /// There is no issuer of that name. Whoever typed it.
    #[error("the configuration has no issuer {0}; it has {1}")]
    NoIssuer(String, String),
    /// Some of what was to be ended is not there. Whoever typed it.
    #[error("{0} of {1} sessions are not in the store")]
    Unknown(usize, usize),
    /// The same of a user.
    #[error("{0} has no session in the store; --user is the subject, as usher session list shows it")]
    NoneOf(String),
}

/// The exit code when there was nothing to end: not the one of a store that is out of reach, where sessions may go on.
const NOTHING_THERE: u8 = 3;

/// Does what is asked, and prints what was done to `out`.
///
/// # Errors
///
/// The configuration has no store that can be looked at (78), or that is out of reach (1); what is to be ended is not there (3).
pub async fn run(args: &Args, clock: &Clock, out: &mut impl Write) -> Result<(), Failure> {
    let config = config::load(&args.source.sources())?.config;
    // Why a store cannot be used stands in the log alone.
    let _log = log::start(&config.log).map_err(Failure::configuration)?;
    let reach = Reach::to(&config, clock).await?;
    match &args.action {
        Action::List { user, issuer, output } => {
            if config.session.cookies != config::Cookies::Stored {
                return Err(Failure::configuration(SessionError::Cookies));
            }
            let issuers = named(&config, issuer.as_deref())?;
            list::write(&reach, user.as_deref(), &issuers, *output, out).await
        }
        Action::End { ids, user, issuer } => match user {
            Some(user) => {
                let ended = end::user(&reach, user, &named(&config, issuer.as_deref())?, out).await?;
                none_of(user, ended, &config, out)
            }
            None => end::sessions(&reach, ids, out).await,
        },
    }
}

/// What is said where no session was found: of those in cookies nobody knows.
fn none_of(user: &str, ended: usize, config: &Config, out: &mut impl Write) -> Result<(), Failure> {
    match (ended, &config.session.cookies) {
        (0, config::Cookies::Stored) => {
            Err(Failure::world(SessionError::NoneOf(printable(user).to_string())).with_code(NOTHING_THERE))
        }
        (0, _) => Ok(writeln!(
            out,
            "sessions are in cookies, of which there is no list: whether there were any is not known"
        )?),
        _ => Ok(()),
    }
}

/// The issuers that are meant.
fn named<'c>(config: &'c Config, name: Option<&str>) -> Result<Vec<&'c config::Issuer>, Failure> {
    let is_meant = |issuer: &&config::Issuer| name.is_none_or(|name| *issuer.name == *name);
    let issuers: Vec<_> = config.issuers.iter().filter(is_meant).collect();
    match name {
        Some(name) if issuers.is_empty() => {
            let known = config.issuers.iter().map(|issuer| &*issuer.name).collect::<Vec<_>>().join(", ");
            Err(Failure::configuration(SessionError::NoIssuer(name.to_owned(), known)))
        }
        _ => Ok(issuers),
    }
}

fn id(text: &str) -> Result<SessionId, String> {
    SessionId::parse(text).ok_or_else(|| "an id is 32 hexadecimal digits, as usher session list shows it".to_owned())
}
