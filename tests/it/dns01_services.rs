//! cert-manager's own shapes for DNS services: what `certwright-dns` is sent for each, and what is said where it is not installed.

use crate::common;

use crate::common::dns::{Ground, issuer, waiting, with_lagging_server};
use crate::common::program::certwright;
use crate::common::{SOON, certificate, issued};
use anyhow::{Result, ensure};
use certwright_cluster::{ProviderRequest, Reply, ScriptedProvider, TestNamespace};
use serde_json::{Value, json};

const REASON: &str = "DNSWebhookUnavailable";

/// As cert-manager's documentation shows them, and what `certwright-dns` is sent for each.
fn shapes() -> [(&'static str, Value, Value); 6] {
    let secret = |name: &str, key: &str| json!({ "name": name, "key": key });
    let reference = |name: &str, key: &str| json!({ "secretRef": { "name": name, "key": key } });
    [
        (
            "akamai",
            json!({ "akamai": {
                "serviceConsumerDomain": "akab-tho6xie2aiteip8p.luna.akamaiapis.net",
                "clientTokenSecretRef": secret("akamai-secret", "clientToken"),
                "clientSecretSecretRef": secret("akamai-secret", "clientSecret"),
                "accessTokenSecretRef": secret("akamai-secret", "accessToken"),
            } }),
            json!({
                "provider": "akamai", "settings": { "host": "akab-tho6xie2aiteip8p.luna.akamaiapis.net" },
                "credentials": {
                    "clientToken": reference("akamai-secret", "clientToken"),
                    "clientSecret": reference("akamai-secret", "clientSecret"),
                    "accessToken": reference("akamai-secret", "accessToken"),
                },
            }),
        ),
        (
            "azure",
            json!({ "azureDNS": {
                "clientID": "app", "clientSecretSecretRef": secret("azuredns-config", "client-secret"),
                "subscriptionID": "sub", "tenantID": "tenant", "resourceGroupName": "group",
                "hostedZoneName": "a.test", "environment": "AzurePublicCloud",
            } }),
            json!({
                "provider": "azure", "zone": "a.test",
                "settings": {
                    "subscriptionID": "sub", "resourceGroupName": "group", "environment": "AzurePublicCloud",
                    "clientID": "app", "tenantID": "tenant",
                },
                "credentials": { "clientSecret": reference("azuredns-config", "client-secret") },
            }),
        ),
        (
            "google",
            json!({ "cloudDNS": {
                "project": "my-project", "serviceAccountSecretRef": secret("clouddns-dns01-solver-svc-acct", "key.json"),
            } }),
            json!({
                "provider": "google", "settings": { "project": "my-project" },
                "credentials": { "serviceAccount": reference("clouddns-dns01-solver-svc-acct", "key.json") },
            }),
        ),
        (
            "cloudflare",
            json!({ "cloudflare": { "apiTokenSecretRef": secret("cloudflare-api-token-secret", "api-token") } }),
            json!({
                "provider": "cloudflare",
                "credentials": { "apiToken": reference("cloudflare-api-token-secret", "api-token") },
            }),
        ),
        (
            "digitalocean",
            json!({ "digitalocean": { "tokenSecretRef": secret("digitalocean-dns", "access-token") } }),
            json!({
                "provider": "digitalocean",
                "credentials": { "token": reference("digitalocean-dns", "access-token") },
            }),
        ),
        (
            "aws",
            json!({ "route53": {
                "region": "us-east-1", "hostedZoneID": "DIKER8JEXAMPLE",
                "accessKeyIDSecretRef": secret("prod-route53-credentials-secret", "access-key-id"),
                "secretAccessKeySecretRef": secret("prod-route53-credentials-secret", "secret-access-key"),
            } }),
            json!({
                "provider": "route53", "settings": { "region": "us-east-1", "hostedZoneID": "DIKER8JEXAMPLE" },
                "credentials": {
                    "accessKeyID": reference("prod-route53-credentials-secret", "access-key-id"),
                    "secretAccessKey": reference("prod-route53-credentials-secret", "secret-access-key"),
                },
            }),
        ),
    ]
}

#[tokio::test]
async fn each_shape_of_cert_manager_issues_through_certwright_dns() -> Result<()> {
    TestNamespace::with("services", async |ns| {
        let ground = Ground::builder().zone("a.test").argument("--dns-webhook-group", &group(ns)).start(ns).await?;
        let provider = ScriptedProvider::webhook(ns, &group(ns), "dns").await?.publish_to(&ground.bind);
        provider.allow_operator(ns).await?;
        let solver = |name: &str, dns01: Value| {
            json!({ "selector": { "dnsZones": [format!("{name}.a.test")] }, "dns01": dns01 })
        };
        let solvers: Vec<Value> =
            shapes().into_iter().map(|(name, shape, _)| solver(name, shape)).collect();
        ground.solvers(ns, json!(solvers)).await?;
        for (name, ..) in shapes() {
            ns.apply(&certificate(name, &[&format!("*.{name}.a.test")], "")).await?;
        }
        for (name, _, expected) in shapes() {
            issued(ns, name).await?;
            let host = format!("{name}.a.test");
            let its = |request: &ProviderRequest| request.body["request"]["dnsName"] == json!(host);
            let requests: Vec<_> = provider.requests().into_iter().filter(its).collect();
            let cleanups: Vec<_> = requests.iter().map(|request| request.is_cleanup).collect();
            assert_eq!(cleanups, [false, true], "{name}: {requests:#?}");
            for request in requests {
                assert_eq!(request.path, format!("/apis/{}/v1alpha1/dns", group(ns)));
                let told = &request.body["request"];
                assert_eq!(told["config"], expected, "{name}");
                assert_eq!(told["resourceNamespace"], json!(ns.name), "{name}");
                assert_eq!(told["allowAmbientCredentials"], json!(false), "{name}");
            }
            assert_eq!(ground.values(&host).await?, [""; 0]);
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_value_is_removed_with_the_settings_that_it_was_added_with() -> Result<()> {
    TestNamespace::with("settings", async |ns| {
        let builder = Ground::builder().argument("--dns-webhook-group", &group(ns));
        let (ground, lagging) = with_lagging_server(ns, builder).await?;
        let provider = ScriptedProvider::webhook(ns, &group(ns), "dns").await?.publish_to(&ground.bind);
        provider.allow_operator(ns).await?;
        ground.solve_by(ns, digitalocean("old")).await?;
        ns.apply(&certificate("web", &["web.a.test"], "")).await?;
        waiting(ns, "web", "WaitingForPropagation", "ns2.a.test").await?;

        ground.solve_by(ns, digitalocean("new")).await?;
        let told = |cleanup: bool, name: &'static str| {
            move |request: &ProviderRequest| {
                let secret = &request.body["request"]["config"]["credentials"]["token"]["secretRef"]["name"];
                request.is_cleanup == cleanup && *secret == json!(name)
            }
        };
        provider.wait_request(SOON, told(true, "old")).await?;
        provider.wait_request(SOON, told(false, "new")).await?;
        ground.wait_values("web.a.test", 1).await?;
        lagging.catch_up().await?;
        issued(ns, "web").await?;
        provider.wait_request(SOON, told(true, "new")).await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn where_certwright_dns_is_not_installed_the_condition_says_so_until_it_is() -> Result<()> {
    TestNamespace::with("missing", async |ns| {
        let ground = Ground::builder().zone("a.test").argument("--dns-webhook-group", &group(ns)).start(ns).await?;
        ground.solve_by(ns, digitalocean("token")).await?;
        ns.apply(&certificate("web", &["web.a.test"], "")).await?;
        let missing = format!(
            "certwright-dns is not installed: the API server has no API group {}; install it with `helm install certwright-dns",
            group(ns)
        );
        let web = waiting(ns, "web", REASON, &missing).await?;
        ensure!(web["status"]["nextAttemptTime"].is_null(), "it is no failure: {web}");
        let status = certwright(ns, &["status", "certificate", "web"]).await?;
        status.says(&[REASON, "checks again at least every five minutes"])?;

        let provider = ScriptedProvider::webhook(ns, &group(ns), "dns").await?.publish_to(&ground.bind);
        let forbidden = format!(
            "the operator may not call certwright-dns: the API server says: dns.{} is forbidden: User \
             \"system:serviceaccount:certwright:certwright\" cannot create resource \"dns\"",
            group(ns)
        );
        waiting(ns, "web", REASON, &forbidden).await?;

        let page = "<html><h1>Not now</h1></html>";
        let down = Reply::Respond { status: 503, content_type: "text/html", body: page.into() };
        provider.script(move |_| down.clone());
        provider.allow_operator(ns).await?;
        waiting(ns, "web", REASON, "certwright-dns does not answer: the API server cannot reach it").await?;

        provider.script(|_| Reply::Fail("the token has expired".into()));
        let refused = format!("the webhook dns of {} says: the token has expired", group(ns));
        waiting(ns, "web", "WaitingForSolver", &refused).await?;

        provider.fulfill();
        issued(ns, "web").await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn flags_say_which_issuers_may_use_ambient_credentials() -> Result<()> {
    let _alone = common::CLUSTER_ISSUERS.lock().await;
    TestNamespace::with("ambient", async |ns| {
        let own = TestNamespace::create("operator").await?;
        let outcome = ambient(ns, &own).await;
        let _ = ns.delete_object(&format!("clusterissuer/{}", ns.name)).await;
        own.delete().await?;
        outcome
    })
    .await
}

/// Without flags, it is the other way around: see `dns01_webhooks`.
async fn ambient(ns: &TestNamespace, own: &TestNamespace) -> Result<()> {
    let ground = Ground::builder()
        .zone("a.test")
        .argument("--cluster-issuers", "true")
        .argument("--namespace", &own.name)
        .argument("--dns-webhook-group", &group(ns))
        .argument("--issuer-ambient-credentials", "true")
        .argument("--cluster-issuer-ambient-credentials", "false")
        .start(ns)
        .await?;
    let provider = ScriptedProvider::webhook(ns, &group(ns), "dns").await?.publish_to(&ground.bind);
    provider.allow_operator(ns).await?;
    let route53 = json!({ "route53": { "region": "eu-west-1" } });
    ground.solve_by(ns, route53.clone()).await?;
    let solvers = json!([{ "dns01": route53 }]);
    let mut cluster_wide = issuer(&ns.name, &ground.directory, &ground.pebble.ca_pem, &solvers);
    cluster_wide["kind"] = "ClusterIssuer".into();
    ns.apply(&cluster_wide.to_string()).await?;
    ns.wait_condition(&format!("clusterissuer/{}", ns.name), "Ready", "True", SOON).await?;
    let by_cluster_issuer = format!("issuerRef: {{ kind: ClusterIssuer, name: {} }}", ns.name);
    for (name, reference, namespace, ambient) in [
        ("own", "issuerRef: { name: ca }", &ns.name, true),
        ("wide", by_cluster_issuer.as_str(), &own.name, false),
    ] {
        provider.forget();
        let yaml = certificate(name, &[&format!("{name}.a.test")], "");
        ns.apply(&yaml.replace("issuerRef: { name: ca }", reference)).await?;
        issued(ns, name).await?;
        let requests = provider.requests();
        assert_eq!(requests.len(), 2, "{requests:#?}");
        for request in requests {
            let told = &request.body["request"];
            let expected = json!({ "provider": "route53", "settings": { "region": "eu-west-1" } });
            assert_eq!(told["config"], expected);
            assert_eq!(told["resourceNamespace"], json!(namespace), "{name}");
            assert_eq!(told["allowAmbientCredentials"], json!(ambient), "{name}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn check_says_whether_certwright_dns_is_served() -> Result<()> {
    TestNamespace::with("check", async |ns| {
        let deployment = json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": { "name": "certwright", "labels": { "app.kubernetes.io/name": "certwright" } },
            "spec": {
                "replicas": 0, "selector": { "matchLabels": { "app": "certwright" } },
                "template": {
                    "metadata": { "labels": { "app": "certwright" } },
                    "spec": { "containers": [{
                        "name": "certwright", "image": "certwright",
                        "args": ["run", format!("--dns-webhook-group={}", group(ns))],
                    }] },
                },
            },
        });
        ns.apply(&deployment.to_string()).await?;
        let check = ["check", "--operator-namespace", &ns.name, "--cluster-only"];
        let ca = |dns01: Value| issuer("ca", "https://a.test/dir", "a", &json!([{ "dns01": dns01 }])).to_string();
        ns.apply(&ca(json!({ "rfc2136": { "nameserver": "192.0.2.53" } }))).await?;
        let ran = certwright(ns, &check).await?.ended(3)?;
        ensure!(!ran.output.contains("needs certwright-dns"), "no issuer needs it: {}", ran.output);

        for solver in [
            digitalocean("token"),
            json!({ "webhook": { "groupName": group(ns), "solverName": "dns", "config": { "provider": "hetzner" } } }),
        ] {
            ns.apply(&ca(solver)).await?;
            let missing = format!(
                "fail  Issuer {}/ca needs certwright-dns: certwright-dns is not installed: the API server has no API group {}",
                ns.name,
                group(ns)
            );
            certwright(ns, &check).await?.ended(3)?.says(&[&missing])?;
        }
        let _provider = ScriptedProvider::webhook(ns, &group(ns), "dns").await?;
        let served = format!("ok    Issuer {}/ca needs certwright-dns, and the API server has {}", ns.name, group(ns));
        certwright(ns, &check).await?.says(&[&served])?;
        Ok(())
    })
    .await
}

fn digitalocean(secret: &str) -> Value {
    json!({ "digitalocean": { "tokenSecretRef": { "name": secret, "key": "access-token" } } })
}

/// An API group that no other test uses.
fn group(ns: &TestNamespace) -> String {
    format!("{}.example.test", ns.name)
}
