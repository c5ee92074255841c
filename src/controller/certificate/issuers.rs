//! The issuer in use, and the others that the spec names.

use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;

use crate::controller::context::Context;
use crate::controller::error::Error;
use crate::controller::issuer::account_of;
use crate::controller::issuer_record::{AccountSecret, IssuerId, IssuerRecord, account_secret};
use crate::runtime::clock;
use certwright_acme::Account;
use certwright_api::{CONDITION_READY, Certificate, CertificateStatus};
use certwright_core::account::{AccountRefusal, has_other_terms};
use certwright_core::allow;
use certwright_core::authorization::authorized;
use certwright_core::conditions::{condition, is_true};
use certwright_core::issuance::{Candidate, IssuerView};
use certwright_core::issuers::{self, Issuers, ca_is_cause};
use certwright_core::spec::{InvalidSpec, ValidatedCertificate, csr};

/// How long to wait for the shard that serves an issuer to confirm its account.
const UNCONFIRMED: SignedDuration = SignedDuration::from_mins(1);

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
        let (issuer_view, account) =
            view_issuer(&id, issuer.as_ref(), spec.profile.as_deref(), context).await?;
        let namespace = certificate.namespace().unwrap_or_default();
        Ok(Self {
            not_allowed: not_allowed(issuer.as_ref(), &namespace, wanted.as_ref().ok(), context),
            look_at_issuer: look_at_issuer(issuer.as_ref(), &issuer_view, context),
            slot_at: issuer.as_ref().map(|issuer| account_secret(issuer, &context.config.namespace)),
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
        let unusable = match view_issuer(&id, issuer.as_ref(), None, context).await?.0 {
            IssuerView::NotFound => Some("it does not exist".to_owned()),
            IssuerView::NotReady { message, .. } => Some(format!("it is not ready: {message}")),
            IssuerView::Ready { .. } => not_allowed(issuer.as_ref(), &namespace, wanted, context),
        };
        candidates.push(Candidate { issuer: reference.clone(), unusable });
    }
    Ok(candidates)
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

/// The issuer for the state machine, and its account.
async fn view_issuer(
    id: &IssuerId,
    issuer: Option<&IssuerRecord>,
    profile: Option<&str>,
    context: &Context,
) -> Result<(IssuerView, Option<Account>), Error> {
    let Some(issuer) = issuer else {
        let view = context
            .cache
            .issuer_fault(id)
            .map_or(IssuerView::NotFound, |fault| not_ready(format!("it cannot be read: {fault}"), false));
        return Ok((view, None));
    };
    if let Some(refusal) = refusal(issuer, context) {
        return Ok((not_ready(refusal.message, true), None));
    }
    let status = &issuer.status;
    let usable = issuer.account().filter(|_| is_true(&status.conditions, CONDITION_READY));
    let Some(acme) = usable else {
        let ready = condition(&status.conditions, CONDITION_READY).filter(|ready| ready.status == "False");
        let view = ready.map_or_else(
            || not_ready("its account is not registered yet".to_owned(), false),
            |ready| not_ready(ready.message.clone(), ca_is_cause(&ready.reason)),
        );
        return Ok((view, None));
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
        Err(message) => Ok((not_ready(message, false), None)),
    }
}

fn not_ready(message: String, ca_is_cause: bool) -> IssuerView {
    IssuerView::NotReady { message, ca_is_cause }
}
