//! Why a command could not be done.

use std::error::Error as StdError;
use std::io;

use kube::config::{InferConfigError, KubeconfigError};

use super::{Exit, MigrateError};
use crate::runtime::logs::LogsError;
use crate::runtime::traces::TracesError;
use certwright_core::reading::Fault;

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
    /// The API server refused a request, or could not be reached.
    #[error("cannot {doing}: {words}")]
    Api {
        /// What was wanted, such as `read Certificate web/www`.
        doing: String,
        /// What the API server said, or what stood in the way.
        words: String,
    },
    /// The API server does not know our kinds.
    #[error(
        "the cluster has no {0}: Certwright's CustomResourceDefinitions are not installed there; see `certwright check`"
    )]
    NotInstalled(String),
    /// There is such an object, and it cannot be read.
    #[error("{0} cannot be read: {1}")]
    Unreadable(String, Fault),
    /// There is no such object.
    #[error("{0} does not exist")]
    NotFound(String),
    /// There is no such reason.
    #[error("there is no reason or code {0}; `certwright explain` lists those that there are")]
    NoSuchReason(String),
    /// What was waited for did not come about in time.
    #[error("{0} within the time that --timeout allows; it goes on in the cluster: see `certwright status`")]
    TimedOut(String),
    /// What was asked for makes no sense.
    #[error("{0}")]
    Usage(String),
    /// The output could not be written.
    #[error("the output could not be written")]
    Output(#[source] io::Error),
    /// What cert-manager has could not be brought over.
    #[error(transparent)]
    Migrate(#[from] MigrateError),
    /// Objects could not be written as JSON.
    #[error("the objects could not be written as JSON")]
    Json(#[source] serde_json::Error),
    /// Something could not be written as YAML.
    #[error("it could not be written as YAML")]
    Yaml(#[source] serde_yaml::Error),
    /// The operator could not log.
    #[error(transparent)]
    Logs(#[from] LogsError),
    /// The operator could not send traces.
    #[error(transparent)]
    Traces(#[from] TracesError),
}

impl Error {
    /// A request that failed; `doing` is what it was for.
    pub fn api(doing: impl Into<String>, error: &kube::Error) -> Self {
        Self::Api { doing: doing.into(), words: words(error) }
    }

    /// A request about one object that failed: `object` is its kind and name.
    pub fn about(doing: &str, object: &str, error: &kube::Error) -> Self {
        match error {
            kube::Error::Api(status) if status.code == 404 && status.reason == "NotFound" => {
                Self::NotFound(object.to_owned())
            }
            kube::Error::Api(status) if status.code == 404 => Self::NotInstalled(object.to_owned()),
            _ => Self::api(format!("{doing} {object}"), error),
        }
    }

    /// What a script is told.
    pub fn exit(&self) -> Exit {
        match self {
            Self::NotFound(_) | Self::NoSuchReason(_) => Exit::NotFound,
            Self::TimedOut(_) => Exit::TimedOut,
            Self::Usage(_) => Exit::Usage,
            _ => Exit::Failed,
        }
    }
}

/// What the API server said, word for word; or why it said nothing, from the outermost cause to the innermost.
pub fn words(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message.clone(),
        kube::Error::Service(error) => causes(error.as_ref()),
        other => causes(other),
    }
}

/// An error and its causes in one line, each only if the one before does not say it already.
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
