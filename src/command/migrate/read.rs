//! Reads cert-manager's objects.

use std::io::Read;
use std::path::{Path, PathBuf};

use kube::Api;
use kube::core::DynamicObject;
use serde_json::Value;

use super::MigrateError;
use super::store::resource;
use crate::command::Cluster;
use crate::migrate::{Source, VERSION, documents};

/// The objects in files, in the files of directories, and on standard input.
pub fn files(paths: &[PathBuf]) -> Result<Vec<Value>, MigrateError> {
    let mut objects = Vec::new();
    for path in paths {
        for file in files_of(path)? {
            let text = text(&file).map_err(|source| MigrateError::Read { path: file.clone(), source })?;
            objects.extend(documents(&text).map_err(|source| MigrateError::Parse { path: file, source })?);
        }
    }
    Ok(objects)
}

/// The file, or the YAML and JSON files of a directory, sorted.
fn files_of(path: &Path) -> Result<Vec<PathBuf>, MigrateError> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let failed = |source| MigrateError::Read { path: path.to_owned(), source };
    let entries = std::fs::read_dir(path).map_err(failed)?;
    let mut files =
        entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>().map_err(failed)?;
    let ends =
        |file: &PathBuf| file.extension().is_some_and(|end| end == "yaml" || end == "yml" || end == "json");
    files.retain(ends);
    files.sort();
    Ok(files)
}

fn text(path: &Path) -> std::io::Result<String> {
    if path != Path::new("-") {
        return std::fs::read_to_string(path);
    }
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text)?;
    Ok(text)
}

/// The objects in the cluster: those of all namespaces, or those of one and the ClusterIssuers that its Certificates name.
pub async fn cluster(cluster: &Cluster, all: bool) -> Result<Vec<Value>, MigrateError> {
    let list = async |kind: &'static str, plural: &'static str, namespace: Option<&str>| {
        let resource = resource(VERSION, kind, plural);
        let api: Api<DynamicObject> = match namespace {
            Some(namespace) => Api::namespaced_with(cluster.client.clone(), namespace, &resource),
            None => Api::all_with(cluster.client.clone(), &resource),
        };
        let found = api.list(&Default::default()).await;
        let found = found.map_err(|source| MigrateError::List { what: plural, source: Box::new(source) })?;
        let objects = found.items.into_iter().filter_map(|object| {
            let mut value = serde_json::to_value(object).ok()?;
            // The items of a list have no version and kind.
            (value["apiVersion"], value["kind"]) = (VERSION.into(), kind.into());
            Some(value)
        });
        Ok(objects.collect::<Vec<Value>>())
    };
    let namespace = (!all).then_some(cluster.namespace.as_str());
    let certificates = list("Certificate", "certificates", namespace).await?;
    let named = |issuer: &Value| {
        let name = Source::of(issuer).name;
        certificates.iter().any(|certificate| {
            let reference = &certificate["spec"]["issuerRef"];
            reference["kind"] == "ClusterIssuer" && reference["name"] == name
        })
    };
    let mut cluster_issuers = list("ClusterIssuer", "clusterissuers", None).await?;
    cluster_issuers.retain(|issuer| all || named(issuer));
    let issuers = list("Issuer", "issuers", namespace).await?;
    Ok(cluster_issuers.into_iter().chain(issuers).chain(certificates).collect())
}
