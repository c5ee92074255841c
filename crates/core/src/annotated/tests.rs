use std::collections::BTreeSet;

use serde_json::{Value, json};

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
fn every_field_is_set_by_its_annotation() {
    let plan = planned(&with(&json!({
        "certwright.dev/issuer": "ca",
        "certwright.dev/common-name": "a.test",
        "certwright.dev/alt-names": "X.test, a.test,*.y.test",
        "certwright.dev/ip-sans": "192.0.2.1, 2001:db8::1",
        "certwright.dev/duration": "2160h",
        "certwright.dev/renew-before": "720h",
        "certwright.dev/revision-history-limit": "3",
        "certwright.dev/private-key-algorithm": "ECDSA",
        "certwright.dev/private-key-encoding": "PKCS8",
        "certwright.dev/private-key-size": "384",
        "certwright.dev/private-key-rotation-policy": "Never",
        "certwright.dev/secret-template": r#"{"labels":{"a":"b"},"annotations":{"example.com/c":"d"}}"#,
    })));
    assert_eq!(plan.remarks, []);
    let spec = serde_json::to_value(&plan.certificates[0].spec).unwrap();
    let expected = json!({
        "secretName": "tls", "issuerRef": { "name": "ca", "kind": "Issuer", "group": "certwright.dev" },
        "commonName": "a.test", "dnsNames": ["a.test", "x.test", "*.y.test"],
        "ipAddresses": ["192.0.2.1", "2001:db8::1"], "duration": "2160h", "renewBefore": "720h",
        "revisionHistoryLimit": 3,
        "privateKey": { "algorithm": "ECDSA", "encoding": "PKCS8", "size": 384, "rotationPolicy": "Never" },
        "secretTemplate": { "labels": { "a": "b" }, "annotations": { "example.com/c": "d" } },
    });
    for field in ["duration", "renewBefore"] {
        let parsed = |value: &Value| value[field].as_str().unwrap().parse::<RenewBefore>().unwrap();
        assert_eq!(parsed(&spec), parsed(&expected), "{field}");
    }
    for (field, value) in expected.as_object().unwrap().iter().filter(|(_, value)| !value.is_string()) {
        assert_eq!(&spec[field], value, "{field}");
    }
    let set = ANNOTATIONS.iter().filter_map(|annotation| match annotation.effect {
        Effect::Sets(field, _) if field != "renewBeforePercentage" => Some(field),
        _ => None,
    });
    for field in set {
        let pointer = format!("/{}", field.replace('.', "/"));
        assert!(spec.pointer(&pointer).is_some(), "{field} is set by an annotation: {spec:#}");
    }
    let percentage = json!({ "certwright.dev/issuer": "ca", "certwright.dev/renew-before-percentage": "25" });
    assert_eq!(planned(&with(&percentage)).certificates[0].spec.renew_before_percentage, Some(25));
}

/// An annotation, an invalid value, and the allowed values.
const WRONG: &[(&str, &str, &str)] = &[
    ("issuer-kind", "Vault", "Issuer or ClusterIssuer"),
    ("issuer-group", "example.com", "certwright.dev"),
    ("common-name", "no name", "a DNS name or an IP address of at most 64 characters"),
    ("alt-names", "a.test,b c", "DNS names, separated by commas"),
    ("ip-sans", "a.test", "IP addresses, separated by commas"),
    ("duration", "1d", "a duration from 1h to 87600h, such as 2160h"),
    ("duration", "1m", "a duration from 1h to 87600h, such as 2160h"),
    ("duration", "-5h", "a duration from 1h to 87600h, such as 2160h"),
    ("renew-before", "1m", "a duration from 5m to 87600h, such as 720h"),
    ("renew-before-percentage", "100", "a number from 1 to 99"),
    ("revision-history-limit", "0", "a number of at least 1"),
    ("private-key-algorithm", "DSA", "RSA, ECDSA or Ed25519"),
    ("private-key-encoding", "pkcs8", "PKCS1 or PKCS8"),
    ("private-key-size", "1024", "2048, 3072, 4096 or 8192 for an RSA key, which is the default"),
    ("private-key-size", "-1", "2048, 3072, 4096 or 8192 for an RSA key, which is the default"),
    ("private-key-rotation-policy", "always", "Always or Never"),
    (
        "secret-template",
        "{\"label\":{}}",
        "JSON with labels and annotations, such as {\"labels\": {\"team\": \"web\"}}",
    ),
];

