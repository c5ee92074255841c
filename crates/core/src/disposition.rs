//! What happens next after an error of the CA.

use certwright_acme::{AcmeError, Operation};

/// What happens next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Disposition {
    /// The account cannot be used: the issuer is not ready, its Certificates wait, nothing is retried.
    AccountUnusable,
    /// The CA's operator, or a human with an account there, must act: the issuer is not ready, retried slowly.
    CaOperatorMustAct,
    /// The CA does not allow what this Certificate requests: it fails, and is retried slowly or when its spec changes.
    NotAllowed,
    /// Too many requests: wait as long as Retry-After says, or back off.
    TooFast,
    /// The CA failed temporarily, or could not be reached: back off, then continue with the same order while it is valid.
    Stumbled,
    /// The order is gone, or can no longer succeed: back off, then place a new one.
    OrderLost,
    /// The CA could not validate a name: back off, then place a new order.
    ValidationFailed,
}

/// What the failed call was about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    /// The directory or newNonce: neither an account nor an order is affected.
    Server,
    /// newAccount, or a request to the account's URL.
    Account,
    /// newOrder, or a request to the URL of an order, authorization, challenge or certificate.
    Order,
}

/// An error code of a CA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code {
    /// As in [`certwright_acme::Problem::code`].
    pub code: &'static str,
    /// The reason that conditions, events and metrics have for it.
    pub reason: &'static str,
    /// What happens next; `None` if that depends on the HTTP status.
    pub next: Option<Disposition>,
}

/// One line per code. The codes in capitals are Certigna's, and are used as reasons unchanged; the others are the types of RFC
/// 8555 section 6.7, RFC 8739 and the profiles draft, and are capitalized as reasons.
const CODES: &[Code] = {
    use Disposition::*;
    const fn code(code: &'static str, reason: &'static str, next: Disposition) -> Code {
        Code { code, reason, next: Some(next) }
    }
    const fn word(word: &'static str, next: Disposition) -> Code {
        code(word, word, next)
    }
    const fn by_status(code: &'static str, reason: &'static str) -> Code {
        Code { code, reason, next: None }
    }
    &[
        word("DEACTIVATED_ACCOUNT", AccountUnusable),
        word("REVOKED_ACCOUNT", AccountUnusable),
        word("EXPIRED_ACCOUNT", AccountUnusable),
        word("DEACTIVATED_EXTERNAL_ACCOUNT", AccountUnusable),
        word("REVOKED_EXTERNAL_ACCOUNT", AccountUnusable),
        word("EXPIRED_EXTERNAL_ACCOUNT", AccountUnusable),
        word("EXTERNAL_ACCOUNT_NOT_FOUND", AccountUnusable),
        word("BAD_SIGNATURE", AccountUnusable),
        code("accountDoesNotExist", "AccountDoesNotExist", AccountUnusable),
        word("PENDING_EXTERNAL_ACCOUNT", CaOperatorMustAct),
        word("SUSPENDED_ACCOUNT", CaOperatorMustAct),
        word("SUSPENDED_EXTERNAL_ACCOUNT", CaOperatorMustAct),
        word("NO_DOCUMENT_FORM_FOUND", CaOperatorMustAct),
        word("NO_VALID_ORGANIZATION_DOCUMENT_FOUND", CaOperatorMustAct),
        word("ORGANIZATION_IS_NOT_VALID", CaOperatorMustAct),
        word("OUT_OF_CREDIT", CaOperatorMustAct),
        code("externalAccountRequired", "ExternalAccountRequired", CaOperatorMustAct),
        code("userActionRequired", "UserActionRequired", CaOperatorMustAct),
        word("DOMAIN_NOT_ASSOCIATED", NotAllowed),
        word("DOMAIN_NOT_FOUND", NotAllowed),
        word("UNAUTHORIZED_DOMAIN", NotAllowed),
        word("INVALID_DOMAIN", NotAllowed),
        word("INVALID_DOMAIN_FOR_WILDCARD_PROFILE", NotAllowed),
        word("INVALID_PROFILE_FOR_WILDCARD", NotAllowed),
        word("NOT_SAME_ORGANIZATION", NotAllowed),
        word("INVALID_DNSCAA", NotAllowed),
        code("caa", "CAA", NotAllowed),
        code("rejectedIdentifier", "RejectedIdentifier", NotAllowed),
        code("unsupportedIdentifier", "UnsupportedIdentifier", NotAllowed),
        code("badCSR", "BadCSR", NotAllowed),
        code("badPublicKey", "BadPublicKey", NotAllowed),
        code("invalidProfile", "InvalidProfile", NotAllowed),
        word("RATE_LIMITED", TooFast),
        code("rateLimited", "RateLimited", TooFast),
        word("ACME_ORDER_NOT_READ", Stumbled),
        word("ACME_REQUEST_NOT_FOUND", Stumbled),
        word("ACME_ORDER_FINALIZE_ERROR", Stumbled),
        word("ACME_CA_ERROR", Stumbled),
        word("ACME_OTHER_ERROR", Stumbled),
        word("ACME_DEACTIVATED", Stumbled),
        code("serverInternal", "ServerInternal", Stumbled),
        code("badNonce", "BadNonce", Stumbled),
        code("orderNotReady", "OrderNotReady", Stumbled),
        by_status("unauthorized", "Unauthorized"),
        by_status("malformed", "Malformed"),
        by_status("badSignatureAlgorithm", "BadSignatureAlgorithm"),
        by_status("invalidContact", "InvalidContact"),
        by_status("unsupportedContact", "UnsupportedContact"),
        by_status("connection", "Connection"),
        by_status("dns", "DNS"),
        by_status("incorrectResponse", "IncorrectResponse"),
        by_status("tls", "TLS"),
        by_status("compound", "Compound"),
    ]
};

