//! Tenants of one cluster: who may use which issuer, for which names, with which Secrets. All of it is checked before any order.

use std::time::Duration;

use crate::common::api::is_refused;
use crate::common::overheard::{NEW_ACCOUNT, NEW_ORDER};
use crate::common::{
    CLUSTER_ISSUERS, SOON, certificate, condition, count, external_account, hold, issued, issuer, mac_key,
    of_issuer, wait_nothing_left,
};
use anyhow::{Context, Result};
use certwright_cluster::{Operator, Pebble, Proxy, TestNamespace};
use serde_json::{Value, json};

#[tokio::test]
async fn an_issuer_serves_no_other_namespace() -> Result<()> {
    TestNamespace::with("tenant", async |ns| {
        let neighbour = TestNamespace::create("neighbour").await?;
        let outcome = async {
            let pebble = Pebble::builder().start(&ns.cluster).await?;
            let watched = format!("{},{}", ns.name, neighbour.name);
            let _operator = Operator::builder(ns).argument("--watch-namespaces", &watched).start().await?;
            neighbour.apply(&issuer(&pebble.directory_url, &pebble.ca_pem, "")).await?;
            neighbour.wait_condition("issuer/ca", "Ready", "True", SOON).await?;
            ns.apply(&certificate("web", &["web.example.com"], "")).await?;
            refused(ns, "web", "IssuerNotFound", "Issuer ca does not exist").await?;
            neighbour.apply(&certificate("web", &["web.example.com"], "")).await?;
            issued(&neighbour, "web").await.map(drop)
        }
        .await;
        neighbour.delete().await?;
        outcome
    })
    .await
}

#[tokio::test]
async fn the_secrets_of_an_issuer_come_from_its_own_namespace_only() -> Result<()> {
    TestNamespace::with("tenant", async |ns| {
        let neighbour = TestNamespace::create("neighbour").await?;
        let outcome = async {
            let key = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W";
            let pebble = Pebble::builder().eab("kid-1", key).start(&ns.cluster).await?;
            // It does not exist in the operator's namespace either, which has those of ClusterIssuers.
            let watched = format!("{},{}", ns.name, neighbour.name);
            let _operator = Operator::builder(ns)
                .argument("--watch-namespaces", &watched)
                .argument("--namespace", &neighbour.name)
                .start()
                .await?;
            neighbour.apply(&mac_key("eab", key)).await?;
            ns.apply(&issuer(&pebble.directory_url, &pebble.ca_pem, &external_account("kid-1"))).await?;
            let missing =
                |issuer: &Value| condition(issuer, "Ready").is_some_and(|ready| ready.1 == "SecretNotFound");
            ns.wait("issuer/ca", SOON, missing).await?;
            ns.apply(&mac_key("eab", key)).await?;
            ns.wait_condition("issuer/ca", "Ready", "True", SOON).await.map(drop)
        }
        .await;
        neighbour.delete().await?;
        outcome
    })
    .await
}

