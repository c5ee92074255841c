//! The control groups of a run's pods. They do not disappear with the namespaces of the run.

use std::{
    fs,
    path::{Path, PathBuf},
    thread::sleep,
    time::Duration,
};

use anyhow::{Context, Result, ensure};

const MOUNTS: &str = "/sys/fs/cgroup";
const ATTEMPTS: u32 = 50;
const PAUSE: Duration = Duration::from_millis(50);

/// The parent group of all pods of a run, by its name for containers; `state` is the directory of the run.
pub fn root(state: &Path) -> String {
    format!("/{}", state.file_name().unwrap_or_default().to_string_lossy())
}

/// Creates that group.
pub fn create(state: &Path) -> Result<()> {
    let mut made = 0;
    for group in groups(state).filter(|group| group.with_file_name("cgroup.procs").exists()) {
        fs::create_dir_all(&group)
            .with_context(|| format!("cannot make the control group {}", group.display()))?;
        made += 1;
    }
    ensure!(made > 0, "there are no control groups in {MOUNTS}, and pods need some");
    Ok(())
}

/// Removes the groups of a run that has ended. Its last processes may still be ending.
pub fn remove(state: &Path) {
    for group in groups(state) {
        for _ in 0..ATTEMPTS {
            if !group.exists() || remove_tree(&group) {
                break;
            }
            sleep(PAUSE);
        }
    }
}

/// The possible places: version 2 has one hierarchy, version 1 has one for each controller.
fn groups(state: &Path) -> impl Iterator<Item = PathBuf> {
    let name = state.file_name().unwrap_or_default().to_owned();
    let hierarchies = fs::read_dir(MOUNTS).into_iter().flatten().flatten().map(|entry| entry.path());
    [PathBuf::from(MOUNTS)].into_iter().chain(hierarchies).map(move |hierarchy| hierarchy.join(&name))
}

fn remove_tree(group: &Path) -> bool {
    for entry in fs::read_dir(group).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_tree(&entry.path());
        }
    }
    fs::remove_dir(group).is_ok()
}
