//! The state of a Certificate or an issuer, according to its status: what it waits for, since when, and what happens next.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{Resource, ResourceExt};

use super::output::{away, moment};
use certwright_api::{
    CONDITION_ISSUING, CONDITION_READY, CONDITION_SERVED, Certificate, IssuerKind, IssuerRef, IssuerStatus,
    RenewalPolicy, certificate_reason as reason,
};
use certwright_core::issuance::failed_generation;
use certwright_core::issuers::Issuers;

/// What happens to a certificate at its renewal time.
const RENEWS: &str = "renews";

/// The state of an object.
#[derive(Clone, Debug, PartialEq)]
pub struct Outlook {
    /// `Some(true)`: ready. `None`: the operator has not processed the object yet, or not its current spec.
    pub ready: Option<bool>,
    /// Since when.
    pub since: Option<Timestamp>,
    /// What the object waits for, or what failed; `None` if neither applies.
    pub trouble: Option<Trouble>,
    /// What servers show instead of the certificate in the Secret, as far as that is checked.
    pub unserved: Option<Trouble>,
    /// What happens next.
    pub next: NextAction,
}

impl Outlook {
    /// Whether the operator is about to do something: the object is new, or changed, or to be renewed.
    pub fn is_due(&self, now: Timestamp) -> bool {
        self.ready.is_none() || matches!(self.next, NextAction::At(RENEWS, time) if time <= now)
    }

    /// What is wrong. A certificate that is missing is worse than one that is not served.
    pub fn problem(&self) -> Option<&Trouble> {
        self.trouble.as_ref().or(self.unserved.as_ref())
    }
}

/// What an object waits for, or what failed.
#[derive(Clone, Debug, PartialEq)]
pub struct Trouble {
    /// The reason of the condition.
    pub reason: String,
    /// The message of the condition.
    pub message: String,
    /// When it started, or when it failed.
    pub since: Option<Timestamp>,
    /// Whether it failed. If not, it is in progress.
    pub failed: bool,
}

/// What happens next.
#[derive(Clone, Debug, PartialEq)]
pub enum NextAction {
    /// Something at a time recorded in the status.
    At(&'static str, Timestamp),
    /// Something that depends on something else.
    When(String),
}

impl NextAction {
    /// A few words, for a column.
    pub fn brief(&self, now: Timestamp) -> String {
        match self {
            Self::At(what, time) if *time <= now => format!("{what} now"),
            Self::At(what, time) => format!("{what} {}", away(*time, now)),
            Self::When(words) => words.clone(),
        }
    }

    /// A sentence.
    pub fn sentence(&self, now: Timestamp) -> String {
        match self {
            Self::At(what, time) => format!("{what} at {}", moment(*time, now)),
            Self::When(words) => words.clone(),
        }
    }
}

/// The state of a Certificate.
pub fn of_certificate(certificate: &Certificate, now: Timestamp) -> Outlook {
    let status = certificate.status.clone().unwrap_or_default();
    let (ready, issuing) =
        (condition(&status.conditions, CONDITION_READY), condition(&status.conditions, CONDITION_ISSUING));
    let is_current = ready.is_some_and(|ready| ready.observed_generation == certificate.metadata.generation);
    let under_way = issuing.is_some_and(|issuing| issuing.status == "True");
    let next_attempt = status.next_attempt_time.as_ref().map(|time| time.0);
    let failed = !under_way && status.failed_issuance_attempts.is_some();
    let trouble = match issuing {
        Some(issuing) if under_way => Some(trouble(issuing, Some(since(issuing)), false)),
        Some(issuing) if failed => Some(trouble(issuing, time(status.last_failure_time.as_ref()), true)),
        _ => ready.filter(|ready| ready.status != "True").map(|ready| trouble(ready, None, true)),
    };
    let renews =
        certificate.spec.renewal.as_ref().and_then(|renewal| renewal.policy) != Some(RenewalPolicy::Disabled);
    let next = match (&trouble, time(status.renewal_time.as_ref())) {
        _ if certificate.meta().deletion_timestamp.is_some() => {
            NextAction::When("is being deleted: waits for the cleanup".to_owned())
        }
        _ if ready.is_none() || !is_current => unseen(),
        (Some(trouble), _) if under_way => NextAction::When(looks_again(&trouble.reason).to_owned()),
        (Some(_), _)
            if next_attempt.is_some() && failed_generation(&status) == certificate.metadata.generation =>
        {
            NextAction::At("retries", next_attempt.unwrap_or(now))
        }
        (Some(_), _) => NextAction::When("nothing until something changes".to_owned()),
        (None, Some(time)) if renews => NextAction::At(RENEWS, time),
        (None, _) => NextAction::When("is not renewed: renewal.policy is Disabled".to_owned()),
    };
    let unserved = condition(&status.conditions, CONDITION_SERVED).filter(|served| served.status == "False");
    let unserved = unserved.map(|served| self::trouble(served, Some(since(served)), true));
    Outlook { ready: known(ready, is_current), since: ready.map(since), trouble, unserved, next }
}

/// What servers show of its certificate, as a cell; `None` if that is not checked.
pub fn served(certificate: &Certificate) -> Option<&'static str> {
    let found = condition(&certificate.status.as_ref()?.conditions, CONDITION_SERVED)?;
    Some(match (found.status.as_str(), found.reason.as_str()) {
        ("True", _) => "True",
        ("False", reason::OLD_CERTIFICATE_SERVED) => "Old",
        ("False", _) => "Other",
        _ => "Unknown",
    })
}

