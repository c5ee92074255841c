//! `certwright support-bundle`: what somebody who helps needs to see, in one archive, without secrets.

mod archive;
mod events;
mod objects;
mod operator;
mod redact;
mod secrets;
mod summary;

use std::future::pending;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use jiff::{SignedDuration, Timestamp};
use tokio::signal::ctrl_c;
use tokio::time::timeout;

use self::archive::Archive;
use self::objects::Objects;
use self::redact::Redactor;
use super::error::words;
use super::output::{self, tell};
use super::request::annotate;
use super::targets::Target;
use super::values::length;
use super::{Cluster, ClusterArgs, Error, Exit, print};
use certwright_api::{ANNOTATION_LOG_ACME, ANNOTATION_RETRY, IssuerKind};
use certwright_runtime::clock;

/// What to collect, and where to write it.
#[derive(Args, Clone, Debug)]
pub struct SupportBundle {
    /// Where to write: a file that ends in .tar.gz, or a directory. It must not exist. Defaults to a file in the current directory
    /// whose name contains the time.
    #[arg(short, long, value_name = "PATH")]
    pub output: Option<PathBuf>,
    /// The operator's own namespace: its pods, logs and metrics are collected from there.
    #[arg(long, value_name = "NAMESPACE", default_value = "certwright")]
    pub operator_namespace: String,
    /// The namespace with the Secrets of ClusterIssuers, if it is not the operator's own.
    #[arg(long, value_name = "NAMESPACE")]
    pub cluster_resource_namespace: Option<String>,
    /// How far the operator's logs go back.
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = length)]
    pub since: SignedDuration,
    /// Log what this issuer and its CA say to each other for an hour, and retry the issuer: `issuer/NAME` or
    /// `clusterissuer/NAME`.
    #[arg(long, value_name = "ISSUER", value_parser = issuer)]
    pub acme_log: Option<(IssuerKind, String)>,
    /// How long to wait for that exchange before the bundle is written. Cause the problem again in the meantime.
    #[arg(long, value_name = "TIME", default_value = "1m", value_parser = length, requires = "acme_log")]
    pub acme_log_wait: SignedDuration,
    /// Which cluster. Without a namespace, collects the issuers and Certificates of all namespaces.
    #[command(flatten)]
    pub cluster: ClusterArgs,
}

/// A file of the bundle.
struct File {
    path: String,
    text: String,
}

impl File {
    fn new(path: impl Into<String>, text: String) -> Self {
        Self { path: path.into(), text }
    }
}

/// What is collected, and what could not be.
#[derive(Default)]
struct Bundle {
    files: Vec<File>,
    /// What is missing, and why.
    missing: Vec<String>,
}

impl Bundle {
    fn lacks(&mut self, what: &str, error: &kube::Error) {
        self.missing.push(format!("{what}: {}", words(error)));
    }
}

impl SupportBundle {
    /// Collects everything that the user may read, and writes it.
    ///
    /// # Errors
    /// [`Error`], if there is no cluster, the issuer to log does not exist, or the bundle cannot be written.
    pub async fn execute(self) -> Result<Exit, Error> {
        let archive = Archive::new(self.output.clone(), clock::now())?;
        let cluster = self.cluster.connect().await?;
        if let Some((kind, name)) = &self.acme_log {
            self.log_exchange(*kind, name, &cluster).await?;
        }
        let now = clock::now();
        let (bundle, redactor) = self.collected(&cluster, now).await?;
        let missing = bundle.missing.len();
        let path = archive.write(bundle.written(&redactor, now), now)?;
        print(&format!("{}\n", path.display()))?;
        let lacking = match missing {
            0 => String::new(),
            some => format!(" {some} of its parts could not be read: its README.txt says which."),
        };
        tell(&format!("Read it before you send it.{lacking}\n"))?;
        Ok(Exit::Fine)
    }

    /// Asks the operator to log an exchange, and waits until there is one.
    async fn log_exchange(&self, kind: IssuerKind, name: &str, cluster: &Cluster) -> Result<(), Error> {
        let issuer = Target { kind: kind.into(), name: name.to_owned() };
        let now = clock::now().to_string();
        for annotation in [ANNOTATION_LOG_ACME, ANNOTATION_RETRY] {
            annotate(cluster, &issuer, (annotation, &now)).await?;
        }
        let wait = Duration::try_from(self.acme_log_wait).unwrap_or_default();
        tell(&format!(
            "The operator logs the exchange of {} with its CA for an hour, and retries the issuer. Cause the problem again now, for \
             example with `certwright renew`. The bundle is written in {}, or when you press Ctrl-C.\n",
            issuer.called(&cluster.namespace),
            output::length(self.acme_log_wait),
        ))?;
        tokio::select! {
            _ = timeout(wait, pending::<()>()) => {}
            _ = ctrl_c() => {}
        }
        Ok(())
    }

