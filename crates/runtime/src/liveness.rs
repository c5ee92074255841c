//! Whether the process works: the state behind `/healthz`.
//!
//! Only problems that a restart can fix count. An API server that does not answer is no reason to restart; a single watch
//! without answers, while others have them, is.

use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use tokio::time::{Instant, MissedTickBehavior};

use super::clock;

/// How often the runtime proves that it runs tasks.
const BEAT: Duration = Duration::from_secs(1);
/// How long the runtime may run no task.
const LONGEST_SILENCE_OF_RUNTIME: Duration = Duration::from_secs(30);
/// How long a task may block its thread. None should for more than a few milliseconds.
const LONGEST_RUN: Duration = Duration::from_secs(60);
/// How long reconciles may run while none of them does anything. The timeout of each of their requests is much shorter.
const LONGEST_STANDSTILL: Duration = Duration::from_secs(15 * 60);
/// How long a watch may get no answer from the API server while others do. Each watch restarts every five minutes.
const LONGEST_SILENCE_OF_WATCH: Duration = Duration::from_secs(15 * 60);
/// If no watch gets an answer for longer than this, the API server is away.
const LONGEST_PAUSE_OF_API_SERVER: Duration = Duration::from_secs(6 * 60);

/// The signs of life of this process. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Liveness(Arc<Mutex<Signs>>);

#[derive(Debug, Default)]
struct Signs {
    /// When the runtime last ran the task that proves this.
    beat: Option<Instant>,
    tasks: Vec<Arc<Task>>,
    /// When the API server last started to answer a request of any watch.
    heard: Option<Instant>,
    /// How long it has been available in total.
    there: Duration,
    /// When it last answered each watch, by resource.
    answered: BTreeMap<String, Answered>,
    reconciles_under_way: usize,
    /// When a reconcile last started or ended, or a CA answered it or did not answer in time.
    reconciles_moved: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct Answered {
    at: Instant,
    /// How long it had been available in total.
    there: Duration,
}

#[derive(Debug)]
struct Task {
    name: String,
    /// Since when it has been running on a thread.
    runs: Mutex<Option<Instant>>,
}

/// A running reconcile, until this is dropped.
#[derive(Debug)]
pub struct Reconciling(Liveness);

impl Liveness {
    /// While this runs, it proves that the runtime runs tasks.
    pub async fn beat(self) {
        let mut beats = tokio::time::interval(BEAT);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            beats.tick().await;
            self.signs().beat = Some(clock::instant());
        }
    }

    /// Runs a task, and records when it runs on a thread.
    pub fn attend<F: Future>(&self, name: &str, future: F) -> impl Future<Output = F::Output> + use<F> {
        let task = Arc::new(Task { name: name.to_owned(), runs: Mutex::new(None) });
        self.signs().tasks.push(task.clone());
        let attended = Attended { liveness: self.clone(), task };
        async move {
            let mut future = pin!(future);
            poll_fn(|context| {
                let _runs = attended.task.run();
                future.as_mut().poll(context)
            })
            .await
        }
    }

    /// The API server has started to answer a request of a watch. The content does not matter: a restarted process would get
    /// the same.
    pub fn answered(&self, watched: &str, now: Instant) {
        let mut signs = self.signs();
        let pause = signs.heard.replace(now).map(|before| now.saturating_duration_since(before));
        signs.there += pause.filter(|pause| *pause <= LONGEST_PAUSE_OF_API_SERVER).unwrap_or_default();
        let answered = Answered { at: now, there: signs.there };
        match signs.answered.get_mut(watched) {
            Some(last) => *last = answered,
            None => drop(signs.answered.insert(watched.to_owned(), answered)),
        }
    }

    /// The longest time since the API server last answered a watch.
    #[must_use]
    pub fn silence(&self, now: Instant) -> Duration {
        let oldest = self.signs().answered.values().map(|answered| answered.at).min();
        oldest.map(|at| now.saturating_duration_since(at)).unwrap_or_default()
    }

