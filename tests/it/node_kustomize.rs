//! The quickstart and `deploy/base` on a node with real pods.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::common::helm::{objects, root, run};
use crate::common::markdown::Page;
use crate::common::program::certwright;
use crate::common::{certificate, count, hold, issuer, revision, tls, wait_nothing_left};
use anyhow::{Context, Result, ensure};
use certwright_cluster::{
    Cluster, INGRESS_CONTROLLER_ADDRESS, IngressController, Node, Pebble, Proxy, TestNamespace,
};
use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use kube::runtime::wait::await_condition;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

/// A replica that is deleted by force may stay the leader until its Lease expires.
const HANDOVER: Duration = Duration::from_secs(60);

#[tokio::test]
async fn the_quickstart_works_as_written_and_its_pods_outlive_one_and_go_without_a_trace() -> Result<()> {
    Node::with(async |node: &Node| {
        node.import_operator().await?;
        import_the_images(node).await?;
        let (remove, issue) = commands()?;
        for command in &issue {
            let said = sh(command)?;
            if command == "kubectl apply -k deploy/quickstart/pebble" {
                name_the_services(node).await?;
            }
            if command.contains("openssl") {
                ensure!(said.contains("Pebble Intermediate CA"), "{command}: {said}");
            }
        }
        the_demo_uses_what_is_there()?;

        let web = TestNamespace::named(Cluster::from_env()?, "web").await?;
        let pebble = Pebble::builder().start(&node.cluster).await?;
        let proxy = Proxy::start(&node.cluster, &pebble.address).await?;
        // It finds the pods behind the Service's cluster address.
        let _ingress_controller = IngressController::start(&node.cluster).await?;
        for name in ["a", "b"] {
            let host = format!("{name}.example.com");
            node.cluster.dns()?.set_a(&host, &[INGRESS_CONTROLLER_ADDRESS]).await?;
        }
        let issuer = issuer(&format!("{}/dir", proxy.url), &pebble.ca_pem, "");
        let by_controller = format!("ingressClassName: {}", IngressController::CLASS);
        web.apply(&issuer.replace("ingressClassName: router", &by_controller)).await?;
        web.apply(&certificate("a", &["a.example.com"], "")).await?;
        revision(&web, "a", 1).await?;

        let bundles = tempfile::tempdir()?;
        let bundle = bundles.path().join("before").display().to_string();
        let log = ["support-bundle", "--output", &bundle, "--acme-log", "issuer/ca", "--acme-log-wait", "0s"];
        certwright(&web, &log).await?.ended(0)?;
        a_leader_that_is_deleted_by_force_in_mid_challenge_loses_nothing(&web, &proxy).await?;
        wait_nothing_left(&web).await?;
        a_support_bundle_has_the_logs_and_metrics_of_the_pods(&web, &bundles.path().join("after")).await?;

        for command in &remove {
            sh(command)?;
        }
        let rest = ["get", "namespaces,clusterroles,clusterrolebindings,crds", "--output=name"];
        let rest = run("kubectl", &rest)?;
        assert!(!rest.contains("certwright") && !rest.contains("quickstart"), "it is all gone: {rest}");
        tls(&web, "b-tls").await.context("TLS Secrets stay").map(drop)
    })
    .await
}

/// What a new leader and the CA have said to each other is in the log of its pod.
async fn a_support_bundle_has_the_logs_and_metrics_of_the_pods(
    web: &TestNamespace,
    path: &Path,
) -> Result<()> {
    // The pod in place of the one that was deleted has no log until it runs.
    run(
        "kubectl",
        &["rollout", "status", "deployment/certwright", "--namespace=certwright", "--timeout=60s"],
    )?;
    let said =
        certwright(web, &["support-bundle", "--output", &path.display().to_string()]).await?.ended(0)?;
    ensure!(!said.errors.contains("could not be read"), "{}", fs::read_to_string(path.join("README.txt"))?);
    let mut files = BTreeMap::new();
    for file in fs::read_dir(path.join("operator"))? {
        let file = file?.path();
        let name = file.file_name().context("no name")?.to_string_lossy().into_owned();
        files.insert(name, fs::read_to_string(file)?);
    }
    let ending = |end: &str| -> Vec<&str> {
        let ending = files.iter().filter(|(name, _)| name.ends_with(end));
        ending.map(|(_, text)| text.as_str()).collect()
    };
    ensure!(ending(".certwright.log").iter().any(|log| log.contains("\"issued\"")), "{:?}", files.keys());
    ensure!(
        ending(".metrics").iter().any(|metrics| metrics.contains("certwright_leader 1")),
        "{:?}",
        files.keys()
    );
    ensure!(ending(".pod.yaml").len() == 2 && ending(".lease.yaml").len() == 1, "{:?}", files.keys());
    let versions = files.get("versions.txt").context("no versions")?;
    ensure!(versions.contains("Kubernetes: v") && versions.contains("\"version\":"), "{versions}");
    let acme = files.get("acme.log").context("no exchange")?;
    ensure!(acme.contains("\"operation\":\"finalize\""), "{acme}");
    Ok(())
}

/// The commands of the page, without those that choose how an image gets into a cluster: those that remove everything, and
/// those before.
fn commands() -> Result<(Vec<String>, Vec<String>)> {
    let blocks = Page::read("docs/quickstart.md")?.blocks();
    let shell = blocks.iter().filter(|block| block.mark == "sh");
    let commands = shell.flat_map(|block| block.code.lines().map(str::to_owned));
    let (remove, issue): (Vec<_>, Vec<_>) =
        commands.partition(|command| command.starts_with("kubectl delete"));
    ensure!(
        issue.len() >= 5 && remove.len() == 2,
        "the commands of docs/quickstart.md: {issue:?}, {remove:?}"
    );
    Ok((remove, issue))
}

