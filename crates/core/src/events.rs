//! The events of an object.

/// An event. It is published after the matching status is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its type.
    pub severity: Severity,
    /// Why: a constant of the API.
    pub reason: String,
    /// What was being done.
    pub action: &'static str,
    /// The message.
    pub note: String,
}

/// The types of events in Kubernetes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// `Normal`
    Normal,
    /// `Warning`
    Warning,
}

impl Event {
    /// One that needs attention.
    pub fn warning(reason: impl Into<String>, action: &'static str, note: String) -> Self {
        Self { severity: Severity::Warning, reason: reason.into(), action, note }
    }

    /// One that informs.
    pub fn normal(reason: impl Into<String>, action: &'static str, note: String) -> Self {
        Self { severity: Severity::Normal, reason: reason.into(), action, note }
    }
}
