//! Whatever the schemas in `crds/` accept is read or reported, next to valid objects, and nothing panics.
#![allow(clippy::unwrap_used, reason = "what cannot be read at all fails the test")]

use crate::common::schema;

use std::collections::BTreeMap;

use certwright_api::{Certificate, ClusterIssuer, Issuer};
use certwright_core::authorization::authorized;
use certwright_core::reading::{Readable, Reading};
use certwright_core::solvers::solver_for;
use certwright_core::spec::ValidatedCertificate;
use certwright_core::{allow, kstatus, records, revocation};
use certwright_pki::Subject;
use kube::ResourceExt;
use kube::core::{ObjectList, WatchEvent};
use proptest::prelude::*;
use serde_json::{Value, json};

/// The objects as the items of one list.
fn listed<K: Readable + Clone>(items: &[Value]) -> Vec<Reading<K>> {
    let list =
        json!({ "kind": "List", "apiVersion": "v1", "metadata": { "resourceVersion": "1" }, "items": items });
    serde_json::from_str::<ObjectList<Reading<K>>>(&list.to_string()).unwrap().items
}

/// Whatever the schema accepts is read or reported, next to a valid object.
fn read_or_reported<K: Readable + Clone>(object: &Value) -> Result<Option<K>, TestCaseError> {
    let mut well = object.clone();
    well["spec"] = K::empty_spec();
    well["status"] = json!({});
    let mut found = listed::<K>(&[well.clone(), object.clone(), well]);
    prop_assert!(found[0].fault.is_none() && found[2].fault.is_none());
    let found = found.remove(1);
    prop_assert_eq!(found.name_any(), "any");
    // The type comes first, as in the answers of the API server.
    let event = format!("{{\"type\":\"MODIFIED\",\"object\":{object}}}");
    let WatchEvent::Modified(watched) = serde_json::from_str::<WatchEvent<Reading<K>>>(&event).unwrap()
    else {
        return Err(TestCaseError::fail("another event"));
    };
    prop_assert_eq!(&watched.fault, &found.fault);
    for fault in found.fault.iter().chain(&found.status_fault) {
        prop_assert!(!fault.words.is_empty() && fault.to_string().chars().count() < 1100);
        prop_assert!(!fault.to_string().contains(char::is_control));
    }
    let mut going = object.clone();
    going["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    prop_assert!(listed::<K>(&[going])[0].fault.is_none(), "a deletion is not held up");
    Ok(found.usable().ok())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_certificate_that_the_schema_takes_is_read_or_reported(object in schema::objects("certificates")) {
        let Some(certificate) = read_or_reported::<Certificate>(&object)? else { return Ok(()) };
        let _ = ValidatedCertificate::new(&certificate.spec, None).map(|valid| (valid.written_as(), valid.identifiers()));
        let status = certificate.status.unwrap_or_default();
        let now: jiff::Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let _ = kstatus::of_certificate(&status.conditions);
        let _ = (records::next_removal(&status.dns_records), records::due(&status, true, None, now), records::due(&status, false, None, now));
        let _ = (records::last_chore(&status, true, None, now), revocation::next_attempt(&status));
    }

    #[test]
    fn any_issuer_that_the_schema_takes_is_read_or_reported(object in schema::objects("issuers")) {
        let Some(issuer) = read_or_reported::<Issuer>(&object)? else { return Ok(()) };
        let status = issuer.status.unwrap_or_default();
        let _ = kstatus::of_issuer(&status.conditions);
        let _ = (authorized(&status, "account", jiff::Timestamp::UNIX_EPOCH), records::next_removal(&status.dns_records));
        let _ = solver_for(&issuer.spec.acme.solvers, "a.test", true, &BTreeMap::new(), |_| true);
    }

    #[test]
    fn any_cluster_issuer_that_the_schema_takes_is_read_or_reported(object in schema::objects("clusterissuers")) {
        let Some(issuer) = read_or_reported::<ClusterIssuer>(&object)? else { return Ok(()) };
        let _ = kstatus::of_issuer(&issuer.status.unwrap_or_default().conditions);
        let subject =
            Subject { common_name: None, dns_names: vec!["a.test".to_owned()], ip_addresses: Vec::new() };
        let _ = issuer.spec.allow.map(|allow| allow::check(&allow, "shop", &BTreeMap::new(), &subject));
    }
}
