//! Traefik: an Ingress controller and an implementation of the Gateway API by other authors, as many clusters have it.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result};
use kube::{
    Api,
    api::{ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams},
    runtime::wait::await_condition,
};
use serde_json::{Value, json};
use tokio::{net::TcpStream, process::Command, time::timeout};

use crate::{
    Cluster, GatewayApi, TRAEFIK_ADDRESS,
    control_plane::{ADMIN_TOKEN, kubeconfig},
    namespace::FIELD_MANAGER,
    process::Process,
};

/// A running Traefik. It listens on the ports 80 and 443 of [`TRAEFIK_ADDRESS`], so names must resolve to it
/// ([`Dns::set_a`](crate::Dns::set_a)), and forwards to the endpoints of Services. A cluster can have only one at a time; it is
/// stopped when this is dropped.
pub struct Traefik {
    log: PathBuf,
    /// How many complaints were about its own settings.
    at_start: usize,
    _process: Process,
}

const GATEWAY_CONTROLLER: &str = "traefik.io/gateway-controller";
const START_LIMIT: Duration = Duration::from_secs(30);
const NAME: &str = "traefik";

impl Traefik {
    /// The name of its IngressClass and of its GatewayClass.
    pub const CLASS: &str = "traefik";

    /// Starts it, in a cluster that has the Gateway API. It reaches the API server through this URL, such as that of a
    /// [`Proxy`](crate::Proxy).
    pub async fn start(cluster: &Cluster, _: &GatewayApi, api_server: &str) -> Result<Self> {
        cluster.make_gateway_class(Self::CLASS, GATEWAY_CONTROLLER).await?;
        make_ingress_class(cluster).await?;
        let description = &cluster.description;
        let credentials = description.state.join(format!("{NAME}.kubeconfig"));
        fs::write(&credentials, kubeconfig(api_server, &cluster.ca()?.pem, ADMIN_TOKEN))?;
        let mut command = Command::new(description.tools.program("traefik")?);
        command
            .env("KUBECONFIG", &credentials)
            .arg(format!("--entrypoints.web.address={TRAEFIK_ADDRESS}:80"))
            .arg(format!("--entrypoints.websecure.address={TRAEFIK_ADDRESS}:443"))
            .arg("--providers.kubernetesingress=true")
            .arg(format!("--providers.kubernetesingress.ingressclass={}", Self::CLASS))
            .arg("--providers.kubernetesgateway=true")
            .args(["--log.level=INFO", "--log.format=json"])
            .args(["--global.checknewversion=false", "--global.sendanonymoususage=false"]);
        let logs = description.state.join("logs");
        let mut process = Process::start(NAME, command, &logs)?;
        let listens = || async { TcpStream::connect((TRAEFIK_ADDRESS, 80)).await.is_ok() };
        process.wait_ready(START_LIMIT, listens).await?;
        let kind = GroupVersionKind::gvk("gateway.networking.k8s.io", "v1", "GatewayClass");
        let resource = ApiResource::from_gvk_with_plural(&kind, "gatewayclasses");
        let classes: Api<DynamicObject> = Api::all_with(cluster.client().await?, &resource);
        let accepted = timeout(START_LIMIT, await_condition(classes, Self::CLASS, is_accepted)).await;
        accepted.context("Traefik does not accept its GatewayClass")??;
        let log = logs.join(format!("{NAME}.log"));
        Ok(Self { at_start: complaints(&log)?.len(), log, _process: process })
    }

    /// The errors and warnings in its log since it was started.
    pub fn complaints(&self) -> Result<Vec<String>> {
        Ok(complaints(&self.log)?.split_off(self.at_start))
    }
}

fn complaints(log: &Path) -> Result<Vec<String>> {
    let log = fs::read_to_string(log)?;
    let complains = |line: &&str| {
        let line: Value = serde_json::from_str(line).unwrap_or_default();
        matches!(line["level"].as_str(), None | Some("warn" | "error" | "fatal" | "panic"))
    };
    Ok(log.lines().filter(complains).map(str::to_owned).collect())
}

async fn make_ingress_class(cluster: &Cluster) -> Result<()> {
    let class = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "IngressClass", "metadata": {"name": Traefik::CLASS},
        "spec": {"controller": "traefik.io/ingress-controller"},
    });
    let classes: Api<k8s_openapi::api::networking::v1::IngressClass> = Api::all(cluster.client().await?);
    classes.patch(Traefik::CLASS, &PatchParams::apply(FIELD_MANAGER).force(), &Patch::Apply(&class)).await?;
    Ok(())
}

fn is_accepted(class: Option<&DynamicObject>) -> bool {
    let conditions = class.and_then(|class| class.data["status"]["conditions"].as_array());
    let mut conditions = conditions.into_iter().flatten();
    conditions.any(|condition| condition["type"] == "Accepted" && condition["status"] == "True")
}
