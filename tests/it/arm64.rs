//! The image for two kinds of processor, and its program for arm64, emulated by qemu. `make test-arm64` makes the image and runs
//! these tests.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::common::helm::run;
use crate::common::{SOON, certificate, issued, issuer};
use anyhow::{Context, Result};
use certwright_cluster::node::archive_of;
use certwright_cluster::{Operator, Pebble, TestNamespace};
use certwright_image::reader::{Archive, manifests};
use flate2::read::GzDecoder;
use serde_json::Value;

const EMULATOR: &str = "qemu-aarch64";

#[test]
#[ignore = "needs an image for arm64 and qemu: make test-arm64"]
fn an_image_has_both_programs_of_one_commit_and_the_one_for_arm64_says_the_same() -> Result<()> {
    for program in ["certwright", "certwright-dns"] {
        let images = images(program)?;
        assert_eq!(Vec::from_iter(images.keys()), ["amd64", "arm64"], "{program}");
        let revision = "/config/Labels/org.opencontainers.image.revision";
        let of = |architecture: &str| images[architecture].config.pointer(revision).cloned();
        assert_eq!(of("amd64"), of("arm64"), "{program}");
        assert!(of("arm64").is_some(), "{program}");
        let folder = tempfile::tempdir()?;
        let arm64 = images["arm64"].extract(program, folder.path())?;
        let amd64 = images["amd64"].extract(program, folder.path())?;
        let [theirs, ours] = [run(EMULATOR, &[&arm64, "--version"])?, run(&amd64, &["--version"])?];
        assert_eq!(theirs, ours, "{program}");
        if program == "certwright" {
            let definitions = run(EMULATOR, &[&arm64, "crds"])?;
            assert!(definitions.len() > 10_000, "{definitions}");
            assert_eq!(definitions, run(&amd64, &["crds"])?);
        }
    }
    Ok(())
}

#[tokio::test]
#[ignore = "needs an image for arm64 and qemu: make test-arm64"]
async fn the_operator_for_arm64_issues_a_certificate() -> Result<()> {
    TestNamespace::with("arm64", async |ns| {
        let folder = tempfile::tempdir()?;
        let program = images("certwright")?["arm64"].extract("certwright", folder.path())?;
        let emulated = folder.path().join("emulated");
        fs::write(&emulated, format!("#!/bin/sh\nexec {EMULATOR} {program} \"$@\"\n"))?;
        fs::set_permissions(&emulated, fs::Permissions::from_mode(0o755))?;
        let pebble = Pebble::builder().start(&ns.cluster).await?;
        let operator = Operator::builder(ns).binary(emulated).spawn().await?;
        operator.wait_ready(Duration::from_secs(120)).await?;
        ns.apply(&issuer(&pebble.directory_url, &pebble.ca_pem, "")).await?;
        ns.wait_condition("issuer/ca", "Ready", "True", SOON).await?;
        ns.apply(&certificate("web", &["a.example.com"], "")).await?;
        issued(ns, "web").await?;
        Ok(())
    })
    .await
}

/// An image of an index.
struct Image {
    architecture: String,
    config: Value,
    layer: Vec<u8>,
}

impl Image {
    /// Writes a file of the image, which is a program, into a folder, and returns its path.
    fn extract(&self, name: &str, folder: &Path) -> Result<String> {
        let mut archive = tar::Archive::new(GzDecoder::new(self.layer.as_slice()));
        let path: PathBuf = folder.join(format!("{name}-{}", self.architecture));
        for entry in archive.entries()? {
            let mut entry = entry?;
            if entry.path()?.as_os_str() == name {
                entry.unpack(&path)?;
                return Ok(path.display().to_string());
            }
        }
        anyhow::bail!("the image has no {name}")
    }
}

/// The images of a program by their architecture, from the archive for both.
fn images(program: &str) -> Result<BTreeMap<String, Image>> {
    let path = archive_of(program)?;
    let path = PathBuf::from(path.display().to_string().replace("-oci.tar", "-oci-amd64-arm64.tar"));
    let archive =
        fs::read(&path).with_context(|| format!("no image in {}; run `make test-arm64`", path.display()))?;
    let archive = Archive::read(&archive)?;
    let [named] = archive.named()?.try_into().ok().context("one name")?;
    let mut images = BTreeMap::new();
    for descriptor in manifests(&archive.document(&named)?)? {
        let manifest = archive.document(&descriptor)?;
        let architecture =
            descriptor["platform"]["architecture"].as_str().context("no architecture")?.to_owned();
        let config = archive.document(&manifest["config"])?;
        let layer = archive.blob(&manifest["layers"][0])?.to_vec();
        images.insert(architecture.clone(), Image { architecture, config, layer });
    }
    Ok(images)
}
