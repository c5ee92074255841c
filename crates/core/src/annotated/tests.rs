mod annotations;
mod routes;

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::names::is_annotated;
use super::object::reduce;
use super::*;
use certwright_api::{ANNOTATION_MADE_AS, IssuerKind, RenewBefore};

#[test]
fn each_secret_of_an_ingress_has_a_certificate_with_its_hosts() {
    let ingress = ingress(
        &json!({ "certwright.dev/issuer": "ca" }),
        &json!([
            { "hosts": ["a.test", "*.b.test", "a.test"], "secretName": "one" },
            { "hosts": ["192.0.2.1", "c.test"], "secretName": "two" },
            { "hosts": ["d.test"], "secretName": "one" },
        ]),
    );
    let plan = planned(&ingress);
    assert_eq!(plan.remarks, []);
    let [one, two] = &plan.certificates[..] else { panic!("{:#?}", plan.certificates) };
    assert_eq!(
        serde_json::to_value(&one.spec).unwrap(),
        json!({
            "secretName": "one", "dnsNames": ["a.test", "*.b.test", "d.test"],
            "issuerRef": { "name": "ca", "kind": "Issuer", "group": "certwright.dev" },
        })
    );
    assert_eq!(two.spec.ip_addresses, ["192.0.2.1"]);
    assert_eq!(two.spec.dns_names, ["c.test"]);
    assert_eq!(
        serde_json::to_value(&one.metadata).unwrap(),
        json!({
            "name": "one", "namespace": "shop", "labels": { "team": "web" },
            "annotations": { ANNOTATION_MADE_AS: one.annotations()[ANNOTATION_MADE_AS] },
            "ownerReferences": [{
                "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "name": "front", "uid": "uid-1",
                "controller": true, "blockOwnerDeletion": false,
            }],
        })
    );
}

#[test]
fn listeners_with_one_secret_have_one_certificate() {
    let gateway = gateway(
        &json!({ "certwright.dev/cluster-issuer": "ca" }),
        &json!([
            listener("one", "a.test", "tls"),
            listener("two", "*.b.test", "tls"),
            { "name": "three", "hostname": "*.b.test", "protocol": "TLS", "port": 8443,
              "tls": { "certificateRefs": [{ "name": "tls" }, { "name": "other", "kind": "Secret", "group": "" }] } },
            { "name": "http", "hostname": "a.test", "protocol": "HTTP", "port": 80 },
            { "name": "through", "hostname": "d.test", "protocol": "TLS", "port": 443, "tls": { "mode": "Passthrough" } },
        ]),
    );
    let plan = planned(&gateway);
    assert_eq!(plan.remarks, []);
    let [tls, other] = &plan.certificates[..] else { panic!("{:#?}", plan.certificates) };
    assert_eq!(tls.spec.dns_names, ["a.test", "*.b.test"]);
    assert_eq!(tls.spec.issuer_ref.kind, IssuerKind::ClusterIssuer);
    assert_eq!(tls.owner_references()[0].api_version, "gateway.networking.k8s.io/v1");
    assert_eq!(other.spec.dns_names, ["*.b.test"]);
}

#[test]
fn what_cannot_be_used_is_left_out_with_a_sentence_and_its_certificate_stays() {
    let gateway = gateway(
        &json!({ "certwright.dev/issuer": "ca" }),
        &json!([
            listener("one", "a.test", "fine"),
            { "name": "two", "protocol": "HTTPS", "tls": { "certificateRefs": [{ "name": "no-host" }] } },
            { "name": "three", "hostname": "c.test", "protocol": "HTTPS" },
            { "name": "four", "hostname": "d.test", "protocol": "HTTPS",
              "tls": { "certificateRefs": [{ "name": "elsewhere", "namespace": "other" }] } },
            { "name": "five", "hostname": "e.test", "protocol": "HTTPS",
              "tls": { "certificateRefs": [{ "name": "vault", "kind": "Vault", "group": "example.com" }] } },
            { "name": "six", "hostname": "f.test", "protocol": "HTTPS",
              "tls": { "certificateRefs": [{ "name": "victim/status" }] } },
        ]),
    );
    let plan = planned(&gateway);
    assert_eq!(names(&plan), ["fine"]);
    let kept = ["no-host", "elsewhere", "vault", "victim/status"].map(str::to_owned);
    assert_eq!(plan.kept, Kept::These(BTreeSet::from(kept)));
    assert_eq!(
        notes(&plan),
        [
            "TLSSkipped: spec.listeners[1].hostname is empty; add the names for the certificate",
            "TLSSkipped: spec.listeners[2].tls.certificateRefs is empty; name the Secret for the certificate",
            "TLSSkipped: spec.listeners[3].tls.certificateRefs[0].namespace is 'other', but a Certificate can fill only \
             Secrets in its own namespace: create a Certificate there, or name a Secret in namespace shop",
            "TLSSkipped: spec.listeners[4].tls.certificateRefs[0] names a Vault of another API group; name a Secret of \
             the core group",
            "TLSSkipped: spec.listeners[5].tls.certificateRefs[0] is not a valid name of a Secret",
        ]
    );
    let ingress = ingress(
        &json!({ "certwright.dev/issuer": "ca" }),
        &json!([{ "secretName": "one" }, { "hosts": ["b.test"] }]),
    );
    assert_eq!(
        notes(&planned(&ingress)),
        [
            "TLSSkipped: spec.tls[0].hosts is empty; add the names for the certificate",
            "TLSSkipped: spec.tls[1].secretName is empty; name the Secret for the certificate",
        ]
    );
}