    /// These resources are no longer watched.
    pub fn unwatched(&self, which: impl Fn(&str) -> bool) {
        self.signs().answered.retain(|watched, _| !which(watched));
    }

    /// A reconcile starts.
    #[must_use]
    pub fn reconcile(&self) -> Reconciling {
        let mut signs = self.signs();
        signs.reconciles_under_way += 1;
        signs.reconciles_moved = Some(clock::instant());
        Reconciling(self.clone())
    }

    /// A CA has answered a reconcile, or has not answered in time.
    pub fn reconcile_moved(&self) {
        self.signs().reconciles_moved = Some(clock::instant());
    }

    /// What is wrong, if a restart would help.
    #[must_use]
    pub fn ailment(&self, now: Instant) -> Option<String> {
        let signs = self.signs();
        let of_runtime = signs.ailment_of_runtime(now);
        let of_tasks = || signs.tasks.iter().find_map(|task| task.ailment(now));
        of_runtime
            .or_else(of_tasks)
            .or_else(|| signs.ailment_of_reconciles(now))
            .or_else(|| signs.ailment_of_watches())
    }

    fn signs(&self) -> MutexGuard<'_, Signs> {
        self.0.lock()
    }
}

impl Drop for Reconciling {
    fn drop(&mut self) {
        let mut signs = self.0.signs();
        signs.reconciles_under_way = signs.reconciles_under_way.saturating_sub(1);
        signs.reconciles_moved = Some(clock::instant());
    }
}

impl Signs {
    fn ailment_of_runtime(&self, now: Instant) -> Option<String> {
        let silence = longer_than(LONGEST_SILENCE_OF_RUNTIME, self.beat?, now)?;
        Some(format!("no task has run for {} s", silence.as_secs()))
    }

    fn ailment_of_reconciles(&self, now: Instant) -> Option<String> {
        let standstill = longer_than(LONGEST_STANDSTILL, self.reconciles_moved?, now)?;
        let (count, seconds) = (self.reconciles_under_way, standstill.as_secs());
        (count > 0)
            .then(|| format!("{count} reconciles are under way, and none has made progress for {seconds} s"))
    }

    fn ailment_of_watches(&self) -> Option<String> {
        let (watched, last) = self.answered.iter().min_by_key(|(_, answered)| answered.there)?;
        let silence = self.there.saturating_sub(last.there);
        let seconds = silence.as_secs();
        (silence > LONGEST_SILENCE_OF_WATCH).then(|| {
            format!("the API server has answered other watches for {seconds} s, but not that of {watched}")
        })
    }
}

impl Task {
    fn run(&self) -> Runs<'_> {
        *self.runs.lock() = Some(clock::instant());
        Runs(self)
    }

    fn ailment(&self, now: Instant) -> Option<String> {
        let since = (*self.runs.lock())?;
        let blocked = longer_than(LONGEST_RUN, since, now)?;
        Some(format!("the task \"{}\" has held its thread for {} s", self.name, blocked.as_secs()))
    }
}

/// A task is running on a thread.
struct Runs<'a>(&'a Task);

impl Drop for Runs<'_> {
    fn drop(&mut self) {
        *self.0.runs.lock() = None;
    }
}

/// A task exists.
struct Attended {
    liveness: Liveness,
    task: Arc<Task>,
}

impl Drop for Attended {
    fn drop(&mut self) {
        self.liveness.signs().tasks.retain(|task| !Arc::ptr_eq(task, &self.task));
    }
}

