//! What is reported about an object that cannot be read: conditions, for our own kinds, and an event.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use crate::conditions::{condition, set_condition, set_standing};
use crate::events::Event;
use crate::kstatus::{self, Standing};
use crate::reading::Fault;
use certwright_api::{
    CONDITION_ISSUING, CONDITION_READY, CertificateStatus, IssuerStatus, certificate_reason as reason,
};

/// The action of the events.
const ACTION: &str = "Read";

/// A status with conditions.
pub trait ConditionedStatus: Clone + Default + PartialEq {
    /// The generation that the status is about, and the conditions.
    fn parts(&mut self) -> (&mut Option<i64>, &mut Vec<Condition>);

    /// The standing of an object with these conditions; `None` if it is ready.
    fn standing(conditions: &[Condition]) -> Option<Standing>;
}

impl ConditionedStatus for CertificateStatus {
    fn parts(&mut self) -> (&mut Option<i64>, &mut Vec<Condition>) {
        (&mut self.observed_generation, &mut self.conditions)
    }

    fn standing(conditions: &[Condition]) -> Option<Standing> {
        kstatus::of_certificate(conditions)
    }
}

impl ConditionedStatus for IssuerStatus {
    fn parts(&mut self) -> (&mut Option<i64>, &mut Vec<Condition>) {
        (&mut self.observed_generation, &mut self.conditions)
    }

    fn standing(conditions: &[Condition]) -> Option<Standing> {
        kstatus::of_issuer(conditions)
    }
}

/// Reports in the conditions that this generation of an object cannot be read.
pub fn report_fault<S: ConditionedStatus>(status: &mut S, fault: &Fault, generation: i64, now: Timestamp) {
    let (observed, conditions) = status.parts();
    *observed = Some(generation);
    let message = message(fault);
    if condition(conditions, CONDITION_ISSUING).is_some() {
        set_condition(conditions, CONDITION_ISSUING, true, reason::INVALID_SPEC, &message, generation, now);
    }
    set_condition(conditions, CONDITION_READY, false, reason::INVALID_SPEC, &message, generation, now);
    let standing = S::standing(conditions);
    set_standing(conditions, standing, generation, now);
}

/// The event about an object that cannot be read.
pub fn event_of_fault(fault: &Fault) -> Event {
    Event::warning(reason::INVALID_SPEC, ACTION, message(fault))
}

/// The event about a status that can be read only in part.
pub fn event_of_status_fault(fault: &Fault) -> Event {
    let note = format!("{fault}; this part of the status is ignored");
    Event::warning(reason::INVALID_STATUS, ACTION, note)
}

fn message(fault: &Fault) -> String {
    format!("{fault}; this object is ignored until that is corrected")
}

#[cfg(test)]
mod tests {
    use super::*;
    use certwright_api::CONDITION_STALLED;

    #[test]
    fn an_issuer_that_cannot_be_read_is_not_ready_and_stalled() {
        let mut status = IssuerStatus::default();
        report_fault(&mut status, &fault(), 3, now());
        assert_eq!(status.observed_generation, Some(3));
        assert_eq!(types(&status.conditions), [(CONDITION_READY, "False"), (CONDITION_STALLED, "True")]);
        for condition in &status.conditions {
            assert_eq!(condition.reason, "InvalidSpec");
            assert_eq!(
                condition.message,
                "spec.acme.server: it is a number; this object is ignored until that is corrected"
            );
            assert_eq!(condition.observed_generation, Some(3));
        }
    }

    #[test]
    fn an_issuance_that_is_under_way_says_why_it_does_not_go_on() {
        let mut status = CertificateStatus::default();
        report_fault(&mut status, &fault(), 1, now());
        assert_eq!(condition(&status.conditions, CONDITION_ISSUING), None, "none is under way");
        set_condition(&mut status.conditions, CONDITION_ISSUING, true, "Queued", "", 1, now());
        report_fault(&mut status, &fault(), 2, now());
        let issuing = condition(&status.conditions, CONDITION_ISSUING).unwrap();
        assert_eq!((issuing.status.as_str(), issuing.reason.as_str()), ("True", "InvalidSpec"));
    }

    #[test]
    fn the_same_fault_changes_nothing_when_it_is_reported_again() {
        let mut status = CertificateStatus::default();
        report_fault(&mut status, &fault(), 1, now());
        let before = status.clone();
        report_fault(&mut status, &fault(), 1, now() + jiff::SignedDuration::from_hours(1));
        assert_eq!(status, before);
    }

    fn fault() -> Fault {
        Fault { path: "spec.acme.server".to_owned(), words: "it is a number".to_owned() }
    }

    fn types(conditions: &[Condition]) -> Vec<(&str, &str)> {
        conditions.iter().map(|one| (one.type_.as_str(), one.status.as_str())).collect()
    }

    fn now() -> Timestamp {
        "2026-11-22T03:00:00Z".parse().unwrap()
    }
}
