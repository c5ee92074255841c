use kube::ResourceExt;
use kube::core::ObjectList;

use super::*;
use crate::annotated;

/// A Certificate with this spec and this status.
fn certificate(spec: &Value, status: &Value) -> Value {
    json!({
        "apiVersion": "certwright.dev/v1alpha1", "kind": "Certificate",
        "metadata": {
            "name": "web", "namespace": "shop", "uid": "1", "generation": 3, "resourceVersion": "7",
            "finalizers": ["certwright.dev/cleanup"],
        },
        "spec": spec, "status": status,
    })
}

fn good() -> Value {
    certificate(
        &json!({ "secretName": "web", "dnsNames": ["a.test"], "issuerRef": { "name": "ca" } }),
        &json!({}),
    )
}

/// The objects as they come in one list.
fn listed<K: Readable + Clone>(items: &[Value]) -> Vec<Reading<K>> {
    let list =
        json!({ "kind": "List", "apiVersion": "v1", "metadata": { "resourceVersion": "1" }, "items": items });
    serde_json::from_str::<ObjectList<Reading<K>>>(&list.to_string()).unwrap().items
}

fn one(object: &Value) -> Reading<Certificate> {
    let mut found = listed(&[good(), object.clone(), good()]);
    assert!(found[0].fault.is_none() && found[2].fault.is_none(), "the others are read");
    found.remove(1)
}

#[test]
fn one_that_cannot_be_read_says_which_field_and_leaves_the_others_alone() {
    for (field, value, expected) in [
        (
            "renewBefore",
            json!("99999999999999999999h"),
            "spec.renewBefore: '99999999999999999999h' is out of bounds: write a duration from 0s to 87600h",
        ),
        ("duration", json!("1s"), "spec.duration: '1s' is out of bounds: write a duration from 1m to 87600h"),
        ("dnsNames", json!([1]), "spec.dnsNames[0]: invalid type: integer `1`, expected a string"),
        (
            "secretName",
            json!("../../kube-system/secrets/x"),
            "spec.secretName: not a valid object name: at most 253 lower-case letters, digits, '-' and '.', starting and ending with a letter or digit",
        ),
        ("secretName", Value::Null, "spec.secretName: invalid type: null, expected a string"),
        ("dnsNames", json!(vec!["a.test"; 251]), "spec.dnsNames: more than 250 items"),
        (
            "secretTemplate",
            json!({ "labels": { "a": "b".repeat(64) } }),
            "spec.secretTemplate.labels: a value longer than 63 characters",
        ),
        ("issuerRef", json!({}), "spec.issuerRef: missing field `name`"),
    ] {
        let mut object = good();
        object["spec"][field] = value;
        let found = one(&object);
        assert_eq!(found.fault.as_ref().map(ToString::to_string).as_deref(), Some(expected));
        assert_eq!((found.name_any().as_str(), found.uid().as_deref()), ("web", Some("1")));
    }
}

#[test]
fn an_unreadable_spec_does_not_lose_the_status_and_vice_versa() {
    let record = |name: &str| {
        json!({
            "name": name, "fqdn": "_acme-challenge.a.test.", "zone": "a.test.", "value": "v", "keyAuthorization": "k",
            "solver": { "webhook": { "groupName": "acme.test", "solverName": "dns" } }, "secretsNamespace": "shop",
        })
    };
    let mut forged = record("forged");
    forged["solver"] = json!({ "cleanupTimeout": "99999999999999999999h" });
    let status = json!({
        "observedGeneration": 2, "notAfter": "9999-12-31T23:59:59Z",
        "dnsRecords": [record("one"), forged, record("two")],
        "revocation": { "certificates": [{ "certificate": "QUJ=", "serialNumber": "01" }], "observedRequest": "superseded" },
    });
    let spec = json!({ "secretName": "web", "dnsNames": ["a.test"], "issuerRef": { "name": "ca" } });
    for (spec, fault) in [(spec.clone(), None), (json!({ "secretName": 1 }), Some("spec.secretName"))] {
        let found = one(&certificate(&spec, &status));
        assert_eq!(found.fault.as_ref().map(|fault| fault.path.as_str()), fault);
        let status_fault = found.status_fault.unwrap();
        assert!(status_fault.path.starts_with("status."), "{status_fault}");
        let status = found.object.status.unwrap();
        assert_eq!(status.observed_generation, Some(2));
        assert_eq!(status.not_after, None, "no such time here");
        assert_eq!(
            status.dns_records.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(),
            ["one", "two"]
        );
        let revocation = status.revocation.unwrap();
        assert_eq!(revocation.observed_request.as_deref(), Some("superseded"));
        assert_eq!(revocation.certificates, []);
    }
}

