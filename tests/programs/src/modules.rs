//! The Go modules that programs are built from, and their digests.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

/// Flags of `go build` that determine what a program is.
pub const BUILD_FLAGS: &[&str] = &["-trimpath", "-ldflags", "-s -w"];

/// What runs a cluster without nodes, and kubectl.
pub const PROGRAMS_OF_A_CLUSTER: &[&str] =
    &["etcd", "kube-apiserver", "kube-controller-manager", "kubectl", "pebble-challtestsrv"];

/// A Go module under `tests/cluster/tools` and the programs built from it.
pub struct Module {
    /// The name of its folder.
    pub name: &'static str,
    /// Build tags, separated by commas.
    pub tags: &'static str,
    /// What is built from it.
    pub programs: &'static [Program],
}

/// A program of a module.
pub struct Program {
    /// The name that it gets.
    pub name: &'static str,
    /// Its package.
    pub package: &'static str,
    /// How long the first build takes on two cores, for the announcement.
    pub seconds: u64,
}

/// All of them.
pub const MODULES: &[Module] = &[
    Module {
        name: "kubernetes",
        tags: "",
        programs: &[
            Program { name: "pebble", package: "github.com/letsencrypt/pebble/v2/cmd/pebble", seconds: 15 },
            Program {
                name: "pebble-challtestsrv",
                package: "github.com/letsencrypt/pebble/v2/cmd/pebble-challtestsrv",
                seconds: 4,
            },
            Program { name: "kube-apiserver", package: "k8s.io/kubernetes/cmd/kube-apiserver", seconds: 190 },
            Program {
                name: "kube-controller-manager",
                package: "k8s.io/kubernetes/cmd/kube-controller-manager",
                seconds: 55,
            },
            Program { name: "kubectl", package: "k8s.io/kubernetes/cmd/kubectl", seconds: 30 },
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
        programs: &[Program { name: "etcd", package: "go.etcd.io/etcd/server/v3", seconds: 25 }],
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

/// The programs of all modules.
pub fn programs() -> impl Iterator<Item = &'static Program> {
    MODULES.iter().flat_map(|module| module.programs)
}

impl Module {
    /// Its folder.
    pub fn source(&self) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../cluster/tools").join(self.name)
    }

    /// Changes whenever the result of the build would change.
    pub fn digest(&self) -> Result<String> {
        let mut hash = Sha256::new();
        hash_all(&self.source(), &mut hash)?;
        hash.update(BUILD_FLAGS.join(" "));
        hash.update(self.tags);
        Ok(hash.finalize().iter().take(6).map(|byte| format!("{byte:02x}")).collect())
    }

    /// The name that `go build` gives to a program: the last part of its package's path that is not a version.
    pub fn executable(&self, program: &Program) -> &'static str {
        let is_version = |part: &&str| {
            part.strip_prefix('v').is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit()))
        };
        let mut parts = program.package.rsplit('/').skip_while(is_version);
        match parts.next() {
            // The module's path ends with the name of its folder.
            None | Some(".") => self.name,
            Some(name) => name,
        }
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

    #[test]
    fn the_executables_of_a_module_have_the_names_that_go_gives_them() {
        let executables: Vec<_> = MODULES
            .iter()
            .flat_map(|module| {
                module.programs.iter().map(|program| (program.name, module.executable(program)))
            })
            .filter(|(name, executable)| name != executable)
            .collect();
        let others = [
            ("etcd", "server"),
            ("helm4", "helm"),
            ("cert-manager-conformance", "conformance"),
            ("lego-dns", "lego"),
        ];
        assert_eq!(executables, others);
    }

    #[test]
    fn no_two_programs_have_the_same_name() {
        let mut names: Vec<_> = programs().map(|program| program.name).collect();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
