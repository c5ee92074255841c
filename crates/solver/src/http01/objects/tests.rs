use serde::Serialize;

use super::*;
use crate::http01::HTTP01_LABEL;

#[test]
fn an_ingress_carries_all_names_and_tokens_of_a_certificate() {
    let rendered = ingress(&presentation());
    assert_yaml(
        &rendered,
        "
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  annotations:
    nginx.ingress.kubernetes.io/ssl-redirect: 'false'
    nginx.ingress.kubernetes.io/whitelist-source-range: 0.0.0.0/0,::/0
  labels:
    app.kubernetes.io/managed-by: certwright
    certwright.dev/certificate-uid: 5c2f
    certwright.dev/http01: 'true'
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
  ingressClassName: nginx
  rules:
  - http:
      paths:
      - backend: {service: {name: certwright-http01, port: {number: 80}}}
        path: /.well-known/acme-challenge/ip-four
        pathType: Exact
      - backend: {service: {name: certwright-http01, port: {number: 80}}}
        path: /.well-known/acme-challenge/ip-six
        pathType: Exact
  - host: a.example.com
    http:
      paths:
      - backend: {service: {name: certwright-http01, port: {number: 80}}}
        path: /.well-known/acme-challenge/token-a1
        pathType: Exact
      - backend: {service: {name: certwright-http01, port: {number: 80}}}
        path: /.well-known/acme-challenge/token-a2
        pathType: Exact
  - host: b.example.com
    http:
      paths:
      - backend: {service: {name: certwright-http01, port: {number: 80}}}
        path: /.well-known/acme-challenge/token-b
        pathType: Exact
",
    );
}

#[test]
fn the_order_of_challenges_does_not_matter() {
    let mut reversed = presentation();
    reversed.challenges.reverse();
    assert_eq!(ingress(&reversed), ingress(&presentation()));
}

#[test]
fn class_is_an_annotation_and_ingress_class_name_a_field() {
    let by_class = Presentation { ingress_class_name: None, class: Some("haproxy".into()), ..presentation() };
    let rendered = ingress(&by_class);
    assert_eq!(rendered.metadata.annotations.unwrap()["kubernetes.io/ingress.class"], "haproxy");
    assert_eq!(rendered.spec.unwrap().ingress_class_name, None);
}

#[test]
fn each_shard_has_its_own_objects_and_says_whose_they_are() {
    let shard = Http01Shard::new(Some("0a0a0a0a".into()));
    assert_eq!(shard.selector(), "certwright.dev/http01=true,certwright.dev/http01-shard=0a0a0a0a");
    assert_eq!(Http01Shard::default().selector(), "certwright.dev/http01=true,!certwright.dev/http01-shard");
    let template = IngressTemplateMetadata {
        labels: map(&[("certwright.dev/http01-shard", "0b0b0b0b")]),
        ..IngressTemplateMetadata::default()
    };
    let untouched = ingress(&Presentation { template: template.clone(), ..presentation() });
    assert_eq!(untouched.metadata.labels.unwrap().get("certwright.dev/http01-shard"), None);
    let rendered = ingress(&Presentation { template, shard: shard.clone(), ..presentation() });
    assert_eq!(rendered.metadata.labels.unwrap()["certwright.dev/http01-shard"], "0a0a0a0a");
    let rules = rendered.spec.unwrap().rules.unwrap();
    let backend = rules[0].http.as_ref().unwrap().paths[0].backend.service.as_ref();
    assert_eq!(backend.unwrap().name, "certwright-http01-0a0a0a0a");
    let service = service("shop", Backend::Http01(ServiceType::NodePort), 8089, &shard).metadata;
    assert_eq!(service.name.as_deref(), Some("certwright-http01-nodeport-0a0a0a0a"));
    assert_eq!(service.labels.unwrap()["certwright.dev/http01-shard"], "0a0a0a0a");
    let addresses = BTreeSet::from(["192.0.2.1".parse().unwrap()]);
    let slice =
        endpoint_slices("shop", Backend::Http01(ServiceType::ClusterIp), None, 8089, &addresses, &shard)
            .remove(0);
    assert_eq!(slice.metadata.name.as_deref(), Some("certwright-http01-0a0a0a0a-ipv4"));
}

#[test]
fn the_templates_annotations_win_and_its_labels_do_not() {
    let template = IngressTemplateMetadata {
        labels: map(&[("team", "shop"), (HTTP01_LABEL, "false"), ("app.kubernetes.io/managed-by", "helm")]),
        annotations: map(&[("nginx.ingress.kubernetes.io/ssl-redirect", "true"), ("x", "y")]),
    };
    let rendered = ingress(&Presentation { template, ..presentation() });
    let labels = rendered.metadata.labels.unwrap();
    assert_eq!((labels["team"].as_str(), labels[HTTP01_LABEL].as_str()), ("shop", "true"));
    assert_eq!(labels["app.kubernetes.io/managed-by"], "certwright");
    let annotations = rendered.metadata.annotations.unwrap();
    assert_eq!(annotations["nginx.ingress.kubernetes.io/ssl-redirect"], "true");
    assert_eq!(annotations["x"], "y");
}

#[test]
fn a_source_range_in_the_template_replaces_ours_under_any_prefix() {
    let template = IngressTemplateMetadata {
        annotations: map(&[("haproxy.org/whitelist-source-range", "195.90.119.0/24")]),
        ..IngressTemplateMetadata::default()
    };
    let rendered = ingress(&Presentation { template, ..presentation() });
    assert!(!rendered.metadata.annotations.unwrap().contains_key(SOURCE_RANGE_ANNOTATION));
}

