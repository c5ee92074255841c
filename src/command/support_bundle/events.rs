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

/// How many are collected: the newest.
const MOST: usize = 10_000;
/// How many the API server returns at a time.
const PAGE: u32 = 500;

/// Adds a file with the events of a namespace, or of all.
pub(super) async fn collect(
    cluster: &Cluster,
    namespace: Option<&str>,
    operator_namespace: &str,
    bundle: &mut Bundle,
) {
    let about_ours = format!("involvedObject.apiVersion={GROUP}/{VERSION}");
    let mut sources = vec![(Some(operator_namespace), None)];
    match namespace {
        None => sources.push((None, Some(&*about_ours))),
        // Events about ClusterIssuers are in the namespace `default`.
        Some(namespace) => {
            sources.extend([(Some(namespace), Some(&*about_ours)), (Some("default"), Some(&*about_ours))]);
        }
    }
    let mut newest = Newest::default();
    for (namespace, fields) in sources {
        if let Err(error) = read(cluster, namespace, fields, &mut newest).await {
            bundle.lacks(&format!("events of {}", namespace.unwrap_or("all namespaces")), &error);
        }
    }
    if newest.left_out > 0 {
        bundle.missing.push(format!("{} older events: there are too many", newest.left_out));
    }
    bundle.files.push(File::new("events.txt", newest.rendered()));
}

async fn read(
    cluster: &Cluster,
    namespace: Option<&str>,
    fields: Option<&str>,
    into: &mut Newest,
) -> Result<(), kube::Error> {
    let api = match namespace {
        Some(namespace) => Api::<Event>::namespaced(cluster.client.clone(), namespace),
        None => Api::all(cluster.client.clone()),
    };
    let mut parameters = ListParams::default().limit(PAGE);
    parameters.field_selector = fields.map(str::to_owned);
    loop {
        let page = api.list(&parameters).await?;
        page.items.iter().for_each(|event| into.take(event));
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => parameters.continue_token = Some(token),
            None => return Ok(()),
        }
    }
}

/// The newest events, as lines in the order of time.
#[derive(Default)]
struct Newest {
    lines: BTreeMap<(Option<Timestamp>, Option<String>), String>,
    left_out: usize,
}

impl Newest {
    fn take(&mut self, event: &Event) {
        self.lines.insert((time(event), event.metadata.uid.clone()), line(event));
        if self.lines.len() > MOST {
            self.lines.pop_first();
            self.left_out += 1;
        }
    }

    fn rendered(self) -> String {
        self.lines.into_values().collect()
    }
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
                "metadata": { "uid": reason }, "type": "Warning", "reason": reason, "message": "CAA\nforbids it",
                "involvedObject": { "kind": "Certificate", "namespace": "shop", "name": "www" },
                "eventTime": time,
            });
            event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            serde_json::from_value::<Event>(event).unwrap()
        };
        let events = [
            event("B", "2026-01-01T00:00:01.000000Z", json!({})),
            event("A", "2026-01-01T00:00:00.000000Z", json!({ "count": 3 })),
        ];
        let mut newest = Newest::default();
        // The operator's namespace may be the one that is collected.
        events.iter().chain(&events).for_each(|event| newest.take(event));
        assert_eq!(
            newest.rendered(),
            "2026-01-01T00:00:00Z  Warning  A  Certificate shop/www  CAA forbids it (x3)\n\
             2026-01-01T00:00:01Z  Warning  B  Certificate shop/www  CAA forbids it\n"
        );
    }
    #[test]
    fn of_very_many_events_the_newest_are_kept() {
        let mut newest = Newest::default();
        for number in 0..MOST + 5 {
            let time = Timestamp::from_second(i64::try_from(number).unwrap()).unwrap();
            let event = json!({
                "metadata": { "uid": number.to_string() }, "involvedObject": {}, "message": format!("m{number}"),
                "lastTimestamp": time.to_string(),
            });
            newest.take(&serde_json::from_value(event).unwrap());
        }
        assert_eq!(newest.left_out, 5);
        let text = newest.rendered();
        assert!(text.starts_with("1970-01-01T00:00:05Z"), "{}", &text[..40]);
        assert_eq!(text.lines().count(), MOST);
    }
}
