//! The components of a node: containerd, kubelet, kube-proxy, and a scheduler.
//!
//! Everything that they write is below `/run`, `/var/lib` and `/var/log`, which belong to the run and disappear with it. Their
//! logs are in the run's directory.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use certwright_image::{File, Image, Program, Variant};
use k8s_openapi::api::core::v1;
use kube::{
    Api,
    runtime::wait::{Condition, await_condition},
};
use rustix::process::geteuid;
use serde_json::json;
use tokio::process::Command;

use crate::{
    ADDRESS, Cluster, Resolver, cgroups, kube_proxy, packages, process::Process, resolver::ResolverBuilder,
    tools::Tools,
};

/// The node's name.
pub const NODE: &str = "node";

const START_LIMIT: Duration = Duration::from_secs(60);
const CNI_PLUGINS: &str = "/usr/lib/cni";
const CNI_CONFIG: &str = "/run/cni";
/// The program in the sandbox container of every pod.
const PAUSE: &str = "pause";
const PAUSE_IMAGE: &str = "docker.io/library/pause:1";

/// A machine that runs pods; it is stopped when this is dropped.
pub struct Machine {
    _containerd: Process,
    _kubelet: Process,
    _scheduler: Process,
    _kube_proxy: Process,
    _resolver: Resolver,
}

impl Machine {
    /// Starts everything, and returns when the node is ready for pods. Pods resolve names at a [`Resolver`].
    pub async fn start(cluster: &Cluster) -> Result<Self> {
        ensure!(
            geteuid().is_root(),
            "a node with pods needs root: its pods have users and control groups of their own"
        );
        packages::ensure_present(&packages::NODE.iter().collect::<Vec<_>>())?;
        let (tools, state) = (&cluster.description.tools, cluster.description.state.as_path());
        let logs = state.join("logs");

        let containerd = start_containerd(tools, state).await?;
        import(tools, &write_image(tools, state, PAUSE)?).await?;
        let resolver = ResolverBuilder::default().start(cluster).await?;
        let kubelet = Process::start("kubelet", kubelet(cluster, resolver.ip())?, &logs)?;
        let scheduler = Process::start("kube-scheduler", scheduler(cluster)?, &logs)?;
        let kubelet = wait_ready(cluster, kubelet).await?;
        let kube_proxy = kube_proxy::start(cluster, NODE).await?;
        Ok(Self {
            _containerd: containerd,
            _kubelet: kubelet,
            _scheduler: scheduler,
            _kube_proxy: kube_proxy,
            _resolver: resolver,
        })
    }
}

/// Loads the images in an OCI archive into the node.
pub async fn import(tools: &Tools, archive: &Path) -> Result<()> {
    ctr(tools, &["images", "import", "--local", &archive.display().to_string()]).await.map(drop)
}