#[test]
fn listeners_that_are_to_be_ignored_are() {
    let annotations =
        json!({ "certwright.dev/issuer": "ca", "certwright.dev/ignore-tls-listeners": "two, three" });
    let listeners = json!([listener("one", "a.test", "one"), listener("two", "b.test", "two")]);
    let plan = planned(&gateway(&annotations, &listeners));
    assert_eq!(names(&plan), ["one"]);
    assert_eq!(plan.kept, Kept::default(), "the Certificate of the other goes");
}

#[test]
fn a_certificate_as_it_is_wanted_is_not_written_again() {
    let object = with(&json!({ "certwright.dev/issuer": "ca", "certwright.dev/renew-before": "720h" }));
    let wanted = planned(&object).certificates.remove(0);
    assert_eq!(decide(&wanted, &object, None), Decision::Apply);
    let mut existing = wanted.clone();
    existing.metadata.resource_version = Some("7".into());
    existing.spec.keystores = Some(Default::default());
    existing.metadata.labels.get_or_insert_default().insert("added".into(), "by somebody".into());
    assert_eq!(decide(&wanted, &object, Some(&existing)), Decision::Leave, "what others add is theirs");

    let mut edited = existing.clone();
    edited.spec.dns_names.clear();
    assert_eq!(decide(&wanted, &object, Some(&edited)), Decision::Apply, "what others change is not");
    let less = planned(&with(&json!({ "certwright.dev/issuer": "ca" }))).certificates.remove(0);
    assert_eq!(decide(&less, &object, Some(&existing)), Decision::Apply, "an annotation was removed");
}

#[test]
fn a_certificate_of_somebody_else_is_left_alone() {
    let object = with(&json!({ "certwright.dev/issuer": "ca" }));
    let wanted = planned(&object).certificates.remove(0);
    let mut existing = wanted.clone();
    existing.metadata.owner_references = None;
    let Decision::Foreign(remark) = decide(&wanted, &object, Some(&existing)) else { panic!("not foreign") };
    assert_eq!(
        remark.note,
        "Certificate tls exists and was not created from annotations, so it is not changed: delete it, or name another Secret"
    );
    assert!(!is_surplus(&existing, &object, &Plan::default()));

    let other = AnnotatedObject { name: "other".into(), uid: "uid-2".into(), ..object };
    let Decision::Foreign(remark) = decide(&wanted, &other, Some(&wanted)) else { panic!("not foreign") };
    assert_eq!(
        remark.note,
        "Certificate tls was created from Ingress front, so it is not changed: name another Secret here, or list all hosts there"
    );
}

#[test]
fn a_certificate_that_is_being_deleted_or_only_refers_to_the_object_is_left_alone() {
    let object = with(&json!({ "certwright.dev/issuer": "ca" }));
    let wanted = planned(&object).certificates.remove(0);
    let mut going = wanted.clone();
    going.spec.dns_names.clear();
    let now = jiff::Timestamp::UNIX_EPOCH;
    going.metadata.deletion_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(now));
    assert_eq!(decide(&wanted, &object, Some(&going)), Decision::Leave);
    assert!(!is_surplus(&going, &object, &Plan::default()));

    let mut referring = wanted.clone();
    referring.metadata.owner_references.as_mut().unwrap()[0].controller = None;
    let Decision::Foreign(remark) = decide(&wanted, &object, Some(&referring)) else { panic!("not foreign") };
    assert!(remark.note.starts_with("Certificate tls exists and was not created from"), "{}", remark.note);
    assert!(!is_surplus(&referring, &object, &Plan::default()));
}

