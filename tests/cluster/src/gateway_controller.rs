//! A real implementation of the Gateway API, by other authors: the controller of rust-web-server.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use kube::{
    Api,
    api::{ApiResource, DynamicObject, GroupVersionKind},
    runtime::wait::await_condition,
};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    process::Command,
    task::JoinSet,
};

use crate::{Cluster, GATEWAY_CONTROLLER_ADDRESS, GatewayApi, process::Process, rust_web_server};

/// A running Gateway controller, for one Gateway of its class in the whole cluster. The Gateway's listener for port 80 is at
/// [`GATEWAY_CONTROLLER_ADDRESS`](crate::GATEWAY_CONTROLLER_ADDRESS), so names must resolve to it
/// ([`Dns::set_a`](crate::Dns::set_a)). A cluster can have only one at a time; it is stopped when this is dropped.
pub struct GatewayController {
    _controller: Process,
    _entrance: JoinSet<()>,
}

const CONTROLLER_NAME: &str = "rws8.tech/gateway-controller";
/// It serves each listener on another port, which a Service maps to the listener's port. Nothing implements Services of the type
/// LoadBalancer here, so the harness forwards connections, and restricts the controller to one port.
const LISTENER_PORT: u16 = 10000;
const START_LIMIT: Duration = Duration::from_secs(30);

impl GatewayController {
    /// The name of the GatewayClass it serves.
    pub const CLASS: &str = "rws";

    /// Starts it, in a cluster that has the Gateway API.
    pub async fn start(cluster: &Cluster, _: &GatewayApi) -> Result<Self> {
        let program = rust_web_server::program()?;
        ensure!(program.exists(), "the Gateway controller is not built. Run `make tools`");
        cluster.make_gateway_class(Self::CLASS, CONTROLLER_NAME).await?;
        let mut command = Command::new(program);
        command
            .env("KUBECONFIG", &cluster.description.kubeconfig)
            .env("POD_NAME", "rws")
            .env("RWS_CONFIG_GATEWAY_API_ENABLED", "true")
            .env("RWS_CONFIG_GATEWAY_API_LEASE_NAMESPACE", "default")
            .env("RWS_CONFIG_GATEWAY_API_PORT_RANGE", format!("{LISTENER_PORT}-{LISTENER_PORT}"));
        let mut controller =
            Process::start("rust-web-server", command, &cluster.description.state.join("logs"))?;
        let kind = GroupVersionKind::gvk("gateway.networking.k8s.io", "v1", "GatewayClass");
        let resource = ApiResource::from_gvk_with_plural(&kind, "gatewayclasses");
        let classes: Api<DynamicObject> = Api::all_with(cluster.client().await?, &resource);
        tokio::select! {
            accepted = await_condition(classes, Self::CLASS, is_accepted) => drop(accepted?),
            ended = controller.wait_ready(START_LIMIT, || async { false }) => ended?,
        }
        Ok(Self { _controller: controller, _entrance: entrance().await? })
    }
}

fn is_accepted(class: Option<&DynamicObject>) -> bool {
    let conditions = class.and_then(|class| class.data["status"]["conditions"].as_array());
    let mut conditions = conditions.into_iter().flatten();
    conditions.any(|condition| condition["type"] == "Accepted" && condition["status"] == "True")
}

/// Forwards connections from port 80 to the listener.
async fn entrance() -> Result<JoinSet<()>> {
    let listener = TcpListener::bind((GATEWAY_CONTROLLER_ADDRESS, 80))
        .await
        .context("cannot listen on port 80 of the Gateway controller's address")?;
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut server = TcpStream::connect((GATEWAY_CONTROLLER_ADDRESS, LISTENER_PORT)).await?;
                copy_bidirectional(&mut client, &mut server).await
            });
        }
    });
    Ok(tasks)
}