/// Runs containerd's own client, in the namespace of the kubelet's images.
pub async fn ctr(tools: &Tools, arguments: &[&str]) -> Result<String> {
    let output = Command::new(tools.program("ctr")?)
        .args(["--namespace", "k8s.io"])
        .args(arguments)
        .output()
        .await
        .context("cannot run ctr")?;
    ensure!(
        output.status.success(),
        "ctr {} failed: {}",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

async fn start_containerd(tools: &Tools, state: &Path) -> Result<Process> {
    let runc = packages::find("runc").context("runc is missing. Run `make tools`")?;
    fs::create_dir_all(CNI_CONFIG)?;
    fs::write(Path::new(CNI_CONFIG).join("pods.conflist"), pod_network())?;
    let config = state.join("containerd.toml");
    fs::write(&config, containerd_config(&runc))?;
    let mut command = Command::new(tools.program("containerd")?);
    // It finds its shim there.
    command.arg("--config").arg(&config).env("PATH", tools.search_path()?);
    let mut containerd = Process::start("containerd", command, &state.join("logs"))?;
    containerd.wait_ready(START_LIMIT, || async { ctr(tools, &["images", "list"]).await.is_ok() }).await?;
    Ok(containerd)
}

/// If this machine is itself a container, a container cannot ask to be spared by the OOM killer.
fn containerd_config(runc: &Path) -> String {
    format!(
        r#"version = 3
disabled_plugins = ["io.containerd.internal.v1.opt", "io.containerd.nri.v1.nri"]

[plugins."io.containerd.cri.v1.images".pinned_images]
sandbox = "{PAUSE_IMAGE}"

[plugins."io.containerd.cri.v1.runtime"]
restrict_oom_score_adj = true

[plugins."io.containerd.cri.v1.runtime".cni]
bin_dirs = ["{CNI_PLUGINS}"]
conf_dir = "{CNI_CONFIG}"

[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
BinaryName = "{}"
SystemdCgroup = false
"#,
        runc.display()
    )
}

fn pod_network() -> String {
    json!({
        "cniVersion": "1.0.0",
        "name": "pods",
        "plugins": [{
            "type": "bridge",
            "bridge": "pods",
            "isGateway": true,
            "hairpinMode": true,
            "ipam": {
                "type": "host-local",
                "ranges": [[{"subnet": "10.244.0.0/24"}]],
                "routes": [{"dst": "0.0.0.0/0"}],
            },
        }],
    })
    .to_string()
}

/// Writes an archive with the image `<program>:1`, which has nothing but this program.
pub fn write_image(tools: &Tools, state: &Path, name: &str) -> Result<PathBuf> {
    let program = Program::new(fs::read(tools.program(name)?)?)?;
    let archive = state.join(format!("{name}.tar"));
    let image = Image {
        name: format!("docker.io/library/{name}"),
        tag: "1".into(),
        entrypoint: vec![format!("/{name}")],
        user: "65535:65535".into(),
        labels: Default::default(),
        created: 0,
        variants: vec![Variant {
            architecture: program.architecture,
            files: vec![File::program(name, program.content)],
        }],
    };
    image.write(&archive)?;
    Ok(archive)
}

fn kubelet(cluster: &Cluster, name_server: &str) -> Result<Command> {
    let description = &cluster.description;
    let resolv_conf = description.state.join("resolv.conf");
    fs::write(&resolv_conf, format!("nameserver {name_server}\n"))?;
    let config = json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
        "failCgroupV1": false,
        "failSwapOn": false,
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": cgroups::root(&description.state),
        "cgroupsPerQOS": true,
        "enforceNodeAllocatable": [],
        "resolvConf": resolv_conf,
        "podLogsDir": description.state.join("logs/pods"),
        "volumePluginDir": "/var/lib/kubelet/volume-plugins",
        "address": ADDRESS,
        "healthzPort": 0,
        // Everyone who can reach it is an administrator here.
        "authentication": {"anonymous": {"enabled": true}, "webhook": {"enabled": false}},
        "authorization": {"mode": "AlwaysAllow"},
        // The run shares its disk with the machine, which may be almost full.
        "evictionHard": {"memory.available": "0%", "nodefs.available": "0%", "imagefs.available": "0%"},
        "imageGCHighThresholdPercent": 100,
        "syncFrequency": "10s",
    });
    let file = description.state.join("kubelet.json");
    fs::write(&file, config.to_string())?;
    let mut command = Command::new(description.tools.program("kubelet")?);
    command
        .arg(format!("--config={}", file.display()))
        .arg(format!("--kubeconfig={}", description.kubeconfig.display()))
        .args([&format!("--hostname-override={NODE}"), &format!("--node-ip={ADDRESS}")]);
    Ok(command)
}

fn scheduler(cluster: &Cluster) -> Result<Command> {
    let mut command = Command::new(cluster.description.tools.program("kube-scheduler")?);
    command
        .arg(format!("--kubeconfig={}", cluster.description.kubeconfig.display()))
        .args(["--leader-elect=false", "--bind-address=127.0.0.1"]);
    Ok(command)
}

/// Waits until pods can be scheduled on the node.
async fn wait_ready(cluster: &Cluster, mut kubelet: Process) -> Result<Process> {
    let nodes: Api<v1::Node> = Api::all(cluster.client().await?);
    let ready = await_condition(nodes, NODE, takes_pods());
    tokio::select! {
        result = ready => drop(result?),
        result = kubelet.wait_ready(START_LIMIT, || async { false }) => result?,
    }
    Ok(kubelet)
}

fn takes_pods() -> impl Condition<v1::Node> {
    |node: Option<&v1::Node>| {
        let Some(node) = node else { return false };
        let conditions = node.status.iter().flat_map(|status| status.conditions.iter().flatten());
        let mut ready =
            conditions.filter(|condition| condition.type_ == "Ready" && condition.status == "True");
        let tainted = node.spec.iter().any(|spec| spec.taints.iter().flatten().next().is_some());
        ready.next().is_some() && !tainted
    }
}
