//! A release of the Helm chart on a node with real pods: from the first installation to the last trace.

use crate::common;

use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::common::helm::{for_this_api_server, output, run};
use crate::common::{certificate, issued, issuer, of_issuer, tls, wait_nothing_left};
use anyhow::{Context, Result, ensure};
use certwright_cluster::{Cluster, Node, Pebble, Proxy, TestNamespace};
use futures::future::try_join_all;
use serde_json::{Value, json};
use tokio::task::spawn_blocking;

const VERSION: &str = env!("CARGO_PKG_VERSION");
const RELEASE: &str = "certwright";
/// How often the leader changes: at the upgrade, and at the rollback.
const CHANGES: usize = 2;
/// How many Certificates are wanted at any moment while a release changes. Pebble cannot handle many concurrent orders.
const LANES: usize = 3;

#[tokio::test]
async fn a_release_is_installed_upgraded_rolled_back_and_uninstalled_with_no_certificate_lost() -> Result<()>
{
    Node::with(async |node: &Node| {
        let image = format!("ghcr.io/certwright/certwright:{VERSION}");
        node.import_operator().await?;
        node.tag(&image, "ghcr.io/certwright/certwright:next").await?;
        let web = TestNamespace::named(Cluster::from_env()?, "web").await?;
        let pebble = Pebble::builder().start(&node.cluster).await?;
        let proxy = Proxy::start(&node.cluster, &pebble.address).await?;
        let release = Release::new(node)?;
        web.apply(&restricted_namespace(&pebble)).await?;

        release.helm("install", &[])?;
        ensure!(release.images()? == [VERSION, VERSION], "two pods: {:?}", release.images()?);
        nothing_but_the_operator_is_in_the_image(&release)?;
        web.apply(&issuer(&format!("{}/dir", proxy.url), &pebble.ca_pem, "")).await?;
        a_name_is_found_and_the_root_of_the_bundle_trusted(&web, &pebble).await?;

        let issuing = Issuing { namespace: &web, wanted: AtomicUsize::new(0) };
        issuing.one().await?;
        issuing
            .while_changing(release.later("upgrade", &["--set", "image.tag=next,config.logLevel=debug"]))
            .await?;
        ensure!(release.images()? == ["next", "next"], "the upgrade's pods: {:?}", release.images()?);
        issuing.while_changing(release.later_without_chart(&["rollback", RELEASE, "1", "--wait"])).await?;
        ensure!(release.images()? == [VERSION, VERSION], "the first pods: {:?}", release.images()?);
        issuing.one().await?;
        let count = issuing.wanted.into_inner();
        ensure!(count > 2 * LANES, "certificates were issued during upgrade and rollback: {count}");
        for number in 0..count {
            let certificate = issued(&web, &format!("c{number}")).await?;
            assert_eq!(certificate["status"]["revision"], 1, "c{number}");
            tls(&web, &format!("c{number}-tls")).await?;
        }
        // A leader that stops aborts what takes too long, as a crash would. An order whose answer it then misses is placed again.
        let placed = orders(&proxy);
        ensure!((count..=count + CHANGES).contains(&placed), "{placed} orders for {count} certificates");
        wait_nothing_left(&web).await?;

        release.uninstall()?;
        assert_eq!(release.left()?, LEFT, "what an uninstalled release leaves in its namespace");
        assert_eq!(release.left_in_cluster()?, CRDS, "what it leaves in the cluster");
        issued(&web, "c0").await?;

        release.helm("install", &["--set", "crds.keep=false"])?;
        web.apply(&certificate("after", &["after.example.com"], "")).await?;
        issued(&web, "after").await?;
        assert_eq!(orders(&proxy), placed + 1, "what was there needs no new order");

        release.uninstall()?;
        for crd in CRDS {
            web.wait_gone(crd, common::SOON).await?;
        }
        assert!(web.get("secret/c0-tls").await?.is_some(), "TLS Secrets stay");
        Ok(())
    })
    .await
}

/// The objects that the operator and Kubernetes have created in the release's namespace, and those of the test.
const LEFT: [&str; 5] = [
    "configmap/kube-root-ca.crt",
    "configmap/roots",
    "lease.coordination.k8s.io/certwright",
    "secret/certwright-ledger-key",
    "serviceaccount/default",
];
const CRDS: [&str; 3] = [
    "customresourcedefinition.apiextensions.k8s.io/certificates.certwright.dev",
    "customresourcedefinition.apiextensions.k8s.io/clusterissuers.certwright.dev",
    "customresourcedefinition.apiextensions.k8s.io/issuers.certwright.dev",
];

/// Somebody who breaks into the operator finds no shell, and a read-only root file system.
fn nothing_but_the_operator_is_in_the_image(release: &Release) -> Result<()> {
    let pod = ["exec", "--namespace", RELEASE, "deployment/certwright", "--"];
    let said = run("kubectl", &[&pod[..], &["/certwright", "--version"]].concat())?;
    assert_eq!(said.trim(), format!("certwright {VERSION}"));
    let shell = output("kubectl", &[&pod[..], &["/bin/sh", "-c", "true"]].concat())?;
    let said = String::from_utf8_lossy(&shell.stderr);
    ensure!(!shell.status.success() && said.contains("no such file"), "a shell: {said}");
    for pod in release.pods()? {
        assert_eq!(pod["spec"]["securityContext"]["runAsUser"], 65532);
        assert_eq!(pod["spec"]["containers"][0]["securityContext"]["readOnlyRootFilesystem"], true);
    }
    Ok(())
}