#[test]
fn what_is_being_deleted_is_read_without_what_cannot_be() {
    let mut object = good();
    object["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    object["spec"]["renewBefore"] = json!("99999999999999999999h");
    object["spec"]["revocation"] = json!({ "onDelete": "superseded" });
    let found = one(&object).usable().unwrap();
    assert_eq!((found.spec.secret_name.as_str(), found.spec.renew_before), ("web", None));
    assert!(found.spec.revocation.is_some_and(|revocation| revocation.on_delete.reason().is_some()));
    object["spec"] = json!({ "secretName": ["no name"] });
    let found = one(&object).usable().unwrap();
    assert_eq!(
        found.spec,
        CertificateSpec { issuer_ref: found.spec.issuer_ref.clone(), ..CertificateSpec::default() }
    );
    assert_eq!(found.finalizers(), ["certwright.dev/cleanup"]);
}

#[test]
fn managed_fields_are_not_looked_at() {
    let deep = (0..500).fold(json!({}), |inner, _| json!({ "f:x": inner }));
    let mut object = good();
    object["metadata"]["managedFields"] = json!([
        { "manager": "mallory", "operation": "Update", "time": "9999-12-31T23:59:59Z", "fieldsV1": deep },
    ]);
    assert_eq!(one(&object).fault, None);
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "data": { "tls.key": 5 },
        "metadata": { "name": "tls", "managedFields": object["metadata"]["managedFields"] },
    });
    let found = listed::<PartialObjectMeta<Secret>>(&[secret]);
    assert_eq!((found[0].fault.clone(), found[0].name_any().as_str()), (None, "tls"));
}

#[test]
fn what_is_nested_too_deeply_is_the_problem_of_its_object() {
    let deep = (0..500).fold(json!(1), |inner, _| json!([inner]));
    let issuer = |config: Value| {
        json!({
            "apiVersion": "certwright.dev/v1alpha1", "kind": "Issuer", "metadata": { "name": "ca" },
            "spec": { "acme": {
                "server": "https://ca.test/dir",
                "solvers": [{ "dns01": { "webhook": { "groupName": "a.test", "solverName": "dns", "config": config } } }],
            } },
        })
    };
    let found = listed::<Issuer>(&[issuer(json!({})), issuer(deep), issuer(json!({}))]);
    let faults: Vec<_> = found.iter().map(|one| one.fault.as_ref().map(ToString::to_string)).collect();
    let expected = "spec.acme.solvers[0].dns01.webhook.config[0]: nested more than 64 levels deep";
    assert_eq!(faults, [None, Some(expected.to_owned()), None]);
}

