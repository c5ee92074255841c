//! The addresses at which the operator's replicas answer.

use std::collections::BTreeSet;
use std::net::IpAddr;

use k8s_openapi::api::discovery::v1::{Endpoint, EndpointSlice};

/// Where challenges are led: to the ready endpoints of the operator's Service in `slices`, and to the addresses of this replica,
/// `own`. If this replica is being terminated, it answers for a few more seconds, but is left out, unless it is the only one.
pub fn responders<'a>(
    own: &[IpAddr],
    slices: impl IntoIterator<Item = &'a EndpointSlice>,
) -> BTreeSet<IpAddr> {
    let endpoints: Vec<&Endpoint> = slices.into_iter().flat_map(|slice| &slice.endpoints).collect();
    let of = |which: fn(&Endpoint) -> bool| {
        let endpoints = endpoints.iter().filter(move |endpoint| which(endpoint));
        endpoints.flat_map(|endpoint| &endpoint.addresses).filter_map(|address| address.parse().ok())
    };
    let mut ready: BTreeSet<IpAddr> = of(is_ready).collect();
    let is_ending = of(is_terminating).any(|address| own.contains(&address));
    if !is_ending || ready.is_empty() {
        ready.extend(own);
    }
    ready
}

/// An endpoint without this condition counts as ready.
fn is_ready(endpoint: &Endpoint) -> bool {
    endpoint.conditions.as_ref().and_then(|conditions| conditions.ready) != Some(false)
}

fn is_terminating(endpoint: &Endpoint) -> bool {
    endpoint.conditions.as_ref().and_then(|conditions| conditions.terminating) == Some(true)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[track_caller]
    fn assert_responders(own: &[&str], endpoints: Value, expected: &[&str]) {
        let slice: EndpointSlice =
            serde_json::from_value(json!({ "addressType": "IPv4", "endpoints": endpoints })).unwrap();
        let own: Vec<IpAddr> = own.iter().map(|address| address.parse().unwrap()).collect();
        let found: Vec<String> = responders(&own, [&slice]).iter().map(ToString::to_string).collect();
        assert_eq!(found, expected, "{slice:?}");
    }

    fn ready(address: &str) -> Value {
        json!({ "addresses": [address], "conditions": { "ready": true, "serving": true, "terminating": false } })
    }

    fn terminating(address: &str) -> Value {
        json!({ "addresses": [address], "conditions": { "ready": false, "serving": true, "terminating": true } })
    }

    #[test]
    fn all_ready_replicas_answer() {
        let unknown = json!({ "addresses": ["10.0.0.3"] });
        let starting = json!({ "addresses": ["10.0.0.4"], "conditions": { "ready": false } });
        let endpoints = json!([ready("10.0.0.1"), ready("10.0.0.2"), unknown, starting]);
        assert_responders(&["10.0.0.1"], endpoints, &["10.0.0.1", "10.0.0.2", "10.0.0.3"]);
    }

    #[test]
    fn a_replica_whose_endpoint_is_not_known_answers() {
        assert_responders(&["10.0.0.1"], json!([]), &["10.0.0.1"]);
        assert_responders(&["10.0.0.1"], json!([ready("10.0.0.2")]), &["10.0.0.1", "10.0.0.2"]);
        let starting = json!({ "addresses": ["10.0.0.1"], "conditions": { "ready": false } });
        assert_responders(&["10.0.0.1"], json!([starting, ready("10.0.0.2")]), &["10.0.0.1", "10.0.0.2"]);
    }

    #[test]
    fn a_replica_that_is_being_terminated_is_left_out_unless_it_is_the_only_one() {
        let both = json!([terminating("10.0.0.1"), ready("10.0.0.2")]);
        assert_responders(&["10.0.0.1"], both.clone(), &["10.0.0.2"]);
        assert_responders(&["10.0.0.1", "fd00::1"], both.clone(), &["10.0.0.2"]);
        assert_responders(&["10.0.0.2"], both, &["10.0.0.2"]);
        assert_responders(&["10.0.0.1"], json!([terminating("10.0.0.1")]), &["10.0.0.1"]);
        let none = json!([terminating("10.0.0.1"), terminating("10.0.0.2")]);
        assert_responders(&["10.0.0.1"], none, &["10.0.0.1"]);
    }

    #[test]
    fn an_address_that_is_none_is_left_out() {
        assert_responders(&["10.0.0.1"], json!([ready("replica-1")]), &["10.0.0.1"]);
    }
}
