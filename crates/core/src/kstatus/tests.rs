use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use super::{Standing, of_certificate, of_issuer};
use certwright_api::{
    CONDITION_ISSUING, CONDITION_READY, certificate_reason as certificate, issuer_reason as issuer,
};

#[test]
fn an_object_that_is_ready_is_neither_reconciling_nor_stalled() {
    let renewing = [ready("True", certificate::READY), issuing("True", certificate::ORDERING)];
    assert_eq!(of_certificate(&renewing), None);
    let renewal_failed = [ready("True", certificate::READY), issuing("False", certificate::FAILED)];
    assert_eq!(of_certificate(&renewal_failed), None);
    assert_eq!(of_issuer(&[ready("True", issuer::ACCOUNT_REGISTERED)]), None);
}

#[test]
fn an_object_without_conditions_is_neither() {
    assert_eq!(of_certificate(&[]), None);
    assert_eq!(of_issuer(&[]), None);
}

#[test]
fn a_certificate_is_reconciling_while_something_is_under_way_or_may_come() {
    let reasons = [
        certificate::ORDERING,
        certificate::SELF_CHECK,
        certificate::QUEUED,
        certificate::ISSUER_NOT_FOUND,
        certificate::ISSUER_NOT_READY,
        certificate::PASSWORD_NOT_FOUND,
        certificate::CA_UNAVAILABLE,
        certificate::RATE_LIMITED,
    ];
    for reason in reasons {
        let conditions = [ready("False", reason), issuing("True", reason)];
        assert_eq!(of_certificate(&conditions), Some(Standing::Reconciling), "{reason}");
    }
}

#[test]
fn a_certificate_is_stalled_when_its_issuance_failed_or_only_a_human_can_help() {
    let failed = [ready("False", certificate::FAILED), issuing("False", certificate::FAILED)];
    assert_eq!(of_certificate(&failed), Some(Standing::Stalled));
    let expired = [ready("False", certificate::EXPIRED), issuing("False", certificate::ISSUED)];
    assert_eq!(of_certificate(&expired), Some(Standing::Stalled));
    let reasons = [
        certificate::INVALID_SPEC,
        certificate::SECRET_NOT_OURS,
        certificate::SECRET_CLAIMED,
        certificate::KEPT_BY_CERT_MANAGER,
        certificate::NO_SOLVER,
        certificate::NOT_ALLOWED,
        certificate::DUPLICATE_CERTIFICATES,
    ];
    for reason in reasons {
        let conditions = [ready("False", reason), issuing("True", reason)];
        assert_eq!(of_certificate(&conditions), Some(Standing::Stalled), "{reason}");
    }
}

#[test]
fn an_issuer_is_reconciling_while_it_waits_for_a_secret_or_a_ca() {
    let waits = [
        issuer::CA_UNAVAILABLE,
        issuer::RATE_LIMITED,
        issuer::SECRET_NOT_FOUND,
        issuer::SECRET_KEY_NOT_FOUND,
    ];
    // A rate limit, or a temporary error of the CA.
    let passing = [
        "RATE_LIMITED",
        "RateLimited",
        "ACME_ORDER_NOT_READ",
        "ACME_REQUEST_NOT_FOUND",
        "ACME_ORDER_FINALIZE_ERROR",
        "ACME_CA_ERROR",
        "ACME_OTHER_ERROR",
        "ACME_DEACTIVATED",
        "ServerInternal",
        "BadNonce",
        "OrderNotReady",
    ];
    for reason in waits.into_iter().chain(passing) {
        assert_eq!(of_issuer(&[ready("False", reason)]), Some(Standing::Reconciling), "{reason}");
    }
}

#[test]
fn an_issuer_is_stalled_when_only_a_human_can_help() {
    let ends = [
        issuer::INVALID_MAC_KEY,
        issuer::INVALID_KEY_ID,
        issuer::INVALID_ACCOUNT_KEY,
        issuer::INVALID_SPEC,
        issuer::DEACTIVATED,
        issuer::ACCOUNT_UNUSABLE,
        issuer::REGISTRATION_REFUSED,
    ];
    // The account is unusable, the CA's operator must act, or the CA refuses the request.
    let lasting = [
        "DEACTIVATED_ACCOUNT",
        "REVOKED_ACCOUNT",
        "EXPIRED_ACCOUNT",
        "DEACTIVATED_EXTERNAL_ACCOUNT",
        "REVOKED_EXTERNAL_ACCOUNT",
        "EXPIRED_EXTERNAL_ACCOUNT",
        "EXTERNAL_ACCOUNT_NOT_FOUND",
        "BAD_SIGNATURE",
        "AccountDoesNotExist",
        "PENDING_EXTERNAL_ACCOUNT",
        "SUSPENDED_ACCOUNT",
        "SUSPENDED_EXTERNAL_ACCOUNT",
        "NO_DOCUMENT_FORM_FOUND",
        "NO_VALID_ORGANIZATION_DOCUMENT_FOUND",
        "ORGANIZATION_IS_NOT_VALID",
        "OUT_OF_CREDIT",
        "ExternalAccountRequired",
        "UserActionRequired",
        "Unauthorized",
        "InvalidContact",
        "UnsupportedContact",
        "Malformed",
        "BadSignatureAlgorithm",
        "Compound",
    ];
    for reason in ends.into_iter().chain(lasting) {
        assert_eq!(of_issuer(&[ready("False", reason)]), Some(Standing::Stalled), "{reason}");
    }
}

fn ready(status: &str, reason: &str) -> Condition {
    condition(CONDITION_READY, status, reason)
}

fn issuing(status: &str, reason: &str) -> Condition {
    condition(CONDITION_ISSUING, status, reason)
}

fn condition(type_: &str, status: &str, reason: &str) -> Condition {
    Condition {
        type_: type_.to_owned(),
        status: status.to_owned(),
        reason: reason.to_owned(),
        message: String::new(),
        observed_generation: None,
        last_transition_time: Time("2026-01-01T00:00:00Z".parse().unwrap()),
    }
}
