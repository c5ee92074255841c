use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::AcmeError;
use crate::code::{Class, Code};
use crate::rate_limit::{About, about};

/// Limits an account's requests in flight, and pauses the account when the CA asks for it.
///
/// All clones of an [`Account`](super::Account) share one limiter. If the CA rate-limits one Certificate, all of them pause.
#[derive(Clone, Debug)]
pub struct Limiter {
    in_flight: Arc<Semaphore>,
    places: u32,
    paused_until: Arc<Mutex<Option<Timestamp>>>,
}

/// One place among the requests in flight, or all places. Dropping it frees them.
#[derive(Debug)]
pub(super) struct Place {
    /// Always `Some`: the semaphore is never closed.
    _permit: Option<OwnedSemaphorePermit>,
}

/// The pause after a rate limit without a `Retry-After`.
const DEFAULT_PAUSE: Duration = Duration::from_secs(60);

/// The longest pause of a whole account.
const LONGEST_PAUSE: Duration = Duration::from_secs(60 * 60);

/// The longest pause after the CA rate-limits an order without saying whether the limit is for its names or for the account.
/// The Certificate concerned waits as long as the CA says. The others do not wait as long for a limit that may not apply to
/// them; if it does, the next order shows it.
const LONGEST_PAUSE_IN_DOUBT: Duration = Duration::from_secs(5 * 60);

impl Limiter {
    /// The default number of requests in flight for one account.
    pub const DEFAULT_IN_FLIGHT: usize = 16;

    /// Allows at most `in_flight` concurrent requests, and at least one.
    #[must_use]
    pub fn new(in_flight: usize) -> Self {
        let places = u32::try_from(in_flight.clamp(1, Semaphore::MAX_PERMITS)).unwrap_or(u32::MAX);
        let in_flight = Arc::new(Semaphore::new(usize::try_from(places).unwrap_or(Semaphore::MAX_PERMITS)));
        Self { in_flight, places, paused_until: Arc::default() }
    }

    /// When the current pause ends, if there is one at `now`.
    pub(super) fn paused_until(&self, now: Timestamp) -> Option<Timestamp> {
        (*self.paused_until.lock()).filter(|until| *until > now)
    }

    /// Waits for a place among the requests in flight. Fails during a pause.
    pub(super) async fn enter(&self, clock: fn() -> Timestamp) -> Result<Place, AcmeError> {
        self.take(1, clock).await
    }

    /// Waits until no request is in flight, and blocks others until the place is dropped. Fails during a pause.
    pub(super) async fn enter_alone(&self, clock: fn() -> Timestamp) -> Result<Place, AcmeError> {
        self.take(self.places, clock).await
    }

    async fn take(&self, places: u32, clock: fn() -> Timestamp) -> Result<Place, AcmeError> {
        self.refuse_while_paused(clock())?;
        let place = Place { _permit: self.in_flight.clone().acquire_many_owned(places).await.ok() };
        // The CA may have asked a request ahead of us in the queue to slow down.
        self.refuse_while_paused(clock())?;
        Ok(place)
    }

    /// Starts or extends a pause if `error` asks for one.
    pub(super) fn heed(&self, error: &AcmeError, now: Timestamp) {
        let Some(until) = pause(error).and_then(|pause| now.checked_add(pause).ok()) else { return };
        let mut paused_until = self.paused_until.lock();
        *paused_until = (*paused_until).max(Some(until));
    }

    pub(super) fn refuse_while_paused(&self, now: Timestamp) -> Result<(), AcmeError> {
        self.paused_until(now).map_or(Ok(()), |until| Err(AcmeError::Paused { until }))
    }
}

impl Default for Limiter {
    fn default() -> Self {
        Self::new(Self::DEFAULT_IN_FLIGHT)
    }
}

