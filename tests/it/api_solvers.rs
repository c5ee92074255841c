//! Which solvers the API rejects, with which messages, and which it accepts.

use std::fs;

use crate::common::api::{is_refused, kubectl};
use anyhow::{Context, Result};
use certwright_cluster::TestNamespace;
use serde_json::{Value, json};

#[tokio::test]
async fn a_solver_is_for_one_type_of_challenge_and_has_one_way_to_prove_it() -> Result<()> {
    let solver = "solvers: set exactly one of http01, dns01, dnsPersist01 and tlsAlpn01";
    let tls_route = "tlsAlpn01.gatewayTLSRoute: parentRefs must list at least one Gateway";
    let http01 = "http01: set either ingress or gatewayHTTPRoute";
    let dns01 = "dns01: set exactly one of webhook, httpRequest, rfc2136, acmeDNS, akamai, azureDNS, cloudDNS, cloudflare, \
                 digitalocean and route53";
    let digitalocean = json!({ "tokenSecretRef": { "name": "a", "key": "b" } });
    let rfc2136 = json!({ "nameserver": "192.0.2.53" });
    let http_request = json!({ "url": "https://a.test" });
    let routes = json!({ "parentRefs": [{ "name": "a" }] });
    // Written in UTC, this one is in the year 10000.
    let ends = "persistUntil: must be before the year 9999";
    refuses(&[
        (json!({ "dnsPersist01": { "persistUntil": "9999-12-31T23:59:59-23:59" } }), ends),
        (json!({}), solver),
        (json!({ "selector": { "dnsZones": ["a.test"] } }), solver),
        (json!({ "http01": { "ingress": {} }, "dns01": { "rfc2136": rfc2136 } }), solver),
        (json!({ "tlsAlpn01": {}, "dns01": { "rfc2136": rfc2136 } }), solver),
        (json!({ "tlsAlpn01": { "gatewayTLSRoute": {} } }), tls_route),
        (json!({ "tlsAlpn01": { "gatewayTLSRoute": { "parentRefs": [] } } }), tls_route),
        (json!({ "http01": {} }), http01),
        (json!({ "http01": { "ingress": {}, "gatewayHTTPRoute": routes } }), http01),
        (json!({ "dns01": {} }), dns01),
        (json!({ "dns01": { "cnameStrategy": "Follow" } }), dns01),
        (json!({ "dns01": { "rfc2136": rfc2136, "httpRequest": http_request } }), dns01),
        (json!({ "dns01": { "rfc2136": rfc2136, "digitalocean": digitalocean } }), dns01),
        (json!({ "dns01": { "route53": {}, "digitalocean": digitalocean } }), dns01),
    ])
    .await
}

#[tokio::test]
async fn an_ingress_that_cannot_be_made_or_edited_is_refused() -> Result<()> {
    let one = "http01.ingress: ingressClassName, class and name are mutually exclusive; set only one";
    let ingress = |fields: Value| json!({ "http01": { "ingress": fields } });
    refuses(&[
        (ingress(json!({ "ingressClassName": "a", "class": "b" })), one),
        (ingress(json!({ "ingressClassName": "a", "name": "b" })), one),
        (ingress(json!({ "class": "a", "name": "b" })), one),
        (ingress(json!({ "serviceType": "LoadBalancer" })), "supported values: \"ClusterIP\", \"NodePort\""),
        (
            json!({ "http01": { "ingress": {} }, "selfCheck": { "disabled": true }, "waitInsteadOfSelfCheck": "1m" }),
            "solvers.waitInsteadOfSelfCheck: means selfCheck with disabled: true and this timeout; remove one of the two",
        ),
        (json!({ "http01": { "ingress": {} }, "waitInsteadOfSelfCheck": "-1s" }), "waitInsteadOfSelfCheck"),
    ])
    .await
}