fn longer_than(limit: Duration, since: Instant, now: Instant) -> Option<Duration> {
    let passed = now.saturating_duration_since(since);
    (passed > limit).then_some(passed)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[tokio::test(start_paused = true)]
    async fn a_runtime_that_runs_no_task_for_half_a_minute_is_unhealthy() {
        let liveness = Liveness::default();
        let began = clock::instant();
        assert_eq!(liveness.ailment(began + MINUTE), None, "not started yet");
        let beating = tokio::spawn(liveness.clone().beat());
        pass(10 * MINUTE).await;
        assert_eq!(liveness.ailment(clock::instant()), None);
        beating.abort();
        pass(MINUTE).await;
        let ailment = liveness.ailment(clock::instant()).unwrap();
        assert!(ailment.starts_with("no task has run for "), "{ailment}");
    }

    /// Lets time pass while tasks run.
    async fn pass(time: Duration) {
        let _ = tokio::time::timeout(time, std::future::pending::<()>()).await;
    }

    #[tokio::test]
    async fn a_task_that_does_not_give_its_thread_back_is_named() {
        let liveness = Liveness::default();
        let (observed, looked) = (liveness.clone(), clock::instant() + 2 * MINUTE);
        let task = liveness.attend("controller of Issuers", async move {
            tokio::task::yield_now().await;
            observed.ailment(looked)
        });
        assert_eq!(liveness.ailment(looked), None, "it waits");
        assert!(
            task.await.unwrap().starts_with("the task \"controller of Issuers\" has held its thread for ")
        );
        assert_eq!(liveness.ailment(looked), None, "it is over");
        assert!(liveness.signs().tasks.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn reconciles_without_progress_are_an_ailment_and_an_empty_queue_is_not() {
        let liveness = Liveness::default();
        let first = liveness.reconcile();
        tokio::time::advance(10 * MINUTE).await;
        let second = liveness.reconcile();
        tokio::time::advance(10 * MINUTE).await;
        assert_eq!(liveness.ailment(clock::instant()), None, "the second began ten minutes ago");
        tokio::time::advance(6 * MINUTE).await;
        let ailment = "2 reconciles are under way, and none has made progress for 960 s";
        assert_eq!(liveness.ailment(clock::instant()).as_deref(), Some(ailment));
        liveness.reconcile_moved();
        assert_eq!(liveness.ailment(clock::instant()), None, "a CA has answered one of them");
        tokio::time::advance(16 * MINUTE).await;
        assert!(liveness.ailment(clock::instant()).is_some());
        drop(first);
        assert_eq!(liveness.ailment(clock::instant()), None);
        drop(second);
        tokio::time::advance(100 * MINUTE).await;
        assert_eq!(liveness.ailment(clock::instant()), None, "nothing is to do");
    }

    #[test]
    fn a_watch_without_answers_while_others_have_them_is_an_ailment() {
        let liveness = Liveness::default();
        let start = clock::instant();
        let later = |minutes: u32| start + minutes * MINUTE;
        liveness.answered("certificates", start);
        for minutes in [0, 5, 10, 15] {
            liveness.answered("issuers", later(minutes));
        }
        assert_eq!(liveness.ailment(later(15)), None);
        liveness.answered("issuers", later(20));
        let ailment = "the API server has answered other watches for 1200 s, but not that of certificates";
        assert_eq!(liveness.ailment(later(20)).as_deref(), Some(ailment));
        liveness.unwatched(|watched| watched == "certificates");
        assert_eq!(liveness.ailment(later(20)), None);
    }

    #[test]
    fn an_api_server_that_is_away_is_not_an_ailment_then_or_when_it_is_back() {
        let liveness = Liveness::default();
        let start = clock::instant();
        let later = |minutes: u32| start + minutes * MINUTE;
        liveness.answered("certificates", start);
        liveness.answered("issuers", later(4));
        assert_eq!(liveness.ailment(later(100)), None, "nobody hears anything");
        liveness.answered("issuers", later(100));
        assert_eq!(liveness.ailment(later(101)), None, "the other watch may still wait for its next attempt");
        liveness.answered("certificates", later(101));
        liveness.answered("issuers", later(105));
        assert_eq!(liveness.ailment(later(105)), None);
    }
}
