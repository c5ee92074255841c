use kube::ResourceExt;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use certwright_api::Certificate;

#[test]
fn an_object_is_found_by_its_name_and_by_what_it_is_now() {
    let objects = Objects::<Certificate>::new(Counter::default());
    objects.put(certificate("shop", "web", "tls"));
    objects.put(certificate("shop", "api", "tls"));
    objects.put(certificate("blog", "web", "tls"));
    assert_eq!(names(&objects, "shop", "tls"), ["api", "web"]);
    objects.put(certificate("shop", "web", "other"));
    assert_eq!(names(&objects, "shop", "tls"), ["api"]);
    assert_eq!(names(&objects, "shop", "other"), ["web"]);
    assert_eq!(objects.get("shop", "web").unwrap().spec.secret_name, "other");
    assert_eq!(objects.is_being_deleted("shop", "web", "shop/web"), Some(false));
    assert_eq!(objects.is_being_deleted("shop", "web", "another"), None);
    assert!(objects.get("shop", "absent").is_none());
    let gone = objects.remove(&ObjectName::new("shop", "web")).unwrap();
    assert_eq!(gone.name_any(), "web");
    assert!(names(&objects, "shop", "other").is_empty() && !objects.has("shop", "web"));
}

proptest! {
    /// Each object is in the index under its present values, and nothing else is.
    #[test]
    fn the_index_is_that_of_the_objects(
        changes in prop::collection::vec((0..4_u8, prop::option::of(0..3_u8)), 0..40),
    ) {
        let objects = Objects::<Certificate>::new(Counter::default());
        let mut expected = std::collections::BTreeMap::new();
        for (name, secret) in changes {
            let name = format!("c{name}");
            match secret {
                Some(secret) => {
                    let secret = format!("s{secret}");
                    objects.put(certificate("shop", &name, &secret));
                    expected.insert(name, secret);
                }
                None => {
                    let gone = objects.remove(&ObjectName::new("shop", &name));
                    prop_assert_eq!(gone.is_some(), expected.remove(&name).is_some());
                }
            }
        }
        for secret in ["s0", "s1", "s2"] {
            let with: Vec<_> =
                expected.iter().filter(|(_, of)| *of == secret).map(|(name, _)| name.clone()).collect();
            prop_assert_eq!(names(&objects, "shop", secret), with);
        }
        // The Secret's name, and the issuer that it waits for.
        prop_assert_eq!(objects.state.read().index.len(), 2 * expected.len());
    }
}

fn names(objects: &Objects<Certificate>, namespace: &str, secret: &str) -> Vec<String> {
    objects.indexed(&Index::Secret(namespace, secret)).iter().map(|found| found.name_any()).collect()
}

fn certificate(namespace: &str, name: &str, secret: &str) -> Arc<Certificate> {
    Arc::new(
        serde_json::from_value(json!({
            "metadata": { "name": name, "namespace": namespace, "uid": format!("{namespace}/{name}") },
            "spec": { "secretName": secret, "issuerRef": { "name": "ca" }, "dnsNames": ["web.example.com"] },
        }))
        .unwrap(),
    )
}
