//! Programs that come from the operating system.

use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::geteuid;

/// A program, the Debian package that holds it, and what it is for.
#[derive(Clone, Copy)]
pub struct Need {
    program: &'static str,
    package: &'static str,
    purpose: &'static str,
}

/// What every run needs.
pub const BASE: &[Need] = &[
    Need { program: "unshare", package: "util-linux", purpose: "makes the namespaces the tests run in" },
    Need {
        program: "setpriv",
        package: "util-linux",
        purpose: "ends the tests' processes with their parent",
    },
    Need { program: "ip", package: "iproute2", purpose: "sets the addresses of the tests' network" },
];

/// What the tests with a real ingress controller need.
pub const INGRESS_CONTROLLER: &[Need] = &[
    Need { program: "nft", package: "nftables", purpose: "lets kube-proxy make services reachable" },
    Need {
        program: "haproxy",
        package: "haproxy",
        purpose: "is the proxy of the ingress controller EasyHAProxy",
    },
    Need {
        program: "python3",
        package: "python3-venv",
        purpose: "runs EasyHAProxy, acme2certifier, moto and DNS clients",
    },
];

/// What a node with pods needs.
pub const NODE: &[Need] = &[
    Need { program: "runc", package: "runc", purpose: "starts the containers of pods" },
    Need {
        program: "/usr/lib/cni/bridge",
        package: "containernetworking-plugins",
        purpose: "gives pods their network",
    },
    Need { program: "nft", package: "nftables", purpose: "lets kube-proxy make services reachable" },
    Need { program: "unbound", package: "unbound", purpose: "is the resolver that pods ask" },
];

/// What the tests with name servers need.
pub const NAME_SERVERS: &[Need] = &[
    Need { program: "named", package: "bind9", purpose: "is the name server of most tests of DNS-01" },
    Need { program: "rndc", package: "bind9-utils", purpose: "tells named when to transfer a zone" },
    Need { program: "dig", package: "bind9-dnsutils", purpose: "asks the tests' name servers" },
    Need {
        program: "nsupdate",
        package: "bind9-dnsutils",
        purpose: "changes zones of the tests' name servers",
    },
    Need { program: "knotd", package: "knot", purpose: "is a name server by other authors" },
    Need { program: "unbound", package: "unbound", purpose: "is the resolver of tests of DNS-01" },
    Need {
        program: "pdns_server",
        package: "pdns-server pdns-backend-lmdb",
        purpose: "is a name server with an HTTP API",
    },
    Need { program: "faketime", package: "faketime", purpose: "gives programs another clock" },
];

/// What the tests of alerts need.
pub const MONITORING: &[Need] =
    &[Need { program: "promtool", package: "prometheus", purpose: "tells which alerts fire" }];

/// What the tests of the documentation need.
pub const DOCUMENTATION: &[Need] = &[
    Need { program: "chromium", package: "chromium", purpose: "shows the pages of the user guide" },
    Need { program: "hunspell", package: "hunspell", purpose: "checks the spelling of the documentation" },
    Need {
        program: "/usr/share/hunspell/en_US.dic",
        package: "hunspell-en-us",
        purpose: "is the dictionary of hunspell",
    },
];

/// Fails if a program is missing, and says how to install it. Installs it if this runs as root on Debian.
pub fn ensure_installed(needs: &[&Need]) -> Result<()> {
    let missing: Vec<_> = needs.iter().filter(|need| find(need.program).is_none()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let mut packages: Vec<_> = missing.iter().map(|need| need.package).collect();
    packages.dedup();
    let packages = packages.join(" ");
    let reasons: Vec<_> =
        missing.iter().map(|need| format!("{} is missing: it {}.", need.program, need.purpose)).collect();
    if !geteuid().is_root() || find("apt-get").is_none() {
        bail!("{} On Debian, get it by `apt-get install {packages}`", reasons.join(" "));
    }
    eprintln!("{} Installing {packages}.", reasons.join(" "));
    if apt_get(&format!("install {packages}")).is_err() {
        apt_get("update")?;
        apt_get(&format!("install {packages}"))?;
    }
    Ok(())
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
