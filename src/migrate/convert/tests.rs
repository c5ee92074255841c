use serde_json::{Value, json};

use super::*;
use crate::migrate::documents;
use crate::migrate::fields::{CERTIFICATE, Fate, Fields, ISSUER, METADATA, fate};

mod of_services;

#[test]
fn common_fields_are_taken_over_unchanged() {
    let outcomes = convert(&objects(EVERYDAY));
    for outcome in &outcomes {
        assert_eq!(outcome.fitness, Fitness::TakenOver, "{outcome:#?}");
        assert_eq!(outcome.notes, [], "{}", outcome.source);
        let ours = outcome.object.as_ref().unwrap();
        assert_eq!(ours["apiVersion"], "certwright.dev/v1alpha1");
        assert_eq!(ours["kind"], outcome.original["kind"]);
        assert_eq!(ours["metadata"], outcome.original["metadata"]);
        assert_eq!(ours["spec"], outcome.original["spec"]);
    }
    assert_eq!(outcomes.len(), 3);
}

#[test]
fn lists_are_read_and_bookkeeping_is_dropped() {
    let object = json!({
        "apiVersion": "v1", "kind": "List",
        "items": [{
            "apiVersion": "cert-manager.io/v1", "kind": "Certificate",
            "metadata": {
                "name": "www", "namespace": "shop", "uid": "1", "resourceVersion": "2", "generation": 3,
                "creationTimestamp": "2026-01-01T00:00:00Z", "managedFields": [{"manager": "kubectl"}],
                "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}"},
            },
            "spec": {"secretName": "www-tls", "dnsNames": ["www.example.com"], "issuerRef": {"name": "ca", "group": "cert-manager.io"}},
            "status": {"revision": 7},
        }],
    });
    let outcome = one(&object.to_string());
    let ours = outcome.object.unwrap();
    assert_eq!(ours["metadata"], json!({"name": "www", "namespace": "shop"}));
    assert_eq!(ours["spec"]["issuerRef"], json!({"name": "ca", "group": "certwright.dev"}));
    let noted: Vec<_> = outcome.notes.iter().map(|note| note.path.as_str()).collect();
    assert_eq!(noted, ["spec.issuerRef"]);
}

#[test]
fn fields_that_an_acme_ca_ignores_are_kept_and_dangerous_ones_left_out_with_a_note() {
    let outcome = certificate_with(
        "  subject: { organizations: [Example] }\n  uris: [spiffe://a]\n  isCA: true\n  usages: [server auth, client auth]\n  \
         encodeUsagesInRequest: true\n  signatureAlgorithm: SHA512WithRSA\n  commonName: An Example\n  revisionHistoryLimit: 3\n  \
         emailAddresses: []\n  nameConstraints: { critical: true }\n  literalSubject: CN=a\n  otherNames: [{ oid: '1', utf8Value: a }]",
    );
    let ours = outcome.object.unwrap();
    assert_eq!(
        ours["spec"],
        json!({
            "secretName": "www-tls", "dnsNames": ["www.example.com"], "issuerRef": {"name": "ca"},
            "usages": ["server auth", "client auth"], "revisionHistoryLimit": 3, "emailAddresses": [],
            "subject": {"organizations": ["Example"]}, "literalSubject": "CN=a", "commonName": "An Example",
            "encodeUsagesInRequest": true, "signatureAlgorithm": "SHA512WithRSA",
        })
    );
    let of = |what: What| -> Vec<_> {
        outcome.notes.iter().filter(|note| note.what == what).map(|note| note.path.as_str()).collect()
    };
    assert_eq!(of(What::Changed), ["spec.issuerRef"]);
    assert_eq!(
        of(What::Ignored),
        [
            "spec.commonName",
            "spec.encodeUsagesInRequest",
            "spec.literalSubject",
            "spec.revisionHistoryLimit",
            "spec.signatureAlgorithm",
            "spec.subject",
            "spec.usages",
        ]
    );
    assert_eq!(of(What::LeftOut), ["spec.isCA", "spec.nameConstraints", "spec.otherNames", "spec.uris"]);
}

#[test]
fn the_encryption_of_a_keystore_stays_the_same() {
    for (keystore, expected) in [
        ("{ create: true, password: a }", json!({"create": true, "password": "a", "profile": "LegacyRC2"})),
        (
            "{ create: true, password: a, profile: Modern2026 }",
            json!({"create": true, "password": "a", "profile": "Modern2026"}),
        ),
        ("{ create: false }", json!({"create": false})),
    ] {
        let outcome = certificate_with(&format!("  keystores: {{ pkcs12: {keystore} }}\n"));
        let noted = outcome.notes.iter().any(|note| note.path == "spec.keystores.pkcs12.profile");
        assert_eq!(outcome.object.unwrap()["spec"]["keystores"]["pkcs12"], expected);
        assert_eq!(noted, expected["profile"] == "LegacyRC2", "{keystore}");
    }
}

