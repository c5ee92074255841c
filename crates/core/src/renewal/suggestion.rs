//! The CA's renewal information (RFC 9773): when it is requested, and how the answers are used.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::phase::in_phase;
use super::{LEAST_USE, default_use, latest, part, whole_seconds};
use crate::naming::stable_fraction;
use certwright_acme::{AcmeError, RenewalInfo, SuggestedWindow};
use certwright_api::{CheckInterval, RenewalInfoStatus, SuggestedWindowStatus};
use certwright_pki::Leaf;

/// How often the CA is asked, unless it sets an interval (RFC 9773 section 4.3.3).
const INTERVAL: Duration = Duration::from_secs(6 * 3600);
/// The shortest and the longest interval (section 4.3.2).
const INTERVAL_BOUNDS: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(24 * 3600));
/// The first wait after a failure; it doubles with each further one, up to [`INTERVAL`].
const FIRST_WAIT: Duration = Duration::from_secs(60);
/// This many failures in a row are not reported.
const SILENT_FAILURES: u32 = 2;
/// After a restart, requests whose last time is unknown are spread over this time.
const SPREAD: Duration = Duration::from_secs(600);
/// The minimum time a certificate is used if the CA wanted its predecessor replaced early. With each further early replacement
/// it is [`EARLY_FACTOR`] times longer, until only the lifetime counts. A CA that wants every certificate replaced immediately
/// therefore gets one order immediately and one after each of these waits (2 h, 12 h, 3 d, 18 d, 108 d) that is shorter than
/// the normal use, and no further ones: five too many for certificates of 90 days, ever, not per lifetime.
const FIRST_EARLY_WAIT: SignedDuration = SignedDuration::from_hours(2);
const EARLY_FACTOR: i64 = 6;
/// If the CA wanted a certificate replaced only after this part of its normal use, the series of early replacements ends.
const FAIR_USE: f64 = 0.5;
/// A suggested window that is longer than this part of the lifetime is ignored.
const WIDEST_WINDOW: f64 = 0.5;
/// Longer URLs are ignored.
const MAX_URL: usize = 2000;

/// What a process remembers of its last request about a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RenewalInfoPoll {
    /// The certificate.
    pub certificate_id: String,
    /// When that was.
    pub at: Timestamp,
    /// Failures in a row.
    pub failures: u32,
    /// When to ask again, if that does not follow from the status.
    pub again: Option<Timestamp>,
}

/// Whether and when to ask the CA.
#[derive(Clone, Copy, Debug)]
pub struct RenewalInfoPolling<'a> {
    /// Whether it is asked at all.
    pub wanted: bool,
    /// The last request of this process, if any.
    pub asked: Option<&'a RenewalInfoPoll>,
    /// Since when this process has been asking.
    pub began: Timestamp,
}

impl RenewalInfoPolling<'_> {
    /// When the CA is to be asked about `leaf`; `None` if never.
    pub fn next(&self, leaf: &Leaf, status: Option<&RenewalInfoStatus>, uid: &str) -> Option<Timestamp> {
        self.next_about(leaf.certificate_id.as_ref()?, leaf.not_after, status, uid)
    }

    /// The same, about the certificate with this id.
    pub fn next_about(
        &self,
        id: &str,
        not_after: Timestamp,
        status: Option<&RenewalInfoStatus>,
        uid: &str,
    ) -> Option<Timestamp> {
        if !self.wanted {
            return None;
        }
        let status = status.filter(|status| status.certificate_id == id);
        let asked = self.asked.filter(|asked| asked.certificate_id == id);
        let again = match (asked, status) {
            (Some(RenewalInfoPoll { again: Some(again), .. }), _) => *again,
            (Some(asked), Some(status)) => next_of_series(status, asked.at),
            (Some(asked), None) => after(asked.at, INTERVAL),
            (None, Some(status)) if status.check_interval.is_some() => next_of_series(status, self.began),
            (None, Some(_)) => after(self.began, SPREAD.mul_f64(stable_fraction(uid))),
            (None, None) => Timestamp::MIN,
        };
        // Section 4.3: not after it has expired.
        (again <= not_after).then_some(again)
    }
}

