//! The windows in which a renewal may start.

use std::sync::LazyLock;

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::tz::{TimeZone, TimeZoneDatabase};
use jiff::{SignedDuration, Timestamp};

use certwright_api::RenewalWindow;
use certwright_text::escaped;

/// The time zones as of the build, independent of the system's database.
static ZONES: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);

/// Windows in which a renewal may start; without any, it may start at any time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Windows(Vec<Window>);

#[derive(Clone, Debug, PartialEq)]
struct Window {
    opens: Cron,
    zone: TimeZone,
    length: SignedDuration,
}

/// A period in which a renewal may start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Opening {
    /// Its beginning.
    pub opens: Timestamp,
    /// Its end (exclusive).
    pub closes: Timestamp,
}

/// A window that is invalid. Indexes start at 0, as in a field path.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidWindow {
    /// `cron` cannot be read.
    #[error("renewal.windows[{0}].cron: '{1}' is not a cron expression such as '0 2 * * 6': {2}")]
    Cron(usize, String, String),
    /// `cron` names a date that does not exist.
    #[error("renewal.windows[{0}].cron: '{1}' never occurs")]
    Never(usize, String),
    /// `timezone` is unknown.
    #[error("renewal.windows[{0}].timezone: '{1}' is not an IANA time zone such as Europe/Paris")]
    Zone(usize, String),
}

impl Windows {
    /// Parses the windows of a spec.
    ///
    /// # Errors
    /// [`InvalidWindow`], with a message that names the field.
    pub fn new(spec: &[RenewalWindow]) -> Result<Self, InvalidWindow> {
        spec.iter()
            .enumerate()
            .map(|(index, window)| Window::new(index, window))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The window that is open at `time`; of several, the one that closes last.
    pub fn open_at(&self, time: Timestamp) -> Option<Opening> {
        let last = self.0.iter().filter_map(|window| window.last(time));
        last.filter(|opening| opening.closes > time).max_by_key(|opening| opening.closes)
    }

    /// The window that opens next after `time`.
    pub fn next(&self, time: Timestamp) -> Option<Opening> {
        self.0.iter().filter_map(|window| window.next(time)).min()
    }

    /// The last window before `time`, if none is open.
    pub fn last(&self, time: Timestamp) -> Option<Opening> {
        self.0.iter().filter_map(|window| window.last(time)).max_by_key(|opening| opening.closes)
    }
}

/// A user's text in a message.
fn shown(text: &str) -> String {
    escaped(text, 200)
}

impl Window {
    fn new(index: usize, spec: &RenewalWindow) -> Result<Self, InvalidWindow> {
        let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
        let opens = parser
            .parse(&spec.cron)
            .map_err(|error| InvalidWindow::Cron(index, shown(&spec.cron), shown(&error.to_string())))?;
        let zone = match spec.timezone.as_deref() {
            None | Some("") => TimeZone::UTC,
            Some(name) => ZONES.get(name).map_err(|_| InvalidWindow::Zone(index, shown(name)))?,
        };
        let length = SignedDuration::from(spec.window_duration);
        let window = Self { opens, zone, length };
        match window.next(Timestamp::UNIX_EPOCH) {
            Some(_) => Ok(window),
            None => Err(InvalidWindow::Never(index, shown(&spec.cron))),
        }
    }

    fn next(&self, time: Timestamp) -> Option<Opening> {
        let next = self.opens.find_next_occurrence(&time.to_zoned(self.zone.clone()), false).ok()?;
        Some(self.opening(next.timestamp()))
    }

    fn last(&self, time: Timestamp) -> Option<Opening> {
        let last = self.opens.find_previous_occurrence(&time.to_zoned(self.zone.clone()), true).ok()?;
        Some(self.opening(last.timestamp()))
    }

    fn opening(&self, opens: Timestamp) -> Opening {
        Opening { opens, closes: opens.saturating_add(self.length).unwrap_or(Timestamp::MAX) }
    }
}

#[cfg(test)]
mod tests;
