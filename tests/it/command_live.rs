//! `certwright top` and `list --watch`: what changes is shown when it changes.

use std::process::Stdio;
use std::time::Duration;

use crate::common::program::{alone, command};
use crate::common::terminal::Terminal;
use crate::common::{certificate, issued, of_issuer, ready, revision};
use anyhow::{Context, Result, ensure};
use certwright_cluster::TestNamespace;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;
use tokio::time::timeout;

#[tokio::test]
async fn a_live_screen_shows_changes_opens_objects_and_makes_requests() -> Result<()> {
    TestNamespace::with("top", async |ns| {
        let (_pebble, _operator) = ready(ns).await?;
        ns.apply(&certificate("web", &["a.example.com"], "")).await?;
        revision(ns, "web", 1).await?;
        let mut screen = Terminal::start(ns, &["top"])?;
        let title = format!("certwright, namespace {}: ", ns.name);
        screen.shows(&[&title, "1 Certificate, 1 ready", "web", "renews in "]).await?;

        ns.apply(&of_issuer("nobody", &certificate("lost", &["lost.example.com"], ""))).await?;
        screen.shows(&["2 Certificates, 1 waiting, 1 ready", "waits: IssuerNotFound"]).await?;
        // It waits, so it is the first row.
        screen.press("\r").await?;
        let words = format!("Certificate {}/lost is not ready", ns.name);
        screen
            .shows(&[&words, "What to do", "The Issuer or ClusterIssuer does not exist. Create it"])
            .await?;
        screen.press("q").await?;
        screen.shows(&["Certificates (2)"]).await?;

        screen.press("/web\r").await?;
        screen.shows(&["Certificates (1 of 2, with \"web\")"]).await?;
        screen.press("r").await?;
        screen.shows(&[&format!("Renew Certificate {}/web? (y/N)", ns.name)]).await?;
        screen.press("y").await?;
        screen.shows(&["renewal requested"]).await?;
        revision(ns, "web", 2).await?;

        ns.delete_object("certificate/lost").await?;
        screen.press("\u{1b}").await?;
        screen.shows(&["1 Certificate, 1 ready", "Certificates (1)"]).await?;
        screen.press("q").await?;
        assert_eq!(screen.ends().await?, (Some(0), true), "it leaves the terminal as it was");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn without_a_terminal_there_is_no_screen() -> Result<()> {
    let ran = alone(&["top"]).await?.ended(2)?;
    ensure!(ran.errors.contains("certwright top needs a terminal"), "{ran:?}");
    Ok(())
}

#[tokio::test]
async fn a_list_can_be_watched_and_has_a_row_for_each_change() -> Result<()> {
    TestNamespace::with("watch", async |ns| {
        let (_pebble, _operator) = ready(ns).await?;
        ns.apply(&certificate("web", &["a.example.com"], "")).await?;
        issued(ns, "web").await?;
        let mut rows = Rows::start(command(ns, &["list", "--watch"]))?;
        assert_eq!(rows.next().await?, ["NAME", "READY", "ISSUER", "EXPIRES", "NEXT"]);
        assert_eq!(rows.next().await?[..3], ["web", "True", "Issuer/ca"]);

        ns.apply(&of_issuer("nobody", &certificate("lost", &["lost.example.com"], ""))).await?;
        let waits = rows.until(|row| row.last().is_some_and(|next| next == "waits: IssuerNotFound")).await?;
        assert_eq!(waits[..3], ["lost", "False", "Issuer/nobody"]);
        ns.delete_object("certificate/lost").await?;
        let deleted = rows.until(|row| row.last().is_some_and(|next| next == "deleted")).await?;
        assert_eq!(deleted[0], "lost");

        let mut names = Rows::start(command(ns, &["list", "-w", "-o", "name"]))?;
        assert_eq!(names.next().await?, ["certificate.certwright.dev/web"]);
        Ok(())
    })
    .await
}

/// The rows that a command prints, as cells.
struct Rows {
    lines: tokio::io::Lines<BufReader<tokio::process::ChildStdout>>,
    _child: tokio::process::Child,
}

impl Rows {
    fn start(command: std::process::Command) -> Result<Self> {
        let mut command = Command::from(command);
        let mut child = command.stdout(Stdio::piped()).kill_on_drop(true).spawn()?;
        let output = child.stdout.take().context("no output")?;
        Ok(Self { lines: BufReader::new(output).lines(), _child: child })
    }

    async fn next(&mut self) -> Result<Vec<String>> {
        let line = timeout(Duration::from_secs(20), self.lines.next_line()).await.context("no row")??;
        let line = line.context("it ended")?;
        Ok(line.split("   ").map(str::trim).filter(|cell| !cell.is_empty()).map(str::to_owned).collect())
    }

    async fn until(&mut self, is_it: impl Fn(&[String]) -> bool) -> Result<Vec<String>> {
        loop {
            let row = self.next().await?;
            if is_it(&row) {
                return Ok(row);
            }
        }
    }
}
