//! Rules in an existing Ingress: added for a validation, and removed afterwards, whatever else has changed in the meantime.

use std::collections::BTreeSet;
use std::net::IpAddr;

use k8s_openapi::api::networking::v1::{HTTPIngressPath, HTTPIngressRuleValue, Ingress, IngressRule};

use super::objects::{PathType, PresentedChallenge, path};
use super::ownership::{Http01Shard, is_service_of_ours};
use super::{CHALLENGE_PREFIX, challenge_path};
use certwright_api::ServiceType;

/// Adds the path of a challenge to an Ingress: to the rule for its host, otherwise in a new rule. Existing rules remain
/// unchanged. A path that another shard has added for the challenge now leads to this one.
pub fn put_in(
    ingress: &mut Ingress,
    challenge: &PresentedChallenge,
    service_type: ServiceType,
    path_type: PathType,
    shard: &Http01Shard,
) {
    let is_ip = challenge.identifier.parse::<IpAddr>().is_ok();
    let host = (!is_ip).then(|| challenge.identifier.to_ascii_lowercase());
    let rules = ingress.spec.get_or_insert_default().rules.get_or_insert_default();
    let wanted = challenge_path(&challenge.token);
    let path = path(&challenge.token, service_type, path_type, shard);
    let of_host = rules.iter_mut().filter(|rule| rule.host == host).filter_map(|rule| rule.http.as_mut());
    if let Some(present) = of_host.flat_map(|http| &mut http.paths).find(|path| leads_to(path, &wanted)) {
        present.backend = path.backend;
        return;
    }
    // A rule without paths sends everything to the default backend, and must continue to do so.
    let of_host = rules.iter_mut().find(|rule| rule.host == host && rule.http.is_some());
    match of_host.and_then(|rule| rule.http.as_mut()) {
        Some(http) => http.paths.push(path),
        None => rules.push(IngressRule { host, http: Some(HTTPIngressRuleValue { paths: vec![path] }) }),
    }
}

/// Removes the paths of `tokens`, and the rules that contain nothing else.
pub fn take_out(ingress: &mut Ingress, tokens: &BTreeSet<&str>) {
    let Some(rules) = ingress.spec.as_mut().and_then(|spec| spec.rules.as_mut()) else { return };
    rules.retain_mut(|rule| {
        let Some(http) = &mut rule.http else { return true };
        let before = http.paths.len();
        http.paths.retain(|path| !is_of(path, tokens));
        // The API does not accept a rule with an empty list of paths, so we added a rule that is empty now.
        !http.paths.is_empty() || http.paths.len() == before
    });
}

fn leads_to(path: &HTTPIngressPath, wanted: &str) -> bool {
    path.path.as_deref() == Some(wanted) && is_ours(path)
}

fn is_of(path: &HTTPIngressPath, tokens: &BTreeSet<&str>) -> bool {
    let token = path.path.as_deref().and_then(|path| path.strip_prefix(CHALLENGE_PREFIX));
    token.is_some_and(|token| tokens.contains(token)) && is_ours(path)
}

