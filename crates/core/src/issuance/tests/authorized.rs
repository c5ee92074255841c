//! Names that the CA has validated ahead of the order.

use super::ca::VALID_UNTIL;
use super::*;
use crate::authorization::Authorized;

fn authorized(name: &str, subdomains: bool, since: Timestamp) -> Authorized {
    Authorized { name: name.to_owned(), subdomains, since }
}

/// The issuer has these authorizations; its solvers are removed, unless it keeps them.
fn issuer(world: &mut World, kept: Vec<Authorized>, keeps_solvers: bool) {
    let Some(IssuerView::Ready { authorized, solvers, .. }) = world.issuers.get_mut("one") else {
        unreachable!()
    };
    *authorized = kept;
    if !keeps_solvers {
        solvers.clear();
    }
}

fn until(world: &World) -> Option<String> {
    world.state.status.authorization_expires.as_ref().map(|time| time.0.to_string())
}

#[test]
fn the_status_says_how_long_the_proof_of_a_name_without_a_solver_lasts() {
    let mut world = World::new();
    world.ca.knows_the_names = true;
    issuer(&mut world, Vec::new(), false);
    world.run_until_rest();
    world.check_issued();
    assert_eq!(until(&world).as_deref(), Some(VALID_UNTIL));
    assert_eq!(world.step_names().iter().filter(|step| **step == "ReadAuthorizations").count(), 1);
}

#[test]
fn a_ready_order_whose_names_have_solvers_is_not_read_further() {
    let mut world = World::new();
    world.ca.knows_the_names = true;
    world.run_until_rest();
    world.check_issued();
    assert!(!world.step_names().contains(&"ReadAuthorizations"));
    assert_eq!(until(&world), None);

    world.renew_request = Some("now".to_owned());
    issuer(&mut world, vec![authorized("a.test", false, Timestamp::UNIX_EPOCH)], true);
    world.run_until_rest();
    assert_eq!(until(&world).as_deref(), Some(VALID_UNTIL), "but with authorizations it is");
}

#[test]
fn how_long_it_lasts_is_not_worth_a_failure() {
    let mut world = World::new();
    world.ca.knows_the_names = true;
    issuer(&mut world, Vec::new(), false);
    run_to(&mut world, |step| matches!(step, IssuanceStep::ReadAuthorizations(_)));
    world.ca.faults.push_back(Fault { refusal: Refusal::no_answer(), answer_lost: false });
    world.run_until_rest();
    world.check_issued();
    assert_eq!(until(&world), None);
    assert_eq!(world.ca.orders.len(), 1);
}

#[test]
fn an_order_without_a_solver_is_placed_again_once_its_names_are_authorized() {
    let mut world = World::new();
    issuer(&mut world, Vec::new(), false);
    world.run();
    assert_eq!(world.condition(certwright_api::CONDITION_ISSUING).unwrap().1, reason::NO_SOLVER);
    world.now += SignedDuration::from_secs(30);
    let now = world.now;
    issuer(&mut world, vec![authorized("a.test", false, now)], false);
    world.run();
    assert_eq!(world.ca.orders.len(), 1, "b.test still lacks a solver");
    issuer(&mut world, vec![authorized("test", true, now)], false);
    world.ca.knows_the_names = true;
    world.run_until_rest();
    world.check_issued();
    assert_eq!(world.ca.orders.len(), 2);
}

/// Somebody may have forged the time, and the CA may not accept the authorization for these names.
#[test]
fn an_order_is_placed_again_at_most_twice_for_an_authorization_that_does_not_help() {
    for ahead in [0, 1000] {
        let mut world = World::new();
        issuer(&mut world, Vec::new(), false);
        world.run();
        world.now += SignedDuration::from_secs(30);
        let since = world.now + SignedDuration::from_secs(ahead);
        issuer(&mut world, vec![authorized("test", true, since)], false);
        for _ in 0..20 {
            if let Turn::Waits(Some(until)) = world.run() {
                world.now = until;
            }
        }
        let placed = world.ca.orders.len();
        assert!((1..=3).contains(&placed), "{placed} orders");
    }
}

#[test]
fn an_order_names_the_domain_above_that_covers_its_names() {
    let mut world = World::new();
    issuer(&mut world, vec![authorized("test", true, Timestamp::UNIX_EPOCH)], true);
    let step = run_to(&mut world, |step| matches!(step, IssuanceStep::PlaceOrder(_)));
    let IssuanceStep::PlaceOrder(order) = step else { unreachable!() };
    assert!(order.identifiers.iter().all(|name| name.ancestor_domain.as_deref() == Some("test")));
    issuer(&mut world, vec![authorized("test", false, Timestamp::UNIX_EPOCH)], true);
    let IssuanceStep::PlaceOrder(order) = world.next_step() else { panic!("{:?}", world.next_step()) };
    assert!(order.identifiers.iter().all(|name| name.ancestor_domain.is_none()));
}
