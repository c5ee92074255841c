use kube::core::PartialObjectMeta;
use serde_json::json;

use super::*;
use certwright_api::Certificate;
use k8s_openapi::api::core::v1::Secret;

#[test]
fn a_certificate_at_rest_is_the_same_afterwards_and_takes_a_few_hundred_bytes() {
    let certificate: Certificate = serde_json::from_value(at_rest()).unwrap();
    let packed = Packed::hold(Arc::new(certificate.clone()));
    let Content::Compressed(bytes, _) = &packed.0 else { panic!("it is whole") };
    assert!(bytes.len() < 700, "{} bytes", bytes.len());
    let opened = packed.open().unwrap();
    assert_eq!(serde_json::to_value(&*opened).unwrap(), serde_json::to_value(&certificate).unwrap());
}

#[test]
fn the_metadata_of_a_secret_takes_a_few_hundred_bytes() {
    let secret: PartialObjectMeta<Secret> = serde_json::from_value(json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": "web-4711-tls",
            "namespace": "team-17",
            "uid": "0b8f5a55-6ee5-4c1c-9fd0-3a1ee3a6a1b0",
            "resourceVersion": "4711833",
            "creationTimestamp": "2026-11-02T09:51:07Z",
            "labels": { "certwright.dev/secret": "tls" },
        },
    }))
    .unwrap();
    let packed = Packed::hold(Arc::new(secret.clone()));
    let Content::Compressed(bytes, _) = &packed.0 else { panic!("it is whole") };
    assert!(bytes.len() < 250, "{} bytes", bytes.len());
    assert_eq!(packed.open().unwrap().metadata, secret.metadata);
}

#[test]
fn what_cannot_be_read_again_is_held_as_it_is() {
    /// Reads only what it does not write.
    #[derive(Clone, Debug, serde::Serialize)]
    struct Odd(u8);

    impl<'de> serde::Deserialize<'de> for Odd {
        fn deserialize<D: serde::Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
            Err(serde::de::Error::custom("not this"))
        }
    }

    let packed = Packed::hold(Arc::new(Odd(7)));
    assert!(matches!(packed.0, Content::Whole(_)));
    assert_eq!(packed.open().unwrap().0, 7);
}

fn at_rest() -> serde_json::Value {
    let condition = |type_: &str, status: &str, reason: &str, message: &str| {
        json!({
            "type": type_, "status": status, "reason": reason, "message": message,
            "lastTransitionTime": "2026-11-02T09:51:08Z", "observedGeneration": 1,
        })
    };
    json!({
        "apiVersion": "certwright.dev/v1alpha1",
        "kind": "Certificate",
        "metadata": {
            "name": "web-4711",
            "namespace": "team-17",
            "uid": "8d1f0e8a-5a6e-4d7b-8b3b-1f6f7f6c1c55",
            "resourceVersion": "4711835",
            "generation": 1,
            "creationTimestamp": "2026-11-02T09:51:05Z",
        },
        "spec": {
            "secretName": "web-4711-tls",
            "dnsNames": ["web-4711.team-17.example.com"],
            "issuerRef": { "name": "letsencrypt", "kind": "ClusterIssuer" },
        },
        "status": {
            "observedGeneration": 1,
            "conditions": [
                condition("Ready", "True", "Ready", "The certificate is valid until 2027-01-31T08:51:07Z"),
                condition("Issuing", "False", "Issued", "No issuance is in progress"),
            ],
            "notBefore": "2026-11-02T08:51:08Z",
            "notAfter": "2027-01-31T08:51:07Z",
            "renewalTime": "2026-12-31T12:13:14Z",
            "lastCheck": {
                "time": "2026-11-02T09:51:08Z", "secretResourceVersion": "4711833", "checks": "8b1f63d2",
            },
            "revision": 1,
            "serialNumber": "05:9e:3c:1f:55:02:77:aa:83:0c:61:7d:20:49:bb:11:fe:cd",
            "recentIssuances": [{
                "time": "2026-11-02T09:51:06Z",
                "notAfter": "2027-01-31T08:51:07Z",
                "namesDigest": "6c1f02a9",
                "account": "https://acme.example.com/acme/acct/1789",
            }],
        },
    })
}
