//! The issuer that a Certificate names, and its spec.

use super::*;

#[test]
fn nothing_is_ordered_from_an_issuer_that_is_not_for_the_certificate_and_an_order_is_given_up() {
    let mut world = World::new();
    world.not_allowed = Some("ClusterIssuer ca does not allow this Certificate".to_owned());
    match world.next_step() {
        IssuanceStep::Wait { until: None, reason, message, .. } => {
            assert_eq!(
                (reason, message.as_str()),
                (reason::NOT_ALLOWED, "ClusterIssuer ca does not allow this Certificate")
            );
        }
        step => panic!("{step:?}"),
    }
    world.not_allowed = None;
    world.run();
    world.not_allowed = Some("ClusterIssuer ca does not allow this Certificate".to_owned());
    assert!(
        matches!(world.next_step(), IssuanceStep::Abandon { .. }),
        "an order that is under way is given up"
    );
    world.run();
    world.check_nothing_is_left();
    world.not_allowed = None;
    world.run_until_rest();
    world.check_issued();
    world.not_allowed = Some("ClusterIssuer ca does not allow this Certificate".to_owned());
    assert!(matches!(world.next_step(), IssuanceStep::Rest { .. }), "what is there stays until it is due");
}

#[test]
fn an_issuer_that_is_missing_or_not_ready_is_waited_for_and_named() {
    let mut world = World::new();
    let said = |world: &World| match world.next_step() {
        IssuanceStep::Wait { until: None, reason, message, .. } => (reason, message),
        step => panic!("{step:?}"),
    };
    world
        .issuers
        .insert("one".to_owned(), IssuerView::NotReady { message: "no key".to_owned(), ca_is_cause: true });
    assert_eq!(said(&world), (reason::ISSUER_NOT_READY, "Issuer one is not ready: no key".to_owned()));
    world.issuers.clear();
    assert_eq!(
        said(&world),
        (
            reason::ISSUER_NOT_FOUND,
            "Issuer one does not exist; create it, or name another in issuerRef".to_owned()
        )
    );
    world.issuer_is_ready("one", "account/one");
    world.run_until_rest();
    world.check_issued();
}

#[test]
fn what_is_presented_is_removed_when_the_issuer_is_deleted() {
    let mut world = World::new();
    world.ca.validation = Validation::Hangs;
    world.run();
    assert!(world.presented.is_some());
    world.issuers.clear();
    assert_eq!(world.run(), Turn::Waits(None));
    world.check_nothing_is_left();
}

#[test]
fn an_order_that_has_left_nothing_else_is_given_up_when_the_issuer_is_deleted() {
    let mut world = World::new();
    world.rotation_is(RotationPolicy::Never);
    world.ca.knows_the_names = true;
    world.run_until_rest();
    world.renew_request = Some("please".to_owned());
    run_to(&mut world, |step| matches!(step, IssuanceStep::Finalize(..)));
    assert!(world.next_key.is_none() && world.presented.is_none());
    world.issuers.clear();
    assert!(matches!(world.next_step(), IssuanceStep::Abandon { .. }), "{:?}", world.next_step());
    assert_eq!(world.run(), Turn::Waits(None));
    world.check_nothing_is_left();
}

#[test]
fn an_order_survives_an_issuer_that_is_not_ready_for_a_while() {
    let mut world = World::new();
    world.run();
    let not_ready =
        IssuerView::NotReady { message: "the CA cannot be reached".to_owned(), ca_is_cause: true };
    let ready = world.issuers.insert("one".to_owned(), not_ready).unwrap();
    let expires = world.now + ca::ORDER_LIFETIME;
    assert_eq!(world.run(), Turn::Waits(Some(expires)));
    world.issuers.insert("one".to_owned(), ready);
    world.run_until_rest();
    assert_eq!(world.ca.orders.len(), 1);
}

#[test]
fn an_order_without_an_expiry_is_kept_for_a_day_while_its_issuer_is_not_ready() {
    let mut world = World::new();
    world.run();
    let order = world.state.status.order.as_mut().unwrap();
    order.expires = None;
    let end = order.created.0 + SignedDuration::from_hours(24);
    world.issuers.insert(
        "one".to_owned(),
        IssuerView::NotReady { message: "suspended".to_owned(), ca_is_cause: true },
    );
    assert_eq!(world.run(), Turn::Waits(Some(end)));
}

#[test]
fn what_is_presented_is_removed_when_the_order_expires_and_the_issuer_is_not_ready() {
    let mut world = World::new();
    world.run();
    world.issuers.insert(
        "one".to_owned(),
        IssuerView::NotReady { message: "suspended".to_owned(), ca_is_cause: true },
    );
    world.now += ca::ORDER_LIFETIME;
    assert_eq!(world.run(), Turn::Waits(None));
    world.check_nothing_is_left();
}

#[test]
fn an_order_of_another_account_is_abandoned() {
    let mut world = World::new();
    world.run();
    world.issuer_is_ready("one", "account/new");
    let message = "the order belongs to another account".to_owned();
    assert_eq!(world.next_step(), IssuanceStep::Abandon { message });
    world.run_until_rest();
    world.check_issued();
}

#[test]
fn a_spec_that_cannot_be_honoured_ends_the_order_and_waits_for_another() {
    let mut world = World::new();
    world.run();
    world.edit(|spec| spec.ip_addresses = vec!["none".to_owned()]);
    assert_eq!(world.run(), Turn::Waits(None));
    world.check_nothing_is_left();
    match world.next_step() {
        IssuanceStep::Wait { reason, message, .. } => {
            assert_eq!(
                (reason, message.as_str()),
                (reason::INVALID_SPEC, "ipAddresses: 'none' is not an IP address")
            );
        }
        step => panic!("{step:?}"),
    }
}
