//! What has been built is used, and nothing is built twice.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Command};

use anyhow::Result;
use certwright_programs::{
    modules::{MODULES, Module},
    needs::Needs,
};

#[test]
fn the_demo_takes_what_was_built_for_the_tests_and_builds_the_rest_for_itself() -> Result<()> {
    let cache = tempfile::tempdir()?;
    for name in Needs::demo().programs {
        add(cache.path(), name, "")?;
    }
    assert_eq!(demo(cache.path())?, "", "all of it is there");

    let (module, digest) = module_of("etcd")?;
    fs::remove_dir_all(cache.path().join(format!("tools/{}-{digest}", module.name)))?;
    let said = demo(cache.path())?;
    assert!(said.contains("go1.1 is too old"), "it is to be built: {said}");

    add(cache.path(), "etcd", "-quick")?;
    assert_eq!(demo(cache.path())?, "", "what was built for the demo is there");
    Ok(())
}

/// Adds a program as if it had been built.
fn add(cache: &Path, name: &str, suffix: &str) -> Result<()> {
    let (module, digest) = module_of(name)?;
    let directory = cache.join(format!("tools/{}-{digest}{suffix}", module.name));
    fs::create_dir_all(&directory)?;
    Ok(fs::write(directory.join(name), "")?)
}

fn module_of(program: &str) -> Result<(&'static Module, String)> {
    let has_it = |module: &&Module| module.programs.iter().any(|known| known.name == program);
    let module = MODULES.iter().find(has_it).ok_or_else(|| anyhow::anyhow!("no module has {program}"))?;
    Ok((module, module.digest()?))
}

/// What `programs demo` says on a machine whose Go can build nothing.
fn demo(cache: &Path) -> Result<String> {
    let go = cache.join("go");
    fs::write(&go, "#!/bin/sh\necho go1.1\n")?;
    fs::set_permissions(&go, fs::Permissions::from_mode(0o755))?;
    let path = format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", cache.display());
    let output = Command::new(env!("CARGO_BIN_EXE_programs"))
        .arg("demo")
        .env("CERTWRIGHT_CACHE", cache)
        .env("PATH", path)
        .output()?;
    Ok(String::from_utf8_lossy(&output.stderr).into_owned())
}