#[test]
fn an_ingress_is_named_after_certificate_and_solver_but_not_its_challenges() {
    let base = presentation();
    let name = ingress_name(&base);
    assert!(name.len() <= 63 && name.starts_with("certwright-http01-"), "{name}");
    assert_eq!(ingress_name(&Presentation { challenges: Vec::new(), ..base.clone() }), name);
    let others = [
        Presentation { certificate_uid: "77aa".into(), ..base.clone() },
        Presentation { certificate_name: "web2".into(), ..base.clone() },
        Presentation { ingress_class_name: None, ..base.clone() },
        Presentation { ingress_class_name: None, class: Some("nginx".into()), ..base.clone() },
        Presentation { service_type: ServiceType::NodePort, ..base.clone() },
        Presentation { shard: Http01Shard::new(Some("0a0a0a0a".into())), ..base.clone() },
        Presentation {
            template: IngressTemplateMetadata {
                labels: map(&[("a", "b")]),
                ..IngressTemplateMetadata::default()
            },
            ..base.clone()
        },
        Presentation {
            template: IngressTemplateMetadata {
                annotations: map(&[("a", "b")]),
                ..IngressTemplateMetadata::default()
            },
            ..base
        },
    ];
    let mut names = others.iter().map(ingress_name).collect::<BTreeSet<_>>();
    names.insert(name);
    assert_eq!(names.len(), others.len() + 1);
}

#[test]
fn the_service_has_no_selector_and_is_named_after_its_type() {
    assert_yaml(
        &service("shop", Backend::Http01(ServiceType::NodePort), 8089, &Http01Shard::default()),
        "
apiVersion: v1
kind: Service
metadata:
  labels:
    app.kubernetes.io/managed-by: certwright
    certwright.dev/http01: 'true'
  name: certwright-http01-nodeport
  namespace: shop
spec:
  ipFamilyPolicy: PreferDualStack
  ports:
  - {name: http, port: 80, protocol: TCP, targetPort: 8089}
  type: NodePort
",
    );
}

#[test]
fn endpoints_stand_in_one_slice_per_address_family() {
    let slices = slices(&["10.0.0.7", "10.0.0.3", "2001:db8::7"], Some("e91a"));
    assert_eq!(slices.len(), 2);
    assert_yaml(
        &slices[0],
        "
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  labels:
    app.kubernetes.io/managed-by: certwright
    certwright.dev/http01: 'true'
    endpointslice.kubernetes.io/managed-by: certwright.dev
    kubernetes.io/service-name: certwright-http01
  name: certwright-http01-ipv4
  namespace: shop
  ownerReferences:
  - apiVersion: v1
    blockOwnerDeletion: false
    controller: true
    kind: Service
    name: certwright-http01
    uid: e91a
addressType: IPv4
endpoints:
- addresses: [10.0.0.3]
  conditions: {ready: true, serving: true, terminating: false}
- addresses: [10.0.0.7]
  conditions: {ready: true, serving: true, terminating: false}
ports:
- {name: http, port: 8089, protocol: TCP}
",
    );
    assert_eq!(slices[1].address_type, "IPv6");
    assert_eq!(slices[1].endpoints[0].addresses, ["2001:db8::7"]);
    assert_eq!(slices[1].metadata.name.as_deref(), Some("certwright-http01-ipv6"));
}

#[test]
fn addresses_the_api_server_refuses_are_left_out() {
    let refused = ["127.0.0.1", "0.0.0.0", "169.254.1.1", "224.0.0.1", "::1", "fe80::1", "ff02::1"];
    assert_eq!(slices(&refused, None), []);
    let one = slices(&["::1", "10.0.0.3"], None);
    assert_eq!(one.len(), 1);
    assert_eq!(one[0].metadata.owner_references, None);
}

fn presentation() -> Presentation {
    let challenge = |identifier: &str, token: &str| PresentedChallenge {
        identifier: identifier.into(),
        token: token.into(),
    };
    Presentation {
        namespace: "shop".into(),
        certificate_name: "web".into(),
        certificate_uid: "5c2f".into(),
        challenges: vec![
            challenge("b.example.com", "token-b"),
            challenge("A.example.com", "token-a2"),
            challenge("a.example.com", "token-a1"),
            challenge("192.0.2.1", "ip-four"),
            challenge("2001:db8::1", "ip-six"),
        ],
        ingress_class_name: Some("nginx".into()),
        class: None,
        template: IngressTemplateMetadata::default(),
        service_type: ServiceType::ClusterIp,
        shard: Http01Shard::default(),
        path_type: PathType::Exact,
    }
}

fn slices(addresses: &[&str], service_uid: Option<&str>) -> Vec<EndpointSlice> {
    let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
    endpoint_slices(
        "shop",
        Backend::Http01(ServiceType::ClusterIp),
        service_uid,
        8089,
        &addresses,
        &Http01Shard::default(),
    )
}

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect()
}

/// Compares the data; `NAME` stands for the rendered name, which contains a hash.
fn assert_yaml(rendered: &impl Serialize, expected: &str) {
    let rendered = serde_json::to_value(rendered).unwrap();
    let name = rendered["metadata"]["name"].as_str().unwrap();
    let expected: serde_json::Value = serde_yaml::from_str(&expected.replace("NAME", name)).unwrap();
    assert_eq!(rendered, expected, "rendered:\n{}", serde_yaml::to_string(&rendered).unwrap());
}
