//! What annotations set, and those that are not valid or not used.

use super::*;

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
fn values_are_taken_up_to_their_bounds_and_not_beyond() {
    let long = |length: usize| format!("{}.{}", "a".repeat(length - 5), "test");
    let (at_most, too_long) = (long(64), long(65));
    for (name, value, is_taken) in [
        ("duration", "1h", true),
        ("duration", "59m", false),
        ("renew-before", "5m", true),
        ("renew-before", "299s", false),
        ("renew-before-percentage", "1", true),
        ("renew-before-percentage", "99", true),
        ("renew-before-percentage", "0", false),
        ("revision-history-limit", "1", true),
        ("common-name", at_most.as_str(), true),
        ("common-name", too_long.as_str(), false),
        ("common-name", "192.0.2.1", true),
        ("private-key-size", "8192", true),
        // An empty value is none.
        ("duration", "", true),
        ("issuer-kind", "ClusterIssuer", true),
        ("issuer-group", "certwright.dev", true),
        ("issuer-group", "cert-manager.io", true),
    ] {
        let mut annotations = json!({ "certwright.dev/issuer": "ca" });
        annotations[format!("certwright.dev/{name}")] = json!(value);
        assert_eq!(names(&planned(&with(&annotations))).len(), usize::from(is_taken), "{name}: {value}");
    }
}

#[test]
fn the_size_of_a_key_depends_on_its_algorithm() {
    let ecdsa = "256, 384 or 521 for an ECDSA key";
    for (algorithm, size, expected) in [
        ("ECDSA", "521", Ok(Some(521))),
        ("ECDSA", "2048", Err(ecdsa)),
        ("RSA", "2048", Ok(Some(2048))),
        ("Ed25519", "2048", Ok(None)),
    ] {
        let plan = planned(&with(&json!({
            "certwright.dev/issuer": "ca", "certwright.dev/private-key-algorithm": algorithm,
            "certwright.dev/private-key-size": size,
        })));
        match expected {
            Ok(size) => assert_eq!(plan.certificates[0].spec.private_key.as_ref().unwrap().size, size),
            Err(allowed) => assert!(plan.remarks[0].note.ends_with(allowed), "{:?}", plan.remarks),
        }
    }
}

#[test]
fn the_kind_of_the_issuer_is_that_of_its_annotation_unless_another_says_otherwise() {
    use IssuerKind::{ClusterIssuer, Issuer};
    let because = "must be ClusterIssuer, because cluster-issuer is set";
    for (annotation, kind, expected) in [
        ("issuer", None, Ok(Issuer)),
        ("issuer", Some("Issuer"), Ok(Issuer)),
        ("issuer", Some("ClusterIssuer"), Ok(ClusterIssuer)),
        ("cluster-issuer", None, Ok(ClusterIssuer)),
        ("cluster-issuer", Some("ClusterIssuer"), Ok(ClusterIssuer)),
        ("cluster-issuer", Some("Issuer"), Err(because)),
    ] {
        for prefix in ["certwright.dev", "cert-manager.io"] {
            let mut annotations = json!({ format!("{prefix}/{annotation}"): "ca" });
            if let Some(kind) = kind {
                annotations[format!("{prefix}/issuer-kind")] = json!(kind);
            }
            let settings = AnnotationSettings { cert_manager: true, ..AnnotationSettings::default() };
            let plan = plan(&with(&annotations), &settings);
            match expected {
                Ok(kind) => assert_eq!(plan.certificates[0].spec.issuer_ref.kind, kind, "{annotations}"),
                Err(why) => assert!(plan.remarks[0].note.ends_with(why), "{:?}", plan.remarks),
            }
        }
    }
    let nameless = planned(&with(&json!({ "certwright.dev/issuer": "" })));
    assert!(nameless.remarks[0].note.ends_with("must be the name of an issuer"), "{:?}", nameless.remarks);
}

#[test]
fn a_long_value_is_cut_where_it_is_quoted() {
    let note = |length: usize| {
        let mut annotations = json!({ "certwright.dev/issuer": "ca" });
        annotations["certwright.dev/duration"] = json!("x".repeat(length));
        planned(&with(&annotations)).remarks.remove(0).note
    };
    assert!(note(80).contains(&format!("'{}'", "x".repeat(80))));
    assert!(note(81).contains(&format!("'{}…'", "x".repeat(80))));
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
        let nothing = Plan { kept: Kept::Unrequested, ..Plan::default() };
        assert_eq!(planned(&with(&annotations)), nothing, "{annotations}");
    }
}

