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

#[test]
fn the_current_version_is_the_known_one_until_it_changes() {
    let lookups = Counter::default();
    let objects = Objects::<Certificate>::new(lookups.clone());
    let version = |secret: &str, version: &str, uid: &str| {
        let mut object = Arc::unwrap_or_clone(certificate("shop", "web", secret));
        (object.metadata.resource_version, object.metadata.uid) =
            (Some(version.to_owned()), Some(uid.to_owned()));
        Arc::new(object)
    };
    objects.put(version("tls", "1", "one"));
    let known = objects.get("shop", "web").unwrap();
    assert!(Arc::ptr_eq(&objects.current(&known).unwrap(), &known));
    assert_eq!(lookups.get(), 1, "it is not looked up again");
    objects.put(version("other", "2", "one"));
    assert_eq!(objects.current(&known).unwrap().spec.secret_name, "other");
    objects.put(version("tls", "3", "two"));
    assert!(objects.current(&known).is_none(), "another object of the same name");
    objects.remove(&ObjectName::new("shop", "web"));
    assert!(objects.current(&known).is_none());
}

#[test]
fn others_with_the_same_secret_do_not_include_the_object_itself() {
    let objects = Objects::<Certificate>::new(Counter::default());
    let own = certificate("shop", "web", "tls");
    objects.put(own.clone());
    objects.put(certificate("shop", "api", "tls"));
    objects.put(certificate("shop", "blog", "other"));
    let others = objects.others_indexed(&Index::Secret("shop", "tls"), &own);
    assert_eq!(others.iter().map(|other| other.name_any()).collect::<Vec<_>>(), ["api"]);
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
