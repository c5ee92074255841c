use serde_json::{Value, json};

use super::*;
use crate::http01::{CERTIFICATE_UID_LABEL, HTTP01_LABEL};

#[test]
fn a_route_carries_all_names_and_tokens_of_a_certificate_and_another_its_addresses() {
    let rendered = routes(&template(), &presented());
    let name = route_name(&template());
    assert_eq!(rendered.len(), 2);
    assert_yaml(
        &rendered[0],
        &name,
        "
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata:
  labels:
    app.kubernetes.io/managed-by: certwright
    certwright.dev/certificate-uid: 5c2f
    certwright.dev/http01: 'true'
    team: shop
  name: NAME
  namespace: shop
  ownerReferences:
  - apiVersion: certwright.dev/v1alpha1
    blockOwnerDeletion: false
    controller: true
    kind: Certificate
    name: web
    uid: 5c2f
spec:
  parentRefs:
  - {name: public, namespace: infra, sectionName: http}
  - {group: gateway.networking.k8s.io, kind: Gateway, name: local, port: 80}
  hostnames: [a.example.com, b.example.com]
  rules:
  - matches:
    - path: {type: Exact, value: /.well-known/acme-challenge/token-a1}
    - path: {type: Exact, value: /.well-known/acme-challenge/token-a2}
    - path: {type: Exact, value: /.well-known/acme-challenge/token-b}
    backendRefs:
    - {name: certwright-http01, port: 80}
",
    );
    let for_addresses = serde_json::to_value(&rendered[1]).unwrap();
    assert_eq!(for_addresses["metadata"]["name"], format!("{name}-ip"));
    assert_eq!(for_addresses["spec"]["hostnames"], Value::Null);
    assert_eq!(paths(&rendered[1]), ["ip-four", "ip-six"]);
}

#[test]
fn the_order_of_challenges_does_not_matter() {
    let mut reversed = presented();
    reversed.reverse();
    let bytes = |challenges: &[_]| serde_json::to_vec(&routes(&template(), challenges)).unwrap();
    assert_eq!(bytes(&reversed), bytes(&presented()));
}

#[test]
fn more_names_than_a_route_takes_get_further_routes() {
    let challenges = |count: usize| -> Vec<_> {
        (0..count).map(|n| challenge(&format!("n{n:03}.example.com"), &format!("token-{n:03}"))).collect()
    };
    let with = |count| routes(&template(), &challenges(count));
    assert_eq!(with(16).len(), 1);
    let rendered = with(100);
    let name = route_name(&template());
    assert_eq!(rendered.len(), 7);
    assert_eq!(rendered[0].metadata.name.as_deref(), Some(name.as_str()));
    assert_eq!(rendered[6].metadata.name, Some(format!("{name}-7")));
    let mut seen = Vec::new();
    for route in &rendered {
        assert!(route.spec.hostnames.len() <= 16);
        let tokens: Vec<_> =
            route.spec.hostnames.iter().map(|name| format!("token-{}", &name[1..4])).collect();
        assert_eq!(paths(route), tokens);
        seen.extend(route.spec.hostnames.clone());
    }
    assert_eq!(seen.len(), 100);
}

#[test]
fn more_tokens_than_a_rule_takes_get_further_routes() {
    for identifier in ["a.example.com", "192.0.2.1"] {
        let challenges: Vec<_> = (0..65).map(|n| challenge(identifier, &format!("token-{n:03}"))).collect();
        let rendered = routes(&template(), &challenges);
        assert_eq!(rendered.iter().map(|route| paths(route).len()).collect::<Vec<_>>(), [64, 1]);
        assert_eq!(rendered[0].spec.hostnames, rendered[1].spec.hostnames);
    }
}

#[test]
fn without_challenges_there_is_no_route() {
    assert_eq!(routes(&template(), &[]), []);
}

#[test]
fn labels_of_the_solver_do_not_replace_ours() {
    let labels = BTreeMap::from([
        (HTTP01_LABEL.to_owned(), "false".to_owned()),
        (CERTIFICATE_UID_LABEL.to_owned(), "0".to_owned()),
    ]);
    let rendered = routes(&RouteTemplate { labels, ..template() }, &presented()).remove(0);
    let labels = rendered.metadata.labels.unwrap();
    assert_eq!((labels[HTTP01_LABEL].as_str(), labels[CERTIFICATE_UID_LABEL].as_str()), ("true", "5c2f"));
}

