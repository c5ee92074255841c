//! Why a command could not be done.

use std::io;

use kube::config::{InferConfigError, KubeconfigError};

use super::{Exit, MigrateError};
use crate::operator::OperatorError;
use crate::runtime::logs::LogsError;
use crate::runtime::traces::TracesError;

/// Why a command could not be done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no kubeconfig, and this is no pod.
    #[error("no cluster to talk to: set KUBECONFIG, or give --kubeconfig")]
    NoCluster(#[source] Box<InferConfigError>),
    /// The kubeconfig cannot be used.
    #[error("the kubeconfig cannot be used; check --kubeconfig and --context")]
    Kubeconfig(#[source] Box<KubeconfigError>),
    /// The API client could not be made.
    #[error("the client of the Kubernetes API could not be made")]
    Client(#[source] Box<kube::Error>),
    /// The output could not be written.
    #[error("the output could not be written")]
    Output(#[source] io::Error),
    /// The CustomResourceDefinitions could not be written.
    #[error("the CustomResourceDefinitions could not be written as YAML")]
    Crds(#[source] serde_yaml::Error),
    /// What cert-manager has could not be brought over.
    #[error(transparent)]
    Migrate(#[from] MigrateError),
    /// The operator could not start.
    #[error(transparent)]
    Operator(#[from] OperatorError),
    /// The operator could not log.
    #[error(transparent)]
    Logs(#[from] LogsError),
    /// The operator could not send traces.
    #[error(transparent)]
    Traces(#[from] TracesError),
}

impl Error {
    /// What a script is told.
    pub fn exit(&self) -> Exit {
        Exit::Failed
    }
}
