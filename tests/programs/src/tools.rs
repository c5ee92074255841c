//! Programs built from pinned Go modules, and cached by those pins.

use std::{env, fs, path::PathBuf};

use anyhow::{Context, Result};

use crate::{
    build::{Effort, Missing, build_all, check_go},
    modules::MODULES,
};

/// The directories of the built programs.
#[derive(Clone, Debug)]
pub struct Tools {
    directories: Vec<PathBuf>,
}

impl Tools {
    /// Builds those of these programs that are missing. Does nothing if there are none.
    pub fn build(programs: &[&str], effort: Effort) -> Result<Self> {
        let cache = cache_dir()?.join("tools");
        fs::create_dir_all(&cache).with_context(|| format!("cannot create {}", cache.display()))?;
        let full = directories(Effort::Full)?;
        let built = directories(effort)?;
        let mut missing = Vec::new();
        for ((module, full), directory) in MODULES.iter().zip(full).zip(built) {
            let wanted = module.programs.iter().filter(|program| programs.contains(&program.name));
            let is_there = |name: &str| [&full, &directory].iter().any(|place| place.join(name).exists());
            let absent: Vec<_> = wanted.filter(|program| !is_there(program.name)).collect();
            if !absent.is_empty() {
                missing.push(Missing { module, programs: absent, directory, effort });
            }
        }
        if !missing.is_empty() {
            check_go()?;
            build_all(&cache, &missing)?;
        }
        Self::built()
    }

    /// Those that have been built. One that was built with full effort comes first.
    pub fn built() -> Result<Self> {
        Ok(Self { directories: [directories(Effort::Full)?, directories(Effort::Quick)?].concat() })
    }

    /// Programs that have been built into these directories.
    pub fn in_directories(directories: Vec<PathBuf>) -> Self {
        Self { directories }
    }

    /// Where they are.
    pub fn directories(&self) -> &[PathBuf] {
        &self.directories
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

/// The directory of each module.
fn directories(effort: Effort) -> Result<Vec<PathBuf>> {
    let cache = cache_dir()?.join("tools");
    let suffix = match effort {
        Effort::Full => "",
        Effort::Quick => "-quick",
    };
    MODULES
        .iter()
        .map(|module| Ok(cache.join(format!("{}-{}{suffix}", module.name, module.digest()?))))
        .collect()
}

/// The directory of built programs, kept between runs: `CERTWRIGHT_CACHE`, or `certwright` in the user's cache directory.
pub fn cache_dir() -> Result<PathBuf> {
    let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("CERTWRIGHT_CACHE")
        .or_else(|| set("XDG_CACHE_HOME").map(|dir| dir.join("certwright")))
        .or_else(|| set("HOME").map(|dir| dir.join(".cache/certwright")))
        .context("no place for built programs: set CERTWRIGHT_CACHE to a directory, or HOME")
}
