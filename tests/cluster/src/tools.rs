//! The programs the tests need, built from pinned Go modules and cached by those pins.

use std::{
    env,
    fs::{self, File},
    io::{BufRead, BufReader, IsTerminal, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

const BUILD_FLAGS: &[&str] = &["-trimpath", "-ldflags", "-s -w"];
const GO_MINIMUM: (u32, u32) = (1, 26);

/// A Go module under `tools/` and the programs built from it.
struct Module {
    name: &'static str,
    /// Build tags, separated by commas.
    tags: &'static str,
    programs: &'static [Program],
}

struct Program {
    name: &'static str,
    package: &'static str,
    /// How long the first build takes on two cores, for the announcement.
    seconds: u64,
}

const MODULES: &[Module] = &[
    Module {
        name: "kubernetes",
        tags: "",
        programs: &[
            Program { name: "pebble", package: "github.com/letsencrypt/pebble/v2/cmd/pebble", seconds: 25 },
            Program {
                name: "pebble-challtestsrv",
                package: "github.com/letsencrypt/pebble/v2/cmd/pebble-challtestsrv",
                seconds: 6,
            },
            Program { name: "kube-apiserver", package: "k8s.io/kubernetes/cmd/kube-apiserver", seconds: 330 },
            Program {
                name: "kube-controller-manager",
                package: "k8s.io/kubernetes/cmd/kube-controller-manager",
                seconds: 100,
            },
            Program { name: "kubectl", package: "k8s.io/kubernetes/cmd/kubectl", seconds: 60 },
            Program { name: "kube-proxy", package: "k8s.io/kubernetes/cmd/kube-proxy", seconds: 25 },
            Program { name: "kubelet", package: "k8s.io/kubernetes/cmd/kubelet", seconds: 60 },
            Program { name: "kube-scheduler", package: "k8s.io/kubernetes/cmd/kube-scheduler", seconds: 20 },
        ],
    },
    Module {
        name: "containerd",
        tags: "no_btrfs,no_devmapper,no_zfs",
        programs: &[
            Program {
                name: "containerd",
                package: "github.com/containerd/containerd/v2/cmd/containerd",
                seconds: 60,
            },
            Program {
                name: "containerd-shim-runc-v2",
                package: "github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2",
                seconds: 10,
            },
            Program { name: "ctr", package: "github.com/containerd/containerd/v2/cmd/ctr", seconds: 15 },
        ],
    },
    Module { name: "pause", tags: "", programs: &[Program { name: "pause", package: ".", seconds: 2 }] },
    Module {
        name: "etcd",
        tags: "",
        programs: &[Program { name: "etcd", package: "go.etcd.io/etcd/server/v3", seconds: 40 }],
    },
    Module {
        name: "step-ca",
        tags: "",
        programs: &[Program {
            name: "step-ca",
            package: "github.com/smallstep/certificates/cmd/step-ca",
            seconds: 180,
        }],
    },
    Module {
        name: "helm",
        tags: "",
        programs: &[Program { name: "helm", package: "helm.sh/helm/v3/cmd/helm", seconds: 165 }],
    },
    Module {
        name: "helm4",
        tags: "",
        programs: &[Program { name: "helm4", package: "helm.sh/helm/v4/cmd/helm", seconds: 165 }],
    },
    Module { name: "kstatus", tags: "", programs: &[Program { name: "kstatus", package: ".", seconds: 50 }] },
    Module {
        name: "argo-health",
        tags: "",
        programs: &[Program { name: "argo-health", package: ".", seconds: 100 }],
    },
    Module {
        name: "cert-manager-webhook",
        tags: "",
        programs: &[
            Program { name: "cert-manager-webhook", package: ".", seconds: 170 },
            Program { name: "cert-manager-conformance", package: "./conformance", seconds: 30 },
        ],
    },
    Module {
        name: "cert-manager",
        tags: "",
        programs: &[Program { name: "cert-manager", package: ".", seconds: 90 }],
    },
    Module { name: "lego", tags: "", programs: &[Program { name: "lego-dns", package: ".", seconds: 90 }] },
    Module {
        name: "traefik",
        // Without clients of DNS services.
        tags: "lego_dnslight",
        programs: &[Program {
            name: "traefik",
            package: "github.com/traefik/traefik/v3/cmd/traefik",
            seconds: 130,
        }],
    },
    Module {
        name: "pebble-new-authz",
        tags: "",
        programs: &[Program { name: "pebble-new-authz", package: ".", seconds: 25 }],
    },
];

/// The directory of the built programs.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Tools {
    directories: Vec<PathBuf>,
}

impl Tools {
    /// Builds the missing programs. Does nothing if there are none.
    pub fn build() -> Result<Self> {
        let cache = cache_dir()?.join("tools");
        fs::create_dir_all(&cache).with_context(|| format!("cannot create {}", cache.display()))?;
        let mut directories = Vec::new();
        let mut missing = Vec::new();
        for module in MODULES {
            let directory = cache.join(format!("{}-{}", module.name, module.digest()?));
            for program in module.programs {
                if !directory.join(program.name).exists() {
                    missing.push((module, program, directory.join(program.name)));
                }
            }
            directories.push(directory);
        }
        if !missing.is_empty() {
            check_go()?;
            build_all(&cache, &missing)?;
        }
        Ok(Self { directories })
    }

    /// The path of a program.
    pub fn program(&self, name: &str) -> Result<PathBuf> {
        self.directories
            .iter()
            .map(|directory| directory.join(name))
            .find(|path| path.exists())
            .with_context(|| format!("the program {name} has not been built. Run `make tools`"))
    }

    /// The value of `PATH` with these programs first.
    pub fn search_path(&self) -> Result<std::ffi::OsString> {
        let inherited = env::var_os("PATH").unwrap_or_default();
        Ok(env::join_paths(self.directories.iter().cloned().chain(env::split_paths(&inherited)))?)
    }
}

/// The directory of built programs, kept between runs: `CERTWRIGHT_CACHE`, or `certwright` in the user's cache directory.
pub fn cache_dir() -> Result<PathBuf> {
    let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("CERTWRIGHT_CACHE")
        .or_else(|| set("XDG_CACHE_HOME").map(|dir| dir.join("certwright")))
        .or_else(|| set("HOME").map(|dir| dir.join(".cache/certwright")))
        .context("no place for built programs: set CERTWRIGHT_CACHE to a directory, or HOME")
}

impl Module {
    fn source(&self) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tools").join(self.name)
    }

    /// Changes whenever the result of the build would change.
    fn digest(&self) -> Result<String> {
        let mut hash = Sha256::new();
        hash_all(&self.source(), &mut hash)?;
        hash.update(BUILD_FLAGS.join(" "));
        hash.update(self.tags);
        Ok(hash.finalize().iter().take(6).map(|byte| format!("{byte:02x}")).collect())
    }
}

