//! The CA revokes a certificate without being asked by the operator.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::*;
use crate::renewal::{RenewalInfoPoll, whole_seconds};
use certwright_api::{
    CONDITION_ISSUING, CONDITION_READY, CONDITION_REVOKED, CertificateAcmeStatus, ListedReason,
    RenewalInfoStatus, RevocationSpec, RevokedPolicy, SuggestedWindowStatus,
};

#[test]
fn a_certificate_that_the_ca_has_revoked_is_reported_and_replaced_with_another_key() {
    for policy in [RotationPolicy::Always, RotationPolicy::Never] {
        let mut world = issued();
        world.rotation_is(policy);
        world.run_until_rest();
        let (serial, key) = (world.serial_number().unwrap(), world.public_key());
        world.ca_revokes(ListedReason::KeyCompromise);
        assert_eq!(world.at_rest_until(), None);
        assert!(matches!(world.next_step(), IssuanceStep::RecordRevoked(_)));
        world.step();
        assert_eq!(world.at_rest_until(), None, "it is on record, and not replaced yet");
        let (status, reason, message) = world.condition(CONDITION_REVOKED).unwrap();
        assert_eq!((status.as_str(), reason.as_str()), ("True", "KeyCompromise"));
        let words = format!(
            "The CA revoked the certificate {serial} at {}, and the operator did not request that: the list \
             http://crl.test/1 gives the reason keyCompromise. Another one, with a new private key, replaces it; find out who \
             had it revoked, and why",
            whole_seconds(world.now)
        );
        assert_eq!(message, words);
        assert_eq!(world.events(reason::REVOKED_BY_CA), [words]);
        let revoked = |report: &&Report| matches!(report, Report::RevokedByCa { .. });
        assert_eq!(world.reports.iter().filter(revoked).count(), 1);

        world.self_check_passes = false;
        world.run();
        let (ready, _, message) = world.condition(CONDITION_READY).unwrap();
        assert_eq!(ready, "False");
        assert!(message.ends_with(" (the CA has revoked the certificate: keyCompromise)"), "{message}");
        world.self_check_passes = true;
        world.run_until_rest();
        world.check_issued();
        assert_ne!(world.serial_number().unwrap(), serial);
        assert_ne!(world.public_key(), key, "{policy:?}");
        assert_eq!(world.condition(CONDITION_REVOKED), None);
        assert_eq!(world.condition(CONDITION_READY).unwrap().0, "True");
        assert_eq!(world.recorded.revoked.as_ref().unwrap().serial_number, serial, "it stays on record");
        assert!(world.at_rest_until().is_some(), "what was found is about another certificate");
        assert_eq!(world.ca.orders.len(), 2);
    }
}

#[test]
fn it_is_only_reported_if_the_spec_says_so_until_it_is_replaced_for_another_reason() {
    let mut world = issued();
    let on_revoked = |policy| Some(RevocationSpec { on_revoked: policy, ..RevocationSpec::default() });
    world.edit(|spec| spec.revocation = on_revoked(RevokedPolicy::Report));
    world.rotation_is(RotationPolicy::Never);
    world.run_until_rest();
    let (serial, key) = (world.serial_number(), world.public_key());
    world.ca_revokes(ListedReason::CessationOfOperation);
    world.run_until_rest();
    assert_eq!(world.serial_number(), serial);
    assert_eq!(world.condition(CONDITION_READY).unwrap().0, "True");
    let (_, reason, message) = world.condition(CONDITION_REVOKED).unwrap();
    assert_eq!(reason, "CessationOfOperation");
    assert!(message.contains("because revocation.onRevoked is Report"), "{message}");
    assert!(world.at_rest_until().is_some());
    // As after a restart.
    world.listed = None;
    world.crash();
    assert!(world.at_rest_until().is_some());
    assert!(world.condition(CONDITION_REVOKED).is_some());

    world.renew_request = Some("now".to_owned());
    world.run_until_rest();
    assert_ne!(world.serial_number(), serial);
    assert_ne!(world.public_key(), key, "the key may be compromised");
    assert_eq!(world.condition(CONDITION_REVOKED), None);
}

#[test]
fn a_change_of_the_policy_replaces_a_certificate_that_was_only_reported() {
    let mut world = issued();
    let report = RevocationSpec { on_revoked: RevokedPolicy::Report, ..RevocationSpec::default() };
    world.edit(|spec| spec.revocation = Some(report));
    world.run_until_rest();
    world.ca_revokes(ListedReason::Unspecified);
    world.run_until_rest();
    let serial = world.serial_number();
    world.edit(|spec| spec.revocation = None);
    world.run_until_rest();
    assert_ne!(world.serial_number(), serial);
    assert_eq!(world.condition(CONDITION_REVOKED), None);
}

#[test]
fn a_certificate_on_hold_is_reported_and_kept_and_the_report_ends_with_the_hold() {
    let mut world = issued();
    let serial = world.serial_number();
    world.ca_revokes(ListedReason::CertificateHold);
    world.run_until_rest();
    assert_eq!(world.serial_number(), serial);
    let (_, reason, message) = world.condition(CONDITION_REVOKED).unwrap();
    assert_eq!(reason, "CertificateHold");
    assert!(message.contains("It is on hold and may become valid again, so it is not replaced"), "{message}");
    world.listed.as_mut().unwrap().entry = None;
    assert_eq!(world.at_rest_until(), None);
    world.run_until_rest();
    assert_eq!(world.condition(CONDITION_REVOKED), None);
    assert_eq!((world.serial_number(), &world.recorded.revoked), (serial, &None));
    assert_eq!(world.events(reason::REVOKED_BY_CA).len(), 1);
}

