//! What the server offers, in the words of Kubernetes' discovery (`metav1.APIGroup` and `APIResourceList`).

use certwright_solver::dns01::webhook::{API_VERSION, KIND};
use serde_json::{Value, json};

/// The version of the group.
pub const VERSION: &str = "v1alpha1";
/// The one resource: the name of the solver.
pub const RESOURCE: &str = "dns";

pub fn groups(name: &str) -> Value {
    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": [group(name)]})
}

pub fn group(name: &str) -> Value {
    let version = json!({"groupVersion": format!("{name}/{VERSION}"), "version": VERSION});
    json!({
        "kind": "APIGroup", "apiVersion": "v1", "name": name,
        "versions": [version], "preferredVersion": version,
    })
}

pub fn resources(name: &str) -> Value {
    let (group, version) = API_VERSION.split_once('/').unwrap_or_default();
    json!({
        "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": format!("{name}/{VERSION}"),
        "resources": [{
            "name": RESOURCE, "singularName": RESOURCE, "namespaced": false, "verbs": ["create"],
            "kind": KIND, "group": group, "version": version,
        }],
    })
}

pub fn version() -> Value {
    json!({"name": env!("CARGO_PKG_NAME"), "version": env!("CARGO_PKG_VERSION")})
}