/// Adds the content of a file, or of all files of a directory.
fn hash_all(path: &Path, hash: &mut Sha256) -> Result<()> {
    if !path.is_dir() {
        hash.update(fs::read(path).with_context(|| format!("cannot read {}", path.display()))?);
        return Ok(());
    }
    let mut entries: Vec<_> =
        fs::read_dir(path)?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
    entries.sort();
    entries.iter().try_for_each(|entry| hash_all(entry, hash))
}

fn check_go() -> Result<()> {
    let advice = "The tests build Kubernetes, etcd and Pebble with it. Get it from https://go.dev/dl/";
    let (major, minor) = GO_MINIMUM;
    let output = Command::new("go").args(["env", "GOVERSION"]).output();
    let Ok(output) = output else { bail!("Go {major}.{minor} or newer is missing. {advice}") };
    let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let mut numbers = version.trim_start_matches("go").split(['.', 'r', 'b']).map(str::parse::<u32>);
    let found = (numbers.next(), numbers.next());
    if let (Some(Ok(found_major)), Some(Ok(found_minor))) = found {
        ensure!(
            (found_major, found_minor) >= GO_MINIMUM,
            "{version} is too old, Go {major}.{minor} or newer is needed. {advice}"
        );
    }
    Ok(())
}

fn build_all(cache: &Path, missing: &[(&Module, &Program, PathBuf)]) -> Result<()> {
    let lock = File::create(cache.join(".lock"))?;
    if lock.try_lock().is_err() {
        eprintln!("Another run is building the programs for the tests; waiting for it.");
        lock.lock()?;
    }
    let seconds: u64 = missing.iter().map(|(_, program, _)| program.seconds).sum();
    eprintln!(
        "Building {} programs for the tests into {}, this once. On two cores it takes about {} minutes.",
        missing.len(),
        cache.display(),
        seconds.div_ceil(60)
    );
    for (index, (module, program, target)) in missing.iter().enumerate() {
        if target.exists() {
            continue;
        }
        let title = format!("[{}/{}] {}", index + 1, missing.len(), program.name);
        build(module, program, target, &title)?;
    }
    Ok(())
}

