//! Programs that come from the operating system.

use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};
use rustix::process::geteuid;

/// A program, the package that holds it, and what it is for.
#[derive(Clone, Copy)]
pub struct Need {
    program: &'static str,
    /// The package of Debian and Ubuntu.
    package: &'static str,
    /// The package of Fedora, for what is needed beyond the tests.
    fedora: Option<&'static str>,
    purpose: &'static str,
}

/// What every run needs.
pub const BASE: &[Need] = &[
    Need {
        program: "unshare",
        package: "util-linux",
        fedora: Some("util-linux"),
        purpose: "makes the namespaces that a cluster runs in",
    },
    Need {
        program: "setpriv",
        package: "util-linux",
        fedora: Some("util-linux"),
        purpose: "ends a cluster's processes with their parent",
    },
    Need {
        program: "ip",
        package: "iproute2",
        fedora: Some("iproute"),
        purpose: "sets the addresses of a cluster's network",
    },
];

/// What the tests with a real ingress controller need.
pub const INGRESS_CONTROLLER: &[Need] = &[
    Need {
        program: "nft",
        package: "nftables",
        fedora: None,
        purpose: "lets kube-proxy make services reachable",
    },
    Need {
        program: "haproxy",
        package: "haproxy",
        fedora: None,
        purpose: "is the proxy of the ingress controller EasyHAProxy",
    },
    Need {
        program: "python3",
        package: "python3-venv",
        fedora: None,
        purpose: "runs EasyHAProxy, acme2certifier, moto and DNS clients",
    },
];

/// What a node with pods needs.
pub const NODE: &[Need] = &[
    Need { program: "runc", package: "runc", fedora: None, purpose: "starts the containers of pods" },
    Need {
        program: "/usr/lib/cni/bridge",
        package: "containernetworking-plugins",
        fedora: None,
        purpose: "gives pods their network",
    },
    Need {
        program: "nft",
        package: "nftables",
        fedora: None,
        purpose: "lets kube-proxy make services reachable",
    },
    Need { program: "unbound", package: "unbound", fedora: None, purpose: "is the resolver that pods ask" },
];

/// What the tests with name servers need.
pub const NAME_SERVERS: &[Need] = &[
    Need {
        program: "named",
        package: "bind9",
        fedora: None,
        purpose: "is the name server of most tests of DNS-01",
    },
    Need {
        program: "rndc",
        package: "bind9-utils",
        fedora: None,
        purpose: "tells named when to transfer a zone",
    },
    Need { program: "dig", package: "bind9-dnsutils", fedora: None, purpose: "asks the tests' name servers" },
    Need {
        program: "nsupdate",
        package: "bind9-dnsutils",
        fedora: None,
        purpose: "changes zones of the tests' name servers",
    },
    Need { program: "knotd", package: "knot", fedora: None, purpose: "is a name server by other authors" },
    Need {
        program: "unbound",
        package: "unbound",
        fedora: None,
        purpose: "is the resolver of tests of DNS-01",
    },
    Need {
        program: "pdns_server",
        package: "pdns-server pdns-backend-lmdb",
        fedora: None,
        purpose: "is a name server with an HTTP API",
    },
    Need { program: "faketime", package: "faketime", fedora: None, purpose: "gives programs another clock" },
];

/// What the tests of alerts need.
pub const MONITORING: &[Need] = &[
    Need { program: "promtool", package: "prometheus", fedora: None, purpose: "tells which alerts fire" },
    Need {
        program: "amtool",
        package: "prometheus-alertmanager",
        fedora: None,
        purpose: "tells where alerts are sent",
    },
];

/// What the tests of the documentation need.
pub const DOCUMENTATION: &[Need] = &[
    Need {
        program: "chromium",
        package: "chromium",
        fedora: None,
        purpose: "shows the pages of the user guide",
    },
    Need {
        program: "hunspell",
        package: "hunspell",
        fedora: None,
        purpose: "checks the spelling of the documentation",
    },
    Need {
        program: "/usr/share/hunspell/en_US.dic",
        package: "hunspell-en-us",
        fedora: None,
        purpose: "is the dictionary of hunspell",
    },
];

/// What all tests need.
pub const ALL: &[&[Need]] = &[BASE, INGRESS_CONTROLLER, NAME_SERVERS, MONITORING, NODE, DOCUMENTATION];

/// Fails if a program is missing, and says how to get it.
pub fn ensure_present(needs: &[&Need]) -> Result<()> {
    let missing = missing(needs);
    ensure!(missing.is_empty(), "{} {}", reasons(&missing), how_to_get(&missing));
    Ok(())
}

