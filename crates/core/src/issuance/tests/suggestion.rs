//! A CA with renewal information.

use super::*;
use crate::renewal::RenewalInfoPoll;
use certwright_api::{CertificateAcmeStatus, RenewalInfoStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// A certificate is issued, and its CA has renewal information.
fn rested() -> World {
    let mut world = World::new();
    world.run_until_rest();
    world.asks = true;
    world
}

/// The CA was asked, and is asked again at this time.
fn asks_again(world: &mut World, again: Timestamp) {
    let certificate_id = world.certificate_id().unwrap();
    world.asked = Some(RenewalInfoPoll { certificate_id, at: world.now, failures: 0, again: Some(again) });
}

#[test]
fn the_ca_is_asked_when_that_is_due_and_nothing_else_is() {
    let mut world = rested();
    assert_eq!(world.next_step(), IssuanceStep::AskForRenewalInfo);
    world.asks = false;
    let IssuanceStep::Rest { until: Some(renewal) } = world.next_step() else { panic!("no renewal") };
    world.asks = true;
    asks_again(&mut world, renewal + SignedDuration::from_hours(1));
    assert_eq!(world.next_step(), IssuanceStep::Rest { until: Some(renewal) });
    let again = world.now + SignedDuration::from_mins(5);
    asks_again(&mut world, again);
    assert_eq!(world.next_step(), IssuanceStep::Rest { until: Some(again) });
    world.now = again;
    assert_eq!(world.next_step(), IssuanceStep::AskForRenewalInfo);
}

#[test]
fn while_the_issuer_is_not_ready_it_is_looked_at_again_within_ten_minutes() {
    let mut world = rested();
    let message = "its account is unusable".to_owned();
    world.issuers.insert("one".to_owned(), IssuerView::NotReady { message, ca_is_cause: true });
    let soon = world.now + SignedDuration::from_mins(10);
    assert_eq!(world.next_step(), IssuanceStep::Rest { until: Some(soon) });
    let later = world.now + SignedDuration::from_hours(6);
    asks_again(&mut world, later);
    assert_eq!(world.next_step(), IssuanceStep::Rest { until: Some(later) });
}

#[test]
fn the_status_shows_renewal_information_only_while_the_ca_is_asked_for_it() {
    let mut world = rested();
    let id = world.certificate_id().unwrap();
    world.state.status.acme = Some(CertificateAcmeStatus { ari: Some(known(&world, &id, "account/one")) });
    let again = world.now + SignedDuration::from_hours(6);
    asks_again(&mut world, again);
    world.run();
    assert!(world.recorded.acme.is_some());
    world.asks = false;
    world.run();
    assert_eq!(world.recorded.acme, None);
}

#[test]
fn an_order_replaces_the_certificate_that_the_ca_knows_of_this_account_and_with_one_of_the_names() {
    let replaces = |account: &str, change: fn(&mut World)| {
        let mut world = rested();
        let id = world.certificate_id().unwrap();
        let ari = known(&world, &id, account);
        world.state.status.acme = Some(CertificateAcmeStatus { ari: Some(ari) });
        world.renew_request = Some("please".to_owned());
        change(&mut world);
        let step = run_to(&mut world, |step| matches!(step, IssuanceStep::PlaceOrder(_)));
        let IssuanceStep::PlaceOrder(order) = step else { unreachable!() };
        order.replaces.map(|replaced| replaced == id)
    };
    assert_eq!(replaces("account/one", |_| {}), Some(true));
    assert_eq!(replaces("account/one", |world| world.names_are(&["b.test", "c.test"])), Some(true));
    assert_eq!(replaces("account/one", |world| world.names_are(&["c.test"])), None);
    assert_eq!(replaces("account/two", |_| {}), None, "another account has issued it");
    let issuer_changes = |world: &mut World| world.edit(|spec| spec.issuer_ref.name = "two".to_owned());
    assert_eq!(replaces("account/two", issuer_changes), None, "another issuer has issued it");
    let is_not_asked = |world: &mut World| world.asks = false;
    assert_eq!(replaces("account/one", is_not_asked), None);
}

/// What the CA has said to this account about the certificate.
fn known(world: &World, id: &str, account: &str) -> RenewalInfoStatus {
    RenewalInfoStatus {
        certificate_id: id.to_owned(),
        account: account.to_owned(),
        first_checked: Time(world.now),
        since: Time(world.now),
        check_interval: None,
        suggested_window: None,
        selected_time: None,
        earliest_time: None,
        explanation_url: None,
        early_renewals: None,
        last_error: None,
    }
}
