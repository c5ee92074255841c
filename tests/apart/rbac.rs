//! The operator's roles in `deploy/base/rbac.yaml`, and those for `--metrics-auth` in `deploy/metrics-auth`, grant exactly what
//! it uses.
//!
//! The API server's audit log lists the requests of these operators, and the role that allowed each of them. It names the token
//! of each request, which distinguishes these operators from those of other tests.
#![allow(clippy::disallowed_methods, reason = "these are the tests' own connections")]

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use crate::common::api::kubectl;
use crate::common::http01::ENTRANCES;
use crate::common::{SOON, base64, certificate, issued, issuer, revision, wait_nothing_left};
use anyhow::{Context, Result};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use certwright_cluster::control_plane::audit_log;
use certwright_cluster::proxy::{Action, Proxy};
use certwright_cluster::{Operator, Pebble, TestNamespace};
use certwright_pki::{
    KeyAlgorithm, PrivateKey, SignatureHash, SigningRequest, Subject, certificate_signing_request,
};
use k8s_openapi::api::authentication::v1::TokenRequest;
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::PostParams;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::{interval, timeout};

#[tokio::test]
async fn the_roles_grant_what_is_used_and_nothing_else() -> Result<()> {
    let _alone = crate::ALONE.lock().await;
    TestNamespace::with("rbac", async |ns| {
        let operators = live_a_full_life(ns).await?;
        let log = audit_log(&ns.cluster.description.state);
        let granted = granted()?;
        // The API server logs a request when it has been answered.
        let mut interval = interval(Duration::from_millis(200));
        let complete = timeout(Duration::from_secs(5), async {
            while !unused(&granted, &requests(&log, &operators)?).is_empty() {
                interval.tick().await;
            }
            anyhow::Ok(())
        });
        if let Ok(result) = complete.await {
            result?;
        }
        let requests = requests(&log, &operators)?;
        let unused = unused(&granted, &requests);
        assert!(
            unused.is_empty(),
            "granted and never used; take them out of deploy/base/rbac.yaml: {unused:#?}"
        );
        let denied: BTreeSet<&Request> = requests.iter().filter(|request| request.role.is_none()).collect();
        assert!(
            denied.is_empty(),
            "asked for and not granted; add them to deploy/base/rbac.yaml: {denied:#?}"
        );
        Ok(())
    })
    .await
}

/// Everything that the operator does: an issuer of each kind; one whose account is deactivated with it; Certificates that are
/// issued, renewed, repaired, rejected repeatedly, and deleted, by an Ingress of the operator, one of somebody else, an
/// HTTPRoute and a TLSRoute; one that is created for an Ingress; two replicas, of which one hands over. Returns the names of the two in the
/// audit log.
async fn live_a_full_life(ns: &TestNamespace) -> Result<[String; 2]> {
    let _gateway_api = ns.cluster.gateway_api().await?;
    let pebble = Pebble::builder().blocked_domain("blocked.example.net").start(&ns.cluster).await?;
    let replica = || {
        Operator::builder(ns)
            .argument("--leader-elect", "true")
            .argument("--cluster-issuers", "true")
            .argument("--responder-service", "certwright")
            .argument("--backoff-first", "1s")
            .argument("--backoff-longest", "1s")
            .argument("--metrics-auth", "true")
            .argument("--certificate-signing-requests", "true")
            .argument("--gateway-route-hostnames", "true")
    };
    let operator = replica().start().await?;
    // First comes the question whose token it is, then whether its owner has permission.
    let refused = read_metrics(ns, &operator).await?;
    anyhow::ensure!(refused == 403, "metrics were answered with {refused}");
    let own = issuer(&pebble.directory_url, &pebble.ca_pem, "");
    let cluster_wide = own
        .replace("kind: Issuer", "kind: ClusterIssuer")
        .replace("metadata: { name: ca }", &format!("metadata: {{ name: {} }}", ns.name));
    ns.apply(&own.replace("solvers: [", &format!("solvers: [{OTHER_SOLVERS}, "))).await?;
    let ending = own.replace("{ name: ca }", "{ name: ending }");
    ns.apply(&ending.replace("    solvers:", "    accountPolicy: { onDelete: Deactivate }\n    solvers:"))
        .await?;
    ns.apply(
        &cluster_wide.replace("    solvers:", "    accountPolicy: { onDelete: Deactivate }\n    solvers:"),
    )
    .await?;
    ns.apply(ENTRANCES).await?;
    ns.wait_condition("issuer/ca", "Ready", "True", SOON).await?;
    ns.wait_condition(&format!("clusterissuer/{}", ns.name), "Ready", "True", SOON).await?;

    ns.apply(&certificate("web", &["a.example.com"], "")).await?;
    let other = certificate("other", &["b.example.com"], "");
    let by_cluster_issuer = format!("issuerRef: {{ name: {}, kind: ClusterIssuer }}", ns.name);
    ns.apply(&other.replace("issuerRef: { name: ca }", &by_cluster_issuer)).await?;
    issued(ns, "web").await?;
    issued(ns, "other").await?;
    for name in ["edited", "routed", "shaken"] {
        ns.apply(&certificate(name, &[&format!("{name}.example.com")], "")).await?;
        issued(ns, name).await?;
    }
    let left_by_cert_manager =
        json!({"metadata": {"annotations": {"cert-manager.io/certificate-name": "gone"}}});
    ns.patch("secret/web-tls", left_by_cert_manager).await?;
    let renew = json!({"metadata": {"annotations": {"certwright.dev/renew": "now"}}});
    ns.patch("certificate/web", renew).await?;
    revision(ns, "web", 2).await?;
    ns.delete_object("secret/other-tls").await?;
    revision(ns, "other", 2).await?;

    ns.apply(ANNOTATED).await?;
    issued(ns, "shop-tls").await?;
    ns.patch("ingress/annotated", json!({"spec": {"tls": null}})).await?;
    ns.wait_gone("certificate/shop-tls", SOON).await?;

    let request = sign(ns).await?;

    ns.apply(&certificate("blocked", &["blocked.example.net"], "")).await?;
    let failed_twice = |object: &Value| object["status"]["failedIssuanceAttempts"].as_i64() >= Some(2);
    ns.wait("certificate/blocked", SOON, failed_twice).await?;
    ns.wait_condition("issuer/ending", "Ready", "True", SOON).await?;
    let cluster_issuer = format!("clusterissuer/{}", ns.name);
    for target in ["certificate/blocked", "certificate/web", "issuer/ending", &cluster_issuer, &request] {
        ns.delete_object(target).await?;
    }
    ns.wait_gone("issuer/ending", SOON).await?;
    ns.wait_gone(&cluster_issuer, SOON).await?;
    wait_nothing_left(ns).await?;

    // Its API server does not stream lists, which it did not by default before Kubernetes 1.34.
    let older = Proxy::of_api_server(&ns.cluster).await?;
    older.script(|request| match request.path.contains("sendInitialEvents=true") {
        true => refuses_to_stream(),
        false => Action::Pass,
    });
    let other = replica().api_server(&older.url).start().await?;
    operator.terminate().await?;
    ns.apply(&certificate("last", &["c.example.com"], "")).await?;
    issued(ns, "last").await?;
    other.terminate().await?;
    Ok([credential(&operator)?, credential(&other)?])
}

