use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Limits a tenant's concurrent requests, at all its CAs together.
///
/// A limit for each account does not limit a tenant who creates many accounts. Each request may use as much memory as an answer
/// has, for as long as the server takes to send it. Clones are one share.
#[derive(Clone, Debug)]
pub struct Share(Arc<Semaphore>);

impl Share {
    /// Concurrent requests for one tenant: those of two busy accounts.
    pub const REQUESTS: usize = 32;

    /// A share of `requests` concurrent requests, and at least one.
    #[must_use]
    pub fn new(requests: usize) -> Self {
        Self(Arc::new(Semaphore::new(requests.clamp(1, Semaphore::MAX_PERMITS))))
    }

    /// Whether a request is in progress, or another owner holds the share.
    #[must_use]
    pub fn is_in_use(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }

    pub(super) fn try_enter(&self) -> Option<OwnedSemaphorePermit> {
        self.0.clone().try_acquire_owned().ok()
    }

    /// Never `None`: the semaphore is never closed.
    pub(super) async fn enter(&self) -> Option<OwnedSemaphorePermit> {
        self.0.clone().acquire_owned().await.ok()
    }
}

impl Default for Share {
    fn default() -> Self {
        Self::new(Self::REQUESTS)
    }
}
