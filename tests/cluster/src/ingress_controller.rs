//! A real ingress controller, by other authors: EasyHAProxy, with kube-proxy for the Services that it forwards to.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::Node;
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use serde_json::json;
use tokio::{net::TcpStream, process::Command};

use crate::{
    ADDRESS, Cluster, INGRESS_CONTROLLER_ADDRESS, control_plane::ADMIN_TOKEN, kube_proxy,
    namespace::FIELD_MANAGER, packages, process::Process, venv,
};

/// A running ingress controller. It listens on port 80 of [`INGRESS_CONTROLLER_ADDRESS`], so names must resolve to it
/// ([`Dns::set_a`](crate::Dns::set_a)). It reads the Ingresses once a second, routes by host to the cluster address of the
/// Service, and ignores paths. A cluster can have only one at a time; it is stopped when this is dropped.
pub struct IngressController {
    _kube_proxy: Option<Process>,
    _controller: Process,
}

const NODE: &str = "node";
const START_LIMIT: Duration = Duration::from_secs(30);

impl IngressController {
    /// The name of the ingress class it serves.
    pub const CLASS: &str = "easyhaproxy";

    /// Starts it, and kube-proxy.
    pub async fn start(cluster: &Cluster) -> Result<Self> {
        let program = venv::EASYHAPROXY.program("easy-haproxy")?;
        // A node has its own kube-proxy.
        let kube_proxy = if cluster.description.node { None } else { Some(start_kube_proxy(cluster).await?) };
        let base = cluster.description.state.join("easyhaproxy");
        write_service_account(cluster)?;
        let directories = ["haproxy/conf.d", "certs/haproxy", "certs/certbot", "www", "plugins", "bin"];
        for directory in directories {
            fs::create_dir_all(base.join(directory))?;
        }
        fs::write(base.join("www/welcome.html"), "")?;
        write_haproxy(&base)?;

        // It forks, and so does HAProxy: all of them end with the first process of a new PID namespace.
        let mut command = Command::new("unshare");
        command
            .args(["--pid", "--fork", "--kill-child", "--"])
            .arg(program)
            .env("PATH", path_with(&base.join("bin"))?)
            .env("EASYHAPROXY_BASE_PATH", &base)
            .env("EASYHAPROXY_DISCOVER", "kubernetes")
            .env("EASYHAPROXY_REFRESH_CONF", "1")
            .env("EASYHAPROXY_DEPLOYMENT_MODE", "clusterip")
            .env("EASYHAPROXY_UPDATE_INGRESS_STATUS", "false")
            .env("HAPROXY_CUSTOMERRORS", "false")
            .env("HAPROXY_STATS_ENABLE", "false")
            .env("KUBERNETES_SERVICE_HOST", ADDRESS)
            .env("KUBERNETES_SERVICE_PORT", "6443");
        let mut controller = Process::start("easyhaproxy", command, &cluster.description.state.join("logs"))?;
        let listens = || async { TcpStream::connect((INGRESS_CONTROLLER_ADDRESS, 80)).await.is_ok() };
        controller.wait_ready(START_LIMIT, listens).await?;
        Ok(Self { _kube_proxy: kube_proxy, _controller: controller })
    }
}

async fn start_kube_proxy(cluster: &Cluster) -> Result<Process> {
    // kube-proxy reads the address of its node before it starts.
    let nodes: Api<Node> = Api::all(cluster.client().await?);
    let params = PatchParams::apply(FIELD_MANAGER).force();
    let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE}});
    nodes.patch(NODE, &params, &Patch::Apply(&node)).await?;
    let addresses = json!({"status": {"addresses": [{"type": "InternalIP", "address": ADDRESS}]}});
    nodes.patch_status(NODE, &PatchParams::default(), &Patch::Merge(addresses)).await?;

    kube_proxy::start(cluster, NODE).await
}

/// Puts credentials where pods have them. `/run` belongs to the run, and also contains HAProxy's process id and socket.
fn write_service_account(cluster: &Cluster) -> Result<()> {
    let directory = Path::new("/var/run/secrets/kubernetes.io/serviceaccount");
    fs::create_dir_all(directory)?;
    fs::write(directory.join("token"), ADMIN_TOKEN)?;
    fs::write(directory.join("ca.crt"), cluster.ca()?.pem)?;
    Ok(())
}

/// Puts a `haproxy` in front of the real one that listens on one address: EasyHAProxy's listens on all, and the router uses one.
fn write_haproxy(base: &Path) -> Result<()> {
    let real = packages::find("haproxy").context("haproxy is missing. Run `make tools`")?;
    let path = base.join("bin/haproxy");
    let script = format!(
        "#!/bin/sh\nsed -i 's/bind \\*:/bind {INGRESS_CONTROLLER_ADDRESS}:/' '{}' 2>/dev/null\nexec '{}' \"$@\"\n",
        base.join("haproxy/haproxy.cfg").display(),
        real.display()
    );
    fs::write(&path, script)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
    Ok(())
}

fn path_with(first: &Path) -> Result<std::ffi::OsString> {
    let rest = packages::search_path();
    let paths = [PathBuf::from(first)].into_iter().chain(std::env::split_paths(&rest));
    Ok(std::env::join_paths(paths)?)
}
