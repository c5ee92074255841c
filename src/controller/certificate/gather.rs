//! Gather: reads everything that the next step depends on.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;

use super::held::{is_backup, private_key};
use super::keeper::kept_by_cert_manager;
use super::outputs::{Passwords, keystores_mark, read_passwords};
use super::work::{ReconcileCertificate, Seen};
use crate::controller::context::Context;
use crate::controller::error::Error;
use crate::controller::issuer::account_of;
use crate::controller::issuer_record::{AccountSecret, IssuerId, IssuerRecord, account_secret};
use crate::controller::secrets;
use crate::controller::shard::with_secret;
use crate::runtime::clock;
use certwright_acme::Account;
use certwright_api::{CONDITION_READY, Certificate};
use certwright_core::account::{AccountRefusal, has_other_terms};
use certwright_core::allow;
use certwright_core::authorization::authorized;
use certwright_core::conditions::{condition, is_true};
use certwright_core::issuance::{IssuerView, at_rest_until};
use certwright_core::ledger::Owner;
use certwright_core::reissue::SecretView;
use certwright_core::secret_claim::claimed_by;
use certwright_core::spec::{ValidatedCertificate, csr};
use certwright_core::tls_secret;

/// How long to wait for the shard that serves an issuer to confirm its account.
const UNCONFIRMED: SignedDuration = SignedDuration::from_mins(1);

impl ReconcileCertificate {
    /// Reads the state of the cluster, except for the Certificate's Secrets.
    pub(super) async fn gather(certificate: Arc<Certificate>, context: &Context) -> Result<Self, Error> {
        let namespace = certificate.namespace().unwrap_or_default();
        let (name, uid) = (certificate.name_any(), certificate.uid().unwrap_or_default());
        let (memory, news) = context.in_flight.recall(&uid);
        let mut recorded = certificate.status.clone().unwrap_or_default();
        let owner = Owner { namespace: &namespace, uid: &uid };
        let unverified = context.ledger_keys.take_unverified(owner, &mut recorded);
        let mut state = memory.resume(recorded);
        let issuer_id = IssuerId::of(&certificate);
        let issuer = context.cache.issuer(&issuer_id);
        let defaults = issuer.as_ref().and_then(|issuer| issuer.spec.certificate_defaults.as_ref());
        let wanted = ValidatedCertificate::new(&certificate.spec, defaults);
        let profile = certificate.spec.profile.as_deref();
        let (issuer_view, account) = view_issuer(&issuer_id, issuer.as_ref(), profile, context).await?;
        let look_at_issuer = look_at_issuer(issuer.as_ref(), &issuer_view, context);
        let same_secret = context.cache.others_with_secret_of(&certificate);
        let slot_at = issuer.as_ref().map(|issuer| account_secret(issuer, &context.config.namespace));
        state.progress.slot = slot_at.as_ref().is_some_and(|account| context.order_slots.has(account, &uid));
        let namespace_is_ending = context.cache.namespace_is_ending(&namespace);
        let seen = Seen {
            not_allowed: not_allowed(issuer.as_ref(), &namespace, wanted.as_ref().ok(), context),
            wanted,
            passwords: Passwords::Ok(Arc::default()),
            claimed_by: claimed_by(&certificate, &same_secret),
            same_secret: names_of(&same_secret),
            kept_by: None,
            secret: None,
            secret_view: SecretView::default(),
            current_key: None,
            backup: None,
            backup_view: None,
            next_key: None,
            asked: context.renewal_info_polls.last(&uid),
            listed: context.revocation_lists.finding(&uid),
            certificate,
            namespace,
            name,
            uid,
            issuer,
            issuer_view,
            account,
            look_at_issuer,
            slot_at,
            queued: false,
            namespace_is_ending,
        };
        Ok(Self { seen, state, news, unverified, at_rest: false })
    }

    /// Until when the Certificate is at rest, if that is certain without its Secrets.
    pub(super) fn at_rest_until(&self, context: &Context) -> Option<Timestamp> {
        let knows_more = !self.news.is_empty() || !self.unverified.is_empty() || self.has_next_key(context);
        if knows_more || self.deletion().is_some() {
            return None;
        }
        let version = context.cache.secret_version(&self.namespace, &self.certificate.spec.secret_name);
        at_rest_until(&self.state, &self.snapshot(context), version.as_deref(), clock::now())
    }