fn build(module: &Module, program: &Program, target: &Path, title: &str) -> Result<()> {
    fs::create_dir_all(target.parent().context("a program's path has a directory")?)?;
    let unfinished = target.with_extension("unfinished");
    let mut go = Command::new("go")
        .args(["build", "-v"])
        .args(BUILD_FLAGS)
        .args(["-tags", module.tags])
        .arg("-o")
        .arg(&unfinished)
        .arg(program.package)
        .current_dir(module.source())
        .env("CGO_ENABLED", "0")
        // One module needs a newer Go than the others, and names it.
        .env("GOTOOLCHAIN", "auto")
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .context("cannot start go")?;

    // `go build -v` prints a line for each module it downloads and each package it compiles.
    let progress = Progress::start(title, program.seconds);
    let mut messages = Vec::new();
    if let Some(stderr) = go.stderr.take() {
        for line in BufReader::new(stderr).lines() {
            let line = line?;
            if line.starts_with("go: downloading") {
                progress.downloaded.fetch_add(1, Ordering::Relaxed);
            } else {
                progress.compiled.fetch_add(1, Ordering::Relaxed);
                messages.push(line);
            }
        }
    }
    let status = go.wait()?;
    progress.finish(status.success());
    if !status.success() {
        let tail = messages[messages.len().saturating_sub(20)..].join("\n");
        bail!("go build {} failed with {status}:\n{tail}", program.package);
    }
    fs::rename(&unfinished, target)?;
    Ok(())
}

/// The progress of a build, on standard error: one line that is rewritten each second in a terminal, or a new line every 30
/// seconds elsewhere.
struct Progress {
    title: String,
    start: Instant,
    downloaded: Arc<AtomicUsize>,
    compiled: Arc<AtomicUsize>,
    done: Arc<AtomicBool>,
    ticker: thread::JoinHandle<()>,
}

impl Progress {
    fn start(title: &str, expected: u64) -> Self {
        let start = Instant::now();
        let downloaded = Arc::new(AtomicUsize::new(0));
        let compiled = Arc::new(AtomicUsize::new(0));
        let done = Arc::new(AtomicBool::new(false));
        let terminal = std::io::stderr().is_terminal();
        let interval = Duration::from_secs(if terminal { 1 } else { 30 });
        let ticker = thread::spawn({
            let (title, downloaded, compiled, done) =
                (title.to_owned(), downloaded.clone(), compiled.clone(), done.clone());
            move || {
                while !done.load(Ordering::Relaxed) {
                    let line = format!(
                        "{title}: {} s of about {expected} s, {} modules downloaded, {} packages compiled",
                        start.elapsed().as_secs(),
                        downloaded.load(Ordering::Relaxed),
                        compiled.load(Ordering::Relaxed)
                    );
                    if terminal {
                        eprint!("\r{line}\x1b[K");
                        let _ = std::io::stderr().flush();
                    } else {
                        eprintln!("{line}");
                    }
                    thread::park_timeout(interval);
                }
            }
        });
        Self { title: title.into(), start, downloaded, compiled, done, ticker }
    }

    fn finish(self, success: bool) {
        self.done.store(true, Ordering::Relaxed);
        self.ticker.thread().unpark();
        let _ = self.ticker.join();
        let clear = if std::io::stderr().is_terminal() { "\r\x1b[K" } else { "" };
        let what = if success { "built" } else { "failed" };
        eprintln!("{clear}{}: {what} after {} s", self.title, self.start.elapsed().as_secs());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_module_has_its_pins() {
        for module in MODULES {
            let digest = module.digest().unwrap();
            assert_eq!(digest.len(), 12, "{}", module.name);
        }
    }
}