#[test]
fn a_revocation_that_was_requested_is_not_reported_as_the_work_of_somebody_else() {
    let mut world = issued();
    world.revoke_request = Some("superseded".to_owned());
    world.self_check_passes = false;
    world.run();
    world.ca_revokes(ListedReason::Superseded);
    world.run();
    assert_eq!(world.condition(CONDITION_REVOKED), None);
    assert_eq!(world.recorded.revoked, None);
}

#[test]
fn what_was_found_about_the_secret_of_somebody_else_does_not_matter() {
    let mut world = issued();
    world.ca_revokes(ListedReason::KeyCompromise);
    world.secret_belongs_to(Some("another"));
    world.run();
    assert_eq!((world.condition(CONDITION_REVOKED), &world.recorded.revoked), (None, &None));
}

#[test]
fn a_ca_that_revokes_every_certificate_at_once_gets_ever_fewer_orders() {
    let mut world = issued();
    let begin = world.now;
    let mut hours = Vec::new();
    for _ in 0..4 {
        world.ca_revokes(ListedReason::Superseded);
        let serial = world.serial_number();
        if let Turn::Waits(Some(until)) = world.run()
            && until.duration_since(world.now) > SignedDuration::from_hours(1)
        {
            let (_, reason, message) = world.condition(CONDITION_ISSUING).unwrap();
            assert_eq!(reason, "IssuedRecently");
            assert!(message.contains("it also revoked the last"), "{message}");
            assert_eq!(world.condition(CONDITION_READY).unwrap().0, "False");
            world.crash();
            assert_eq!(world.run(), Turn::Waits(Some(until)), "nothing is lost in a crash");
        }
        world.run_until_rest();
        assert_ne!(world.serial_number(), serial);
        hours.push(world.now.duration_since(begin).as_hours());
    }
    assert_eq!(hours, [0, 2, 14, 86]);

    // Unless somebody wants one.
    world.ca_revokes(ListedReason::Superseded);
    let (serial, now) = (world.serial_number(), world.now);
    world.renew_request = Some("now".to_owned());
    world.run_until_rest();
    assert_ne!(world.serial_number(), serial);
    assert!(world.now.duration_since(now) < SignedDuration::from_hours(1));
}

#[test]
fn before_a_certificate_is_replaced_because_the_ca_insists_its_revocation_list_is_read() {
    let key_after = |found: Option<ListedReason>| {
        let mut world = issued();
        world.rotation_is(RotationPolicy::Never);
        world.run_until_rest();
        if let Some(reason) = found {
            world.ca_revokes(reason);
            world.on_list = world.listed.take();
        }
        world.ca_insists();
        let (key, begin) = (world.public_key(), world.steps.len());
        let placed = |step: &IssuanceStep| matches!(step, IssuanceStep::PlaceOrder(_));
        run_to(&mut world, placed);
        let reads = world.steps[begin..].iter().filter(|step| step.starts_with("ReadRevocationList"));
        assert_eq!(reads.count(), 1, "{:#?}", world.last_steps());
        world.asks = false;
        world.run_until_rest();
        (world.public_key() != key, world.events(reason::REVOKED_BY_CA).len())
    };
    assert_eq!(key_after(None), (false, 0));
    assert_eq!(key_after(Some(ListedReason::KeyCompromise)), (true, 1));
}

#[test]
fn without_checks_of_revocation_lists_none_is_read() {
    let mut world = issued();
    world.checks_lists = false;
    world.ca_insists();
    run_to(&mut world, |step| matches!(step, IssuanceStep::PlaceOrder(_)));
    assert!(!world.steps.iter().any(|step| step.starts_with("ReadRevocationList")));
}

fn issued() -> World {
    let mut world = World::new();
    world.run_until_rest();
    world.reports.clear();
    world
}

impl World {
    /// The CA suggests a window that is over.
    fn ca_insists(&mut self) {
        self.asks = true;
        let certificate_id = self.certificate_id().unwrap();
        let again = Some(self.now + SignedDuration::from_hours(6));
        self.asked = Some(RenewalInfoPoll {
            certificate_id: certificate_id.clone(),
            at: self.now,
            failures: 0,
            again,
        });
        let ago = |hours| Time(self.now - SignedDuration::from_hours(hours));
        let ari = RenewalInfoStatus {
            certificate_id,
            account: "account/one".to_owned(),
            first_checked: ago(1),
            since: ago(1),
            check_interval: None,
            suggested_window: Some(SuggestedWindowStatus { start: ago(3), end: ago(2) }),
            selected_time: Some(ago(2)),
            earliest_time: None,
            explanation_url: None,
            early_renewals: None,
            last_error: None,
        };
        self.state.status.acme = Some(CertificateAcmeStatus { ari: Some(ari) });
    }
}