fn pause(error: &AcmeError) -> Option<Duration> {
    let is_limit = |code: &Code| code.class == Class::RateLimit;
    let too_fast = error.status() == Some(429) || Code::find(error.code()).is_some_and(is_limit);
    let pause = match error.retry_after() {
        Some(wait) if too_fast || error.status() == Some(503) => wait,
        None if too_fast => DEFAULT_PAUSE,
        _ => return None,
    };
    match about(error) {
        About::Names => None,
        About::Account => Some(pause.min(LONGEST_PAUSE)),
        About::AnOrder => Some(pause.min(LONGEST_PAUSE_IN_DOUBT)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Operation, Problem};

    #[tokio::test]
    async fn an_account_pauses_for_as_long_as_a_429_or_503_says() {
        for status in [429, 503] {
            let limiter = Limiter::default();
            limiter.heed(&http(status, Some(90)), NOW);
            let until = NOW + Duration::from_secs(90);
            assert_eq!(limiter.enter(|| NOW).await.unwrap_err(), AcmeError::Paused { until });
            assert_eq!(limiter.paused_until(until), None, "over at that very instant");
        }
    }

    #[test]
    fn a_rate_limit_without_retry_after_pauses_for_a_minute() {
        let limiter = Limiter::default();
        limiter.heed(&http(429, None), NOW);
        assert_eq!(limiter.paused_until(NOW), Some(NOW + DEFAULT_PAUSE));
    }

    #[test]
    fn other_failures_do_not_pause_the_account() {
        let limiter = Limiter::default();
        for error in [http(503, None), http(500, Some(90)), http(403, Some(90))] {
            limiter.heed(&error, NOW);
        }
        assert_eq!(limiter.paused_until(NOW), None);
    }

    #[test]
    fn a_limit_of_days_stops_the_others_for_an_hour_at_most_and_in_doubt_for_minutes() {
        for (operation, longest) in
            [(Operation::Order, LONGEST_PAUSE), (Operation::NewOrder, LONGEST_PAUSE_IN_DOUBT)]
        {
            let limiter = Limiter::default();
            limiter.heed(&of(operation, 429, Some(24 * 3600)), NOW);
            assert_eq!(limiter.paused_until(NOW), Some(NOW + longest));
        }
    }

    #[test]
    fn a_limit_on_names_does_not_pause_the_account() {
        let limiter = Limiter::default();
        let detail =
            "too many certificates (5) already issued for this exact set of identifiers in the last 168h0m0s";
        let problem = Problem {
            typ: "urn:ietf:params:acme:error:rateLimited".to_owned(),
            detail: detail.to_owned(),
            ..Problem::default()
        };
        let error = AcmeError::Problem {
            operation: Operation::NewOrder,
            status: 429,
            problem: Box::new(problem),
            retry_after: Some(Duration::from_secs(3600)),
        };
        limiter.heed(&error, NOW);
        assert_eq!(limiter.paused_until(NOW), None);
    }

    #[test]
    fn a_shorter_pause_does_not_end_a_longer_one() {
        let limiter = Limiter::default();
        limiter.heed(&http(429, Some(90)), NOW);
        limiter.heed(&http(429, Some(10)), NOW);
        assert_eq!(limiter.paused_until(NOW), Some(NOW + Duration::from_secs(90)));
    }

    #[tokio::test]
    async fn a_request_that_waits_for_a_place_fails_if_a_pause_begins() {
        let limiter = Limiter::new(1);
        let first = limiter.enter(|| NOW).await.unwrap();
        let second = tokio::spawn({
            let limiter = limiter.clone();
            async move { limiter.enter(|| NOW).await.map(drop) }
        });
        tokio::task::yield_now().await;
        limiter.heed(&http(429, None), NOW);
        drop(first);
        assert!(matches!(second.await.unwrap(), Err(AcmeError::Paused { .. })));
    }

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn http(status: u16, retry_after: Option<u64>) -> AcmeError {
        of(Operation::NewOrder, status, retry_after)
    }

    fn of(operation: Operation, status: u16, retry_after: Option<u64>) -> AcmeError {
        AcmeError::Http {
            operation,
            host: "ca.example".to_owned(),
            status,
            kind: String::new(),
            retry_after: retry_after.map(Duration::from_secs),
        }
    }
}
