//! The only place where the clock is read; everything else receives the time as a parameter.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

/// The time of day.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the clock")]
pub fn now() -> Timestamp {
    Timestamp::now()
}

/// How long it is until `time`; nothing, if it has passed.
#[must_use]
pub fn until(time: Timestamp) -> Duration {
    Duration::try_from(time.duration_since(now())).unwrap_or_default()
}

/// The time of a monotonic clock, for deadlines.
#[must_use]
pub fn instant() -> Instant {
    Instant::now()
}

/// Measures how long something takes.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts to measure.
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
