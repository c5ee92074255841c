//! CAA records, which are looked up before an order is placed.

use super::*;
use crate::caa::{Property, RelevantSet};
use certwright_api::{CONDITION_ISSUING, Dns01Solver};

#[test]
fn a_name_that_the_ca_must_refuse_is_not_ordered_until_the_record_is_corrected() {
    let mut world = World::new();
    world.caa_allows("a.test", Some("other.test"));
    world.run();
    let issuing = world.condition(CONDITION_ISSUING).unwrap();
    assert_eq!((issuing.0.as_str(), issuing.1.as_str()), ("False", "CAA"));
    assert_eq!(
        issuing.2,
        "No order was placed. The CAA records of a.test do not allow ca.test to issue for a.test: none of them is for this CA \
         (0 issue \"other.test\"); add the record a.test. IN CAA 0 issue \"ca.test\", and check the result with: dig a.test CAA"
    );
    assert!(world.ca.orders.is_empty());
    assert_eq!(
        world.next_key.as_ref().map(certwright_pki::PrivateKey::algorithm),
        None,
        "no key is generated in the meantime"
    );
    // It is looked up again at least every quarter of an hour, with a fifth added.
    let mut begin = world.now;
    for attempt in 1..12 {
        let until = world.state.status.next_attempt_time.as_ref().unwrap().0;
        let longest = SignedDuration::from_secs(60 * (1 << (attempt - 1)).min(15));
        let wait = until.duration_since(begin);
        assert!(
            wait >= longest && wait <= longest * 6 / 5 + SignedDuration::from_secs(1),
            "{attempt}: {wait}"
        );
        begin = until;
        world.now = until;
        world.run();
    }
    assert!(world.ca.orders.is_empty());
    world.caa_allows("a.test", Some("ca.test"));
    world.run_until_rest();
    world.check_issued();
}

#[test]
fn records_are_looked_up_once_in_an_attempt() {
    let mut world = World::new();
    world.caa_allows("a.test", Some("ca.test"));
    world.place_is_free = false;
    for _ in 0..5 {
        let Turn::Waits(Some(until)) = world.run() else { panic!() };
        world.now = until;
    }
    assert_eq!(lookups(&world), 1);
    // Somebody changes the names while it is queued.
    world.names_are(&["a.test", "c.test"]);
    world.run();
    assert_eq!(lookups(&world), 2);
    world.place_is_free = true;
    world.run_until_rest();
    world.check_issued();
    assert_eq!(lookups(&world), 2);
}

#[test]
fn an_issuer_can_do_without() {
    let mut world = World::new();
    world.caa_allows("a.test", Some("other.test"));
    world.checks_caa = false;
    world.run_until_rest();
    world.check_issued();
    assert_eq!(lookups(&world), 0);
}

#[test]
fn addresses_have_no_caa_records() {
    let mut world = World::new();
    world.edit(|spec| (spec.dns_names, spec.ip_addresses) = (Vec::new(), vec!["192.0.2.1".to_owned()]));
    world.run();
    assert_eq!((lookups(&world), world.ca.orders.len()), (0, 1));
}

#[test]
fn a_ca_without_identities_is_not_forbidden_anything() {
    let mut world = World::new();
    world.caa_allows("a.test", Some("other.test"));
    for identities in [&[] as &[&str], &["not a name"]] {
        world.identities = identities.iter().map(|name| (*name).to_owned()).collect();
        world.renew_request = Some(identities.len().to_string());
        world.run_until_rest();
        world.check_issued();
    }
}

#[test]
fn what_is_asked_names_account_method_and_name_servers() {
    let mut world = World::new();
    world.names_are(&["*.a.test", "a.test"]);
    let dns01: Dns01Solver = serde_json::from_value(serde_json::json!({
        "propagation": { "nameservers": ["192.0.2.53"] },
        "rfc2136": { "nameserver": "192.0.2.1" },
    }))
    .unwrap();
    let Some(IssuerView::Ready { solvers, .. }) = world.issuers.get_mut("one") else { panic!() };
    solvers.push(Solver { dns01: Some(dns01), ..Solver::default() });
    let IssuanceStep::CheckCaa(question) = world.next_step() else { panic!() };
    let asked: Vec<_> = question
        .names
        .iter()
        .map(|asked| {
            (
                asked.name.as_str(),
                asked.method.as_ref().map(|method| method.as_str()),
                asked.nameservers.len(),
            )
        })
        .collect();
    assert_eq!(question.account, "account/one");
    assert_eq!(asked, [("*.a.test", Some("dns-01"), 1), ("a.test", Some("http-01"), 0)]);
    // Without a solver for the wildcard, only its method is unknown.
    let Some(IssuerView::Ready { solvers, .. }) = world.issuers.get_mut("one") else { panic!() };
    solvers.pop();
    let IssuanceStep::CheckCaa(question) = world.next_step() else { panic!() };
    assert_eq!(question.names[0].method, None);
}

#[test]
fn names_with_the_same_cause_share_a_sentence() {
    let mut world = World::new();
    world.names_are(&["a.test", "b.test", "www.a.test"]);
    world.caa_allows("a.test", Some("other.test"));
    let set = world.caa["a.test"].clone();
    world.caa.insert("www.a.test".to_owned(), set);
    world.caa_allows("b.test", Some("third.test"));
    world.run();
    let message = world.condition(CONDITION_ISSUING).unwrap().2;
    assert!(message.contains("to issue for a.test and www.a.test: "), "{message}");
    assert_eq!(message.matches("do not allow ca.test").count(), 2, "{message}");
}

#[test]
fn a_directory_that_cannot_be_read_is_the_same_failure_as_at_the_order() {
    let mut world = World::new();
    run_to(&mut world, |step| matches!(step, IssuanceStep::CheckCaa(_)));
    let IssuanceStep::CheckCaa(question) = world.next_step() else { panic!() };
    for _ in 0..3 {
        let error = Refusal::no_answer().error(certwright_acme::Operation::Directory);
        let outcome = Outcome::CheckedCaa(question.clone(), Err(error));
        world.change(|state, seen, now| state.apply(seen, outcome, now));
    }
    assert_eq!(world.condition(CONDITION_ISSUING).unwrap().1, reason::CA_UNAVAILABLE);
    world.run_until_rest();
    world.check_issued();
}

fn lookups(world: &World) -> usize {
    world.step_names().iter().filter(|name| **name == "CheckCaa").count()
}

impl World {
    /// Only this CA may issue for `name`; `None`: any CA may.
    pub fn caa_allows(&mut self, name: &str, ca: Option<&str>) {
        self.identities = vec!["ca.test".to_owned()];
        match ca {
            Some(ca) => {
                let property =
                    Property { critical: false, tag: "issue".to_owned(), value: ca.as_bytes().to_vec() };
                let set = RelevantSet { domain: name.to_owned(), properties: vec![property] };
                self.caa.insert(name.to_owned(), set);
            }
            None => drop(self.caa.remove(name)),
        }
    }
}
