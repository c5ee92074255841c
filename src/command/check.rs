//! `certwright check`: checks everything that an issuance needs. Each line has a result, and what to do about a problem.

mod caa;
mod certwright_dns;
mod install;
mod issuers;
mod names;
mod rights;
mod second;
pub(super) mod served;
mod shards;

use clap::{Args, Subcommand};
use kube::api::ListParams;

use super::output::{BAD, GOOD, SO_SO, fit_terminal, plain, styled, tell, wrapped};
use super::{ClusterArgs, EgressArgs, Error, Exit, print};
use certwright_egress::Egress;
use certwright_solver::dns01::NameServer;

/// What to check.
#[derive(Args, Clone, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Check {
    /// A single thing to check.
    #[command(subcommand)]
    pub only: Option<Only>,
    /// The operator's own namespace.
    #[arg(long, value_name = "NAMESPACE", default_value = "certwright")]
    pub operator_namespace: String,
    /// The namespace with the Secrets of ClusterIssuers, if it is not the operator's own.
    #[arg(long, value_name = "NAMESPACE")]
    pub cluster_resource_namespace: Option<String>,
    /// Name of the operator's Lease. By default, it is `certwright`, or those of all shards.
    #[arg(long, value_name = "NAME")]
    pub lease_name: Option<String>,
    /// Check only what is in the cluster, and send nothing to CAs, names or name servers.
    #[arg(long)]
    pub cluster_only: bool,
    /// Name servers to use, as `ip` or `ip:port` separated by commas; those of this machine by default.
    #[arg(long, value_delimiter = ',')]
    pub nameservers: Vec<NameServer>,
    /// Where to connect to on behalf of issuers and names: pass the operator's settings.
    #[command(flatten)]
    pub egress: EgressArgs,
    /// Which cluster. Without a namespace, checks the issuers and Certificates of all namespaces.
    #[command(flatten)]
    pub cluster: ClusterArgs,
}

/// A single thing to check.
#[derive(Clone, Debug, Subcommand)]
pub enum Only {
    /// Check from this machine whether servers show the certificates that they should.
    Served(served::CheckServed),
}

/// The result of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    Ok,
    Warn,
    Fail,
}

/// What was checked, the result, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    level: Level,
    words: String,
    advice: String,
}

impl Finding {
    fn ok(words: impl Into<String>) -> Self {
        Self { level: Level::Ok, words: words.into(), advice: String::new() }
    }

    fn warn(words: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { level: Level::Warn, words: words.into(), advice: advice.into() }
    }

    fn fail(words: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { level: Level::Fail, words: words.into(), advice: advice.into() }
    }

    pub(super) fn is_failure(&self) -> bool {
        self.level == Level::Fail
    }
}

impl Check {
    /// Runs all checks, and prints the findings of each. The exit code is 3 if a check fails.
    ///
    /// # Errors
    /// [`Error`], if there is no cluster to check.
    pub async fn execute(self) -> Result<Exit, Error> {
        fit_terminal();
        if let Some(Only::Served(served)) = self.only {
            return served.execute().await;
        }
        let cluster = self.cluster.connect().await?;
        let namespace = self.cluster.namespace.as_deref();
        let secrets_namespace = self.cluster_resource_namespace.as_ref().unwrap_or(&self.operator_namespace);
        let mut report = Report::default();
        report.title("Cluster")?;
        if !report.add(install::api_server(&cluster).await)? {
            return report.end();
        }
        report.add(install::definitions(&cluster).await)?;
        report.title("Operator")?;
        let operator = install::Operator::find(&cluster, &self.operator_namespace).await;
        report.add(operator.findings())?;
        let shards = shards::all(&cluster, &self.operator_namespace).await;
        let lease_name = self.lease_name.as_deref();
        report
            .add(install::leases(&cluster, &self.operator_namespace, lease_name, &shards, &operator).await)?;
        report.add(rights::of_operator(&cluster, &self.operator_namespace, &operator).await)?;
        report.title("You")?;
        report.add(rights::of_user(&cluster, namespace).await)?;
        report.title("Issuers")?;
        let (issuers, unread) = match issuers::all(&cluster, namespace).await {
            Ok(found) => found,
            Err(error) => {
                report.add(vec![unreadable(&error)])?;
                return report.end();
            }
        };
        if unread.is_empty() || !issuers.is_empty() {
            report.add(issuers::findings(&cluster, &issuers, secrets_namespace).await)?;
            report.add(certwright_dns::finding(&cluster, &issuers, &operator).await.into_iter().collect())?;
        }
        report.add(unread)?;
        if !shards.is_empty() {
            report.title("Shards")?;
            match cluster.certificates(namespace, &ListParams::default()).await {
                Err(error) => report.add(vec![unreadable(&error)])?,
                Ok(certificates) => report.add(shards::findings(&shards, &certificates, &issuers))?,
            };
        }
        if !self.cluster_only {
            let egress = Egress::new(self.egress.rules(), |_| {});
            let (answers, servers) = issuers::directories(&issuers, &egress).await;
            report.add(answers)?;
            report.add(second::directories(&servers).await)?;
            report.add(second::accounts(&cluster, &issuers, &servers, secrets_namespace).await)?;
            report.title("Names, as seen from this machine")?;
            match cluster.certificates(namespace, &ListParams::default()).await {
                Err(error) => report.add(vec![unreadable(&error)])?,
                Ok(certificates) => {
                    report.add(names::findings(&certificates, &issuers, &self.nameservers, &egress).await)?;
                    report.title("CAA records and DNSSEC, as seen from this machine")?;
                    report.add(
                        caa::findings(&certificates, &issuers, &servers, &self.nameservers, &egress).await,
                    )?
                }
            };
        }
        report.end()
    }
}

/// The finding about objects that cannot be read, and therefore not checked.
fn unreadable(error: &Error) -> Finding {
    Finding::warn(
        error.to_string(),
        "Ask somebody with this permission to run the check, or restrict it with --namespace.",
    )
}

/// The findings so far.
#[derive(Default)]
struct Report {
    failures: usize,
    warnings: usize,
}

impl Report {
    fn title(&self, title: &str) -> Result<(), Error> {
        print(&format!("{title}\n"))
    }

    /// Prints findings; returns whether none of them is a failure.
    fn add(&mut self, findings: Vec<Finding>) -> Result<bool, Error> {
        let failures = findings.iter().filter(|finding| finding.level == Level::Fail).count();
        self.failures += failures;
        self.warnings += findings.iter().filter(|finding| finding.level == Level::Warn).count();
        print(&findings.iter().map(rendered).collect::<String>())?;
        Ok(failures == 0)
    }

    fn end(&self) -> Result<Exit, Error> {
        let counted =
            |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
        let (failures, warnings) = (counted(self.failures, "failure"), counted(self.warnings, "warning"));
        tell(&format!("\n{failures}, {warnings}.\n"))?;
        Ok(if self.failures > 0 { Exit::NotWell } else { Exit::Fine })
    }
}

/// A finding in lines for a person.
pub(super) fn rendered(finding: &Finding) -> String {
    const INDENT: usize = 8;
    let mark = match finding.level {
        Level::Ok => styled(GOOD, "ok  "),
        Level::Warn => styled(SO_SO, "warn"),
        Level::Fail => styled(BAD, "fail"),
    };
    let advice = match finding.advice.as_str() {
        "" => String::new(),
        advice => format!("{}{}\n", " ".repeat(INDENT), wrapped(&plain(advice), INDENT)),
    };
    format!("  {mark}  {}\n{advice}", wrapped(&plain(&finding.words), INDENT))
}
