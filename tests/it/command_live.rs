//! `certwright top` and `list --watch`: what changes is shown when it changes.

use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::common::program::{alone, command, kubeconfig_through};
use crate::common::terminal::Terminal;
use crate::common::{certificate, issued, of_issuer, ready, revision};
use anyhow::{Context, Result, ensure};
use certwright_cluster::proxy::Action;
use certwright_cluster::{Proxy, TestNamespace};
use serde_json::json;
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
        screen.shows(&["2 Certificates, 1 waiting, 1 ready", "waits: IssuerNotFound", "0/50"]).await?;
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

#[tokio::test]
async fn a_watched_list_reports_what_was_deleted_while_there_was_no_watch() -> Result<()> {
    TestNamespace::with("watch", async |ns| {
        let proxy = Proxy::of_api_server(&ns.cluster).await?;
        let kubeconfig = kubeconfig_through(ns, &proxy)?;
        for name in ["gone", "stays"] {
            ns.apply(&certificate(name, &["a.example.com"], "")).await?;
        }
        let file = kubeconfig.path().to_string_lossy().into_owned();
        let mut rows = Rows::start(command(ns, &["list", "-w", "--no-headers", "--kubeconfig", &file]))?;
        assert_eq!((&rows.next().await?[0], &rows.next().await?[0]), (&"gone".to_owned(), &"stays".to_owned()));

        proxy.go_away();
        ns.delete_object("certificate/gone").await?;
        // What the watch would continue from is too old, as after an hour.
        let expired = json!({ "type": "ERROR", "object": {
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "reason": "Expired", "code": 410,
            "message": "too old resource version",
        } });
        let is_first = AtomicBool::new(true);
        proxy.script(move |request| {
            if request.path.contains("watch=true") && is_first.swap(false, Ordering::Relaxed) {
                let headers = vec![("content-type", "application/json".to_owned())];
                return Action::Respond { status: 200, headers, body: format!("{expired}\n") };
            }
            Action::Pass
        });
        let deleted = rows.next().await?;
        assert_eq!((deleted[0].as_str(), deleted[4].as_str()), ("gone", "deleted"));
        ns.apply(&certificate("new", &["a.example.com"], "")).await?;
        assert_eq!(rows.next().await?[0], "new", "what has not changed is not printed again");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_watched_list_ends_when_nobody_reads_it() -> Result<()> {
    TestNamespace::with("watch", async |ns| {
        ns.apply(&certificate("web", &["a.example.com"], "")).await?;
        let mut rows = Rows::start(command(ns, &["list", "-w"]))?;
        assert_eq!((&rows.next().await?[0], &rows.next().await?[0]), (&"NAME".to_owned(), &"web".to_owned()));
        let Rows { lines, mut child } = rows;
        drop(lines);
        ns.apply(&certificate("api", &["a.example.com"], "")).await?;
        let ended = timeout(Duration::from_secs(20), child.wait()).await.context("it does not end")??;
        assert_eq!(ended.code(), Some(0));
        Ok(())
    })
    .await
}

/// The rows that a command prints, as cells.
struct Rows {
    lines: tokio::io::Lines<BufReader<tokio::process::ChildStdout>>,
    child: tokio::process::Child,
}

impl Rows {
    fn start(command: std::process::Command) -> Result<Self> {
        let mut command = Command::from(command);
        let mut child = command.stdout(Stdio::piped()).kill_on_drop(true).spawn()?;
        let output = child.stdout.take().context("no output")?;
        Ok(Self { lines: BufReader::new(output).lines(), child })
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
