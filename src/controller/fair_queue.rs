//! Limits concurrency. Namespaces take turns, so that none delays another.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio::sync::oneshot;

use certwright_core::fair_slots::FairSlots;

/// The limit and the queue. Clones share both.
#[derive(Clone)]
pub struct FairQueue(Arc<Inner>);

struct Inner {
    shares: Mutex<FairSlots<oneshot::Sender<()>>>,
    ids: AtomicU64,
}

/// A turn, or a place in the queue; it ends when it is dropped.
pub struct Turn {
    turns: FairQueue,
    id: String,
}

impl FairQueue {
    /// This many at a time, and at least one.
    pub fn new(limit: usize) -> Self {
        Self(Arc::new(Inner { shares: Mutex::new(FairSlots::new(limit)), ids: AtomicU64::new(0) }))
    }

    /// The same, with this many reserved for namespaces that have none.
    pub fn with_reserve(limit: usize, reserve: usize) -> Self {
        let shares = Mutex::new(FairSlots::new(limit).with_reserve(reserve));
        Self(Arc::new(Inner { shares, ids: AtomicU64::new(0) }))
    }

    /// Waits for a turn of `namespace`, in which the lowest `rank` comes first. Dropping the future leaves the queue.
    pub async fn turn(&self, namespace: &str, rank: u32) -> Option<Turn> {
        let (token, given) = oneshot::channel();
        let id = self.0.ids.fetch_add(1, Ordering::Relaxed).to_string();
        let has_place = self.0.shares.lock().take(&id, namespace, rank, token);
        let turn = Turn { turns: self.clone(), id };
        if !has_place {
            given.await.ok()?;
        }
        Some(turn)
    }

    /// Whether nobody has a turn or waits for one.
    #[cfg(test)]
    pub fn is_empty(&self) -> bool {
        self.0.shares.lock().is_empty()
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let next = self.turns.0.shares.lock().free(&self.id);
        // A receiver that is gone frees its own turn.
        for token in next {
            let _ = token.send(());
        }
    }
}
