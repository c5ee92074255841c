//! Names from HTTPRoutes.

use super::*;
use crate::annotated::routes::{MAX_ROUTE_NAMES, NamedRoute, name_listeners};

/// A Gateway whose listener `open` has no hostname, and `below` a wildcard.
fn open_gateway() -> AnnotatedObject {
    let mut open = listener("open", "", "tls");
    let below = listener("below", "*.b.test", "below-tls");
    open.as_object_mut().unwrap().remove("hostname");
    gateway(
        &json!({ "certwright.dev/issuer": "ca" }),
        &json!([open, below, listener("fixed", "f.test", "tls")]),
    )
}

fn route(name: &str, hosts: &[&str], accepted: &str) -> NamedRoute {
    let parent = json!({ "name": "front", "namespace": "shop", "sectionName": "open" });
    route_to(name, hosts, accepted, &parent)
}

fn route_to(name: &str, hosts: &[&str], accepted: &str, parent: &Value) -> NamedRoute {
    serde_json::from_value(json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
        "metadata": { "name": name, "namespace": "team", "generation": 2 },
        "spec": { "parentRefs": [parent], "hostnames": hosts },
        "status": { "parents": [{
            "parentRef": parent, "controllerName": "example.com/router",
            "conditions": [{
                "type": "Accepted", "status": accepted, "observedGeneration": 2, "reason": "Accepted", "message": "",
                "lastTransitionTime": "2026-01-01T00:00:00Z",
            }],
        }] },
    }))
    .unwrap()
}

/// The names of each Certificate.
fn named(routes: &[NamedRoute], existing: Option<&Certificate>) -> Vec<(String, Vec<String>)> {
    let mut object = open_gateway();
    name_listeners(&mut object, routes.iter(), |name| {
        existing.filter(|existing| existing.name_any() == name).cloned()
    });
    let plan = planned(&object);
    plan.certificates.into_iter().map(|made| (made.name_any(), made.spec.dns_names)).collect()
}

fn of_tls(routes: &[NamedRoute], existing: Option<&Certificate>) -> Vec<String> {
    named(routes, existing).into_iter().find(|(name, _)| name == "tls").unwrap().1
}