/// The first time after `time` that is a whole number of intervals after `since`.
fn next_of_series(status: &RenewalInfoStatus, time: Timestamp) -> Timestamp {
    let interval = status.check_interval.map_or(INTERVAL, Duration::from).max(INTERVAL_BOUNDS.0);
    let since = status.since.0;
    let seconds = i64::try_from(interval.as_secs()).unwrap_or(i64::MAX);
    let passed = time.duration_since(since).as_secs().max(0) / seconds;
    let next = SignedDuration::from_secs(seconds.saturating_mul(passed + 1));
    since.saturating_add(next).unwrap_or(Timestamp::MAX)
}

fn after(time: Timestamp, wait: Duration) -> Timestamp {
    time.saturating_add(SignedDuration::try_from(wait).unwrap_or(SignedDuration::MAX)).unwrap_or(time)
}

/// Why there is no usable suggestion.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoSuggestion {
    /// The call failed.
    #[error(transparent)]
    Call(#[from] AcmeError),
    /// There was no answer in time.
    #[error("fetching the renewal information failed: no answer in time")]
    TooSlow,
    /// Section 4.2 calls it invalid.
    #[error("the window that the CA suggests ends at {end}, not after its start at {start}")]
    Inverted {
        /// Its beginning.
        start: Timestamp,
        /// Its end.
        end: Timestamp,
    },
    /// The window is too long to be useful.
    #[error("the window that the CA suggests, from {start} to {end}, is longer than half of the lifetime")]
    Wide {
        /// Its beginning.
        start: Timestamp,
        /// Its end.
        end: Timestamp,
    },
    /// Following it would leave the Secret without a valid certificate.
    #[error("the window that the CA suggests begins at {start}, after the certificate expires")]
    AfterExpiry {
        /// Its beginning.
        start: Timestamp,
    },
}

impl NoSuggestion {
    /// Whether it may be a temporary error (section 4.3.3).
    fn is_temporary(&self) -> bool {
        match self {
            Self::Call(AcmeError::Malformed { .. }) => false,
            Self::Call(error) => error.status().is_none_or(|status| status >= 500 || status == 429),
            Self::TooSlow => true,
            Self::Inverted { .. } | Self::Wide { .. } | Self::AfterExpiry { .. } => false,
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Call(error) => error.retry_after(),
            _ => None,
        }
    }
}

/// One request to the CA, and the effect of its answer: the new status, and what the process remembers.
#[derive(Clone, Copy, Debug)]
pub struct RenewalInfoRequest<'a> {
    /// The certificate.
    pub leaf: &'a Leaf,
    /// Its id.
    pub certificate_id: &'a str,
    /// The Certificate's uid, which determines what is chosen by chance.
    pub uid: &'a str,
    /// URL of the account in use.
    pub account: &'a str,
    /// The status before.
    pub before: Option<&'a RenewalInfoStatus>,
    /// Failures in a row before this question.
    pub failures: u32,
    /// The time.
    pub now: Timestamp,
    /// The CA's time.
    pub at_ca: Timestamp,
}

