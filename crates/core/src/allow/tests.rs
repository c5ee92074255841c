use serde_json::{Value, json};

use super::{NotAllowed, check};
use certwright_api::Allow;
use certwright_pki::Subject;

#[test]
fn without_parts_everything_is_allowed() {
    assert_eq!(verdict(json!({}), &[], &["a.example.com"], &["192.0.2.1"]), Ok(()));
    assert_eq!(verdict(json!({"namespaceSelector": {}}), &[], &["a.example.com"], &[]), Ok(()));
}

#[test]
fn a_namespace_needs_all_labels_and_expressions_of_the_selector() {
    let selector = json!({"namespaceSelector": {
        "matchLabels": {"team": "a"},
        "matchExpressions": [{"key": "stage", "operator": "In", "values": ["test", "production"]}],
    }});
    let refused = Err(NotAllowed::Namespace("web".to_owned()));
    assert_eq!(verdict(selector.clone(), &[("team", "a"), ("stage", "test")], &["x.test"], &[]), Ok(()));
    assert_eq!(verdict(selector.clone(), &[("team", "a")], &["x.test"], &[]), refused);
    assert_eq!(verdict(selector.clone(), &[("team", "b"), ("stage", "test")], &["x.test"], &[]), refused);
    assert_eq!(verdict(selector, &[], &["x.test"], &[]), refused);
}

#[test]
fn a_selector_that_cannot_be_read_allows_nobody() {
    let wrong = json!({"namespaceSelector": {"matchExpressions": [{"key": "team", "operator": "Is"}]}});
    assert!(matches!(verdict(wrong, &[], &["x.test"], &[]), Err(NotAllowed::Selector(_))));
}

#[test]
fn a_name_is_covered_by_itself_or_by_a_wildcard_above_it() {
    let cases = [
        ("www.example.com", "www.example.com", true),
        ("WWW.Example.com", "www.example.com", true),
        ("www.example.com", "a.www.example.com", false),
        ("www.example.com", "*.www.example.com", false),
        ("*.example.com", "www.example.com", true),
        ("*.example.com", "a.b.example.com", true),
        ("*.example.com", "*.example.com", true),
        ("*.example.com", "*.b.example.com", true),
        ("*.example.com", "example.com", false),
        ("*.example.com", "badexample.com", false),
        ("*.example.com", "example.com.evil.test", false),
        ("example.com", "*.example.com", false),
    ];
    for (pattern, name, allowed) in cases {
        let verdict = verdict(json!({"dnsNames": [pattern]}), &[], &[name], &[]);
        assert_eq!(verdict.is_ok(), allowed, "{pattern} and {name}: {verdict:?}");
    }
}

#[test]
fn each_name_that_is_not_covered_is_told_and_addresses_are_not_where_names_are_restricted() {
    let refused = verdict(
        json!({"dnsNames": ["*.a.test"]}),
        &[],
        &["www.a.test", "www.b.test", "www.c.test"],
        &["192.0.2.1"],
    );
    assert_eq!(refused, Err(NotAllowed::Names("www.b.test, www.c.test, 192.0.2.1".to_owned())));
}

fn verdict(
    allow: Value,
    labels: &[(&str, &str)],
    names: &[&str],
    addresses: &[&str],
) -> Result<(), NotAllowed> {
    let allow: Allow = serde_json::from_value(allow).unwrap();
    let labels = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let subject = Subject {
        dns_names: names.iter().map(|name| (*name).to_owned()).collect(),
        ip_addresses: addresses.iter().map(|address| address.parse().unwrap()).collect(),
        ..Subject::default()
    };
    check(&allow, "web", &labels, &subject)
}
