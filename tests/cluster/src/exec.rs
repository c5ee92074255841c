//! `cluster exec`: a cluster, and a command that uses it.

use std::{ffi::OsString, path::Path, time::Instant};

use anyhow::{Context, Result};
use certwright_cluster::{
    ADDRESS, Cluster,
    ca::TestCa,
    control_plane::{self, Capacity, ControlPlane, kubectl},
    description::{Description, VARIABLE},
    dns,
    node::machine::Machine,
    process::Process,
    router::Router,
    sandbox,
    tools::Tools,
};
use tokio::process::Command;

/// Everything that a run has started.
pub struct Running {
    pub description: Description,
    _control_plane: ControlPlane,
    _dns: Process,
    _router: Router,
    _machine: Option<Machine>,
}

/// Starts a cluster, with a node or without, runs the command and returns its exit code.
pub async fn run(state: &Path, node: bool, command: Vec<OsString>) -> Result<i32> {
    let start = Instant::now();
    let running = if node { start_cluster_with_node(state).await? } else { start_cluster(state).await? };
    eprintln!("Cluster ready after {:.1} s", start.elapsed().as_secs_f32());
    let (program, arguments) = command.split_first().context("no command given")?;
    let status = Command::new(program)
        .args(arguments)
        .env("KUBECONFIG", &running.description.kubeconfig)
        .env(VARIABLE, running.description.write()?)
        // A failing test prints its error; the backtrace within the harness is useless.
        .env("RUST_LIB_BACKTRACE", std::env::var_os("RUST_LIB_BACKTRACE").unwrap_or("0".into()))
        .env("PATH", running.description.tools.search_path()?)
        .status()
        .await
        .with_context(|| format!("cannot run {}", program.display()))?;
    Ok(sandbox::exit_code(status))
}

/// Starts the control plane, the DNS server and the router, and installs what the operator needs.
pub async fn start_cluster(state: &Path) -> Result<Running> {
    start(state, false, Capacity::Tests).await
}

/// Starts the same for hundreds of thousands of objects.
pub async fn start_large_cluster(state: &Path) -> Result<Running> {
    start(state, false, Capacity::Large).await
}

/// Starts the same with a node, and installs nothing.
async fn start_cluster_with_node(state: &Path) -> Result<Running> {
    let mut running = start(state, true, Capacity::Tests).await?;
    running._machine = Some(Machine::start(&Cluster::new(running.description.clone())).await?);
    Ok(running)
}

async fn start(state: &Path, node: bool, capacity: Capacity) -> Result<Running> {
    sandbox::set_up(state)?;
    if node {
        sandbox::set_up_node(state)?;
    }
    let tools = Tools::built()?;
    let ca = TestCa::create(state)?;
    let (control_plane, dns_server) =
        tokio::join!(ControlPlane::start(&tools, &ca, state, capacity), dns::start(&tools, state));
    let (mut control_plane, dns_server) = (control_plane?, dns_server?);
    if !node {
        install(&tools, state).await?;
    }
    control_plane.start_controllers(&tools, state, node).await?;

    let kubeconfig = state.join("kubeconfig");
    let router = Router::start(control_plane::admin_client(&kubeconfig).await?, ADDRESS).await?;
    let description = Description {
        kubeconfig,
        api_server: control_plane::api_server_url(),
        ca: state.into(),
        tools,
        dns: dns::address()?,
        dns_management: dns::management_url(),
        node,
        state: state.into(),
    };
    Ok(Running {
        description,
        _control_plane: control_plane,
        _dns: dns_server,
        _router: router,
        _machine: None,
    })
}

/// Applies the repository's own manifests: what `deploy/base` puts together, CRDs included, and the roles for `--metrics-auth`
/// and `--certificate-signing-requests`.
async fn install(tools: &Tools, state: &Path) -> Result<()> {
    let deploy = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy");
    let base = deploy.join("base");
    kubectl(tools, state, &["apply", "--server-side", "--kustomize", &base.display().to_string()]).await?;
    for part in ["metrics-auth", "certificate-signing-requests"] {
        let roles = deploy.join(part).join("rbac.yaml").display().to_string();
        kubectl(tools, state, &["apply", "--server-side", "--filename", &roles]).await?;
    }
    Ok(())
}
