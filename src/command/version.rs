//! `certwright version`: the versions of this program, of the operator and of Kubernetes.

use clap::Args;
use k8s_openapi::api::apps::v1::Deployment;
use kube::api::ListParams;
use kube::{Api, ResourceExt};
use serde::Serialize;

use super::error::words;
use super::output::{Format, plain, tell};
use super::{Cluster, ClusterArgs, Error, Exit, print};

const OURS: &str = env!("CARGO_PKG_VERSION");
/// The label that the chart sets.
const LABEL_VERSION: &str = "app.kubernetes.io/version";

/// Which versions, and how to print them.
#[derive(Args, Clone, Debug)]
pub struct Version {
    /// Only the version of this program. This needs no cluster.
    #[arg(long)]
    pub client: bool,
    /// The operator's own namespace.
    #[arg(long, value_name = "NAMESPACE", default_value = "certwright")]
    pub operator_namespace: String,
    /// Output format.
    #[arg(short, long, value_enum)]
    pub output: Option<Format>,
    /// Which cluster.
    #[command(flatten)]
    pub cluster: ClusterArgs,
}

/// What was found. What is `None` is not known.
#[derive(Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Versions {
    client: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    operators: Vec<OneOperator>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kubernetes: Option<String>,
}

#[derive(Debug, PartialEq, Serialize)]
struct OneOperator {
    deployment: String,
    namespace: String,
    version: Option<String>,
}

impl Version {
    /// Prints the versions.
    ///
    /// # Errors
    /// [`Error`], if the API server does not answer.
    pub async fn execute(self) -> Result<Exit, Error> {
        let mut versions = Versions { client: OURS.to_owned(), ..Versions::default() };
        // Without a cluster, the version of this program is known anyway.
        let asked = if self.client { Ok(()) } else { self.ask(&mut versions).await };
        match self.output {
            None => print(&rendered(&versions))?,
            Some(format) => format.print(&versions)?,
        }
        asked?;
        if let Some(other) =
            versions.operators.iter().filter_map(|one| one.version.as_ref()).find(|one| *one != OURS)
        {
            tell(&format!(
                "certwright: the operator has version {}, this program has {OURS}; use the version of the operator\n",
                plain(other)
            ))?;
        }
        Ok(Exit::Fine)
    }

    async fn ask(&self, versions: &mut Versions) -> Result<(), Error> {
        let cluster = self.cluster.connect().await?;
        let kubernetes = cluster.client.apiserver_version().await;
        let kubernetes = kubernetes.map_err(|error| Error::api("read the version of Kubernetes", &error))?;
        versions.kubernetes = Some(format!("{}.{}", kubernetes.major, kubernetes.minor));
        versions.operators = self.operators(&cluster).await?;
        Ok(())
    }

    /// The operators; none, with a message, if they cannot be read.
    async fn operators(&self, cluster: &Cluster) -> Result<Vec<OneOperator>, Error> {
        let namespace = &self.operator_namespace;
        let parameters = ListParams::default().labels("app.kubernetes.io/name=certwright");
        let found = Api::<Deployment>::namespaced(cluster.client.clone(), namespace).list(&parameters).await;
        let found = match found {
            Ok(found) => found.items,
            Err(error) => {
                let why = plain(&words(&error));
                tell(&format!("certwright: the version of the operator is not known: {why}\n"))?;
                return Ok(Vec::new());
            }
        };
        if found.is_empty() {
            tell(&format!(
                "certwright: there is no operator in namespace {namespace}; set --operator-namespace\n"
            ))?;
        }
        let operator = |deployment: &Deployment| OneOperator {
            deployment: deployment.name_any(),
            namespace: namespace.clone(),
            version: of_deployment(deployment),
        };
        Ok(found.iter().map(operator).collect())
    }
}

/// The version of an operator: the tag of its image or, if that has none, what the chart says.
fn of_deployment(deployment: &Deployment) -> Option<String> {
    let tag = image(deployment).and_then(tag).map(|tag| tag.trim_start_matches('v').to_owned());
    tag.or_else(|| deployment.labels().get(LABEL_VERSION).cloned())
}

/// The image of the operator.
pub fn image(deployment: &Deployment) -> Option<&str> {
    deployment.spec.as_ref()?.template.spec.as_ref()?.containers.first()?.image.as_deref()
}

/// The tag of an image, if it has one and no digest.
pub fn tag(image: &str) -> Option<&str> {
    let (_, tag) = image.rsplit_once(':').filter(|(_, tag)| !image.contains('@') && !tag.contains('/'))?;
    Some(tag)
}

fn rendered(versions: &Versions) -> String {
    let mut text = format!("Client       {}\n", versions.client);
    for OneOperator { deployment, namespace, version } in &versions.operators {
        let version = version.as_deref().map_or("unknown".to_owned(), plain);
        text.push_str(&format!("Operator     {version} (Deployment {namespace}/{deployment})\n"));
    }
    if let Some(kubernetes) = &versions.kubernetes {
        text.push_str(&format!("Kubernetes   {}\n", plain(kubernetes)));
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_version_of_an_operator_is_its_tag_or_what_the_chart_says() {
        let version = |image: &str, labels: serde_json::Value| {
            let deployment = json!({
                "metadata": { "labels": labels },
                "spec": { "selector": {}, "template": { "spec": { "containers": [{ "name": "c", "image": image }] } } },
            });
            of_deployment(&serde_json::from_value(deployment).unwrap())
        };
        assert_eq!(version("registry.example.com/c/certwright:v0.2.0", json!({})).as_deref(), Some("0.2.0"));
        assert_eq!(version("localhost:5000/certwright", json!({})), None);
        let by_digest = "registry.example.com/c/certwright:0.3.0@sha256:0";
        assert_eq!(version(by_digest, json!({ LABEL_VERSION: "0.3.0" })).as_deref(), Some("0.3.0"));
    }

    #[test]
    fn what_is_not_known_is_left_out() {
        let versions = Versions { client: "0.1.0".to_owned(), ..Versions::default() };
        assert_eq!(rendered(&versions), "Client       0.1.0\n");
        let operator = OneOperator { deployment: "c".to_owned(), namespace: "n".to_owned(), version: None };
        let versions =
            Versions { operators: vec![operator], kubernetes: Some("1.36".to_owned()), ..versions };
        let text = "Client       0.1.0\nOperator     unknown (Deployment n/c)\nKubernetes   1.36\n";
        assert_eq!(rendered(&versions), text);
    }
}
