use certwright_api::{CertificateSpec, CertificateStatus};
use serde_json::{Value, json};

use super::*;
use crate::conditions::{condition, set_standing};
use crate::kstatus;
use crate::spec::ValidatedCertificate;

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

fn certificate(fields: Value) -> CertificateSpec {
    let mut spec = json!({ "secretName": "tls", "dnsNames": ["a.test"], "issuerRef": { "name": "ca" } });
    spec.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    serde_json::from_value(spec).unwrap()
}

fn issuer(solvers: Value) -> AcmeIssuer {
    serde_json::from_value(json!({ "server": "https://a.test/dir", "solvers": solvers })).unwrap()
}

#[test]
fn each_field_without_effect_is_listed_with_the_reason() {
    for (fields, expected) in [
        (json!({ "subject": { "organizations": ["Shop"] } }), format!("spec.subject ({SUBJECT})")),
        (json!({ "literalSubject": "O=Shop" }), format!("spec.literalSubject ({SUBJECT})")),
        (
            json!({ "literalSubject": "O=Shop", "subject": { "serialNumber": "1" } }),
            format!("spec.subject and spec.literalSubject ({SUBJECT})"),
        ),
        (json!({ "commonName": "My Shop" }), format!("spec.commonName ({COMMON_NAME})")),
        (json!({ "usages": ["server auth", "client auth"] }), format!("spec.usages ({USAGES})")),
        (json!({ "encodeUsagesInRequest": true }), format!("spec.encodeUsagesInRequest ({ENCODE_USAGES})")),
        (
            json!({ "signatureAlgorithm": "SHA256WithRSA" }),
            format!("spec.signatureAlgorithm ({SIGNATURE_ALGORITHM})"),
        ),
        (
            json!({ "revisionHistoryLimit": 1, "usages": ["any"] }),
            format!("spec.usages ({USAGES}); spec.revisionHistoryLimit ({HISTORY})"),
        ),
    ] {
        let said = of_certificate(&certificate(fields));
        assert_eq!(said, Some(format!("These fields have no effect: {expected}")));
    }
}

#[test]
fn what_has_an_effect_or_asks_for_nothing_is_not_listed() {
    for fields in [
        json!({}),
        json!({ "commonName": "b.test" }),
        json!({ "commonName": "192.0.2.1" }),
        json!({ "commonName": "" }),
        json!({ "usages": USUAL_USAGES }),
        json!({ "usages": [], "encodeUsagesInRequest": false, "isCA": false }),
        json!({ "subject": {}, "literalSubject": "", "signatureAlgorithm": "" }),
    ] {
        assert_eq!(of_certificate(&certificate(fields.clone())), None, "{fields}");
    }
    assert_eq!(of_issuer(&issuer(json!([{ "http01": { "ingress": { "serviceType": "NodePort" } } }]))), None);
}

#[test]
fn the_templates_of_many_solvers_are_listed_once() {
    let solver =
        |way: &str| json!({ "http01": { way: { "podTemplate": { "spec": { "nodeSelector": {} } } } } });
    let said = of_issuer(&issuer(json!([solver("ingress"), solver("gatewayHTTPRoute"), solver("ingress")])));
    let expected = "spec.acme.solvers[].http01.gatewayHTTPRoute.podTemplate and \
                    spec.acme.solvers[].http01.ingress.podTemplate";
    assert_eq!(said, Some(format!("These fields have no effect: {expected} ({POD_TEMPLATE})")));
}

/// What a subject says must reach no request: a CA would reject it.
#[test]
fn a_common_name_that_is_no_name_is_not_requested() {
    let spec = certificate(json!({ "commonName": "My Shop", "literalSubject": "CN=b.test,O=Shop" }));
    let wanted = ValidatedCertificate::new(&spec, None).unwrap();
    assert_eq!(
        (wanted.subject.common_name.as_deref(), wanted.subject.dns_names),
        (None, vec!["a.test".to_owned()])
    );
}

#[test]
fn the_condition_comes_and_goes_and_is_no_failure() {
    let mut status = CertificateStatus::default();
    let conditions = &mut status.conditions;
    set_condition(conditions, "Ready", true, "Ready", "", 1, NOW);
    let before = conditions.clone();
    note(conditions, None, 1, NOW);
    assert_eq!(*conditions, before);
    note(conditions, Some("These fields have no effect: spec.usages"), 1, NOW);
    let listed = condition(conditions, CONDITION_IGNORED_FIELDS).unwrap();
    assert_eq!((listed.status.as_str(), listed.reason.as_str()), ("True", "NoEffect"));
    assert_eq!(kstatus::of_certificate(conditions), None);
    assert_eq!(kstatus::of_issuer(conditions), None);
    set_standing(conditions, None, 1, NOW);
    note(conditions, None, 2, NOW);
    assert_eq!(*conditions, before);
}
