//! What `cluster exec` tells the programs it runs about their cluster.

use std::{env, fs, net::SocketAddr, path::PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::tools::Tools;

/// The environment variable with the path of the file that this is written to.
pub const VARIABLE: &str = "CERTWRIGHT_TEST_CLUSTER";

/// The description of a running cluster, as JSON in the file named by `CERTWRIGHT_TEST_CLUSTER`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Description {
    /// Kubeconfig of a cluster administrator.
    pub kubeconfig: PathBuf,
    /// URL of the API server.
    pub api_server: String,
    /// Directory with `ca.crt` and `ca.key` of the authority that signed every server's certificate.
    pub ca: PathBuf,
    /// The programs built for the tests.
    #[serde(with = "directories")]
    pub tools: Tools,
    /// The DNS server's address.
    pub dns: SocketAddr,
    /// URL for changes of the DNS server's records.
    pub dns_management: String,
    /// Whether it has a node that runs pods; if so, nothing is installed.
    pub node: bool,
    /// Directory of this run, for logs and files; removed when the run ends.
    pub state: PathBuf,
}

impl Description {
    /// Reads the file named by `CERTWRIGHT_TEST_CLUSTER`.
    pub fn from_env() -> Result<Self> {
        let path = env::var_os(VARIABLE).with_context(|| {
            format!("{VARIABLE} is not set: these tests need a cluster. Run them with `make test`")
        })?;
        let path = PathBuf::from(path);
        let text = fs::read_to_string(&path).with_context(|| {
            format!("cannot read {} ({VARIABLE}): is its cluster still running?", path.display())
        })?;
        Ok(serde_json::from_str(&text)?)
    }

    /// Writes itself into its own state directory and returns the path of the file.
    pub fn write(&self) -> Result<PathBuf> {
        let path = self.state.join("cluster.json");
        fs::write(&path, serde_json::to_vec_pretty(self)?)?;
        Ok(path)
    }
}

/// What builds programs knows nothing of formats, so that it is soon compiled.
mod directories {
    use std::path::PathBuf;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::tools::Tools;

    pub(super) fn serialize<S: Serializer>(tools: &Tools, to: S) -> Result<S::Ok, S::Error> {
        tools.directories().serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Tools, D::Error> {
        Vec::<PathBuf>::deserialize(from).map(Tools::in_directories)
    }
}
