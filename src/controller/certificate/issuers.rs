//! The issuer in use, and the others that the spec names.

use jiff::Timestamp;
use kube::ResourceExt;

use crate::controller::context::Context;
use crate::controller::error::Error;
use crate::controller::issuer::account_of;
use crate::controller::issuer_record::{AccountSecret, IssuerId, IssuerRecord, account_secret};
use certwright_acme::Account;
use certwright_api::{CONDITION_READY, Certificate, CertificateStatus};
use certwright_core::account::{AccountRefusal, has_other_terms};
use certwright_core::conditions::is_true;
use certwright_core::issuance::{self, Candidate, IssuerView, account_in_status};
use certwright_core::issuers::{self, Issuers};
use certwright_core::spec::{InvalidSpec, ValidatedCertificate};
use certwright_runtime::clock;

/// The issuer in use, and what follows from it.
pub(super) struct IssuerInUse {
    pub(super) id: IssuerId,
    /// The spec, with the defaults of this issuer.
    pub(super) wanted: Result<ValidatedCertificate, InvalidSpec>,
    pub(super) issuer: Option<IssuerRecord>,
    pub(super) issuer_view: IssuerView,
    /// Why the issuer does not allow this Certificate.
    pub(super) not_allowed: Option<String>,
    pub(super) account: Option<Account>,
    /// When to look again at an issuer that another shard serves: nothing may report that it can be used again.
    pub(super) look_at_issuer: Option<Timestamp>,
    /// The account whose order slots are used.
    pub(super) slot_at: Option<AccountSecret>,
}

impl IssuerInUse {
    /// The issuer that a Certificate uses if it has this status.
    pub(super) async fn of(
        certificate: &Certificate,
        status: &CertificateStatus,
        context: &Context,
    ) -> Result<Self, Error> {
        let id = IssuerId::in_use(certificate, Some(status));
        let issuer = context.cache.issuer(&id);
        let defaults = issuer.as_ref().and_then(|issuer| issuer.spec.certificate_defaults.as_ref());
        let (spec, generation) = (&certificate.spec, certificate.metadata.generation.unwrap_or_default());
        let issuers = Issuers::of(spec, Some(status), generation);
        let wanted = ValidatedCertificate::for_issuers(spec, &issuers, defaults);
        let uid = certificate.metadata.uid.as_deref().unwrap_or_default();
        let wanted = wanted.map(|wanted| wanted.of(spec, uid, context.config.certificates_own_secrets));
        let (issuer_view, account) =
            view_issuer(&id, issuer.as_ref(), spec.profile.as_deref(), context).await?;
        let namespace = certificate.namespace().unwrap_or_default();
        Ok(Self {
            not_allowed: not_allowed(issuer.as_ref(), &namespace, wanted.as_ref().ok(), context),
            look_at_issuer: look_at_issuer(issuer.as_ref(), &issuer_view, context),
            slot_at: issuer
                .as_ref()
                .map(|issuer| account_secret(issuer, &context.config.cluster_resource_namespace)),
            id,
            wanted,
            issuer,
            issuer_view,
            account,
        })
    }
}

/// The issuers that the spec names, if it names more than one.
pub(super) async fn candidates(
    certificate: &Certificate,
    wanted: Option<&ValidatedCertificate>,
    context: &Context,
) -> Result<Vec<Candidate>, Error> {
    if certificate.spec.fallback_issuer_refs.is_empty() {
        return Ok(Vec::new());
    }
    let namespace = certificate.namespace().unwrap_or_default();
    let mut candidates = Vec::new();
    for reference in issuers::all(&certificate.spec) {
        let id = IssuerId::named(reference, certificate);
        let issuer = context.cache.issuer(&id);
        let (view, _) = view_issuer(&id, issuer.as_ref(), None, context).await?;
        let unusable =
            view.why_unusable().or_else(|| not_allowed(issuer.as_ref(), &namespace, wanted, context));
        candidates.push(Candidate { issuer: reference.clone(), unusable });
    }
    Ok(candidates)
}

fn not_allowed(
    issuer: Option<&IssuerRecord>,
    namespace: &str,
    wanted: Option<&ValidatedCertificate>,
    context: &Context,
) -> Option<String> {
    let issuer = issuer?;
    let labels = issuer.allow.as_ref().map(|_| context.cache.namespace_labels(namespace));
    issuance::not_allowed(
        (issuer.id.kind, &issuer.id.name),
        &issuer.spec,
        issuer.allow.as_ref(),
        (namespace, &labels.unwrap_or_default()),
        wanted?,
    )
}

/// When to look again at the issuer, if another shard serves it.
fn look_at_issuer(issuer: Option<&IssuerRecord>, view: &IssuerView, context: &Context) -> Option<Timestamp> {
    let is_ready = |issuer: &IssuerRecord| is_true(&issuer.status.conditions, CONDITION_READY);
    let issuer = issuer.filter(|issuer| is_ready(issuer) && !context.serves_issuer(issuer))?;
    let now = clock::now();
    view.look_again(context.account_refusals.on_reader(issuer, now).map(|(_, until)| until), now)
}

/// What a CA said about the account of an issuer, if that still holds.
fn refusal(issuer: &IssuerRecord, context: &Context) -> Option<AccountRefusal> {
    match context.serves_issuer(issuer) {
        true => context.account_refusals.on(&issuer.id, issuer.generation),
        false => context.account_refusals.on_reader(issuer, clock::now()).map(|(refusal, _)| refusal),
    }
}

/// The issuer for the state machine, and its account.
async fn view_issuer(
    id: &IssuerId,
    issuer: Option<&IssuerRecord>,
    profile: Option<&str>,
    context: &Context,
) -> Result<(IssuerView, Option<Account>), Error> {
    let Some(issuer) = issuer else {
        return Ok((IssuerView::absent(context.cache.issuer_fault(id).as_ref()), None));
    };
    let (spec, status) = (&issuer.spec, &issuer.status);
    let acme = match account_in_status(spec, status, refusal(issuer, context)) {
        Ok(acme) => acme,
        Err(view) => return Ok((view, None)),
    };
    let secret: AccountSecret = account_secret(issuer, &context.config.cluster_resource_namespace);
    match account_of(issuer, &secret, context).await? {
        Ok(account) => {
            let directory = account.server().known_directory();
            let terms = directory.as_ref().and_then(|directory| directory.meta.terms_of_service.as_deref());
            if has_other_terms(acme, terms) {
                context.wake_issuer(&issuer.id);
            }
            let at_ca = clock::now().saturating_add(account.server().ahead().unwrap_or_default());
            Ok((IssuerView::ready(spec, status, acme, profile, at_ca.ok()), Some(account)))
        }
        Err(why) => Ok((IssuerView::without_account(why), None)),
    }
}
