//! Decides what to do next about a request.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use k8s_openapi::api::certificates::v1::CertificateSigningRequest;

use super::Signer;
use super::certificate::{certificate, is_for};
use crate::allow;
use crate::conditions::{condition, sentence};
use crate::events::Event;
use crate::spec::csr;
use certwright_api::{
    AcmeIssuer, Allow, CONDITION_READY, Certificate, IssuerKind, certificate_reason,
    signing_request_reason as reason,
};
use certwright_pki::{Chain, SigningRequest, Subject};
use certwright_text::escaped;

/// How often an issuer that does not exist is looked for.
const LOOK_FOR_ISSUER: SignedDuration = SignedDuration::from_mins(1);
/// The longest part of a request's own text in a message, in characters.
const LONGEST_QUOTE: usize = 253;
/// The usages of a certificate that a public CA issues for a server.
const USAGES: [&str; 4] = ["digital signature", "key encipherment", "key agreement", "server auth"];
/// Reasons of a Certificate that say that all goes well.
const GOES_ON: [&str; 4] = [
    certificate_reason::QUEUED,
    certificate_reason::ORDERING,
    certificate_reason::VALIDATING,
    certificate_reason::FINALIZING,
];
/// Reasons of a Certificate for which no retry helps, because the request itself would have to change.
const FINAL: [&str; 5] = [
    certificate_reason::INVALID_SPEC,
    "BadCSR",
    "BadPublicKey",
    "RejectedIdentifier",
    "UnsupportedIdentifier",
];

const ACTION: &str = "Sign";

/// What was found in the cluster.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// The request.
    pub request: &'a CertificateSigningRequest,
    /// The issuer that is to sign it, if it exists.
    pub issuer: Option<IssuerTerms<'a>>,
    /// The operator's namespace, in which Certificates from ClusterIssuers are created.
    pub own_namespace: &'a str,
    /// The labels of that namespace.
    pub own_labels: &'a BTreeMap<String, String>,
    /// Whether the user who created the request may use the Issuer, if the API server was asked.
    pub may_reference: Option<bool>,
    /// The Certificate with the name of the one for the request.
    pub certificate: Option<&'a Certificate>,
    /// Whether the Secret of that Certificate exists.
    pub has_secret: bool,
    /// `tls.crt` of that Secret, if it was read.
    pub chain: Option<&'a [u8]>,
}

/// What an issuer says about the requests that it signs.
#[derive(Clone, Copy, Debug)]
pub struct IssuerTerms<'a> {
    /// Its spec.
    pub spec: &'a AcmeIssuer,
    /// Which namespaces may use a ClusterIssuer, and for which names.
    pub allow: Option<&'a Allow>,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Nothing, until the request changes.
    Rest,
    /// Nothing, until the Certificate changes, or for this time; publish this event.
    Wait(Option<Event>, Option<SignedDuration>),
    /// Ask the API server whether the user who created the request may use this Issuer.
    AskReference(Signer),
    /// Create the Certificate for the request.
    Create(Box<Certificate>),
    /// Read the Secret of the Certificate.
    ReadSecret,
    /// Write this chain, in PEM, into the status of the request.
    Issue(String),
    /// Write the condition `Failed` into the status of the request.
    Fail {
        /// Its reason.
        reason: &'static str,
        /// Its message.
        message: String,
    },
    /// Delete the Certificate and its Secret.
    CleanUp,
}

impl Step {
    /// The event about the step, after it is done.
    pub fn event(&self) -> Option<Event> {
        match self {
            Self::Issue(_) => {
                let note = "The certificate is issued, and in status.certificate".to_owned();
                Some(Event::normal(reason::CERTIFICATE_ISSUED, ACTION, note))
            }
            Self::Fail { reason, message } => Some(Event::warning(*reason, ACTION, message.clone())),
            Self::Wait(event, _) => event.clone(),
            Self::Rest | Self::AskReference(_) | Self::Create(_) | Self::ReadSecret | Self::CleanUp => None,
        }
    }
}

/// The event if the API server rejects the Certificate.
pub fn not_written(words: &str) -> Event {
    let note =
        format!("The Certificate for this request cannot be created: the API server rejects it: {words}");
    Event::warning(reason::CERTIFICATE_NOT_WRITTEN, ACTION, note)
}

/// Decides what to do next.
pub fn next_step(seen: &Seen<'_>) -> Step {
    let request = seen.request;
    let own = seen.certificate.filter(|certificate| is_for(certificate, request));
    let is_going = |certificate: &Certificate| certificate.metadata.deletion_timestamp.is_some();
    if is_finished(request) {
        let is_left =
            own.is_some_and(|certificate| !is_going(certificate)) || (own.is_some() && seen.has_secret);
        return if is_left { Step::CleanUp } else { Step::Rest };
    }
    if !has_condition(request, "Approved") {
        return Step::Rest;
    }
    match sign(seen, own) {
        Err((reason, message)) => Step::Fail { reason, message: sentence(&message) },
        Ok(Signed::Step(step)) => step,
        // Its status may change at any time.
        Ok(Signed::InProgress(certificate, ..)) if is_going(certificate) => Step::Wait(None, None),
        Ok(Signed::InProgress(certificate, csr, subject)) => follow(seen, certificate, &csr, &subject),
    }
}

/// Whether nothing can be issued for a request any more.
fn is_finished(request: &CertificateSigningRequest) -> bool {
    let certificate = request.status.as_ref().and_then(|status| status.certificate.as_ref());
    certificate.is_some_and(|certificate| !certificate.0.is_empty())
        || has_condition(request, "Denied")
        || has_condition(request, "Failed")
}

