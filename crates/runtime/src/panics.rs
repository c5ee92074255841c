//! Panics: each is logged where it happens, and caught where it affects only one object.

use std::any::Any;
use std::future::Future;
use std::panic::{self, AssertUnwindSafe};

use futures::FutureExt;
use tracing::error;

/// A message can quote data, such as a string that was sliced inside a character.
const LONGEST_MESSAGE: usize = 300;

/// A caught panic.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("panicked: {0}")]
pub struct Panic(String);

impl Panic {
    /// From the payload of a panic.
    #[must_use]
    pub fn of(payload: &(dyn Any + Send)) -> Self {
        let text = payload
            .downcast_ref::<&'static str>()
            .copied()
            .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
            .unwrap_or("it gave no message");
        let printable = text.chars().map(|letter| if letter.is_control() { ' ' } else { letter });
        Self(printable.take(LONGEST_MESSAGE).collect())
    }
}

/// Logs every panic of this process with its location and the fields of the current spans, instead of Rust's default output.
pub fn log() {
    panic::set_hook(Box::new(|info| {
        let Panic(message) = Panic::of(info.payload());
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        let thread = std::thread::current();
        error!(
            panic = message,
            place,
            thread = thread.name().unwrap_or("unnamed"),
            "a panic: this is a bug in Certwright, please report it"
        );
    }));
}

/// Calls a function that may panic. Its shared state must tolerate being left incomplete: our locks ignore poisoning.
///
/// # Errors
/// [`Panic`]
pub fn catch<R>(what: impl FnOnce() -> R) -> Result<R, Panic> {
    panic::catch_unwind(AssertUnwindSafe(what)).map_err(|payload| Panic::of(&*payload))
}

/// Runs a future that may panic, as [`catch`] does with a function.
///
/// # Errors
/// [`Panic`]
pub async fn caught<F: Future>(future: F) -> Result<F::Output, Panic> {
    AssertUnwindSafe(future).catch_unwind().await.map_err(|payload| Panic::of(&*payload))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_of_a_panic_is_one_line_of_bounded_length() {
        assert_eq!(catch(|| panic!("no such key")), Err::<(), _>(Panic("no such key".to_owned())));
        let quoted = format!("two\nlines \u{1b}[31m{}", "é".repeat(1000));
        let told = catch(|| panic!("{quoted}")).map(|(): ()| ()).unwrap_err().to_string();
        assert!(told.starts_with("panicked: two lines  [31mé"), "{told}");
        assert_eq!(told.chars().count(), "panicked: ".len() + LONGEST_MESSAGE);
    }

    #[tokio::test]
    async fn a_future_that_panics_after_it_has_waited_is_caught() {
        let panics = async {
            tokio::task::yield_now().await;
            std::panic::panic_any(7);
        };
        assert_eq!(caught(panics).await, Err::<(), _>(Panic("it gave no message".to_owned())));
        assert_eq!(caught(async { 7 }).await, Ok(7));
    }
}
