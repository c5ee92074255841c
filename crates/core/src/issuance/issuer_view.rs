//! Whether an issuer can be used for a Certificate, and how.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use crate::account::AccountRefusal;
use crate::allow;
use crate::authorization::{Authorized, authorized};
use crate::conditions::{condition, is_true};
use crate::issuers::ca_is_cause;
use crate::reading::Fault;
use crate::spec::{ValidatedCertificate, csr};
use certwright_api::{
    AcmeAccountStatus, AcmeIssuer, Allow, CONDITION_READY, IssuerKind, IssuerRef, IssuerStatus, Solver,
};

/// How long to wait for the shard that serves an issuer to confirm its account.
const UNCONFIRMED: SignedDuration = SignedDuration::from_mins(1);

/// The issuer that a Certificate uses.
#[derive(Clone, Debug, PartialEq)]
pub enum IssuerView {
    /// It does not exist.
    NotFound,
    /// It exists and cannot be used; the message says why.
    NotReady {
        /// What its condition says.
        message: String,
        /// Whether the CA or the account is the cause, not the issuer's own spec.
        ca_is_cause: bool,
    },
    /// Its account can be used.
    Ready {
        /// URL of the account.
        account: String,
        /// Its solvers.
        solvers: Vec<Solver>,
        /// The profile to ask for.
        profile: Option<String>,
        /// The names that its account is authorized for ahead of any order.
        authorized: Vec<Authorized>,
    },
}

/// An issuer that the spec names.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// Which one.
    pub issuer: IssuerRef,
    /// Why it cannot be used.
    pub unusable: Option<String>,
}

impl IssuerView {
    /// The view of an issuer that is not there; or it is, and cannot be read.
    pub fn absent(fault: Option<&Fault>) -> Self {
        fault.map_or(Self::NotFound, |fault| Self::not_ready(format!("it cannot be read: {fault}"), false))
    }

    /// The view of an issuer whose account cannot be used, although its condition says so.
    pub fn without_account(why: String) -> Self {
        Self::not_ready(why, false)
    }

    /// The view of an issuer whose account can be used, at the CA's time. The Certificate may ask for a `profile` of its own.
    pub fn ready(
        issuer: &AcmeIssuer,
        status: &IssuerStatus,
        account: &AcmeAccountStatus,
        profile: Option<&str>,
        at_ca: Option<Timestamp>,
    ) -> Self {
        Self::Ready {
            authorized: at_ca.map_or_else(Vec::new, |at_ca| authorized(status, &account.uri, at_ca)),
            account: account.uri.clone(),
            solvers: issuer.solvers.clone(),
            profile: profile.map(str::to_owned).or_else(|| issuer.profile.clone()),
        }
    }

    fn not_ready(message: String, ca_is_cause: bool) -> Self {
        Self::NotReady { message, ca_is_cause }
    }

    /// Why it cannot be used, if it cannot.
    pub fn why_unusable(&self) -> Option<String> {
        match self {
            Self::NotFound => Some("it does not exist".to_owned()),
            Self::NotReady { message, .. } => Some(format!("it is not ready: {message}")),
            Self::Ready { .. } => None,
        }
    }

    /// When to look again at an issuer that another shard serves, and whose condition `Ready` is true: nothing reports that it can be
    /// used again. The CA's refusal of its account may hold until a known time.
    pub fn look_again(&self, refused_until: Option<Timestamp>, now: Timestamp) -> Option<Timestamp> {
        let Self::NotReady { .. } = self else { return None };
        refused_until.or_else(|| now.checked_add(UNCONFIRMED).ok())
    }
}

/// The account of an issuer, if it is ready.
///
/// # Errors
/// The [`IssuerView`], if it is not ready, or its CA has refused the account since.
pub fn account_in_status<'a>(
    issuer: &AcmeIssuer,
    status: &'a IssuerStatus,
    refusal: Option<AccountRefusal>,
) -> Result<&'a AcmeAccountStatus, IssuerView> {
    if let Some(refusal) = refusal {
        return Err(IssuerView::not_ready(refusal.message, true));
    }
    let is_ready = is_true(&status.conditions, CONDITION_READY);
    let account = status.acme.as_ref().filter(|acme| is_ready && acme.server == issuer.server);
    account.ok_or_else(|| {
        let ready = condition(&status.conditions, CONDITION_READY).filter(|ready| ready.status == "False");
        ready.map_or_else(
            || IssuerView::not_ready("its account is not registered yet".to_owned(), false),
            |ready| IssuerView::not_ready(ready.message.clone(), ca_is_cause(&ready.reason)),
        )
    })
}