/// The Certificate `tls` with these names and conditions.
fn existing(names: &[&str], ready: &str, issuing: Option<&str>) -> Certificate {
    let mut object = open_gateway();
    name_listeners(&mut object, [].iter(), |_| None);
    let mut made = planned(&object).certificates.remove(0);
    made.spec.dns_names = names.iter().map(|name| (*name).to_owned()).collect();
    let condition = |type_: &str, status: &str| json!({ "type": type_, "status": status, "reason": "Any", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z" });
    let conditions = [Some(("Ready", ready)), issuing.map(|issuing| ("Issuing", issuing))];
    let conditions: Vec<Value> =
        conditions.into_iter().flatten().map(|(type_, status)| condition(type_, status)).collect();
    made.status = Some(serde_json::from_value(json!({ "conditions": conditions })).unwrap());
    made
}

#[test]
fn listeners_get_the_hostnames_of_accepted_routes() {
    let everywhere = json!({ "name": "front", "namespace": "shop" });
    let routes = [
        route("one", &["A.test", "a.test"], "True"),
        route("two", &["refused.test"], "False"),
        route_to("three", &["x.b.test", "c.test"], "True", &everywhere),
        route_to("other", &["other.test"], "True", &json!({ "name": "front" })),
        route_to(
            "set",
            &["set.test"],
            "True",
            &json!({ "name": "front", "namespace": "shop", "kind": "ListenerSet" }),
        ),
        route_to(
            "port",
            &["port.test"],
            "True",
            &json!({ "name": "front", "namespace": "shop", "port": 8443 }),
        ),
        route("odd", &["not a name", "*.wild.test"], "True"),
    ];
    let expected = [
        ("tls".to_owned(), ["f.test", "a.test", "x.b.test", "c.test"].map(str::to_owned).to_vec()),
        ("below-tls".to_owned(), vec!["x.b.test".to_owned()]),
    ];
    let mut found = named(&routes, None);
    found.sort_by_key(|(name, _)| name != "tls");
    for (_, names) in &mut found {
        names.sort();
    }
    let mut expected = expected.to_vec();
    expected.iter_mut().for_each(|(_, names)| names.sort());
    assert_eq!(found, expected);
}

#[test]
fn a_listener_without_routes_is_told_and_its_certificate_stays() {
    let mut object = open_gateway();
    name_listeners(&mut object, [].iter(), |_| None);
    let plan = planned(&object);
    let words = "TLSSkipped: spec.listeners[1] has no names: no HTTPRoute with a hostname for it is accepted";
    assert!(notes(&plan).iter().any(|note| note == words), "{:?}", notes(&plan));
    assert_eq!(names(&plan), ["tls"]);
}

#[test]
fn names_do_not_come_and_go_with_each_route() {
    let both = [route("one", &["a.test"], "True"), route("two", &["b.test"], "True")];
    let one = &both[..1];
    let flaps = [both[0].clone(), route("two", &["b.test"], "False")];
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    for (routes, has, ready, issuing, expected, why) in [
        (
            &both[..],
            &["f.test", "a.test"][..],
            "True",
            None,
            &["f.test", "a.test", "b.test"][..],
            "a name is added",
        ),
        (
            &both[..],
            &["f.test", "a.test"],
            "False",
            Some("True"),
            &["f.test", "a.test"],
            "not during an order",
        ),
        (
            &both[..],
            &["f.test", "a.test"],
            "True",
            Some("True"),
            &["f.test", "a.test"],
            "not during a renewal",
        ),
        (
            one,
            &["f.test", "a.test", "b.test"],
            "True",
            None,
            &["f.test", "a.test", "b.test"],
            "a gone name stays",
        ),
        (
            one,
            &["f.test", "a.test", "b.test"],
            "True",
            Some("True"),
            &["f.test", "a.test"],
            "until the next order",
        ),
        (one, &["f.test", "a.test", "b.test"], "False", Some("False"), &["f.test", "a.test"], "or a failure"),
        (
            &both[..],
            &["f.test", "a.test", "c.test"],
            "True",
            None,
            &["f.test", "a.test", "b.test"],
            "or a new name",
        ),
        (
            &flaps[..],
            &["f.test", "a.test", "b.test"],
            "True",
            Some("True"),
            &["f.test", "a.test", "b.test"],
            "flaps",
        ),
        (
            &both[..],
            &["f.test", "a.test"],
            "False",
            Some("False"),
            &["f.test", "a.test", "b.test"],
            "after a failure",
        ),
    ] {
        let found = of_tls(routes, Some(&existing(has, ready, issuing)));
        assert_eq!(found, names(expected), "{why}");
    }
    let mut foreign = existing(&["f.test", "x.test"], "True", None);
    foreign.metadata.owner_references = None;
    assert_eq!(
        of_tls(one, Some(&foreign)),
        names(&["f.test", "a.test"]),
        "that of somebody else says nothing"
    );
}

#[test]
fn a_hundred_names_are_taken_from_routes() {
    let routes: Vec<NamedRoute> = (0..=MAX_ROUTE_NAMES)
        .map(|at| route(&format!("r{at:03}"), &[&format!("n{at}.test")], "True"))
        .collect();
    let mut object = open_gateway();
    name_listeners(&mut object, routes.iter(), |_| None);
    let plan = planned(&object);
    assert_eq!(plan.certificates[0].spec.dns_names.len(), 1 + MAX_ROUTE_NAMES);
    assert!(
        !plan.certificates[0].spec.dns_names.contains(&"n100.test".to_owned()),
        "the last one is left out"
    );
    let words = "TLSSkipped: spec.listeners[0] has HTTPRoutes with 101 hostnames, but a certificate takes 100 of them: add \
                 listeners with other Secrets";
    assert!(notes(&plan).iter().any(|note| note == words), "{:?}", notes(&plan));
}

#[test]
fn routes_name_listeners_only_where_that_is_asked_for() {
    let follows = |value: &str, routes: bool| {
        let annotations = json!({ "certwright.dev/issuer": "ca", "certwright.dev/route-hostnames": value });
        let settings = AnnotationSettings { routes, ..AnnotationSettings::default() };
        let gateway = gateway(&annotations, &json!([listener("one", "a.test", "tls")]));
        (follows_routes(&gateway, &settings), plan(&gateway, &settings).remarks)
    };
    assert_eq!(follows("true", true), (true, vec![]));
    assert_eq!(follows("false", true), (false, vec![]));
    let (does, remarks) = follows("true", false);
    assert!(!does);
    assert_eq!(
        remarks[0].note,
        "certwright.dev/route-hostnames is not used: the operator runs without --gateway-route-hostnames"
    );
}
