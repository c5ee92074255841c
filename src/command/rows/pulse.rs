//! Whether the API server answers at all. A watch does not tell: it is silent as long as nothing changes, and also if the network
//! has lost its connection, as after a change of networks.

use std::convert::Infallible;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::command::error::words;

/// The time between two questions.
const BETWEEN: Duration = Duration::from_secs(5);
/// How long the API server may take to answer one. A busy one is slow, but not away.
const PATIENCE: Duration = Duration::from_secs(15);

/// Why the API server does not answer; `None` if it does.
#[derive(Debug, Default)]
pub struct Pulse(watch::Sender<Option<String>>);

impl Pulse {
    /// Asks the API server without end.
    pub async fn feel<A>(&self, ask: impl Fn() -> A) -> Infallible
    where
        A: Future<Output = Result<(), kube::Error>>,
    {
        let mut questions = interval(BETWEEN);
        questions.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            questions.tick().await;
            let fault = match timeout(PATIENCE, ask()).await {
                Err(_) => Some(format!("the API server has not answered for {} seconds", PATIENCE.as_secs())),
                // To refuse is to answer.
                Ok(Ok(()) | Err(kube::Error::Api(_))) => None,
                Ok(Err(error)) => Some(words(&error)),
            };
            self.0.send_replace(fault);
        }
    }

    /// Returns why the API server does not answer, at once if it does not already.
    pub async fn stops(&self) -> String {
        let mut fault = self.0.subscribe();
        let stopped = fault.wait_for(Option::is_some).await;
        // The sender is as old as this.
        stopped.ok().and_then(|fault| fault.clone()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::future::pending;

    use futures::FutureExt;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_api_server_that_is_silent_is_noticed_and_also_that_it_answers_again() {
        let (pulse, silent) = (Pulse::default(), Cell::new(false));
        let ask = async || if silent.get() { pending().await } else { Ok(()) };
        let during = async |time: u64| drop(timeout(Duration::from_secs(time), pulse.feel(&ask)).await);
        during(60).await;
        assert_eq!(pulse.stops().now_or_never(), None);
        silent.set(true);
        let words = tokio::select! {
            words = pulse.stops() => words,
            never = pulse.feel(&ask) => match never {},
        };
        assert_eq!(words, "the API server has not answered for 15 seconds");
        assert_eq!(pulse.stops().now_or_never(), Some(words), "it still does not");
        silent.set(false);
        during(1).await;
        assert_eq!(pulse.stops().now_or_never(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_is_an_answer() {
        let pulse = Pulse::default();
        let refused = async || Err(kube::Error::Api(kube::core::Status::default().boxed()));
        let _ = timeout(Duration::from_secs(60), pulse.feel(refused)).await;
        assert_eq!(pulse.stops().now_or_never(), None);
    }
}
