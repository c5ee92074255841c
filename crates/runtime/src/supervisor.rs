//! Tasks that last as long as the process or its leadership: none of them may end unnoticed.

use std::collections::HashMap;
use std::future::{Future, pending};

use tokio::task::{Id, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use super::liveness::Liveness;
use super::panics::Panic;

/// A group of long-lived tasks. They are cancelled when it is dropped.
#[derive(Debug)]
pub struct Supervisor {
    liveness: Liveness,
    tasks: JoinSet<()>,
    names: HashMap<Id, String>,
}

/// A task that ended unexpectedly.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the task \"{task}\" {how}")]
pub struct Ended {
    task: String,
    how: How,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
enum How {
    #[error("has ended")]
    Returned,
    #[error("was cancelled")]
    BrokenOff,
    #[error(transparent)]
    Panicked(Panic),
}

impl Supervisor {
    /// A group without tasks. Their activity is reported to `liveness`.
    #[must_use]
    pub fn new(liveness: Liveness) -> Self {
        Self { liveness, tasks: JoinSet::new(), names: HashMap::new() }
    }

    /// Starts a task. Must be called within a tokio runtime.
    pub fn spawn(&mut self, name: impl Into<String>, task: impl Future<Output = ()> + Send + 'static) {
        let name = name.into();
        let task = self.liveness.attend(&name, task);
        let id = self.tasks.spawn(task).id();
        self.names.insert(id, name);
    }

    /// Waits until one of the tasks ends, or forever if there is none.
    pub async fn ended(&mut self) -> Ended {
        match self.next().await {
            Some(ended) => ended,
            None => pending().await,
        }
    }

    /// Waits until all tasks have ended. None may end before `stop`, and none may panic.
    ///
    /// # Errors
    /// [`Ended`], with the first task that did.
    pub async fn until_done(&mut self, stop: &CancellationToken) -> Result<(), Ended> {
        while let Some(ended) = self.next().await {
            if ended.how != How::Returned || !stop.is_cancelled() {
                return Err(ended);
            }
        }
        Ok(())
    }

    /// Cancels the tasks, and waits until they are gone.
    pub async fn end(mut self) {
        self.tasks.shutdown().await;
    }

    async fn next(&mut self) -> Option<Ended> {
        let joined = self.tasks.join_next_with_id().await?;
        let id = joined.as_ref().map_or_else(JoinError::id, |(id, ())| *id);
        let task = self.names.remove(&id).unwrap_or_default();
        Some(Ended::of(task, joined.map(drop)))
    }
}

impl Ended {
    /// How a task ended, according to its handle.
    pub fn of(task: impl Into<String>, joined: Result<(), JoinError>) -> Self {
        let how = match joined.map_err(JoinError::try_into_panic) {
            Ok(()) => How::Returned,
            Err(Ok(payload)) => How::Panicked(Panic::of(&*payload)),
            Err(Err(_)) => How::BrokenOff,
        };
        Self { task: task.into(), how }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    /// Within how long the end of a task is noticed.
    const SOON: Duration = Duration::from_secs(1);

    #[tokio::test]
    async fn a_task_that_panics_is_named_with_the_message_within_a_second() {
        let mut tasks = supervisor();
        tasks.spawn("watch of Issuers", async {
            tokio::task::yield_now().await;
            panic!("no such field");
        });
        let ended = timeout(SOON, tasks.ended()).await.unwrap();
        assert_eq!(ended.to_string(), "the task \"watch of Issuers\" panicked: no such field");
    }

    #[tokio::test]
    async fn a_task_that_returns_is_named_within_a_second() {
        let mut tasks = supervisor();
        tasks.spawn("http-01 responder", async {});
        let ended = timeout(SOON, tasks.ended()).await.unwrap();
        assert_eq!(ended.to_string(), "the task \"http-01 responder\" has ended");
    }

    #[tokio::test]
    async fn tasks_may_end_once_they_are_told_to_but_never_panic() {
        let stop = CancellationToken::new();
        let mut tasks = supervisor();
        tasks.spawn("controller of Issuers", stop.clone().cancelled_owned());
        stop.cancel();
        assert_eq!(tasks.until_done(&stop).await, Ok(()));

        let mut tasks = supervisor();
        tasks.spawn("controller of Issuers", async { panic!("at the last moment") });
        let ended = tasks.until_done(&stop).await.unwrap_err();
        assert_eq!(ended.to_string(), "the task \"controller of Issuers\" panicked: at the last moment");

        let mut tasks = supervisor();
        tasks.spawn("controller of Issuers", async {});
        let ended = tasks.until_done(&CancellationToken::new()).await.unwrap_err();
        assert_eq!(ended.to_string(), "the task \"controller of Issuers\" has ended");
    }

    #[tokio::test]
    async fn tasks_are_gone_once_the_supervisor_has_ended_them() {
        let held = std::sync::Arc::new(());
        let mut tasks = supervisor();
        let holds = held.clone();
        tasks.spawn("holder", async move {
            pending::<()>().await;
            drop(holds);
        });
        tokio::task::yield_now().await;
        tasks.end().await;
        assert_eq!(std::sync::Arc::strong_count(&held), 1);
    }

    fn supervisor() -> Supervisor {
        Supervisor::new(Liveness::default())
    }
}