/// The state of an issuer.
pub fn of_issuer<K>(issuer: &K, status: Option<&IssuerStatus>) -> Outlook
where
    K: Resource<DynamicType = ()>,
{
    let status = status.cloned().unwrap_or_default();
    let ready = condition(&status.conditions, CONDITION_READY);
    let is_current = ready.is_some_and(|ready| ready.observed_generation == issuer.meta().generation);
    let trouble = ready
        .filter(|ready| ready.status != "True")
        .map(|ready| trouble(ready, time(status.last_failure_time.as_ref()), true));
    let rollover = status.acme.as_ref().and_then(|acme| time(acme.next_key_rollover.as_ref()));
    let next = match (time(status.next_attempt_time.as_ref()), rollover) {
        _ if issuer.meta().deletion_timestamp.is_some() => NextAction::When(
            "is being deleted: waits for the deactivation of its account, for a limited time".to_owned(),
        ),
        _ if ready.is_none() || !is_current => unseen(),
        (Some(time), _) if trouble.is_some() => NextAction::At("retries", time),
        _ if trouble.as_ref().is_some_and(|trouble| awaits_secret(&trouble.reason)) => {
            NextAction::When("checks again at least once a minute".to_owned())
        }
        _ if trouble.is_some() => NextAction::When("nothing until something changes".to_owned()),
        (_, Some(time)) => NextAction::At("rolls over the account key", time),
        _ => NextAction::When("nothing is due".to_owned()),
    };
    Outlook { ready: known(ready, is_current), since: ready.map(since), trouble, unserved: None, next }
}

/// When the operator continues. `docs/troubleshooting-*.md` explain the same in detail.
fn looks_again(awaited: &str) -> &'static str {
    match awaited {
        reason::ISSUER_NOT_FOUND => "continues as soon as the issuer exists",
        reason::ISSUER_NOT_READY => "continues as soon as the issuer is ready",
        reason::QUEUED => "continues when another order of the account is complete",
        reason::NO_SOLVER => {
            "asks the CA again at least once an hour, and immediately when the issuer changes"
        }
        reason::PASSWORD_NOT_FOUND | reason::SECRET_NOT_OURS | reason::SECRET_CLAIMED => {
            "checks again at least once a minute"
        }
        reason::PRESENTING | reason::DNS_WEBHOOK_UNAVAILABLE | reason::VALIDATING | reason::FINALIZING => {
            "checks again at least every five minutes"
        }
        reason::PROPAGATION => {
            "checks again at least every ten seconds; if it takes long, every five minutes"
        }
        reason::SELF_CHECK => {
            "checks again at least every ten seconds, and tells the CA to validate if the self-check takes too long"
        }
        reason::RATE_LIMITED | reason::DUPLICATE_CERTIFICATES | reason::ISSUED_RECENTLY => {
            "continues at the time in the message"
        }
        reason::INVALID_SPEC => "nothing until the spec changes",
        _ => "continues immediately",
    }
}

fn unseen() -> NextAction {
    NextAction::When(
        "waits for the operator to process it; if that does not happen, run `certwright check`".to_owned(),
    )
}

fn awaits_secret(reason: &str) -> bool {
    use certwright_api::issuer_reason as of_issuer;
    [
        of_issuer::SECRET_NOT_FOUND,
        of_issuer::SECRET_KEY_NOT_FOUND,
        of_issuer::INVALID_MAC_KEY,
        of_issuer::INVALID_KEY_ID,
        of_issuer::INVALID_ACCOUNT_KEY,
    ]
    .contains(&reason)
}

/// The condition of type `type_`.
pub fn condition<'a>(conditions: &'a [Condition], type_: &str) -> Option<&'a Condition> {
    conditions.iter().find(|condition| condition.type_ == type_)
}

fn known(ready: Option<&Condition>, is_current: bool) -> Option<bool> {
    let ready = ready.map(|ready| ready.status == "True")?;
    // A spec that the operator has not processed yet is not known to be ready. An object that was not ready still is not.
    if is_current || !ready { Some(ready) } else { None }
}

fn trouble(condition: &Condition, since: Option<Timestamp>, failed: bool) -> Trouble {
    Trouble { reason: condition.reason.clone(), message: condition.message.clone(), since, failed }
}

fn since(condition: &Condition) -> Timestamp {
    condition.last_transition_time.0
}

/// The time in a field of a status.
pub fn time(time: Option<&Time>) -> Option<Timestamp> {
    time.map(|time| time.0)
}

/// The name of an object in messages.
pub fn named(kind: &str, namespace: Option<&str>, name: &str) -> String {
    match namespace {
        Some(namespace) => format!("{kind} {namespace}/{name}"),
        None => format!("{kind} {name}"),
    }
}

/// The name of a Certificate in messages.
pub fn certificate_named(certificate: &Certificate) -> String {
    named("Certificate", certificate.namespace().as_deref(), &certificate.name_any())
}

/// The issuer that a Certificate uses.
pub fn issuer_in_use(certificate: &Certificate) -> &IssuerRef {
    let generation = certificate.metadata.generation.unwrap_or_default();
    Issuers::of(&certificate.spec, certificate.status.as_ref(), generation).in_use()
}

/// The name of that issuer in messages.
pub fn issuer_named(certificate: &Certificate) -> String {
    let reference = issuer_in_use(certificate);
    let namespace = certificate.namespace().filter(|_| reference.kind == IssuerKind::Issuer);
    named(reference.kind.as_str(), namespace.as_deref(), &reference.name)
}
