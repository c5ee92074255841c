//! What follows from the outcome of a step.

use jiff::Timestamp;

/// What follows: what to report, in this order, and when to decide again.
#[derive(Debug)]
pub struct Consequence<R> {
    /// What to report.
    pub reports: Vec<R>,
    /// What comes next.
    pub next: Next,
}

/// What comes after a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Decide again immediately.
    Decide,
    /// Decide again at this time, or when something changes.
    Wait(Option<Timestamp>),
}

impl<R> Consequence<R> {
    pub(crate) const DECIDE: Self = Self { reports: Vec::new(), next: Next::Decide };

    pub(crate) fn decide(reports: Vec<R>) -> Self {
        Self { reports, next: Next::Decide }
    }

    pub(crate) fn wait(until: Option<Timestamp>, reports: Vec<R>) -> Self {
        Self { reports, next: Next::Wait(until) }
    }

    /// The same, after `reports`.
    pub(crate) fn after(self, mut reports: Vec<R>) -> Self {
        reports.extend(self.reports);
        Self { reports, next: self.next }
    }
}