    /// Reads the Certificate's Secrets.
    pub(super) async fn read_secrets(&mut self, context: &Context) -> Result<(), Error> {
        let namespace = &self.namespace;
        let read = async |name: Option<String>| match name {
            Some(name) => secrets::read(&context.client, namespace, &name).await,
            None => Ok(None),
        };
        // It is empty if the Certificate is being deleted and its spec cannot be read.
        let secret = Some(self.certificate.spec.secret_name.clone()).filter(|name| !name.is_empty());
        let next_key = self.has_next_key(context).then(|| self.next_key_name());
        let outputs = self.wanted.as_ref().map(|wanted| wanted.outputs.clone()).unwrap_or_default();
        let (secret, next_key, passwords) =
            futures::try_join!(read(secret), read(next_key), read_passwords(&outputs, namespace, context),)?;
        self.passwords = passwords;
        self.kept_by = match &secret {
            Some(secret) => kept_by_cert_manager(secret, &context.client).await?,
            None => None,
        };
        self.see_rivals(secret.as_ref(), context).await?;
        self.see_secret(secret, context);
        self.see_next_key(next_key, context);
        self.find_out_again(context);
        Ok(())
    }

    /// Asks for Certificates of other shards with the same Secret, unless the Secret is already this Certificate's.
    async fn see_rivals(&mut self, secret: Option<&Secret>, context: &Context) -> Result<(), Error> {
        let owner =
            secret.and_then(|secret| secrets::annotation(secret, certwright_api::ANNOTATION_CERTIFICATE));
        // While the Certificate is being deleted, it matters only whether the Secret belongs to another one.
        let is_settled = owner == Some(self.name.as_str()) || (owner.is_none() && self.deletion().is_some());
        if is_settled || context.config.shard.selects_all() {
            return Ok(());
        }
        let found = with_secret(context, &self.namespace, &self.certificate.spec.secret_name).await?;
        self.claimed_by = claimed_by(&self.certificate, &found);
        self.same_secret = names_of(&found);
        Ok(())
    }

    fn has_next_key(&self, context: &Context) -> bool {
        self.state.status.next_private_key_secret_name.is_some()
            || context.cache.has_secret(&self.namespace, &self.next_key_name())
    }

    /// Records the TLS Secret.
    pub(super) fn see_secret(&mut self, secret: Option<Secret>, context: &Context) {
        self.current_key = secret.as_ref().and_then(private_key);
        self.secret_view =
            secret.as_ref().map_or_else(SecretView::default, |secret| self.view(secret, context));
        self.secret = secret;
    }

    /// Records the Secret for the key of an issuance. After too many duplicate certificates, it holds a backup of the whole
    /// certificate.
    pub(super) fn see_next_key(&mut self, secret: Option<Secret>, context: &Context) {
        match secret {
            Some(secret) if is_backup(&secret) => {
                self.backup_view = Some(self.view(&secret, context));
                (self.backup, self.next_key) = (Some(secret), None);
            }
            secret => self.next_key = secret.as_ref().and_then(private_key),
        }
    }

    /// The parsed content of a Secret that holds a certificate.
    fn view(&self, secret: &Secret, context: &Context) -> SecretView {
        tls_secret::view(secret, self.owner_of(secret, context), self.is_as_written(secret))
    }

    /// Whether a Secret was written according to the spec, with the current passwords of its keystores.
    fn is_as_written(&self, secret: &Secret) -> bool {
        let Ok(wanted) = &self.wanted else { return false };
        let keystores = match private_key(secret) {
            Some(key) if self.passwords.is_ok() => {
                keystores_mark(&wanted.outputs, &self.passwords, &key).ok()
            }
            _ => wanted.outputs.keystores.is_empty().then_some(None),
        };
        let annotation = |name| secrets::annotation(secret, name);
        annotation(certwright_api::ANNOTATION_WRITTEN_AS) == Some(&wanted.written_as())
            && keystores
                .is_some_and(|mark| annotation(certwright_api::ANNOTATION_KEYSTORES) == mark.as_deref())
    }

    /// The Certificate that a TLS Secret belongs to. If that Certificate is gone, or names another Secret now, this Certificate
    /// may take the Secret over.
    fn owner_of(&self, secret: &Secret, context: &Context) -> Option<String> {
        let owner = secrets::annotation(secret, certwright_api::ANNOTATION_CERTIFICATE)?;
        let claims = || self.same_secret.iter().any(|name| name == owner);
        let stands = owner == self.name
            || claims()
            || context.cache.has_unreadable_certificate(&self.namespace, owner);
        Some(if stands { owner.to_owned() } else { self.name.clone() })
    }
}

