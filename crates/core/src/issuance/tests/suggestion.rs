//! A CA with renewal information.

use super::*;
use crate::renewal::{NoSuggestion, RenewalInfoPoll};
use certwright_acme::SuggestedWindow;
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
    let certificate_id = world.certificate_id().unwrap();
    let ask = |patience| IssuanceStep::AskForRenewalInfo { certificate_id: certificate_id.clone(), patience };
    let just_issued = Some(Duration::from_secs(2));
    assert_eq!(world.next_step(), ask(just_issued), "the status waits for the answer");
    world.asks = false;
    let IssuanceStep::Rest { until: Some(renewal) } = world.next_step() else { panic!("no renewal") };
    world.asks = true;
    asks_again(&mut world, renewal + SignedDuration::from_hours(1));
    assert_eq!(world.next_step(), IssuanceStep::Rest { until: Some(renewal) });
    let again = world.now + SignedDuration::from_mins(5);
    asks_again(&mut world, again);
    assert_eq!(world.next_step(), IssuanceStep::Rest { until: Some(again) });
    world.now = again;
    assert_eq!(world.next_step(), ask(just_issued));
    let ari = known(&world, &certificate_id, "account/one");
    world.state.status.acme = Some(CertificateAcmeStatus { ari: Some(ari) });
    assert_eq!(world.next_step(), ask(None), "nothing waits for a second answer");
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

/// RFC 9773 section 5: `alreadyReplaced`; and CAs that reject the field with another code.
#[test]
fn an_order_that_is_rejected_together_with_what_it_replaces_is_placed_again_without_that() {
    for code in ["alreadyReplaced", "malformed"] {
        let mut world = rested();
        let id = world.certificate_id().unwrap();
        let ari = known(&world, &id, "account/one");
        world.state.status.acme = Some(CertificateAcmeStatus { ari: Some(ari) });
        world.renew_request = Some("please".to_owned());
        let is_order = |step: &IssuanceStep| matches!(step, IssuanceStep::PlaceOrder(_));
        run_to(&mut world, is_order);
        let refusal = Refusal { code, status: Some(409), retry_after: None };
        world.ca.faults.push_back(Fault { refusal, answer_lost: false });
        world.step();
        let IssuanceStep::PlaceOrder(order) = world.next_step() else { panic!("{code}") };
        assert_eq!(order.replaces, None);
        assert!(world.reports.iter().any(|report| matches!(report, Report::ReplacesRejected(_))));
        world.run_until_rest();
        assert_eq!(world.recorded.failed_issuance_attempts, None, "{code}");
        // The next one says again what it replaces.
        let id = world.certificate_id().unwrap();
        let ari = known(&world, &id, "account/one");
        world.state.status.acme = Some(CertificateAcmeStatus { ari: Some(ari) });
        world.renew_request = Some("again".to_owned());
        let IssuanceStep::PlaceOrder(order) = run_to(&mut world, is_order) else { unreachable!() };
        assert_eq!(order.replaces, Some(id));
    }
}

/// The whole way: the question, the answer in the status, the certificate renewed in the window, and no question before the
/// interval is over.
#[test]
fn a_certificate_is_renewed_when_its_ca_suggests() {
    let mut world = World::new();
    let (start, end) =
        (world.now + SignedDuration::from_hours(240), world.now + SignedDuration::from_hours(241));
    (world.asks, world.ca.suggests) = (true, Some(SuggestedWindow { start, end }));
    world.run_until_rest();
    let ari = world.recorded.acme.clone().and_then(|acme| acme.ari).unwrap();
    let selected = ari.selected_time.unwrap().0;
    assert!((start..=end).contains(&selected));
    let suggested = |report: &&Report| matches!(report, Report::Suggested { time, .. } if *time == selected);
    assert_eq!(world.reports.iter().filter(suggested).count(), 1);
    let asked = world.asked.clone().unwrap();
    assert_eq!((asked.at, asked.failures), (world.now, 0));
    let orders = world.ca.orders.len();
    world.ca.suggests = None;
    world.now = selected;
    world.run_until_rest();
    assert_eq!(world.ca.orders.len(), orders + 1);
    // A CA that no longer has the service leaves nothing in the status.
    assert_eq!(world.recorded.acme, None);
}

/// Also if nothing is known of its CA yet: the first question was not answered.
#[test]
fn a_question_without_an_answer_is_asked_again() {
    let mut world = World::new();
    world.asks = true;
    run_to(&mut world, |step| matches!(step, IssuanceStep::AskForRenewalInfo { .. }));
    let outcome = Outcome::RenewalInfoRead(Err(NoSuggestion::TooSlow));
    let consequence = world.change(|state, seen, now| state.apply(seen, outcome, now));
    world.asked = consequence.reports.into_iter().find_map(|report| match report {
        Report::RenewalInfoAsked(asked) => Some(asked),
        _ => None,
    });
    let again = world.asked.as_ref().unwrap().again.unwrap();
    assert!(again <= world.now + SignedDuration::from_mins(2));
    assert_eq!(world.run(), Turn::Rests(again));
    assert_eq!(world.at_rest_until(), Some(again));
    world.now = again;
    assert!(matches!(world.next_step(), IssuanceStep::AskForRenewalInfo { .. }));
    assert_eq!(world.at_rest_until(), None);
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