    async fn collected(&self, cluster: &Cluster, now: Timestamp) -> Result<(Bundle, Redactor), Error> {
        let namespace = self.cluster.namespace.as_deref();
        let mut bundle = Bundle::default();
        let objects = Objects::collect(cluster, namespace, &mut bundle).await;
        let secrets_in = self.cluster_resource_namespace.as_ref().unwrap_or(&self.operator_namespace);
        let values = secrets::collect(cluster, &objects, secrets_in, &mut bundle).await;
        events::collect(cluster, namespace, &self.operator_namespace, &mut bundle).await;
        operator::collect(cluster, &self.operator_namespace, self.since, &mut bundle).await;
        bundle.files.push(File::new("summary.txt", summary::rendered(&objects, now)));
        objects.add_to(&mut bundle)?;
        Ok((bundle, Redactor::new(&values)?))
    }
}

impl Bundle {
    /// The files as they are written, with one that describes the others.
    fn written(mut self, redactor: &Redactor, now: Timestamp) -> Vec<File> {
        self.files.sort_by(|one, other| one.path.cmp(&other.path));
        let mut text = format!(
            "A support bundle of Certwright, collected {now:.0} with version {}.\n\n\
             Read it before you send it: it has the names of your Certificates, issuers and Secrets, and addresses and error\n\
             messages. It has no values of Secrets: [secret], [private key], [token] and [redacted] stand for what was removed.\n\n\
             summary.txt        what is not ready, and why: begin here\n\
             certificates/, issuers/, clusterissuers/, challenges/\n\
             \u{20}                  the objects as they are in the cluster, with status and conditions\n\
             secrets.txt        the Secrets that they name: type and keys, and the size of each value\n\
             events.txt         events about these objects and in the operator's namespace, the oldest first\n\
             operator/          Deployment, pods, Leases, versions; logs and metrics of each pod\n\
             operator/acme.log  what issuers and their CAs said to each other, if that was logged\n",
            env!("CARGO_PKG_VERSION")
        );
        text.push_str("\nFiles:\n");
        for file in &self.files {
            text.push_str(&format!("{:>9}  {}\n", file.text.len(), file.path));
        }
        if !self.missing.is_empty() {
            text.push_str("\nMissing:\n");
            self.missing.iter().for_each(|what| text.push_str(&format!("- {what}\n")));
        }
        self.files.insert(0, File::new("README.txt", text));
        let clean = |file: File| File { text: redactor.clean(&file.text), ..file };
        self.files.into_iter().map(clean).collect()
    }
}

fn issuer(text: &str) -> Result<(IssuerKind, String), String> {
    let (kind, name) = text.split_once('/').ok_or("expected issuer/NAME or clusterissuer/NAME")?;
    let kind = match kind.to_lowercase().as_str() {
        "issuer" | "issuers" => IssuerKind::Issuer,
        "clusterissuer" | "clusterissuers" => IssuerKind::ClusterIssuer,
        _ => return Err("expected issuer/NAME or clusterissuer/NAME".to_owned()),
    };
    match certwright_api::bounds::is_object_name(name) {
        true => Ok((kind, name.to_owned())),
        false => Err("not the name of an issuer".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_issuer_to_log_is_named_with_its_kind() {
        assert_eq!(issuer("issuer/acme"), Ok((IssuerKind::Issuer, "acme".to_owned())));
        assert_eq!(issuer("ClusterIssuer/acme"), Ok((IssuerKind::ClusterIssuer, "acme".to_owned())));
        for wrong in ["acme", "certificate/acme", "issuer/", "issuer/a b"] {
            assert!(issuer(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_readme_lists_the_files_and_what_is_missing_and_everything_is_cleaned() {
        let bundle = Bundle {
            files: vec![
                File::new("b.txt", "hunter2hunter2".to_owned()),
                File::new("a.txt", "fine".to_owned()),
            ],
            missing: vec!["the log of pod x: forbidden for hunter2hunter2".to_owned()],
        };
        let redactor = Redactor::new(&[b"hunter2hunter2".to_vec().into()]).unwrap();
        let files = bundle.written(&redactor, Timestamp::UNIX_EPOCH);
        let paths: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
        assert_eq!(paths, ["README.txt", "a.txt", "b.txt"]);
        let [readme, a, b] = &files[..] else { panic!("{paths:?}") };
        assert!(readme.text.contains("        4  a.txt\n       14  b.txt\n"), "{}", readme.text);
        assert!(readme.text.contains("- the log of pod x: forbidden for [secret]\n"), "{}", readme.text);
        assert_eq!((a.text.as_str(), b.text.as_str()), ("fine", "[secret]"));
    }
}
