//! The shards that share the cluster, according to the annotations of their Leases.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt};

use certwright_api::ANNOTATION_WATCH_LABEL_SELECTOR;
use certwright_core::shard::ShardSelector;
use certwright_runtime::clock;

/// If a Lease was not renewed for this long, its shard is considered removed.
const REMOVED: SignedDuration = SignedDuration::from_mins(10);

/// An installation of the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shard {
    /// Its Lease.
    pub lease: String,
    /// The labels of what it serves.
    pub selector: ShardSelector,
}

/// The installations whose Leases are in this namespace.
///
/// # Errors
/// If the Leases cannot be listed.
pub async fn shards(client: &Client, namespace: &str) -> Result<Vec<Shard>, kube::Error> {
    let leases = Api::<Lease>::namespaced(client.clone(), namespace).list(&ListParams::default()).await?;
    let now = clock::now();
    Ok(leases.items.iter().filter_map(|lease| shard(lease, now)).collect())
}

/// Whether these installations divide the objects of the cluster by labels.
pub fn divide(shards: &[Shard]) -> bool {
    shards.iter().any(|shard| !shard.selector.selects_all())
}

/// The installations that serve an object with these labels.
pub fn serving<'a>(shards: &'a [Shard], labels: &BTreeMap<String, String>) -> Vec<&'a str> {
    shards.iter().filter(|shard| shard.selector.matches(labels)).map(|shard| shard.lease.as_str()).collect()
}

fn shard(lease: &Lease, now: Timestamp) -> Option<Shard> {
    let selector = lease.annotations().get(ANNOTATION_WATCH_LABEL_SELECTOR)?.parse().ok()?;
    let spec = lease.spec.as_ref()?;
    let is_held = spec.holder_identity.as_ref().is_some_and(|holder| !holder.is_empty());
    let renewed = spec.renew_time.as_ref()?.0;
    (is_held && now.duration_since(renewed) < REMOVED).then(|| Shard { lease: lease.name_any(), selector })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_lease_with_our_annotation_is_a_shard_as_long_as_somebody_holds_it() {
        let now: Timestamp = "2026-01-01T00:05:00Z".parse().unwrap();
        let lease = |annotations: serde_json::Value, holder: Option<&str>, renewed: &str| {
            let lease = json!({
                "metadata": { "name": "certwright-a", "annotations": annotations },
                "spec": { "holderIdentity": holder, "renewTime": renewed },
            });
            shard(&serde_json::from_value(lease).unwrap(), now)
        };
        let ours = |selector: &str| json!({ "certwright.dev/watch-label-selector": selector });
        let recently = "2026-01-01T00:00:00.000000Z";
        let found = lease(ours("certwright.dev/shard=a"), Some("pod"), recently);
        assert_eq!(found.map(|shard| shard.lease).as_deref(), Some("certwright-a"));
        assert!(lease(ours(""), Some("pod"), recently).is_some_and(|shard| shard.selector.selects_all()));
        assert_eq!(lease(json!({}), Some("pod"), recently), None, "of somebody else");
        assert_eq!(lease(ours("a b"), Some("pod"), recently), None, "not a selector");
        for holder in [None, Some("")] {
            assert_eq!(lease(ours("a=b"), holder, recently), None, "released");
        }
        assert_eq!(lease(ours("a=b"), Some("pod"), "2025-12-31T23:00:00.000000Z"), None, "removed");
    }

    #[test]
    fn objects_are_divided_if_some_installation_has_a_selector() {
        let shard = |lease: &str, selector: &str| Shard {
            lease: lease.to_owned(),
            selector: selector.parse().unwrap(),
        };
        let one = [shard("certwright", "")];
        assert!(!divide(&one) && !divide(&[]));
        let all = [shard("main", "!s"), shard("a", "s=a"), shard("some", "s in (a,b)")];
        assert!(divide(&all));
        let labels = |value: &str| BTreeMap::from([("s".to_owned(), value.to_owned())]);
        assert_eq!(serving(&all, &BTreeMap::new()), ["main"]);
        assert_eq!(serving(&all, &labels("a")), ["a", "some"]);
        assert!(serving(&all, &labels("c")).is_empty());
    }
}