fn has_condition(request: &CertificateSigningRequest, type_: &str) -> bool {
    let conditions = request.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions.into_iter().flatten().any(|found| found.type_ == type_ && found.status == "True")
}

/// What comes of an approved request.
enum Signed<'a> {
    /// A step.
    Step(Step),
    /// The Certificate for it exists.
    InProgress(&'a Certificate, SigningRequest, Subject),
}

/// Checks the request, and then creates the Certificate for it.
///
/// # Errors
/// Why the request fails.
fn sign<'a>(seen: &Seen<'_>, own: Option<&'a Certificate>) -> Result<Signed<'a>, (&'static str, String)> {
    let spec = &seen.request.spec;
    let signer = Signer::parse(&spec.signer_name).ok_or_else(|| {
        let name = escaped(&spec.signer_name, LONGEST_QUOTE);
        let forms = "issuers.certwright.dev/<namespace>.<name> or clusterissuers.certwright.dev/<name>";
        (reason::INVALID_SIGNER_NAME, format!("signerName: '{name}' names no issuer; write {forms}"))
    })?;
    let invalid = |words: String| (reason::INVALID_REQUEST, format!("request: {words}"));
    let csr = SigningRequest::parse_pem(&spec.request.0).map_err(|error| invalid(error.to_string()))?;
    let subject = csr::names(&csr).map_err(|error| {
        let words = error.to_string();
        invalid(words.strip_prefix("csr: ").unwrap_or(&words).to_owned())
    })?;
    let mut usages = spec.usages.iter().flatten();
    if let Some(usage) = usages.find(|usage| !USAGES.contains(&usage.as_str())) {
        let usage = escaped(usage, LONGEST_QUOTE);
        return Err((
            reason::USAGE_NOT_SUPPORTED,
            format!("usages: '{usage}' is not supported; use only {}", USAGES.join(", ")),
        ));
    }
    let Some(issuer) = seen.issuer else {
        let note = format!(
            "{} does not exist; create it, or create a request with another signerName",
            signer.in_words()
        );
        let event = Event::warning(reason::ISSUER_NOT_FOUND, ACTION, note);
        return Ok(Signed::Step(Step::Wait(Some(event), Some(LOOK_FOR_ISSUER))));
    };
    let refusal = match issuer.allow {
        Some(allow) => {
            let allowed = allow::check(allow, seen.own_namespace, seen.own_labels, &subject);
            allowed.err().map(|refusal| refusal.to_string())
        }
        None => None,
    };
    if let Some(words) = refusal.or_else(|| csr::refusal(&csr, issuer.spec)) {
        return Err((
            reason::NOT_ALLOWED,
            format!("{} does not allow this request: {words}", signer.in_words()),
        ));
    }
    if let Some(own) = own {
        return Ok(Signed::InProgress(own, csr, subject));
    }
    if seen.certificate.is_some() {
        let note =
            "A Certificate with the name of the one for this request was created by somebody else; delete it";
        return Ok(Signed::Step(Step::Wait(Some(not_written(note)), None)));
    }
    match (signer.kind, seen.may_reference) {
        (IssuerKind::Issuer, None) => return Ok(Signed::Step(Step::AskReference(signer))),
        (IssuerKind::Issuer, Some(false)) => {
            let user = escaped(spec.username.as_deref().unwrap_or_default(), LONGEST_QUOTE);
            let issuer = signer.in_words();
            let message = format!(
                "user '{user}' may not use {issuer}: that requires the verb reference on the resource signers of \
                 certwright.dev in its namespace; have it granted, and create the request again"
            );
            return Err((reason::REFERENCE_DENIED, message));
        }
        (IssuerKind::Issuer, Some(true)) | (IssuerKind::ClusterIssuer, _) => {}
    }
    let namespace = signer.namespace.as_deref().unwrap_or(seen.own_namespace);
    let certificate = certificate(seen.request, &signer, &csr, namespace);
    Ok(Signed::Step(Step::Create(Box::new(certificate))))
}

/// Follows the Certificate for the request.
fn follow(seen: &Seen<'_>, certificate: &Certificate, csr: &SigningRequest, subject: &Subject) -> Step {
    let status = certificate.status.as_ref();
    let ready = status.and_then(|status| condition(&status.conditions, CONDITION_READY));
    let Some(ready) = ready.filter(|ready| ready.observed_generation == certificate.metadata.generation)
    else {
        return Step::Wait(None, None);
    };
    if ready.status == "True" {
        let Some(pem) = seen.chain else { return Step::ReadSecret };
        let chain = Chain::parse_pem(pem).and_then(|chain| {
            // Its validity was checked by the CA's clock before it was stored.
            let then = chain.leaf().not_before;
            chain.check_for(&csr.public_key_der, subject, then).map(|()| chain.pem())
        });
        // If it does not match, somebody has changed the Secret, and the Certificate is issued anew.
        return chain.map_or(Step::Wait(None, None), Step::Issue);
    }
    match ready.reason.as_str() {
        why if GOES_ON.contains(&why) => Step::Wait(None, None),
        why => match FINAL.into_iter().find(|known| *known == why) {
            Some(reason) => Step::Fail { reason, message: ready.message.clone() },
            None => Step::Wait(Some(Event::warning(why, ACTION, ready.message.clone())), None),
        },
    }
}
