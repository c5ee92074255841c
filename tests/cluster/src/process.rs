//! Programs run in the background, with their output in a file.

use std::{
    env,
    fs::{self, File},
    future::Future,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use tokio::process::{Child, Command};

/// A program in the background. It is killed when this is dropped.
pub struct Process {
    name: String,
    log: PathBuf,
    child: Child,
}

impl Process {
    /// Starts `command` and appends its output to `<logs>/<name>.log`.
    pub fn start(name: &str, mut command: Command, logs: &Path) -> Result<Self> {
        fs::create_dir_all(logs)?;
        let log = logs.join(format!("{name}.log"));
        let output = File::options().create(true).append(true).open(&log)?;
        let child = command
            .stdin(std::process::Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        Ok(Self { name: name.into(), log, child })
    }

    /// Calls `ready` repeatedly until it returns true. Fails with the end of the log if the program ends first, or after
    /// `timeout`.
    pub async fn wait_ready<F, Fut>(&mut self, timeout: Duration, ready: F) -> Result<()>
    where
        F: Fn() -> Fut,
        Fut: Future<Output = bool>,
    {
        let start = Instant::now();
        while !ready().await {
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended with {status}. The end of its log:\n{}", self.name, self.log_tail(30));
            }
            if start.elapsed() > timeout {
                bail!(
                    "{} is not ready after {} s. The end of its log:\n{}",
                    self.name,
                    timeout.as_secs(),
                    self.log_tail(30)
                );
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// Kills the program and waits until it has ended.
    pub async fn kill(&mut self) -> Result<()> {
        self.child.kill().await.with_context(|| format!("cannot kill {}", self.name))
    }

    /// Its process id, while it runs.
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Whether it has not ended.
    pub fn is_running(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_none())
    }

    /// The last lines of its output.
    pub fn log_tail(&self, lines: usize) -> String {
        tail(&self.log, lines)
    }
}

/// A program that cargo built, in the directory of this program, or in the parent directory if this is a test.
pub fn built_beside(name: &str) -> Option<PathBuf> {
    let own = env::current_exe().ok()?;
    own.ancestors().skip(1).take(2).map(|directory| directory.join(name)).find(|path| path.exists())
}

/// The last lines of a file; empty if it cannot be read.
pub fn tail(path: &Path, lines: usize) -> String {
    let text = fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}
