//! The number of events is small.

use crate::common::faults::{path, ready_behind_proxy, refusal, requests_to, steady};
use crate::common::{SOON, certificate};
use anyhow::Result;
use certwright_cluster::proxy::Action;
use certwright_cluster::{Operator, TestNamespace};
use k8s_openapi::api::events::v1::Event;
use kube::api::ListParams;
use serde_json::{Value, json};

#[tokio::test]
async fn failures_in_a_row_that_say_the_same_are_one_event() -> Result<()> {
    TestNamespace::with("events", async |ns| {
        let pebble = steady().start(&ns.cluster).await?;
        let _operator = Operator::builder(ns)
            .argument("--backoff-first", "1s")
            .argument("--backoff-longest", "1s")
            .start()
            .await?;
        let proxy = ready_behind_proxy(ns, &pebble, "ca").await?;
        proxy.script(|request| match request.path.as_str() {
            path::NEW_ORDER => {
                refusal(403, &json!({ "type": "urn:ietf:params:acme:error:malformed", "detail": "no" }))
            }
            _ => Action::Pass,
        });
        ns.apply(&certificate("web", &["a.example.com"], "")).await?;
        let failed = |object: &Value| object["status"]["failedIssuanceAttempts"].as_i64() >= Some(4);
        ns.wait("certificate/web", SOON, failed).await?;
        assert!(requests_to(&proxy, path::NEW_ORDER).len() > 3, "it was tried again");
        let events = ns.api::<Event>().list(&ListParams::default()).await?;
        let about_web = events.items.iter().filter(|event| {
            event.regarding.as_ref().and_then(|object| object.name.as_deref()) == Some("web")
        });
        let reasons: Vec<_> = about_web.filter_map(|event| event.reason.as_deref()).collect();
        assert_eq!(reasons, ["Malformed"]);
        Ok(())
    })
    .await
}
