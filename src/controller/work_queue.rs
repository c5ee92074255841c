//! Which objects of a kind are to be reconciled, and when.

use std::collections::HashMap;
use std::future::poll_fn;
use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::stream::FuturesUnordered;
use futures::{Stream, StreamExt};
use tokio_util::time::{DelayQueue, delay_queue};

/// How many of the objects that are there at the start are in the queue at a time.
const AT_THE_START: usize = 128;

/// Works on all objects that are `there` at the start, and then on those that are requested, until the requests end and those
/// under way are done. `work` returns after which time the object is due again, if it is.
pub async fn work_through<T: Eq + Hash, F: Future<Output = (Started<T>, Option<Duration>)>>(
    there: impl IntoIterator<Item = T>,
    requests: impl Stream<Item = T>,
    work: impl Fn(Started<T>) -> F,
) {
    let (mut queue, mut running) = (WorkQueue::default(), FuturesUnordered::new());
    let mut requests = std::pin::pin!(requests);
    let mut at_the_start = there.into_iter();
    loop {
        while running.len() < AT_THE_START
            && let Some(object) = at_the_start.next()
        {
            running.extend(queue.add(object).map(&work));
        }
        let due = tokio::select! {
            request = requests.next() => match request {
                Some(object) => queue.add(object),
                None => break,
            },
            Some((started, again)) = running.next() => queue.end(started, again),
            started = queue.pass_time() => Some(started),
        };
        running.extend(due.map(&work));
    }
    while running.next().await.is_some() {}
}

/// [`DelayQueue`] panics at delays of more than about two years. After a longer wait than this, the object is reconciled once early,
/// and waits again.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);

/// When each object is reconciled. An object is never reconciled twice at the same time: what is requested during its reconcile is
/// done afterwards.
pub struct WorkQueue<T> {
    later: DelayQueue<Arc<T>>,
    states: HashMap<Arc<T>, State>,
}

enum State {
    Later(delay_queue::Key),
    /// It is due or under way; and whether it has been requested since the reconcile began.
    Started(Arc<AtomicBool>),
}

/// An object that is to be reconciled now.
pub struct Started<T> {
    /// The object.
    pub object: Arc<T>,
    requested: Arc<AtomicBool>,
}

impl<T> Started<T> {
    /// Its reconcile begins: it will see all changes so far.
    pub fn begins(&self) {
        self.requested.store(false, Ordering::Relaxed);
    }
}

impl<T> Default for WorkQueue<T> {
    fn default() -> Self {
        Self { later: DelayQueue::new(), states: HashMap::new() }
    }
}

impl<T: Eq + Hash> WorkQueue<T> {
    /// Requests a reconcile of `object`, which is returned unless it is started already.
    pub fn add(&mut self, object: T) -> Option<Started<T>> {
        match self.states.remove_entry(&object) {
            Some((object, State::Started(requested))) => {
                requested.store(true, Ordering::Relaxed);
                self.states.insert(object, State::Started(requested));
                None
            }
            Some((object, State::Later(key))) => {
                self.later.remove(&key);
                Some(self.start(object))
            }
            None => Some(self.start(Arc::new(object))),
        }
    }

    /// The reconcile of an object has ended; the next one is due after `wait`, if there is a time. It is returned if it has been
    /// requested again in the meantime.
    pub fn end(&mut self, started: Started<T>, wait: Option<Duration>) -> Option<Started<T>> {
        let Started { object, requested } = started;
        if requested.load(Ordering::Relaxed) {
            return Some(self.start(object));
        }
        match wait {
            Some(wait) => {
                let key = self.later.insert(object.clone(), wait.min(LONGEST));
                self.states.insert(object, State::Later(key));
            }
            None => drop(self.states.remove(&object)),
        }
        None
    }

    /// Waits until the next object is due; forever, if there is none.
    pub async fn pass_time(&mut self) -> Started<T> {
        match poll_fn(|context| self.later.poll_expired(context)).await {
            Some(expired) => self.start(expired.into_inner()),
            None => std::future::pending().await,
        }
    }

    fn start(&mut self, object: Arc<T>) -> Started<T> {
        let requested = Arc::<AtomicBool>::default();
        self.states.insert(object.clone(), State::Started(requested.clone()));
        Started { object, requested }
    }
}

#[cfg(test)]
mod tests;
