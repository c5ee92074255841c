//! Takes over cert-manager's objects in the cluster, one after the other. After a crash at any point, the same command can
//! continue.

use std::collections::BTreeSet;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use serde_json::{Value, json};

use super::store::Store;
use super::{Migrate, MigrateError};
use crate::command::output::harmless;
use crate::command::{Error, Exit, plain};
use crate::migrate::adoption::{self, Marks};
use crate::migrate::{Fitness, GROUP, Outcome, Source};
use certwright_api::{ANNOTATION_TAKEN_OVER_FROM, LABEL_SECRET, SECRET_TLS};
use certwright_runtime::clock;

/// A migration in the cluster.
pub struct Adoption {
    store: Store,
    namespace: String,
    operator_namespace: String,
    cert_manager_namespace: String,
    now: Timestamp,
    /// Certwright's issuers that exist, or will be created: kind, namespace, name.
    issuers: BTreeSet<(String, Option<String>, String)>,
    lines: Vec<String>,
    done: usize,
    hindered: usize,
}

impl Adoption {
    /// A migration in the cluster selected by the flags.
    pub async fn new(flags: &Migrate) -> Result<Self, Error> {
        let cluster = flags.cluster.connect().await?;
        Ok(Self {
            store: Store { client: cluster.client, dry_run: flags.dry_run },
            namespace: cluster.namespace,
            operator_namespace: flags.operator_namespace.clone(),
            cert_manager_namespace: flags.cert_manager_namespace.clone(),
            now: clock::now(),
            issuers: BTreeSet::new(),
            lines: Vec::new(),
            done: 0,
            hindered: 0,
        })
    }

    /// What was done, and the number of Certificates.
    pub fn said(&self, dry_run: bool, what: &str) -> String {
        let mut text = self.lines.iter().map(|line| format!("{line}\n")).collect::<String>();
        let would = if dry_run { "Nothing was changed: this was a dry run. " } else { "" };
        text.push_str(&format!("{would}Certificates {what}: {}; skipped: {}\n", self.done, self.hindered));
        text
    }

    /// The exit code: whether nothing was skipped.
    pub fn exit(&self) -> Exit {
        if self.hindered == 0 { Exit::Fine } else { Exit::NotWell }
    }

    /// Takes over issuers with their accounts, then Certificates with their Secrets.
    pub async fn adopt(&mut self, outcomes: &[Outcome]) -> Result<(), MigrateError> {
        for outcome in outcomes {
            let Some(ours) = &outcome.object else { continue };
            match outcome.source.kind.as_str() {
                "Certificate" => self.adopt_certificate(outcome, ours).await?,
                _ => self.adopt_issuer(outcome, ours).await?,
            }
        }
        Ok(())
    }

    fn say(&mut self, what: &str, text: impl Into<String>) {
        self.lines.push(plain(&format!("{what}: {}", text.into())));
    }

    fn not_given_back(&mut self, what: &str, why: &str) {
        self.hindered += 1;
        self.say(what, format!("NOT GIVEN BACK: {why}"));
    }

    /// Shows an object, line by line.
    fn show(&mut self, object: &Value) {
        let yaml = serde_yaml::to_string(object).unwrap_or_default();
        self.lines.extend(yaml.lines().map(|line| format!("    {}", harmless(line))));
    }

    fn hindered(&mut self, what: &str, why: &str) {
        self.hindered += 1;
        self.say(what, format!("NOT TAKEN OVER: {why}"));
    }

    async fn adopt_issuer(&mut self, outcome: &Outcome, ours: &Value) -> Result<(), MigrateError> {
        let Source { kind, name, .. } = &outcome.source;
        let is_cluster_issuer = kind == "ClusterIssuer";
        let own = outcome.source.namespace.clone().unwrap_or_else(|| self.namespace.clone());
        let namespace = (!is_cluster_issuer).then_some(own);
        let what = label(kind, namespace.as_deref(), name);
        let known = (kind.clone(), namespace.clone(), name.clone());
        if self.store.ours(kind, namespace.as_deref(), name).await?.is_some() {
            self.issuers.insert(known);
            self.say(&what, "already exists, and was left unchanged");
            return Ok(());
        }
        if let Fitness::Incomplete(why) = &outcome.fitness {
            self.hindered(&what, why);
            return Ok(());
        }
        let secrets_namespace = namespace.clone().unwrap_or_else(|| self.operator_namespace.clone());
        let copied = match is_cluster_issuer {
            true => self.copy_secrets(&what, &outcome.original).await?,
            false => Vec::new(),
        };
        let (secret_name, _) = adoption::account_key(&outcome.original);
        let copy = copied.into_iter().find(|secret| secret.metadata.name.as_deref() == Some(&secret_name));
        // A dry run did not create the copy.
        let secret = match self.store.secret(&secrets_namespace, &secret_name).await? {
            Some(secret) => Some(secret),
            None => copy,
        };
        match adoption::marks_of_account(outcome, secret.as_ref()) {
            Err(why) => self.hindered(&what, &why),
            Ok(marks) => {
                if let Some(secret) = secret.filter(|_| !marks.is_empty()) {
                    let account =
                        marks.get(certwright_api::ANNOTATION_ACCOUNT_URL).cloned().unwrap_or_default();
                    self.store.patch_secret(&secret, json!({ "annotations": marks })).await?;
                    self.say(&what, format!("recorded account {account} on Secret {secret_name}"));
                }
                self.store.create(namespace.as_deref(), ours).await?;
                self.say(&what, "created");
                self.issuers.insert(known);
            }
        }
        Ok(())
    }