impl RenewalInfoRequest<'_> {
    /// The CA has answered, and may have said how long to wait before the next request.
    pub fn answered(
        &self,
        info: &RenewalInfo,
        retry_after: Option<Duration>,
    ) -> (RenewalInfoStatus, RenewalInfoPoll) {
        let asked = retry_after.unwrap_or(INTERVAL).clamp(INTERVAL_BOUNDS.0, INTERVAL_BOUNDS.1);
        if let Err(why) = usable(info.suggested_window, self.leaf) {
            return self.unusable(&why, asked);
        }
        let mut status = self.begin();
        let window = recorded(info.suggested_window);
        if is_news(status.suggested_window.as_ref(), &window, self.at_ca) {
            let selected = select(&window, self.leaf, self.uid);
            let earliest = earliest_wish(&status).filter(|earliest| *earliest < selected);
            status.earliest_time = earliest.map(Time);
            status.selected_time = Some(Time(selected));
            status.suggested_window = Some(window);
        }
        status.check_interval = Some(interval(status.check_interval, asked));
        status.explanation_url.clone_from(&info.explanation_url);
        status.explanation_url.take_if(|url| !is_page(url));
        status.last_error = None;
        (self.end(status), self.asked(0, None))
    }

    /// The CA has no such service.
    pub fn without_service(&self) -> RenewalInfoPoll {
        self.asked(0, Some(after(self.now, INTERVAL_BOUNDS.1)))
    }

    /// There was no usable answer.
    pub fn failed(&self, why: &NoSuggestion) -> (Option<RenewalInfoStatus>, RenewalInfoPoll) {
        if let NoSuggestion::Call(AcmeError::Paused { until }) = why {
            return (self.before.cloned(), self.asked(self.failures, Some(*until)));
        }
        let at_least = why.retry_after().unwrap_or_default().clamp(INTERVAL_BOUNDS.0, INTERVAL_BOUNDS.1);
        if !why.is_temporary() {
            let (status, asked) = self.unusable(why, INTERVAL.max(at_least));
            return (Some(status), asked);
        }
        let failures = self.failures.saturating_add(1);
        let doubled = FIRST_WAIT.saturating_mul(1u32.checked_shl(failures - 1).unwrap_or(u32::MAX));
        let wait = doubled.min(INTERVAL).max(at_least);
        let jitter = wait.mul_f64(0.2 * stable_fraction(&format!("{}/{failures}", self.uid)));
        let asked = self.asked(failures, Some(after(self.now, wait + jitter)));
        match failures > SILENT_FAILURES {
            true => (Some(self.with_error(why)), asked),
            false => (self.before.cloned(), asked),
        }
    }

    fn unusable(&self, why: &NoSuggestion, wait: Duration) -> (RenewalInfoStatus, RenewalInfoPoll) {
        (self.with_error(why), self.asked(0, Some(after(self.now, wait))))
    }

    fn with_error(&self, why: &NoSuggestion) -> RenewalInfoStatus {
        self.end(RenewalInfoStatus { last_error: Some(why.to_string()), ..self.begin() })
    }

    /// The current status for this certificate.
    fn begin(&self) -> RenewalInfoStatus {
        if let Some(same) = self.before.filter(|before| before.certificate_id == self.certificate_id) {
            return same.clone();
        }
        RenewalInfoStatus {
            certificate_id: self.certificate_id.to_owned(),
            account: self.account.to_owned(),
            first_checked: Time(whole_seconds(self.at_ca)),
            since: Time(whole_seconds(self.now)),
            check_interval: None,
            suggested_window: None,
            selected_time: None,
            earliest_time: None,
            explanation_url: None,
            early_renewals: self.before.and_then(|before| early_renewals(before, self.leaf, self.at_ca)),
            last_error: None,
        }
    }

    /// A change updates `since`.
    fn end(&self, mut status: RenewalInfoStatus) -> RenewalInfoStatus {
        if self.before != Some(&status) {
            status.since = Time(whole_seconds(self.now));
        }
        status
    }

    fn asked(&self, failures: u32, again: Option<Timestamp>) -> RenewalInfoPoll {
        RenewalInfoPoll { certificate_id: self.certificate_id.to_owned(), at: self.now, failures, again }
    }
}

fn usable(window: SuggestedWindow, leaf: &Leaf) -> Result<(), NoSuggestion> {
    let SuggestedWindow { start, end } = window;
    let lifetime = leaf.not_after.duration_since(leaf.not_before);
    if end <= start {
        Err(NoSuggestion::Inverted { start, end })
    } else if end.duration_since(start) > part(lifetime, WIDEST_WINDOW) {
        Err(NoSuggestion::Wide { start, end })
    } else if start >= leaf.not_after {
        Err(NoSuggestion::AfterExpiry { start })
    } else {
        Ok(())
    }
}

/// As a status holds it.
fn recorded(window: SuggestedWindow) -> SuggestedWindowStatus {
    SuggestedWindowStatus { start: Time(whole_seconds(window.start)), end: Time(whole_seconds(window.end)) }
}

/// A time in `window`, always the same for the same certificate.
fn select(window: &SuggestedWindowStatus, leaf: &Leaf, uid: &str) -> Timestamp {
    let lifetime = leaf.not_after.duration_since(leaf.not_before);
    in_phase((leaf.not_before, lifetime), (window.start.0, window.end.0), uid)
}

