//! Where log lines go: standard error, as text for people or as JSON. Standard output belongs to what commands print.
//!
//! A line is handed to a thread that writes it. When nobody takes the lines (a full pipe, a stuck disk) they pile up to a
//! bound and are then lost and counted: logging never makes a request wait, and never ends the process.

use std::io::{self, IsTerminal as _, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::fmt::MakeWriter;

use crate::config::{Log, LogFormat};
use crate::server::panic_message;

/// Lines that wait to be written.
const WAITING_LINES: usize = 8192;
/// How long the end of the process waits for them.
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
        .with_env_filter(filter)
        .with_writer(lines.clone())
        .with_ansi(log.format == LogFormat::Text && colours())
        .log_internal_errors(false);
    // The only error is that there is a log already.
    let _ = match log.format {
        LogFormat::Text => tracing::subscriber::set_global_default(subscriber.finish()),
        LogFormat::Json => tracing::subscriber::set_global_default(subscriber.json().flatten_event(true).finish()),
    };
    log_panics();
    Ok(LogGuard { lines })
}

fn filter(level: &str) -> Result<EnvFilter, ParseError> {
    EnvFilter::try_new(format!("{QUIET_CRATES},{level}"))
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

impl Drop for LogGuard {
    fn drop(&mut self) {
        let lost = self.lines.lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            tracing::warn!(lost, "log lines were lost because nobody took them");
        }
        let (written, all_written) = sync_channel(1);
        if self.lines.queue.try_send(Line::Flush(written)).is_ok() {
            // Nobody may be taking the lines.
            let _ = all_written.recv_timeout(FLUSH);
        }
    }
}

enum Line {
    Text(Vec<u8>),
    /// Answered when everything before it has been written.
    Flush(SyncSender<()>),
}

/// The queue of lines; each event is one `write` of a whole line.
#[derive(Clone, Debug)]
struct Lines {
    queue: SyncSender<Line>,
    lost: Arc<AtomicU64>,
}

impl Lines {
    fn start(sink: impl Write + Send + 'static) -> io::Result<Self> {
        let (queue, waiting) = sync_channel(WAITING_LINES);
        thread::Builder::new().name("usher-log".to_owned()).spawn(move || write_all(&waiting, sink))?;
        Ok(Self { queue, lost: Arc::default() })
    }
}

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.queue.try_send(Line::Text(line.to_owned())).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// Writes lines until nobody can send any. A sink that fails (a closed pipe) loses them.
fn write_all(waiting: &Receiver<Line>, mut sink: impl Write) {
    for line in waiting {
        match line {
            Line::Text(text) => {
                let _ = sink.write_all(&text);
            }
            Line::Flush(written) => {
                let _ = sink.flush();
                let _ = written.try_send(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    struct Stuck(Receiver<()>);

    impl Write for Stuck {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.0.recv();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_stuck_sink_loses_lines_and_holds_nobody_up() {
        let (release, stuck) = mpsc::channel();
        let mut lines = Lines::start(Stuck(stuck)).unwrap();
        for _ in 0..WAITING_LINES + 100 {
            lines.write_all(b"line\n").unwrap();
        }
        assert!(lines.lost.load(Ordering::Relaxed) >= 99);
        drop(release);
    }

    #[test]
    fn a_closed_sink_is_no_error() {
        struct Closed;
        impl Write for Closed {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
        }
        let mut lines = Lines::start(Closed).unwrap();
        lines.write_all(b"line\n").unwrap();
        drop(LogGuard { lines });
    }

    #[test]
    fn a_level_is_a_filter_and_the_protocol_crates_stay_quiet_unless_named() {
        assert!(filter("not a [ level").is_err());
        let quiet = filter("trace").unwrap().to_string();
        assert!(quiet.contains("h2=info") && quiet.contains("trace"), "{quiet}");
        let named = filter("h2=trace,info").unwrap().to_string();
        assert!(named.contains("h2=trace") && !named.contains("h2=info"), "{named}");
    }
}
