use k8s_openapi::ByteString;
use rcgen::{CertificateParams, KeyPair};

use super::*;
use crate::migrate::convert;

const NOW: &str = "2026-06-01T00:00:00Z";

#[test]
fn four_annotations_take_over_a_certificate_in_place() {
    let marks = marks(&certificate(json!({})), &secret(json!({}))).unwrap();
    let expected = [
        ("certwright.dev/certificate-name", "www"),
        ("certwright.dev/issuer-kind", "Issuer"),
        ("certwright.dev/issuer-name", "ca"),
        ("certwright.dev/requested-names", "example.com,www.example.com"),
    ];
    assert_eq!(marks, expected.map(|(key, value)| (key.to_owned(), value.to_owned())).into());
}

#[test]
fn existing_annotations_are_not_set_again() {
    let mut secret = secret(json!({}));
    let first = marks(&certificate(json!({})), &secret).unwrap();
    secret.metadata.annotations.get_or_insert_default().extend(first);
    assert_eq!(marks(&certificate(json!({})), &secret), Ok(Marks::new()));
}

#[test]
fn a_certificate_that_would_be_ordered_again_is_not_taken_over() {
    let others = [
        (json!({"dnsNames": ["other.example.com"]}), "lacks other.example.com"),
        (json!({"privateKey": {"algorithm": "RSA"}}), "the private key is ECDSA"),
        (json!({"issuerRef": {"name": "other"}}), "its certificate is from Issuer ca"),
        (json!({"issuerRef": {"name": "ca", "kind": "ClusterIssuer"}}), "its spec names ClusterIssuer ca"),
    ];
    for (spec, why) in others {
        let said = marks(&certificate(spec), &secret(json!({}))).unwrap_err();
        assert!(said.contains(why), "{said}");
    }
    let other_key = KeyPair::generate().unwrap().serialize_pem();
    let mut differs = secret(json!({}));
    differs.data.as_mut().unwrap().insert("tls.key".to_owned(), ByteString(other_key.into_bytes()));
    let said = marks(&certificate(json!({})), &differs).unwrap_err();
    assert!(said.contains("tls.key does not match tls.crt"), "{said}");
}

#[test]
fn a_secret_of_somebody_else_is_not_taken_over() {
    let others = [
        (json!({"cert-manager.io/certificate-name": "other"}), "belongs to another Certificate, other"),
        (json!({"cert-manager.io/certificate-name": null}), "cert-manager did not create it"),
        (json!({"certwright.dev/certificate-name": "other"}), "belongs to Certwright's Certificate other"),
    ];
    for (annotations, why) in others {
        let said = marks(&certificate(json!({})), &secret(annotations)).unwrap_err();
        assert!(said.contains(why), "{said}");
    }
    let mut opaque = secret(json!({}));
    opaque.type_ = None;
    assert!(marks(&certificate(json!({})), &opaque).unwrap_err().contains("type Opaque"));
    let none = marks_of_certificate(&certificate(json!({})), None, NOW.parse().unwrap());
    assert!(none.unwrap_err().contains("no Secret www-tls"));
}

#[test]
fn an_issuance_by_cert_manager_is_not_interrupted() {
    let said = |type_: &str, status: &str| {
        let mut outcome = certificate(json!({}));
        outcome.original["status"] =
            json!({"conditions": [{"type": type_, "status": status, "message": "a"}]});
        marks(&outcome, &secret(json!({})))
    };
    assert!(said("Issuing", "True").unwrap_err().contains("is issuing it"));
    assert!(said("Ready", "False").unwrap_err().contains("not ready: \"a\""));
    assert!(said("Ready", "True").is_ok());
}

#[test]
fn the_account_url_is_recorded_if_cert_managers_status_is_current() {
    let key = KeyPair::generate().unwrap().serialize_pem();
    let account = Secret {
        data: Some([("tls.key".to_owned(), ByteString(key.into_bytes()))].into()),
        ..Secret::default()
    };
    let marks = marks_of_account(&issuer(1), Some(&account)).unwrap();
    assert_eq!(marks["certwright.dev/account-url"], "https://ca.example.com/account/1");
    assert_eq!(marks["certwright.dev/acme-server"], "https://ca.example.com/directory");
    assert_eq!(marks["certwright.dev/eab-key-id"], "a");
    assert_eq!(marks["certwright.dev/key-thumbprint"].len(), 43);
    // The status is about an older spec: the operator asks the CA instead.
    assert_eq!(marks_of_account(&issuer(2), Some(&account)), Ok(Marks::new()));
    assert!(marks_of_account(&issuer(1), None).unwrap_err().contains("no Secret key"));
}

