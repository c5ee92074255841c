//! The whole life of an account and a certificate at ACME servers by three authors. What each of them can do becomes the table in
//! docs/ca-features.md.
//!
//! A CA has a feature if it answered a request and acted on it. It does not have it if its directory lacks it, or if it rejected
//! the request with a problem document. Anything else, such as a CA that does not answer, fails the test.

mod account;
mod certificates;

use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;

use crate::common::cas::{Ca, KEY_ID, MAC_KEY, WRONG_MAC_KEY};
use crate::common::faults::{event, requests_to};
use crate::common::overheard::{Overheard, problem};
use crate::common::{SOON, certificate, condition, issued, issuer, mac_key, of_issuer, revision, tls};
use anyhow::{Context, Result, bail, ensure};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use certwright_acme::{Account, AccountStatus, Directory, Server, ServerConfig, Trust, jwk_thumbprint};
use certwright_cluster::proxy::Action;
use certwright_cluster::{ADDRESS, Operator, Proxy, Resolver, TestNamespace};
use certwright_pki::{KeyEncoding, PrivateKey};
use certwright_runtime::clock;
use k8s_openapi::api::core::v1::Secret;
use reqwest::Url;
use serde_json::{Value, json};

#[tokio::test]
async fn the_table_of_features_is_what_three_cas_do() -> Result<()> {
    TestNamespace::with("life", async |ns| {
        let _operator = Operator::builder(ns).start().await?;
        let resolver = Resolver::builder().start(&ns.cluster).await?;
        let mut lives = Vec::new();
        for ca in [Ca::pebble(ns).await?, Ca::step_ca(ns).await?, Ca::acme2certifier(ns, &resolver).await?] {
            let life = Life::new(ns, &ca).await.with_context(|| ca.title)?;
            let life = life.live().await.with_context(|| ca.title)?;
            lives.push((ca.title, life));
        }
        check_docs(&table(&lives)?)
    })
    .await
}

/// What a CA does with a request for a feature.
enum Outcome {
    Yes,
    /// What it does instead.
    No(String),
}

/// The features of a CA, in the order of the table.
type Features = Vec<(&'static str, Outcome)>;

struct Life<'a> {
    ns: &'a TestNamespace,
    ca: &'a Ca,
    /// The CA's identity for issuers.
    proxy: Proxy,
    overheard: Overheard,
    directory: Arc<Directory>,
}

impl<'a> Life<'a> {
    async fn new(ns: &'a TestNamespace, ca: &'a Ca) -> Result<Self> {
        let url = Url::parse(&ca.directory_url)?;
        let proxy =
            Proxy::start(&ns.cluster, &format!("{ADDRESS}:{}", url.port().context("no port")?)).await?;
        let overheard = Overheard::at(&proxy);
        let directory = server(ca)?.directory().await?;
        Ok(Self { ns, ca, proxy, overheard, directory })
    }

    /// Goes through all of it. Features that all CAs must have are required; the others are detected.
    async fn live(&self) -> Result<Features> {
        self.ns.apply(&mac_key("eab", MAC_KEY)).await?;
        self.ns.apply(&mac_key("wrong-eab", WRONG_MAC_KEY)).await?;
        Ok(vec![
            ("External account binding", self.external_account().await.context("external account")?),
            ("Registration", self.register().await.context("registration")?),
            ("Other contact", self.change_contact().await.context("contact")?),
            ("Look-up by key", self.look_up().await.context("look-up")?),
            ("http-01", self.issue().await.context("issuance")?),
            ("Renewal", self.renew().await.context("renewal")?),
            ("Profiles", self.profile().await.context("profile")?),
            ("Renewal information (ARI)", self.renewal_information().await.context("ARI")?),
            ("Revocation by the account", self.revoke().await.context("revocation")?),
            ("Revocation by the certificate's key", self.revoke_with_own_key().await.context("own key")?),
            ("Key rollover", self.roll_over().await.context("key rollover")?),
            ("Deactivation", self.deactivate().await.context("deactivation")?),
        ])
    }

    /// The HTTP statuses of the CA's answers to requests to `url`, or to URLs below it.
    fn statuses(&self, url: &str) -> Vec<u16> {
        let requests = requests_to(&self.proxy, &path(url));
        requests.iter().filter_map(|request| Some(request.status?.as_u16())).collect()
    }

    /// Fails unless the CA's last answer to requests to `url` had this status.
    fn answered(&self, url: &str, status: u16) -> Result<()> {
        let statuses = self.statuses(url);
        ensure!(statuses.last() == Some(&status), "the CA did not answer {status}, but {statuses:?}");
        Ok(())
    }

