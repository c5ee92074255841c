//! One screen about an Issuer or ClusterIssuer.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event, Secret};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::{field, headline, optional, rendered_events, trouble, what_to_do};
use crate::command::handbook::Chapter;
use crate::command::mac_key::age;
use crate::command::outlook::{Outlook, condition, time};
use crate::command::output::moment;
use certwright_api::{
    AcmeAccountStatus, AcmeIssuer, CONDITION_ACCOUNT_DEACTIVATED, CONDITION_ACCOUNT_REBOUND,
    CONDITION_AUTHORIZATIONS_KEPT, CONDITION_IGNORED_FIELDS, CONDITION_KEY_ROLLOVER, IssuerStatus,
    KeptAuthorizationStatus,
};

/// The screen.
pub(super) fn rendered(
    called: &str,
    spec: &AcmeIssuer,
    status: Option<&IssuerStatus>,
    outlook: &Outlook,
    mac_key: Option<&Secret>,
    events: &[Event],
    now: Timestamp,
) -> String {
    let status = status.cloned().unwrap_or_default();
    let mut text = headline(called, outlook, now);
    text.push_str(&trouble(outlook, Chapter::Issuers, now));
    text.push('\n');
    text.push_str(&field("Server", &spec.server));
    text.push_str(&binding(spec, status.acme.as_ref(), mac_key, now));
    text.push_str(&status.acme.as_ref().map_or(String::new(), |acme| account(acme, now)));
    let failures = status.failed_attempts.map(|attempts| {
        let last = time(status.last_failure_time.as_ref());
        format!(
            "{attempts} in a row{}",
            last.map_or(String::new(), |last| format!(", last {}", moment(last, now)))
        )
    });
    text.push_str(&optional("Failures", failures));
    for (name, type_) in [
        ("Key rollover", CONDITION_KEY_ROLLOVER),
        ("Rebinding", CONDITION_ACCOUNT_REBOUND),
        ("Deactivation", CONDITION_ACCOUNT_DEACTIVATED),
        ("Kept names", CONDITION_AUTHORIZATIONS_KEPT),
        ("Ignored", CONDITION_IGNORED_FIELDS),
    ] {
        let Some(condition) = condition(&status.conditions, type_) else { continue };
        text.push_str(&field(name, &format!("{}: {}", condition.reason, condition.message)));
        if condition.status != "True" {
            text.push_str(&what_to_do(Chapter::Issuers, &condition.reason));
        }
    }
    status.authorizations.iter().for_each(|kept| text.push_str(&authorization(kept, now)));
    text.push_str(&rendered_events(events, now));
    text
}

/// A name that is kept authorized.
fn authorization(kept: &KeptAuthorizationStatus, now: Timestamp) -> String {
    let at = |what: &str, field: Option<&Time>| {
        time(field).map_or(String::new(), |time| format!(", {what} {}", moment(time, now)))
    };
    let state = if kept.state.is_empty() { "not requested yet" } else { &kept.state };
    let subdomains = if kept.subdomains { " with subdomains" } else { "" };
    let renewal = kept.renewal_time.as_ref().filter(|_| kept.failed_attempts.is_none());
    let text = format!(
        "{}{subdomains}: {state}{}{}{}",
        kept.dns_name,
        at("expires", kept.expires.as_ref()),
        at("renewed", renewal),
        at("next attempt", kept.next_attempt_time.as_ref())
    );
    field("Authorized", &text)
}

/// The external account. Its MAC key is needed only until the account is bound.
fn binding(
    spec: &AcmeIssuer,
    acme: Option<&AcmeAccountStatus>,
    mac_key: Option<&Secret>,
    now: Timestamp,
) -> String {
    let Some(binding) = &spec.external_account_binding else { return String::new() };
    let id = match (&binding.key_id, &binding.key_id_secret_ref) {
        (Some(id), _) => format!("key id {id}"),
        (None, Some(secret)) => format!("key id in Secret {}", secret.name),
        (None, None) => "no key id".to_owned(),
    };
    let secret = &binding.key_secret_ref.name;
    if acme.is_some_and(|acme| acme.bound_key_id.is_some()) {
        let mac_key = match mac_key {
            Some(_) => format!("; the MAC key in Secret {secret} is no longer needed and can be deleted"),
            None => String::new(),
        };
        return field("Bound to", &format!("{id}{mac_key}"));
    }
    let age = mac_key.map(|mac_key| age(spec, mac_key, now).words);
    let age = age.map_or(String::new(), |age| format!(", {age}"));
    field("Binding", &format!("{id}, MAC key in Secret {secret}{age}"))
}

fn account(acme: &AcmeAccountStatus, now: Timestamp) -> String {
    let at = |field: Option<_>| time(field).map(|time| moment(time, now));
    let emails = Some(acme.last_registered_emails.join(", ")).filter(|emails| !emails.is_empty());
    [
        field("Account", &acme.uri),
        optional("Contact", emails.or_else(|| acme.last_registered_email.clone())),
        field("Account key", &acme.key_algorithm),
        optional("Key created", at(acme.key_created.as_ref())),
        optional("Key changed", at(acme.last_key_rollover.as_ref())),
        optional("Next key", at(acme.next_key_rollover.as_ref())),
        optional("Checked", at(acme.last_check_time.as_ref())),
        optional("Deactivated", at(acme.deactivation_time.as_ref())),
        optional("New terms", acme.latest_terms_of_service.clone()),
    ]
    .concat()
}
