//! What a run needs of memory and disk: said before, and measured after.

use std::{collections::BTreeMap, fs, path::Path, process::Command};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::bench::counts::megabytes;

/// Memory of a run without Certificates, and more for each: of the API server most of all.
const MEMORY: (u64, u64) = (2 << 30, 80 << 10);
/// The same of the disk.
const DISK: (u64, u64) = (1 << 30, 40 << 10);

/// Says what a run with `objects` Certificates needs, and whether it is there.
pub fn say(objects: usize, state: &Path) -> Result<()> {
    let objects = objects as u64;
    let needed = |(base, each): (u64, u64)| base + objects * each;
    let gigabytes = |bytes: u64| bytes as f64 / 1e9;
    for (what, needed, free) in
        [("memory", needed(MEMORY), free_memory()?), ("disk", needed(DISK), free_disk(state)?)]
    {
        let warning = if free < needed { ": NOT ENOUGH" } else { "" };
        println!(
            "About {:.1} GB of {what} are needed, {:.1} GB are free{warning}",
            gigabytes(needed),
            gigabytes(free)
        );
    }
    Ok(())
}

/// The most memory that each program of the run holds or has held, and the size of its directory, in MB.
pub fn measured(state: &Path) -> Result<Value> {
    let mut memory = BTreeMap::<String, u64>::new();
    for process in fs::read_dir("/proc")?.flatten() {
        let Ok(status) = fs::read_to_string(process.path().join("status")) else { continue };
        let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let (Some(name), Some(peak)) = (field("Name:"), field("VmHWM:")) else { continue };
        let kibibytes: u64 = peak.trim_end_matches("kB").trim().parse()?;
        let most = memory.entry(name.to_owned()).or_default();
        *most = (*most).max(kibibytes * 1024);
    }
    let memory: BTreeMap<String, f64> =
        memory.into_iter().map(|(name, peak)| (name, megabytes(peak))).collect();
    Ok(json!({"memory_mb": memory, "disk_mb": megabytes(size(state)?)}))
}

fn size(directory: &Path) -> Result<u64> {
    let mut sum = 0;
    for entry in fs::read_dir(directory)?.flatten() {
        // Some files go meanwhile.
        let Ok(metadata) = entry.metadata() else { continue };
        sum += if metadata.is_dir() { size(&entry.path()).unwrap_or_default() } else { metadata.len() };
    }
    Ok(sum)
}

fn free_memory() -> Result<u64> {
    let text = fs::read_to_string("/proc/meminfo")?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:")).context("no MemAvailable")?;
    let kibibytes: u64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kibibytes * 1024)
}

fn free_disk(state: &Path) -> Result<u64> {
    let output = Command::new("df").args(["--block-size=1", "--output=avail"]).arg(state).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.lines().last().context("df printed nothing")?.trim().parse()?)
}
