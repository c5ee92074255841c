//! Archives, as whoever reads them finds them.

use std::fs;

use anyhow::{Context, Result};
use certwright_image::reader::{Archive, manifests};
use certwright_image::{File, Image, Variant};
use oci_spec::image::Arch;
use serde_json::Value;

#[test]
fn the_same_image_makes_the_same_bytes() -> Result<()> {
    let files =
        || vec![File::program("a", b"a".to_vec()), File::data("etc/b", "b"), File::data("etc/c", "c")];
    let mut reversed = files();
    reversed.reverse();
    let first = write(vec![(Arch::Amd64, files())])?;
    assert_eq!(first, write(vec![(Arch::Amd64, files())])?);
    assert_eq!(first, write(vec![(Arch::Amd64, reversed)])?, "in another order");
    Ok(())
}

#[test]
fn an_image_for_one_kind_of_processor_is_named_directly() -> Result<()> {
    let archive = Archive::read(&write(vec![(Arch::ARM64, vec![File::data("a", "a")])])?)?;
    let [manifest] = archive.named()?.try_into().ok().context("one manifest")?;
    assert_eq!(manifest["mediaType"], "application/vnd.oci.image.manifest.v1+json");
    assert_eq!(manifest["platform"]["architecture"], "arm64");
    assert_eq!(manifest["annotations"]["io.containerd.image.name"], "registry.example.com/test:1");
    Ok(())
}

#[test]
fn an_image_for_two_is_an_index_of_both_under_one_name() -> Result<()> {
    let layers = |content: &str| vec![File::data("a", content)];
    let variants = vec![(Arch::Amd64, layers("of amd64")), (Arch::ARM64, layers("of arm64"))];
    let archive = Archive::read(&write(variants)?)?;
    let [index] = archive.named()?.try_into().ok().context("one index")?;
    assert_eq!(index["mediaType"], "application/vnd.oci.image.index.v1+json");
    assert_eq!(index["annotations"]["io.containerd.image.name"], "registry.example.com/test:1");
    let manifests = manifests(&archive.document(&index)?)?;
    let mut configured = Vec::new();
    for manifest in &manifests {
        assert_eq!(manifest["annotations"], Value::Null, "the name is the index's");
        let manifest_itself = archive.document(manifest)?;
        let config = archive.document(&manifest_itself["config"])?;
        assert_eq!(config["architecture"], manifest["platform"]["architecture"]);
        configured.push((config["architecture"].clone(), manifest_itself["layers"][0]["digest"].clone()));
    }
    assert_eq!((&configured[0].0, &configured[1].0), (&"amd64".into(), &"arm64".into()));
    assert_ne!(configured[0].1, configured[1].1, "each has its own layer");
    Ok(())
}

/// The archive of an image with these files for each kind of processor.
fn write(variants: Vec<(Arch, Vec<File>)>) -> Result<Vec<u8>> {
    let labels = ["a", "b", "c", "d", "e"].map(|label| (label.to_owned(), label.to_owned())).into();
    let image = Image {
        name: "registry.example.com/test".into(),
        tag: "1".into(),
        entrypoint: vec!["/a".into()],
        user: "65532:65532".into(),
        labels,
        created: 1_700_000_000,
        variants: variants.into_iter().map(|(architecture, files)| Variant { architecture, files }).collect(),
    };
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("image.tar");
    image.write(&path)?;
    Ok(fs::read(path)?)
}
