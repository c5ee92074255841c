//! Programs from the Python package index, at pinned versions, each in a separate environment.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};

use crate::tools::cache_dir;

/// An environment; its pins are in `tools/<name>/requirements.txt`.
pub struct Venv {
    name: &'static str,
    /// A file that exists when the environment is complete.
    last: &'static str,
}

/// The ingress controller EasyHAProxy.
pub const EASYHAPROXY: Venv = Venv {
    name: "easyhaproxy",
    // pip writes it last.
    last: "bin/easy-haproxy",
};

/// The ACME server acme2certifier.
pub const ACME2CERTIFIER: Venv = Venv { name: "acme2certifier", last: "installed" };

/// The emulator of AWS moto. Its other dependencies belong to services that no test uses.
pub const MOTO: Venv = Venv { name: "moto", last: "bin/moto_server" };

/// DNS clients of others, for the services that lego's providers cannot be built for. Their other dependencies belong to services
/// that no test uses.
pub const DNS_CLIENTS: Venv = Venv { name: "dns-clients", last: "installed" };

/// Installs the missing ones.
pub fn install() -> Result<()> {
    [EASYHAPROXY, ACME2CERTIFIER, MOTO, DNS_CLIENTS].iter().try_for_each(Venv::install)
}

impl Venv {
    fn install(&self) -> Result<()> {
        let (directory, last) = (self.directory()?, self.last()?);
        if last.exists() {
            return Ok(());
        }
        let cache = directory.parent().context("the cache has a directory")?;
        fs::create_dir_all(cache)?;
        let lock = File::create(cache.join(".lock"))?;
        lock.lock()?;
        if last.exists() {
            return Ok(());
        }
        let start = Instant::now();
        eprintln!("Installing {} into {}", self.name, directory.display());
        // An incomplete installation cannot be used.
        let _ = fs::remove_dir_all(&directory);
        self.run(Command::new("python3").args(["-m", "venv"]).arg(&directory))?;
        self.run(
            Command::new(directory.join("bin/pip"))
                .args(["install", "--quiet", "--no-deps", "--requirement"])
                .arg(self.requirements()),
        )?;
        if !last.exists() {
            File::create(&last)?;
        }
        eprintln!("{} is installed after {} s", self.name, start.elapsed().as_secs());
        Ok(())
    }

    /// One of its programs.
    pub fn program(&self, name: &str) -> Result<PathBuf> {
        ensure!(self.last()?.exists(), "{} is not installed. Run `make tools`", self.name);
        Ok(self.directory()?.join("bin").join(name))
    }

    /// Its Python.
    pub fn python(&self) -> Result<PathBuf> {
        self.program("python")
    }

    fn last(&self) -> Result<PathBuf> {
        Ok(self.directory()?.join(self.last))
    }

    fn directory(&self) -> Result<PathBuf> {
        let path = self.requirements();
        let pins = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let digest: String = Sha256::digest(pins).iter().take(6).map(|byte| format!("{byte:02x}")).collect();
        Ok(cache_dir()?.join("python").join(format!("{}-{digest}", self.name)))
    }

    fn requirements(&self) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tools").join(self.name).join("requirements.txt")
    }

    fn run(&self, command: &mut Command) -> Result<()> {
        let program = command.get_program().display().to_string();
        let output = command.output().with_context(|| format!("cannot start {program}"))?;
        ensure!(
            output.status.success(),
            "{program} failed to install {}: {}",
            self.name,
            String::from_utf8_lossy(&output.stderr).trim()
        );
        Ok(())
    }
}