/// Only the names are kept: hundreds of reconciles may each see the same hundreds of Certificates.
fn names_of(certificates: &[Arc<Certificate>]) -> Vec<String> {
    certificates.iter().map(|certificate| certificate.name_any()).collect()
}

/// Why the issuer does not allow this Certificate, or its CA does not accept the certificate signing request in it.
fn not_allowed(
    issuer: Option<&IssuerRecord>,
    namespace: &str,
    wanted: Option<&ValidatedCertificate>,
    context: &Context,
) -> Option<String> {
    let (issuer, wanted) = (issuer?, wanted?);
    let refusal = match issuer.allow.as_ref() {
        Some(allow) => {
            let labels = context.cache.namespace_labels(namespace);
            allow::check(allow, namespace, &labels, &wanted.subject).err().map(|refusal| refusal.to_string())
        }
        None => None,
    };
    let refusal = refusal.or_else(|| csr::refusal(wanted.csr.as_ref()?, &issuer.spec))?;
    Some(format!("{} {} does not allow this Certificate: {refusal}", issuer.id.kind.as_str(), issuer.id.name))
}

/// When to look again at an issuer that another shard serves, if it looks ready and cannot be used.
fn look_at_issuer(issuer: Option<&IssuerRecord>, view: &IssuerView, context: &Context) -> Option<Timestamp> {
    let issuer = issuer.filter(|issuer| {
        is_true(&issuer.status.conditions, CONDITION_READY) && !context.serves_issuer(issuer)
    })?;
    let IssuerView::NotReady { .. } = view else { return None };
    let refused = context.account_refusals.on_reader(issuer, clock::now()).map(|(_, until)| until);
    refused.or_else(|| clock::now().checked_add(UNCONFIRMED).ok())
}

/// What a CA said about the account of an issuer, if that still holds.
fn refusal(issuer: &IssuerRecord, context: &Context) -> Option<AccountRefusal> {
    match context.serves_issuer(issuer) {
        true => context.account_refusals.on(&issuer.id, issuer.generation),
        false => context.account_refusals.on_reader(issuer, clock::now()).map(|(refusal, _)| refusal),
    }
}

async fn view_issuer(
    id: &IssuerId,
    issuer: Option<&IssuerRecord>,
    profile: Option<&str>,
    context: &Context,
) -> Result<(IssuerView, Option<Account>), Error> {
    let Some(issuer) = issuer else {
        let view = context.cache.issuer_fault(id).map_or(IssuerView::NotFound, |fault| {
            IssuerView::NotReady { message: format!("it cannot be read: {fault}") }
        });
        return Ok((view, None));
    };
    if let Some(refusal) = refusal(issuer, context) {
        return Ok((IssuerView::NotReady { message: refusal.message }, None));
    }
    let status = &issuer.status;
    let usable = issuer.account().filter(|_| is_true(&status.conditions, CONDITION_READY));
    let Some(acme) = usable else {
        let message = condition(&status.conditions, CONDITION_READY)
            .filter(|ready| ready.status == "False")
            .map_or("its account is not registered yet".to_owned(), |ready| ready.message.clone());
        return Ok((IssuerView::NotReady { message }, None));
    };
    let secret: AccountSecret = account_secret(issuer, &context.config.namespace);
    match account_of(issuer, &secret, context).await? {
        Ok(account) => {
            let directory = account.server().known_directory();
            let terms = directory.as_ref().and_then(|directory| directory.meta.terms_of_service.as_deref());
            if has_other_terms(acme, terms) {
                context.wake_issuer(&issuer.id);
            }
            let at_ca = clock::now().saturating_add(account.server().ahead().unwrap_or_default());
            let view = IssuerView::Ready {
                authorized: at_ca.map_or_else(|_| Vec::new(), |at_ca| authorized(status, &acme.uri, at_ca)),
                account: acme.uri.clone(),
                solvers: issuer.spec.solvers.clone(),
                profile: profile.map(str::to_owned).or_else(|| issuer.spec.profile.clone()),
            };
            Ok((view, Some(account)))
        }
        Err(message) => Ok((IssuerView::NotReady { message }, None)),
    }
}
