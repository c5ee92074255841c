//! Helm, its renderings, and files of the repository that are generated from others.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde_json::Value;

/// Set by commands that regenerate files of the repository, such as `make chart`.
const UPDATE: &str = "CERTWRIGHT_WRITE_DOCS";

/// The repository.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The chart.
pub fn chart() -> PathBuf {
    root().join("charts/certwright")
}

/// A copy of the chart for any version of Kubernetes: an API server built with `go build` does not know its own version.
pub fn for_this_api_server(copy: &Path) -> Result<String> {
    copy_for_this_api_server(&chart(), copy)
}

/// The same of any chart.
pub fn copy_for_this_api_server(chart: &Path, copy: &Path) -> Result<String> {
    let copy = copy.display().to_string();
    run("rm", &["--recursive", "--force", &copy])?;
    run("cp", &["--recursive", "--dereference", &chart.display().to_string(), &copy])?;
    let file = format!("{copy}/Chart.yaml");
    let text = std::fs::read_to_string(&file)?;
    std::fs::write(
        file,
        text.lines().filter(|line| !line.starts_with("kubeVersion:")).collect::<Vec<_>>().join("\n"),
    )?;
    Ok(copy)
}

/// The output of a program that must succeed.
pub fn run(program: &str, arguments: &[&str]) -> Result<String> {
    let output = output(program, arguments)?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{program} {}: {said}", arguments.join(" "));
    Ok(String::from_utf8(output.stdout)?)
}

/// Runs a program to its end.
pub fn output(program: &str, arguments: &[&str]) -> Result<Output> {
    let output = Command::new(program).args(arguments).output();
    output.with_context(|| format!("{program} cannot be run; `cluster exec` puts it into PATH"))
}

/// `helm template` of a release `certwright` in the namespace `certwright`.
pub fn template(more: &[&str]) -> Result<Output> {
    let chart = chart().display().to_string();
    // By default, it renders for the Kubernetes version that it was built for, which `go build` does not set.
    let fixed = ["template", "certwright", &chart, "--namespace", "certwright", "--kube-version", "1.36.0"];
    output("helm", &[&fixed, more].concat())
}

/// The output of [`template`].
pub fn rendered(more: &[&str]) -> Result<String> {
    let output = template(more)?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

/// The objects in a stream of YAML documents.
pub fn objects(yaml: &str) -> Result<Vec<Value>> {
    let documents = serde_yaml::Deserializer::from_str(yaml);
    let objects = documents.map(Value::deserialize).collect::<Result<Vec<_>, _>>()?;
    Ok(objects.into_iter().filter(|object| !object.is_null()).collect())
}

/// The file must have this content; with [`UPDATE`], it is written.
pub fn compare(file: &Path, content: &str, make: &str) -> Result<()> {
    if std::env::var_os(UPDATE).is_some() {
        fs::write(file, content)?;
    }
    let written = fs::read_to_string(file).unwrap_or_default();
    let other = || {
        let mut lines = written.lines().zip(content.lines()).enumerate();
        lines.find(|(_, (written, now))| written != now).map(|(at, lines)| (at + 1, lines))
    };
    assert!(
        written == content,
        "{} is out of date; run: {make}. The first line that differs: {:?}",
        file.display(),
        other()
    );
    Ok(())
}
