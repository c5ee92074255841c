//! Events about Certwright's objects, and those of the operator's namespace.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Event;
use kube::Api;
use kube::api::ListParams;

use super::{Bundle, File};
use crate::command::Cluster;
use crate::command::output::plain;
use certwright_api::{GROUP, VERSION};

/// How many are collected of each namespace, or of all.
const MOST: u32 = 5000;

/// Adds a file with the events of a namespace, or of all.
pub(super) async fn collect(
    cluster: &Cluster,
    namespace: Option<&str>,
    operator_namespace: &str,
    bundle: &mut Bundle,
) {
    let ours = format!("involvedObject.apiVersion={GROUP}/{VERSION}");
    let about_ours = ListParams::default().limit(MOST).fields(&ours);
    let mut sources = vec![(Some(operator_namespace), ListParams::default().limit(MOST))];
    match namespace {
        None => sources.push((None, about_ours)),
        // Events about ClusterIssuers are in the namespace `default`.
        Some(namespace) => {
            sources.extend([(Some(namespace), about_ours.clone()), (Some("default"), about_ours)])
        }
    }
    let mut events = BTreeMap::new();
    for (namespace, parameters) in sources {
        let api = match namespace {
            Some(namespace) => Api::<Event>::namespaced(cluster.client.clone(), namespace),
            None => Api::all(cluster.client.clone()),
        };
        match api.list(&parameters).await {
            Ok(found) => {
                events.extend(found.items.into_iter().map(|event| (event.metadata.uid.clone(), event)))
            }
            Err(error) => {
                bundle.lacks(&format!("events of {}", namespace.unwrap_or("all namespaces")), &error)
            }
        }
    }
    bundle.files.push(File::new("events.txt", rendered(events.into_values().collect())));
}

fn rendered(mut events: Vec<Event>) -> String {
    events.sort_by_key(time);
    events.iter().map(line).collect()
}

fn line(event: &Event) -> String {
    let about = &event.involved_object;
    let namespace = about.namespace.as_deref().map(|namespace| format!("{namespace}/")).unwrap_or_default();
    let count = event.series.as_ref().and_then(|series| series.count).or(event.count).unwrap_or(1);
    let often = if count > 1 { format!(" (x{count})") } else { String::new() };
    let text = |text: &Option<String>| plain(text.as_deref().unwrap_or_default());
    format!(
        "{}  {}  {}  {} {namespace}{}  {}{often}\n",
        time(event).map_or("-".to_owned(), |time| format!("{time:.0}")),
        text(&event.type_),
        text(&event.reason),
        text(&about.kind),
        text(&about.name),
        text(&event.message),
    )
}

/// When it happened last.
fn time(event: &Event) -> Option<Timestamp> {
    let series =
        event.series.as_ref().and_then(|series| series.last_observed_time.as_ref()).map(|time| time.0);
    let last = event.last_timestamp.as_ref().map(|time| time.0);
    let first = event.event_time.as_ref().map(|time| time.0);
    series.or(last).or(first).or(event.metadata.creation_timestamp.as_ref().map(|time| time.0))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn events_are_lines_in_the_order_of_time() {
        let event = |reason: &str, time: &str, more: serde_json::Value| {
            let mut event = json!({
                "metadata": {}, "type": "Warning", "reason": reason, "message": "CAA\nforbids it",
                "involvedObject": { "kind": "Certificate", "namespace": "shop", "name": "www" },
                "eventTime": time,
            });
            event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            serde_json::from_value(event).unwrap()
        };
        let events = vec![
            event("B", "2026-01-01T00:00:01.000000Z", json!({})),
            event("A", "2026-01-01T00:00:00.000000Z", json!({ "count": 3 })),
        ];
        assert_eq!(
            rendered(events),
            "2026-01-01T00:00:00Z  Warning  A  Certificate shop/www  CAA forbids it (x3)\n\
             2026-01-01T00:00:01Z  Warning  B  Certificate shop/www  CAA forbids it\n"
        );
    }
}