#[tokio::test]
async fn a_route_needs_gateways_and_to_each_of_them_one_way() -> Result<()> {
    let route = |fields: Value| json!({ "http01": { "gatewayHTTPRoute": fields } });
    let parents = |parents: Value| route(json!({ "parentRefs": parents }));
    let twice =
        "http01.gatewayHTTPRoute: parentRefs with the same Gateway must each have a different sectionName";
    refuses(&[
        (parents(json!([{ "namespace": "infra" }])), "parentRefs[0].name: Required value"),
        (parents(json!([{ "name": "" }])), "parentRefs[0].name"),
        (parents(json!([{ "name": "a", "port": 0 }])), "parentRefs[0].port"),
        (parents(json!([{ "name": "a" }, { "name": "a" }])), twice),
        (parents(json!([{ "name": "a" }, { "name": "a", "sectionName": "http" }])), twice),
        (parents(json!([{ "name": "a" }, { "name": "b" }, { "name": "a", "kind": "Gateway" }])), twice),
        (
            parents(json!([
                { "name": "a", "namespace": "b", "sectionName": "http" },
                { "name": "a", "namespace": "b", "sectionName": "http", "group": "gateway.networking.k8s.io" },
            ])),
            twice,
        ),
    ])
    .await
}

#[tokio::test]
async fn a_provider_that_cannot_be_used_is_refused() -> Result<()> {
    let dns01 = |provider: &str, fields: Value| json!({ "dns01": { provider: fields } });
    let rfc2136 = |fields: Value| {
        let mut all = json!({ "nameserver": "192.0.2.53" });
        fields.as_object().into_iter().flatten().for_each(|(key, value)| all[key] = value.clone());
        dns01("rfc2136", all)
    };
    let http_request = |url: &str| dns01("httpRequest", json!({ "url": url }));
    let acme_dns =
        |host: &str| dns01("acmeDNS", json!({ "host": host, "accountSecretRef": { "name": "a" } }));
    let together = "dns01.rfc2136: set both tsigKeyName and tsigSecretSecretRef, or neither";
    let algorithm = "dns01.rfc2136.tsigAlgorithm: must be HMACMD5, HMACSHA1, HMACSHA224, HMACSHA256, HMACSHA384 or HMACSHA512";
    let url = "dns01.httpRequest.url: must be an http or https URL";
    let host = "dns01.acmeDNS.host: must be an http or https URL";
    let both = json!({
        "url": "https://a.test", "authSecretRef": { "name": "a" }, "bearerTokenSecretRef": { "name": "b" },
    });
    let with = |more: (&str, Value)| json!({ "dns01": { "rfc2136": { "nameserver": "a" }, more.0: more.1 } });
    refuses(&[
        (dns01("webhook", json!({ "solverName": "a" })), "webhook.groupName: Required value"),
        (dns01("webhook", json!({ "groupName": "a.test" })), "webhook.solverName: Required value"),
        (dns01("webhook", json!({ "groupName": "", "solverName": "a" })), "webhook.groupName"),
        (dns01("rfc2136", json!({})), "rfc2136.nameserver: Required value"),
        (rfc2136(json!({ "nameserver": "" })), "rfc2136.nameserver"),
        (rfc2136(json!({ "tsigKeyName": "a" })), together),
        (rfc2136(json!({ "tsigSecretSecretRef": { "name": "a" } })), together),
        (rfc2136(json!({ "tsigAlgorithm": "HMACSHA3" })), algorithm),
        (rfc2136(json!({ "tsigAlgorithm": "" })), algorithm),
        (rfc2136(json!({ "protocol": "SCTP" })), "supported values: \"UDP\", \"TCP\""),
        (dns01("httpRequest", json!({})), "httpRequest.url: Required value"),
        (http_request("a.test/dns"), url),
        (http_request("ftp://a.test"), url),
        (http_request("https://a b.test"), url),
        (
            dns01("httpRequest", json!({ "url": "https://a.test", "mode": "raw" })),
            "supported values: \"\", \"RAW\"",
        ),
        (
            dns01("httpRequest", both),
            "dns01.httpRequest: authSecretRef and bearerTokenSecretRef are mutually exclusive; remove one",
        ),
        (dns01("acmeDNS", json!({ "host": "https://a.test" })), "acmeDNS.accountSecretRef: Required value"),
        (acme_dns("a.test"), host),
        (acme_dns("tcp://a.test"), host),
        (with(("cnameStrategy", json!("Always"))), "supported values: \"None\", \"Follow\""),
        (with(("cleanupTimeout", json!("1 minute"))), "dns01.cleanupTimeout"),
        (with(("propagation", json!({ "timeout": "soon" }))), "dns01.propagation.timeout"),
        (
            with(("propagation", json!({ "check": "None" }))),
            "supported values: \"Authoritative\", \"Recursive\"",
        ),
        (with(("propagation", json!({ "nameservers": [""] }))), "dns01.propagation.nameservers[0]"),
        (with(("nameservers", json!([""]))), "dns01.nameservers[0]"),
    ])
    .await
}

