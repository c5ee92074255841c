//! Certificates, issuers, and what leads CAs to the answers to challenges, as they are in the cluster: also those that this
//! version cannot read.

use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::Ingress;
use kube::api::{ApiResource, DynamicObject, ListParams};
use kube::core::GroupVersionKind;
use kube::{Api, ResourceExt};
use serde_json::Value;

use super::redact::clean_object;
use super::{Bundle, File};
use crate::command::{Cluster, Error};
use certwright_api::{
    CONDITION_ISSUING, CONDITION_READY, CONDITION_RECONCILING, CONDITION_REVOKED, CONDITION_STALLED,
    Certificate, ClusterIssuer, GATEWAY_GROUP, Issuer, LABEL_MANAGED_BY, MANAGED_BY,
};

/// How many objects the API server returns at a time.
const PAGE: u32 = 500;
/// How many objects of a kind are collected that are not ready, or not at rest.
const MOST_TROUBLED: usize = 2000;
/// How many of the others are.
const MOST_AT_REST: usize = 500;

/// The objects of a bundle.
#[derive(Default)]
pub(super) struct Objects {
    pub(super) certificates: Vec<Value>,
    pub(super) issuers: Vec<Value>,
    pub(super) cluster_issuers: Vec<Value>,
    /// Ingresses, routes and Services.
    pub(super) challenges: Vec<Value>,
}

impl Objects {
    /// Lists those of a namespace, or of all.
    pub(super) async fn collect(cluster: &Cluster, namespace: Option<&str>, bundle: &mut Bundle) -> Self {
        let mut objects = Self::default();
        let ours = [
            (ApiResource::erase::<Certificate>(&()), namespace, &mut objects.certificates),
            (ApiResource::erase::<Issuer>(&()), namespace, &mut objects.issuers),
            (ApiResource::erase::<ClusterIssuer>(&()), None, &mut objects.cluster_issuers),
        ];
        for (resource, namespace, into) in ours {
            match list(cluster, &resource, namespace, None).await {
                Ok((found, left_out)) => {
                    *into = found;
                    if left_out > 0 {
                        bundle.missing.push(format!("{left_out} {}: there are too many", resource.plural));
                    }
                }
                Err(error) => bundle.lacks(&resource.plural, &error),
            }
        }
        let managed = format!("{LABEL_MANAGED_BY}={MANAGED_BY}");
        let route = |kind: &str, version: &str, plural: &str| {
            let kind = GroupVersionKind::gvk(GATEWAY_GROUP, version, kind);
            ApiResource::from_gvk_with_plural(&kind, plural)
        };
        let for_challenges = [
            ApiResource::erase::<Ingress>(&()),
            ApiResource::erase::<Service>(&()),
            ApiResource::erase::<EndpointSlice>(&()),
            route("HTTPRoute", "v1", "httproutes"),
            route("TLSRoute", "v1", "tlsroutes"),
        ];
        for resource in for_challenges {
            match list(cluster, &resource, namespace, Some(&managed)).await {
                Ok((found, _)) => objects.challenges.extend(found),
                // The cluster has no Gateway API.
                Err(kube::Error::Api(status)) if status.code == 404 => {}
                Err(error) => bundle.lacks(&resource.plural, &error),
            }
        }
        objects
    }

    /// Adds a file for each object.
    ///
    /// # Errors
    /// [`Error::Yaml`]
    pub(super) fn add_to(self, bundle: &mut Bundle) -> Result<(), Error> {
        let ours = [
            ("certificates", self.certificates),
            ("issuers", self.issuers),
            ("clusterissuers", self.cluster_issuers),
        ];
        for (folder, objects) in ours {
            for object in objects {
                let path = format!("{folder}/{}.yaml", name_of(&object));
                bundle.files.push(yaml(path, object)?);
            }
        }
        for object in self.challenges {
            let kind = object.get("kind").and_then(Value::as_str).unwrap_or_default().to_lowercase();
            let path = format!("challenges/{}.{kind}.yaml", name_of(&object));
            bundle.files.push(yaml(path, object)?);
        }
        Ok(())
    }
}

/// The namespace of an object, if it has one, and its name.
pub(super) fn name_of(object: &Value) -> String {
    let field = |name: &str| object.get("metadata")?.get(name)?.as_str();
    match (field("namespace"), field("name").unwrap_or_default()) {
        (Some(namespace), name) => format!("{namespace}/{name}"),
        (None, name) => name.to_owned(),
    }
}

/// A file with an object.
///
/// # Errors
/// [`Error::Yaml`]
pub(super) fn yaml(path: String, mut object: Value) -> Result<File, Error> {
    clean_object(&mut object);
    Ok(File::new(path, serde_yaml::to_string(&object).map_err(Error::Yaml)?))
}

