//! What the command line shows of a shop, in terminals of several sizes. With `CERTWRIGHT_WRITE_DOCS`, this becomes the pictures of
//! the documentation.

use std::fs;

use anyhow::{Result, ensure};
use certwright_cluster::TestNamespace;
use certwright_cluster::terminal::{Line, picture, plain};

use crate::common::helm::root;
use crate::common::shop::{SHOP, fill};
use crate::common::terminal::Terminal;

#[tokio::test]
async fn a_shop_is_legible_in_terminals_of_any_size_and_its_pictures_are_those_of_the_documentation()
-> Result<()> {
    let writes = std::env::var_os("CERTWRIGHT_WRITE_DOCS").is_some();
    if writes {
        let ns = TestNamespace::named(certwright_cluster::Cluster::from_env()?, SHOP).await?;
        return look(&ns, writes).await;
    }
    TestNamespace::with("pictures", async |ns| look(ns, writes).await).await
}

async fn look(ns: &TestNamespace, writes: bool) -> Result<()> {
    fill(ns).await?;
    let list = ["list", "--sort-by", "ready"];
    let status = ["status", "certificate", "api-outlet-example"];
    let save = |name: &str, fills: bool, arguments: &[&str], lines: Vec<String>| -> Result<()> {
        let lines: Vec<Line> = lines.into_iter().map(|text| Line { seconds: None, text }).collect();
        let svg = picture(&format!("certwright {}", arguments.join(" ")), fills, &lines);
        if writes {
            fs::write(root().join(format!("docs/images/{name}.svg")), svg)?;
        }
        Ok(())
    };
    for (columns, is_picture) in [(104, true), (44, false)] {
        let mut terminal = Terminal::sized(ns, (24, columns), &["top"])?;
        let seen = ["60 Certificates", "2 failing", "3 waiting", "atlas", "OUT_OF_CREDIT", "1/50"];
        terminal.shows(if is_picture { &seen } else { &seen[..1] }).await?;
        terminal.shows(&["api-outlet", "failing", "retries in"]).await?;
        if is_picture {
            // The last rows.
            terminal.shows(&["renews in 23h59m"]).await?;
            save("top", true, &["top"], terminal.lines())?;
        }
        terminal.press("\r").await?;
        let opened = terminal.shows(&["Certificate", "CAA, failed"]).await?;
        ensure!(whole(&opened).contains("CAA record for outlet.example prevents issuance"), "{opened}");
        terminal.press("q").await?;
        terminal.press("q").await?;
        assert_eq!(terminal.ends().await?, (Some(0), true));

        let mut terminal = Terminal::sized(ns, (60, columns), &status)?;
        let text = terminal.end().await?;
        let is_long = |line: &&str| line.starts_with("  ") && line.len() > usize::from(columns);
        let long = text.lines().filter(is_long).find(|line| line.split_whitespace().count() > 1);
        ensure!(long.is_none(), "the terminal breaks the line {long:?}");
        if is_picture {
            let lines = terminal.lines();
            ensure!(lines.iter().any(|line| line.contains("\u{1b}[31mnot ready\u{1b}[0m")), "{lines:?}");
            save("status", false, &status, lines)?;
        }
    }
    let mut terminal = Terminal::sized(ns, (70, 104), &list)?;
    terminal.end().await?;
    let lines = terminal.lines();
    ensure!(lines.len() == 61 && plain(&lines[0]).starts_with("NAME "), "{lines:?}");
    let shown = [&list[..], &["| head -n 16"]].concat();
    save("list", false, &shown, lines.into_iter().take(16).collect())
}

/// Text in one line, without frames.
fn whole(screen: &str) -> String {
    screen.replace('│', " ").split_whitespace().collect::<Vec<_>>().join(" ")
}