/// The interval to use: the recorded one, unless the CA wants fewer requests, or many more. A value that varies with each
/// answer does not cause a write each time.
fn interval(recorded: Option<CheckInterval>, asked: Duration) -> CheckInterval {
    let keeps = |recorded: &CheckInterval| {
        let recorded = Duration::from(*recorded);
        recorded >= asked && recorded <= asked.saturating_mul(3) / 2
    };
    recorded.filter(keeps).unwrap_or(CheckInterval::clamped(asked))
}

fn is_page(url: &str) -> bool {
    let uri = url.parse::<http::Uri>();
    url.len() <= MAX_URL && uri.is_ok_and(|uri| matches!(uri.scheme_str(), Some("http" | "https")))
}

/// Whether a window differs in meaning from the recorded one. Two windows in the past both mean "immediately", for example if a
/// CA computes its window from the time of each request.
fn is_news(recorded: Option<&SuggestedWindowStatus>, window: &SuggestedWindowStatus, now: Timestamp) -> bool {
    let is_over = |window: &SuggestedWindowStatus| window.end.0 <= now;
    recorded.is_none_or(|recorded| recorded != window && !(is_over(recorded) && is_over(window)))
}

/// The earliest time at which the CA wanted the certificate replaced, even if it has changed that since. Its window counts from the
/// start: which moment in it a Certificate picks does not say what the CA wants.
fn earliest_wish(status: &RenewalInfoStatus) -> Option<Timestamp> {
    let start = status.suggested_window.as_ref().map(|window| &window.start);
    let times = [status.earliest_time.as_ref(), status.selected_time.as_ref(), start];
    times.into_iter().flatten().map(|time| time.0).min()
}

/// How many certificates in a row the CA wanted replaced early, now that `leaf` follows the one that `before` is about. It does
/// not matter whether they were kept longer, or replaced even earlier in a renewal window: the series ends only when the CA
/// lets a certificate be used.
fn early_renewals(before: &RenewalInfoStatus, leaf: &Leaf, now: Timestamp) -> Option<i32> {
    let counted = before.early_renewals;
    let Some(wish) = earliest_wish(before) else { return counted };
    let used = wish.duration_since(before.first_checked.0);
    let lifetime = leaf.not_after.duration_since(leaf.not_before);
    if used < part(lifetime, LEAST_USE) {
        return Some(counted.unwrap_or_default().saturating_add(1));
    }
    // A certificate that was replaced before that time, for another reason, does not show that the CA would have let it be
    // used.
    let shown = wish <= now;
    counted.filter(|_| !shown || used < part(default_use(lifetime), FAIR_USE))
}

/// The renewal time that the CA suggests, if any.
///
/// If the CA wants a certificate replaced immediately, and also wanted its predecessors replaced early, the renewal is delayed,
/// but not beyond `otherwise`, the time without a suggestion. A suggested time that is too close to expiry is moved forward.
pub fn suggested_time(
    leaf: &Leaf,
    status: Option<&RenewalInfoStatus>,
    otherwise: Timestamp,
) -> Option<Timestamp> {
    let status = status.filter(|status| leaf.certificate_id.as_ref() == Some(&status.certificate_id))?;
    let selected = status.selected_time.as_ref()?.0;
    let lifetime = leaf.not_after.duration_since(leaf.not_before);
    let waited = early_wait(status.early_renewals.unwrap_or_default(), lifetime);
    let earliest = status.first_checked.0.saturating_add(waited).unwrap_or(otherwise).min(otherwise);
    Some(selected.max(earliest).min(latest(leaf.not_before, leaf.not_after)))
}

/// How long a certificate is kept at least, if this many before it had to be replaced early.
pub(crate) fn early_wait(renewals: i32, lifetime: SignedDuration) -> SignedDuration {
    let Ok(further) = u32::try_from(renewals.saturating_sub(1)) else { return SignedDuration::ZERO };
    let first = FIRST_EARLY_WAIT.min(part(lifetime, LEAST_USE));
    let factor = EARLY_FACTOR.saturating_pow(further);
    SignedDuration::from_secs(first.as_secs().saturating_mul(factor))
}

#[cfg(test)]
mod tests;