#[test]
fn a_certificate_is_given_back_as_it_came_with_later_changes() {
    let came = certificate(json!({
        "usages": ["client auth", "server auth"], "subject": {"organizations": ["a"]}, "renewBefore": "1h",
        "duration": "90h", "issuerRef": {"name": "ca", "group": "cert-manager.io"},
    }));
    let mut ours = came.object.clone().unwrap()["spec"].clone();
    ours["renewBefore"] = json!("2h");
    ours["profile"] = json!("short");
    ours["issuerRef"] = json!({"name": "ca", "kind": "Issuer", "group": "certwright.dev"});
    ours.as_object_mut().unwrap().remove("duration");
    let back = given_back(original(&came.original), &ours);
    let mut expected = came.original["spec"].clone();
    expected["renewBefore"] = json!("2h");
    expected["issuerRef"] = json!({"name": "ca", "kind": "Issuer", "group": "cert-manager.io"});
    expected.as_object_mut().unwrap().remove("duration");
    assert_eq!(back["spec"], expected);
    assert_eq!(back["apiVersion"], "cert-manager.io/v1");
}

/// Anybody who can write Certwright's Certificates can also write the annotation.
#[test]
fn only_cert_managers_certificate_of_the_same_name_is_given_back() {
    let good = json!({
        "apiVersion": "cert-manager.io/v1", "kind": "Certificate", "metadata": { "name": "www" },
        "spec": { "secretName": "www-tls", "issuerRef": { "name": "ca" } },
    });
    let mut others = vec![("".to_owned(), "is not the JSON"), ("[".repeat(10_000), "is not the JSON")];
    others.push((format!("{good}{}", " ".repeat(LARGEST_ORIGINAL)), "too long"));
    for (pointer, value) in [
        ("/kind", json!("ClusterRoleBinding")),
        ("/kind", json!("Secret")),
        ("/kind", Value::Null),
        ("/apiVersion", json!("rbac.authorization.k8s.io/v1")),
        ("/apiVersion", json!("cert-manager.io/v1beta1")),
        ("/apiVersion", json!("v1")),
        ("/metadata/name", json!("other")),
        ("/metadata", json!({ "name": "www", "namespace": "kube-system" })),
        ("/metadata", json!("www")),
        ("/spec", json!("none")),
    ] {
        let mut forged = good.clone();
        *forged.pointer_mut(pointer).unwrap() = value;
        others.push((forged.to_string(), "nothing else is created"));
    }
    for (annotation, why) in others {
        let said = kept_original(&annotation, "www", "shop").unwrap_err();
        assert!(said.contains(why), "{said}");
    }
}

#[test]
fn a_certificate_given_back_has_no_owners_or_finalizers_and_names_cert_managers_issuers() {
    let forged = json!({
        "apiVersion": "cert-manager.io/v1", "kind": "Certificate",
        "metadata": {
            "name": "www", "namespace": "shop", "labels": { "app": "shop" }, "finalizers": ["example.com/for-ever"],
            "ownerReferences": [{ "apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": "1" }],
        },
        "spec": { "secretName": "www-tls", "issuerRef": { "name": "ca", "group": "issuers.example.com" } },
        "status": { "conditions": [] },
    });
    let expected = json!({
        "apiVersion": "cert-manager.io/v1", "kind": "Certificate",
        "metadata": { "name": "www", "labels": { "app": "shop" } },
        "spec": { "secretName": "www-tls", "issuerRef": { "name": "ca", "group": "cert-manager.io" } },
    });
    assert_eq!(kept_original(&forged.to_string(), "www", "shop"), Ok(expected));
}

