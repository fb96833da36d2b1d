//! Where the time comes from.
//!
//! Wall-clock time decides about tokens (`exp`, `nbf`), monotonic time about everything that lasts (grace windows,
//! back-offs), so that a step of the system clock cannot revive a session or end all of them. Nothing below the gateway
//! asks the system for the time by itself: it is handed a [`Clock`] or an instant. This module does *not* make timers;
//! those are tokio's.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use serde::{Deserialize, Serialize};

/// A point of wall-clock time in whole seconds since the Unix epoch: the `NumericDate` of RFC 7519 §2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// This time and `duration` more, in whole seconds; stays at the end of time rather than overflowing.
    #[must_use]
    pub const fn after(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration.as_secs()))
    }

    /// How long it is from `earlier` to this time; zero when `earlier` is in fact later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_secs(self.0.saturating_sub(earlier.0))
    }
}

/// The two times of one moment: monotonic for what lasts, wall-clock for what a token says about itself.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// Monotonic.
    pub instant: Instant,
    /// Wall clock.
    pub wall: Timestamp,
}

impl Now {
    /// This moment by `clock`.
    #[must_use]
    pub fn of(clock: &Clock) -> Self {
        Self { instant: clock.instant(), wall: clock.now() }
    }
}

/// What a line of the log says of when it was written, which no test moves. Not before 1970: that has no name in RFC 3339.
#[must_use]
pub fn time_of_day() -> SystemTime {
    SystemTime::now().max(SystemTime::UNIX_EPOCH)
}

/// The wall clock and the monotonic clock, both of which a test may move forward together.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    adjusted: Option<Arc<Adjusted>>,
}

/// How a test's clock differs from the system's.
#[derive(Debug)]
struct Adjusted {
    /// When it was stopped, if it was: then it moves by being advanced only.
    stopped: Option<(SystemTime, Instant)>,
    /// In milliseconds.
    advanced: AtomicU64,
}

impl Clock {
    /// The clock of the system.
    #[must_use]
    pub const fn system() -> Self {
        Self { adjusted: None }
    }

    /// A clock that starts at the system's time and can be moved with [`Clock::advance`]; clones move together.
    #[must_use]
    pub fn adjustable() -> Self {
        Self { adjusted: Some(Arc::new(Adjusted { stopped: None, advanced: AtomicU64::new(0) })) }
    }

    /// The same, but it stands still until it is moved: for tests in which the time that they take themselves, on a busy
    /// machine, must not count.
    #[must_use]
    pub fn stopped() -> Self {
        let stopped = Some((SystemTime::now(), Instant::now()));
        Self { adjusted: Some(Arc::new(Adjusted { stopped, advanced: AtomicU64::new(0) })) }
    }

    /// Moves an adjustable clock forward, in whole milliseconds. The system's clock does not move.
    pub fn advance(&self, by: Duration) {
        if let Some(adjusted) = &self.adjusted {
            let millis = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
            adjusted.advanced.fetch_add(millis, Ordering::SeqCst);
        }
    }

    /// The wall-clock time. A system clock set before 1970 reads as 1970: every token is then not yet valid, and
    /// nothing panics.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        let (wall, ahead) =
            self.reading().map_or_else(|| (SystemTime::now(), Duration::ZERO), |(now, _, ahead)| (now, ahead));
        let since_epoch = wall.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Timestamp((since_epoch + ahead).as_secs())
    }

    /// The monotonic time, for measuring how long something lasts.
    #[must_use]
    pub fn instant(&self) -> Instant {
        self.reading().map_or_else(Instant::now, |(_, now, ahead)| now + ahead)
    }

    /// Both clocks as they were or are, and how far they were moved since; `None` for the system's clock.
    fn reading(&self) -> Option<(SystemTime, Instant, Duration)> {
        let adjusted = self.adjusted.as_ref()?;
        let (wall, monotonic) = adjusted.stopped.unwrap_or_else(|| (SystemTime::now(), Instant::now()));
        Some((wall, monotonic, Duration::from_millis(adjusted.advanced.load(Ordering::SeqCst))))
    }
}
