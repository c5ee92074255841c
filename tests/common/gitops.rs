//! The state of an object according to GitOps tools, determined by their own code.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde_json::Value;

use super::markdown::Page;

/// The state of an object according to a tool.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Verdict {
    pub status: String,
    #[serde(default)]
    pub message: String,
}

/// According to kstatus, which Flux and Helm 4 use.
pub fn kstatus(object: &Value) -> Result<Verdict> {
    ask("kstatus", &[], object)
}

/// According to Argo CD's engine, with the script in `docs/gitops.md`.
pub fn argo_health(object: &Value) -> Result<Verdict> {
    let script = tempfile::NamedTempFile::new()?;
    fs::write(script.path(), documented_script()?)?;
    ask("argo-health", &[&script.path().display().to_string()], object)
}

fn ask(program: &str, arguments: &[&str], object: &Value) -> Result<Verdict> {
    let mut asked = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("{program} cannot be run; `cluster exec` puts it into PATH"))?;
    asked.stdin.take().context("no stdin")?.write_all(&serde_json::to_vec(object)?)?;
    let output = asked.wait_with_output()?;
    ensure!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// The health script in the documentation's ConfigMap.
fn documented_script() -> Result<String> {
    let page = Page::read("docs/gitops.md")?;
    let block = page.blocks().into_iter().find(|block| block.code.contains("health.lua"));
    let map: Value = serde_yaml::from_str(&block.context("no block with a health script")?.code)?;
    let customizations = map["data"]["resource.customizations"].as_str().context("no customizations")?;
    let customizations: Value = serde_yaml::from_str(customizations)?;
    let script = customizations["certwright.dev/*"]["health.lua"].as_str().context("no script")?;
    Ok(script.to_owned())
}
