//! The running cluster, as a test sees it.

use anyhow::Result;
use kube::Client;

use crate::{
    Dns,
    ca::TestCa,
    control_plane::{admin_client, admin_config},
    description::Description,
};

/// The cluster that surrounds this process. Each test creates its own value: a client belongs to one tokio runtime.
pub struct Cluster {
    /// Where everything is.
    pub description: Description,
}

impl Cluster {
    /// Finds the cluster that `cluster exec` started around this process.
    pub fn from_env() -> Result<Self> {
        Ok(Self { description: Description::from_env()? })
    }

    /// The cluster with this description.
    pub fn new(description: Description) -> Self {
        Self { description }
    }

    /// A new client with an administrator's rights.
    pub async fn client(&self) -> Result<Client> {
        admin_client(&self.description.kubeconfig).await
    }

    /// How an administrator reaches the API server.
    pub async fn client_config(&self) -> Result<kube::Config> {
        admin_config(&self.description.kubeconfig).await
    }

    /// The authority that signed the certificates of the API server and of the ACME servers' HTTPS ports.
    pub fn ca(&self) -> Result<TestCa> {
        TestCa::load(&self.description.ca)
    }

    /// The DNS server's records. All tests share them: change only names of your own.
    pub fn dns(&self) -> Result<Dns> {
        Dns::new(self.description.dns, self.description.dns_management.clone())
    }
}