    /// Copies the Secrets of a ClusterIssuer to the operator's namespace, and returns those that were copied.
    async fn copy_secrets(&mut self, what: &str, issuer: &Value) -> Result<Vec<Secret>, MigrateError> {
        let mut copied = Vec::new();
        if self.cert_manager_namespace == self.operator_namespace {
            return Ok(copied);
        }
        for name in adoption::secrets_of(issuer) {
            let (from, to) = (self.cert_manager_namespace.clone(), self.operator_namespace.clone());
            match (self.store.secret(&from, &name).await?, self.store.secret(&to, &name).await?) {
                (Some(theirs), Some(ours)) if theirs.data != ours.data => {
                    self.say(
                        what,
                        format!(
                            "Secret {to}/{name} already exists, differs from {from}/{name}, and was left unchanged"
                        ),
                    );
                }
                (_, Some(_)) => {}
                (None, None) => {
                    self.say(what, format!("Secret {from}/{name} does not exist, and was not copied"))
                }
                (Some(theirs), None) => {
                    self.store.copy_secret(&theirs, &to).await?;
                    self.say(what, format!("Secret {from}/{name} copied to {to}"));
                    copied.push(theirs);
                }
            }
        }
        Ok(copied)
    }

    async fn adopt_certificate(&mut self, outcome: &Outcome, ours: &Value) -> Result<(), MigrateError> {
        let name = outcome.source.name.as_str();
        let namespace = outcome.source.namespace.clone().unwrap_or_else(|| self.namespace.clone());
        let what = label("Certificate", Some(&namespace), name);
        let there = self.store.ours("Certificate", Some(&namespace), name).await?;
        let theirs = self.store.theirs("Certificate", Some(&namespace), name).await?;
        if there.is_some() && theirs.is_none() {
            self.say(&what, "already exists, and was left unchanged");
            return Ok(());
        }
        if !self.has_issuer(ours, &namespace).await? {
            self.hindered(
                &what,
                "Certwright has no issuer of this name; take it over or create one, and run the command again",
            );
            return Ok(());
        }
        let secret_name = ours["spec"]["secretName"].as_str().unwrap_or_default();
        let secret = self.store.secret(&namespace, secret_name).await?;
        let marks = match adoption::marks_of_certificate(outcome, secret.as_ref(), self.now) {
            Ok(marks) => marks,
            Err(why) => {
                self.hindered(&what, &why);
                return Ok(());
            }
        };
        let Some(secret) = secret else { return Ok(()) };
        let owners = other_owners(&secret);
        if owners.is_some() && self.store.cert_manager_may_run(self.now).await {
            self.hindered(
                &what,
                "cert-manager owns its Secret (--enable-certificate-owner-ref) and may be running: the Secret would be deleted \
                 with its Certificate. Scale cert-manager's controller to zero, wait a minute, and run the command again",
            );
            return Ok(());
        }
        self.mark(&secret, &marks, owners).await?;
        if there.is_none() {
            let mut ours = ours.clone();
            ours["metadata"]["annotations"][ANNOTATION_TAKEN_OVER_FROM] =
                adoption::original(&outcome.original).to_string().into();
            self.store.create(Some(&namespace), &ours).await?;
        }
        if let Some(theirs) = theirs {
            self.store.delete(&namespace, &theirs).await?;
        }
        self.done += 1;
        self.say(
            &what,
            format!("taken over with Secret {secret_name}; cert-manager's Certificate is deleted"),
        );
        Ok(())
    }

