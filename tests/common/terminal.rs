//! A program in a pseudo-terminal, and what is on its screen.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use certwright_cluster::TestNamespace;
use pty_process::{Command, Pty, Size};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Child;
use tokio::time::{Instant, timeout_at};

use super::SOON;

const ROWS: u16 = 30;
const COLUMNS: u16 = 120;

/// `certwright` in a terminal.
pub struct Terminal {
    pty: Pty,
    child: Child,
    parser: vt100::Parser,
}

impl Terminal {
    /// Starts `certwright` with these arguments, in the test's namespace.
    pub fn start(ns: &TestNamespace, arguments: &[&str]) -> Result<Self> {
        let (pty, pts) = pty_process::open()?;
        pty.resize(Size::new(ROWS, COLUMNS))?;
        let command = Command::new(env!("CARGO_BIN_EXE_certwright"))
            .args(arguments)
            .args(["--namespace", &ns.name])
            .kill_on_drop(true);
        let child = command.spawn(pts)?;
        Ok(Self { pty, child, parser: vt100::Parser::new(ROWS.try_into()?, COLUMNS.try_into()?, 0) })
    }

    /// Waits until the screen has all of these texts, and returns what is on it.
    pub async fn shows(&mut self, texts: &[&str]) -> Result<String> {
        let deadline = Instant::now() + SOON;
        loop {
            let screen = self.parser.screen().contents();
            let Some(lacking) = texts.iter().find(|text| !screen.contains(**text)) else { return Ok(screen) };
            match timeout_at(deadline, self.read()).await {
                Err(_) => bail!("the screen lacks {lacking:?}:\n{screen}"),
                Ok(read) => {
                    if !read? {
                        bail!("the program ended; the screen lacks {lacking:?}:\n{screen}");
                    }
                }
            }
        }
    }

    /// Presses keys, one after the other.
    pub async fn press(&mut self, keys: &str) -> Result<()> {
        self.pty.write_all(keys.as_bytes()).await?;
        Ok(())
    }

    /// Waits until the program ends. Returns its exit code, and whether it has left the terminal as it was.
    pub async fn ends(mut self) -> Result<(Option<i32>, bool)> {
        let deadline = Instant::now() + Duration::from_secs(10);
        while timeout_at(deadline, self.read()).await.context("it does not end")?? {}
        let status = timeout_at(deadline, self.child.wait()).await.context("it does not end")??;
        let screen = self.parser.screen();
        Ok((status.code(), !screen.alternate_screen() && !screen.hide_cursor()))
    }

    /// Reads what the program prints; `false` at the end.
    async fn read(&mut self) -> Result<bool> {
        let mut buffer = [0; 4096];
        // Linux reports an error once the last process has closed the terminal.
        match self.pty.read(&mut buffer).await {
            Ok(0) | Err(_) => Ok(false),
            Ok(read) => {
                self.parser.process(&buffer[..read]);
                Ok(true)
            }
        }
    }
}
