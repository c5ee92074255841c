//! How the API server answers what is sent to it.

use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use certwright_cluster::TestNamespace;
use kube::{
    Api,
    api::{DynamicObject, PostParams},
    core::{ApiResource, GroupVersionKind},
};

/// Sends one of our objects, and checks that it is rejected with this message.
pub async fn is_refused(ns: &TestNamespace, yaml: &str, sentence: &str) -> Result<()> {
    let object: DynamicObject = serde_yaml::from_str(yaml)?;
    let types = object.types.clone().context("no kind")?;
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("certwright.dev", "v1alpha1", &types.kind));
    let api = match types.kind.as_str() {
        "ClusterIssuer" => Api::<DynamicObject>::all_with(ns.client.clone(), &resource),
        _ => Api::namespaced_with(ns.client.clone(), &ns.name, &resource),
    };
    // `kubectl apply` also creates an object that does not exist.
    let status = match api.create(&PostParams::default(), &object).await {
        Ok(_) => bail!("accepted, though {sentence:?}: {yaml}"),
        Err(kube::Error::Api(status)) => status,
        Err(error) => return Err(error.into()),
    };
    ensure!(status.code == 422, "{yaml}: {status:?}");
    ensure!(
        status.message.contains(sentence),
        "{yaml}\nis refused by: {}\nnot by: {sentence}",
        status.message
    );
    Ok(())
}

/// The output of kubectl. Its cache belongs to this cluster alone: another cluster had the same address.
pub fn kubectl(ns: &TestNamespace, arguments: &[&str]) -> Result<String> {
    let cache = ns.cluster.description.state.join(format!("{}.kubectl", ns.name));
    let output = Command::new("kubectl").arg("--cache-dir").arg(cache).args(arguments).output()?;
    let shown = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "kubectl {}: {shown}", arguments.join(" "));
    Ok(String::from_utf8(output.stdout)?)
}