/// Why an issuer does not allow a Certificate in a namespace with these labels, or its CA does not accept the certificate signing
/// request in it.
pub fn not_allowed(
    (kind, name): (IssuerKind, &str),
    issuer: &AcmeIssuer,
    allow: Option<&Allow>,
    (namespace, labels): (&str, &BTreeMap<String, String>),
    wanted: &ValidatedCertificate,
) -> Option<String> {
    let refusal = allow.and_then(|allow| allow::check(allow, namespace, labels, &wanted.subject).err());
    let refusal = refusal.map(|refusal| refusal.to_string());
    let refusal = refusal.or_else(|| csr::refusal(wanted.csr.as_ref()?, issuer))?;
    Some(format!("{} {name} does not allow this Certificate: {refusal}", kind.as_str()))
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

    use super::*;
    use crate::disposition::Disposition;
    use certwright_api::issuer_reason as reason;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn issuer() -> AcmeIssuer {
        AcmeIssuer { server: "https://ca.test/dir".to_owned(), ..AcmeIssuer::default() }
    }

    /// An issuer with an account, and this condition.
    fn status(ready: &str, reason: &str, message: &str) -> IssuerStatus {
        let acme = AcmeAccountStatus {
            server: issuer().server,
            uri: "https://ca.test/account/1".to_owned(),
            ..AcmeAccountStatus::default()
        };
        let condition = Condition {
            type_: CONDITION_READY.to_owned(),
            status: ready.to_owned(),
            reason: reason.to_owned(),
            message: message.to_owned(),
            observed_generation: None,
            last_transition_time: Time(at(0)),
        };
        IssuerStatus { acme: Some(acme), conditions: vec![condition], ..IssuerStatus::default() }
    }

    fn not_ready(message: &str, ca_is_cause: bool) -> IssuerView {
        IssuerView::NotReady { message: message.to_owned(), ca_is_cause }
    }

    #[test]
    fn an_account_can_be_used_if_its_issuer_is_ready_for_the_server_in_the_spec() {
        let ready = status("True", "", "");
        assert_eq!(account_in_status(&issuer(), &ready, None).ok(), ready.acme.as_ref());
        let elsewhere = AcmeIssuer { server: "https://other.test/dir".to_owned(), ..issuer() };
        let unregistered = not_ready("its account is not registered yet", false);
        assert_eq!(account_in_status(&elsewhere, &ready, None), Err(unregistered.clone()));
        assert_eq!(account_in_status(&issuer(), &IssuerStatus::default(), None), Err(unregistered));
    }

    #[test]
    fn what_is_wrong_with_an_issuer_is_said_and_whose_fault_it_is() {
        for (reason, ca_is_cause) in [(reason::CA_UNAVAILABLE, true), (reason::INVALID_SPEC, false)] {
            let broken = status("False", reason, "it broke");
            assert_eq!(account_in_status(&issuer(), &broken, None), Err(not_ready("it broke", ca_is_cause)));
        }
        // The CA has refused the account since the condition was written.
        let refusal = AccountRefusal {
            generation: 1,
            disposition: Disposition::AccountUnusable,
            reason: None,
            message: "the account is deactivated".to_owned(),
        };
        let refused = account_in_status(&issuer(), &status("True", "", ""), Some(refusal)).unwrap_err();
        assert_eq!(refused, not_ready("the account is deactivated", true));
        assert_eq!(refused.why_unusable().as_deref(), Some("it is not ready: the account is deactivated"));
        assert_eq!(IssuerView::absent(None).why_unusable().as_deref(), Some("it does not exist"));
    }

    #[test]
    fn an_issuer_of_another_shard_is_looked_at_again_after_the_refusal_or_a_minute() {
        let view = not_ready("it is checking which key its account has", false);
        assert_eq!(view.look_again(None, at(0)), Some(at(60)));
        assert_eq!(view.look_again(Some(at(600)), at(0)), Some(at(600)));
        assert_eq!(IssuerView::NotFound.look_again(None, at(0)), None, "its watch reports it");
    }

    #[test]
    fn the_profile_of_the_certificate_comes_before_that_of_the_issuer() {
        let issuer = AcmeIssuer { profile: Some("short".to_owned()), ..issuer() };
        let status = status("True", "", "");
        for (wanted, used) in [(None, "short"), (Some("long"), "long")] {
            let account = status.acme.as_ref().unwrap();
            let IssuerView::Ready { profile, .. } =
                IssuerView::ready(&issuer, &status, account, wanted, None)
            else {
                panic!("it is ready")
            };
            assert_eq!(profile.as_deref(), Some(used));
        }
    }
}