fn refuses_to_stream() -> Action {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Invalid", "code": 422,
        "message": "WatchOptions is invalid: sendInitialEvents: Forbidden: sendInitialEvents is forbidden for watch \
                    unless the WatchList feature gate is enabled",
    });
    let headers = vec![("content-type", "application/json".to_owned())];
    Action::Respond { status: 422, headers, body: status.to_string() }
}

/// Has a CertificateSigningRequest signed, and returns it.
async fn sign(ns: &TestNamespace) -> Result<String> {
    let key = PrivateKey::generate(KeyAlgorithm::ECDSA_P256)?;
    let subject = Subject { dns_names: vec!["signed.example.com".to_owned()], ..Subject::default() };
    let der = certificate_signing_request(&key, &subject, SignatureHash::MatchKey)?;
    let request = json!({
        "apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest",
        "metadata": { "name": ns.name },
        "spec": {
            "signerName": format!("issuers.certwright.dev/{}.ca", ns.name),
            "request": base64(&SigningRequest::from_der(&der)?.pem()),
            "usages": ["server auth"],
        },
    });
    ns.apply(&request.to_string()).await?;
    kubectl(ns, &["certificate", "approve", &ns.name])?;
    let target = format!("certificatesigningrequests.certificates.k8s.io/{}", ns.name);
    let object = ns.wait(&target, SOON, |object| object["status"]["certificate"].is_string()).await?;
    let uid = object["metadata"]["uid"].as_str().context("no uid")?;
    ns.wait_gone(&format!("certificate/csr-{uid}"), SOON).await?;
    Ok(target)
}

/// The name of an operator's token in the audit log: the claim `jti` in it.
fn credential(operator: &Operator) -> Result<String> {
    let claims = operator.token.split('.').nth(1).context("the token is no JWT")?;
    let claims: Value = serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(claims)?)?;
    Ok(format!("JTI={}", claims["jti"].as_str().context("the token has no jti")?))
}

/// The status of the answer to a user whom no role allows to read metrics.
async fn read_metrics(ns: &TestNamespace, operator: &Operator) -> Result<u16> {
    ns.apply("apiVersion: v1\nkind: ServiceAccount\nmetadata: { name: curious }\n").await?;
    let request: TokenRequest = serde_json::from_value(json!({ "spec": {} }))?;
    let token =
        ns.api::<ServiceAccount>().create_token_request("curious", &PostParams::default(), &request).await?;
    let token = token.status.context("a token request without a token")?.token;
    let http = reqwest::Client::builder().no_proxy().build()?;
    let response = http.get(format!("{}/metrics", operator.metrics_url)).bearer_auth(token).send().await?;
    Ok(response.status().as_u16())
}

