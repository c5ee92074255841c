//! A node that runs pods, for tests of how the operator is installed.
//!
//! Each of these tests has a separate cluster, with the node and without anything installed: it installs and removes cluster-wide
//! kinds and roles, which other tests must not see.

use std::{
    any::type_name,
    env, fs,
    panic::{AssertUnwindSafe, resume_unwind},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail, ensure};
use futures::FutureExt;
use tokio::{process::Command, sync::Mutex};

use crate::{Cluster, description::Description, process};

pub mod machine;

/// Only one node runs at a time, since it needs much of a machine.
static TURN: Mutex<()> = Mutex::const_new(());

/// The cluster's node, as a test sees it.
pub struct Node {
    /// The cluster it belongs to.
    pub cluster: Cluster,
}

impl Node {
    /// Runs `test` in a separate cluster that has a node. Call it directly from a test: the test's program is started again in
    /// that cluster, to run only this test.
    pub async fn with<T: AsyncFnOnce(&Self) -> Result<()>>(test: T) -> Result<()> {
        let cluster = Cluster::from_env()?;
        if cluster.description.node {
            let node = Self { cluster };
            let result = AssertUnwindSafe(test(&node)).catch_unwind().await;
            if !matches!(result, Ok(Ok(()))) {
                eprintln!("{}", node.pod_log_tail(20));
            }
            return result.unwrap_or_else(|panic| resume_unwind(panic));
        }
        let name = test_name(type_name::<T>())?;
        let _turn = TURN.lock().await;
        let program = process::built_beside("cluster").context("the program cluster is not built")?;
        let output = Command::new(program)
            .args(["exec", "--node", "--"])
            .arg(env::current_exe()?)
            .args(["--exact", name, "--nocapture"])
            .kill_on_drop(true)
            .output()
            .await
            .context("cannot start a cluster with a node")?;
        let said = String::from_utf8_lossy(&output.stdout);
        if !output.status.success() {
            bail!("{said}{}", String::from_utf8_lossy(&output.stderr));
        }
        ensure!(said.contains(" 1 passed;"), "the test {name} did not run in a cluster of its own: {said}");
        Ok(())
    }

    /// Loads the operator's image, with the name that the chart uses, into the node: the archive named by `CERTWRIGHT_IMAGE`, or
    /// the one that `make image` wrote beside the directory of this program.
    pub async fn import_operator(&self) -> Result<()> {
        self.import(&operator_archive()?).await
    }

    /// Loads the image of the DNS provider webhook, with the name that its chart uses, which `make image` wrote as well.
    pub async fn import_dns(&self) -> Result<()> {
        self.import(&archive_of("certwright-dns")?).await
    }

    /// Loads an image with a program that was built for the tests, under this name.
    pub async fn import_program(&self, program: &str, name: &str) -> Result<()> {
        let Description { tools, state, .. } = &self.cluster.description;
        self.import(&machine::write_image(tools, state, program)?).await?;
        self.tag(&format!("docker.io/library/{program}:1"), name).await
    }

    async fn import(&self, archive: &Path) -> Result<()> {
        ensure!(archive.exists(), "there is no image in {}. Make it by `make image`", archive.display());
        machine::import(&self.cluster.description.tools, archive).await
    }

    /// The end of the logs of all pods, including deleted ones.
    pub fn pod_log_tail(&self, lines: usize) -> String {
        let mut text = String::new();
        let mut directories = vec![self.cluster.description.state.join("logs/pods")];
        while let Some(directory) = directories.pop() {
            for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
                let path = entry.path();
                if path.is_dir() {
                    directories.push(path);
                } else {
                    text += &format!("The end of {}:\n{}\n", path.display(), process::tail(&path, lines));
                }
            }
        }
        text
    }

    /// Gives an image another name; both are like `ghcr.io/certwright/certwright:0.1.0`.
    pub async fn tag(&self, image: &str, name: &str) -> Result<()> {
        machine::ctr(&self.cluster.description.tools, &["images", "tag", image, name]).await.map(drop)
    }
}

/// The archive with the operator's image.
pub fn operator_archive() -> Result<PathBuf> {
    if let Some(path) = env::var_os("CERTWRIGHT_IMAGE") {
        return Ok(path.into());
    }
    archive_of("certwright")
}

/// The archive with the image of this program, which `make image` wrote beside the directory of this one.
pub fn archive_of(program: &str) -> Result<PathBuf> {
    let profile = process::built_beside("cluster").context("the program cluster is not built")?;
    let target = profile.ancestors().nth(2).unwrap_or(Path::new("."));
    Ok(target.join("image").join(format!("{program}-{}-oci.tar", env!("CARGO_PKG_VERSION"))))
}

/// The name of the test that contains this closure: `a_test` for `tests::a_test::{{closure}}`.
fn test_name(closure: &str) -> Result<&str> {
    let (test, _) =
        closure.split_once("::{{closure}}").context("Node::with is called by a test's own closure")?;
    let (_, name) = test.split_once("::").context("a test is in a crate")?;
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_is_known_by_the_closure_in_it() {
        let closure = async || {};
        let _ = &closure;
        fn name_of<T>(_: &T) -> &'static str {
            type_name::<T>()
        }
        assert_eq!(
            test_name(name_of(&closure)).unwrap(),
            "node::tests::a_test_is_known_by_the_closure_in_it"
        );
    }
}
