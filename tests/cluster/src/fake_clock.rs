//! Another time for one program, by libfaketime.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use anyhow::Result;

use crate::Cluster;

static COUNT: AtomicU32 = AtomicU32::new(0);

/// A clock that a program can be given in the place of the true one, for the date as well as for its waits.
pub struct FakeClock {
    file: PathBuf,
}

impl FakeClock {
    /// One that runs this many times as fast as the true one, from the start of the program on.
    pub fn fast(cluster: &Cluster, times: u32) -> Result<Self> {
        let name = format!("clock-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let clock = Self { file: cluster.description.state.join(name) };
        clock.write(&format!("+0s x{times}"))?;
        Ok(clock)
    }

    /// From now on it is this far ahead of the true one, and runs as fast. It must not go back.
    pub fn leap(&self, ahead: Duration) -> Result<()> {
        self.write(&format!("+{}s x1", ahead.as_secs()))
    }

    pub(crate) fn environment(&self) -> [(&'static str, OsString); 2] {
        // The file is looked at once a second.
        [("FAKETIME_TIMESTAMP_FILE", self.file.clone().into()), ("FAKETIME_CACHE_DURATION", "1".into())]
    }

    fn write(&self, setting: &str) -> Result<()> {
        // It is read while it is written.
        let new = self.file.with_extension("new");
        fs::write(&new, format!("{setting}\n"))?;
        Ok(fs::rename(new, &self.file)?)
    }
}

/// The command that runs `program` under the library: what to start, and its first arguments. Which time it sees is said in
/// the environment.
pub(crate) fn under_faketime(program: &Path) -> Vec<OsString> {
    // The library keeps things in shared memory under its process id, which other runs have too. Its own program, which knows
    // where it is, would stand between us and the program.
    let script = "mount -t tmpfs tmpfs /dev/shm && \
        LD_PRELOAD=$(faketime -f +1s printenv LD_PRELOAD) exec \"$0\" \"$@\"";
    ["unshare", "--mount", "--", "sh", "-c", script]
        .into_iter()
        .map(OsString::from)
        .chain([program.into()])
        .collect()
}
