//! Certificates from annotations on Gateways, and a Gateway API that is installed later.

use std::time::Duration;

use crate::common::annotations::{caught_up, certificate_that, certificates, made, told};
use crate::common::faults::{event, steady};
use crate::common::http01::host;
use crate::common::{SOON, certificate, dns, issued, revision, tls};
use anyhow::Result;
use certwright_cluster::{Operator, TestNamespace};
use serde_json::{Value, json};

/// The operator looks for the Gateway API at growing intervals, but at least twice a minute.
const FOUND: Duration = Duration::from_secs(90);

#[tokio::test]
async fn an_annotated_gateway_gets_its_secret_filled() -> Result<()> {
    TestNamespace::with("annotated", async |ns| {
        let _gateway_api = ns.cluster.gateway_api().await?;
        let pebble = steady().start(&ns.cluster).await?;
        let _operator = Operator::builder(ns).start().await?;
        let parents = json!({ "parentRefs": [{ "name": "public", "sectionName": "http" }] });
        let solvers = json!([{ "http01": { "gatewayHTTPRoute": parents } }]);
        ns.apply(&dns::issuer("ca", &pebble.directory_url, &pebble.ca_pem, &solvers).to_string()).await?;
        let [a, b] = [host(ns, "a"), host(ns, "b")];
        let listeners = [http(), https("a", &a, "public-tls"), https("b", &b, "public-tls")];
        ns.apply(&gateway(&by_ca(), &listeners)).await?;
        let made = issued(ns, "public-tls").await?;
        assert_eq!(made["spec"]["dnsNames"], json!([a, b]));
        let owner = &made["metadata"]["ownerReferences"][0];
        assert_eq!((&owner["kind"], &owner["name"]), (&json!("Gateway"), &json!("public")));
        tls(ns, "public-tls").await?;
        assert_eq!(told(ns, "public").await?, ["CertificateCreated: Certificate public-tls was created"]);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn the_certificates_follow_the_listeners() -> Result<()> {
    TestNamespace::with("follows", async |ns| {
        let _gateway_api = ns.cluster.gateway_api().await?;
        let _operator = Operator::builder(ns).start().await?;
        let cluster_issuer = json!({ "certwright.dev/cluster-issuer": "ca" });
        let listeners =
            [http(), https("a", "*.a.test", "one"), https("b", "b.test", "one"), https("c", "c.test", "two")];
        ns.apply(&gateway(&cluster_issuer, &listeners)).await?;
        let one = certificate_that(ns, "one", |_| true).await?;
        assert_eq!(one["spec"]["dnsNames"], json!(["*.a.test", "b.test"]));
        assert_eq!(one["spec"]["issuerRef"]["kind"], "ClusterIssuer");
        made(ns, "two").await?;

        let mut through = https("c", "c.test", "two");
        through["protocol"] = json!("TLS");
        through["tls"]["mode"] = json!("Passthrough");
        ns.apply(&gateway(&by_ca(), &[http(), https("a", "*.a.test", "one"), through])).await?;
        let names = |object: &Value| object["spec"]["dnsNames"] == json!(["*.a.test"]);
        let one = certificate_that(ns, "one", names).await?;
        assert_eq!(one["spec"]["issuerRef"]["kind"], "Issuer");
        ns.wait_gone("certificate/two", SOON).await?;

        let ignoring = json!({ ISSUER: "ca", "certwright.dev/ignore-tls-listeners": "a" });
        let listeners = [https("a", "*.a.test", "one"), https("b", "b.test", "three")];
        ns.apply(&gateway(&ignoring, &listeners)).await?;
        made(ns, "three").await?;
        ns.wait_gone("certificate/one", SOON).await?;
        ns.patch("gateway/public", json!({ "metadata": { "annotations": { ISSUER: null } } })).await?;
        event(ns, "public", "CertificateKept").await?;
        made(ns, "three").await.map(drop)
    })
    .await
}

/// The issuer names no Gateway: it is that of the ListenerSet, which has no listener for HTTP itself.
#[tokio::test]
async fn a_listener_set_gets_certificates_for_its_own_listeners() -> Result<()> {
    TestNamespace::with("listener-set", async |ns| {
        let _gateway_api = ns.cluster.gateway_api().await?;
        let pebble = steady().start(&ns.cluster).await?;
        let _operator = Operator::builder(ns).start().await?;
        let solvers = json!([{ "http01": { "gatewayHTTPRoute": {} } }]);
        ns.apply(&dns::issuer("ca", &pebble.directory_url, &pebble.ca_pem, &solvers).to_string()).await?;
        ns.apply(&gateway(&json!({}), &[http()])).await?;
        let [a, b] = [host(ns, "a"), host(ns, "b")];
        ns.apply(&listener_set(&by_ca(), &[https("a", &a, "team-tls"), https("b", &b, "team-tls")])).await?;
        let set = issued(ns, "team-tls").await?;
        assert_eq!(set["spec"]["dnsNames"], json!([a, b]));
        let owner = &set["metadata"]["ownerReferences"][0];
        assert_eq!((&owner["kind"], &owner["name"]), (&json!("ListenerSet"), &json!("team")));
        tls(ns, "team-tls").await?;
        assert_eq!(told(ns, "team").await?, ["CertificateCreated: Certificate team-tls was created"]);

        ns.apply(&listener_set(&by_ca(), &[https("a", &a, "other-tls")])).await?;
        ns.wait_gone("certificate/team-tls", SOON).await?;
        made(ns, "other-tls").await?;

        // Without a Gateway, a Certificate of one's own says what is missing.
        ns.apply(&certificate("own", &[&host(ns, "own")], "")).await?;
        let waits =
            |object: &Value| object["status"]["conditions"].to_string().contains("http01-parentrefname");
        certificate_that(ns, "own", waits).await?;
        let parent = json!({ "acme.certwright.dev/http01-parentrefname": "public" });
        ns.patch("certificate/own", json!({ "metadata": { "annotations": parent } })).await?;
        issued(ns, "own").await?;

        ns.delete_object("listenerset/team").await?;
        // The garbage collector of Kubernetes looks for new kinds every 30 s.
        ns.wait_gone("certificate/other-tls", 3 * SOON).await
    })
    .await
}

#[tokio::test]
async fn hostnames_of_accepted_routes_are_names_of_the_certificate_if_the_gateway_asks_for_them() -> Result<()>
{
    TestNamespace::with("routes", async |ns| {
        let _gateway_api = ns.cluster.gateway_api().await?;
        let pebble = steady().start(&ns.cluster).await?;
        let _operator = Operator::builder(ns).argument("--gateway-route-hostnames", "true").start().await?;
        let solvers = json!([{ "http01": { "gatewayHTTPRoute": {} } }]);
        ns.apply(&dns::issuer("ca", &pebble.directory_url, &pebble.ca_pem, &solvers).to_string()).await?;
        let mut open = https("open", "", "shared-tls");
        open.as_object_mut().into_iter().for_each(|listener| drop(listener.remove("hostname")));
        let asks = json!({ ISSUER: "ca", "certwright.dev/route-hostnames": "true" });
        ns.apply(&gateway(&asks, &[http(), open])).await?;
        let told = event(ns, "public", "TLSSkipped").await?.1;
        assert_eq!(told, "spec.listeners[1] has no names: no HTTPRoute with a hostname for it is accepted");

        let [a, b] = [host(ns, "a"), host(ns, "b")];
        ns.apply(&route("a", &a, None)).await?;
        // The tests' router accepts HTTPRoutes only for its listener for HTTP.
        ns.apply(&route("refused", &host(ns, "refused"), Some("open"))).await?;
        let made = issued(ns, "shared-tls").await?;
        assert_eq!(made["spec"]["dnsNames"], json!([a]));
        ns.apply(&route("b", &b, None)).await?;
        revision(ns, "shared-tls", 2).await?;

        // What is gone costs no order.
        ns.delete_object("httproute/a").await?;
        caught_up(ns, "marker").await?;
        let after = issued(ns, "shared-tls").await?;
        assert_eq!((&after["spec"]["dnsNames"], &after["status"]["revision"]), (&json!([a, b]), &json!(2)));
        let renew = json!({ "metadata": { "annotations": { "certwright.dev/renew": "now" } } });
        ns.patch("certificate/shared-tls", renew).await?;
        certificate_that(ns, "shared-tls", |object| object["spec"]["dnsNames"] == json!([b])).await?;
        revision(ns, "shared-tls", 3).await.map(drop)
    })
    .await
}

#[tokio::test]
async fn a_secret_of_another_namespace_is_refused() -> Result<()> {
    TestNamespace::with("elsewhere", async |ns| {
        let _gateway_api = ns.cluster.gateway_api().await?;
        let _operator = Operator::builder(ns).start().await?;
        let mut elsewhere = https("b", "b.test", "two");
        elsewhere["tls"]["certificateRefs"][0]["namespace"] = json!("other");
        ns.apply(&gateway(&by_ca(), &[https("a", "a.test", "one"), elsewhere])).await?;
        made(ns, "one").await?;
        let (kind, note) = event(ns, "public", "TLSSkipped").await?;
        let words = format!(
            "spec.listeners[1].tls.certificateRefs[0].namespace is 'other', but a Certificate can fill only Secrets in \
             its own namespace: create a Certificate there, or name a Secret in namespace {}",
            ns.name
        );
        assert_eq!((kind.as_str(), note), ("Warning", words));
        caught_up(ns, "marker").await?;
        assert_eq!(certificates(ns).await?, ["marker", "one"]);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_gateway_api_that_comes_later_is_found_and_its_absence_disturbs_nothing() -> Result<()> {
    TestNamespace::with("later", async |ns| {
        let absent = ns.cluster.without_gateway_api().await?;
        let operator = Operator::builder(ns).start().await?;
        caught_up(ns, "marker").await?;
        let told = |level: &str| -> Vec<String> {
            let at =
                |line: &String| serde_json::from_str::<Value>(line).is_ok_and(|line| line["level"] == level);
            operator.logs().into_iter().filter(at).collect()
        };
        absent.install().await?;
        ns.apply(&gateway(&by_ca(), &[https("a", "a.test", "tls")])).await?;
        ns.wait("certificate/tls", FOUND, |_| true).await?;
        let words = "the cluster does not have this kind; checking again at growing intervals";
        let said: Vec<String> = told("INFO").into_iter().filter(|line| line.contains(words)).collect();
        assert_eq!(said.len(), 2, "it is said once of Gateways, and once of ListenerSets: {said:?}");
        assert_eq!([told("WARN"), told("ERROR")].concat(), [""; 0]);
        Ok(())
    })
    .await
}

const ISSUER: &str = "certwright.dev/issuer";

/// The annotation that requests a Certificate from the Issuer `ca`.
fn by_ca() -> Value {
    json!({ ISSUER: "ca" })
}

fn gateway(annotations: &Value, listeners: &[Value]) -> String {
    json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway",
        "metadata": { "name": "public", "annotations": annotations },
        "spec": { "gatewayClassName": "router", "listeners": listeners },
    })
    .to_string()
}

fn listener_set(annotations: &Value, listeners: &[Value]) -> String {
    json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "ListenerSet",
        "metadata": { "name": "team", "annotations": annotations },
        "spec": { "parentRef": { "name": "public" }, "listeners": listeners },
    })
    .to_string()
}

/// An HTTPRoute for one listener of the Gateway, or for all.
fn route(name: &str, host: &str, listener: Option<&str>) -> String {
    let mut parent = json!({ "name": "public" });
    listener.into_iter().for_each(|listener| parent["sectionName"] = json!(listener));
    json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": { "name": name },
        "spec": {
            "parentRefs": [parent], "hostnames": [host],
            "rules": [{ "backendRefs": [{ "name": "shop", "port": 80 }] }],
        },
    })
    .to_string()
}

fn http() -> Value {
    json!({ "name": "http", "port": 80, "protocol": "HTTP" })
}

fn https(name: &str, host: &str, secret: &str) -> Value {
    json!({
        "name": name, "hostname": host, "port": 443, "protocol": "HTTPS",
        "tls": { "mode": "Terminate", "certificateRefs": [{ "name": secret }] },
    })
}
