//! The one place where a clock is read; everything else is handed the time.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

/// The time of day.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the clock")]
pub fn now() -> Timestamp {
    Timestamp::now()
}

/// A point on a clock that never goes back: what deadlines are counted on.
#[must_use]
pub fn instant() -> Instant {
    Instant::now()
}

/// Measures how long something takes.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Begins to measure.
    #[must_use]
    pub fn start() -> Self {
        Self(instant())
    }

    /// The time since [`Stopwatch::start`].
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}