#[test]
fn an_unknown_field_is_left_out_with_a_note() {
    let outcome = certificate_with("  privateKey: { size: 4096, shape: round }\n  fresh: { a: 1 }");
    assert_eq!(outcome.object.unwrap()["spec"]["privateKey"], json!({"size": 4096}));
    let unknown: Vec<_> = outcome.notes.iter().filter(|note| note.text.contains("not known")).collect();
    let paths: Vec<_> = unknown.iter().map(|note| note.path.as_str()).collect();
    assert_eq!(paths, ["spec.fresh", "spec.privateKey.shape"]);
}

#[test]
fn metadata_of_other_programs_is_left_out() {
    let outcome = one(&json!({
        "apiVersion": "cert-manager.io/v1", "kind": "Certificate",
        "metadata": {
            "name": "www", "namespace": "shop", "finalizers": ["example.com/wait"],
            "ownerReferences": [{"kind": "Shop", "name": "a"}],
            "labels": {"app": "shop", "app.kubernetes.io/managed-by": "Helm"},
            "annotations": {"meta.helm.sh/release-name": "a", "cert-manager.io/issue-temporary-certificate": "true", "team": "b",
                "acme.cert-manager.io/http01-override-ingress-name": "shop"},
        },
        "spec": {"secretName": "www-tls", "dnsNames": ["www.example.com"], "issuerRef": {"name": "ca"}},
    }).to_string());
    let ours = outcome.object.unwrap();
    assert_eq!(
        ours["metadata"],
        json!({"name": "www", "namespace": "shop", "labels": {"app": "shop"},
            "annotations": {"team": "b", "acme.cert-manager.io/http01-override-ingress-name": "shop"}})
    );
    let noted: Vec<_> = outcome.notes.iter().map(|note| note.path.as_str()).collect();
    assert_eq!(
        noted,
        [
            "metadata.annotations",
            "metadata.finalizers",
            "metadata.labels",
            "metadata.ownerReferences",
            "spec.issuerRef"
        ]
    );
}

#[test]
fn issuers_that_are_not_acme_stay_and_keep_their_certificates() {
    for spec in [
        "ca: { secretName: root }",
        "selfSigned: {}",
        "vault: { server: https://vault }",
        "venafi: { zone: a }",
    ] {
        let outcomes = convert(&objects(&format!(
            "{{ apiVersion: cert-manager.io/v1, kind: ClusterIssuer, metadata: {{ name: ca }}, spec: {{ {spec} }} }}\n---\n{}",
            certificate_yaml("").replace("{ name: ca }", "{ name: ca, kind: ClusterIssuer }")
        )));
        let [issuer, certificate] = &outcomes[..] else { panic!("{outcomes:#?}") };
        assert!(
            matches!(&issuer.fitness, Fitness::Left(why) if why.contains("only ACME issuers")),
            "{issuer:#?}"
        );
        let kept = "It stays with its issuer, ClusterIssuer ca.";
        assert!(
            matches!(&certificate.fitness, Fitness::Left(why) if why.starts_with(kept)),
            "{certificate:#?}"
        );
        assert_eq!((&issuer.object, &certificate.object), (&None, &None));
    }
}

#[test]
fn an_issuer_whose_ca_takes_records_that_stay_gets_a_hint() {
    let hints = |host: &str, way: &str| {
        let issuer = format!(
            "apiVersion: cert-manager.io/v1\nkind: Issuer\nmetadata: {{ name: ca, namespace: shop }}\nspec:\n  acme:\n    \
             server: https://{host}/directory\n    privateKeySecretRef: {{ name: key }}\n    solvers:\n      - {way}\n"
        );
        let notes = convert(&objects(&issuer)).remove(0).notes;
        notes.into_iter().filter(|note| note.what == What::Hint).map(|note| note.text).collect::<Vec<_>>()
    };
    let dns01 = "dns01: { rfc2136: { nameserver: 192.0.2.53 } }";
    let staging = "acme-staging-v02.api.letsencrypt.org";
    assert!(
        hints(staging, dns01)[0]
            .starts_with("The CA offers dns-persist-01: with a TXT record that you set once")
    );
    assert_eq!(hints(staging, "http01: { ingress: {} }"), [""; 0]);
    assert_eq!(hints("acme-v02.api.letsencrypt.org", dns01), [""; 0]);
}

