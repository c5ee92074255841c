//! What each command needs.

use anyhow::Result;

use crate::{
    build::Effort,
    modules::{self, PROGRAMS_OF_A_CLUSTER},
    namespaces,
    packages::{self, Need},
    tools::Tools,
};

/// The programs that a command needs.
pub struct Needs {
    /// Those from Go modules.
    pub programs: Vec<&'static str>,
    /// Those from the operating system.
    pub packages: Vec<&'static Need>,
    /// Whether missing packages are installed, unless the user objects by `INSTALL=0`.
    pub installs: bool,
    /// How the programs are built.
    pub effort: Effort,
}

impl Needs {
    /// What `cluster demo` needs.
    pub fn demo() -> Self {
        Self { effort: Effort::Quick, ..Self::of(&["pebble"], &[packages::BASE], false) }
    }

    /// What `cluster dashboard` needs.
    pub fn dashboard() -> Self {
        Self::of(&["pebble"], &[packages::BASE, packages::MONITORING], true)
    }

    /// What the benchmarks need.
    pub fn bench() -> Self {
        Self::of(&["pebble", "step-ca"], &[packages::BASE, packages::NAME_SERVERS], true)
    }

    /// What the tests need: everything.
    pub fn tests() -> Self {
        Self {
            programs: modules::programs().map(|program| program.name).collect(),
            ..Self::of(&[], packages::ALL, true)
        }
    }

    /// The same without an installation of packages: `cluster tools` has been run.
    pub fn tests_after_tools() -> Self {
        let tests = Self::tests();
        Self { packages: packages::BASE.iter().collect(), installs: false, ..tests }
    }

    fn of(programs: &[&'static str], packages: &[&'static [Need]], installs: bool) -> Self {
        Self {
            programs: [PROGRAMS_OF_A_CLUSTER, programs].concat(),
            packages: packages.iter().copied().flatten().collect(),
            installs,
            effort: Effort::Full,
        }
    }

    /// Finds out whether this machine can run it, and builds the programs that are missing.
    pub fn provide(&self) -> Result<Tools> {
        self.provide_packages()?;
        namespaces::flags()?;
        Tools::build(&self.programs, self.effort)
    }

    /// Installs the missing packages, or fails and says how to get them.
    pub fn provide_packages(&self) -> Result<()> {
        if self.installs {
            packages::ensure_installed(&self.packages)
        } else {
            packages::ensure_present(&self.packages)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_program_that_is_needed_is_one_of_a_module() {
        for needs in [Needs::demo(), Needs::bench(), Needs::tests()] {
            for name in needs.programs {
                assert!(modules::programs().any(|program| program.name == name), "{name}");
            }
        }
    }

    #[test]
    fn the_demo_needs_a_control_plane_and_a_ca_and_installs_nothing() {
        let demo = Needs::demo();
        assert_eq!(
            demo.programs,
            ["etcd", "kube-apiserver", "kube-controller-manager", "kubectl", "pebble-challtestsrv", "pebble"]
        );
        assert!(!demo.installs);
    }
}
