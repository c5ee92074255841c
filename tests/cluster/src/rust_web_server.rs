//! The Gateway controller of rust-web-server, built from the Rust package registry at pinned versions.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};

use crate::tools::cache_dir;

const PROGRAM: &str = "rws-gateway";
const SOURCES: [&str; 5] =
    ["Cargo.toml", "Cargo.lock", "src/main.rs", "webpki-roots/Cargo.toml", "webpki-roots/src/lib.rs"];

/// Builds it if necessary.
pub fn install() -> Result<()> {
    let program = program()?;
    if program.exists() {
        return Ok(());
    }
    let directory = program.parent().context("a program's path has a directory")?;
    fs::create_dir_all(directory)?;
    let lock = File::create(directory.join(".lock"))?;
    lock.lock()?;
    if program.exists() {
        return Ok(());
    }
    let start = Instant::now();
    eprintln!("Building the Gateway controller of rust-web-server, this once: some 4 minutes on two cores.");
    let target = directory.join("target");
    // It declares a newer compiler than it needs.
    let output = Command::new("cargo")
        .args(["build", "--locked", "--ignore-rust-version", "--target-dir"])
        .arg(&target)
        .current_dir(source())
        .output()
        .context("cannot start cargo")?;
    ensure!(
        output.status.success(),
        "cargo failed to build {PROGRAM}: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    fs::rename(target.join("debug").join(PROGRAM), &program)?;
    fs::remove_dir_all(&target)?;
    eprintln!("The Gateway controller is built after {} s", start.elapsed().as_secs());
    Ok(())
}

/// Its program.
pub fn program() -> Result<PathBuf> {
    let mut hash = Sha256::new();
    for file in SOURCES {
        let path = source().join(file);
        hash.update(fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?);
    }
    let digest: String = hash.finalize().iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    Ok(cache_dir()?.join("rust").join(format!("rust-web-server-{digest}")).join(PROGRAM))
}

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tools/rust-web-server")
}