#[test]
fn what_is_asked_for_no_more_goes_unless_something_is_wrong() {
    let object = with(&json!({ "certwright.dev/issuer": "ca" }));
    let plan = planned(&object);
    let made = &plan.certificates[0];
    assert!(!is_surplus(made, &object, &plan));
    assert!(is_surplus(made, &object, &Plan::default()));
    for kept in [Kept::All, Kept::Unrequested] {
        assert!(!is_surplus(made, &object, &Plan { kept, ..Plan::default() }));
    }
    let kept = Kept::These(BTreeSet::from(["tls".to_owned()]));
    assert!(!is_surplus(made, &object, &Plan { kept, ..Plan::default() }));
}

#[test]
fn an_object_names_secrets_and_empty_names_are_none() {
    let blocks = json!([
        { "hosts": ["a.test"], "secretName": "tls" }, { "hosts": ["b.test"], "secretName": "" },
    ]);
    let ingress = ingress(&json!({ "certwright.dev/issuer": "ca" }), &blocks);
    assert!(ingress.names_secret("tls") && !ingress.names_secret("other") && !ingress.names_secret(""));
    let empty = "TLSSkipped: spec.tls[1].secretName is empty; name the Secret for the certificate";
    assert_eq!(notes(&planned(&ingress)), [empty]);
    let listeners = json!([listener("one", "", "tls")]);
    let empty = "TLSSkipped: spec.listeners[0].hostname is empty; add the names for the certificate";
    let gateway = gateway(&json!({ "certwright.dev/issuer": "ca" }), &listeners);
    assert_eq!(notes(&planned(&gateway)), [empty]);
}

#[test]
fn of_an_object_with_annotations_that_are_read_the_others_are_not_remembered() {
    for (key, is_read) in [
        ("certwright.dev/issuer", true),
        ("acme.certwright.dev/http01-edit-in-place", true),
        ("cert-manager.io/issuer", true),
        ("acme.cert-manager.io/http01-ingress-class", true),
        ("kubernetes.io/tls-acme", true),
        ("kubernetes.io/ingress.class", false),
        ("example.com/certwright.dev/issuer", false),
    ] {
        let annotations = json!({ key: "x", "example.com/other": "y" });
        let listeners = json!([listener("one", "a.test", "tls")]);
        let spec = json!({ "gatewayClassName": "any", "listeners": listeners });
        let version = "gateway.networking.k8s.io/v1";
        let mut gateway: Gateway = object(version, "Gateway", &annotations, spec);
        assert_eq!(is_annotated(&gateway), is_read, "{key}");
        reduce(&mut gateway, &[]);
        assert_eq!(gateway.annotations().keys().collect::<Vec<_>>(), vec![key; usize::from(is_read)]);
        assert_eq!(gateway.spec.listeners.is_empty(), !is_read, "{key}");
        assert_eq!(gateway.labels().is_empty(), !is_read, "{key}");
    }
}

#[test]
fn little_is_remembered_of_an_object() {
    let mut ingress: Ingress = serde_json::from_value(json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
        "metadata": {
            "name": "front", "namespace": "shop", "uid": "uid-1", "resourceVersion": "3", "labels": { "a": "b" },
            "annotations": { "kubectl.kubernetes.io/last-applied-configuration": "{}" },
            "managedFields": [{ "manager": "kubectl" }],
        },
        "spec": { "rules": [{ "host": "a.test" }], "tls": [{ "hosts": ["a.test"], "secretName": "tls" }] },
    }))
    .unwrap();
    reduce(&mut ingress, &[]);
    assert_eq!(
        serde_json::to_value(&ingress).unwrap(),
        json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
            "metadata": { "name": "front", "namespace": "shop", "uid": "uid-1", "resourceVersion": "3" },
            "spec": { "tls": [] },
        })
    );
}