#[test]
fn an_annotation_with_any_content_results_in_a_certificate() {
    let ours = json!({"secretName": "www-tls", "issuerRef": {"name": "ca", "kind": "Issuer"}});
    for theirs in [json!([1]), json!("x"), json!({"spec": []}), json!({"spec": {"issuerRef": "x"}})] {
        let back = given_back(theirs.clone(), &ours);
        assert_eq!(back["spec"]["issuerRef"], json!({"name": "ca", "kind": "Issuer"}), "{theirs}");
        assert_eq!(back["spec"]["secretName"], "www-tls", "{theirs}");
        assert!(given_back(theirs, &json!(3))["spec"]["issuerRef"].is_object());
    }
    let odd = |issuer: &str, name: &str| {
        json!({
            "apiVersion": "cert-manager.io/v1", "kind": "Certificate", "metadata": { "name": name },
            "spec": { "issuerRef": issuer },
        })
        .to_string()
    };
    let kept = kept_original(&odd("x", "www"), "www", "shop").unwrap();
    assert_eq!(kept["spec"]["issuerRef"], json!({ "group": "cert-manager.io" }));
    let said = kept_original(&odd("x", "two\nlines"), "www", "shop").unwrap_err();
    assert!(said.contains("two lines") && !said.contains('\n'), "{said}");
}

#[test]
fn all_secrets_that_an_issuer_names_are_found() {
    let names = secrets_of(&issuer(1).original);
    assert_eq!(names.into_iter().collect::<Vec<_>>(), ["eab", "hook", "key", "tsig"]);
}

fn marks(outcome: &Outcome, secret: &Secret) -> Result<Marks, Hindrance> {
    marks_of_certificate(outcome, Some(secret), NOW.parse().unwrap())
}

fn certificate(spec: Value) -> Outcome {
    let mut object = json!({
        "apiVersion": "cert-manager.io/v1", "kind": "Certificate", "metadata": {"name": "www", "namespace": "shop"},
        "spec": {
            "secretName": "www-tls", "dnsNames": ["www.example.com", "example.com"], "issuerRef": {"name": "ca"},
            "privateKey": {"algorithm": "ECDSA"},
        },
    });
    for (field, value) in spec.as_object().unwrap() {
        object["spec"][field] = value.clone();
    }
    convert(&[object]).remove(0)
}

/// A Secret as cert-manager writes it. The CA added a name of its own.
fn secret(annotations: Value) -> Secret {
    let key = KeyPair::generate().unwrap();
    let names = ["www.example.com", "example.com", "added.example.com"].map(str::to_owned);
    let mut params = CertificateParams::new(names).unwrap();
    params.not_before = rcgen::date_time_ymd(2026, 5, 1);
    params.not_after = rcgen::date_time_ymd(2026, 8, 1);
    let pem = params.self_signed(&key).unwrap().pem();
    let mut all = json!({
        "cert-manager.io/certificate-name": "www", "cert-manager.io/issuer-name": "ca",
        "cert-manager.io/issuer-kind": "Issuer", "cert-manager.io/issuer-group": "cert-manager.io",
    });
    for (key, value) in annotations.as_object().unwrap() {
        match value {
            Value::Null => drop(all.as_object_mut().unwrap().remove(key)),
            value => all[key] = value.clone(),
        }
    }
    let mut secret = Secret {
        type_: Some(TYPE_TLS.to_owned()),
        data: Some(
            [("tls.crt", pem), ("tls.key", key.serialize_pem())]
                .map(|(name, text)| (name.to_owned(), ByteString(text.into_bytes())))
                .into(),
        ),
        ..Secret::default()
    };
    secret.metadata.annotations = serde_json::from_value(all).unwrap();
    secret
}

fn issuer(observed: i64) -> Outcome {
    let object = json!({
        "apiVersion": "cert-manager.io/v1", "kind": "Issuer", "metadata": {"name": "ca", "generation": 1},
        "spec": {"acme": {
            "server": "https://ca.example.com/directory", "privateKeySecretRef": {"name": "key"},
            "externalAccountBinding": {"keyID": "a", "keySecretRef": {"name": "eab", "key": "secret"}},
            "solvers": [
                {"dns01": {"rfc2136": {"nameserver": "a", "tsigSecretSecretRef": {"name": "tsig", "key": "a"}}}},
                {"dns01": {"webhook": {"groupName": "a", "solverName": "b", "config": {"apiKeySecretRef": {"name": "hook"}}}}},
            ],
        }},
        "status": {
            "acme": {"uri": "https://ca.example.com/account/1"},
            "conditions": [{"type": "Ready", "status": "True", "observedGeneration": observed}],
        },
    });
    convert(&[object]).remove(0)
}
