use super::Disposition::*;
use super::*;
use certwright_acme::{CODES, Problem};

/// The table of a CA's codes and their meaning, row by row.
const TABLE: [(Disposition, &[&str]); 5] = [
    (
        AccountUnusable,
        &[
            "DEACTIVATED_ACCOUNT",
            "REVOKED_ACCOUNT",
            "DEACTIVATED_EXTERNAL_ACCOUNT",
            "REVOKED_EXTERNAL_ACCOUNT",
            "EXTERNAL_ACCOUNT_NOT_FOUND",
            "BAD_SIGNATURE",
            "accountDoesNotExist",
        ],
    ),
    (
        CaOperatorMustAct,
        &[
            "EXPIRED_ACCOUNT",
            "EXPIRED_EXTERNAL_ACCOUNT",
            "PENDING_EXTERNAL_ACCOUNT",
            "SUSPENDED_ACCOUNT",
            "SUSPENDED_EXTERNAL_ACCOUNT",
            "NO_DOCUMENT_FORM_FOUND",
            "NO_VALID_ORGANIZATION_DOCUMENT_FOUND",
            "ORGANIZATION_IS_NOT_VALID",
            "OUT_OF_CREDIT",
            "externalAccountRequired",
            "userActionRequired",
        ],
    ),
    (
        NotAllowed,
        &[
            "DOMAIN_NOT_ASSOCIATED",
            "DOMAIN_NOT_FOUND",
            "UNAUTHORIZED_DOMAIN",
            "INVALID_DOMAIN",
            "INVALID_DOMAIN_FOR_WILDCARD_PROFILE",
            "INVALID_PROFILE_FOR_WILDCARD",
            "NOT_SAME_ORGANIZATION",
            "INVALID_DNSCAA",
            "caa",
            "rejectedIdentifier",
            "unsupportedIdentifier",
            "badCSR",
            "badPublicKey",
            "invalidProfile",
        ],
    ),
    (TooFast, &["RATE_LIMITED", "rateLimited"]),
    (
        Stumbled,
        &[
            "ACME_ORDER_NOT_READ",
            "ACME_REQUEST_NOT_FOUND",
            "ACME_ORDER_FINALIZE_ERROR",
            "ACME_CA_ERROR",
            "ACME_OTHER_ERROR",
            "ACME_DEACTIVATED",
            "serverInternal",
            "badNonce",
            "orderNotReady",
        ],
    ),
];

/// The codes for which the HTTP status and the call decide.
const BY_STATUS: &[&str] = &[
    "unauthorized",
    "malformed",
    "badSignatureAlgorithm",
    "invalidContact",
    "unsupportedContact",
    "connection",
    "dns",
    "incorrectResponse",
    "tls",
    "compound",
];

/// The reasons of the codes that are not in capitals; those in capitals are used unchanged.
const REASONS: &[(&str, &str)] = &[
    ("accountDoesNotExist", "AccountDoesNotExist"),
    ("externalAccountRequired", "ExternalAccountRequired"),
    ("userActionRequired", "UserActionRequired"),
    ("caa", "CAA"),
    ("rejectedIdentifier", "RejectedIdentifier"),
    ("unsupportedIdentifier", "UnsupportedIdentifier"),
    ("badCSR", "BadCSR"),
    ("badPublicKey", "BadPublicKey"),
    ("invalidProfile", "InvalidProfile"),
    ("rateLimited", "RateLimited"),
    ("serverInternal", "ServerInternal"),
    ("badNonce", "BadNonce"),
    ("orderNotReady", "OrderNotReady"),
    ("unauthorized", "Unauthorized"),
    ("malformed", "Malformed"),
    ("badSignatureAlgorithm", "BadSignatureAlgorithm"),
    ("invalidContact", "InvalidContact"),
    ("unsupportedContact", "UnsupportedContact"),
    ("connection", "Connection"),
    ("dns", "DNS"),
    ("incorrectResponse", "IncorrectResponse"),
    ("tls", "TLS"),
    ("compound", "Compound"),
];

/// Every code that has an expectation here.
fn expected() -> Vec<&'static str> {
    TABLE.iter().flat_map(|(_, codes)| codes.iter()).chain(BY_STATUS).copied().collect()
}

#[test]
fn every_code_of_the_table_decides_whatever_the_status_and_the_call() {
    for (expected, codes) in TABLE {
        for code in codes {
            for status in [None, Some(400), Some(403), Some(404), Some(429), Some(500), Some(503)] {
                for about in [About::Server, About::Account, About::Order] {
                    assert_eq!(disposition(code, status, about), expected, "{code} {status:?} {about:?}");
                }
            }
        }
    }
}

#[test]
fn unauthorized_condemns_the_account_on_account_calls_only() {
    assert_eq!(disposition("unauthorized", Some(403), About::Account), AccountUnusable);
    assert_eq!(disposition("unauthorized", Some(401), About::Account), AccountUnusable);
    assert_eq!(disposition("unauthorized", Some(403), About::Order), OrderLost);
    assert_eq!(disposition("unauthorized", Some(403), About::Server), Stumbled);
}