#[test]
fn a_certificate_stays_and_is_told_once_no_issuer_is_named() {
    let object = with(&json!({ "certwright.dev/issuer": "ca" }));
    let requested = planned(&object);
    let made = &requested.certificates[0];
    assert_eq!(unrequested(made, &object, &requested), None);
    let plan = planned(&with(&json!({ "certwright.dev/duration": "2160h" })));
    assert!(!is_surplus(made, &object, &plan));
    assert_eq!(
        unrequested(made, &object, &plan).unwrap().note,
        "Certificate tls stays, and is renewed, although no annotation names an issuer of Certwright: delete it if you do not \
         need it"
    );
    let other = AnnotatedObject { uid: "uid-2".into(), ..object.clone() };
    assert_eq!(unrequested(made, &other, &plan), None);
    let mut going = made.clone();
    let now = k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(jiff::Timestamp::UNIX_EPOCH);
    going.metadata.deletion_timestamp = Some(now);
    assert_eq!(unrequested(&going, &object, &plan), None);
}

#[test]
fn listeners_of_a_listener_set_have_certificates_of_their_own() {
    let listeners = json!([listener("one", "a.test", "tls"), listener("two", "*.b.test", "tls")]);
    let plan = planned(&listener_set(&json!({ "certwright.dev/issuer": "ca" }), &listeners));
    assert_eq!(plan.remarks, []);
    let [made] = &plan.certificates[..] else { panic!("{:#?}", plan.certificates) };
    assert_eq!(made.spec.dns_names, ["a.test", "*.b.test"]);
    assert_eq!(
        (made.owner_references()[0].kind.as_str(), made.namespace().as_deref()),
        ("ListenerSet", Some("shop"))
    );
    let mut elsewhere = listener("one", "a.test", "tls");
    elsewhere["tls"]["certificateRefs"][0]["namespace"] = json!("edge");
    let plan = planned(&listener_set(&json!({ "certwright.dev/issuer": "ca" }), &json!([elsewhere])));
    assert!(
        plan.certificates.is_empty()
            && plan.remarks[0].note.contains("can fill only Secrets in its own namespace")
    );
}

fn planned(object: &AnnotatedObject) -> Plan {
    plan(object, &AnnotationSettings::default())
}

fn names(plan: &Plan) -> Vec<String> {
    plan.certificates.iter().map(ResourceExt::name_any).collect()
}

fn notes(plan: &Plan) -> Vec<String> {
    plan.remarks.iter().map(|remark| format!("{}: {}", remark.reason, remark.note)).collect()
}

/// An Ingress for a.test with the Secret `tls`.
fn with(annotations: &Value) -> AnnotatedObject {
    ingress(annotations, &json!([{ "hosts": ["a.test"], "secretName": "tls" }]))
}

fn ingress(annotations: &Value, tls: &Value) -> AnnotatedObject {
    let ingress: Ingress = object("networking.k8s.io/v1", "Ingress", annotations, json!({ "tls": tls }));
    AnnotatedObject::from(&ingress)
}

fn gateway(annotations: &Value, listeners: &Value) -> AnnotatedObject {
    let spec = json!({ "gatewayClassName": "any", "listeners": listeners });
    let gateway: Gateway = object("gateway.networking.k8s.io/v1", "Gateway", annotations, spec);
    AnnotatedObject::from(&gateway)
}

/// A ListenerSet of the Gateway `public` in the namespace `edge`.
fn listener_set(annotations: &Value, listeners: &Value) -> AnnotatedObject {
    let spec = json!({ "parentRef": { "name": "public", "namespace": "edge" }, "listeners": listeners });
    let set: ListenerSet = object("gateway.networking.k8s.io/v1", "ListenerSet", annotations, spec);
    AnnotatedObject::from(&set)
}

fn object<K: serde::de::DeserializeOwned>(version: &str, kind: &str, annotations: &Value, spec: Value) -> K {
    serde_json::from_value(json!({
        "apiVersion": version, "kind": kind, "spec": spec,
        "metadata": {
            "name": "front", "namespace": "shop", "uid": "uid-1", "annotations": annotations,
            "labels": { "team": "web", "applyset.kubernetes.io/part-of": "set" },
        },
    }))
    .unwrap()
}

fn listener(name: &str, host: &str, secret: &str) -> Value {
    json!({
        "name": name, "hostname": host, "protocol": "HTTPS", "port": 443,
        "tls": { "mode": "Terminate", "certificateRefs": [{ "name": secret }] },
    })
}
