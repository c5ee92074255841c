//! What a release needs: every name of registry and owner follows from `repository` in Cargo.toml, every version is the same,
//! and the scripts and the charts say what the workflow publishes.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use crate::common::helm::{root, run};
use anyhow::{Context, Result, ensure};
use certwright_cluster::shard::Shard;
use serde_json::Value;

const REPOSITORY: &str = env!("CARGO_PKG_REPOSITORY");
const VERSION: &str = env!("CARGO_PKG_VERSION");
const PROGRAMS: [&str; 2] = ["certwright", "certwright-dns"];

#[test]
fn nothing_names_another_registry_or_owner() -> Result<()> {
    let owner = owner()?;
    let starts = [("ghcr.io/", '/'), ("github.com/", '/'), ("@", '/'), ("--repo ", '/')];
    let (mut named, mut wrong) = (0, Vec::new());
    for file in run("git", &["--no-optional-locks", "-C", text(root())?, "ls-files"])?.lines() {
        // Links are read where they lead.
        let path = root().join(file);
        let Ok(content) = fs::read_to_string(&path) else { continue };
        for (number, line) in content.lines().enumerate() {
            for (start, end) in starts {
                for (at, _) in line.match_indices(start) {
                    let Some((found, rest)) = line[at + start.len()..].split_once(end) else { continue };
                    let ours = ["certwright", "charts/certwright", "maintainers"];
                    if !ours.iter().any(|name| rest.starts_with(name)) || found.contains(char::is_whitespace)
                    {
                        continue;
                    }
                    named += 1;
                    if found != owner {
                        wrong.push(format!("{file}:{}: {start}{found}/", number + 1));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "the owner is {owner}, as Cargo.toml says: {wrong:#?}");
    assert!(named > 20, "names are found: {named}");
    Ok(())
}

#[test]
fn the_charts_and_the_manifests_use_the_images_of_this_version() -> Result<()> {
    let registry = format!("ghcr.io/{}", owner()?);
    for program in PROGRAMS {
        let chart = yaml(&format!("charts/{program}/Chart.yaml"))?;
        assert_eq!(
            (&chart["version"], &chart["appVersion"]),
            (&VERSION.into(), &VERSION.into()),
            "{program}"
        );
        assert_eq!(chart["sources"], serde_json::json!([REPOSITORY]), "{program}");
        let values = yaml(&format!("charts/{program}/values.yaml"))?;
        assert_eq!(values["image"]["repository"], format!("{registry}/{program}"), "{program}");
        let images: Value = embedded(&chart, "artifacthub.io/images")?;
        assert_eq!(images[0]["image"], format!("{registry}/{program}:{VERSION}"), "{program}");
        assert_eq!(images[0]["platforms"], serde_json::json!(["linux/amd64", "linux/arm64"]), "{program}");
    }
    for (folder, program) in [("deploy/base", "certwright"), ("deploy/dns", "certwright-dns")] {
        let rendered = run("kubectl", &["kustomize", text(&root().join(folder))?])?;
        let image = format!("image: {registry}/{program}:{VERSION}\n");
        assert_eq!(
            rendered.matches("image: ").count(),
            rendered.matches(&image).count(),
            "{folder}: {image}"
        );
        assert!(rendered.contains(&image), "{folder}");
    }
    Ok(())
}

#[test]
fn artifact_hub_is_told_of_all_kinds() -> Result<()> {
    let chart = yaml("charts/certwright/Chart.yaml")?;
    let told: Value = embedded(&chart, "artifacthub.io/crds")?;
    let told: BTreeMap<&str, &str> = told
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|kind| Some((kind["name"].as_str()?, kind["kind"].as_str()?)))
        .collect();
    let mut kinds = BTreeMap::new();
    let definitions =
        ["certificates", "clusterissuers", "issuers"].map(|name| yaml(&format!("crds/{name}.yaml")));
    for definition in definitions {
        let definition = definition?;
        let name = definition["metadata"]["name"].as_str().context("no name")?.to_owned();
        kinds.insert(name, definition["spec"]["names"]["kind"].as_str().context("no kind")?.to_owned());
    }
    let kinds: BTreeMap<&str, &str> =
        kinds.iter().map(|(name, kind)| (name.as_str(), kind.as_str())).collect();
    assert_eq!(told, kinds);
    let examples: Value = embedded(&chart, "artifacthub.io/crdsExamples")?;
    assert_eq!(examples.as_array().map(Vec::len), Some(2), "an issuer and a Certificate: {examples}");
    Ok(())
}

/// As `kubectl apply -k https://github.com/…/deploy/base?ref=v0.1.0` does it: kubectl gets the repository by git, at a tag.
#[test]
fn the_base_of_a_remote_repository_is_the_one_in_it() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let remote = folder.path().join("remote");
    fs::create_dir(&remote)?;
    for part in ["deploy", "crds"] {
        run("cp", &["-r", text(&root().join(part))?, text(&remote)?])?;
    }
    let git = |arguments: &[&str]| run("git", &[&["-C", text(&remote)?][..], arguments].concat());
    git(&["init", "--quiet"])?;
    git(&["add", "."])?;
    let author = ["-c", "user.name=test", "-c", "user.email=test@example.com", "-c", "commit.gpgsign=false"];
    git(&[&author[..], &["commit", "--quiet", "--message", "release"]].concat())?;
    git(&["tag", "v9.9.9"])?;
    for base in ["deploy/base", "deploy/dns", "deploy/admission"] {
        let local = run("kubectl", &["kustomize", text(&root().join(base))?])?;
        let url = format!("file://{}//{base}?ref=v9.9.9", text(&remote)?);
        assert_eq!(run("kubectl", &["kustomize", &url])?, local, "{base}");
    }
    Ok(())
}

#[test]
fn the_notes_of_a_release_are_its_section_of_the_changelog() -> Result<()> {
    let copy = Scripts::copy("0.2.0")?;
    copy.changelog("# Changelog\n\n## Unreleased\n\n- Next.\n\n## 0.2.0 (2026-12-01)\n\n- [Pages](docs/a.md#b), [else](https://example.com/x).\n\n## 0.2.0-rc.1\n\n- Before.\n")?;
    let link = format!("{REPOSITORY}/blob/v0.2.0/docs/a.md#b");
    assert_eq!(copy.ends("notes", &[], 0)?, format!("- [Pages]({link}), [else](https://example.com/x).\n"));
    copy.changelog("# Changelog\n\n## Unreleased\n\n- Next.\n")?;
    let said = copy.ends("notes", &[], 1)?;
    assert!(said.contains("nothing under \"## 0.2.0\"; rename the heading \"Unreleased\""), "{said}");
    Ok(())
}

#[test]
fn a_tag_of_another_version_or_a_fork_publishes_nothing() -> Result<()> {
    let copy = Scripts::copy("0.2.0")?;
    copy.changelog("## 0.2.0\n\n- New.\n")?;
    let name = REPOSITORY.trim_start_matches("https://github.com/");
    copy.ends("check", &["v0.2.0", name], 0)?;
    let said = copy.ends("check", &["v0.2.1", name], 1)?;
    assert!(said.contains("the tag is v0.2.1 and Cargo.toml has version 0.2.0"), "{said}");
    let said = copy.ends("check", &["v0.2.0", "somebody/fork"], 1)?;
    assert!(said.contains("this is somebody/fork and Cargo.toml has"), "{said}");
    Ok(())
}

#[test]
fn krew_gets_an_archive_for_each_platform_with_its_checksum() -> Result<()> {
    let copy = Scripts::copy("0.2.0")?;
    let platforms = ["linux-amd64", "linux-arm64", "darwin-amd64", "darwin-arm64"];
    let sums = |platforms: &[&str]| -> Result<String> {
        let lines = platforms.iter().map(|name| format!("sum-of-{name}  certwright-v0.2.0-{name}.tar.gz\n"));
        let path = copy.0.path().join("SHA256SUMS");
        fs::write(&path, lines.collect::<String>())?;
        Ok(path.display().to_string())
    };
    let manifest: Value = serde_yaml::from_str(&copy.ends("krew", &[&sums(&platforms)?], 0)?)?;
    assert_eq!((&manifest["kind"], &manifest["spec"]["version"]), (&"Plugin".into(), &"v0.2.0".into()));
    let listed = manifest["spec"]["platforms"].as_array().context("no platforms")?;
    assert_eq!(listed.len(), platforms.len());
    for (found, name) in listed.iter().zip(platforms) {
        let labels = &found["selector"]["matchLabels"];
        let (os, arch) = (labels["os"].as_str().context("os")?, labels["arch"].as_str().context("arch")?);
        assert_eq!(format!("{os}-{arch}"), name);
        assert_eq!(found["sha256"], format!("sum-of-{name}"));
        let archive = format!("{REPOSITORY}/releases/download/v0.2.0/certwright-v0.2.0-{name}.tar.gz");
        assert_eq!(found["uri"], archive);
    }
    let said = copy.ends("krew", &[&sums(&platforms[..3])?], 1)?;
    assert!(said.contains("has no checksum of certwright-v0.2.0-darwin-arm64.tar.gz"), "{said}");
    Ok(())
}

#[test]
fn the_parts_that_ci_runs_have_each_test_once() -> Result<()> {
    let workflow = yaml(".github/workflows/ci.yaml")?;
    let tests = &workflow["jobs"]["tests"];
    let numbers: Vec<u64> = tests["strategy"]["matrix"]["shard"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_u64)
        .collect();
    let steps = tests["steps"].to_string();
    let of = numbers.len();
    assert!(of > 1 && steps.contains(&format!("SHARD=${{{{ matrix.shard }}}}/{of}")), "{steps}");
    let parts =
        numbers.iter().map(|number| format!("{number}/{of}").parse()).collect::<Result<Vec<Shard>>>()?;
    let program = std::env::current_exe()?;
    let list = run(text(&program)?, &["--list", "--format", "terse"])?;
    let mut counts = vec![0; of];
    for test in certwright_cluster::shard::listed(&list) {
        let having: Vec<usize> = (0..of).filter(|index| parts[*index].has(test)).collect();
        let [only] = having[..] else { anyhow::bail!("{test} is in the parts {having:?}") };
        counts[only] += 1;
    }
    let total: usize = counts.iter().sum();
    assert!(total > 300, "tests are listed: {total}");
    assert!(counts.iter().all(|count| count * of < total * 3 / 2), "no part has most tests: {counts:?}");
    Ok(())
}

/// A copy of the scripts in `release`, with a version of its own.
struct Scripts(tempfile::TempDir);

impl Scripts {
    fn copy(version: &str) -> Result<Self> {
        let copy = Self(tempfile::tempdir()?);
        run("cp", &["-r", text(&root().join("release"))?, text(copy.0.path())?])?;
        let cargo = format!("[workspace.package]\nversion = \"{version}\"\nrepository = \"{REPOSITORY}\"\n");
        fs::write(copy.0.path().join("Cargo.toml"), cargo)?;
        Ok(copy)
    }

    fn changelog(&self, content: &str) -> Result<()> {
        Ok(fs::write(self.0.path().join("CHANGELOG.md"), content)?)
    }

    /// What a script prints, which must end with this code.
    fn ends(&self, script: &str, arguments: &[&str], code: i32) -> Result<String> {
        let path = self.0.path().join("release").join(script);
        let Output { status, stdout, stderr } = Command::new(path).args(arguments).output()?;
        let said = String::from_utf8(stdout)? + &String::from_utf8_lossy(&stderr);
        ensure!(status.code() == Some(code), "{script} ended with {status}: {said}");
        Ok(said)
    }
}

fn owner() -> Result<&'static str> {
    let name = REPOSITORY.strip_prefix("https://github.com/").context("the repository is on GitHub")?;
    Ok(name.split_once('/').context("a repository has an owner")?.0)
}

fn yaml(path: &str) -> Result<Value> {
    let content = fs::read_to_string(root().join(path)).with_context(|| path.to_owned())?;
    serde_yaml::from_str(&content).with_context(|| path.to_owned())
}

/// YAML in an annotation of a chart.
fn embedded(chart: &Value, annotation: &str) -> Result<Value> {
    let content = chart["annotations"][annotation].as_str().with_context(|| annotation.to_owned())?;
    serde_yaml::from_str(content).with_context(|| annotation.to_owned())
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().context("a path that is text")
}