/// A solver that edits an Ingress, one that creates HTTPRoutes, and one that creates TLSRoutes.
const OTHER_SOLVERS: &str = "{ selector: { dnsNames: [edited.example.com] }, http01: { ingress: { name: shop } } }, { \
                             selector: { dnsNames: [routed.example.com] }, http01: { gatewayHTTPRoute: { parentRefs: \
                             [{ name: public }] } } }, { selector: { dnsNames: [shaken.example.com] }, tlsAlpn01: { \
                             gatewayTLSRoute: { parentRefs: [{ name: public }] } } }";

/// An Ingress that requests a Certificate.
const ANNOTATED: &str = "
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: { name: annotated, annotations: { certwright.dev/issuer: ca } }
spec:
  ingressClassName: router
  defaultBackend: { service: { name: shop, port: { number: 80 } } }
  tls: [{ hosts: [annotated.example.com], secretName: shop-tls }]
";

/// A verb on a resource, as a role grants it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Grant {
    /// `ClusterRole` or `Role`.
    role: String,
    group: String,
    /// Including the subresource.
    resource: String,
    verb: String,
}

/// A request of an operator.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Request {
    /// Kind of the role that allowed it; empty if none did.
    role: Option<String>,
    group: String,
    resource: String,
    verb: String,
    /// Whether it created an object.
    created: bool,
}

/// What the roles grant.
fn granted() -> Result<Vec<Grant>> {
    let read = |file: &str| fs::read_to_string(format!("{}/deploy/{file}", env!("CARGO_MANIFEST_DIR")));
    let files = ["base/rbac.yaml", "metrics-auth/rbac.yaml", "certificate-signing-requests/rbac.yaml"];
    let text = files.into_iter().map(read).collect::<Result<Vec<_>, _>>()?.join("\n---\n");
    let mut granted = Vec::new();
    for document in serde_yaml::Deserializer::from_str(&text) {
        let role = Value::deserialize(document)?;
        let kind = role["kind"].as_str().unwrap_or_default().to_owned();
        for rule in role["rules"].as_array().into_iter().flatten() {
            for (group, resource, verb) in combinations(rule) {
                // The API server checks this one itself, and does not log that.
                if verb != "sign" {
                    granted.push(Grant { role: kind.clone(), group, resource, verb });
                }
            }
        }
    }
    anyhow::ensure!(granted.len() > 20, "the roles in deploy were not understood: {granted:#?}");
    Ok(granted)
}

fn combinations(rule: &Value) -> Vec<(String, String, String)> {
    let texts = |field: &str| -> Vec<String> {
        rule[field].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let mut all = Vec::new();
    for group in texts("apiGroups") {
        for resource in texts("resources") {
            all.extend(texts("verbs").into_iter().map(|verb| (group.clone(), resource.clone(), verb)));
        }
    }
    all
}

fn unused(granted: &[Grant], requests: &BTreeSet<Request>) -> Vec<Grant> {
    let uses = |grant: &Grant, request: &Request| {
        // An apply that creates an object also needs `create`, which the log does not say.
        let verb = request.verb == grant.verb
            || (request.verb == "patch" && request.created && grant.verb == "create");
        verb && request.role.as_ref() == Some(&grant.role)
            && request.group == grant.group
            && request.resource == grant.resource
    };
    granted.iter().filter(|grant| !requests.iter().any(|request| uses(grant, request))).cloned().collect()
}

/// The requests of these operators, according to the audit log.
fn requests(log: &PathBuf, operators: &[String]) -> Result<BTreeSet<Request>> {
    let text = fs::read_to_string(log).with_context(|| format!("no audit log in {}", log.display()))?;
    // The last line may be incomplete.
    let events = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let of_operators = events.filter(|event| {
        let credentials = event["user"]["extra"]["authentication.kubernetes.io/credential-id"].as_array();
        credentials.into_iter().flatten().any(|credential| operators.iter().any(|known| credential == known))
    });
    Ok(of_operators.filter_map(|event| request(&event)).collect())
}

fn request(event: &Value) -> Option<Request> {
    let object = &event["objectRef"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let resource = match object["subresource"].as_str() {
        Some(subresource) => format!("{}/{subresource}", object["resource"].as_str()?),
        None => object["resource"].as_str()?.to_owned(),
    };
    let allowed = event["annotations"]["authorization.k8s.io/decision"] == "allow";
    let reason = text(&event["annotations"]["authorization.k8s.io/reason"]);
    let role = if reason.contains("of ClusterRole \"") { "ClusterRole" } else { "Role" };
    Some(Request {
        role: allowed.then(|| role.to_owned()),
        group: text(&object["apiGroup"]),
        resource,
        verb: text(&event["verb"]),
        created: event["responseStatus"]["code"] == 201,
    })
}
