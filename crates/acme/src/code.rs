//! The error codes of CAs.

/// An error code of a CA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code {
    /// The code, as in [`Problem::code`](crate::Problem::code).
    pub code: &'static str,
    /// The code in CamelCase. A word in capitals stays as it is.
    pub name: &'static str,
    /// Who defines the code.
    pub source: Source,
    /// What the code means.
    pub class: Class,
}

/// Who defines a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// RFC 8555 section 6.7: any CA may send it.
    Rfc8555,
    /// The draft on profiles (draft-ietf-acme-profiles).
    Profiles,
    /// The ACME service of Certigna. It puts its codes into the type, the detail or a subproblem.
    Certigna,
}

/// What a code means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// The account cannot be used, and that does not change by itself.
    AccountUnusable,
    /// The CA's staff, or the owner of the account in the CA's portal, must act.
    CaMustAct,
    /// The CA does not allow what the order requests.
    NotAllowed,
    /// Too many requests.
    RateLimit,
    /// The CA failed temporarily.
    Temporary,
    /// The request that failed and the HTTP status determine what it means.
    DependsOnRequest,
}

/// All known codes. `alreadyRevoked` and `badRevocationReason` are not among them, since they only answer revocations.
pub const CODES: &[Code] = {
    use Class::*;
    const fn rfc8555(code: &'static str, name: &'static str, class: Class) -> Code {
        Code { code, name, source: Source::Rfc8555, class }
    }
    const fn certigna(code: &'static str, class: Class) -> Code {
        Code { code, name: code, source: Source::Certigna, class }
    }
    &[
        certigna("DEACTIVATED_ACCOUNT", AccountUnusable),
        certigna("REVOKED_ACCOUNT", AccountUnusable),
        certigna("EXPIRED_ACCOUNT", AccountUnusable),
        certigna("DEACTIVATED_EXTERNAL_ACCOUNT", AccountUnusable),
        certigna("REVOKED_EXTERNAL_ACCOUNT", AccountUnusable),
        certigna("EXPIRED_EXTERNAL_ACCOUNT", AccountUnusable),
        certigna("EXTERNAL_ACCOUNT_NOT_FOUND", AccountUnusable),
        certigna("BAD_SIGNATURE", AccountUnusable),
        rfc8555("accountDoesNotExist", "AccountDoesNotExist", AccountUnusable),
        certigna("PENDING_EXTERNAL_ACCOUNT", CaMustAct),
        certigna("SUSPENDED_ACCOUNT", CaMustAct),
        certigna("SUSPENDED_EXTERNAL_ACCOUNT", CaMustAct),
        certigna("NO_DOCUMENT_FORM_FOUND", CaMustAct),
        certigna("NO_VALID_ORGANIZATION_DOCUMENT_FOUND", CaMustAct),
        certigna("ORGANIZATION_IS_NOT_VALID", CaMustAct),
        certigna("OUT_OF_CREDIT", CaMustAct),
        rfc8555("externalAccountRequired", "ExternalAccountRequired", CaMustAct),
        rfc8555("userActionRequired", "UserActionRequired", CaMustAct),
        certigna("DOMAIN_NOT_ASSOCIATED", NotAllowed),
        certigna("DOMAIN_NOT_FOUND", NotAllowed),
        certigna("UNAUTHORIZED_DOMAIN", NotAllowed),
        certigna("INVALID_DOMAIN", NotAllowed),
        certigna("INVALID_DOMAIN_FOR_WILDCARD_PROFILE", NotAllowed),
        certigna("INVALID_PROFILE_FOR_WILDCARD", NotAllowed),
        certigna("NOT_SAME_ORGANIZATION", NotAllowed),
        certigna("INVALID_DNSCAA", NotAllowed),
        rfc8555("caa", "CAA", NotAllowed),
        rfc8555("rejectedIdentifier", "RejectedIdentifier", NotAllowed),
        rfc8555("unsupportedIdentifier", "UnsupportedIdentifier", NotAllowed),
        rfc8555("badCSR", "BadCSR", NotAllowed),
        rfc8555("badPublicKey", "BadPublicKey", NotAllowed),
        Code { code: "invalidProfile", name: "InvalidProfile", source: Source::Profiles, class: NotAllowed },
        certigna("RATE_LIMITED", RateLimit),
        rfc8555("rateLimited", "RateLimited", RateLimit),
        certigna("ACME_ORDER_NOT_READ", Temporary),
        certigna("ACME_REQUEST_NOT_FOUND", Temporary),
        certigna("ACME_ORDER_FINALIZE_ERROR", Temporary),
        certigna("ACME_CA_ERROR", Temporary),
        certigna("ACME_OTHER_ERROR", Temporary),
        certigna("ACME_DEACTIVATED", Temporary),
        rfc8555("serverInternal", "ServerInternal", Temporary),
        rfc8555("badNonce", "BadNonce", Temporary),
        rfc8555("orderNotReady", "OrderNotReady", Temporary),
        rfc8555("unauthorized", "Unauthorized", DependsOnRequest),
        rfc8555("malformed", "Malformed", DependsOnRequest),
        rfc8555("badSignatureAlgorithm", "BadSignatureAlgorithm", DependsOnRequest),
        rfc8555("invalidContact", "InvalidContact", DependsOnRequest),
        rfc8555("unsupportedContact", "UnsupportedContact", DependsOnRequest),
        rfc8555("connection", "Connection", DependsOnRequest),
        rfc8555("dns", "DNS", DependsOnRequest),
        rfc8555("incorrectResponse", "IncorrectResponse", DependsOnRequest),
        rfc8555("tls", "TLS", DependsOnRequest),
        rfc8555("compound", "Compound", DependsOnRequest),
    ]
};

impl Code {
    /// The known code that is spelled like this.
    #[must_use]
    pub fn find(code: &str) -> Option<&'static Self> {
        CODES.iter().find(|known| known.code == code)
    }

    /// The first whole word of `text` that is a CA's own code: `INVALID_DOMAIN_NAMES` does not contain `INVALID_DOMAIN`.
    pub(crate) fn find_word(text: &str) -> Option<&'static Self> {
        text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
            .find_map(|word| Self::find(word).filter(|code| code.source == Source::Certigna))
    }
}
