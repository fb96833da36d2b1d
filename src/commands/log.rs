//! What is logged, and in which form: standard error, as text for people or as JSON. Standard output belongs to what
//! commands print. How lines get there without making anybody wait is [`lines`]' part.

mod json;
mod lines;
#[cfg(test)]
mod testing;
mod text;

use std::io::{self, IsTerminal as _};
use std::time::Duration;

use tracing_subscriber::filter::{LevelFilter, ParseError, Targets};
use tracing_subscriber::layer::SubscriberExt as _;

use crate::config::{Log, LogFormat};
use crate::server::panic_message;
use json::Json;
use lines::Lines;
use text::Text;

/// How long the end of the process waits for the last lines to be written.
const FLUSH: Duration = Duration::from_secs(1);

/// The protocol crates' own tracing is of no use to operators, and at its lowest levels it is a flood that nobody has
/// looked through for secrets (law 8). Who names one of them in `log.level` gets it.
const QUIET_CRATES: &str = "h2=info,hyper=info,hyper_util=info,reqwest=info,rustls=info,mio=info";

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The operator: `log.level` is not a filter.
    #[error("log.level is not a filter such as `info` or `usher=debug,info`")]
    Level(#[from] ParseError),
    /// The system: the writing thread cannot be started.
    #[error("cannot start the log's thread")]
    Thread(#[source] io::Error),
}

/// Writes what has been logged before it goes.
#[derive(Debug)]
pub struct LogGuard {
    lines: Lines,
}

impl Drop for LogGuard {
    fn drop(&mut self) {
        self.lines.flush_within(FLUSH);
    }
}

/// Starts logging for the whole process. A second call leaves the first log in place.
///
/// # Errors
///
/// The level cannot be parsed, or no thread can be started.
pub fn start(log: &Log) -> Result<LogGuard, LogError> {
    let filter = filter(&log.level)?;
    let lines = Lines::start(io::stderr()).map_err(LogError::Thread)?;
    // A failed write is not reported: the report would go where the write failed.
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(LevelFilter::TRACE)
        .with_writer(lines.clone())
        .with_ansi(log.format == LogFormat::Text && colours())
        .log_internal_errors(false);
    // The only error is that there is a log already.
    let _ = match log.format {
        LogFormat::Text => tracing::subscriber::set_global_default(subscriber.fmt_fields(Text).finish().with(filter)),
        LogFormat::Json => tracing::subscriber::set_global_default(subscriber.event_format(Json).finish().with(filter)),
    };
    log_panics();
    Ok(LogGuard { lines })
}

fn filter(level: &str) -> Result<Targets, ParseError> {
    format!("{QUIET_CRATES},{level}").parse()
}

fn colours() -> bool {
    io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// A panic is a line of the log like others, without its message where that was made of what somebody sent (law 8).
fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let message = panic_message(panic.payload());
        let place = panic.location().map(ToString::to_string);
        tracing::error!(message, place, "a defect of Usher: a panic");
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_a_filter_and_the_protocol_crates_stay_quiet_unless_named() {
        assert!(filter("usher=loud").is_err());
        let quiet = filter("trace").unwrap().to_string();
        assert!(quiet.contains("h2=info") && quiet.contains("trace"), "{quiet}");
        let named = filter("h2=trace,info").unwrap().to_string();
        assert!(named.contains("h2=trace") && !named.contains("h2=info"), "{named}");
    }
}
