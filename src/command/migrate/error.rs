//! Why objects could not be brought over.

use std::io;
use std::path::PathBuf;

/// Why objects could not be brought over.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// A file could not be read.
    #[error("{path} cannot be read")]
    Read {
        /// Its path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file is no YAML. A template is none before it is rendered.
    #[error("{path} is no YAML; render templates first, as by `helm template`")]
    Parse {
        /// Its path.
        path: PathBuf,
        /// What the parser said.
        source: serde_yaml::Error,
    },
    /// A file could not be written.
    #[error("{path} cannot be written")]
    Write {
        /// Its path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// An object could not be written as YAML.
    #[error("an object cannot be written as YAML")]
    Yaml(#[source] serde_yaml::Error),
    /// cert-manager's objects could not be listed.
    #[error("cert-manager's {what} cannot be listed; for files, give -f")]
    List {
        /// Their plural.
        what: &'static str,
        /// What the API server said.
        source: Box<kube::Error>,
    },
    /// A request to the API server failed. What was done before it stands, and the same command goes on from there.
    #[error("{what} cannot be {verb}; run the same again once that is mended")]
    Request {
        /// Kind, namespace and name.
        what: String,
        /// What was to be done with it.
        verb: &'static str,
        /// What the API server said.
        source: Box<kube::Error>,
    },
}
