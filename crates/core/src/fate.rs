//! What can happen to the effects of a state machine, for the worlds of the tests.

use proptest::prelude::*;

/// What happens to one effect: a call to the CA or to a provider, or a write to the API server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Works,
    /// It has no effect, and an error is returned.
    Refused,
    /// It takes effect, but the answer is lost.
    AnswerLost,
    /// The process is killed before it.
    KilledBefore,
    /// The process is killed after it.
    KilledAfter,
}

/// The reconcile ended: the process was killed, or the API server failed.
#[derive(Debug)]
pub(crate) struct Broken;

pub(crate) fn fates() -> impl Strategy<Value = Vec<Fate>> {
    let fate = prop_oneof![
        4 => Just(Fate::Works),
        1 => Just(Fate::Refused),
        1 => Just(Fate::AnswerLost),
        1 => Just(Fate::KilledBefore),
        1 => Just(Fate::KilledAfter),
    ];
    prop::collection::vec(fate, 0..30)
}
