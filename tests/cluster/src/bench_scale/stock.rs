//! Puts Certificates at rest into the cluster.

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use anyhow::{Context, Result};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use certwright_acme::SuggestedWindow;
use certwright_api::{Certificate, IssuerKind, IssuerRef};
use certwright_cluster::{
    Cluster, Operator, TestNamespace,
    at_rest::{Writer, by_user, certificate, ensure_alike, issued, issuer_ref},
};
use futures::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use kube::{Api, api::ListParams};
use serde_json::Value;

use crate::bench::site::{Authority, LIMIT, Proof, issuer};

/// How many namespaces they are in.
const NAMESPACES: usize = 20;
/// In how many of these half of them name an Issuer of their own. All others name the ClusterIssuer.
const WITH_ISSUER: usize = 4;
/// How many objects are written at a time.
const AT_ONCE: usize = 32;

/// Certificates at rest.
pub struct Stock {
    /// The name of the issuers, with which those of the namespaces begin.
    name: &'static str,
    namespaces: Vec<TestNamespace>,
    /// URLs of the accounts of the ClusterIssuer, and of the Issuer of each namespace.
    accounts: BTreeMap<Option<String>, String>,
    /// What the CA suggests about each certificate.
    suggests: Option<SuggestedWindow>,
}

impl Stock {
    /// Creates namespaces, and issuers that an operator registers. It also issues certificates, which show what an issuance
    /// leaves.
    pub async fn create(
        name: &'static str,
        own: &TestNamespace,
        operator: Operator,
        ca: &impl Authority,
        suggests: Option<SuggestedWindow>,
    ) -> Result<Self> {
        let solver = [Proof::Http.solver()];
        let mut stock = Self { name, namespaces: Vec::new(), accounts: BTreeMap::new(), suggests };
        own.apply(&issuer("ClusterIssuer", name, ca, &solver).to_string()).await?;
        stock.accounts.insert(None, account(own, "clusterissuer", name).await?);
        for number in 0..NAMESPACES {
            let cluster = Cluster::new(own.cluster.description.clone());
            let namespace = TestNamespace::named(cluster, &format!("{name}-{number:02}")).await?;
            if number < WITH_ISSUER {
                namespace.apply(&issuer("Issuer", name, ca, &solver).to_string()).await?;
                let account = account(&namespace, "issuer", name).await?;
                stock.accounts.insert(Some(namespace.name.clone()), account);
            }
            stock.namespaces.push(namespace);
        }
        let mut samples = Vec::new();
        for kind in [IssuerKind::ClusterIssuer, IssuerKind::Issuer] {
            samples.push(stock.issue(kind).await?);
        }
        operator.terminate().await?;
        for sample in &samples {
            stock.compare(sample).await?;
        }
        Ok(stock)
    }

    /// Has a certificate issued.
    async fn issue(&self, kind: IssuerKind) -> Result<Sample> {
        let (namespace, issuer) = (self.first()?, issuer_ref(kind, self.name));
        let name = format!("issued-by-{}", kind.as_str().to_ascii_lowercase());
        let api = Api::<Certificate>::namespaced(namespace.client.clone(), &namespace.name);
        api.create(&by_user(), &certificate(&namespace.name, &name, &issuer)).await?;
        // The last write comes when everything that the issuance has left is removed.
        namespace.wait(&format!("certificate.certwright.dev/{name}"), LIMIT, is_at_rest).await?;
        Ok(Sample { issuer, name })
    }

    /// Writes a Certificate and its Secret, and compares them with those that an issuance has left.
    async fn compare(&self, sample: &Sample) -> Result<()> {
        let (namespace, issuer) = (self.first()?, &sample.issuer);
        let name = format!("written-for-{}", issuer.kind.as_str().to_ascii_lowercase());
        let made = certificate(&namespace.name, &name, issuer);
        let writer = self.writer()?;
        let account = self.account(&namespace.name, issuer)?;
        writer.write(&made, account, issued(0, 1, Timestamp::now())).await?;
        for (kind, suffix) in [("certificate.certwright.dev", ""), ("secret", "-tls")] {
            let get = async |name: &str| {
                let target = format!("{kind}/{name}{suffix}");
                namespace.get(&target).await?.with_context(|| format!("no {target}"))
            };
            ensure_alike(kind, &get(&name).await?, &get(&sample.name).await?)?;
        }
        Ok(())
    }

