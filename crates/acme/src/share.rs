use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How many requests one tenant may have under way at once, at all its CAs together.
///
/// A limit for each account does not bound a tenant who makes accounts: each request may hold as much memory as an answer
/// has, for as long as a server takes to send it. Clones are one share.
#[derive(Clone, Debug)]
pub struct Share(Arc<Semaphore>);

impl Share {
    /// Requests under way for one tenant: those of two accounts that are busy.
    pub const REQUESTS: usize = 32;

    /// A share of so many requests, and at least one.
    #[must_use]
    pub fn new(requests: usize) -> Self {
        Self(Arc::new(Semaphore::new(requests.clamp(1, Semaphore::MAX_PERMITS))))
    }

    /// Whether a request is under way, or somebody else holds it.
    #[must_use]
    pub fn is_in_use(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }

    pub(super) fn try_enter(&self) -> Option<OwnedSemaphorePermit> {
        self.0.clone().try_acquire_owned().ok()
    }

    /// `None` never comes, since the semaphore is never closed.
    pub(super) async fn enter(&self) -> Option<OwnedSemaphorePermit> {
        self.0.clone().acquire_owned().await.ok()
    }
}

impl Default for Share {
    fn default() -> Self {
        Self::new(Self::REQUESTS)
    }
}
