//! What servers show of the certificate in the Secret.

use super::*;
use crate::served::{Finding, Verdict};
use certwright_api::{CONDITION_READY, CONDITION_SERVED, ServedSpec};

#[test]
fn what_was_found_is_a_condition_and_a_warning_once() {
    let mut world = checked();
    assert_eq!(world.condition(CONDITION_SERVED), None, "nobody has looked yet");
    let renewal = world.at_rest_until().unwrap();
    world.finds(Some(true), reason::SERVED, "good");
    assert_eq!(world.at_rest_until(), None);
    assert_eq!(world.run_until_rest(), renewal);
    assert_eq!(world.condition(CONDITION_SERVED), said("True", reason::SERVED, "good"));
    assert_eq!(world.at_rest_until(), Some(renewal), "it is no news any more");

    world.finds(Some(false), reason::OLD_CERTIFICATE_SERVED, "old");
    world.run_until_rest();
    world.finds(Some(false), reason::OLD_CERTIFICATE_SERVED, "old, elsewhere");
    world.run_until_rest();
    assert_eq!(
        world.condition(CONDITION_SERVED),
        said("False", reason::OLD_CERTIFICATE_SERVED, "old, elsewhere")
    );
    assert_eq!(world.events(reason::OLD_CERTIFICATE_SERVED), ["old"]);
    world.finds(None, reason::SERVER_NOT_REACHED, "away");
    world.run_until_rest();
    assert_eq!(world.condition(CONDITION_SERVED), said("Unknown", reason::SERVER_NOT_REACHED, "away"));
    assert_eq!(world.condition(CONDITION_READY).unwrap().0, "True", "it is about something else");
    assert_eq!(world.ca.orders.len(), 1);
    // As after a restart.
    world.served = None;
    world.crash();
    assert!(world.at_rest_until().is_some());
    assert!(world.condition(CONDITION_SERVED).is_some());
}

#[test]
fn a_new_certificate_is_not_known_to_be_served_and_what_was_found_before_does_not_count() {
    let mut world = checked();
    world.finds(Some(true), reason::SERVED, "good");
    world.run_until_rest();
    world.renew_request = Some("now".to_owned());
    world.run_until_rest();
    assert_eq!(world.ca.orders.len(), 2);
    let (status, why, _) = world.condition(CONDITION_SERVED).unwrap();
    assert_eq!((status.as_str(), why.as_str()), ("Unknown", reason::SERVED_NOT_CHECKED));
    assert!(world.at_rest_until().is_some());
    world.finds(Some(true), reason::SERVED, "good");
    world.edit(|spec| spec.secret_name.push('2'));
    let (status, ..) = world.condition(CONDITION_SERVED).unwrap();
    world.run_until_rest();
    assert_eq!(status, "Unknown", "it was found for another spec");
}

#[test]
fn the_condition_ends_with_the_checks() {
    let mut world = checked();
    world.finds(Some(false), reason::OTHER_CERTIFICATE_SERVED, "other");
    world.run_until_rest();
    world.edit(|spec| spec.served = None);
    world.run_until_rest();
    assert_eq!(world.condition(CONDITION_SERVED), None);
    assert!(world.at_rest_until().is_some());
    let mut world = World::new();
    world.run_until_rest();
    world.finds(Some(false), reason::OTHER_CERTIFICATE_SERVED, "other");
    world.run_until_rest();
    assert_eq!(world.condition(CONDITION_SERVED), None, "nobody has asked for it");
}

/// A Certificate that is issued and checked.
fn checked() -> World {
    let mut world = World::new();
    world.edit(|spec| spec.served = Some(ServedSpec { check: Some(true), ..ServedSpec::default() }));
    world.run_until_rest();
    world.reports.clear();
    world
}

fn said(status: &str, reason: &str, message: &str) -> Option<(String, String, String)> {
    Some((status.to_owned(), reason.to_owned(), message.to_owned()))
}

impl World {
    /// It is checked what servers show, or no longer.
    pub fn serves(&mut self, is: Option<bool>) {
        self.edit(|spec| spec.served = is.map(|_| ServedSpec { check: Some(true), ..ServedSpec::default() }));
        match is {
            Some(is) if self.serial_number().is_some() => {
                let reason = if is { reason::SERVED } else { reason::OLD_CERTIFICATE_SERVED };
                self.finds(Some(is), reason, "as it is");
            }
            _ => {}
        }
    }

    /// The operator has looked at the servers.
    fn finds(&mut self, is: Option<bool>, reason: &'static str, message: &str) {
        let verdict = Verdict { is, reason, message: message.to_owned() };
        let serial_number = self.serial_number().unwrap();
        self.served = Some(Finding { serial_number, generation: self.generation, verdict });
    }
}
