//! The results of `make image`: each program and nothing that it does not need.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use certwright_cluster::node::{archive_of, operator_archive};
use certwright_image::reader::{Archive, unpack};
use flate2::read::GzDecoder;
use serde_json::Value;

const MEGABYTE: u64 = 1_000_000;

#[test]
fn the_image_is_small() -> Result<()> {
    for archive in [operator_archive()?, archive_of("certwright-dns")?] {
        let size = fs::metadata(&archive)?.len();
        ensure!(size < 25 * MEGABYTE, "{} has {size} bytes", archive.display());
    }
    Ok(())
}

#[test]
fn the_dns_webhook_has_an_image_of_the_same_form() -> Result<()> {
    let (operator, webhook) = (Image::read()?, Image::read_from(&archive_of("certwright-dns")?)?);
    let renamed = |name: &String| name.replace("certwright-dns", "certwright");
    let files = webhook.files()?;
    assert_eq!(Vec::from_iter(files.keys().map(renamed)), Vec::from_iter(operator.files()?.into_keys()));
    assert_eq!(webhook.config["config"]["User"], "65532:65532");
    assert_eq!(webhook.config["config"]["Entrypoint"], serde_json::json!(["/certwright-dns"]));
    let revision = "/config/Labels/org.opencontainers.image.revision";
    assert_eq!(webhook.config.pointer(revision), operator.config.pointer(revision));
    let bill: Value = serde_json::from_slice(&files["usr/share/doc/certwright-dns/sbom.cdx.json"])?;
    assert_eq!(bill["metadata"]["component"]["name"], "certwright-dns");
    no_path_of_the_machine(&files["certwright-dns"])
}

#[test]
fn the_image_holds_the_operator_roots_and_papers_and_nothing_else() -> Result<()> {
    let files = Image::read()?.files()?;
    let expected = [
        "certwright",
        "etc/",
        "etc/nsswitch.conf",
        "etc/ssl/",
        "etc/ssl/certs/",
        "etc/ssl/certs/ca-certificates.crt",
        "usr/",
        "usr/share/",
        "usr/share/doc/",
        "usr/share/doc/certwright/",
        "usr/share/doc/certwright/LICENSE",
        "usr/share/doc/certwright/sbom.cdx.json",
    ];
    assert_eq!(Vec::from_iter(files.keys()), expected);
    let roots = pem::parse_many(&files["etc/ssl/certs/ca-certificates.crt"])?;
    ensure!(roots.len() > 100, "roots of public CAs: {}", roots.len());
    Ok(())
}

#[test]
fn the_image_says_what_it_is_and_runs_as_nobody() -> Result<()> {
    let image = Image::read()?;
    let labels = &image.config["config"]["Labels"];
    assert_eq!(labels, &image.manifest["annotations"], "labels, and annotations");
    let about = |name: &str| labels[format!("org.opencontainers.image.{name}")].as_str();
    assert_eq!(about("title"), Some("Certwright"));
    assert_eq!(about("version"), Some(env!("CARGO_PKG_VERSION")));
    assert_eq!(about("licenses"), Some(env!("CARGO_PKG_LICENSE")));
    for name in ["description", "created", "revision"] {
        ensure!(about(name).is_some_and(|text| text.len() > 10), "{name}: {labels}");
    }
    assert_eq!(image.config["config"]["User"], "65532:65532");
    assert_eq!(image.config["config"]["Entrypoint"], serde_json::json!(["/certwright"]));
    Ok(())
}

