//! What `certwright top` does outside of the screen.

use crate::command::rows::Key;

/// What a key causes outside of the screen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    None,
    Quit,
    /// Read what there is to show about an object.
    Open(Key),
    /// Make a request about an object.
    Ask(Request, Key),
}

/// A request to the operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Request {
    Renew,
    Retry,
}

impl Request {
    /// As a verb.
    pub(super) fn verb(self) -> &'static str {
        match self {
            Self::Renew => "Renew",
            Self::Retry => "Retry",
        }
    }

    /// As a noun.
    pub(super) fn noun(self) -> &'static str {
        match self {
            Self::Renew => "renewal",
            Self::Retry => "retry",
        }
    }
}