/// Installs the programs that are missing, after it has said so, if this runs as root on Debian. With `INSTALL=0` in the
/// environment, and elsewhere, it fails and says how to get them.
pub fn ensure_installed(needs: &[&Need]) -> Result<()> {
    let missing = missing(needs);
    if missing.is_empty() {
        return Ok(());
    }
    let refused = env::var("INSTALL").is_ok_and(|value| value == "0");
    ensure!(
        !refused,
        "{} Nothing is installed because of INSTALL=0. {}",
        reasons(&missing),
        how_to_get(&missing)
    );
    if !geteuid().is_root() || find("apt-get").is_none() {
        return ensure_present(&missing);
    }
    let packages = names(missing.iter().map(|need| need.package));
    eprintln!("{} Installing {packages} with apt-get; INSTALL=0 leaves that to you.", reasons(&missing));
    if apt_get(&format!("install {packages}")).is_err() {
        apt_get("update")?;
        apt_get(&format!("install {packages}"))?;
    }
    ensure_present(&missing).context("after the installation")
}

fn missing<'a>(needs: &[&'a Need]) -> Vec<&'a Need> {
    needs.iter().copied().filter(|need| find(need.program).is_none()).collect()
}

fn reasons(missing: &[&Need]) -> String {
    let reasons: Vec<_> =
        missing.iter().map(|need| format!("{} is missing: it {}.", need.program, need.purpose)).collect();
    reasons.join(" ")
}

fn how_to_get(missing: &[&Need]) -> String {
    let debian = names(missing.iter().map(|need| need.package));
    let fedora: Option<Vec<_>> = missing.iter().map(|need| need.fedora).collect();
    match fedora {
        Some(fedora) => format!(
            "Run `apt-get install {debian}` on Debian or Ubuntu, `dnf install {}` on Fedora, `pacman -S {debian}` on Arch \
             Linux, or `apk add {debian}` on Alpine",
            names(fedora)
        ),
        None => format!(
            "Run `apt-get install {debian}` on Debian or Ubuntu; elsewhere, install what contains them"
        ),
    }
}

/// The names of packages, each once.
fn names<'a>(packages: impl IntoIterator<Item = &'a str>) -> String {
    let mut names = Vec::new();
    for package in packages.into_iter().flat_map(|names| names.split(' ')) {
        if !names.contains(&package) {
            names.push(package);
        }
    }
    names.join(" ")
}

/// `PATH` and the directories of system programs, which most users do not have in `PATH`.
pub fn search_path() -> OsString {
    let path = env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from);
    env::join_paths(env::split_paths(&path).chain(system)).unwrap_or(path)
}

/// The path of a program of the operating system.
pub fn find(program: &str) -> Option<PathBuf> {
    env::split_paths(&search_path()).map(|directory| directory.join(program)).find(|path| path.is_file())
}

/// A copy of a program of the operating system, in `directory`. AppArmor identifies servers by their paths, and restricts them to
/// their own directories.
pub fn copy(program: &str, directory: &Path) -> Result<PathBuf> {
    let original = find(program).with_context(|| format!("{program} is missing. Run `make tools`"))?;
    let copy = directory.join(program);
    // A file that this process writes cannot be executed while a child that another thread has just forked has it open.
    let output = Command::new("cp").arg(original).arg(&copy).output().context("cannot start cp")?;
    ensure!(
        output.status.success(),
        "cannot copy {program}: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(copy)
}

fn apt_get(arguments: &str) -> Result<()> {
    let output = Command::new("apt-get")
        .args(["--yes", "--quiet", "--no-install-recommends"])
        .args(arguments.split(' '))
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(Stdio::null())
        .output()
        .context("cannot start apt-get")?;
    ensure!(
        output.status.success(),
        "apt-get {arguments} failed: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_is_named_with_the_way_to_get_it_on_several_systems() {
        let absent = |program, package, fedora| Need { program, package, fedora, purpose: "is for a test" };
        let first = absent("no-such-program", "util-linux", Some("util-linux"));
        let second = absent("no-such-one-either", "iproute2", Some("iproute"));
        let error = ensure_present(&[&first, &second]).unwrap_err().to_string();
        assert_eq!(
            error,
            "no-such-program is missing: it is for a test. no-such-one-either is missing: it is for a test. Run `apt-get \
             install util-linux iproute2` on Debian or Ubuntu, `dnf install util-linux iproute` on Fedora, `pacman -S \
             util-linux iproute2` on Arch Linux, or `apk add util-linux iproute2` on Alpine"
        );
    }

    #[test]
    fn each_package_is_named_once() {
        assert_eq!(
            names(["bind9", "pdns-server pdns-backend-lmdb", "knot", "bind9"]),
            "bind9 pdns-server pdns-backend-lmdb knot"
        );
    }
}