    /// Fails unless the CA rejected a request to `url`, with a problem of one of these types, which `message` quotes.
    fn refused(&self, url: &str, message: &str, types: &[&str]) -> Result<()> {
        let statuses = self.statuses(url);
        ensure!(
            statuses.last().is_some_and(|status| (400..500).contains(status)),
            "the CA did not refuse a request, but answered {statuses:?}: {message}"
        );
        let (_, said) = message.rsplit_once(" failed: ").context("the message has no words of the CA")?;
        let quoted = |typ: &&str| said.contains(&format!("(urn:ietf:params:acme:error:{typ})"));
        ensure!(types.iter().any(quoted), "not a refusal of type {types:?}: {message}");
        Ok(())
    }

    async fn account_key(&self, issuer: &str) -> Result<PrivateKey> {
        let secret = self.ns.api::<Secret>().get(&format!("{issuer}-account-key")).await?;
        Ok(PrivateKey::from_pem(&secret.data.context("no data")?["tls.key"].0)?)
    }

    fn name(&self, what: &str) -> String {
        format!("{}-{what}", self.ca.name)
    }

    async fn apply_issuer(&self, name: &str, more: &str) -> Result<String> {
        let directory = format!("{}{}", self.proxy.url, path(&self.ca.directory_url));
        let yaml = issuer(&directory, &self.ns.cluster.ca()?.pem, more);
        self.ns.apply(&of_issuer(name, &yaml)).await?;
        Ok(format!("issuer/{name}"))
    }

    async fn apply_certificate(&self, name: &str, issuer: &str) -> Result<()> {
        let host = format!("{name}.{}.example.com", self.ns.name);
        self.ns.apply(&of_issuer(issuer, &certificate(name, &[&host], ""))).await.map(drop)
    }

    async fn ready(&self, issuer: &str) -> Result<Value> {
        self.ns.wait_condition(issuer, "Ready", "True", SOON).await?;
        self.ns.get(issuer).await?.context("it is gone")
    }
}

/// The CA itself, without the operator.
fn server(ca: &Ca) -> Result<Server> {
    let trust = Trust::Bundle(ca.ca_pem.as_bytes().to_vec());
    Ok(Server::new(ServerConfig { trust, ..ServerConfig::new(&ca.directory_url, clock::now) })?)
}

/// The path of a URL, which is the same at the CA and at the proxy before it.
fn path(url: &str) -> String {
    Url::parse(url).map(|url| url.path().to_owned()).unwrap_or_default()
}

/// The CA's own words in a message.
fn words(message: &str) -> String {
    let words = message.rsplit_once(" failed: ").map_or(message, |(_, words)| words);
    format!("\"{}\"", words.split(" (urn:").next().unwrap_or_default())
}

fn binding(secret: &str) -> String {
    format!("    externalAccountBinding: {{ keyID: {KEY_ID}, keySecretRef: {{ name: {secret} }} }}\n")
}

/// The lives as a table in Markdown.
fn table(lives: &[(&str, Features)]) -> Result<String> {
    let titles: Vec<&str> = lives.iter().map(|(title, _)| *title).collect();
    let mut table = format!("| feature | {} |\n|---{}|\n", titles.join(" | "), "|---".repeat(titles.len()));
    let (_, first) = lives.first().context("no CA")?;
    for (index, (feature, _)) in first.iter().enumerate() {
        let cells: Vec<String> = lives
            .iter()
            .map(|(_, features)| match &features[index].1 {
                Outcome::Yes => "yes".to_owned(),
                Outcome::No(instead) => format!("no: {instead}"),
            })
            .collect();
        writeln!(table, "| {feature} | {} |", cells.join(" | "))?;
    }
    Ok(table)
}

/// Compares the table with that in the documentation, or writes it there if `CERTWRIGHT_WRITE_DOCS` is set.
fn check_docs(table: &str) -> Result<()> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/ca-features.md");
    let text = std::fs::read_to_string(&path)?;
    let (begin, end) = ("<!-- made by tests/it/lifecycle.rs -->\n", "<!-- end -->\n");
    let (before, rest) = text.split_once(begin).context("no beginning of the table")?;
    let (written, after) = rest.split_once(end).context("no end of the table")?;
    if std::env::var_os("CERTWRIGHT_WRITE_DOCS").is_some() {
        return Ok(std::fs::write(path, format!("{before}{begin}{table}{end}{after}"))?);
    }
    ensure!(written == table, "docs/ca-features.md is not what the CAs do; `make features` writes\n{table}");
    Ok(())
}