/// Its revision is the commit that it was built from, with `-dirty` if the sources had been changed since. In that case, their
/// times are compared.
#[test]
fn the_image_is_made_from_the_sources_as_they_are_now() -> Result<()> {
    let image = Image::read()?;
    let revision = &image.config["config"]["Labels"]["org.opencontainers.image.revision"];
    let revision = revision.as_str().context("no revision")?;
    let (commit, dirty) = match revision.strip_suffix("-dirty") {
        Some(commit) => (commit, true),
        None => (revision, false),
    };
    let inputs = inputs()?;
    let inputs: Vec<&str> = inputs.split_whitespace().collect();
    ensure!(inputs.contains(&"src") && inputs.contains(&"Cargo.lock"), "{inputs:?}");
    let list = |options: &[&str]| git(&[options, &["--"], &inputs].concat());
    let again = "make the image again by `make image`";
    let changed =
        list(&["diff", "--name-only", commit])? + &list(&["ls-files", "--others", "--exclude-standard"])?;
    if !dirty {
        ensure!(
            changed.is_empty(),
            "the image is of {commit}, and these have been changed since; {again}:\n{changed}"
        );
        return Ok(());
    }
    ensure!(!changed.is_empty(), "the image is of changes to {commit} that are gone; {again}");
    let made = fs::metadata(operator_archive()?)?.modified()?;
    for name in list(&["ls-files", "--cached", "--others", "--exclude-standard"])?.lines() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
        // If a file was deleted, its folder has changed.
        let path = path.ancestors().find(|path| path.exists()).context("no repository")?;
        ensure!(fs::metadata(path)?.modified()? <= made, "{name} is newer than the image; {again}");
    }
    Ok(())
}

#[test]
fn the_bill_of_materials_names_what_the_operator_is_made_of() -> Result<()> {
    let files = Image::read()?.files()?;
    let bill: Value = serde_json::from_slice(&files["usr/share/doc/certwright/sbom.cdx.json"])?;
    assert_eq!(bill["bomFormat"], "CycloneDX");
    assert_eq!(bill["metadata"]["component"]["name"], "certwright");
    let components = bill["components"].as_array().context("no components")?;
    let names: Vec<&str> = components.iter().filter_map(|component| component["name"].as_str()).collect();
    for name in ["kube", "rustls", "aws-lc-rs"] {
        ensure!(names.contains(&name), "{name} is part of it: {names:?}");
    }
    ensure!(!names.contains(&"wiremock"), "what only tests use is no part of it");
    Ok(())
}

#[test]
fn no_path_of_the_machine_that_built_it_is_in_the_operator() -> Result<()> {
    let files = Image::read()?.files()?;
    no_path_of_the_machine(&files["certwright"])
}

fn no_path_of_the_machine(program: &[u8]) -> Result<()> {
    let program = String::from_utf8_lossy(program).into_owned();
    for path in [env!("CARGO_MANIFEST_DIR"), "/.cargo/registry/"] {
        ensure!(!program.contains(path), "{path} is in it");
    }
    Ok(())
}

/// The inputs of the image, from the Makefile.
fn inputs() -> Result<String> {
    let makefile = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/Makefile"))?;
    let inputs = makefile.lines().find_map(|line| line.strip_prefix("IMAGE_INPUTS := "));
    Ok(inputs.context("the Makefile has no IMAGE_INPUTS")?.to_owned())
}

fn git(arguments: &[&str]) -> Result<String> {
    let output = Command::new("git")
        // It may not write to the repository, not even caches.
        .arg("--no-optional-locks")
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "git {arguments:?}: {errors}");
    Ok(String::from_utf8(output.stdout)?)
}

/// The one image in the archive.
struct Image {
    manifest: Value,
    config: Value,
    layer: Vec<u8>,
}

impl Image {
    fn read() -> Result<Self> {
        Self::read_from(&operator_archive()?)
    }

    fn read_from(path: &Path) -> Result<Self> {
        let archive = fs::read(path)
            .with_context(|| format!("no image in {}; make it by `make image`", path.display()))?;
        let archive = Archive::read(&archive)?;
        let [named] = archive.named()?.try_into().ok().context("one image")?;
        let manifest = archive.document(&named)?;
        ensure!(manifest["layers"].as_array().is_some_and(|all| all.len() == 1), "one layer: {manifest}");
        let config = archive.document(&manifest["config"])?;
        let mut layer = Vec::new();
        GzDecoder::new(archive.blob(&manifest["layers"][0])?).read_to_end(&mut layer)?;
        Ok(Self { manifest, config, layer })
    }

    fn files(&self) -> Result<BTreeMap<String, Vec<u8>>> {
        unpack(&self.layer)
    }
}