#[test]
fn a_route_is_named_after_certificate_and_solver() {
    let base = template();
    let name = route_name(&base);
    assert!(name.len() <= 50 && name.starts_with("certwright-http01-"), "{name}");
    let parents = |change: fn(&mut ParentReference)| {
        let mut parent_refs = base.parent_refs.clone();
        change(&mut parent_refs[0]);
        RouteTemplate { parent_refs, ..base.clone() }
    };
    let others = [
        RouteTemplate { certificate_uid: "77aa".into(), ..base.clone() },
        RouteTemplate { certificate_name: "web2".into(), ..base.clone() },
        RouteTemplate { service_type: ServiceType::NodePort, ..base.clone() },
        RouteTemplate { shard: Http01Shard::new(Some("0a0a0a0a".into())), ..base.clone() },
        RouteTemplate { labels: BTreeMap::new(), ..base.clone() },
        RouteTemplate { parent_refs: base.parent_refs[..1].to_vec(), ..base.clone() },
        parents(|parent| parent.name = "other".into()),
        parents(|parent| parent.namespace = None),
        parents(|parent| parent.section_name = None),
        parents(|parent| parent.port = Some(80)),
        parents(|parent| parent.kind = Some("ListenerSet".into())),
    ];
    let mut names = others.iter().map(route_name).collect::<BTreeSet<_>>();
    names.insert(name);
    assert_eq!(names.len(), others.len() + 1);
}

#[test]
fn a_route_is_accepted_once_every_parent_says_so_of_this_generation() {
    let public = json!({"name": "public", "namespace": "infra", "sectionName": "http"});
    let local = json!({"name": "local", "port": 80, "namespace": "shop"});
    let yes = |parent: &Value| entry(parent, &[("Accepted", "True", 3), ("ResolvedRefs", "True", 3)]);
    assert_eq!(
        said(&[]),
        Acceptance::Pending(vec![
            "the Gateway infra/public, listener http".into(),
            "the Gateway shop/local, port 80".into()
        ])
    );
    let one = Acceptance::Pending(vec!["the Gateway shop/local, port 80".into()]);
    assert_eq!(said(&[yes(&public)]), one);
    assert_eq!(said(&[yes(&public), yes(&local)]), Acceptance::Accepted);
    for conditions in [
        // For an earlier generation.
        &[("Accepted", "True", 2), ("ResolvedRefs", "True", 2)][..],
        &[("Accepted", "False", 2)],
        &[("Accepted", "Unknown", 3), ("ResolvedRefs", "True", 3)],
        &[("Accepted", "True", 3), ("ResolvedRefs", "Unknown", 3)],
        &[("ResolvedRefs", "True", 3)],
        &[("Programmed", "True", 3)],
    ] {
        assert_eq!(said(&[yes(&public), entry(&local, conditions)]), one, "{conditions:?}");
    }
}

#[test]
fn a_condition_that_an_implementation_omits_counts_as_true() {
    let public = json!({"name": "public", "namespace": "infra", "sectionName": "http"});
    let local = json!({"name": "local", "port": 80, "kind": "Gateway", "group": "gateway.networking.k8s.io"});
    let mut without_generation = entry(&public, &[("Accepted", "True", 0)]);
    without_generation["conditions"][0].as_object_mut().unwrap().remove("observedGeneration");
    let accepted = entry(&local, &[("Accepted", "True", 3)]);
    assert_eq!(said(&[without_generation, accepted]), Acceptance::Accepted);
}