    async fn mark(&self, secret: &Secret, marks: &Marks, owners: Option<Value>) -> Result<(), MigrateError> {
        let mut metadata = json!({});
        if !marks.is_empty() {
            metadata["annotations"] = json!(marks);
            // The operator watches Secrets with this label.
            metadata["labels"] = json!({ LABEL_SECRET: SECRET_TLS });
        }
        if let Some(owners) = owners {
            metadata["ownerReferences"] = owners;
        }
        match metadata.as_object().is_some_and(|all| !all.is_empty()) {
            true => self.store.patch_secret(secret, metadata).await,
            false => Ok(()),
        }
    }

    /// Whether Certwright has the issuer of a Certificate.
    async fn has_issuer(&self, ours: &Value, namespace: &str) -> Result<bool, MigrateError> {
        let reference = &ours["spec"]["issuerRef"];
        let kind = reference["kind"].as_str().unwrap_or("Issuer");
        let name = reference["name"].as_str().unwrap_or_default();
        let namespace = (kind == "Issuer").then_some(namespace);
        let known = (kind.to_owned(), namespace.map(str::to_owned), name.to_owned());
        Ok(self.issuers.contains(&known) || self.store.ours(kind, namespace, name).await?.is_some())
    }

    /// Gives Certificates that were taken over back to cert-manager.
    pub async fn give_back(&mut self, all: bool) -> Result<(), MigrateError> {
        let namespace = (!all).then(|| self.namespace.clone());
        for ours in self.store.our_certificates(namespace.as_deref()).await? {
            let Some(written) = ours["metadata"]["annotations"][ANNOTATION_TAKEN_OVER_FROM].as_str() else {
                continue;
            };
            let Source { name, namespace, .. } = Source::of(&ours);
            match adoption::kept_original(written, &name, namespace.as_deref().unwrap_or_default()) {
                Ok(theirs) => self.give_certificate_back(&ours, theirs).await?,
                Err(why) => {
                    let what = label("Certificate", namespace.as_deref(), &name);
                    self.not_given_back(&what, &why);
                }
            }
        }
        Ok(())
    }

    async fn give_certificate_back(&mut self, ours: &Value, theirs: Value) -> Result<(), MigrateError> {
        let Source { name, namespace, .. } = Source::of(ours);
        let namespace = namespace.unwrap_or_default();
        let what = label("Certificate", Some(&namespace), &name);
        let spec = &ours["spec"];
        let reference = &spec["issuerRef"];
        let kind = reference["kind"].as_str().unwrap_or("Issuer");
        let issuer = reference["name"].as_str().unwrap_or_default();
        let of_issuer = (kind == "Issuer").then_some(namespace.as_str());
        if self.store.theirs(kind, of_issuer, issuer).await?.is_none() {
            self.not_given_back(&what, &format!("cert-manager has no {kind} {issuer}; create it first"));
            return Ok(());
        }
        if spec["revocation"]["onDelete"].as_str().is_some_and(|policy| policy != "Never") {
            self.not_given_back(
                &what,
                "its certificate would be revoked because of spec.revocation.onDelete; remove that field first",
            );
            return Ok(());
        }
        let secret_name = spec["secretName"].as_str().unwrap_or_default();
        let secret = self.store.secret(&namespace, secret_name).await?;
        if let Some(secret) = secret.filter(|secret| adoption::is_of(secret, &name)) {
            let marks = json!({
                "cert-manager.io/certificate-name": name,
                "cert-manager.io/issuer-name": issuer,
                "cert-manager.io/issuer-kind": kind,
                "cert-manager.io/issuer-group": GROUP,
            });
            self.store.patch_secret(&secret, json!({ "annotations": marks })).await?;
        }
        let theirs = adoption::given_back(theirs, spec);
        // From here on, Certwright does not touch the Secret.
        if self.store.theirs("Certificate", Some(&namespace), &name).await?.is_none() {
            self.store.create(Some(&namespace), &theirs).await?;
            self.say(&what, format!("creates this Certificate of {}:", crate::migrate::VERSION));
            self.show(&theirs);
        }
        self.store.delete(&namespace, ours).await?;
        self.done += 1;
        self.say(&what, format!("given back with Secret {secret_name}; Certwright's Certificate is deleted"));
        Ok(())
    }
}

/// If a Certificate of cert-manager's owns the Secret: its other owners.
fn other_owners(secret: &Secret) -> Option<Value> {
    let owners = secret.metadata.owner_references.clone().unwrap_or_default();
    let (theirs, others): (Vec<_>, Vec<_>) = owners.into_iter().partition(|owner| {
        owner.kind == "Certificate" && owner.api_version.starts_with(&format!("{GROUP}/"))
    });
    (!theirs.is_empty()).then(|| json!(others))
}

fn label(kind: &str, namespace: Option<&str>, name: &str) -> String {
    match namespace {
        Some(namespace) => format!("{kind} {namespace}/{name}"),
        None => format!("{kind} {name}"),
    }
}
