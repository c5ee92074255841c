//! Builds programs with Go.

use std::{
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

use crate::modules::{BUILD_FLAGS, Module, Program};

const GO_MINIMUM: (u32, u32) = (1, 26);
/// How programs are compiled. They have no debug information (`-w`), so none is generated; this does not change the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effort {
    /// As they are released.
    Full,
    /// Without inlining, which saves a seventh of the time. Such programs are slower.
    Quick,
}

impl Effort {
    fn compiler_flags(self) -> &'static str {
        match self {
            Self::Full => "-gcflags=all=-dwarf=false",
            Self::Quick => "-gcflags=all=-dwarf=false -l",
        }
    }
}

/// Programs of one module that are to be built into a directory.
pub(crate) struct Missing {
    pub module: &'static Module,
    pub programs: Vec<&'static Program>,
    pub directory: PathBuf,
    pub effort: Effort,
}

impl Missing {
    fn seconds(&self) -> u64 {
        self.programs.iter().map(|program| program.seconds).sum()
    }

    fn names(&self) -> Vec<&'static str> {
        self.programs.iter().map(|program| program.name).collect()
    }
}

/// Fails if there is no Go, or an old one.
pub(crate) fn check_go() -> Result<()> {
    let advice = "It builds Kubernetes, etcd and Pebble. Get it from https://go.dev/dl/";
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

/// Builds all of them, one module after the other: `go build` uses every processor for one.
pub(crate) fn build_all(cache: &Path, missing: &[Missing]) -> Result<()> {
    let lock = File::create(cache.join(".lock"))?;
    if lock.try_lock().is_err() {
        eprintln!("Another run is building programs; waiting for it.");
        lock.lock()?;
    }
    let names: Vec<_> = missing.iter().flat_map(Missing::names).collect();
    let seconds: u64 = missing.iter().map(Missing::seconds).sum();
    eprintln!(
        "Building {} into {}, this once. On two cores it takes about {} minutes.",
        names.join(", "),
        cache.display(),
        seconds.div_ceil(60)
    );
    for (index, wanted) in missing.iter().enumerate() {
        let programs: Vec<_> = wanted
            .programs
            .iter()
            .copied()
            .filter(|program| !wanted.directory.join(program.name).exists())
            .collect();
        if !programs.is_empty() {
            let left = Missing { programs, directory: wanted.directory.clone(), ..*wanted };
            build(&left, &format!("[{}/{}] {}", index + 1, missing.len(), wanted.module.name))?;
        }
    }
    Ok(())
}

/// Builds the programs of a module at once: what they share is compiled once, and one is linked while others are compiled.
fn build(missing: &Missing, title: &str) -> Result<()> {
    let unfinished = missing.directory.join(".unfinished");
    // What a build that was killed has left.
    let _ = fs::remove_dir_all(&unfinished);
    fs::create_dir_all(&unfinished)?;
    let mut go = Command::new("go")
        .args(["build", "-v"])
        .args(BUILD_FLAGS)
        .arg(missing.effort.compiler_flags())
        .args(["-tags", missing.module.tags])
        .arg("-o")
        // A directory, since it exists.
        .arg(&unfinished)
        .args(missing.programs.iter().map(|program| program.package))
        .current_dir(missing.module.source())
        .env("CGO_ENABLED", "0")
        // One module needs a newer Go than the others, and names it.
        .env("GOTOOLCHAIN", "auto")
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .context("cannot start go")?;

    // `go build -v` prints a line for each module it downloads and each package it compiles.
    let progress = Progress::start(title, missing.seconds());
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
        bail!("go build {} failed with {status}:\n{tail}", missing.names().join(" "));
    }
    for program in &missing.programs {
        let built = unfinished.join(missing.module.executable(program));
        fs::rename(&built, missing.directory.join(program.name))
            .with_context(|| format!("go build has not written {}", built.display()))?;
    }
    fs::remove_dir_all(&unfinished).with_context(|| format!("cannot remove {}", unfinished.display()))
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
