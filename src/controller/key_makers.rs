//! Generating an RSA key takes up to minutes of CPU time. This runs on separate threads, with a limited concurrency that
//! namespaces share fairly.

use std::num::NonZero;

use super::error::Error;
use super::fair_queue::FairQueue;
use certwright_pki::{KeyAlgorithm, KeyError, PrivateKey};

/// Generates private keys.
#[derive(Clone)]
pub struct KeyMakers {
    /// All CPUs except one, which is left for everything else.
    usual: FairQueue,
    /// One for the largest keys, so that the others do not wait for minutes.
    large: FairQueue,
}

/// RSA keys with more bits are large.
const LARGE: u32 = 4096;

impl Default for KeyMakers {
    fn default() -> Self {
        let processors = std::thread::available_parallelism().map_or(1, NonZero::get);
        Self { usual: FairQueue::new(processors.saturating_sub(1)), large: FairQueue::new(1) }
    }
}

impl KeyMakers {
    /// Generates a private key for `namespace`. If a namespace waits for several, the smallest comes first.
    ///
    /// # Errors
    /// If the key cannot be generated.
    pub async fn make(&self, algorithm: KeyAlgorithm, namespace: &str) -> Result<PrivateKey, Error> {
        let generate = move || PrivateKey::generate(algorithm);
        let made = match algorithm {
            KeyAlgorithm::Rsa(bits) => {
                let makers = if bits > LARGE { &self.large } else { &self.usual };
                run(makers, namespace, bits, generate).await
            }
            KeyAlgorithm::Ecdsa(_) | KeyAlgorithm::Ed25519 => {
                tokio::task::spawn_blocking(generate).await.ok()
            }
        };
        Ok(made.unwrap_or(Err(KeyError::Generate(algorithm)))?)
    }
}

/// Runs `work` on its own thread when it is its turn; `None` if it panics. Dropping the future leaves the queue. Work that has
/// started cannot be stopped, and keeps its slot until it ends.
async fn run<R: Send + 'static>(
    makers: &FairQueue,
    namespace: &str,
    rank: u32,
    work: impl FnOnce() -> R + Send + 'static,
) -> Option<R> {
    let turn = makers.turn(namespace, rank).await?;
    tokio::task::spawn_blocking(move || {
        let _turn = turn;
        work()
    })
    .await
    .ok()
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::sync::mpsc;

    use futures::FutureExt;
    use tokio::task::yield_now;

    use super::*;

    #[tokio::test]
    async fn work_that_nobody_waits_for_any_more_keeps_its_thread_until_its_end() {
        let makers = FairQueue::new(1);
        let (begun, has_begun) = mpsc::channel();
        let (end, may_end) = mpsc::channel::<()>();
        let abandoned = tokio::spawn(start(&makers, "deleted", move || {
            begun.send(()).unwrap();
            may_end.recv().unwrap();
        }));
        tokio::task::spawn_blocking(move || has_begun.recv().unwrap()).await.unwrap();
        abandoned.abort();
        abandoned.await.unwrap_err();
        let mut next = Box::pin(start(&makers, "next", || "made"));
        for _ in 0..100 {
            assert!(next.as_mut().now_or_never().is_none(), "there is one thread, and it is busy");
            yield_now().await;
        }
        end.send(()).unwrap();
        assert_eq!(next.await, Some("made"));
    }

    #[tokio::test]
    async fn leaving_the_queue_does_not_leak_a_slot() {
        let makers = FairQueue::new(1);
        let (end, may_end) = mpsc::channel::<()>();
        let first = tokio::spawn(start(&makers, "a", move || may_end.recv().unwrap()));
        yield_now().await;
        for _ in 0..100 {
            let mut left = Box::pin(start(&makers, "a", || ()));
            assert!(left.as_mut().now_or_never().is_none());
        }
        let last = tokio::spawn(start(&makers, "b", || ()));
        yield_now().await;
        end.send(()).unwrap();
        first.await.unwrap();
        assert_eq!(last.await.unwrap(), Some(()));
        assert!(makers.is_empty());
    }

    #[tokio::test]
    async fn work_that_panics_frees_its_slot() {
        let makers = FairQueue::new(1);
        assert_eq!(start(&makers, "a", || panic!("in a test")).await, None::<()>);
        assert_eq!(start(&makers, "a", || 1).await, Some(1));
    }

    #[tokio::test]
    async fn a_key_of_8192_bits_does_not_delay_others() {
        let makers = KeyMakers::default();
        let (end, may_end) = mpsc::channel::<()>();
        let large = tokio::spawn({
            let makers = makers.large.clone();
            async move { run(&makers, "greedy", 8192, move || may_end.recv().unwrap()).await }
        });
        yield_now().await;
        for algorithm in [KeyAlgorithm::Rsa(2048), KeyAlgorithm::ECDSA_P256, KeyAlgorithm::Ed25519] {
            assert_eq!(makers.make(algorithm, "modest").await.unwrap().algorithm(), algorithm);
        }
        end.send(()).unwrap();
        large.await.unwrap();
    }

    fn start<R: Send + 'static>(
        makers: &FairQueue,
        namespace: &'static str,
        work: impl FnOnce() -> R + Send + 'static,
    ) -> impl Future<Output = Option<R>> + Send + 'static {
        let makers = makers.clone();
        async move { run(&makers, namespace, 0, work).await }
    }
}