/// The objects of a kind, and how many there are beside. Those that are not ready are kept first.
pub(super) async fn list(
    cluster: &Cluster,
    resource: &ApiResource,
    namespace: Option<&str>,
    labels: Option<&str>,
) -> Result<(Vec<Value>, usize), kube::Error> {
    let api: Api<DynamicObject> = match namespace {
        Some(namespace) => Api::namespaced_with(cluster.client.clone(), namespace, resource),
        None => Api::all_with(cluster.client.clone(), resource),
    };
    let mut selection = Selection::default();
    let mut parameters = ListParams::default().limit(PAGE);
    parameters.label_selector = labels.map(str::to_owned);
    loop {
        let page = api.list(&parameters).await?;
        for mut object in page.items {
            object.types = Some(kube::core::TypeMeta {
                api_version: resource.api_version.clone(),
                kind: resource.kind.clone(),
            });
            object.managed_fields_mut().clear();
            selection.take(serde_json::to_value(object).unwrap_or_default());
        }
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => parameters.continue_token = Some(token),
            None => return Ok(selection.end()),
        }
    }
}

/// The objects that are kept of a kind.
#[derive(Default)]
struct Selection {
    kept: Vec<Value>,
    troubled: usize,
    at_rest: usize,
    left_out: usize,
}

impl Selection {
    fn take(&mut self, object: Value) {
        let (count, most) = match is_at_rest(&object) {
            true => (&mut self.at_rest, MOST_AT_REST),
            false => (&mut self.troubled, MOST_TROUBLED),
        };
        if *count >= most {
            self.left_out += 1;
            return;
        }
        *count += 1;
        self.kept.push(object);
    }

    fn end(self) -> (Vec<Value>, usize) {
        (self.kept, self.left_out)
    }
}

/// Whether an object is ready, and nothing else is wrong with it or in progress.
fn is_at_rest(object: &Value) -> bool {
    let conditions = object.pointer("/status/conditions").and_then(Value::as_array);
    let text = |condition: &'_ Value, field: &str| {
        condition.get(field).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let is_well = |condition: &Value| match (&*text(condition, "type"), &*text(condition, "status")) {
        (CONDITION_ISSUING | CONDITION_RECONCILING | CONDITION_STALLED | CONDITION_REVOKED, is) => {
            is != "True"
        }
        (_, is) => is != "False",
    };
    conditions.is_some_and(|conditions| {
        conditions.iter().any(|condition| text(condition, "type") == CONDITION_READY)
            && conditions.iter().all(is_well)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn of_very_many_objects_those_with_problems_are_kept() {
        let object =
            |ready: &str| json!({ "status": { "conditions": [{ "type": "Ready", "status": ready }] } });
        let mut selection = Selection::default();
        for number in 0..2 * MOST_AT_REST {
            selection.take(object("True"));
            if number % 10 == 0 {
                selection.take(object("False"));
            }
        }
        let (kept, left_out) = selection.end();
        assert_eq!((kept.len(), left_out), (MOST_AT_REST + 100, MOST_AT_REST));
        assert_eq!(kept.iter().filter(|kept| **kept == object("False")).count(), 100);
    }

    #[test]
    fn an_object_is_at_rest_if_it_is_ready_and_nothing_else_is_wrong_or_in_progress() {
        let is_at_rest = |conditions: &[(&str, &str)]| {
            let conditions: Vec<Value> =
                conditions.iter().map(|(of, is)| json!({ "type": of, "status": is })).collect();
            is_at_rest(&json!({ "status": { "conditions": conditions } }))
        };
        let ready = ("Ready", "True");
        for rests in [
            &[ready][..],
            &[ready, ("Issuing", "False")],
            &[ready, ("Served", "True")],
            &[ready, ("Served", "Unknown")],
            &[ready, ("IgnoredFields", "True"), ("KeyRollover", "True")],
        ] {
            assert!(is_at_rest(rests), "{rests:?}");
        }
        for troubled in [
            &[][..],
            &[("Issuing", "False")],
            &[("Ready", "False")],
            &[ready, ("Issuing", "True")],
            &[ready, ("Served", "False")],
            &[ready, ("Revoked", "True")],
            &[ready, ("KeyRollover", "False")],
        ] {
            assert!(!is_at_rest(troubled), "{troubled:?}");
        }
    }

    #[test]
    fn a_file_is_named_after_its_object_and_has_no_managed_fields() {
        let object =
            json!({ "kind": "Issuer", "metadata": { "namespace": "a", "name": "b", "managedFields": [{}] } });
        assert_eq!(name_of(&object), "a/b");
        assert_eq!(name_of(&json!({ "metadata": { "name": "b" } })), "b");
        let file = yaml("issuers/a/b.yaml".to_owned(), object).unwrap();
        assert_eq!(file.text, "kind: Issuer\nmetadata:\n  name: b\n  namespace: a\n");
    }
}
