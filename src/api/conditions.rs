//! Condition types and reasons. A reason is a constant that scripts may compare; its message is for people.

/// Is the object in the state that its spec asks for?
pub const CONDITION_READY: &str = "Ready";
/// On a Certificate: is an issuance under way?
pub const CONDITION_ISSUING: &str = "Issuing";

/// Reasons of the `Ready` condition of an Issuer or ClusterIssuer.
pub mod issuer_reason {
    /// The account exists and can be used.
    pub const ACCOUNT_REGISTERED: &str = "AccountRegistered";
    /// The CA could not be reached, or stumbled; it is tried again.
    pub const CA_UNAVAILABLE: &str = "CAUnavailable";
    /// A Secret that the spec names does not exist.
    pub const SECRET_NOT_FOUND: &str = "SecretNotFound";
    /// A Secret that the spec names has no such key.
    pub const SECRET_KEY_NOT_FOUND: &str = "SecretKeyNotFound";
    /// The account key Secret holds something that is not a usable private key.
    pub const INVALID_ACCOUNT_KEY: &str = "InvalidAccountKey";
    /// The MAC key of the external account is not base64.
    pub const INVALID_MAC_KEY: &str = "InvalidMACKey";
    /// The CA demands an external account binding and the spec has none.
    pub const EXTERNAL_ACCOUNT_REQUIRED: &str = "ExternalAccountRequired";
    /// The CA demands that a human agrees to its terms of service.
    pub const USER_ACTION_REQUIRED: &str = "UserActionRequired";
    /// The spec cannot be used; the message says which field and why.
    pub const INVALID_SPEC: &str = "InvalidSpec";
    /// The CA refused the account; the message has its words. Not retried until something changes.
    pub const ACCOUNT_UNUSABLE: &str = "AccountUnusable";
    /// The CA refused the registration; the message has its words.
    pub const REGISTRATION_REFUSED: &str = "RegistrationRefused";
    /// The CA wants fewer requests; nothing is sent before the time that the message gives.
    pub const RATE_LIMITED: &str = "RateLimited";
}

/// Reasons of the conditions of a Certificate.
pub mod certificate_reason {
    /// The Secret holds a valid certificate as the spec asks for.
    pub const READY: &str = "Ready";
    /// No Secret of that name exists.
    pub const SECRET_MISSING: &str = "SecretMissing";
    /// The Secret lacks `tls.crt` or `tls.key`, or they cannot be read.
    pub const SECRET_INVALID: &str = "SecretInvalid";
    /// The private key in the Secret is not that of the certificate beside it.
    pub const KEY_MISMATCH: &str = "KeyMismatch";
    /// The certificate has other names than the spec.
    pub const NAMES_CHANGED: &str = "NamesChanged";
    /// The private key has another algorithm or size than the spec.
    pub const KEY_ALGORITHM_CHANGED: &str = "KeyAlgorithmChanged";
    /// The certificate came from another issuer than the spec names.
    pub const ISSUER_CHANGED: &str = "IssuerChanged";
    /// The certificate has expired.
    pub const EXPIRED: &str = "Expired";
    /// The renewal time has come.
    pub const RENEWAL_DUE: &str = "RenewalDue";
    /// A human asked for a renewal.
    pub const RENEWAL_REQUESTED: &str = "RenewalRequested";
    /// The Secret belongs to somebody else and is left alone.
    pub const SECRET_NOT_OURS: &str = "SecretNotOurs";
    /// Another Certificate has the same `secretName` and the older claim.
    pub const SECRET_CLAIMED: &str = "SecretClaimed";
    /// The spec cannot be honoured; the message says which field and why.
    pub const INVALID_SPEC: &str = "InvalidSpec";
    /// The Issuer or ClusterIssuer does not exist.
    pub const ISSUER_NOT_FOUND: &str = "IssuerNotFound";
    /// The Issuer or ClusterIssuer is not ready.
    pub const ISSUER_NOT_READY: &str = "IssuerNotReady";
    /// The issuer has as many orders under way as it may; this one waits for a free place.
    pub const QUEUED: &str = "Queued";
    /// No solver of the issuer can prove control of a name.
    pub const NO_SOLVER: &str = "NoSolver";
    /// The order is being prepared: a private key, the order, its authorizations.
    pub const ORDERING: &str = "Ordering";
    /// Challenges are presented; the self-check does not see them yet.
    pub const SELF_CHECK: &str = "WaitingForSelfCheck";
    /// Challenges were answered; the CA is validating them.
    pub const VALIDATING: &str = "Validating";
    /// The CA is making the certificate.
    pub const FINALIZING: &str = "Finalizing";
    /// The issuance failed; the message has the CA's words and what to do.
    pub const FAILED: &str = "Failed";
    /// The CA could not be reached, or stumbled; the same order goes on later.
    pub const CA_UNAVAILABLE: &str = "CAUnavailable";
    /// The CA wants fewer requests.
    pub const RATE_LIMITED: &str = "RateLimited";
    /// The CA sent a certificate that does not fit and was not stored.
    pub const CERTIFICATE_REFUSED: &str = "CertificateRefused";
    /// The API server refused to present a challenge.
    pub const PRESENT_FAILED: &str = "PresentFailed";
    /// Nothing is under way.
    pub const ISSUED: &str = "Issued";
}