#[test]
fn what_is_too_large_is_the_problem_of_its_object_and_is_not_kept() {
    let mut maps = good();
    maps["spec"]["more"] = Value::from(vec![json!({ "a": 0 }); 100_000]);
    let mut text = good();
    text["spec"]["secretName"] = json!("x".repeat(200_000));
    let mut labels = good();
    let many = (0..1000).map(|n| (format!("{n:0>60}"), json!("v".repeat(60))));
    labels["metadata"]["labels"] = Value::Object(many.collect());
    let mut status = good();
    status["status"] = json!({ "conditions": vec![json!({}); 300_000] });
    let mut annotations = good();
    annotations["metadata"]["annotations"] = json!({ "certwright.dev/renew": "x".repeat(200_000) });
    let found = listed::<Certificate>(&[good(), maps, text, labels, status, annotations, good()]);
    let told = |fault: &Option<Fault>| fault.as_ref().map(ToString::to_string);
    let faults: Vec<_> = found.iter().map(|one| told(&one.fault)).collect();
    let large = |path: &str, most: u32| Some(format!("{path}: larger than {most} characters of JSON"));
    let (spec, labels) = (large("spec", 131_072), large("metadata.labels", 16_384));
    assert_eq!(faults, [None, spec.clone(), spec, labels, None, None, None]);
    assert_eq!(told(&found[4].status_fault), large("status", 524_288));
    let kept = serde_json::to_string(&found.iter().map(|one| &one.object).collect::<Vec<_>>()).unwrap();
    // The status that was read in part is the largest; `reduce` takes the annotation away.
    assert!(kept.len() < 900_000, "{} bytes are kept", kept.len());
    assert!(found.iter().all(|one| one.name_any() == "web"));
}

#[test]
fn values_of_a_secret_that_are_too_large_are_read_as_empty() {
    let base64 = |bytes: usize| "eHh4".repeat(bytes / 3);
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "tls" },
        "data": { "tls.crt": base64(66_000), "tls.key": base64(60_000) },
    });
    let found = listed::<Secret>(&[secret]);
    assert_eq!(found[0].fault, None);
    let size = |key: &str| found[0].object.data.as_ref().unwrap()[key].0.len();
    assert_eq!((size("tls.crt"), size("tls.key")), (66_000, 60_000), "a key and a chain of 64 KiB are read");
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "tls" }, "data": { "tls.crt": base64(600_000) },
    });
    assert_eq!(listed::<Secret>(&[secret])[0].object.data.as_ref().unwrap()["tls.crt"].0.len(), 0);
}

#[test]
fn an_ingress_that_asks_for_nothing_is_not_reported_however_it_is() {
    let mut object = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": { "name": "shop", "annotations": {} },
        "spec": { "tls": [{ "hosts": vec!["x".repeat(200); 1000] }], "rules": vec![json!({ "host": "a" }); 100_000] },
    });
    assert_eq!(listed::<annotated::Ingress>(&[object.clone()])[0].fault, None);
    object["metadata"]["annotations"]["certwright.dev/issuer"] = json!("ca");
    let found = listed::<annotated::Ingress>(&[object.clone()]);
    assert_eq!(found[0].fault.as_ref().unwrap().path, "spec");
    object["spec"]["tls"] = json!([{ "hosts": ["a.test"] }]);
    let found = listed::<annotated::Ingress>(&[object]);
    assert_eq!(found[0].fault, None, "its rules are not looked at");
}

#[test]
fn metadata_that_cannot_be_read_leaves_a_name() {
    let mut object = good();
    object["metadata"]["creationTimestamp"] = json!("9999-12-31T23:59:59Z");
    let found = one(&object);
    assert_eq!(found.fault.unwrap().path, "metadata.creationTimestamp");
    assert_eq!(found.object.name_any(), "web");
}

#[test]
fn words_have_bounds_and_no_control_characters() {
    let mut object = good();
    object["spec"]["privateKey"] = json!({ "algorithm": format!("\u{1b}[2J\n{}", "x".repeat(9000)) });
    let fault = one(&object).fault.unwrap();
    assert_eq!(fault.path, "spec.privateKey.algorithm");
    assert!(fault.words.chars().count() <= 501 && !fault.words.contains(char::is_control), "{fault}");
}

#[test]
fn what_nobody_looks_at_is_not_kept() {
    let mut object = good();
    object["metadata"]["annotations"] = json!({
        "kubectl.kubernetes.io/last-applied-configuration": "{}", "certwright.dev/renew": "now",
    });
    object["metadata"]["labels"] = json!({ "team": "web" });
    let mut found = one(&object).usable().unwrap();
    found.reduce(&[]);
    assert_eq!(found.annotations().keys().collect::<Vec<_>>(), ["certwright.dev/renew"]);
    assert_eq!(found.labels()["team"], "web", "a solver's selector may name it");
}

