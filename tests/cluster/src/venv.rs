//! The ingress controller EasyHAProxy, installed from the Python package index at pinned versions.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};

use crate::tools::cache_dir;

/// Installs it, if it is not there.
pub fn install() -> Result<()> {
    let directory = directory()?;
    if program()?.exists() {
        return Ok(());
    }
    let cache = directory.parent().context("the cache has a directory")?;
    fs::create_dir_all(cache)?;
    let lock = File::create(cache.join(".lock"))?;
    lock.lock()?;
    if program()?.exists() {
        return Ok(());
    }
    let start = Instant::now();
    eprintln!("Installing the ingress controller EasyHAProxy into {}", directory.display());
    // What a broken-off run left is no good.
    let _ = fs::remove_dir_all(&directory);
    run(Command::new("python3").args(["-m", "venv"]).arg(&directory))?;
    run(Command::new(directory.join("bin/pip"))
        .args(["install", "--quiet", "--no-deps", "--requirement"])
        .arg(requirements()))?;
    eprintln!("EasyHAProxy is installed after {} s", start.elapsed().as_secs());
    Ok(())
}

/// Its program. pip writes this last, so it exists only once everything does.
pub fn program() -> Result<PathBuf> {
    Ok(directory()?.join("bin/easy-haproxy"))
}

fn directory() -> Result<PathBuf> {
    let path = requirements();
    let pins = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let digest: String = Sha256::digest(pins).iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    Ok(cache_dir()?.join("python").join(format!("easyhaproxy-{digest}")))
}

fn requirements() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tools/easyhaproxy/requirements.txt")
}

fn run(command: &mut Command) -> Result<()> {
    let program = command.get_program().display().to_string();
    let output = command.output().with_context(|| format!("cannot start {program}"))?;
    ensure!(
        output.status.success(),
        "{program} failed to install EasyHAProxy: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(())
}