#[test]
fn a_value_that_cannot_be_used_is_told_and_nothing_is_changed() {
    for (name, value, allowed) in WRONG {
        let mut annotations = json!({ "certwright.dev/issuer": "ca" });
        annotations[format!("certwright.dev/{name}")] = json!(value);
        let plan = planned(&with(&annotations));
        let note =
            format!("InvalidAnnotation: certwright.dev/{name}: '{value}' is not valid; it must be {allowed}");
        assert_eq!(notes(&plan), [note]);
        assert_eq!((names(&plan).len(), &plan.kept), (0, &Kept::All), "{name}");
    }
    let both = json!({
        "certwright.dev/issuer": "ca", "certwright.dev/renew-before": "720h",
        "certwright.dev/renew-before-percentage": "25",
    });
    assert_eq!(
        notes(&planned(&with(&both))),
        [
            "InvalidAnnotation: certwright.dev/renew-before and certwright.dev/renew-before-percentage are mutually \
             exclusive; remove one"
        ]
    );
    let two = json!({ "certwright.dev/issuer": "ca", "certwright.dev/cluster-issuer": "ca" });
    assert_eq!(
        notes(&planned(&with(&two))),
        [
            "InvalidAnnotation: certwright.dev/issuer and certwright.dev/cluster-issuer are mutually exclusive; remove one"
        ]
    );
    let template = r#"{"labels":{"certwright.dev/secret":"tls"}}"#;
    let reserved = json!({ "certwright.dev/issuer": "ca", "certwright.dev/secret-template": template });
    let plan = planned(&with(&reserved));
    assert_eq!(
        notes(&plan),
        [
            "InvalidAnnotation: secretTemplate: 'certwright.dev/secret' belongs to Certwright; choose another key"
        ]
    );
    assert_eq!(plan.kept, Kept::All);
}

#[test]
fn what_does_nothing_is_told_and_holds_nothing_up() {
    let mut annotations = json!({ "certwright.dev/issuer": "ca", "certwright.dev/renew-befor": "1h" });
    let mut expected = Vec::new();
    for annotation in ANNOTATIONS {
        if let Effect::NotUsed(why) = annotation.effect {
            annotations[annotation.name] = json!("x");
            expected.push(format!("AnnotationNotUsed: {} is not used: {why}", annotation.name));
        }
    }
    expected.push(
        "AnnotationNotUsed: certwright.dev/renew-befor is not used: Certwright has no such annotation"
            .to_owned(),
    );
    let plan = planned(&with(&annotations));
    assert_eq!(notes(&plan), expected);
    assert_eq!(names(&plan), ["tls"]);
}

#[test]
fn without_an_issuer_there_is_nothing_to_do() {
    for annotations in [
        json!({}),
        json!({ "certwright.dev/duration": "no duration" }),
        json!({ "cert-manager.io/issuer": "ca" }),
        json!({ "kubernetes.io/tls-acme": "true" }),
    ] {
        assert_eq!(planned(&with(&annotations)), Plan::default(), "{annotations}");
    }
}

#[test]
fn tls_acme_takes_the_default_issuer_unless_another_is_named() {
    let default =
        IssuerRef { name: "default".into(), kind: IssuerKind::ClusterIssuer, group: "certwright.dev".into() };
    let settings = AnnotationSettings { default_issuer: Some(default.clone()), ..Default::default() };
    let issuer = |annotations: Value| {
        let plan = plan(&with(&annotations), &settings);
        plan.certificates.first().map(|certificate| certificate.spec.issuer_ref.clone())
    };
    assert_eq!(issuer(json!({ "kubernetes.io/tls-acme": "true" })), Some(default));
    assert_eq!(issuer(json!({ "kubernetes.io/tls-acme": "false" })), None);
    assert_eq!(issuer(json!({})), None);
    let named = issuer(json!({ "kubernetes.io/tls-acme": "true", "certwright.dev/issuer": "ca" }));
    assert_eq!(named.map(|issuer| issuer.name), Some("ca".to_owned()));
    let annotations = json!({ "kubernetes.io/tls-acme": "true" });
    let gateway = gateway(&annotations, &json!([listener("one", "a.test", "tls")]));
    assert_eq!(plan(&gateway, &settings), Plan::default(), "it is an annotation of Ingresses");
}

#[test]
fn annotations_of_cert_manager_are_read_if_that_is_wanted_and_ours_win() {
    let settings = AnnotationSettings { cert_manager: true, ..AnnotationSettings::default() };
    let spec = |annotations: Value| {
        plan(&with(&annotations), &settings).certificates.first().map(|found| found.spec.clone())
    };
    let theirs = spec(json!({
        "cert-manager.io/cluster-issuer": "theirs", "cert-manager.io/renew-before": "720h",
        "cert-manager.io/private-key-algorithm": "ECDSA", "certwright.dev/private-key-algorithm": "RSA",
    }))
    .unwrap();
    assert_eq!(
        (theirs.issuer_ref.name.as_str(), theirs.issuer_ref.kind),
        ("theirs", IssuerKind::ClusterIssuer)
    );
    assert!(theirs.renew_before.is_some());
    assert_eq!(theirs.private_key.unwrap().algorithm, Some(certwright_api::PrivateKeyAlgorithm::Rsa));

    let ours = json!({
        "cert-manager.io/cluster-issuer": "theirs", "cert-manager.io/issuer-kind": "Nonsense",
        "certwright.dev/issuer": "ours",
    });
    assert_eq!(spec(ours).unwrap().issuer_ref.kind, IssuerKind::Issuer);
    let group =
        |group: &str| spec(json!({ "cert-manager.io/issuer": "ca", "cert-manager.io/issuer-group": group }));
    assert!(group("cert-manager.io").is_some());
    assert!(group("awspca.cert-manager.io").is_none(), "that is an issuer for cert-manager alone");

    let place =
        json!({ "cert-manager.io/issuer": "ca", "acme.cert-manager.io/http01-edit-in-place": "true" });
    assert_eq!(
        notes(&plan(&with(&place), &settings)),
        [
            "AnnotationNotUsed: acme.cert-manager.io/http01-edit-in-place is not used: the issuer's solvers determine how \
             http-01 is done"
        ]
    );
}