#[tokio::test]
async fn an_issuer_for_cert_manager_is_accepted_with_only_its_api_version_changed() -> Result<()> {
    accepts_for_cert_manager(FOR_CERT_MANAGER).await
}

/// This Issuer is accepted once its `apiVersion` is changed, also as a ClusterIssuer.
pub async fn accepts_for_cert_manager(issuer: &str) -> Result<()> {
    TestNamespace::with("solvers", async |ns| {
        let path = ns.cluster.description.state.join(format!("{}.yaml", ns.name));
        for kind in ["Issuer", "ClusterIssuer"] {
            let yaml = issuer
                .replace("apiVersion: cert-manager.io/v1", "apiVersion: certwright.dev/v1alpha1")
                .replace("kind: Issuer", &format!("kind: {kind}"));
            fs::write(&path, yaml)?;
            // kubectl rejects fields that the API does not know and would drop.
            let arguments = ["apply", "--dry-run=server", "--namespace", &ns.name, "--filename"];
            kubectl(ns, &[&arguments[..], &[&path.display().to_string()]].concat()).context(kind)?;
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn what_is_of_certwright_alone_is_accepted() -> Result<()> {
    TestNamespace::with("solvers", async |ns| {
        let parents = |parents: Value| json!({ "http01": { "gatewayHTTPRoute": { "parentRefs": parents } } });
        let webhook = |config: Value| {
            json!({ "dns01": { "webhook": { "groupName": "a.test", "solverName": "a", "config": config } } })
        };
        let gateways: Vec<Value> = (0..16).map(|n| json!({ "name": format!("{n}-{}", "a".repeat(240)) })).collect();
        let solvers = [
            json!({ "dns01": {
                "httpRequest": {
                    "url": "http://a.test:8080/dns", "mode": "RAW", "authSecretRef": { "name": "a" },
                    "caBundle": "YQ==", "timeout": "5s",
                },
                "cnameStrategy": "None", "cleanupTimeout": "2m",
                "propagation": {
                    "check": "Recursive", "timeout": "1h30m",
                    "nameservers": ["192.0.2.53", "[2001:db8::53]:53", "https://a.test/dns-query"],
                },
            } }),
            json!({ "dns01": { "httpRequest": {
                "url": "https://a.test", "mode": "", "bearerTokenSecretRef": { "name": "a", "key": "b" },
            } } }),
            json!({ "dns01": { "rfc2136": {
                "nameserver": "a.test", "tsigKeyName": "a", "tsigAlgorithm": "hmacsha384",
                "tsigSecretSecretRef": { "name": "a" }, "protocol": "UDP",
            } } }),
            json!({ "dns01": { "acmeDNS": { "host": "http://a.test", "accountSecretRef": { "name": "a" } } } }),
            webhook(json!("text")),
            webhook(json!([1, null, { "a": [] }])),
            parents(json!([
                { "name": "a", "sectionName": "http" },
                { "name": "a", "sectionName": "other" },
                { "name": "a", "namespace": "b" },
                { "name": "a", "namespace": "c" },
                { "name": "a", "kind": "ListenerSet" },
            ])),
            parents(json!(gateways)),
        ];
        for solver in &solvers {
            ns.apply(&issuer(ns, "Issuer", solver)).await.with_context(|| solver.to_string())?;
        }
        let many = vec![parents(json!(gateways)); 100];
        let mut all: Value = serde_json::from_str(&issuer(ns, "Issuer", &Value::Null))?;
        all["spec"]["acme"]["solvers"] = json!(many);
        ns.apply(&all.to_string()).await.context("as many as there may be")?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn what_is_said_of_solvers_tells_what_they_are() -> Result<()> {
    TestNamespace::with("solvers", async |ns| {
        for (field, words) in [
            ("http01.gatewayHTTPRoute", "Use temporary HTTPRoutes of the Gateway API."),
            (
                "http01.gatewayHTTPRoute.parentRefs.sectionName",
                "Name of a listener of the Gateway. By default, all listeners.",
            ),
            ("http01.ingress.name", "is edited in place during a validation"),
            ("dns01.webhook.groupName", "API group that the provider serves."),
            ("dns01.webhook.config", "Configuration that is passed to the provider unchanged."),
            ("dns01.httpRequest.mode", "the body has `fqdn` and `value`"),
            ("dns01.rfc2136.tsigSecretSecretRef", "as `tsig-keygen` prints it"),
            ("dns01.acmeDNS.accountSecretRef", "what the server's `/register` returned"),
            ("dns01.propagation.check", "each authoritative server of the zone"),
            ("dns01.cleanupTimeout", "the deletion of a Certificate waits"),
            (
                "dns01.cloudflare.apiTokenSecretRef",
                "Secret with an API token that may edit the DNS records of the zone.",
            ),
            (
                "dns01.route53.auth",
                "Not supported: the operator does not request tokens of other service accounts.",
            ),
        ] {
            for kind in ["issuer", "clusterissuer"] {
                let explained = kubectl(ns, &["explain", &format!("{kind}.spec.acme.solvers.{field}")])?;
                let explained = explained.split_whitespace().collect::<Vec<_>>().join(" ");
                assert!(explained.contains(words), "{field}: {explained}");
            }
        }
        Ok(())
    })
    .await
}

/// A solver of each kind, as in cert-manager's documentation.
const FOR_CERT_MANAGER: &str = "
apiVersion: cert-manager.io/v1
kind: Issuer
metadata:
  name: solvers
spec:
  acme:
    email: admin@example.com
    server: https://acme-v02.api.letsencrypt.org/directory
    privateKeySecretRef:
      name: example-issuer-account-key
    solvers:
    - dns01:
        cnameStrategy: Follow
        webhook:
          groupName: acme.example.com
          solverName: example-solver
          config:
            apiUrl: https://dns.example.com/api/v1
            ttl: 120
            apiKeySecretRef:
              name: dns-api-key
              key: api-key
      selector:
        dnsZones:
        - example.com
    - dns01:
        webhook:
          groupName: acme.example.com
          solverName: another-solver
    - dns01:
        rfc2136:
          nameserver: 192.0.2.1:53
          tsigKeyName: example-com-secret
          tsigAlgorithm: HMACSHA512
          tsigSecretSecretRef:
            name: tsig-secret
            key: tsig-secret-key
    - dns01:
        rfc2136:
          nameserver: '[2001:db8::1]:53'
          protocol: TCP
    - dns01:
        acmeDNS:
          host: https://auth.example.com
          accountSecretRef:
            name: acme-dns
            key: acmedns.json
    - http01:
        gatewayHTTPRoute:
          labels:
            gateway: http01-solver
          serviceType: ClusterIP
          parentRefs:
          - name: traefik
            namespace: traefik
            kind: Gateway
            group: gateway.networking.k8s.io
            sectionName: web
            port: 80
      selector:
        dnsNames:
        - www.example.com
    - http01:
        ingress:
          name: my-ingress
          serviceType: NodePort
      selector:
        matchLabels:
          use-http01-solver: 'true'
    - http01:
        ingress:
          ingressClassName: nginx
          ingressTemplate:
            metadata:
              labels:
                a: b
              annotations:
                nginx.ingress.kubernetes.io/whitelist-source-range: 0.0.0.0/0,::/0
    - http01:
        ingress:
          class: nginx
      selector: {}
    - http01:
        ingress: {}
";

/// Each of these solvers is rejected with its message, in an Issuer and in a ClusterIssuer.
pub async fn refuses(cases: &[(Value, &str)]) -> Result<()> {
    TestNamespace::with("solvers", async |ns| {
        for kind in ["Issuer", "ClusterIssuer"] {
            for (solver, sentence) in cases {
                is_refused(ns, &issuer(ns, kind, solver), sentence).await?;
            }
        }
        Ok(())
    })
    .await
}

fn issuer(ns: &TestNamespace, kind: &str, solver: &Value) -> String {
    json!({
        "apiVersion": "certwright.dev/v1alpha1", "kind": kind, "metadata": { "name": ns.name },
        "spec": { "acme": { "server": "https://a.test/dir", "solvers": [solver] } },
    })
    .to_string()
}
