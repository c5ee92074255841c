//! Whether this machine lets the user create the Linux namespaces of a run.

use std::process::Command;

use anyhow::{Context, Result, bail};
use rustix::process::geteuid;

use crate::packages;

/// The arguments of `unshare` for the namespaces of a run.
pub fn flags() -> Result<Vec<&'static str>> {
    let mut flags = vec!["--net", "--mount", "--pid", "--fork", "--kill-child"];
    if !geteuid().is_root() {
        flags.push("--map-root-user");
    }
    let with_proc: Vec<_> = flags.iter().copied().chain(["--mount-proc"]).collect();
    if try_unshare(&with_proc)?.is_none() {
        return Ok(with_proc);
    }
    let Some(error) = try_unshare(&flags)? else {
        eprintln!(
            "This machine does not allow mounting /proc: CPU time and memory of operators cannot be read."
        );
        return Ok(flags);
    };
    bail!(
        "cannot make network, mount and process namespaces: {}. Run as root, or allow unprivileged user namespaces \
         (sysctl kernel.unprivileged_userns_clone=1, kernel.apparmor_restrict_unprivileged_userns=0)",
        error.trim()
    )
}

/// The error of `unshare` with these flags, if any.
fn try_unshare(flags: &[&str]) -> Result<Option<String>> {
    let output = Command::new("unshare")
        .args(flags)
        .arg("true")
        .env("PATH", packages::search_path())
        .output()
        .context("cannot start unshare")?;
    Ok((!output.status.success()).then(|| String::from_utf8_lossy(&output.stderr).into_owned()))
}
