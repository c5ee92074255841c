//! What is in an archive in the OCI layout.

use std::collections::BTreeMap;
use std::io::Read;

use anyhow::{Context, Result};
use serde_json::Value;

/// An archive in the OCI layout.
pub struct Archive(BTreeMap<String, Vec<u8>>);

impl Archive {
    /// Reads one.
    pub fn read(tar: &[u8]) -> Result<Self> {
        Ok(Self(unpack(tar)?))
    }

    /// The descriptors of what has a name: of a manifest, or of an index of manifests.
    pub fn named(&self) -> Result<Vec<Value>> {
        let index = self.0.get("index.json").context("no index.json")?;
        manifests(&serde_json::from_slice(index)?)
    }

    /// What a descriptor describes.
    pub fn blob(&self, descriptor: &Value) -> Result<&[u8]> {
        let digest = descriptor["digest"].as_str().context("a descriptor without a digest")?;
        let path = format!("blobs/{}", digest.replace(':', "/"));
        Ok(self.0.get(&path).with_context(|| format!("no {path}"))?)
    }

    /// The same, as JSON.
    pub fn document(&self, descriptor: &Value) -> Result<Value> {
        Ok(serde_json::from_slice(self.blob(descriptor)?)?)
    }
}

/// The manifests of an index.
pub fn manifests(index: &Value) -> Result<Vec<Value>> {
    Ok(index["manifests"].as_array().context("an index without manifests")?.clone())
}

/// The files of an archive, by path.
pub fn unpack(tar: &[u8]) -> Result<BTreeMap<String, Vec<u8>>> {
    let mut files = BTreeMap::new();
    for entry in tar::Archive::new(tar).entries()? {
        let mut entry = entry?;
        let mut content = Vec::new();
        entry.read_to_end(&mut content)?;
        files.insert(entry.path()?.to_string_lossy().into_owned(), content);
    }
    Ok(files)
}
