//! Why a command failed.

use std::error::Error as StdError;
use std::io;

use kube::config::{InferConfigError, KubeconfigError};

use super::{Exit, MigrateError};
use crate::runtime::traces::TracesError;
use certwright_core::reading::Fault;
use certwright_runtime::logs::LogsError;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no kubeconfig, and this is not a pod.
    #[error("no cluster to connect to; set KUBECONFIG or --kubeconfig")]
    NoCluster(#[source] Box<InferConfigError>),
    /// The kubeconfig cannot be used.
    #[error("the kubeconfig cannot be used; check --kubeconfig and --context")]
    Kubeconfig(#[source] Box<KubeconfigError>),
    /// The API client cannot be created.
    #[error("cannot create the client for the Kubernetes API")]
    Client(#[source] Box<kube::Error>),
    /// The API server rejected a request, or cannot be reached.
    #[error("cannot {doing}: {words}")]
    Api {
        /// What was attempted, such as `read Certificate web/www`.
        doing: String,
        /// The API server's error, or why there was no answer.
        words: String,
    },
    /// The API server does not know our kinds.
    #[error(
        "the cluster has no {0}: Certwright's CustomResourceDefinitions are not installed; run `certwright check`"
    )]
    NotInstalled(String),
    /// The object exists, but cannot be read.
    #[error("{0} cannot be read: {1}")]
    Unreadable(String, Fault),
    /// The object does not exist.
    #[error("{0} does not exist")]
    NotFound(String),
    /// The reason does not exist.
    #[error("there is no reason or code {0}; run `certwright explain` for a list")]
    NoSuchReason(String),
    /// The wait timed out.
    #[error("{0} within --timeout; the operation continues in the cluster: see `certwright status`")]
    TimedOut(String),
    /// The request makes no sense.
    #[error("{0}")]
    Usage(String),
    /// The port of a server cannot be used.
    #[error("cannot listen on port {0} of 127.0.0.1; choose another with --port")]
    Listen(u16, #[source] io::Error),
    /// The system has no randomness.
    #[error("the system provides no random numbers")]
    NoRandomness,
    /// The output cannot be written.
    #[error("cannot write the output")]
    Output(#[source] io::Error),
    /// The migration from cert-manager failed.
    #[error(transparent)]
    Migrate(#[from] MigrateError),
    /// Nobody reads the output any more, as after `| head`.
    #[error("nobody reads the output")]
    Closed,
    /// Objects cannot be written as JSON.
    #[error("cannot write the objects as JSON")]
    Json(#[source] serde_json::Error),
    /// Objects cannot be written as YAML.
    #[error("cannot write the objects as YAML")]
    Yaml(#[source] serde_yaml::Error),
    /// What removes secrets from a support bundle cannot be prepared, so nothing is written.
    #[error("cannot prepare the removal of secrets")]
    Redact(#[source] Box<dyn StdError + Send + Sync>),
    /// The operator cannot log.
    #[error(transparent)]
    Logs(#[from] LogsError),
    /// The operator cannot send traces.
    #[error(transparent)]
    Traces(#[from] TracesError),
}

impl Error {
    /// A failed request. `doing` says what it was for.
    pub fn api(doing: impl Into<String>, error: &kube::Error) -> Self {
        Self::Api { doing: doing.into(), words: words(error) }
    }

    /// A failed request about one object. `object` is its kind and name.
    pub fn about(doing: &str, object: &str, error: &kube::Error) -> Self {
        match error {
            kube::Error::Api(status) if status.code == 404 && status.reason == "NotFound" => {
                Self::NotFound(object.to_owned())
            }
            kube::Error::Api(status) if status.code == 404 => Self::NotInstalled(object.to_owned()),
            _ => Self::api(format!("{doing} {object}"), error),
        }
    }

    /// A failed list of all objects of a kind.
    pub fn list(kinds: &str, error: &kube::Error) -> Self {
        match error {
            kube::Error::Api(status) if status.code == 404 => Self::NotInstalled(kinds.to_owned()),
            _ => Self::api(format!("list {kinds}"), error),
        }
    }

    /// The exit code for scripts.
    pub fn exit(&self) -> Exit {
        match self {
            Self::NotFound(_) | Self::NoSuchReason(_) => Exit::NotFound,
            Self::TimedOut(_) => Exit::TimedOut,
            Self::Usage(_) => Exit::Usage,
            _ => Exit::Failed,
        }
    }
}

/// The API server's error, verbatim. Without an answer: why there was none, from the outermost cause to the innermost.
pub fn words(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message.clone(),
        kube::Error::Service(error) => causes(error.as_ref()),
        other => causes(other),
    }
}

/// An error and its causes in one line. Leaves out a cause that the text before it already contains.
pub fn causes(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}
