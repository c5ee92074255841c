//! The HTTPRoutes for http-01, on a real API server and with Gateways that accept or reject them.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};
use certwright_api::{ParentReference, ServiceType};
use certwright_cluster::TestNamespace;
use certwright_solver::http01::{
    Acceptance, Backend, Http01Shard, HttpRoute, PresentedChallenge, RouteTemplate, acceptance, routes,
    service,
};
use futures::StreamExt;
use kube::api::{Patch, PatchParams};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, ResourceExt};
use serde_json::json;

const SOON: Duration = Duration::from_secs(10);

#[tokio::test]
async fn routes_for_a_hundred_names_and_addresses_are_taken_and_written_once() -> Result<()> {
    TestNamespace::with("routes", async |ns| {
        let _gateway_api = ns.cluster.gateway_api().await?;
        ns.apply(&gateway("public")).await?;
        ns.apply(&serde_json::to_string(&service(
            &ns.name,
            Backend::Http01(ServiceType::ClusterIp),
            8089,
            &Http01Shard::default(),
        ))?)
        .await?;
        let rendered = routes(&template(ns), &challenges(ns));
        assert_eq!(rendered.len(), 8);
        let api = ns.api::<HttpRoute>();
        let first = apply(&api, &rendered).await?;
        let taken = until(&api, |said| matches!(said, Acceptance::Accepted)).await?;
        assert_eq!(taken.len(), 8);

        // Only the Gateway's controller has changed the status.
        let again = apply(&api, &rendered).await?;
        let versions = |routes: &[HttpRoute]| -> BTreeMap<_, _> {
            routes.iter().map(|route| (route.name_any(), route.resource_version())).collect()
        };
        assert_eq!(versions(&again), versions(&taken));
        assert!(first.iter().all(|route| route.metadata.generation == Some(1)));
        Ok(())
    })
    .await
}

#[tokio::test]
async fn what_a_gateway_has_against_a_route_is_told_and_a_missing_one_is_waited_for() -> Result<()> {
    TestNamespace::with("objections", async |ns| {
        let _gateway_api = ns.cluster.gateway_api().await?;
        let api = ns.api::<HttpRoute>();
        apply(&api, &routes(&template(ns), &challenges(ns))).await?;
        let name = format!("the Gateway {}/public", ns.name);
        until(&api, |said| *said == Acceptance::Pending(vec![name.clone()])).await?;

        ns.apply(&gateway("public")).await?;
        let no_service = format!(
            "{name} cannot use the HTTPRoute's backend: BackendNotFound: there is no Service {}/certwright-http01 \
             with port 80",
            ns.name
        );
        until(&api, |said| *said == Acceptance::Refused(vec![no_service.clone()])).await?;

        ns.apply(&serde_json::to_string(&service(&ns.name, Backend::Http01(ServiceType::ClusterIp), 8089, &Http01Shard::default()))?).await?;
        until(&api, |said| matches!(said, Acceptance::Accepted)).await?;
        Ok(())
    })
    .await
}

/// A Gateway of the router's class.
fn gateway(name: &str) -> String {
    let gateway = json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "metadata": {"name": name},
        "spec": {
            "gatewayClassName": "router",
            "listeners": [{"name": "http", "port": 80, "protocol": "HTTP"}],
        },
    });
    gateway.to_string()
}

/// A hundred names and two addresses.
fn challenges(ns: &TestNamespace) -> Vec<PresentedChallenge> {
    let names = (0..100).map(|n| format!("n{n}.{}.test", ns.name));
    let identifiers = names.chain(["192.0.2.1".to_owned(), "2001:db8::1".to_owned()]);
    let challenge =
        |(n, identifier)| PresentedChallenge { identifier, token: format!("Token_{n}-{}", "x".repeat(40)) };
    identifiers.enumerate().map(challenge).collect()
}

fn template(ns: &TestNamespace) -> RouteTemplate {
    RouteTemplate {
        namespace: ns.name.clone(),
        certificate_name: "web".into(),
        certificate_uid: "5c2f".into(),
        parent_refs: vec![ParentReference { name: "public".into(), ..ParentReference::default() }],
        labels: BTreeMap::from([("team".into(), "shop".into())]),
        service_type: ServiceType::ClusterIp,
        shard: Http01Shard::default(),
    }
}

/// Applies routes without their owner, who does not exist.
async fn apply(api: &Api<HttpRoute>, routes: &[HttpRoute]) -> Result<Vec<HttpRoute>> {
    let mut applied = Vec::new();
    for route in routes {
        let mut route = route.clone();
        route.metadata.owner_references = None;
        let params = PatchParams::apply("certwright").force();
        applied.push(api.patch(&route.name_any(), &params, &Patch::Apply(&route)).await?);
    }
    Ok(applied)
}

/// Watches the routes of a namespace until their status says this.
async fn until(api: &Api<HttpRoute>, wanted: impl Fn(&Acceptance) -> bool) -> Result<Vec<HttpRoute>> {
    let mut last = None;
    let watch = async {
        let mut changes = std::pin::pin!(
            watcher(api.clone(), watcher::Config::default()).default_backoff().applied_objects()
        );
        let mut known = BTreeMap::new();
        while let Some(change) = changes.next().await {
            let route = change?;
            known.insert(route.name_any(), route);
            let said = acceptance(known.values());
            let count = api.list_metadata(&Default::default()).await?.items.len();
            if known.len() == count && wanted(&said) {
                return Ok(known.into_values().collect());
            }
            last = Some(said);
        }
        anyhow::bail!("the watch ended")
    };
    match tokio::time::timeout(SOON, watch).await {
        Ok(result) => result,
        Err(_) => Err(anyhow::anyhow!("last said: {last:?}")).context("not as wanted"),
    }
}
