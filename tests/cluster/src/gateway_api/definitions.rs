//! The Gateway API's CustomResourceDefinitions, from its Go module at a pinned version.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::tools::cache_dir;

const MODULE: &str = "sigs.k8s.io/gateway-api";

/// Downloads them if necessary.
pub fn install() -> Result<()> {
    let directory = directory()?;
    if directory.exists() {
        return Ok(());
    }
    let cache = directory.parent().context("the cache has a directory")?;
    fs::create_dir_all(cache)?;
    let lock = File::create(cache.join(".lock"))?;
    lock.lock()?;
    if directory.exists() {
        return Ok(());
    }
    let module = download()?;
    let unpacked = tempfile::tempdir_in(cache)?;
    run(Command::new("python3").args(["-m", "zipfile", "-e"]).arg(&module.zip).arg(unpacked.path()))?;
    let source = unpacked.path().join(format!("{MODULE}@{}", module.version)).join("config/crd/standard");
    let definitions = unpacked.path().join("definitions");
    fs::create_dir(&definitions)?;
    for entry in fs::read_dir(&source).with_context(|| format!("{MODULE} has no standard definitions"))? {
        let path = entry?.path();
        // The folder also has a policy that prevents downgrades.
        if fs::read_to_string(&path)?.contains("\nkind: CustomResourceDefinition\n") {
            fs::copy(&path, definitions.join(path.file_name().context("a file has a name")?))?;
        }
    }
    fs::rename(&definitions, &directory)?;
    Ok(())
}

/// Where they are: one file for each definition. The folder exists only when all of them do.
pub fn directory() -> Result<PathBuf> {
    let pins = fs::read(source().join("go.sum"))?;
    let digest: String = Sha256::digest(pins).iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    Ok(cache_dir()?.join("gateway-api").join(digest))
}

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tools/gateway-api")
}

/// The output of `go mod download -json` for a module.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Module {
    version: String,
    #[serde(default)]
    zip: PathBuf,
    #[serde(default)]
    sum: String,
    #[serde(default)]
    error: String,
}

/// Downloads the module with Go's own client, and compares it with the pinned checksum.
///
/// The module may require a newer version of Go. Go reports an error then, which does not matter for YAML files, as long as the
/// module's archive was downloaded with the right checksum.
fn download() -> Result<Module> {
    let (version, sum) = pinned()?;
    let output = Command::new("go")
        .args(["mod", "download", "-json", &format!("{MODULE}@{version}")])
        .current_dir(source())
        .env("GOTOOLCHAIN", "local")
        .output()
        .context("cannot start go")?;
    let module: Module = serde_json::from_slice(&output.stdout).with_context(|| {
        format!("go mod download {MODULE} failed: {}", String::from_utf8_lossy(&output.stderr).trim())
    })?;
    ensure!(
        module.zip.is_file() && module.sum == sum,
        "go mod download {MODULE}@{version} failed, with the checksum {:?}: {}",
        module.sum,
        module.error
    );
    Ok(module)
}

/// The version and checksum in `go.sum`.
fn pinned() -> Result<(String, String)> {
    let path = source().join("go.sum");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let words = text.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let pinned = words.into_iter().find_map(|words| match words[..] {
        [MODULE, version, sum] if !version.ends_with("/go.mod") => Some((version.into(), sum.into())),
        _ => None,
    });
    pinned.with_context(|| format!("go.sum does not pin {MODULE}"))
}

fn run(command: &mut Command) -> Result<()> {
    let program = command.get_program().display().to_string();
    let output = command.output().with_context(|| format!("cannot start {program}"))?;
    ensure!(
        output.status.success(),
        "{program} failed to unpack {MODULE}: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_module_is_pinned_to_one_version() {
        let (version, sum) = pinned().unwrap();
        let module = fs::read_to_string(source().join("go.mod")).unwrap();
        assert!(module.contains(&format!("require {MODULE} {version}\n")), "{module}");
        assert!(sum.starts_with("h1:"), "{sum}");
    }
}