#[test]
fn a_refusal_is_told_with_reason_and_message_and_counts_for_more_than_silence() {
    let public = json!({"name": "public", "namespace": "infra", "sectionName": "http"});
    let mut refusal = entry(&public, &[("Accepted", "False", 3), ("ResolvedRefs", "False", 3)]);
    refusal["conditions"][0]["reason"] = "NotAllowedByListeners".into();
    refusal["conditions"][0]["message"] = "namespace shop\n isn't allowed".into();
    refusal["conditions"][1]["reason"] = "BackendNotFound".into();
    refusal["conditions"][1]["message"] = "".into();
    assert_eq!(
        said(&[refusal]),
        Acceptance::Refused(vec![
            "the Gateway infra/public, listener http cannot use the HTTPRoute's backend: BackendNotFound"
                .into(),
            "the Gateway infra/public, listener http does not accept the HTTPRoute: NotAllowedByListeners: \
             namespace shop isn't allowed"
                .into(),
        ])
    );
}

#[test]
fn a_refusal_by_a_controller_that_lost_the_gateway_does_not_count() {
    let public = json!({"name": "public", "namespace": "infra", "sectionName": "http"});
    let local = json!({"name": "local", "port": 80});
    let yes = &[("Accepted", "True", 3), ("ResolvedRefs", "True", 3)];
    let entries = [entry(&public, &[("Accepted", "False", 3)]), entry(&public, yes), entry(&local, yes)];
    assert_eq!(said(&entries), Acceptance::Accepted);
}

#[test]
fn one_route_of_many_that_is_refused_is_enough() {
    let public = json!({"name": "public", "namespace": "infra", "sectionName": "http"});
    let refused = with_status(&[entry(&public, &[("Accepted", "False", 3)])]);
    let both = acceptance([&with_status(&[]), &refused]);
    assert!(matches!(both, Acceptance::Refused(sentences) if sentences.len() == 1));
}

fn template() -> RouteTemplate {
    let parent_refs = json!([
        {"name": "public", "namespace": "infra", "sectionName": "http"},
        {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "local", "port": 80},
    ]);
    RouteTemplate {
        namespace: "shop".into(),
        certificate_name: "web".into(),
        certificate_uid: "5c2f".into(),
        parent_refs: serde_json::from_value(parent_refs).unwrap(),
        labels: BTreeMap::from([("team".into(), "shop".into())]),
        service_type: ServiceType::ClusterIp,
        shard: Http01Shard::default(),
    }
}

fn presented() -> Vec<PresentedChallenge> {
    vec![
        challenge("b.example.com", "token-b"),
        challenge("A.example.com", "token-a2"),
        challenge("a.example.com", "token-a1"),
        challenge("192.0.2.1", "ip-four"),
        challenge("2001:db8::1", "ip-six"),
    ]
}

fn challenge(identifier: &str, token: &str) -> PresentedChallenge {
    PresentedChallenge { identifier: identifier.into(), token: token.into() }
}

fn said(parents: &[Value]) -> Acceptance {
    acceptance([&with_status(parents)])
}

/// The first rendered route, with generation 3 and a status from its parents.
fn with_status(parents: &[Value]) -> HttpRoute {
    let mut route = routes(&template(), &presented()).remove(0);
    route.metadata.generation = Some(3);
    route.status = Some(serde_json::from_value(json!({"parents": parents})).unwrap());
    route
}

/// Conditions are type, status and observed generation.
fn entry(parent: &Value, conditions: &[(&str, &str, i64)]) -> Value {
    let condition = |(type_, status, generation): &(&str, &str, i64)| {
        json!({
            "type": type_, "status": status, "observedGeneration": generation, "reason": "Because",
            "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z",
        })
    };
    json!({
        "parentRef": parent, "controllerName": "example.com/gateway",
        "conditions": conditions.iter().map(condition).collect::<Vec<_>>(),
    })
}

/// The tokens a route has paths for.
fn paths(route: &HttpRoute) -> Vec<String> {
    let matches = route.spec.rules.iter().flat_map(|rule| &rule.matches);
    let paths = matches.filter_map(|one| one.path.clone());
    paths.map(|path| path.value.replace("/.well-known/acme-challenge/", "")).collect()
}

/// Compares the data; `NAME` stands for the rendered name, which contains a hash.
fn assert_yaml(rendered: &impl Serialize, name: &str, expected: &str) {
    let rendered = serde_json::to_value(rendered).unwrap();
    let expected: Value = serde_yaml::from_str(&expected.replace("NAME", name)).unwrap();
    assert_eq!(rendered, expected, "rendered:\n{}", serde_yaml::to_string(&rendered).unwrap());
}
