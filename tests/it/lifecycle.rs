//! The whole life of an account and a certificate at ACME servers of three authors. What each of them can do makes the table
//! in docs/ca-features.md.
//!
//! A feature is there if the CA answered what was asked of it and acts upon that, and it is not there if the CA's directory lacks it, or
//! the CA refused in words of its own. Anything else, such as a CA that does not answer, fails the test.

use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;

use crate::common::cas::{Ca, KEY_ID, MAC_KEY, WRONG_MAC_KEY};
use crate::common::faults::{event, requests_to};
use crate::common::overheard::{Overheard, problem};
use crate::common::{SOON, certificate, condition, issued, issuer, mac_key, of_issuer, revision, tls};
use anyhow::{Context, Result, bail, ensure};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use certwright::runtime::clock;
use certwright_acme::{Account, AccountStatus, Directory, Server, ServerConfig, Trust, jwk_thumbprint};
use certwright_cluster::proxy::Action;
use certwright_cluster::{ADDRESS, Operator, Proxy, Resolver, TestNamespace};
use certwright_pki::{KeyEncoding, PrivateKey};
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
    /// What issuers know the CA by.
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

    /// A MAC key that is wrong is refused. That the right one is taken is seen by the registration.
    async fn external_account(&self) -> Result<Outcome> {
        let name = self.name("wrong");
        self.proxy.forget();
        self.apply_issuer(&name, &binding("wrong-eab")).await?;
        let settled = |object: &Value| {
            let ready = condition(object, "Ready").is_some_and(|(status, ..)| status == "True");
            ready || object["status"]["failedAttempts"] == 1
        };
        let settled = self.ns.wait(&format!("issuer/{name}"), SOON, settled).await?;
        let (status, _, message) = condition(&settled, "Ready").context("no condition")?;
        println!("{}: {message}", self.ca.title);
        let sent = self.overheard.those(|said| said.path == path(&self.directory.new_account));
        ensure!(
            sent.last().is_some_and(|said| !said.payload["externalAccountBinding"].is_null()),
            "no binding was sent: {sent:?}"
        );
        if status != "True" {
            self.refused(&self.directory.new_account, &message, &["unauthorized"])?;
            return Ok(Outcome::Yes);
        }
        self.answered(&self.directory.new_account, 201)?;
        ensure!(!self.directory.meta.external_account_required, "the CA's directory wants a binding");
        Ok(Outcome::No("is not looked at".to_owned()))
    }

    async fn register(&self) -> Result<Outcome> {
        let more = format!("    email: one@example.com\n{}", binding("eab"));
        let issuer = self.apply_issuer(&self.name("ca"), &more).await?;
        let issuer = self.ready(&issuer).await?;
        ensure!(issuer["status"]["acme"]["boundKeyID"] == KEY_ID, "{}", issuer["status"]);
        self.answered(&self.directory.new_account, 201)?;
        Ok(Outcome::Yes)
    }

    async fn change_contact(&self) -> Result<Outcome> {
        let name = self.name("ca");
        let object = format!("issuer/{name}");
        self.ns.patch(&object, json!({ "spec": { "acme": { "email": "two@example.com" } } })).await?;
        let told = |object: &Value| object["status"]["acme"]["lastRegisteredEmail"] == "two@example.com";
        self.ns.wait(&object, SOON, told).await?;
        let known = Account::look_up(&server(self.ca)?, self.account_key(&name).await?).await?;
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
            self.proxy.forget();
            self.overheard.forget();
            self.apply_certificate(&name, &name).await?;
            let settled = |object: &Value| {
                let ready = condition(object, "Ready").is_some_and(|(status, ..)| status == "True");
                ready || object["status"]["failedIssuanceAttempts"] == 1
            };
            let object = self.ns.wait(&format!("certificate/{name}"), SOON, settled).await?;
            let (status, reason, message) = condition(&object, "Ready").context("no condition")?;
            println!("{}: profile {profile}: {reason}: {message}", self.ca.title);
            let orders = self.overheard.those(|said| said.path == path(&self.directory.new_order));
            ensure!(
                orders.first().is_some_and(|order| order.payload["profile"] == profile),
                "the order is for another profile than {profile}: {orders:?}"
            );
            if status == "True" {
                self.answered(&self.directory.new_order, 201)?;
            }
            match (refused, status == "True") {
                (false, true) => {}
                (false, false) => bail!("a profile that is offered is refused: {message}"),
                (true, false) => {
                    ensure!(self.directory.meta.profiles.contains_key("other"), "{:?}", self.directory.meta);
                    self.refused(&self.directory.new_order, &message, &["invalidProfile"])?;
                }
                (true, true) => {
                    ensure!(self.directory.meta.profiles.is_empty(), "{:?}", self.directory.meta);
                    return Ok(Outcome::No("are not looked at".to_owned()));
                }
            }
        }
        Ok(Outcome::Yes)
    }

    /// The CA is asked when the certificate is best renewed.
    async fn renewal_information(&self) -> Result<Outcome> {
        if self.directory.renewal_info.is_none() {
            return Ok(Outcome::No("is not offered".to_owned()));
        }
        let name = format!("certificate/{}", self.name("web"));
        let asked = self.ns.wait(&name, SOON, |object| !object["status"]["acme"]["ari"].is_null()).await?;
        let ari = &asked["status"]["acme"]["ari"];
        println!("{}: {ari}", self.ca.title);
        ensure!(ari["suggestedWindow"]["start"].is_string(), "the CA offers it and suggests nothing: {ari}");
        Ok(Outcome::Yes)
    }

    /// The account revokes its certificate, and another takes its place.
    async fn revoke(&self) -> Result<Outcome> {
        let name = self.name("web");
        self.revoked(&name, "signed by the account", |header| header["kid"].is_string()).await
    }

    /// The certificate's own key does, where the account may not.
    async fn revoke_with_own_key(&self) -> Result<Outcome> {
        let name = self.name("own");
        let revoke_cert = path(self.directory.revoke_cert.as_ref().context("no revokeCert")?);
        self.overheard.script(&self.proxy, move |said| {
            match said.path == revoke_cert && said.header["kid"].is_string() {
                true => problem(403, "urn:ietf:params:acme:error:unauthorized", "not this account"),
                false => Action::Pass,
            }
        });
        let more = format!("    email: two@example.com\n{}", binding("eab"));
        self.apply_issuer(&name, &more).await?;
        self.apply_certificate(&name, &name).await?;
        issued(self.ns, &name).await?;
        let how = "signed with the certificate's own private key";
        let outcome = self.revoked(&name, how, |header| header["jwk"].is_object()).await?;
        self.overheard.script(&self.proxy, |_| Action::Pass);
        Ok(outcome)
    }

    async fn ask_to_revoke(&self, name: &str) -> Result<()> {
        let ask = json!({ "metadata": { "annotations": { "certwright.dev/revoke": "superseded" } } });
        self.ns.patch(&format!("certificate/{name}"), ask).await.map(drop)
    }

    /// The CA is asked to revoke what is in the Secret, by a request whose header is as `signed` wants it.
    async fn revoked(&self, name: &str, how: &str, signed: fn(&Value) -> bool) -> Result<Outcome> {
        let url = self.directory.revoke_cert.as_ref().context("no revokeCert")?;
        let before = tls(self.ns, &format!("{name}-tls")).await?;
        let der = pem::parse(&before.secret.data.context("no data")?["tls.crt"].0)?.into_contents();
        self.proxy.forget();
        self.overheard.forget();
        self.ask_to_revoke(name).await?;
        let said = |object: &Value| condition(object, "Revocation");
        let object =
            self.ns.wait(&format!("certificate/{name}"), SOON, |object| said(object).is_some()).await?;
        let (status, reason, message) = said(&object).unwrap_or_default();
        println!("{}: {reason}: {message}", self.ca.title);
        let asked = self.overheard.those(|said| said.path == path(url) && signed(&said.header));
        ensure!(
            asked
                .last()
                .is_some_and(|said| said.payload["certificate"] == BASE64_URL_SAFE_NO_PAD.encode(&der)),
            "the CA was not asked to revoke the certificate in the Secret {how}: {asked:?}"
        );
        if status != "True" {
            self.refused(url, &message, &["unauthorized"])?;
            return Ok(Outcome::No(words(&message)));
        }
        self.answered(url, 200)?;
        let (_, note) = event(self.ns, name, &reason).await?;
        ensure!(note.contains(how), "{note}");
        Ok(Outcome::Yes)
    }

    /// The next key of the account is made known to the CA, and issues.
    async fn roll_over(&self) -> Result<Outcome> {
        let name = self.name("ca");
        let before = self.account_key(&name).await?;
        let ask = json!({ "metadata": { "annotations": { "certwright.dev/rollover-account-key": "now" } } });
        self.proxy.forget();
        self.ns.patch(&format!("issuer/{name}"), ask).await?;
        let said = |object: &Value| condition(object, "KeyRollover");
        let object = self.ns.wait(&format!("issuer/{name}"), SOON, |object| said(object).is_some()).await?;
        let (status, reason, message) = said(&object).unwrap_or_default();
        println!("{}: {reason}: {message}", self.ca.title);
        let after = self.account_key(&name).await?;
        let server = server(self.ca)?;
        let outcome = match (status.as_str(), &self.directory.key_change) {
            ("True", Some(url)) => {
                self.answered(url, 200)?;
                ensure!(Account::look_up(&server, before).await?.is_none(), "the CA knows the old key");
                let account = &object["status"]["acme"]["uri"];
                let known =
                    Account::look_up(&server, after).await?.context("the CA does not know the new key")?;
                ensure!(
                    account.as_str().map(path) == Some(path(known.account.url())),
                    "it is the key of {}, not of {account}",
                    known.account.url()
                );
                Outcome::Yes
            }
            (_, Some(url)) => {
                // RFC 8555 has no type for that, and CAs take any.
                self.answered(url, 501)?;
                ensure!(reason == "KeyChangeNotOffered", "{reason}: {message}");
                ensure!(jwk_thumbprint(&before) == jwk_thumbprint(&after), "the key is lost");
                ensure!(
                    Account::look_up(&server, before).await?.is_some(),
                    "the CA does not know the key any more"
                );
                Outcome::No(words(&message))
            }
            (_, None) => Outcome::No("is not offered".to_owned()),
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
        self.proxy.forget();
        self.ns.patch(&object, ask).await?;
        let said = |object: &Value| condition(object, "AccountDeactivated");
        let ended = self.ns.wait(&object, SOON, |object| said(object).is_some()).await?;
        let (status, reason, message) = said(&ended).unwrap_or_default();
        println!("{}: {reason}: {message}", self.ca.title);
        let url = account.as_str().context("no account")?;
        if status != "True" {
            self.refused(url, &message, &["unauthorized"])?;
            return Ok(Outcome::No(words(&message)));
        }
        self.answered(url, 200)?;
        // RFC 8555 section 7.3.6 has it refused from now on. Some CAs speak of such an account, and some do not.
        match Account::look_up(&server(self.ca)?, self.account_key(&name).await?).await {
            Ok(None) => {}
            Ok(Some(known)) => ensure!(known.state.status == AccountStatus::Deactivated, "{:?}", known.state),
            Err(error) => {
                println!("{}: {error}", self.ca.title);
                ensure!(
                    ["unauthorized", "accountDoesNotExist"].contains(&error.code()),
                    "the CA was asked for it: {error}"
                );
            }
        }
        Ok(Outcome::Yes)
    }

    /// The HTTP statuses with which the CA has answered requests to `url`, or to what is below it.
    fn statuses(&self, url: &str) -> Vec<u16> {
        let requests = requests_to(&self.proxy, &path(url));
        requests.iter().filter_map(|request| Some(request.status?.as_u16())).collect()
    }

    /// Fails unless the last answer of the CA to requests to `url` had this status.
    fn answered(&self, url: &str, status: u16) -> Result<()> {
        let statuses = self.statuses(url);
        ensure!(statuses.last() == Some(&status), "the CA did not answer {status}, but {statuses:?}");
        Ok(())
    }

    /// Fails unless the CA refused a request to `url`, with a problem of one of these types, which `message` quotes.
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
