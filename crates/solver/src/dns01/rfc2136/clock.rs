//! The difference between the server's clock and ours.

use std::fmt;

use jiff::Timestamp;

/// The server's clock and ours. `Display` shows their difference in a unit that is so coarse that the text is the same for each
/// attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockDifference {
    /// Our clock.
    pub ours: Timestamp,
    /// The server's clock.
    pub theirs: Timestamp,
}

impl ClockDifference {
    pub(super) fn new(ours: Timestamp, theirs: u64) -> Option<Self> {
        let theirs = Timestamp::from_second(i64::try_from(theirs).ok()?).ok()?;
        Some(Self { ours, theirs })
    }

    /// Their difference, in seconds.
    #[must_use]
    pub fn seconds(&self) -> i64 {
        (self.theirs.as_second() - self.ours.as_second()).abs()
    }
}

impl fmt::Display for ClockDifference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MINUTE: i64 = 60;
        const HOUR: i64 = 60 * MINUTE;
        const DAY: i64 = 24 * HOUR;
        let seconds = self.seconds();
        let (number, unit) = match seconds {
            0..HOUR => (seconds / MINUTE, "minute"),
            HOUR..DAY => (seconds / HOUR, "hour"),
            _ => (seconds / DAY, "day"),
        };
        let plural = if number == 1 { "" } else { "s" };
        let side = if self.theirs > self.ours { "ahead of" } else { "behind" };
        write!(f, "its clock is {number} {unit}{plural} {side} ours")
    }
}