/// What a call with this operation is about.
pub fn about(operation: Operation) -> About {
    match operation {
        Operation::Directory | Operation::NewNonce => About::Server,
        Operation::NewAccount
        | Operation::LookUpAccount
        | Operation::Account
        | Operation::UpdateAccount
        | Operation::DeactivateAccount
        | Operation::KeyChange => About::Account,
        Operation::NewOrder
        | Operation::Order
        | Operation::Authorization
        | Operation::Challenge
        | Operation::DeactivateAuthorization
        | Operation::Finalize
        | Operation::Certificate
        | Operation::RenewalInfo
        | Operation::RevokeCertificate => About::Order,
    }
}

/// What happens next after an error with the short `code` (see [`certwright_acme::Problem::code`]) and the HTTP `status`.
pub fn disposition(code: &str, status: Option<u16>, about: About) -> Disposition {
    use Disposition::*;
    if let Some(known) = known(code).and_then(|known| known.next) {
        return known;
    }
    match (status, about) {
        (_, About::Account) if code == "unauthorized" => AccountUnusable,
        (Some(429), _) => TooFast,
        (Some(408), _) | (_, About::Server) => Stumbled,
        (Some(400..=499), About::Account) => CaOperatorMustAct,
        (Some(400..=499), About::Order) => OrderLost,
        _ => Stumbled,
    }
}

/// What happens next after an answer that is not accepted, because it is too long or contains something that must not be used.
/// This may be temporary if the call was about the CA or the account; an order is not read again.
pub fn of_unacceptable(about: About) -> Disposition {
    match about {
        About::Server | About::Account => Disposition::Stumbled,
        About::Order => Disposition::OrderLost,
    }
}

/// The reason that conditions, events and metrics have for a CA's `code`; `None` for an unknown code.
pub fn reason(code: &str) -> Option<&'static str> {
    known(code).map(|known| known.reason)
}

/// All codes that are known.
pub fn codes() -> &'static [Code] {
    CODES
}

fn known(code: &str) -> Option<&'static Code> {
    CODES.iter().find(|known| known.code == code)
}

/// What happens next after the problem, with the short `code`, that made a challenge or an order invalid.
pub fn of_invalid(code: &str) -> Disposition {
    match disposition(code, None, About::Order) {
        Disposition::Stumbled => Disposition::ValidationFailed,
        known => known,
    }
}

/// The CA's error; with the terms of service to accept, and the page that explains how (RFC 8555 section 7.3.3), if the CA
/// gives them.
pub fn words(error: &AcmeError) -> String {
    let mut words = error.to_string();
    let Some(problem) = error.problem().filter(|_| error.code() == "userActionRequired") else {
        return words;
    };
    if let Some(terms) = &problem.terms_of_service {
        words.push_str(&format!(". The terms of service are at {terms}"));
    }
    if let Some(page) = &problem.instance {
        words.push_str(&format!(". Visit {page}"));
    }
    words
}

#[cfg(test)]
mod tests;