/// Runs a command as a reader of the page does, in the repository.
fn sh(command: &str) -> Result<String> {
    run("sh", &["-c", &format!("cd {} && {command}", root().display())])
}

/// The images of the quickstart, made from the modules of which upstream makes them. Only upstream's have its digests.
async fn import_the_images(node: &Node) -> Result<()> {
    let modules = fs::read_to_string(root().join("tests/cluster/tools/kubernetes/go.mod"))?;
    let objects = objects(&run("kubectl", &["kustomize", &quickstart()])?)?;
    let images = objects
        .iter()
        .filter_map(|object| object.pointer("/spec/template/spec/containers/0/image")?.as_str());
    let mut programs = Vec::new();
    for image in images {
        let (name, digest) = image.split_once('@').context("an image has a digest")?;
        let (name, tag) = name.rsplit_once(':').context("an image has a tag")?;
        let module = format!("github.com/letsencrypt/pebble/v2 v{tag}");
        ensure!(
            modules.lines().any(|line| line.trim().trim_end_matches(" // indirect") == module),
            "{module} is built"
        );
        let program = name.strip_prefix("ghcr.io/letsencrypt/").context("an image is upstream's")?;
        node.import_program(program, &format!("{name}@{digest}")).await?;
        programs.push(program.to_owned());
    }
    assert_eq!(programs, ["pebble", "pebble-challtestsrv"]);
    Ok(())
}

/// The node's pods ask a server that knows no Services, where a cluster has a DNS of its own.
async fn name_the_services(node: &Node) -> Result<()> {
    for service in ["pebble", "pebble-dns"] {
        let get =
            ["get", "service", service, "--namespace=certwright", "--output=jsonpath={.spec.clusterIP}"];
        let address = run("kubectl", &get)?;
        node.cluster.dns()?.set_a(&format!("{service}.certwright.svc"), &[&address]).await?;
    }
    Ok(())
}

/// `make demo DEMO=cluster` asks before it does anything; it does what the page says, but leaves an installation alone.
fn the_demo_uses_what_is_there() -> Result<()> {
    let without_consent = sh("deploy/quickstart/try < /dev/null");
    let said = without_consent.err().context("nobody has agreed")?.to_string();
    ensure!(said.contains("Set YES=1"), "{said}");
    let said = sh("YES=1 deploy/quickstart/try")?;
    for part in [
        "The context test leads to",
        "stays as it is",
        "certificate.certwright.dev/www unchanged",
        "CN=Pebble Root CA",
    ] {
        ensure!(said.replace(" = ", "=").contains(part), "{part:?} is not said: {said}");
    }
    let script = fs::read_to_string(root().join("deploy/quickstart/try"))?;
    let changes =
        |command: &&String| ["kubectl apply", "kubectl wait"].iter().any(|verb| command.starts_with(verb));
    for command in commands()?.1.iter().filter(changes) {
        ensure!(script.contains(command.as_str()), "deploy/quickstart/try does not run {command}");
    }
    Ok(())
}

fn quickstart() -> String {
    root().join("deploy/quickstart").display().to_string()
}

/// The command line in the operator's own pod sees what the cluster sees: while a challenge for `b` is presented, something
/// answers.
async fn port_80_is_seen_from_a_pod() -> Result<()> {
    let exec = ["exec", "--namespace=certwright", "deployment/certwright", "--"];
    let check = ["/certwright", "check", "--namespace=web"];
    // Requests to the CA continue in the meantime.
    let seen = spawn_blocking(move || run("kubectl", &[exec.as_slice(), &check].concat())).await??;
    for line in
        ["Issuer web/ca is ready", "is the leader, and renewed its Lease", "b.example.com: port 80 answers"]
    {
        assert!(seen.contains(line), "{line:?} is not said: {seen}");
    }
    Ok(())
}

async fn a_leader_that_is_deleted_by_force_in_mid_challenge_loses_nothing(
    web: &TestNamespace,
    proxy: &Proxy,
) -> Result<()> {
    let orders = count(proxy, "/order-plz");
    let mut held = hold(proxy, "/chalZ/");
    web.apply(&certificate("b", &["b.example.com"], "")).await?;
    held.reached().await?;
    port_80_is_seen_from_a_pod().await?;
    let leases = Api::<Lease>::namespaced(web.client.clone(), "certwright");
    let leader = holder(&leases.get("certwright").await?).context("nobody leads")?;
    let delete = ["delete", "--namespace=certwright", "--grace-period=0", "--force"];
    run("kubectl", &[&delete[..], &[&format!("pod/{leader}")]].concat())?;
    // The kubelet runs the preStop hook even so, and the leader leads until then.
    let other_leads = |lease: Option<&Lease>| lease.and_then(holder).is_some_and(|holder| holder != leader);
    timeout(HANDOVER, await_condition(leases, "certwright", other_leads)).await??;
    held.go_on(proxy);
    web.wait_condition("certificate/b", "Ready", "True", HANDOVER).await?;
    assert_eq!(count(proxy, "/order-plz"), orders + 1, "with the same order");
    Ok(())
}

fn holder(lease: &Lease) -> Option<String> {
    lease.spec.as_ref()?.holder_identity.clone().filter(|holder| !holder.is_empty())
}
