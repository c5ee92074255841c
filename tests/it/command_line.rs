//! The command line itself: as a plugin of kubectl, completion, manual page and documentation.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};
use std::{env, fs, io::Write};

use crate::common::program::{alone, link, run};
use crate::common::{certificate, issued, ready};
use anyhow::{Context, Result, ensure};
use certwright::cli::Cli;
use certwright::command::ClusterArgs;
use certwright_api::{certificate_reason, issuer_reason};
use certwright_cluster::TestNamespace;
use clap::{Args, CommandFactory};

#[tokio::test]
async fn kubectl_finds_it_as_a_plugin_and_hands_its_exit_code_on() -> Result<()> {
    TestNamespace::with("plugin", async |ns| {
        let (_pebble, _operator) = ready(ns).await?;
        ns.apply(&certificate("web", &["a.example.com"], "")).await?;
        issued(ns, "web").await?;
        let directory = tempfile::tempdir()?;
        link(directory.path())?;
        let path = env::join_paths(
            [directory.path().to_owned()]
                .into_iter()
                .chain(env::split_paths(&env::var_os("PATH").unwrap_or_default())),
        )?;
        let kubectl = |arguments: &[&str]| {
            let mut command = Command::new("kubectl");
            command.arg("certwright").args(arguments).env("PATH", &path);
            command
        };
        let found = run(kubectl(&["status", "certificate", "web", "-n", &ns.name])).await?.ended(0)?;
        found.says(&[&format!("Certificate {}/web is ready", ns.name)])?;
        run(kubectl(&["status", "certificate", "nobody", "-n", &ns.name])).await?.ended(4)?;
        run(kubectl(&["list", "--help"]))
            .await?
            .ended(0)?
            .says(&["Usage: kubectl certwright list [OPTIONS]"])?;
        let mut list = Command::new("kubectl");
        list.args(["plugin", "list"]).env("PATH", &path);
        run(list).await?.says(&["kubectl-certwright"])?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn every_reason_and_every_code_is_explained() -> Result<()> {
    let codes: Vec<&str> = certwright_acme::CODES.iter().map(|known| known.name).collect();
    let listed = alone(&["explain"]).await?.ended(0)?;
    for reason in issuer_reason::ALL.iter().chain(certificate_reason::ALL).chain(&codes) {
        let ran = alone(&["explain", reason]).await?.ended(0)?;
        ensure!(
            ran.output.starts_with(&format!("{reason} (")) && ran.output.lines().count() > 2,
            "{}",
            ran.output
        );
        ensure!(listed.output.contains(&format!("\n  {reason}\n")), "{reason} is not listed");
        ensure!(!ran.output.contains("]("), "it is no Markdown: {}", ran.output);
    }
    let ran = alone(&["explain", "urn:ietf:params:acme:error:rateLimited"]).await?.ended(0)?;
    ran.says(&["RateLimited (What a CA says)", "RateLimited (Certificates)"])?;
    let ran = alone(&["explain", "Nonsense"]).await?.ended(4)?;
    ensure!(ran.errors.contains("there is no reason or code Nonsense"), "{ran:?}");
    Ok(())
}

#[tokio::test]
async fn shells_accept_the_completion_scripts() -> Result<()> {
    for shell in ["bash", "zsh", "fish"] {
        let script = alone(&["completion", shell])
            .await?
            .ended(0)?
            .says(&["certwright", "CERTWRIGHT_COMPLETE"])?
            .output;
        if Command::new(shell).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_err()
        {
            // This shell is not installed.
            continue;
        }
        let mut check = Command::new(shell).arg("-n").stdin(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        check.stdin.take().context("no stdin")?.write_all(script.as_bytes())?;
        let checked = check.wait_with_output()?;
        ensure!(checked.status.success(), "{shell}: {}", String::from_utf8_lossy(&checked.stderr));
    }
    let ran = alone(&["completion", "cmd.com"]).await?.ended(2)?;
    ensure!(ran.errors.contains("bash"), "it says which there are: {ran:?}");
    Ok(())
}

#[tokio::test]
async fn the_manual_page_has_every_command_and_flag() -> Result<()> {
    let page = alone(&["man"]).await?.ended(0)?.output;
    ensure!(page.contains(".TH certwright 1"), "{page}");
    let mut check = Command::new("man")
        .args(["--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn();
    // `man` may not be installed.
    if let Ok(check) = &mut check {
        check.stdin.take().context("no stdin")?.write_all(page.as_bytes())?;
    }
    if let Ok(check) = check {
        let said = String::from_utf8_lossy(&check.wait_with_output()?.stderr).into_owned();
        ensure!(said.is_empty(), "{said}");
    }
    let plain = page.replace("\\-", "-").replace("\\fB", "").replace("\\fR", "").replace("\\fI", "");
    for (command, flags) in commands() {
        ensure!(plain.to_lowercase().contains(&command), "it lacks {command}");
        for flag in flags {
            ensure!(plain.contains(&flag), "it lacks {flag} of {command}");
        }
    }
    Ok(())
}

#[test]
fn the_documentation_has_every_command_with_its_flags_and_no_others() -> Result<()> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs");
    let pages = fs::read_dir(path)?.map(|page| Ok(page?.path())).collect::<Result<Vec<_>>>()?;
    let pages = pages.into_iter().filter(|page| page.extension().is_some_and(|end| end == "md"));
    let text = pages.map(fs::read_to_string).collect::<Result<Vec<_>, _>>()?.join("\n## \n");
    let sections: Vec<(&str, &str)> =
        text.split("\n## ").filter_map(|one| one.strip_prefix("`certwright ")?.split_once("`\n")).collect();
    let documented: BTreeSet<&str> = sections.iter().map(|(heading, _)| *heading).collect();
    let top: BTreeSet<String> =
        Cli::command().get_subcommands().map(|one| one.get_name().to_owned()).collect();
    assert_eq!(documented, top.iter().map(String::as_str).collect(), "the headings in {path}");
    let of_all = ClusterArgs::augment_args(clap::Command::new("certwright"));
    let common: Vec<String> =
        of_all.get_arguments().filter_map(|flag| Some(format!("--{}", flag.get_long()?))).collect();
    for (heading, section) in sections.iter().filter(|(heading, _)| *heading != "run") {
        // The output of commands contains flags of other commands.
        let prose: String = section.split("\n```").step_by(2).collect();
        let shown = prose.split(|c: char| c.is_whitespace() || "`|,()[]=.;:".contains(c));
        let shown: BTreeSet<&str> = shown
            .filter(|word| word.starts_with("--") && !word.ends_with("-"))
            .filter(|word| !common.iter().any(|flag| flag == word))
            .collect();
        let flags: BTreeSet<String> = commands()
            .into_iter()
            .filter(|(command, _)| {
                let command = command.trim_start_matches("certwright ");
                command == *heading || command.starts_with(&format!("{heading} "))
            })
            .flat_map(|(_, flags)| flags)
            .filter(|flag| !common.contains(flag))
            .collect();
        assert_eq!(
            shown,
            flags.iter().map(String::as_str).collect(),
            "the flags in the section {heading} of {path}"
        );
    }
    Ok(())
}

/// All commands that can be run, with their long flags.
fn commands() -> Vec<(String, BTreeSet<String>)> {
    fn collect(command: &clap::Command, name: &str, found: &mut Vec<(String, BTreeSet<String>)>) {
        let flags = command.get_arguments().filter_map(|argument| argument.get_long());
        let flags = flags.filter(|flag| !["help", "version"].contains(flag)).map(|flag| format!("--{flag}"));
        found.push((name.to_owned(), flags.collect()));
        for sub in command.get_subcommands() {
            collect(sub, &format!("{name} {}", sub.get_name()), found);
        }
    }
    let mut found = Vec::new();
    for command in Cli::command().get_subcommands() {
        collect(command, &format!("certwright {}", command.get_name()), &mut found);
    }
    found
}