/// An image from scratch contains nothing that would help with either.
async fn a_name_is_found_and_the_root_of_the_bundle_trusted(
    namespace: &TestNamespace,
    pebble: &Pebble,
) -> Result<()> {
    let (_, port) = pebble.address.rsplit_once(':').context("an address without a port")?;
    let own_roots = issuer(&format!("https://pebble:{port}/dir"), &pebble.ca_pem, "");
    let without: Vec<&str> = own_roots.lines().filter(|line| !line.contains("caBundle:")).collect();
    namespace.apply(&of_issuer("by-name", &without.join("\n"))).await?;
    namespace.wait_condition("issuer/by-name", "Ready", "True", common::SOON).await.map(drop)
}

/// The namespace of the release, with the roots of the tests' CA for all of its requests.
fn restricted_namespace(pebble: &Pebble) -> String {
    let namespace = json!({
        "apiVersion": "v1", "kind": "Namespace",
        "metadata": {
            "name": RELEASE,
            "labels": {"pod-security.kubernetes.io/enforce": "restricted"},
        },
    });
    let roots = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "roots", "namespace": RELEASE},
        "data": {"ca.crt": pebble.ca_pem},
    });
    format!("{namespace}\n---\n{roots}")
}

/// Orders that the CA has accepted.
fn orders(proxy: &Proxy) -> usize {
    let requests = proxy.requests();
    let taken = requests.iter().filter(|request| request.path == "/order-plz");
    taken.filter(|request| request.status.is_some_and(|status| status == 201)).count()
}

/// Certificates that are created one after the other.
struct Issuing<'a> {
    namespace: &'a TestNamespace,
    wanted: AtomicUsize,
}

impl Issuing<'_> {
    /// Creates one more, and waits until it is issued.
    async fn one(&self) -> Result<()> {
        let number = self.wanted.fetch_add(1, Ordering::Relaxed);
        let name = format!("c{number}");
        self.namespace.apply(&certificate(&name, &[&format!("{name}.example.com")], "")).await?;
        issued(self.namespace, &name).await.map(drop)
    }

    /// Creates one more whenever one is issued, until `change` has finished.
    async fn while_changing(&self, change: impl Future<Output = Result<()>>) -> Result<()> {
        let done = AtomicUsize::new(0);
        let changing = async {
            let result = change.await;
            done.store(1, Ordering::Relaxed);
            result
        };
        let lane = || async {
            while done.load(Ordering::Relaxed) == 0 {
                self.one().await?;
            }
            Ok(())
        };
        let (changed, issued) = tokio::join!(changing, try_join_all((0..LANES).map(|_| lane())));
        changed?;
        issued.map(drop)
    }
}

/// The release `certwright` in the namespace `certwright`.
struct Release {
    chart: String,
}

impl Release {
    fn new(node: &Node) -> Result<Self> {
        Ok(Self { chart: for_this_api_server(&node.cluster.description.state.join("chart"))? })
    }

    fn arguments(&self, verb: &str, more: &[&str]) -> Vec<String> {
        let fixed =
            [verb, RELEASE, &self.chart, "--wait", "--timeout=2m", "--set", "caBundle.configMap=roots"];
        fixed.iter().chain(more).map(ToString::to_string).collect()
    }

    fn helm(&self, verb: &str, more: &[&str]) -> Result<()> {
        helm(self.arguments(verb, more))
    }

    async fn later(&self, verb: &str, more: &[&str]) -> Result<()> {
        let arguments = self.arguments(verb, more);
        spawn_blocking(|| helm(arguments)).await?
    }

    async fn later_without_chart(&self, arguments: &[&str]) -> Result<()> {
        let arguments = arguments.iter().map(ToString::to_string).collect();
        spawn_blocking(|| helm(arguments)).await?
    }

    /// Returns when its pods are also gone.
    fn uninstall(&self) -> Result<()> {
        helm(["uninstall", RELEASE, "--wait", "--cascade=foreground"].map(str::to_owned).into())
    }

    /// Its pods that are not being deleted.
    fn pods(&self) -> Result<Vec<Value>> {
        let said = run("kubectl", &["get", "pods", "--namespace", RELEASE, "--output", "json"])?;
        let list: Value = serde_json::from_str(&said)?;
        let pods = list["items"].as_array().context("a list without items")?;
        let stay = pods.iter().filter(|pod| pod["metadata"]["deletionTimestamp"].is_null());
        Ok(stay.cloned().collect())
    }

    /// The tags of their images.
    fn images(&self) -> Result<Vec<String>> {
        let image = |pod: &Value| {
            let image = pod["spec"]["containers"][0]["image"].as_str().unwrap_or_default();
            image.trim_start_matches("ghcr.io/certwright/certwright:").to_owned()
        };
        Ok(self.pods()?.iter().map(image).collect())
    }

    /// The objects in its namespace, except Kubernetes' records of the past.
    fn left(&self) -> Result<Vec<String>> {
        let kinds = run("kubectl", &["api-resources", "--namespaced", "--verbs=list", "--output=name"])?;
        let kinds: Vec<&str> = kinds.lines().filter(|kind| !kind.starts_with("events")).collect();
        names(&["get", &kinds.join(","), "--namespace", RELEASE, "--output=name"])
    }

    /// Its cluster-wide objects.
    fn left_in_cluster(&self) -> Result<Vec<String>> {
        let kinds = "customresourcedefinitions,clusterroles,clusterrolebindings";
        let selector = "app.kubernetes.io/managed-by=Helm";
        names(&["get", kinds, "--selector", selector, "--output=name"])
    }
}

fn names(arguments: &[&str]) -> Result<Vec<String>> {
    let mut names: Vec<String> = run("kubectl", arguments)?.lines().map(str::to_owned).collect();
    names.sort();
    Ok(names)
}

fn helm(arguments: Vec<String>) -> Result<()> {
    let output = Command::new("helm").args(["--namespace", RELEASE]).args(&arguments).output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "helm {}: {said}", arguments.join(" "));
    Ok(())
}
