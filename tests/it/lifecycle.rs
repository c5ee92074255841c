//! The whole life of an account and a certificate at ACME servers of three authors. What each of them can do makes the table
//! in docs/ca-features.md.

use std::fmt::Write;
use std::path::Path;

use crate::common::cas::{Ca, KEY_ID, MAC_KEY, WRONG_MAC_KEY};
use crate::common::faults::event;
use crate::common::overheard::{Overheard, problem};
use crate::common::{SOON, certificate, condition, issued, issuer, mac_key, of_issuer, revision, tls};
use anyhow::{Context, Result, ensure};
use certwright::acme::{Account, AccountStatus, Server, ServerConfig, Trust, jwk_thumbprint};
use certwright::pki::{KeyEncoding, PrivateKey};
use certwright::runtime::clock;
use certwright_cluster::proxy::Action;
use certwright_cluster::{ADDRESS, Operator, Proxy, Resolver, TestNamespace};
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
            let life = Life { ns, ca: &ca }.live().await.with_context(|| ca.title)?;
            lives.push((ca.title, life));
        }
        check_docs(&table(&lives)?)
    })
    .await
}

/// What a CA makes of a feature.
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
}

impl Life<'_> {
    /// Lives through all of it. What no CA may lack has to work; what is left is found out.
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

    /// A MAC key that is wrong is refused.
    async fn external_account(&self) -> Result<Outcome> {
        let name = self.name("wrong");
        self.apply_issuer(&name, &binding("wrong-eab")).await?;
        let settled = |object: &Value| {
            let ready = condition(object, "Ready").is_some_and(|(status, ..)| status == "True");
            ready || object["status"]["failedAttempts"] == 1
        };
        let settled = self.ns.wait(&format!("issuer/{name}"), SOON, settled).await?;
        let (status, _, message) = condition(&settled, "Ready").context("no condition")?;
        println!("{}: {message}", self.ca.title);
        Ok(if status == "True" { Outcome::No("is not looked at".to_owned()) } else { Outcome::Yes })
    }

    async fn register(&self) -> Result<Outcome> {
        let more = format!("    email: one@example.com\n{}", binding("eab"));
        let issuer = self.apply_issuer(&self.name("ca"), &more).await?;
        let issuer = self.ready(&issuer).await?;
        ensure!(issuer["status"]["acme"]["boundKeyID"] == KEY_ID, "{}", issuer["status"]);
        Ok(Outcome::Yes)
    }

    async fn change_contact(&self) -> Result<Outcome> {
        let name = self.name("ca");
        let object = format!("issuer/{name}");
        self.ns.patch(&object, json!({ "spec": { "acme": { "email": "two@example.com" } } })).await?;
        let told = |object: &Value| object["status"]["acme"]["lastRegisteredEmail"] == "two@example.com";
        self.ns.wait(&object, SOON, told).await?;
        let known = Account::look_up(&self.server()?, self.account_key(&name).await?).await?;
        let contact = known.context("the account is gone")?.state.contact;
        ensure!(contact == ["mailto:two@example.com"], "the CA has {contact:?}");
        Ok(Outcome::Yes)
    }

    /// Another issuer with the same private key and no MAC key finds the same account.
    async fn look_up(&self) -> Result<Outcome> {
        let of = self.ns.get(&format!("issuer/{}", self.name("ca"))).await?.context("no issuer")?;
        let key = self.account_key(&self.name("ca")).await?.to_pem(KeyEncoding::Pkcs8)?;
        let found = self.name("found");
        let copy = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": { "name": found }, "stringData": { "tls.key": *key },
        });
        self.ns.apply(&copy.to_string()).await?;
        let more = format!("    email: two@example.com\n    privateKeySecretRef: {{ name: {found} }}\n");
        let issuer = self.apply_issuer(&found, &more).await?;
        let issuer = self.ready(&issuer).await?;
        ensure!(issuer["status"]["acme"]["uri"] == of["status"]["acme"]["uri"], "{}", issuer["status"]);
        Ok(Outcome::Yes)
    }

    async fn issue(&self) -> Result<Outcome> {
        self.apply_certificate(&self.name("web"), &self.name("ca")).await?;
        issued(self.ns, &self.name("web")).await?;
        tls(self.ns, &format!("{}-tls", self.name("web"))).await?;
        Ok(Outcome::Yes)
    }

    async fn renew(&self) -> Result<Outcome> {
        let (name, secret) = (self.name("web"), format!("{}-tls", self.name("web")));
        let before = tls(self.ns, &secret).await?;
        let now = json!({ "metadata": { "annotations": { "certwright.dev/renew": "now" } } });
        self.ns.patch(&format!("certificate/{name}"), now).await?;
        revision(self.ns, &name, 2).await?;
        let after = tls(self.ns, &secret).await?;
        ensure!(before.chain.leaf() != after.chain.leaf(), "it is the same certificate");
        Ok(Outcome::Yes)
    }

    /// A profile that is offered leads to a certificate, and one that is not to a refusal.
    async fn profile(&self) -> Result<Outcome> {
        for (profile, refused) in [("other", false), ("nonsense", true)] {
            let name = self.name(profile);
            let key = format!("    privateKeySecretRef: {{ name: {}-account-key }}\n", self.name("ca"));
            let more = format!("    email: two@example.com\n    profile: {profile}\n{key}{}", binding("eab"));
            let issuer = self.apply_issuer(&name, &more).await?;
            self.ready(&issuer).await?;
            self.apply_certificate(&name, &name).await?;
            let settled = |object: &Value| {
                let ready = condition(object, "Ready").is_some_and(|(status, ..)| status == "True");
                ready || object["status"]["failedIssuanceAttempts"] == 1
            };
            let object = self.ns.wait(&format!("certificate/{name}"), SOON, settled).await?;
            let (status, reason, message) = condition(&object, "Ready").context("no condition")?;
            println!("{}: profile {profile}: {reason}: {message}", self.ca.title);
            ensure!(refused || status == "True", "a profile that is offered is refused: {message}");
            if refused && status == "True" {
                return Ok(Outcome::No("are not looked at".to_owned()));
            }
        }
        Ok(Outcome::Yes)
    }

    /// The CA is asked when the certificate is best renewed.
    async fn renewal_information(&self) -> Result<Outcome> {
        if self.server()?.directory().await?.renewal_info.is_none() {
            return Ok(Outcome::No("is not offered".to_owned()));
        }
        let name = format!("certificate/{}", self.name("web"));
        let asked = self.ns.wait(&name, SOON, |object| !object["status"]["acme"]["ari"].is_null()).await?;
        let ari = &asked["status"]["acme"]["ari"];
        println!("{}: {ari}", self.ca.title);
        Ok(if ari["suggestedWindow"].is_null() {
            Outcome::No("is of no use".to_owned())
        } else {
            Outcome::Yes
        })
    }

    /// The account revokes its certificate, and another takes its place.
    async fn revoke(&self) -> Result<Outcome> {
        let name = self.name("web");
        self.ask_to_revoke(&name).await?;
        self.revoked(&name, "signed by the account").await
    }

    /// The certificate's own key does, where the account may not.
    async fn revoke_with_own_key(&self) -> Result<Outcome> {
        let name = self.name("own");
        let directory = Url::parse(&self.ca.directory_url)?;
        let host = format!("{ADDRESS}:{}", directory.port().context("no port")?);
        let proxy = Proxy::start(&self.ns.cluster, &host).await?;
        let url = self.server()?.directory().await?.revoke_cert.clone().context("no revokeCert")?;
        let path = Url::parse(&url)?.path().to_owned();
        Overheard::at(&proxy).script(&proxy, move |said| {
            match said.path == path && said.header["kid"].is_string() {
                true => problem(403, "urn:ietf:params:acme:error:unauthorized", "not this account"),
                false => Action::Pass,
            }
        });
        let at_proxy = format!("{}{}", proxy.url, directory.path());
        let more = format!("    email: two@example.com\n{}", binding("eab"));
        let yaml = issuer(&at_proxy, &self.ns.cluster.ca()?.pem, &more);
        self.ns.apply(&of_issuer(&name, &yaml)).await?;
        self.apply_certificate(&name, &name).await?;
        issued(self.ns, &name).await?;
        self.ask_to_revoke(&name).await?;
        self.revoked(&name, "signed with the certificate's own private key").await
    }

    async fn ask_to_revoke(&self, name: &str) -> Result<()> {
        let ask = json!({ "metadata": { "annotations": { "certwright.dev/revoke": "superseded" } } });
        self.ns.patch(&format!("certificate/{name}"), ask).await.map(drop)
    }

    async fn revoked(&self, name: &str, how: &str) -> Result<Outcome> {
        let said = |object: &Value| condition(object, "Revocation");
        let object =
            self.ns.wait(&format!("certificate/{name}"), SOON, |object| said(object).is_some()).await?;
        let (status, reason, message) = said(&object).unwrap_or_default();
        println!("{}: {reason}: {message}", self.ca.title);
        if status != "True" {
            return Ok(Outcome::No(words(&message)));
        }
        let (_, note) = event(self.ns, name, &reason).await?;
        ensure!(note.contains(how), "{note}");
        Ok(Outcome::Yes)
    }

    /// The next key of the account is made known to the CA, and issues.
    async fn roll_over(&self) -> Result<Outcome> {
        let name = self.name("ca");
        let before = self.account_key(&name).await?;
        let ask = json!({ "metadata": { "annotations": { "certwright.dev/rollover-account-key": "now" } } });
        self.ns.patch(&format!("issuer/{name}"), ask).await?;
        let said = |object: &Value| condition(object, "KeyRollover");
        let object = self.ns.wait(&format!("issuer/{name}"), SOON, |object| said(object).is_some()).await?;
        let (status, reason, message) = said(&object).unwrap_or_default();
        println!("{}: {reason}: {message}", self.ca.title);
        let after = self.account_key(&name).await?;
        let outcome = match status.as_str() {
            "True" => {
                ensure!(
                    Account::look_up(&self.server()?, before).await?.is_none(),
                    "the CA knows the old key"
                );
                Outcome::Yes
            }
            _ => {
                ensure!(jwk_thumbprint(&before) == jwk_thumbprint(&after), "the key is lost");
                Outcome::No(words(&message))
            }
        };
        self.apply_certificate(&self.name("rolled"), &name).await?;
        issued(self.ns, &self.name("rolled")).await?;
        Ok(outcome)
    }

    /// The account ends.
    async fn deactivate(&self) -> Result<Outcome> {
        let name = self.name("ca");
        let object = format!("issuer/{name}");
        let account = self.ns.get(&object).await?.context("no issuer")?["status"]["acme"]["uri"].clone();
        let ask = json!({ "metadata": { "annotations": { "certwright.dev/deactivate-account": account } } });
        self.ns.patch(&object, ask).await?;
        let said = |object: &Value| condition(object, "AccountDeactivated");
        let ended = self.ns.wait(&object, SOON, |object| said(object).is_some()).await?;
        let (status, reason, message) = said(&ended).unwrap_or_default();
        println!("{}: {reason}: {message}", self.ca.title);
        if status != "True" {
            return Ok(Outcome::No(words(&message)));
        }
        // Some CAs speak of such an account, and some do not.
        let known = Account::look_up(&self.server()?, self.account_key(&name).await?).await;
        ensure!(
            !matches!(&known, Ok(Some(known)) if known.state.status == AccountStatus::Valid),
            "the CA still has it: {known:?}"
        );
        Ok(Outcome::Yes)
    }

    /// The CA itself, without the operator.
    fn server(&self) -> Result<Server> {
        let trust = Trust::Bundle(self.ca.ca_pem.as_bytes().to_vec());
        Ok(Server::new(ServerConfig { trust, ..ServerConfig::new(&self.ca.directory_url, clock::now) })?)
    }

    async fn account_key(&self, issuer: &str) -> Result<PrivateKey> {
        let secret = self.ns.api::<Secret>().get(&format!("{issuer}-account-key")).await?;
        Ok(PrivateKey::from_pem(&secret.data.context("no data")?["tls.key"].0)?)
    }

    fn name(&self, what: &str) -> String {
        format!("{}-{what}", self.ca.name)
    }

    async fn apply_issuer(&self, name: &str, more: &str) -> Result<String> {
        let yaml = issuer(&self.ca.directory_url, &self.ca.ca_pem, more);
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

/// The CA's words in a message.
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
    let (begin, end) = ("<!-- made by tests/lifecycle.rs -->\n", "<!-- end -->\n");
    let (before, rest) = text.split_once(begin).context("no beginning of the table")?;
    let (written, after) = rest.split_once(end).context("no end of the table")?;
    if std::env::var_os("CERTWRIGHT_WRITE_DOCS").is_some() {
        return Ok(std::fs::write(path, format!("{before}{begin}{table}{end}{after}"))?);
    }
    ensure!(written == table, "docs/ca-features.md is not what the CAs do; `make features` writes\n{table}");
    Ok(())
}
