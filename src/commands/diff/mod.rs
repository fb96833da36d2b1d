//! `usher diff`: what another configuration would change, and which requests of a recorded log it would decide otherwise.
//!
//! Both routers are asked about requests that stand for all others ([`probe`]), and both gateways about those of the log, by
//! what `usher explain` asks. Nothing is decided here, no issuer is asked and nothing is written.

mod change;
mod difference;
mod everywhere;
mod handshake;
mod lines;
mod outcome;
mod probe;
mod reach;
mod replay;
mod side;
mod spelling;
mod text;

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;
use tokio::runtime::Handle;

use super::explain::ExplainError;
use super::source::Output;
use super::{Failure, restart};
use crate::clock::Clock;
use crate::config::{self, Config, ConfigError, Loaded, Sources};
use crate::gateway::{BuildError, Gateway};
use crate::tasks::Tasks;
use change::Change;
use lines::Lines;
use replay::{Asking, Replayed, replay};
use side::Side;

/// Exit code of a command line or a log that says nothing, as clap has it.
const USAGE: u8 = 2;

/// Flags of `usher diff`.
#[derive(Clone, Debug, clap::Args)]
#[command(
    after_help = "Exit code: 0 no route would decide a request otherwise; 1 some would; 2 the command line or the log is \
    wrong; 78 one of the configurations is, and which is said. The environment counts for both."
)]
pub struct Args {
    /// The configuration that is in force
    #[arg(value_name = "OLD")]
    pub before: PathBuf,
    /// The configuration that is to be
    #[arg(value_name = "NEW")]
    pub after: PathBuf,
    /// An access log, as text or JSON, whose requests are decided by both; - reads standard input
    #[arg(long, value_name = "FILE")]
    pub access_log: Option<PathBuf>,
    /// How the answer is written
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
}

/// Why nothing can be compared. The operator's, or the disk's.
#[derive(Debug, thiserror::Error)]
pub enum DiffError {
    /// The log cannot be read.
    #[error("{place} cannot be read")]
    Log {
        /// The file, and the line where reading stopped.
        place: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The log is another one.
    #[error("{0}: no line is of the access log (target usher::access)")]
    NoLog(String),
    /// A configuration passes its checks, and no gateway can be made of it.
    #[error("{name} cannot be used")]
    Unusable {
        /// The file.
        name: String,
        /// Why.
        #[source]
        source: BuildError,
    },
    /// A line of the log says what no request can.
    #[error(transparent)]
    Request(#[from] ExplainError),
}

impl From<DiffError> for Failure {
    fn from(error: DiffError) -> Self {
        match &error {
            DiffError::Unusable { source, .. } if source.is_configuration() => Self::configuration(error),
            DiffError::Unusable { .. } => Self::world(error),
            DiffError::Log { .. } | DiffError::NoLog(_) | DiffError::Request(_) => Self::world(error).with_code(USAGE),
        }
    }
}

/// What is printed.
#[derive(Debug, Serialize)]
struct Told {
    changes: Vec<Change>,
    /// Keys that count at start only.
    restart: Vec<&'static str>,
    /// Other keys than those of sites that are written otherwise.
    settings: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    log: Option<Replayed>,
}

/// Compares two configurations.
///
/// # Errors
/// A [`Failure`] whose exit code says that requests would be decided otherwise, or what is wrong.
pub async fn run(args: &Args, clock: &Clock, out: &mut dyn Write) -> Result<(), Failure> {
    let [old, new] = [&args.before, &args.after].map(|path| Sources::file(path).with_process_environment());
    let (before, after) = load(&old, &new)?;
    let restart = restart::keys(&before, &after);
    let settings = config::changed_keys(&old, &new)?;
    let [before, after] = [before, after].map(Side::new);
    let changes = change::all(&before, &after);
    let log = match &args.access_log {
        Some(path) => {
            let asking = [ask(before, &args.before, clock)?, ask(after, &args.after, clock)?];
            let replayed = replay(Lines::open(path)?, &asking).await?;
            if replayed.requests + replayed.unreadable == 0 && replayed.other_lines > 0 {
                return Err(DiffError::NoLog(path.display().to_string()).into());
            }
            Some(replayed)
        }
        None => None,
    };
    let told = Told { changes, restart, settings, log };
    match args.output {
        Output::Text => text::write(&told, out)?,
        Output::Json => {
            serde_json::to_writer_pretty(&mut *out, &told).map_err(io::Error::from)?;
            writeln!(out)?;
        }
    }
    let by_a_route = told.changes.iter().any(|change| change.decides);
    let of_the_log = told.log.as_ref().is_some_and(|log| !log.otherwise.is_empty());
    if by_a_route || of_the_log { Err(Failure::told(Failure::WORLD)) } else { Ok(()) }
}

/// Loads both, and tells everything that is wrong with either, each with its file.
fn load(old: &Sources, new: &Sources) -> Result<(Config, Config), ConfigError> {
    match (config::load(old), config::load(new)) {
        (Ok(Loaded { config: before, .. }), Ok(Loaded { config: after, .. })) => Ok((before, after)),
        (Err(mut error), Err(other)) => {
            // What the environment has wrong is wrong for both.
            error.problems.extend(other.problems);
            error.problems.dedup();
            error.files.extend(other.files);
            Err(error)
        }
        (Err(error), _) | (_, Err(error)) => Err(error),
    }
}

fn ask(side: Side, path: &Path, clock: &Clock) -> Result<Asking, DiffError> {
    let tasks = Tasks::new(Handle::current());
    let gateway = Gateway::to_explain(side.config.clone(), true, tasks, clock.clone())
        .map_err(|source| DiffError::Unusable { name: path.display().to_string(), source })?;
    Ok(Asking { side, gateway })
}
