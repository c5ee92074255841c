//! The Gateway API in the cluster: installed for the tests that need it, and absent for the tests that need that.
//!
//! CustomResourceDefinitions are cluster-wide, so tests share them or take turns. Any number of tests can hold a [`GatewayApi`],
//! which keeps the definitions installed. A [`NoGatewayApi`] excludes all others. These locks also work between processes, and
//! end with them.

use std::{fs::File, path::PathBuf, time::Duration};

use anyhow::{Context, Result, ensure};
use kube::discovery::Discovery;
use serde_json::json;

use crate::{
    Cluster,
    control_plane::kubectl,
    router::{CLASS, CONTROLLER_NAME},
};

pub mod definitions;

const GROUP: &str = "gateway.networking.k8s.io";
const KINDS: [&str; 4] = ["GatewayClass", "Gateway", "HTTPRoute", "TLSRoute"];
/// The tests that hold it may need all their time.
const TURN_LIMIT: Duration = Duration::from_secs(600);
const FOLLOW_LIMIT: Duration = Duration::from_secs(60);

/// While this is held, the cluster has the Gateway API of the standard channel, and a GatewayClass `router`, whose Gateways the
/// test router serves at [`ADDRESS`](crate::ADDRESS). It stays installed until a test needs a cluster without it.
pub struct GatewayApi {
    _turn: File,
}

/// While this is held, the cluster has no Gateway API, unless the holder installs it.
pub struct NoGatewayApi<'a> {
    cluster: &'a Cluster,
    _turn: File,
}

impl Cluster {
    /// Installs the Gateway API if necessary, and keeps it installed while the result is held.
    pub async fn gateway_api(&self) -> Result<GatewayApi> {
        let turn = self.turn("gateway-api.lock", File::lock_shared).await?;
        // Only one of the tests that share it installs it.
        let installs = self.turn("gateway-api-installation.lock", File::lock).await?;
        self.install_gateway_api().await?;
        drop(installs);
        Ok(GatewayApi { _turn: turn })
    }

    /// Waits until no test needs the Gateway API, removes it with all Gateways and routes, and prevents others from installing it
    /// while the result is held.
    pub async fn without_gateway_api(&self) -> Result<NoGatewayApi<'_>> {
        let turn = self.turn("gateway-api.lock", File::lock).await?;
        let mut arguments = vec!["delete", "--ignore-not-found", "--wait"];
        let files = files()?;
        arguments.extend(files.iter().flat_map(|file| ["--filename", file]));
        self.kubectl(&arguments).await?;
        self.wait_discovered(false).await?;
        Ok(NoGatewayApi { cluster: self, _turn: turn })
    }

    async fn install_gateway_api(&self) -> Result<()> {
        if self.discovered().await? == KINDS.len() {
            return Ok(());
        }
        let files = files()?;
        let named = || files.iter().flat_map(|file| ["--filename", file]);
        self.kubectl(&["apply", "--server-side"].into_iter().chain(named()).collect::<Vec<_>>()).await?;
        let wait = ["wait", "--for=condition=Established", "--timeout=60s"];
        self.kubectl(&wait.into_iter().chain(named()).collect::<Vec<_>>()).await?;
        self.wait_discovered(true).await?;
        self.make_gateway_class(CLASS, CONTROLLER_NAME).await
    }

    /// Creates a GatewayClass, in a cluster that has the Gateway API.
    pub(crate) async fn make_gateway_class(&self, name: &str, controller: &str) -> Result<()> {
        let class = json!({
            "apiVersion": format!("{GROUP}/v1"), "kind": "GatewayClass", "metadata": {"name": name},
            "spec": {"controllerName": controller},
        });
        let path = self.description.state.join(format!("gateway-class-{name}.json"));
        std::fs::write(&path, class.to_string())?;
        let path = path.display().to_string();
        self.kubectl(&["apply", "--server-side", "--filename", &path]).await
    }

    async fn kubectl(&self, arguments: &[&str]) -> Result<()> {
        kubectl(&self.description.tools, &self.description.state, arguments).await.map(drop)
    }

    /// Waits for a lock on a file of the run; it is free again when the file is closed.
    pub(crate) async fn turn(&self, name: &str, lock: fn(&File) -> std::io::Result<()>) -> Result<File> {
        let path = self.description.state.join(name);
        let locked = tokio::task::spawn_blocking(move || {
            let file = File::options().create(true).append(true).open(path)?;
            lock(&file)?;
            anyhow::Ok(file)
        });
        let locked = tokio::time::timeout(TURN_LIMIT, locked).await;
        locked.context("other tests keep the Gateway API, or keep it away, for too long")??
    }

    /// How many of the kinds are in the API server's discovery.
    async fn discovered(&self) -> Result<usize> {
        let discovery = Discovery::new(self.client().await?).filter(&[GROUP]).run_aggregated().await?;
        let resources = discovery.groups().flat_map(|group| group.recommended_resources());
        Ok(resources.filter(|(resource, _)| KINDS.contains(&resource.kind.as_str())).count())
    }

    /// The API server's discovery follows the definitions with a delay.
    async fn wait_discovered(&self, present: bool) -> Result<()> {
        let wanted = if present { KINDS.len() } else { 0 };
        let follows = async {
            while self.discovered().await? != wanted {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            anyhow::Ok(())
        };
        tokio::time::timeout(FOLLOW_LIMIT, follows).await.context("the API server does not follow")?
    }
}

impl NoGatewayApi<'_> {
    /// Installs the Gateway API after all; no other test depends on it.
    pub async fn install(&self) -> Result<()> {
        self.cluster.install_gateway_api().await
    }
}

/// The files with the definitions.
fn files() -> Result<Vec<String>> {
    let directory = definitions::directory()?;
    ensure!(directory.exists(), "the Gateway API's definitions are not installed. Run `make tools`");
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(&directory)?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    files.sort();
    Ok(files.into_iter().map(|file| file.display().to_string()).collect())
}