fn is_ours(path: &HTTPIngressPath) -> bool {
    path.backend.service.as_ref().is_some_and(|service| is_service_of_ours(&service.name))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::http01::Backend;

    #[test]
    fn what_was_put_in_is_taken_out_and_nothing_else() {
        let before = ingress(json!([
            { "host": "a.test", "http": { "paths": [
                { "path": "/", "pathType": "Prefix", "backend": { "service": { "name": "web", "port": { "number": 80 } } } },
            ] } },
            { "host": "b.test" },
        ]));
        let mut edited = before.clone();
        for (host, token) in
            [("a.test", "one"), ("b.test", "two"), ("c.test", "three"), ("192.0.2.1", "four")]
        {
            let challenge = PresentedChallenge { identifier: host.to_owned(), token: token.to_owned() };
            put_in(&mut edited, &challenge, ServiceType::ClusterIp, PathType::Exact, &Http01Shard::default());
        }
        let rules = rules(&edited);
        assert_eq!(rules.len(), 5, "one for each name that had none with paths");
        assert_eq!(paths(&rules[0]).count(), 2);
        assert_eq!(rules[1], self::rules(&before)[1], "it goes on to send all to the default backend");
        assert!(leads_to(paths(&rules[0]).nth(1).unwrap(), "/.well-known/acme-challenge/one"));
        assert_eq!(rules[4].host, None, "a rule cannot name an address");
        take_out(&mut edited, &BTreeSet::from(["one", "two", "three", "four"]));
        assert_eq!(edited, before);
    }

    #[test]
    fn to_put_in_twice_is_to_put_in_once() {
        let mut edited = ingress(json!([]));
        let challenge = PresentedChallenge { identifier: "A.test".to_owned(), token: "one".to_owned() };
        put_in(&mut edited, &challenge, ServiceType::ClusterIp, PathType::Exact, &Http01Shard::default());
        let once = edited.clone();
        put_in(&mut edited, &challenge, ServiceType::ClusterIp, PathType::Exact, &Http01Shard::default());
        assert_eq!(edited, once);
    }

    #[test]
    fn another_shard_takes_a_path_over_and_can_take_it_out() {
        let before = ingress(json!([]));
        let mut edited = before.clone();
        let challenge = PresentedChallenge { identifier: "a.test".to_owned(), token: "one".to_owned() };
        for shard in [None, Some("0a0a0a0a".to_owned()), Some("0b0b0b0b".to_owned())].map(Http01Shard::new) {
            put_in(&mut edited, &challenge, ServiceType::NodePort, PathType::Exact, &shard);
            let service = paths(&rules(&edited)[0]).next().unwrap().backend.service.clone().unwrap();
            assert_eq!(service.name, shard.service_name(Backend::Http01(ServiceType::NodePort)));
            assert_eq!((rules(&edited).len(), paths(&rules(&edited)[0]).count()), (1, 1));
        }
        take_out(&mut edited, &BTreeSet::from(["one"]));
        assert_eq!(edited.spec.unwrap().rules.unwrap_or_default(), []);
    }

    #[test]
    fn what_others_have_edited_meanwhile_stays() {
        let mut edited = ingress(json!([]));
        let challenge = PresentedChallenge { identifier: "a.test".to_owned(), token: "one".to_owned() };
        put_in(&mut edited, &challenge, ServiceType::ClusterIp, PathType::Exact, &Http01Shard::default());
        let others = ingress(json!([
            { "host": "a.test", "http": { "paths": [
                { "path": "/.well-known/acme-challenge/one", "pathType": "Exact",
                  "backend": { "service": { "name": "theirs", "port": { "number": 80 } } } },
                { "path": "/.well-known/acme-challenge/another", "pathType": "Exact",
                  "backend": { "service": { "name": "certwright-http01", "port": { "number": 80 } } } },
            ] } },
        ]));
        let mut added = rules(&others).to_vec();
        rules_mut(&mut edited).append(&mut added);
        take_out(&mut edited, &BTreeSet::from(["one"]));
        assert_eq!(edited, others, "neither a path of another service nor that of another token is ours");
    }

    fn ingress(rules: serde_json::Value) -> Ingress {
        serde_json::from_value(json!({ "metadata": { "name": "web" }, "spec": { "rules": rules } })).unwrap()
    }

    fn paths(rule: &IngressRule) -> impl Iterator<Item = &HTTPIngressPath> {
        rule.http.iter().flat_map(|http| &http.paths)
    }

    fn rules(ingress: &Ingress) -> &[IngressRule] {
        ingress.spec.as_ref().unwrap().rules.as_deref().unwrap_or_default()
    }

    fn rules_mut(ingress: &mut Ingress) -> &mut Vec<IngressRule> {
        ingress.spec.as_mut().unwrap().rules.as_mut().unwrap()
    }
}