    fn writer(&self) -> Result<Writer> {
        Ok(Writer::new(self.first()?.client.clone())?.suggesting(self.suggests))
    }

    fn first(&self) -> Result<&TestNamespace> {
        self.namespaces.first().context("no namespaces")
    }

    /// Writes `n` Certificates with their Secrets. Returns with what the CA's ids of their certificates begin.
    pub async fn fill(&self, n: usize) -> Result<String> {
        let start = Instant::now();
        let writer = Arc::new(self.writer()?);
        let now = Timestamp::now();
        let writes = stream::iter(0..n).map(|number| {
            let writer = writer.clone();
            let place = self.place(number).map(|(made, account)| (made, account.to_owned()));
            async move {
                let (made, account) = place?;
                let task = async move { writer.write(&made, &account, issued(number, n, now)).await };
                tokio::spawn(task).await??;
                anyhow::Ok(())
            }
        });
        let mut writes = writes.buffer_unordered(AT_ONCE);
        let mut written = 0;
        while writes.try_next().await?.is_some() {
            written += 1;
            if written % 10_000 == 0 || written == n {
                eprintln!(
                    "{written} of {n} Certificates are there after {:.0} s",
                    start.elapsed().as_secs_f64()
                );
            }
        }
        Ok(BASE64_URL_SAFE_NO_PAD.encode(writer.authority_key_identifier()))
    }

    /// Certificate number `number`, and its account.
    fn place(&self, number: usize) -> Result<(Certificate, &str)> {
        let index = number % NAMESPACES;
        let has_issuer = index < WITH_ISSUER && (number / NAMESPACES).is_multiple_of(2);
        let kind = if has_issuer { IssuerKind::Issuer } else { IssuerKind::ClusterIssuer };
        let (issuer, namespace) = (issuer_ref(kind, self.name), &self.namespaces[index].name);
        let made = certificate(namespace, &format!("web-{number:06}"), &issuer);
        Ok((made, self.account(namespace, &issuer)?))
    }

    fn account(&self, namespace: &str, issuer: &IssuerRef) -> Result<&str> {
        let whose = (issuer.kind == IssuerKind::Issuer).then(|| namespace.to_owned());
        self.accounts.get(&whose).map(String::as_str).context("an issuer without an account")
    }

    /// How many Certificates there are.
    pub async fn count(&self) -> Result<usize> {
        let one = Api::<Certificate>::all(self.first()?.client.clone())
            .list_metadata(&ListParams::default().limit(1))
            .await?;
        let more = one.metadata.remaining_item_count.unwrap_or_default();
        Ok(one.items.len() + usize::try_from(more)?)
    }
}

/// A Certificate at rest that was issued.
struct Sample {
    issuer: IssuerRef,
    name: String,
}

/// The URL of an issuer's account, once it is registered.
async fn account(namespace: &TestNamespace, kind: &str, name: &str) -> Result<String> {
    let target = format!("{kind}.certwright.dev/{name}");
    let issuer = namespace.wait_condition(&target, "Ready", "True", LIMIT).await?;
    let uri = issuer["status"]["acme"]["uri"].as_str();
    Ok(uri.context("an issuer without the URL of its account")?.to_owned())
}

fn is_at_rest(certificate: &Value) -> bool {
    let status = &certificate["status"];
    let is = |kind: &str, value: &str| {
        let conditions = status["conditions"].as_array();
        conditions.into_iter().flatten().any(|one| one["type"] == kind && one["status"] == value)
    };
    status["order"].is_null() && is("Ready", "True") && is("Issuing", "False")
}
