//! What a CA's refusal means for what happens next.

/// What happens next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Disposition {
    /// The account is unusable: the issuer is not ready, its Certificates wait, nothing is retried.
    AccountUnusable,
    /// The CA's operator, or a human with an account there, must act: the issuer is not ready, retried slowly.
    CaOperatorMustAct,
    /// This Certificate asks for what it may not have: it fails, retried slowly or when its spec changes.
    NotAllowed,
    /// Too fast: wait what Retry-After says, or back off.
    TooFast,
    /// The CA stumbled, or could not be reached: back off, then go on with the same order while it lives.
    Stumbled,
    /// The order is gone, or will never become a certificate: back off, then order anew.
    OrderLost,
    /// The proof of control was not seen: back off, then order anew.
    ValidationFailed,
}

/// Whether a refusal answers a call about the account or one about an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    /// newAccount, or a request to the account's URL.
    Account,
    /// newOrder, or a request to the URL of an order, authorization, challenge or certificate.
    Order,
}

/// What follows from a refusal with the short `code` (see [`crate::acme::Problem::code`]) and the HTTP `status`.
///
/// The words in capitals are Certigna's; the others are RFC 8555 section 6.7.
pub fn disposition(code: &str, status: Option<u16>, about: About) -> Disposition {
    use Disposition::*;
    match code {
        "DEACTIVATED_ACCOUNT"
        | "REVOKED_ACCOUNT"
        | "EXPIRED_ACCOUNT"
        | "DEACTIVATED_EXTERNAL_ACCOUNT"
        | "REVOKED_EXTERNAL_ACCOUNT"
        | "EXPIRED_EXTERNAL_ACCOUNT"
        | "EXTERNAL_ACCOUNT_NOT_FOUND"
        | "BAD_SIGNATURE"
        | "accountDoesNotExist" => AccountUnusable,
        "unauthorized" if about == About::Account => AccountUnusable,

        "PENDING_EXTERNAL_ACCOUNT"
        | "SUSPENDED_ACCOUNT"
        | "SUSPENDED_EXTERNAL_ACCOUNT"
        | "NO_DOCUMENT_FORM_FOUND"
        | "NO_VALID_ORGANIZATION_DOCUMENT_FOUND"
        | "ORGANIZATION_IS_NOT_VALID"
        | "OUT_OF_CREDIT"
        | "externalAccountRequired"
        | "userActionRequired" => CaOperatorMustAct,

        "DOMAIN_NOT_ASSOCIATED"
        | "DOMAIN_NOT_FOUND"
        | "UNAUTHORIZED_DOMAIN"
        | "INVALID_DOMAIN"
        | "INVALID_DOMAIN_FOR_WILDCARD_PROFILE"
        | "INVALID_PROFILE_FOR_WILDCARD"
        | "NOT_SAME_ORGANIZATION"
        | "INVALID_DNSCAA"
        | "caa"
        | "rejectedIdentifier"
        | "unsupportedIdentifier"
        | "badCSR"
        | "badPublicKey"
        | "invalidProfile" => NotAllowed,

        "RATE_LIMITED" | "rateLimited" | "paused" => TooFast,

        "ACME_ORDER_NOT_READ"
        | "ACME_REQUEST_NOT_FOUND"
        | "ACME_ORDER_FINALIZE_ERROR"
        | "ACME_CA_ERROR"
        | "ACME_OTHER_ERROR"
        | "ACME_DEACTIVATED"
        | "serverInternal"
        | "badNonce"
        | "orderNotReady" => Stumbled,

        _ => match (status, about) {
            (Some(429), _) => TooFast,
            (Some(408), _) => Stumbled,
            (Some(400..=499), About::Account) => CaOperatorMustAct,
            (Some(400..=499), About::Order) => OrderLost,
            _ => Stumbled,
        },
    }
}

/// What follows from the problem, with the short `code`, that made a challenge or an order invalid.
pub fn of_invalid(code: &str) -> Disposition {
    match disposition(code, None, About::Order) {
        Disposition::Stumbled => Disposition::ValidationFailed,
        known => known,
    }
}

#[cfg(test)]
mod tests;
