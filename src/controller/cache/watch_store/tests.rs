use kube::ResourceExt;
use kube::runtime::watcher::Event;
use prometheus_client::metrics::counter::Counter;
use serde_json::json;

use super::*;
use crate::runtime::metrics::Metrics;
use certwright_api::Certificate;

#[test]
fn what_can_no_longer_be_read_leaves_the_cache_until_it_is_corrected() {
    let mut case = Case::new();
    assert_eq!(case.put(Event::Apply(web("1h"))), ["seen web"]);
    assert_eq!(case.put(Event::Apply(web("absurd"))), ["gone web", "unreadable web"]);
    assert_eq!((case.cached(), case.fault()), (0, Some("spec.renewBefore".to_owned())));
    assert!(case.metrics.encode().unwrap().contains(METRIC));
    assert_eq!(case.put(Event::Apply(web("absurd"))), ["unreadable web"]);
    assert_eq!(case.put(Event::Apply(web("2h"))), ["seen web"]);
    assert_eq!((case.cached(), case.fault()), (1, None));
    assert!(!case.metrics.encode().unwrap().contains(METRIC));
}

#[test]
fn a_list_is_complete_though_some_of_it_cannot_be_read() {
    let mut case = Case::new();
    let list = |case: &mut Case, readings: Vec<Reading<Certificate>>| {
        case.put(Event::Init);
        let mut told: Vec<String> =
            readings.into_iter().flat_map(|reading| case.put(Event::InitApply(reading))).collect();
        told.extend(case.put(Event::InitDone));
        told
    };
    assert_eq!(list(&mut case, vec![web("absurd"), named("api", "1h")]), ["unreadable web", "seen api"]);
    assert_eq!(
        list(&mut case, vec![web("1h"), named("api", "absurd")]),
        ["seen web", "gone api", "unreadable api"]
    );
    assert_eq!(case.fault(), None);
    let first = |renewal| at_version("1", renewal);
    assert_eq!(list(&mut case, vec![first("1h"), named("api", "1h")]), ["seen web", "seen api"]);
    let unchanged = list(&mut case, vec![first("1h"), named("api", "1h")]);
    assert_eq!(unchanged, ["seen api"], "this version of web is known");
    assert_eq!(list(&mut case, vec![at_version("2", "1h")]), ["seen web", "gone api"]);
    // Objects that were deleted while the watch was broken are gone, readable or not.
    assert_eq!(list(&mut case, Vec::new()), ["gone web"]);
    assert!(!case.metrics.encode().unwrap().contains(METRIC));
}

#[test]
fn what_is_deleted_is_forgotten() {
    let mut case = Case::new();
    case.put(Event::Apply(web("absurd")));
    assert_eq!(case.put(Event::Delete(web("absurd"))), ["gone web"]);
    assert_eq!(case.fault(), None);
    case.put(Event::Apply(web("absurd")));
    drop(case.watch_store);
    assert!(!case.metrics.encode().unwrap().contains(METRIC), "with its watch it is forgotten");
}

const METRIC: &str = "certwright_unreadable_objects{kind=\"Certificate\",part=\"object\"} 1";

struct Case {
    watch_store: WatchStore<Certificate>,
    metrics: Metrics,
}

impl Case {
    fn new() -> Self {
        let metrics = Metrics::default();
        let unreadable = Arc::new(Unreadable::new(metrics.clone()));
        let objects = Arc::new(Objects::new(Counter::default()));
        Self { watch_store: WatchStore::new(objects, unreadable, Arc::default()), metrics }
    }

    /// The changes that an event causes.
    fn put(&mut self, event: Event<Reading<Certificate>>) -> Vec<String> {
        let mut told = Vec::new();
        self.watch_store.put(event, |change| {
            told.push(match change {
                Change::Seen(object) => format!("seen {}", object.name_any()),
                Change::Gone(object) => format!("gone {}", object.name_any()),
                Change::Unreadable(object) => format!("unreadable {}", object.name_any()),
            });
        });
        told
    }

    fn cached(&self) -> usize {
        self.watch_store.objects.names().len()
    }

    fn fault(&self) -> Option<String> {
        Some(self.watch_store.unreadable.fault("Certificate", Some("shop"), "web")?.path)
    }
}

fn web(renew_before: &str) -> Reading<Certificate> {
    named("web", renew_before)
}

fn at_version(version: &str, renew_before: &str) -> Reading<Certificate> {
    let mut web = web(renew_before);
    web.object.metadata.resource_version = Some(version.to_owned());
    web
}

fn named(name: &str, renew_before: &str) -> Reading<Certificate> {
    let spec = json!({ "secretName": name, "issuerRef": { "name": "ca" }, "renewBefore": renew_before });
    serde_json::from_value(json!({ "metadata": { "name": name, "namespace": "shop" }, "spec": spec }))
        .unwrap()
}
