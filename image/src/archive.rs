//! An image as an archive in the OCI layout.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context, Result};
use jiff::Timestamp;
use oci_spec::image::{
    ANNOTATION_REF_NAME, Arch, ConfigBuilder, Descriptor, DescriptorBuilder, Digest,
    ImageConfigurationBuilder, ImageIndexBuilder, ImageManifestBuilder, MediaType, OciLayoutBuilder, Os,
    PlatformBuilder, RootFsBuilder, SCHEMA_VERSION,
};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tar::EntryType;

use crate::layer::{self, File};

/// By this annotation containerd and Docker know the whole name of an image in an archive.
const ANNOTATION_IMAGE_NAME: &str = "io.containerd.image.name";

/// An image, for one kind of processor or several.
pub struct Image {
    /// Its whole name, with the registry, such as `ghcr.io/certwright/certwright`.
    pub name: String,
    /// Its tag, such as `0.1.0`.
    pub tag: String,
    /// The program that runs, with its arguments.
    pub entrypoint: Vec<String>,
    /// User and group that it runs as, such as `65532:65532`.
    pub user: String,
    /// What it says of itself, as labels and as annotations.
    pub labels: BTreeMap<String, String>,
    /// Unix time, in seconds, of everything in it.
    pub created: u64,
    /// One for each kind of processor.
    pub variants: Vec<Variant>,
}

/// What an image has for one kind of processor: one layer.
pub struct Variant {
    /// The processors that it is for.
    pub architecture: Arch,
    /// What is in it.
    pub files: Vec<File>,
}

impl Image {
    /// Writes it. The same image makes the same bytes.
    pub fn write(&self, path: &Path) -> Result<()> {
        let mut blobs = Blobs::default();
        let mut manifests = Vec::new();
        for variant in &self.variants {
            manifests.push(self.manifest(variant, &mut blobs)?);
        }
        // The name belongs to one descriptor: that of the only manifest, or of the index of all.
        let mut named = match <[Descriptor; 1]>::try_from(manifests) {
            Ok([manifest]) => manifest,
            Err(manifests) => blobs.add(MediaType::ImageIndex, index(manifests)?)?,
        };
        named.set_annotations(Some(
            [
                (ANNOTATION_REF_NAME.to_owned(), self.tag.clone()),
                (ANNOTATION_IMAGE_NAME.to_owned(), format!("{}:{}", self.name, self.tag)),
            ]
            .into(),
        ));
        let layout = OciLayoutBuilder::default().image_layout_version("1.0.0").build()?;

        let mut archive = tar::Builder::new(Vec::new());
        let mut file = |name: &str, content: &[u8]| {
            layer::append(&mut archive, EntryType::Regular, name, 0o644, content, self.created)
        };
        for (digest, content) in &blobs.0 {
            file(&format!("blobs/sha256/{digest}"), content)?;
        }
        file("index.json", &index(vec![named])?)?;
        file("oci-layout", &json(serde_json::to_value(&layout)?)?)?;
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory)?;
        }
        fs::write(path, archive.into_inner()?).with_context(|| format!("cannot write {}", path.display()))
    }

    /// Adds layer, configuration and manifest, and describes the last.
    fn manifest(&self, variant: &Variant, blobs: &mut Blobs) -> Result<Descriptor> {
        let tar = layer::tar(&variant.files, self.created)?;
        let layer = blobs.add(MediaType::ImageLayerGzip, layer::gzip(&tar)?)?;
        let config = self.configuration(&variant.architecture, &tar)?;
        let config = blobs.add(MediaType::ImageConfig, config)?;
        let manifest = ImageManifestBuilder::default()
            .schema_version(SCHEMA_VERSION)
            .media_type(MediaType::ImageManifest)
            .config(config)
            .layers(vec![layer])
            .annotations(self.labels.clone().into_iter().collect::<std::collections::HashMap<_, _>>())
            .build()?;
        let mut manifest = blobs.add(MediaType::ImageManifest, json(serde_json::to_value(&manifest)?)?)?;
        let platform =
            PlatformBuilder::default().architecture(variant.architecture.clone()).os(Os::Linux).build()?;
        manifest.set_platform(Some(platform));
        Ok(manifest)
    }

    fn configuration(&self, architecture: &Arch, layer: &[u8]) -> Result<Vec<u8>> {
        let config = ConfigBuilder::default()
            .user(self.user.clone())
            .entrypoint(self.entrypoint.clone())
            .labels(self.labels.clone().into_iter().collect::<std::collections::HashMap<_, _>>())
            .build()?;
        let root = RootFsBuilder::default()
            .typ("layers")
            .diff_ids(vec![format!("sha256:{}", sha256(layer))])
            .build()?;
        let created = Timestamp::from_second(i64::try_from(self.created)?)?;
        let configuration = ImageConfigurationBuilder::default()
            .created(created.to_string())
            .architecture(architecture.clone())
            .os(Os::Linux)
            .config(config)
            .rootfs(root)
            .build()?;
        json(serde_json::to_value(&configuration)?)
    }
}

fn index(manifests: Vec<Descriptor>) -> Result<Vec<u8>> {
    let index = ImageIndexBuilder::default()
        .schema_version(SCHEMA_VERSION)
        .media_type(MediaType::ImageIndex)
        .manifests(manifests)
        .build()?;
    json(serde_json::to_value(&index)?)
}

/// What a layout holds, by digest.
#[derive(Default)]
struct Blobs(BTreeMap<String, Vec<u8>>);

impl Blobs {
    fn add(&mut self, kind: MediaType, content: Vec<u8>) -> Result<Descriptor> {
        let digest = sha256(&content);
        let descriptor = DescriptorBuilder::default()
            .media_type(kind)
            .size(content.len() as u64)
            .digest(format!("sha256:{digest}").parse::<Digest>()?)
            .build()?;
        self.0.insert(digest, content);
        Ok(descriptor)
    }
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// With the keys in order: those of labels and annotations come in any.
fn json(mut value: Value) -> Result<Vec<u8>> {
    value.sort_all_objects();
    Ok(serde_json::to_vec(&value)?)
}