#[test]
fn the_status_and_the_call_decide_where_a_code_does_not() {
    for code in BY_STATUS.iter().filter(|code| **code != "unauthorized") {
        assert_eq!(disposition(code, Some(403), About::Account), CaOperatorMustAct, "{code}");
        assert_eq!(disposition(code, Some(403), About::Order), OrderLost, "{code}");
        assert_eq!(disposition(code, Some(429), About::Order), TooFast, "{code}");
        assert_eq!(disposition(code, Some(500), About::Account), Stumbled, "{code}");
        assert_eq!(of_invalid(code), ValidationFailed, "{code}");
    }
}

#[test]
fn without_a_known_code_the_status_decides() {
    let cases = [
        (Some(400), CaOperatorMustAct, OrderLost),
        (Some(403), CaOperatorMustAct, OrderLost),
        (Some(404), CaOperatorMustAct, OrderLost),
        (Some(408), Stumbled, Stumbled),
        (Some(410), CaOperatorMustAct, OrderLost),
        (Some(429), TooFast, TooFast),
        (Some(499), CaOperatorMustAct, OrderLost),
        (Some(500), Stumbled, Stumbled),
        (Some(502), Stumbled, Stumbled),
        (Some(503), Stumbled, Stumbled),
        (Some(504), Stumbled, Stumbled),
        (Some(302), Stumbled, Stumbled),
        (None, Stumbled, Stumbled),
    ];
    for (status, account, order) in cases {
        for code in ["", "malformed", "unexpectedStatus", "NEVER_HEARD_OF"] {
            assert_eq!(disposition(code, status, About::Account), account, "{code} {status:?}");
            assert_eq!(disposition(code, status, About::Order), order, "{code} {status:?}");
            let server = if status == Some(429) { TooFast } else { Stumbled };
            assert_eq!(disposition(code, status, About::Server), server, "{code} {status:?}");
        }
    }
}

#[test]
fn no_answer_at_all_is_a_stumble() {
    for code in ["timeout", "unreachable", "tls", "malformedAnswer"] {
        for about in [About::Account, About::Order] {
            assert_eq!(disposition(code, None, about), Stumbled, "{code}");
        }
    }
}

#[test]
fn a_failed_challenge_is_retried_with_a_new_order_unless_the_code_says_more() {
    for code in ["", "unauthorized", "connection", "dns", "tls", "incorrectResponse", "serverInternal"] {
        assert_eq!(of_invalid(code), ValidationFailed, "{code}");
    }
    assert_eq!(of_invalid("caa"), NotAllowed);
    assert_eq!(of_invalid("INVALID_DNSCAA"), NotAllowed);
    assert_eq!(of_invalid("RATE_LIMITED"), TooFast);
    assert_eq!(of_invalid("OUT_OF_CREDIT"), CaOperatorMustAct);
    assert_eq!(of_invalid("REVOKED_ACCOUNT"), AccountUnusable);
}

#[test]
fn a_known_code_is_the_reason_as_kubernetes_writes_reasons() {
    for code in expected() {
        let in_capitals = code.chars().all(|c| c.is_ascii_uppercase() || c == '_');
        let of_type = REASONS.iter().find(|(known, _)| *known == code).map(|(_, reason)| *reason);
        assert_eq!(reason(code), if in_capitals { Some(code) } else { of_type }, "{code}");
    }
    assert_eq!(reason("NEVER_HEARD_OF"), None, "what a CA makes up does not become a metric's label");
}

#[test]
fn every_code_occurs_once_and_has_an_expectation() {
    let known: std::collections::BTreeSet<&str> = CODES.iter().map(|known| known.code).collect();
    assert_eq!(known.len(), CODES.len());
    assert_eq!(known, expected().into_iter().collect());
}

#[test]
fn terms_that_must_be_accepted_are_named_with_the_page_that_says_how() {
    let said = |code: &str, terms: Option<&str>, page: Option<&str>| {
        let problem = Problem {
            typ: format!("urn:ietf:params:acme:error:{code}"),
            detail: "the terms have changed".to_owned(),
            instance: page.map(str::to_owned),
            terms_of_service: terms.map(str::to_owned),
            ..Problem::default()
        };
        let (operation, problem) = (Operation::NewOrder, Box::new(problem));
        let error = AcmeError::Problem { operation, status: 403, problem, retry_after: None };
        words(&error).strip_prefix(&error.to_string()).map(str::to_owned)
    };
    let (terms, page) = (Some("https://ca.test/terms"), Some("https://ca.test/agree"));
    let (at, visit) =
        (". The terms of service are at https://ca.test/terms", ". Visit https://ca.test/agree");
    assert_eq!(said("userActionRequired", terms, page), Some(format!("{at}{visit}")));
    assert_eq!(said("userActionRequired", terms, None).as_deref(), Some(at));
    assert_eq!(said("userActionRequired", None, page).as_deref(), Some(visit));
    assert_eq!(
        said("unauthorized", terms, page).as_deref(),
        Some(""),
        "what else has an instance is no page"
    );
}