#[test]
fn tls_acme_takes_the_default_issuer_unless_another_is_named() {
    let default =
        IssuerRef { name: "default".into(), kind: IssuerKind::ClusterIssuer, group: "certwright.dev".into() };
    let settings = AnnotationSettings {
        default_issuer: Some(default.clone()),
        automatic: vec!["kubernetes.io/tls-acme".to_owned(), "example.com/tls".to_owned()],
        ..Default::default()
    };
    let issuer = |annotations: Value| {
        let plan = plan(&with(&annotations), &settings);
        plan.certificates.first().map(|certificate| certificate.spec.issuer_ref.clone())
    };
    for yes in ["1", "t", "T", "true", "TRUE", "True"] {
        assert_eq!(issuer(json!({ "kubernetes.io/tls-acme": yes })), Some(default.clone()), "{yes}");
    }
    for no in ["0", "f", "false", "yes", ""] {
        assert_eq!(issuer(json!({ "kubernetes.io/tls-acme": no })), None, "{no}");
    }
    assert_eq!(issuer(json!({})), None);
    assert_eq!(issuer(json!({ "example.com/tls": "true" })), Some(default.clone()));
    assert_eq!(issuer(json!({ "example.com/other": "true" })), None);
    let named = issuer(json!({ "kubernetes.io/tls-acme": "true", "certwright.dev/issuer": "ca" }));
    assert_eq!(named.map(|issuer| issuer.name), Some("ca".to_owned()));
    let annotations = json!({ "kubernetes.io/tls-acme": "true" });
    let gateway = gateway(&annotations, &json!([listener("one", "a.test", "tls")]));
    let nothing = Plan { kept: Kept::Unrequested, ..Plan::default() };
    assert_eq!(plan(&gateway, &settings), nothing, "it is an annotation of Ingresses");
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
    let plan = plan(&with(&place), &settings);
    assert_eq!(plan.remarks, []);
    assert_eq!(
        plan.certificates[0].annotations()["acme.certwright.dev/http01-override-ingress-name"],
        "front"
    );
}

/// The annotations of the only Certificate, without the digest.
fn set(object: &AnnotatedObject, settings: &AnnotationSettings) -> Value {
    let plan = plan(object, settings);
    let mut annotations = plan.certificates[0].annotations().clone();
    annotations.remove(ANNOTATION_MADE_AS);
    json!(annotations)
}

#[test]
fn annotations_of_an_ingress_say_how_http_01_is_answered() {
    let settings = AnnotationSettings::default();
    let set = |name: &str, value: &str| {
        let mut annotations = json!({ "certwright.dev/issuer": "ca" });
        annotations[format!("acme.certwright.dev/{name}")] = json!(value);
        set(&with(&annotations), &settings)
    };
    let name = json!({ "acme.certwright.dev/http01-override-ingress-name": "front" });
    assert_eq!(set("http01-edit-in-place", "true"), name);
    assert_eq!(set("http01-edit-in-place", "false"), json!({}));
    assert_eq!(
        set("http01-ingress-class", "nginx"),
        json!({ "acme.certwright.dev/http01-override-ingress-class": "nginx" })
    );
    assert_eq!(
        set("http01-ingress-ingressclassname", "nginx"),
        json!({ "acme.certwright.dev/http01-override-ingress-ingressclassname": "nginx" })
    );
}

#[test]
fn a_gateway_that_listens_for_http_is_a_parent_of_temporary_routes() {
    let settings = AnnotationSettings::default();
    let https = listener("one", "a.test", "tls");
    let http = json!({ "name": "http", "protocol": "HTTP", "port": 80 });
    let by_ca = json!({ "certwright.dev/issuer": "ca" });
    let parent = |kind: &str, name: &str| {
        json!({
            "acme.certwright.dev/http01-parentrefkind": kind, "acme.certwright.dev/http01-parentrefname": name,
        })
    };
    assert_eq!(set(&gateway(&by_ca, &json!([http, https])), &settings), parent("Gateway", "front"));
    assert_eq!(set(&gateway(&by_ca, &json!([https])), &settings), json!({}));
    assert_eq!(set(&listener_set(&by_ca, &json!([http, https])), &settings), parent("ListenerSet", "front"));
    let mut of_gateway = parent("Gateway", "public");
    of_gateway["acme.certwright.dev/http01-parentrefnamespace"] = json!("edge");
    assert_eq!(set(&listener_set(&by_ca, &json!([https])), &settings), of_gateway);
    let with = |fallback: &str| json!({ "certwright.dev/issuer": "ca", "acme.certwright.dev/http01-parentreffallback": fallback });
    assert_eq!(set(&listener_set(&with("true"), &json!([http, https])), &settings), of_gateway);
    let own = set(&listener_set(&with("false"), &json!([https])), &settings);
    assert_eq!(own, parent("ListenerSet", "front"));
}

#[test]
fn annotations_are_copied_if_the_settings_say_so() {
    let settings = AnnotationSettings { copied: vec!["example.com/team".to_owned()], ..Default::default() };
    let annotations =
        json!({ "certwright.dev/issuer": "ca", "example.com/team": "web", "example.com/other": "x" });
    let object = with(&annotations);
    assert_eq!(set(&object, &settings), json!({ "example.com/team": "web" }));
    let wanted = plan(&object, &settings).certificates.remove(0);
    let mut cached = wanted.clone();
    cached.metadata.annotations.as_mut().unwrap().remove("example.com/team");
    assert_eq!(decide(&wanted, &object, Some(&cached)), Decision::Leave, "it is not in the cache");
    let less = planned(&object).certificates.remove(0);
    assert_eq!(decide(&less, &object, Some(&cached)), Decision::Apply, "it is no longer copied");
    let also = settings.copied.as_slice();
    let mut ingress: Ingress = object_with(&annotations);
    super::reduce(&mut ingress, also);
    assert_eq!(
        ingress.annotations().keys().collect::<Vec<_>>(),
        ["certwright.dev/issuer", "example.com/team"]
    );
}

fn object_with(annotations: &Value) -> Ingress {
    object("networking.k8s.io/v1", "Ingress", annotations, json!({}))
}
