//! Another time for one program, with libfaketime.

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

/// A clock for a program, for the date as well as for waits.
pub struct FakeClock {
    file: PathBuf,
}

impl FakeClock {
    /// A clock that runs this many times as fast as the real one, from the start of the program.
    pub fn fast(cluster: &Cluster, times: u32) -> Result<Self> {
        let name = format!("clock-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let clock = Self { file: cluster.description.state.join(name) };
        clock.write(&format!("+0s x{times}"))?;
        Ok(clock)
    }

    /// Sets how far it is ahead of the real one; it runs at normal speed. It must not go back.
    pub fn leap(&self, ahead: Duration) -> Result<()> {
        self.write(&format!("+{}s x1", ahead.as_secs()))
    }

    pub(crate) fn environment(&self) -> [(&'static str, OsString); 2] {
        // The library checks the file once a second.
        [("FAKETIME_TIMESTAMP_FILE", self.file.clone().into()), ("FAKETIME_CACHE_DURATION", "1".into())]
    }

    fn write(&self, setting: &str) -> Result<()> {
        // The library may read it while it is written.
        let new = self.file.with_extension("new");
        fs::write(&new, format!("{setting}\n"))?;
        Ok(fs::rename(new, &self.file)?)
    }
}

/// The command that runs `program` with the library: the program to start, and its first arguments. The environment determines
/// the time that it sees.
pub(crate) fn under_faketime(program: &Path) -> Vec<OsString> {
    // The library keeps shared memory under its process id, which other runs also use. Its own program, which finds the library,
    // would be a process between us and the program.
    let script = "mount -t tmpfs tmpfs /dev/shm && \
        LD_PRELOAD=$(faketime -f +1s printenv LD_PRELOAD) exec \"$0\" \"$@\"";
    ["unshare", "--mount", "--", "sh", "-c", script]
        .into_iter()
        .map(OsString::from)
        .chain([program.into()])
        .collect()
}
