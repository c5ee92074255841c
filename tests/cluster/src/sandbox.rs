//! Linux namespaces for a run: a separate network, mounts and process ids.
//!
//! When the first process inside dies, for whatever reason, the kernel kills all others and removes addresses and mounts. So
//! there is nothing to clean up, two runs never interfere, and a killed run leaves nothing behind.

use std::{
    env,
    ffi::OsString,
    fs::{self, File},
    os::unix::{fs::PermissionsExt, process::ExitStatusExt},
    path::{Path, PathBuf},
    process::{Command, ExitStatus},
};

use anyhow::{Context, Result, ensure};
use certwright_programs::namespaces;
use rustix::process::{WaitOptions, wait};
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    ADDRESS, INGRESS_CONTROLLER_ADDRESS, SECOND_ADDRESS, SERVICE_NETWORK, TRAEFIK_ADDRESS, addresses,
    cgroups, packages,
};

const PREFIX: &str = "certwright-";
const LOCK: &str = ".lock";

/// A directory for one run. It is removed when this is dropped, unless `CERTWRIGHT_KEEP` is set.
pub struct StateDir {
    path: PathBuf,
    _lock: File,
}

impl StateDir {
    /// Creates a new directory, and removes those of killed runs.
    pub fn create() -> Result<Self> {
        remove_abandoned();
        let path = tempfile::Builder::new()
            .prefix(PREFIX)
            .permissions(fs::Permissions::from_mode(0o700))
            .tempdir()
            .context("cannot create a directory for this run")?
            .keep();
        let lock = File::create(path.join(LOCK))?;
        lock.lock()?;
        Ok(Self { path, _lock: lock })
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for StateDir {
    fn drop(&mut self) {
        cgroups::remove(&self.path);
        if keep() {
            eprintln!("Logs and files of this run are kept in {}", self.path.display());
        } else {
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// Whether the user wants to keep what a run leaves behind.
pub fn keep() -> bool {
    env::var("CERTWRIGHT_KEEP").is_ok_and(|value| !value.is_empty() && value != "0")
}

/// A run holds a lock on its directory as long as it exists.
fn remove_abandoned() {
    let Ok(entries) = fs::read_dir(env::temp_dir()) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        if !name.to_string_lossy().starts_with(PREFIX) {
            continue;
        }
        let abandoned = File::open(entry.path().join(LOCK)).is_ok_and(|lock| lock.try_lock().is_ok());
        if abandoned && !keep() {
            cgroups::remove(&entry.path());
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// Runs this program again with `arguments` as the first process of new namespaces, and waits for it.
/// Returns its exit code.
pub async fn run_inside(arguments: Vec<OsString>) -> Result<i32> {
    // If the parent dies, `unshare` must die, too, and then the first process inside.
    let mut child = tokio::process::Command::new("setpriv")
        .args(["--pdeathsig", "KILL", "unshare"])
        .args(namespaces::flags()?)
        .arg("--")
        .arg(env::current_exe()?)
        .args(arguments)
        .env("PATH", packages::search_path())
        .kill_on_drop(true)
        .spawn()
        .context("cannot start setpriv")?;

    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let received = tokio::select! {
        status = child.wait() => return Ok(exit_code(status?)),
        _ = interrupt.recv() => 2,
        _ = terminate.recv() => 15,
    };
    child.kill().await?;
    Ok(128 + received)
}

/// An exit code in the form that shells use.
pub fn exit_code(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default())
}

/// The first process inside: starts this program again with the same arguments, and reaps orphans until it ends. Returns its exit
/// code.
pub fn be_init() -> Result<i32> {
    let child = Command::new(env::current_exe()?).args(env::args_os().skip(1)).spawn()?;
    loop {
        let Some((pid, status)) = wait(WaitOptions::empty())? else { continue };
        if u32::try_from(pid.as_raw_nonzero().get()) == Ok(child.id()) {
            return Ok(exit_code(ExitStatus::from_raw(status.as_raw())));
        }
    }
}

/// Sets up the addresses of the namespaces, and a separate `/run`. `state` is the directory of the run.
pub fn set_up(state: &Path) -> Result<()> {
    mount(&["-t", "tmpfs", "tmpfs", "/run"])?;
    ip(&["link", "set", "lo", "up"])?;
    for address in [ADDRESS, SECOND_ADDRESS, INGRESS_CONTROLLER_ADDRESS, TRAEFIK_ADDRESS] {
        ip(&["address", "add", &format!("{address}/32"), "dev", "lo"])?;
    }
    let batch: String =
        addresses::all().map(|address| format!("address add {address}/32 dev lo\n")).collect();
    let file = state.join("addresses.batch");
    fs::write(&file, batch)?;
    ip(&["-batch", &file.display().to_string()])?;
    // Without a route, packets do not reach kube-proxy's rules.
    ip(&["route", "add", SERVICE_NETWORK, "dev", "lo", "src", ADDRESS])?;
    Ok(())
}

/// The kernel settings that a kubelet requires.
const KERNEL_SETTINGS: [(&str, &str); 6] = [
    ("vm/overcommit_memory", "1"),
    ("vm/panic_on_oom", "0"),
    ("kernel/panic", "10"),
    ("kernel/panic_on_oops", "1"),
    ("kernel/keys/root_maxkeys", "1000000"),
    ("kernel/keys/root_maxbytes", "25000000"),
];

/// Keeps what a node writes within the run: control groups, files, and kernel settings, which already have the values that it
/// wants.
pub fn set_up_node(state: &Path) -> Result<()> {
    cgroups::create(state)?;
    for directory in ["/var/lib", "/var/log"] {
        mount(&["-t", "tmpfs", "tmpfs", directory])?;
    }
    for (setting, value) in KERNEL_SETTINGS {
        let file = Path::new("/run").join(setting.replace('/', "."));
        fs::write(&file, format!("{value}\n"))?;
        mount(&["--bind", &file.display().to_string(), &format!("/proc/sys/{setting}")])?;
    }
    fs::write("/proc/sys/net/ipv4/ip_forward", "1").context("cannot let the network namespace forward")?;
    Ok(())
}

fn mount(arguments: &[&str]) -> Result<()> {
    run("mount", arguments)
}

fn ip(arguments: &[&str]) -> Result<()> {
    run("ip", arguments)
}

fn run(program: &str, arguments: &[&str]) -> Result<()> {
    let output =
        Command::new(program).args(arguments).output().with_context(|| format!("cannot start {program}"))?;
    ensure!(
        output.status.success(),
        "{program} {} failed: {}",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(())
}
