//! What Gateways report about a route of the Gateway API.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use serde::{Deserialize, Serialize};

use super::ParentReference;

/// The status of a route.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RouteStatus {
    /// The status for each parent, written by its controller.
    #[serde(default)]
    pub parents: Vec<RouteParentStatus>,
}

/// The status of a route for one parent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RouteParentStatus {
    /// The parent, as in the route's `spec.parentRefs`.
    #[serde(default)]
    pub parent_ref: ParentReference,
    /// The controller that wrote this entry.
    #[serde(default)]
    pub controller_name: String,
    /// `Accepted`, `ResolvedRefs` and others.
    #[serde(default)]
    pub conditions: Vec<Condition>,
}

impl RouteParentStatus {
    /// The condition of this type, if it is about this generation of the route. Not every implementation says which one it
    /// is about; then it is about the current one.
    pub fn current(&self, type_: &str, generation: Option<i64>) -> Option<&Condition> {
        self.conditions.iter().find(|condition| condition.type_ == type_).filter(|condition| {
            condition.observed_generation.is_none() || condition.observed_generation == generation
        })
    }
}
