//! Why a migration failed.

use std::io;
use std::path::PathBuf;

/// Why a migration failed.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// A file cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// Its path.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// A file is not YAML. For example, it is a template that is not rendered yet.
    #[error("{path} is not YAML; render templates first, for example with `helm template`")]
    Parse {
        /// Its path.
        path: PathBuf,
        /// The parser's error.
        source: serde_yaml::Error,
    },
    /// A file cannot be written.
    #[error("cannot write {path}")]
    Write {
        /// Its path.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// An object cannot be written as YAML.
    #[error("cannot write an object as YAML")]
    Yaml(#[source] serde_yaml::Error),
    /// cert-manager's objects cannot be listed.
    #[error("cannot list cert-manager's {what}; to read files instead, use -f")]
    List {
        /// The plural of the kind.
        what: &'static str,
        /// The API server's error.
        source: Box<kube::Error>,
    },
    /// A request to the API server failed. Earlier changes remain, and the same command continues from there.
    #[error("{what} cannot be {verb}; correct the cause, then run the same command again")]
    Request {
        /// Kind, namespace and name.
        what: String,
        /// What the request was for.
        verb: &'static str,
        /// The API server's error.
        source: Box<kube::Error>,
    },
}
