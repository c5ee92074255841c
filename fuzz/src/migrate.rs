//! Objects of cert-manager's, as files or the API server have them.

use certwright::migrate::{adoption, convert as convert_objects, documents, report};
use k8s_openapi::api::core::v1::Secret;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::pki::NOW;
use crate::property::{message, screen};

/// A file of YAML.
pub fn convert(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(objects) = documents(text) else { return };
    let outcomes = convert_objects(&objects);
    assert_eq!(outcomes.len(), objects.len());
    screen(&report(&outcomes));
    for ours in outcomes.iter().filter_map(|outcome| outcome.object.as_ref()) {
        assert!(ours["apiVersion"].as_str().is_some_and(|version| version.starts_with("certwright.dev/")));
        let kind = ours["kind"].as_str().unwrap_or_default();
        assert!(["Certificate", "Issuer", "ClusterIssuer"].contains(&kind), "{kind}");
    }
}

#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
struct Adopted {
    objects: Vec<Value>,
    secret: Option<Secret>,
}

/// cert-manager's objects and the Secret that one of them names.
pub fn adopt(data: &[u8]) {
    let Ok(Adopted { objects, secret }) = serde_json::from_slice(data) else { return };
    for outcome in convert_objects(&objects) {
        for marks in [
            adoption::marks_of_certificate(&outcome, secret.as_ref(), *NOW),
            adoption::marks_of_account(&outcome, secret.as_ref()),
        ] {
            match marks {
                Ok(marks) => {
                    marks.keys().for_each(|key| assert!(key.starts_with("certwright.dev/"), "{key}"))
                }
                Err(hindrance) => message(&hindrance),
            }
        }
        let _ = adoption::secrets_of(&outcome.original);
        let kept = adoption::original(&outcome.original);
        assert_eq!(kept["spec"], outcome.original["spec"]);
    }
}

#[derive(Deserialize)]
struct GivenBack {
    theirs: Value,
    ours: Value,
}

/// What an annotation of ours says that cert-manager's Certificate was, and our spec.
pub fn give_back(data: &[u8]) {
    let Ok(GivenBack { theirs, ours }) = serde_json::from_slice(data) else { return };
    let annotation = match theirs {
        Value::String(text) => text,
        other => other.to_string(),
    };
    match adoption::kept_original(&annotation, "www", "shop") {
        Ok(theirs) => {
            let back = adoption::given_back(theirs, &ours);
            assert_eq!(back["apiVersion"], "cert-manager.io/v1");
            assert_eq!((&back["kind"], &back["metadata"]["name"]), (&json!("Certificate"), &json!("www")));
            assert!(
                back["metadata"]["ownerReferences"].is_null() && back["metadata"]["finalizers"].is_null()
            );
        }
        Err(hindrance) => message(&hindrance),
    }
}