#[test]
fn annotations_are_kept_up_to_64_kib_and_labels_only_where_something_selects_by_them() {
    let metadata = json!({
        "name": "web", "labels": { "team": "web", "certwright.dev/secret": "tls" },
        "annotations": { "certwright.dev/a": "x".repeat(65_520), "certwright.dev/b": "y" },
        "managedFields": [{ "manager": "kubectl" }],
    });
    let object =
        |kind: &str, version: &str| json!({ "apiVersion": version, "kind": kind, "metadata": metadata });
    let issuer = {
        let mut issuer = object("Issuer", "certwright.dev/v1alpha1");
        issuer["spec"] = json!({ "acme": { "server": "https://ca.test/dir" } });
        reduced::<Issuer>(&issuer)
    };
    assert_eq!(issuer.annotations.unwrap().keys().collect::<Vec<_>>(), ["certwright.dev/a"]);
    assert_eq!((issuer.labels.unwrap().len(), issuer.managed_fields), (2, None), "a shard may select by any");
    let secret = reduced::<PartialObjectMeta<Secret>>(&object("Secret", "v1"));
    assert_eq!(secret.labels.unwrap().keys().collect::<Vec<_>>(), ["certwright.dev/secret"]);
    let namespace = object("Namespace", "v1");
    let namespace = reduced::<PartialObjectMeta<k8s_openapi::api::core::v1::Namespace>>(&namespace);
    assert_eq!(namespace.labels.unwrap().len(), 2, "a ClusterIssuer may select by any");
}

#[test]
fn of_a_list_with_more_than_sixteen_unreadable_items_nothing_is_read() {
    let spec = &good()["spec"];
    for (unreadable, left) in [(16, 1), (17, 0)] {
        let mut items = vec![json!("no record"); unreadable];
        items.push(json!({
            "name": "one", "fqdn": "_acme-challenge.a.test.", "zone": "a.test.", "value": "v", "keyAuthorization": "k",
            "solver": { "webhook": { "groupName": "acme.test", "solverName": "dns" } }, "secretsNamespace": "shop",
        }));
        let found = one(&certificate(spec, &json!({ "observedGeneration": 2, "dnsRecords": items })));
        assert_eq!(found.fault, None);
        assert_eq!(found.status_fault.unwrap().path, "status.dnsRecords[0]");
        let status = found.object.status;
        assert_eq!(status.as_ref().map_or(0, |status| status.dns_records.len()), left, "{unreadable}");
        assert_eq!(status.is_some(), left > 0, "{unreadable}");
    }
}

#[test]
fn what_can_be_read_of_unreadable_metadata_is_what_cleaning_up_needs() {
    let mut object = good();
    object["metadata"]["creationTimestamp"] = json!("never");
    object["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    let found = one(&object).usable().unwrap();
    assert_eq!((found.name_any().as_str(), found.uid().as_deref()), ("web", Some("1")));
    assert_eq!((found.metadata.generation, found.finalizers().len()), (Some(3), 1));
    assert_eq!(found.spec.secret_name, "web");
    object["metadata"]["uid"] = json!(1);
    object["metadata"]["finalizers"] = json!(["certwright.dev/cleanup", 1]);
    let found = one(&object).usable().unwrap();
    assert_eq!((found.uid(), found.finalizers().len()), (None, 0));
    object["status"] = json!({ "observedGeneration": 2 });
    let status = one(&object).usable().unwrap().status;
    assert_eq!(status.unwrap().observed_generation, Some(2), "the status is read all the same");
}

/// The metadata of an object that is kept in memory.
fn reduced<K: Readable + Clone>(object: &Value) -> ObjectMeta {
    let mut found = listed::<K>(std::slice::from_ref(object)).remove(0);
    assert_eq!(found.fault, None);
    found.object.reduce(&[]);
    found.object.meta().clone()
}
