//! A program in a pseudo-terminal, and what is on its screen.

use std::num::NonZeroU16;

use anyhow::{Context, Result, bail};
use certwright_cluster::TestNamespace;
use certwright_cluster::terminal::paint;
use pty_process::{Command, Pty, Size};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Child;
use tokio::time::{Instant, timeout_at};
use vt100::{Cell, Color};

use super::SOON;

/// Rows and columns.
const SIZE: (u16, u16) = (30, 120);

/// `certwright` in a terminal.
pub struct Terminal {
    pty: Pty,
    child: Child,
    parser: vt100::Parser,
}

impl Terminal {
    /// Starts `certwright` with these arguments, in the test's namespace.
    pub fn start(ns: &TestNamespace, arguments: &[&str]) -> Result<Self> {
        Self::sized(ns, SIZE, arguments)
    }

    /// Starts it in a terminal with so many rows and columns.
    pub fn sized(ns: &TestNamespace, (rows, columns): (u16, u16), arguments: &[&str]) -> Result<Self> {
        let (pty, pts) = pty_process::open()?;
        pty.resize(Size::new(rows, columns))?;
        let command = Command::new(env!("CARGO_BIN_EXE_certwright"))
            .args(arguments)
            .args(["--namespace", &ns.name])
            .env("TERM", "xterm")
            .env_remove("NO_COLOR")
            .kill_on_drop(true);
        let child = command.spawn(pts)?;
        Ok(Self { pty, child, parser: vt100::Parser::new(rows.try_into()?, columns.try_into()?, 0) })
    }

    /// Gives it another size.
    pub fn resize(&mut self, rows: u16, columns: u16) -> Result<()> {
        self.pty.resize(Size::new(rows, columns))?;
        self.parser.screen_mut().set_size(NonZeroU16::try_from(rows)?, NonZeroU16::try_from(columns)?);
        Ok(())
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

    /// Waits until the program ends, and returns what is on the screen then.
    pub async fn end(&mut self) -> Result<String> {
        let deadline = Instant::now() + SOON;
        while timeout_at(deadline, self.read()).await.context("it does not end")?? {}
        Ok(self.parser.screen().contents())
    }

    /// Presses keys, one after the other.
    pub async fn press(&mut self, keys: &str) -> Result<()> {
        self.pty.write_all(keys.as_bytes()).await?;
        Ok(())
    }

    /// Waits until the program ends. Returns its exit code, and whether it has left the terminal as it was.
    pub async fn ends(mut self) -> Result<(Option<i32>, bool)> {
        self.end().await?;
        let deadline = Instant::now() + SOON;
        let status = timeout_at(deadline, self.child.wait()).await.context("it does not end")??;
        let screen = self.parser.screen();
        Ok((status.code(), !screen.alternate_screen() && !screen.hide_cursor()))
    }

    /// The lines on the screen, with escape sequences for colours, without empty lines at the end.
    pub fn lines(&self) -> Vec<String> {
        let screen = self.parser.screen();
        let (rows, columns) = screen.size();
        let mut lines: Vec<String> = (0..rows.get())
            .map(|row| painted((0..columns.get()).filter_map(|column| screen.cell(row, column))))
            .collect();
        lines.truncate(lines.iter().rposition(|line| !line.is_empty()).map_or(0, |last| last + 1));
        lines
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

/// A line, with escape sequences for the styles of its cells, and without white space at the end.
fn painted<'a>(cells: impl Iterator<Item = &'a Cell>) -> String {
    let mut parts: Vec<(String, String)> = Vec::new();
    for cell in cells.filter(|cell| !cell.is_wide_continuation()) {
        let text = if cell.has_contents() { cell.contents() } else { " " };
        let style = style(cell);
        match parts.last_mut() {
            Some((last, line)) if *last == style => line.push_str(text),
            _ => parts.push((style, text.to_owned())),
        }
    }
    if let Some((style, text)) = parts.last_mut()
        && style.is_empty()
    {
        text.truncate(text.trim_end().len());
    }
    let line = parts.iter().map(|(style, text)| match style.as_str() {
        "" => text.clone(),
        style => paint(style, text),
    });
    line.collect()
}

fn style(cell: &Cell) -> String {
    let mut numbers = Vec::new();
    for (is, number) in [(cell.bold(), "1"), (cell.dim(), "2"), (cell.inverse(), "7")] {
        numbers.extend(is.then(|| number.to_owned()));
    }
    if let Color::Idx(color) = cell.fgcolor()
        && color < 8
    {
        numbers.push((30 + u16::from(color)).to_string());
    }
    numbers.join(";")
}
