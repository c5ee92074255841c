//! Short-lived credentials, kept until shortly before they expire.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use aws_lc_rs::digest::{Context, SHA256};
use certwright_egress::recent::Recent;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::Mutex;

use crate::error::ServiceError;

/// Credentials are renewed when this is left of their lifetime. Google's metadata service hands out the same token until 5 minutes
/// are left of it, so a larger margin would ask it anew each time.
const MARGIN: SignedDuration = SignedDuration::from_mins(3);
/// Credentials are renewed after this time, even if they are valid for longer: rights may have been withdrawn.
const LONGEST: SignedDuration = SignedDuration::from_hours(1);
/// The maximum number of credentials. Tenants can name any number of roles and keys.
const MOST: usize = 500;

/// A bounded number of credentials. While one is being requested, nobody else requests the same one.
pub(super) struct Cache<V> {
    clock: fn() -> Timestamp,
    cells: Recent<Key, Arc<Cell<V>>>,
}

/// Everything that credentials depend on, as a digest: keys of a cache are no place for secrets.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Key([u8; 32]);

/// Credentials, and how long they are valid.
#[derive(Clone)]
pub(super) struct Lent<V> {
    pub value: V,
    pub expires: Timestamp,
}

struct Cell<V> {
    /// How many requests have ended.
    ended: AtomicU64,
    /// How the last one has ended. It is locked during a request.
    last: Mutex<Option<Result<Lent<V>, ServiceError>>>,
}

impl<V: Clone> Cache<V> {
    pub fn new(clock: fn() -> Timestamp) -> Self {
        Self { clock, cells: Recent::new(MOST, clock) }
    }

    /// The credentials under `key`, requested by `request` unless they are known. Everybody who waits for a request gets its result,
    /// also if it fails.
    pub async fn get(
        &self,
        key: Key,
        request: impl Future<Output = Result<Lent<V>, ServiceError>>,
    ) -> Result<V, ServiceError> {
        let cell = self.cells.get_or_replace(&key, |_| true, Arc::default());
        let before = cell.ended.load(Ordering::Acquire);
        let mut last = cell.last.lock().await;
        let now = (self.clock)();
        match &*last {
            Some(result) if cell.ended.load(Ordering::Acquire) != before => {
                return result.clone().map(|lent| lent.value);
            }
            Some(Ok(lent)) if lent.expires.duration_since(now) > MARGIN => return Ok(lent.value.clone()),
            _ => {}
        }
        let result = request.await.map(|lent| {
            let longest = now.saturating_add(LONGEST + MARGIN).unwrap_or(lent.expires);
            Lent { expires: lent.expires.min(longest), ..lent }
        });
        *last = Some(result.clone());
        cell.ended.fetch_add(1, Ordering::Release);
        result.map(|lent| lent.value)
    }
}

impl<V> Default for Cell<V> {
    fn default() -> Self {
        Self { ended: AtomicU64::new(0), last: Mutex::new(None) }
    }
}

impl Key {
    /// Parts in their order. Different parts have different keys.
    pub fn of(parts: &[&str]) -> Self {
        let mut context = Context::new(&SHA256);
        for part in parts {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part.as_bytes());
        }
        let mut key = [0; 32];
        key.copy_from_slice(context.finish().as_ref());
        Self(key)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell as StdCell;

    use futures::future::{join, join_all};

    use super::*;

    thread_local! {
        static NOW: StdCell<i64> = const { StdCell::new(0) };
    }

    fn clock() -> Timestamp {
        Timestamp::from_second(NOW.get()).unwrap()
    }

    /// Counts the requests, each of which takes a while.
    #[derive(Default)]
    struct Requests(AtomicU64);

    impl Requests {
        async fn lend(&self, lifetime: i64) -> Result<Lent<u64>, ServiceError> {
            let expires = Timestamp::from_second(NOW.get() + lifetime).unwrap();
            tokio::task::yield_now().await;
            Ok(Lent { value: self.0.fetch_add(1, Ordering::SeqCst) + 1, expires })
        }

        async fn fail(&self) -> Result<Lent<u64>, ServiceError> {
            tokio::task::yield_now().await;
            let number = self.0.fetch_add(1, Ordering::SeqCst) + 1;
            Err(ServiceError::new(format!("no {number}")))
        }
    }

    #[tokio::test]
    async fn credentials_are_kept_until_three_minutes_before_they_expire() {
        let (cache, requests, key) = (Cache::new(clock), Requests::default(), Key::of(&["a"]));
        assert_eq!(cache.get(key, requests.lend(900)).await.unwrap(), 1);
        NOW.set(719);
        assert_eq!(cache.get(key, requests.lend(900)).await.unwrap(), 1);
        NOW.set(720);
        assert_eq!(cache.get(key, requests.lend(900)).await.unwrap(), 2);
    }

    #[tokio::test]
    async fn credentials_are_kept_for_at_most_an_hour() {
        let (cache, requests, key) = (Cache::new(clock), Requests::default(), Key::of(&["a"]));
        assert_eq!(cache.get(key, requests.lend(1_000_000)).await.unwrap(), 1);
        NOW.set(3599);
        assert_eq!(cache.get(key, requests.lend(900)).await.unwrap(), 1);
        NOW.set(3600);
        assert_eq!(cache.get(key, requests.lend(900)).await.unwrap(), 2);
    }

    #[tokio::test]
    async fn those_who_wait_share_one_request_whether_it_succeeds_or_fails() {
        let (cache, requests, key) = (Cache::new(clock), Requests::default(), Key::of(&["a"]));
        let refused = join_all((0..20).map(|_| cache.get(key, requests.fail()))).await;
        assert!(refused.iter().all(|result| result.as_ref().unwrap_err().message == "no 1"), "{refused:?}");
        let short = join_all((0..20).map(|_| cache.get(key, requests.lend(10)))).await;
        assert!(short.iter().all(|result| *result.as_ref().unwrap() == 2), "{short:?}");
    }

    #[tokio::test]
    async fn a_failure_is_not_kept() {
        let (cache, requests, key) = (Cache::new(clock), Requests::default(), Key::of(&["a"]));
        cache.get(key, requests.fail()).await.unwrap_err();
        assert_eq!(cache.get(key, requests.lend(900)).await.unwrap(), 2);
    }

    #[tokio::test]
    async fn other_keys_do_not_wait_and_a_request_that_is_given_up_is_made_again() {
        let (cache, requests) = (Cache::new(clock), Requests::default());
        let (slow, other) = (Key::of(&["slow"]), Key::of(&["other"]));
        let mut waiting = std::pin::pin!(cache.get(slow, std::future::pending()));
        assert!(futures::poll!(&mut waiting).is_pending());
        assert_eq!(cache.get(other, requests.lend(900)).await.unwrap(), 1);
        let given_up = Box::pin(cache.get(other, requests.lend(900)));
        drop(given_up);
        let mut first =
            Box::pin(cache.get(Key::of(&["third"]), std::future::pending::<Result<Lent<u64>, _>>()));
        assert!(futures::poll!(&mut first).is_pending());
        let second = cache.get(Key::of(&["third"]), requests.lend(900));
        let (second, ()) = join(second, async { drop(first) }).await;
        assert_eq!(second.unwrap(), 2);
    }

    #[test]
    fn keys_of_different_parts_differ() {
        assert!(Key::of(&["ab", "c"]) != Key::of(&["a", "bc"]));
        assert!(Key::of(&["a", ""]) != Key::of(&["a"]));
        assert!(Key::of(&["a", "b"]) == Key::of(&["a", "b"]));
    }
}
