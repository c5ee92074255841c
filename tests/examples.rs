//! The examples, and the YAML in the documentation, apply as they are.

use std::path::{Path, PathBuf};
use std::{fs, io};

use anyhow::{Context, Result, ensure};
use certwright_cluster::TestNamespace;

#[tokio::test]
async fn every_example_applies() -> Result<()> {
    let mut files = Vec::new();
    collect(&root().join("deploy/examples"), "yaml", &mut files)?;
    ensure!(files.len() > 3, "there are examples");
    TestNamespace::with("examples", async |ns| {
        for file in &files {
            let yaml = fs::read_to_string(file)?;
            dry_run(&ns.name, &yaml).with_context(|| format!("{}", file.display()))?;
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn every_yaml_block_in_the_documentation_applies() -> Result<()> {
    let mut files = vec![root().join("README.md")];
    collect(&root().join("docs"), "md", &mut files)?;
    TestNamespace::with("documentation", async |ns| {
        let mut applied = 0;
        for file in &files {
            for yaml in yaml_blocks(&fs::read_to_string(file)?) {
                dry_run(&ns.name, &yaml).with_context(|| format!("{}:\n{yaml}", file.display()))?;
                applied += 1;
            }
        }
        ensure!(applied > 0, "the documentation has YAML blocks");
        Ok(())
    })
    .await
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn collect(folder: &Path, extension: &str, into: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, extension, into)?;
        } else if path.extension().is_some_and(|found| found == extension) {
            into.push(path);
        }
    }
    Ok(())
}

/// The fenced blocks of a Markdown text that are marked as YAML.
fn yaml_blocks(markdown: &str) -> Vec<String> {
    let parts = markdown.split("```yaml\n").skip(1);
    parts.filter_map(|part| part.split("```").next()).map(str::to_owned).collect()
}

/// Asks the API server to check the objects, without storing them. Objects that name another namespace keep it.
fn dry_run(namespace: &str, yaml: &str) -> Result<()> {
    use std::io::Write;
    use std::process::{Command, Stdio};
    for document in yaml.split("\n---\n").filter(|document| document.contains("kind:")) {
        let mut kubectl = Command::new("kubectl");
        kubectl.args(["apply", "--dry-run=server", "--validate=strict", "-f", "-"]);
        if !document.contains("\n  namespace:") {
            kubectl.args(["--namespace", namespace]);
        }
        let mut child =
            kubectl.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        child.stdin.take().context("no standard input")?.write_all(document.as_bytes())?;
        let output = child.wait_with_output()?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}
