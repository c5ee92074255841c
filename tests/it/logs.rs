//! What the log says of an issuance, and how the calls that write it have to look.

use std::fs;
use std::path::{Path, PathBuf};

use crate::common::http01::host;
use crate::common::markdown::{Page, collect};
use crate::common::{SOON, certificate, issued, issuer};
use anyhow::{Context, Result};
use certwright_cluster::{Operator, Pebble, TestNamespace};
use regex::Regex;

const PAGE: &str = "docs/monitoring.md";

#[tokio::test]
async fn an_issuance_reads_in_the_log_as_the_page_shows_it() -> Result<()> {
    TestNamespace::with("logs", async |ns| {
        let pebble = Pebble::builder().start(&ns.cluster).await?;
        let operator = Operator::builder(ns).argument("--log-format", "text").start().await?;
        ns.apply(&issuer(&pebble.directory_url, &pebble.ca_pem, "")).await?;
        ns.wait_condition("issuer/ca", "Ready", "True", SOON).await?;
        ns.apply(&certificate("www", &[&host(ns, "www")], "")).await?;
        issued(ns, "www").await?;
        operator.terminate().await?;
        let of_certificate = |line: &&String| line.contains("object=\"Certificate\"");
        // If something is slow, a line says that it is waited for.
        let waits =
            ["WaitingForSelfCheck", "Validating", "Finalizing"].map(|why| format!("reason=\"{why}\""));
        let is_sure = |line: &&String| !waits.iter().any(|why| line.contains(why));
        let logged = operator.logs();
        let logged = logged.iter().filter(of_certificate).filter(is_sure);
        let logged: Vec<String> = logged.map(|line| without_chance(line)).collect();
        let blocks = Page::read(PAGE)?.blocks();
        let shown = blocks.iter().find(|block| block.code.contains(" INFO reconcile{"));
        let shown: Vec<String> = shown.context("no log")?.code.lines().map(without_chance).collect();
        assert_eq!(logged, shown, "the log:\n{}", operator.logs().join("\n"));
        Ok(())
    })
    .await
}

/// A line of the log without what differs from one issuance to the next.
fn without_chance(line: &str) -> String {
    let mut line = line.to_owned();
    for (pattern, same) in [
        (r"\x1b\[[0-9;]*m", ""),
        (r"\d{4}-\d\d-\d\dT[\d:.]+Z", "TIME"),
        (r"https://[^/ ]+/[^ ;,\x22]*", "URL"),
        (r#"namespace="[^"]+""#, "NAMESPACE"),
        (r"www\.[a-z0-9.-]+\b", "HOST"),
        (r"\b[0-9a-f]{12,}\b", "SERIAL"),
    ] {
        line = Regex::new(pattern).map_or(line.clone(), |regex| regex.replace_all(&line, same).into_owned());
    }
    line
}

/// Such a field replaces the message of its line, because that is a field of this name, too.
#[test]
fn no_call_logs_a_field_named_message() -> Result<()> {
    let mut files = Vec::new();
    for folder in ["src", "crates", "webhooks"] {
        collect(Path::new(folder), "rs", &mut files)?;
    }
    let (mut calls, mut wrong) = (0, Vec::new());
    for file in files {
        let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(&file))?;
        for fields in logged_fields(&text)? {
            calls += 1;
            wrong.extend(fields.contains(&"message").then_some((file.clone(), fields.join(", "))));
        }
    }
    assert!(calls > 100, "only {calls} calls were found");
    assert_eq!(wrong, [] as [(PathBuf, String); 0]);
    Ok(())
}

#[test]
fn a_field_is_found_however_it_is_written() -> Result<()> {
    for call in [
        r#"info!(message, "it is done");"#,
        r#"info!(%message, "it is done");"#,
        r#"warn!(count = f(1, "a, b"), message = ?error, "it is done: {count}");"#,
        "tracing::debug!(\n    target: \"x\",\n    message = %(error),\n    \"it is done\"\n)",
        r#"error!(object = "(", message = text)"#,
    ] {
        let found = logged_fields(call)?;
        assert!(matches!(&found[..], [fields] if fields.contains(&"message")), "{call}: {found:?}");
    }
    for call in [
        r#"info!("message");"#,
        r#"info!(condition = type_, status, reason, "{message}");"#,
        r#"info!(error = &error as &dyn Error, "a, message = b");"#,
        r#"println!("{}", message);"#,
        r#"warn!(reason = %Message { message }, "it is done: {}", message);"#,
    ] {
        let found = logged_fields(call)?;
        assert!(found.iter().all(|fields| !fields.contains(&"message")), "{call}: {found:?}");
    }
    Ok(())
}

/// The names of the fields of each call in a source that writes to the log.
fn logged_fields(source: &str) -> Result<Vec<Vec<&str>>> {
    let calls = Regex::new(r"\b(?:trace|debug|info|warn|error|event)!\s*\(")?;
    let field = Regex::new(r"^(?:[%?]\s*)?([A-Za-z_][A-Za-z0-9_.]*)\s*(?:=|$)")?;
    let of_call = |call: regex::Match<'_>| {
        // What follows the text are its arguments.
        let fields = arguments(&source[call.end()..]).into_iter().take_while(|part| !part.starts_with('"'));
        fields.filter_map(|part| Some(field.captures(part)?.get(1)?.as_str())).collect()
    };
    Ok(calls.find_iter(source).map(of_call).collect())
}

/// What is between the commas until the parenthesis is closed.
fn arguments(text: &str) -> Vec<&str> {
    let (mut parts, mut start, mut depth, mut quoted, mut escaped) = (Vec::new(), 0, 0_usize, false, false);
    for (at, letter) in text.char_indices() {
        let ends = !quoted && depth == 0 && matches!(letter, ',' | ')');
        match letter {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ if quoted => {}
            _ if ends => {
                parts.push(text[start..at].trim());
                start = at + 1;
                if letter == ')' {
                    break;
                }
            }
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    parts
}
