//! Packages of the operating system are installed only for the tests, and only if the user does not object.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    process::{Command, Output},
};

use rustix::process::geteuid;
use tempfile::TempDir;

/// A machine where nothing is installed but an `apt-get` that does nothing and notes what it was asked for.
struct Machine {
    directory: TempDir,
}

impl Machine {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let apt_get = directory.path().join("apt-get");
        let note = directory.path().join("asked");
        fs::write(&apt_get, format!("#!/bin/sh\necho \"$@\" >> {}\n", note.display())).unwrap();
        fs::set_permissions(&apt_get, fs::Permissions::from_mode(0o755)).unwrap();
        Self { directory }
    }

    fn run(&self, argument: &str, install: &str) -> Output {
        Command::new(env!("CARGO_BIN_EXE_programs"))
            .arg(argument)
            .env("PATH", self.directory.path())
            .env("INSTALL", install)
            .output()
            .unwrap()
    }

    fn asked(&self) -> String {
        fs::read_to_string(self.directory.path().join("asked")).unwrap_or_default()
    }
}

fn complaint(output: &Output) -> String {
    assert!(!output.status.success(), "the machine lacks programs");
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn with_install_0_the_tests_install_nothing_and_name_what_is_missing() {
    let machine = Machine::new();
    let said = complaint(&machine.run("packages", "0"));
    assert!(said.contains("unshare is missing") && said.contains("promtool is missing"), "{said}");
    assert!(said.contains("because of INSTALL=0"), "{said}");
    assert!(said.contains("Run `apt-get install util-linux"), "{said}");
    assert_eq!(machine.asked(), "");
}

#[test]
fn the_tests_say_what_they_install_and_the_demo_installs_nothing() {
    let machine = Machine::new();
    let said = complaint(&machine.run("demo", ""));
    assert!(said.contains("unshare is missing") && said.contains("dnf install util-linux"), "{said}");
    assert!(!said.contains("named is missing"), "the demo does not need it: {said}");
    assert_eq!(machine.asked(), "");

    let said = complaint(&machine.run("packages", ""));
    assert!(said.contains("unshare is missing"), "{said}");
    let root = geteuid().is_root();
    assert_eq!(said.contains("with apt-get; INSTALL=0 leaves that to you"), root, "{said}");
    assert_eq!(machine.asked().contains("install util-linux"), root, "{}", machine.asked());
    assert_eq!(said.contains("after the installation"), root, "apt-get did nothing: {said}");
}
