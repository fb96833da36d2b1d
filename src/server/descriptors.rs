//! File descriptors: every connection needs one, and one more for its way to the application.
//!
//! A process that has none left can still accept nothing, but worse, it cannot reach the application for clients that it
//! has accepted. So there are never more clients than there are descriptors to serve them with.

use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// For everything that is not a connection: listeners, runtimes, issuers, certificates that are read, the log.
const RESERVED: usize = 64;

/// Raises the limit of this process as far as it may by itself: the customary 1,024 is there for programs that would not cope
/// with more.
///
/// # Errors
/// What the system says; the limit is then as it was.
pub fn raise_descriptor_limit() -> io::Result<()> {
    let limit = getrlimit(Resource::Nofile);
    if limit.current == limit.maximum {
        return Ok(());
    }
    Ok(setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })?)
}

/// How many clients this process has descriptors for; `None`: no bound.
pub(super) fn connections() -> Option<usize> {
    let limit = usize::try_from(getrlimit(Resource::Nofile).current?).ok()?;
    Some(enough_for(limit))
}

fn enough_for(descriptors: usize) -> usize {
    (descriptors.saturating_sub(RESERVED) / 2).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_connection_has_a_descriptor_for_the_application() {
        assert_eq!(enough_for(256), 96);
        assert_eq!(enough_for(20_064), 10_000);
        assert_eq!(enough_for(10), 1);
    }
}