#[tokio::test]
async fn a_cluster_issuer_serves_the_namespaces_that_it_selects_and_orders_nothing_for_others() -> Result<()>
{
    with_cluster_issuer("namespaceSelector: { matchLabels: { tenant: NAME } }", async |ns, proxy| {
        ns.apply(&by_cluster_issuer(ns, "web", &["web.example.com"])).await?;
        let message = refused(ns, "web", "NotAllowed", "namespaceSelector does not select namespace").await?;
        assert!(
            message.starts_with(&format!("ClusterIssuer {} does not allow this Certificate", ns.name)),
            "{message}"
        );
        ns.wait_condition("certificate/web", "Stalled", "True", SOON).await?;
        assert_eq!(count(proxy, NEW_ORDER), 0, "nothing was asked of the CA");

        let labelled = |labels: Value| ns.patch_namespace(json!({ "metadata": { "labels": labels } }));
        labelled(json!({ "tenant": "somebody" })).await?;
        labelled(json!({ "tenant": ns.name })).await?;
        issued(ns, "web").await?;

        labelled(json!({ "tenant": null })).await?;
        let renew = json!({"metadata": {"annotations": {"certwright.dev/renew": "now"}}});
        ns.patch("certificate/web", renew).await?;
        let waits =
            |object: &Value| condition(object, "Issuing").is_some_and(|issuing| issuing.1 == "NotAllowed");
        let kept = ns.wait("certificate/web", SOON, waits).await?;
        assert_eq!(condition(&kept, "Ready").context("no Ready")?.0, "True", "what was issued stays");
        assert_eq!(count(proxy, NEW_ORDER), 1);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_tenant_does_not_get_the_name_of_another() -> Result<()> {
    with_cluster_issuer("dnsNames: ['*.a.example.com', shared.example.com]", async |ns, proxy| {
        let names = ["www.a.example.com", "www.b.example.com", "a.example.com"];
        ns.apply(&by_cluster_issuer(ns, "theirs", &names)).await?;
        refused(
            ns,
            "theirs",
            "NotAllowed",
            "dnsNames does not include a.example.com, www.b.example.com; request",
        )
        .await?;
        let address =
            by_cluster_issuer(ns, "address", &[]).replace("dnsNames: []", "ipAddresses: [192.0.2.10]");
        ns.apply(&address).await?;
        refused(ns, "address", "NotAllowed", "dnsNames does not include 192.0.2.10").await?;
        let by_common_name = by_cluster_issuer(ns, "common", &["www.a.example.com"])
            .replace("dnsNames:", "commonName: www.b.example.com\n  dnsNames:");
        ns.apply(&by_common_name).await?;
        refused(ns, "common", "NotAllowed", "www.b.example.com").await?;
        assert_eq!(count(proxy, NEW_ORDER), 0, "nothing was asked of the CA");

        ns.apply(&by_cluster_issuer(
            ns,
            "ours",
            &["www.a.example.com", "deep.www.a.example.com", "shared.example.com"],
        ))
        .await?;
        issued(ns, "ours").await?;
        // Names that are no longer allowed in the middle of an order are no longer validated.
        let mut finalize = hold(proxy, "/finalize");
        ns.apply(&by_cluster_issuer(ns, "late", &["late.a.example.com"])).await?;
        finalize.reached().await?;
        ns.patch(
            &format!("clusterissuer/{}", ns.name),
            json!({"spec": {"allow": {"dnsNames": ["b.example.com"]}}}),
        )
        .await?;
        finalize.go_on(proxy);
        refused(ns, "late", "NotAllowed", "late.a.example.com").await?;
        wait_nothing_left(ns).await
    })
    .await
}

#[tokio::test]
async fn tenants_with_cluster_issuers_of_their_own_can_share_one_account() -> Result<()> {
    with_cluster_issuer("dnsNames: ['*.a.example.com']", async |ns, proxy| {
        let first = ns.get(&format!("clusterissuer/{}", ns.name)).await?.context("it is there")?;
        let second = format!("{}-b", ns.name);
        let mut other = json!({
            "apiVersion": "certwright.dev/v1alpha1", "kind": "ClusterIssuer", "metadata": { "name": second },
            "spec": first["spec"],
        });
        other["spec"]["allow"] = json!({ "dnsNames": ["*.b.example.com"] });
        other["spec"]["acme"]["privateKeySecretRef"] = json!({ "name": format!("{}-account-key", ns.name) });
        ns.apply(&other.to_string()).await?;
        let outcome = async {
            let ready = ns.wait_condition(&format!("clusterissuer/{second}"), "Ready", "True", SOON).await?;
            assert_eq!(ready["status"]["acme"]["uri"], first["status"]["acme"]["uri"], "one account");
            let by_second = |name: &str, names: &[&str]| {
                by_cluster_issuer(ns, name, names)
                    .replace(&format!("name: {}, kind", ns.name), &format!("name: {second}, kind"))
            };
            ns.apply(&by_second("b", &["www.b.example.com"])).await?;
            issued(ns, "b").await?;
            ns.apply(&by_second("a", &["www.a.example.com"])).await?;
            refused(ns, "a", "NotAllowed", "www.a.example.com").await?;
            assert_eq!(count(proxy, NEW_ACCOUNT), 1, "one registration");
            Ok(())
        }
        .await;
        ns.delete_object(&format!("clusterissuer/{second}")).await?;
        outcome
    })
    .await
}

#[tokio::test]
async fn what_is_no_pattern_is_refused_when_it_is_applied() -> Result<()> {
    TestNamespace::with("tenant", async |ns| {
        for (pattern, sentence) in [
            ("www.*.example.com", "a wildcard must be the whole leftmost label"),
            ("not a name", "is not a DNS name"),
        ] {
            let yaml = format!(
                "{{ apiVersion: certwright.dev/v1alpha1, kind: ClusterIssuer, metadata: {{ name: {} }}, spec: {{ allow: \
                 {{ dnsNames: ['{pattern}'] }}, acme: {{ server: 'https://ca.test/dir' }} }} }}",
                ns.name
            );
            is_refused(ns, &yaml, sentence).await?;
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn the_roles_view_edit_and_admin_extend_to_our_kinds() -> Result<()> {
    TestNamespace::with("tenant", async |ns| {
        for role in ["view", "edit", "admin"] {
            let binding = json!({
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": { "name": role },
                "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role },
                "subjects": [{ "apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": role }],
            });
            ns.apply(&binding.to_string()).await?;
        }
        let cases = [
            ("view", "get", "certificates", true),
            ("view", "watch", "issuers", true),
            ("view", "create", "certificates", false),
            ("view", "patch", "issuers", false),
            ("edit", "get", "certificates", true),
            ("edit", "create", "certificates", true),
            ("edit", "patch", "issuers", true),
            ("edit", "patch", "certificates/status", false),
            ("admin", "deletecollection", "certificates", true),
            ("admin", "create", "clusterissuers", false),
            ("admin", "get", "clusterissuers", false),
        ];
        for (user, verb, resource, allowed) in cases {
            let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
            let review = json!({
                "apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview",
                "spec": { "user": user, "resourceAttributes": {
                    "namespace": ns.name, "verb": verb, "group": "certwright.dev", "resource": resource,
                    "subresource": subresource,
                } },
            });
            let review: k8s_openapi::api::authorization::v1::SubjectAccessReview = serde_json::from_value(review)?;
            let reviews = kube::Api::all(ns.client.clone());
            let answer = reviews.create(&Default::default(), &review).await?;
            let answer = answer.status.context("no answer")?.allowed;
            assert_eq!(answer, allowed, "{user} {verb} {resource}/{subresource}");
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_fallback_issuer_that_does_not_allow_the_names_is_passed_over_until_it_does() -> Result<()> {
    with_cluster_issuer("dnsNames: [\"*.other.example.com\"]", async |ns, proxy| {
        // Nobody is there.
        ns.apply(&issuer("https://192.0.2.10:1/dir", &ns.cluster.ca()?.pem, "")).await?;
        let fallback = format!(
            "  fallbackIssuerRefs: [{{ kind: ClusterIssuer, name: {} }}]\n  fallbackPolicy: {{ after: 1s }}\n",
            ns.name
        );
        ns.apply(&certificate("web", &["web.example.com"], &fallback)).await?;
        let words = format!(
            ". ClusterIssuer {0} cannot be used instead: ClusterIssuer {0} does not allow this Certificate: ",
            ns.name
        );
        refused(ns, "web", "IssuerNotReady", &words).await?;
        // Only time shows that nothing is ordered.
        let _ = tokio::time::timeout(Duration::from_secs(3), std::future::pending::<()>()).await;
        assert_eq!(count(proxy, NEW_ORDER), 0);

        let allow = json!({ "spec": { "allow": { "dnsNames": ["*.example.com"] } } });
        ns.patch(&format!("clusterissuer/{}", ns.name), allow).await?;
        let web = issued(ns, "web").await?;
        assert_eq!(web["status"]["issuedBy"]["issuerRef"]["name"], ns.name);
        Ok(())
    })
    .await
}

/// Runs `test` with an operator and a ready ClusterIssuer that has the name of the namespace and this `allow`, in which `NAME` is
/// replaced by the name of the namespace.
async fn with_cluster_issuer(
    allow: &str,
    test: impl AsyncFnOnce(&TestNamespace, &Proxy) -> Result<()>,
) -> Result<()> {
    let _alone = CLUSTER_ISSUERS.lock().await;
    TestNamespace::with("tenant", async |ns| {
        let pebble = Pebble::builder().start(&ns.cluster).await?;
        let proxy = Proxy::start(&ns.cluster, &pebble.address).await?;
        let _operator = Operator::builder(ns).argument("--cluster-issuers", "true").start().await?;
        let yaml = of_issuer(&ns.name, &issuer(&format!("{}/dir", proxy.url), &pebble.ca_pem, ""));
        let yaml = yaml.replace("kind: Issuer", "kind: ClusterIssuer");
        let allow = allow.replace("NAME", &ns.name);
        ns.apply(&yaml.replace("spec:\n", &format!("spec:\n  allow: {{ {allow} }}\n"))).await?;
        let target = format!("clusterissuer/{}", ns.name);
        let outcome = async {
            ns.wait_condition(&target, "Ready", "True", SOON).await?;
            test(ns, &proxy).await
        }
        .await;
        ns.delete_object(&target).await?;
        outcome
    })
    .await
}

fn by_cluster_issuer(ns: &TestNamespace, name: &str, names: &[&str]) -> String {
    let reference = format!("issuerRef: {{ name: {}, kind: ClusterIssuer }}", ns.name);
    certificate(name, names, "").replace("issuerRef: { name: ca }", &reference)
}

/// The message of a Certificate that is not ready for this reason.
async fn refused(ns: &TestNamespace, name: &str, reason: &str, words: &str) -> Result<String> {
    let is = |object: &Value| condition(object, "Ready").is_some_and(|ready| ready.1 == reason);
    let object = ns.wait(&format!("certificate/{name}"), SOON, is).await?;
    let (status, _, message) = condition(&object, "Ready").context("no Ready")?;
    assert_eq!(status, "False");
    assert!(message.contains(words), "{message:?} lacks {words:?}");
    Ok(message)
}
