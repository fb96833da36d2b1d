//! What the binary can do: one file per command.
//!
//! A command takes its arguments, prints for people to standard output, logs to standard error, and returns how it went.

pub mod check;
pub mod demo;
pub mod diff;
pub mod doctor;
pub mod explain;
pub mod health;
pub mod import;
pub mod log;
mod restart;
pub mod schema;
pub mod serve;
pub mod session;
pub mod shell;
pub mod source;
mod table;
pub mod user;

use std::error::Error;
use std::io;

use crate::config::ConfigError;

/// Why a command failed: what to tell, and the exit code. The cause chain says who is at fault.
#[derive(Debug)]
pub struct Failure {
    reason: Reason,
    code: u8,
}

#[derive(Debug)]
enum Reason {
    /// Everything that is wrong with a configuration, which renders itself.
    Configuration(ConfigError),
    /// An error and its causes.
    Error(Box<dyn Error + Send + Sync>),
    /// It has been told already.
    Told,
}

impl Failure {
    /// Exit code of a problem with the configuration: `EX_CONFIG` of sysexits.h.
    pub const CONFIGURATION: u8 = 78;
    /// Exit code of everything else that the world can do to us.
    pub const WORLD: u8 = 1;

    /// The operator's configuration is at fault.
    pub fn configuration(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { reason: Reason::Error(error.into()), code: Self::CONFIGURATION }
    }

    /// Anything else.
    pub fn world(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { reason: Reason::Error(error.into()), code: Self::WORLD }
    }

    /// A failure of which nothing is left to say.
    #[must_use]
    pub const fn told(code: u8) -> Self {
        Self { reason: Reason::Told, code }
    }

    /// With another exit code.
    #[must_use]
    pub fn with_code(self, code: u8) -> Self {
        Self { code, ..self }
    }

    /// What the process exits with.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        self.code
    }

    /// What to print: the problems of a configuration, styled for a terminal, or the whole chain of causes, one a line, the
    /// outermost first. Empty when everything has been said.
    #[must_use]
    pub fn report(&self) -> String {
        let error = match &self.reason {
            Reason::Configuration(error) => return format!("{}\n", error.styled()),
            Reason::Error(error) => error,
            Reason::Told => return String::new(),
        };
        format!("error: {}\n", causes(&**error).join("\n  because: "))
    }
}

/// What an error and its causes say, the outermost first.
fn causes(error: &dyn Error) -> Vec<String> {
    let mut causes = vec![error.to_string()];
    let mut cause = error.source();
    while let Some(error) = cause {
        causes.push(error.to_string());
        cause = error.source();
    }
    causes
}

/// Output that cannot be written. When its reader has gone away (`usher schema | head`), there is nobody to tell.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::told(Self::WORLD),
            _ => Self::world(error),
        }
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self { reason: Reason::Configuration(error), code: Self::CONFIGURATION }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("the door is shut")]
    struct Shut(#[source] std::io::Error);

    #[test]
    fn a_report_names_every_cause_once() {
        let failure = Failure::world(Shut(std::io::Error::other("somebody locked it")));
        assert_eq!(failure.report(), "error: the door is shut\n  because: somebody locked it\n");
        assert_eq!(failure.exit_code(), 1);
        assert_eq!(Failure::configuration("bad").exit_code(), 78);
    }
}