#[test]
fn a_certificate_as_it_is_wanted_is_not_written_again() {
    let entrance = with(&json!({ "certwright.dev/issuer": "ca", "certwright.dev/renew-before": "720h" }));
    let wanted = planned(&entrance).certificates.remove(0);
    assert_eq!(decide(&wanted, &entrance, None), Decision::Apply);
    let mut existing = wanted.clone();
    existing.metadata.resource_version = Some("7".into());
    existing.spec.keystores = Some(Default::default());
    existing.metadata.labels.get_or_insert_default().insert("added".into(), "by somebody".into());
    assert_eq!(decide(&wanted, &entrance, Some(&existing)), Decision::Leave, "what others add is theirs");

    let mut edited = existing.clone();
    edited.spec.dns_names.clear();
    assert_eq!(decide(&wanted, &entrance, Some(&edited)), Decision::Apply, "what others change is not");
    let less = planned(&with(&json!({ "certwright.dev/issuer": "ca" }))).certificates.remove(0);
    assert_eq!(decide(&less, &entrance, Some(&existing)), Decision::Apply, "an annotation was removed");
}

#[test]
fn a_certificate_of_somebody_else_is_left_alone() {
    let entrance = with(&json!({ "certwright.dev/issuer": "ca" }));
    let wanted = planned(&entrance).certificates.remove(0);
    let mut existing = wanted.clone();
    existing.metadata.owner_references = None;
    let Decision::Foreign(remark) = decide(&wanted, &entrance, Some(&existing)) else {
        panic!("not foreign")
    };
    assert_eq!(
        remark.note,
        "Certificate tls exists and was not created from annotations, so it is not changed: delete it, or name another Secret"
    );
    assert!(!is_surplus(&existing, &entrance, &Plan::default()));

    let other = Entrance { name: "other".into(), uid: "uid-2".into(), ..entrance };
    let Decision::Foreign(remark) = decide(&wanted, &other, Some(&wanted)) else { panic!("not foreign") };
    assert_eq!(
        remark.note,
        "Certificate tls was created from Ingress front, so it is not changed: name another Secret here, or list all hosts there"
    );
}

#[test]
fn what_is_asked_for_no_more_goes_unless_something_is_wrong() {
    let entrance = with(&json!({ "certwright.dev/issuer": "ca" }));
    let plan = planned(&entrance);
    let made = &plan.certificates[0];
    assert!(!is_surplus(made, &entrance, &plan));
    assert!(is_surplus(made, &entrance, &Plan::default()));
    assert!(!is_surplus(made, &entrance, &Plan { kept: Kept::All, ..Plan::default() }));
    let kept = Kept::These(BTreeSet::from(["tls".to_owned()]));
    assert!(!is_surplus(made, &entrance, &Plan { kept, ..Plan::default() }));
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
    reduce_ingress(&mut ingress);
    assert_eq!(
        serde_json::to_value(&ingress).unwrap(),
        json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
            "metadata": { "name": "front", "namespace": "shop", "uid": "uid-1", "resourceVersion": "3" },
            "spec": { "tls": [] },
        })
    );
}

fn planned(entrance: &Entrance) -> Plan {
    plan(entrance, &AnnotationSettings::default())
}

fn names(plan: &Plan) -> Vec<String> {
    plan.certificates.iter().map(ResourceExt::name_any).collect()
}

fn notes(plan: &Plan) -> Vec<String> {
    plan.remarks.iter().map(|remark| format!("{}: {}", remark.reason, remark.note)).collect()
}

/// An Ingress for a.test with the Secret `tls`.
fn with(annotations: &Value) -> Entrance {
    ingress(annotations, &json!([{ "hosts": ["a.test"], "secretName": "tls" }]))
}

fn ingress(annotations: &Value, tls: &Value) -> Entrance {
    let ingress: Ingress = object("networking.k8s.io/v1", "Ingress", annotations, json!({ "tls": tls }));
    Entrance::from(&ingress)
}

fn gateway(annotations: &Value, listeners: &Value) -> Entrance {
    let spec = json!({ "gatewayClassName": "any", "listeners": listeners });
    let gateway: Gateway = object("gateway.networking.k8s.io/v1", "Gateway", annotations, spec);
    Entrance::from(&gateway)
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