#[test]
fn certificates_of_ingresses_and_of_other_programs_issuers_are_left() {
    let of_ingress = json!({
        "apiVersion": "cert-manager.io/v1", "kind": "Certificate",
        "metadata": {"name": "a", "ownerReferences": [{"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "name": "shop"}]},
        "spec": {"secretName": "a", "dnsNames": ["a.example.com"], "issuerRef": {"name": "ca"}},
    });
    let why = left_because(&of_ingress.to_string());
    assert!(why.contains("from the annotations of Ingress shop"), "{why}");

    let external = certificate_yaml("")
        .replace("{ name: ca }", "{ name: ca, kind: AWSPCAIssuer, group: awspca.cert-manager.io }");
    let why = left_because(&external);
    assert!(why.contains("AWSPCAIssuer ca of the group awspca.cert-manager.io"), "{why}");
}

#[test]
fn a_certificate_that_no_acme_ca_issues_is_left_with_the_message_of_the_validation() {
    let why =
        left_because(&certificate_yaml("").replace("dnsNames: [www.example.com]", "uris: [spiffe://a]"));
    assert!(why.starts_with("An ACME CA cannot issue it: "), "{why}");
    let why = left_because(&certificate_yaml("  privateKey: { size: 2500 }\n"));
    assert!(why.contains("RSA keys of 2500 bits"), "{why}");
    let why = left_because(&certificate_yaml("  privateKey: { algorithm: DSA }\n"));
    assert!(why.contains("DSA"), "{why}");
}

#[test]
fn other_objects_are_ignored_and_old_versions_are_reported() {
    let object = |version: &str, kind: &str| {
        json!({"apiVersion": version, "kind": kind, "metadata": {"name": "a"}, "spec": {}}).to_string()
    };
    assert!(left_because(&object("cert-manager.io/v1alpha2", "Issuer")).contains("cmctl convert"));
    assert!(
        left_because(&object("acme.cert-manager.io/v1", "Order"))
            .contains("in the status of its Certificate")
    );
    assert!(left_because(&object("cert-manager.io/v1", "CertificateRequest")).contains("in the status"));
    assert!(left_because(&object("v1", "Secret")).contains("was ignored"));
}

#[test]
fn no_field_is_dropped_silently() {
    for (table, kind) in [(CERTIFICATE, "Certificate"), (ISSUER, "Issuer")] {
        for fields in table.iter().chain(METADATA) {
            for path in fields.paths() {
                let mut object = json!({"apiVersion": "cert-manager.io/v1", "kind": kind});
                put(&mut object, path.trim_end_matches(".*"), filling(&path));
                let (taken, notes) = fields::take(table, &object);
                assert_accounted(table, &object, &taken, &notes, "", "");
            }
        }
    }
    for (table, text) in [(CERTIFICATE, EVERYDAY), (ISSUER, EVERYDAY)] {
        for object in objects(text) {
            let (taken, notes) = fields::take(table, &object);
            assert_accounted(table, &object, &taken, &notes, "", "");
        }
    }
}

/// Panics unless each value below was taken over, has a note, or is bookkeeping.
fn assert_accounted(
    table: &[Fields],
    value: &Value,
    taken: &Value,
    notes: &[Note],
    here: &str,
    anywhere: &str,
) {
    let noted = notes.iter().any(|note| note.path == here);
    if noted || taken == value || matches!(fate(table, anywhere), Some(Fate::Bookkeeping)) {
        return;
    }
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (name, value) in fields {
                let below =
                    |above: &str| if above.is_empty() { name.clone() } else { format!("{above}.{name}") };
                assert_accounted(table, value, &taken[name], notes, &below(here), &below(anywhere));
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for (index, item) in items.iter().enumerate() {
                let (here, anywhere) = (format!("{here}[{index}]"), format!("{anywhere}[]"));
                assert_accounted(table, item, &taken[index], notes, &here, &anywhere);
            }
        }
        _ => panic!("{here}: {value} was dropped silently; taken: {taken}; notes: {notes:#?}"),
    }
}

/// Puts a value at a path.
fn put(object: &mut Value, path: &str, value: Value) {
    let Some((first, rest)) = path.split_once('.') else {
        object[path] = value;
        return;
    };
    match first.strip_suffix("[]") {
        Some(list) => {
            object[list] = json!([{}]);
            put(&mut object[list][0], rest, value);
        }
        None => {
            if !object[first].is_object() {
                object[first] = json!({});
            }
            put(&mut object[first], rest, value);
        }
    }
}

fn filling(path: &str) -> Value {
    match path {
        "metadata.labels"
        | "metadata.annotations"
        | "spec.secretTemplate.labels"
        | "spec.secretTemplate.annotations" => {
            json!({"app.kubernetes.io/managed-by": "Helm", "meta.helm.sh/a": "b", "a": "b"})
        }
        _ if path.ends_with(".*") => json!({"a": {"b": ["c"]}}),
        "spec.dnsNames" | "spec.usages" | "spec.uris" => json!(["a", "a"]),
        _ => json!("a b"),
    }
}

fn objects(text: &str) -> Vec<Value> {
    documents(text).unwrap()
}

fn one(text: &str) -> Outcome {
    let outcomes = convert(&objects(text));
    assert_eq!(outcomes.len(), 1, "{outcomes:#?}");
    outcomes.into_iter().next().unwrap()
}

fn left_because(text: &str) -> String {
    match one(text).fitness {
        Fitness::Left(why) => why,
        other => panic!("{other:?}"),
    }
}

fn certificate_yaml(more: &str) -> String {
    format!(
        "apiVersion: cert-manager.io/v1\nkind: Certificate\nmetadata: {{ name: www, namespace: shop }}\nspec:\n  \
         secretName: www-tls\n  dnsNames: [www.example.com]\n  issuerRef: {{ name: ca }}\n{more}"
    )
}

fn certificate_with(more: &str) -> Outcome {
    one(&certificate_yaml(more))
}

const EVERYDAY: &str = "
apiVersion: cert-manager.io/v1
kind: ClusterIssuer
metadata: { name: sectigo, labels: { team: edge } }
spec:
  acme:
    server: https://acme.example.com/v2/DV
    email: you@example.com
    preferredChain: Example Root
    profile: tls
    caBundle: QQ==
    skipTLSVerify: false
    disableAccountKeyGeneration: false
    enableDurationFeature: true
    privateKeySecretRef: { name: sectigo-account, key: tls.key }
    externalAccountBinding: { keyID: a, keyAlgorithm: HS256, keySecretRef: { name: eab, key: secret } }
    solvers:
      - selector: { dnsNames: [a.example.com], dnsZones: [example.com], matchLabels: { app: web } }
        http01: { ingress: { ingressClassName: nginx, serviceType: ClusterIP, ingressTemplate: { metadata: { labels: { a: b }, annotations: { c/d: e } } } } }
      - http01: { gatewayHTTPRoute: { labels: { a: b }, serviceType: NodePort, parentRefs: [{ name: public, namespace: edge, kind: Gateway, group: gateway.networking.k8s.io, sectionName: http, port: 80 }] } }
      - dns01: { cnameStrategy: Follow, rfc2136: { nameserver: 192.0.2.53, protocol: TCP, tsigAlgorithm: HMACSHA256, tsigKeyName: key, tsigSecretSecretRef: { name: tsig, key: key } } }
      - dns01: { acmeDNS: { host: https://dns.example.com, accountSecretRef: { name: acme-dns, key: acmedns.json } } }
---
apiVersion: cert-manager.io/v1
kind: Issuer
metadata: { name: sectigo, namespace: shop }
spec: { acme: { server: https://acme.example.com/v2/OV, privateKeySecretRef: { name: ov }, solvers: [{ http01: { ingress: {} } }] } }
---
apiVersion: cert-manager.io/v1
kind: Certificate
metadata: { name: www, namespace: shop, annotations: { team: edge } }
spec:
  secretName: www-tls
  dnsNames: [www.example.com, example.com]
  ipAddresses: [192.0.2.1]
  commonName: www.example.com
  issuerRef: { name: sectigo, kind: ClusterIssuer }
  duration: 2160h0m0s
  renewBefore: 360h0m0s
  privateKey: { algorithm: ECDSA, size: 384, encoding: PKCS8, rotationPolicy: Never }
  secretTemplate: { labels: { a: b }, annotations: { replicator/allow: 'true' } }
  additionalOutputFormats: [{ type: CombinedPEM }, { type: DER }]
  keystores:
    jks: { create: true, alias: a, passwordSecretRef: { name: password, key: password } }
    pkcs12: { create: true, profile: Modern2023, password: changeit }
  renewal: { policy: RenewBefore, windows: [{ cron: 0 2 * * 6, windowDuration: 4h, timezone: Europe/Paris }] }
  usages: [digital signature, key encipherment, server auth]
  isCA: false
";
