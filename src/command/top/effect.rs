//! What `certwright top` does outside of the screen.

use crate::command::kind::Kind;
use crate::command::outlook::named;

/// What a key causes outside of the screen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    None,
    Quit,
    /// Read what there is to show about an object.
    Open(Opened),
    /// Make a request about an object.
    Ask(Request, Opened),
}

/// A request to the operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Request {
    Renew,
    Retry,
}

/// An object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Opened {
    pub(super) kind: Kind,
    pub(super) namespace: Option<String>,
    pub(super) name: String,
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

impl Opened {
    /// Its name in messages.
    pub(super) fn called(&self) -> String {
        named(self.kind.as_str(), self.namespace.as_deref(), &self.name)
    }
}
