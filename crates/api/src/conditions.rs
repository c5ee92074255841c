//! Condition types and reasons. A reason is a constant that programs may rely on; the message is for people.

/// Does the object match its spec?
pub const CONDITION_READY: &str = "Ready";
/// Present only while the object is not `Ready` and the operator is working on it (kstatus).
pub const CONDITION_RECONCILING: &str = "Reconciling";
/// Present only while the object is not `Ready` and a user must act (kstatus).
pub const CONDITION_STALLED: &str = "Stalled";
/// On an issuer, if its annotation requests a deactivation: is the account deactivated?
pub const CONDITION_ACCOUNT_DEACTIVATED: &str = "AccountDeactivated";
/// On an issuer, if its annotation requests a rebinding: is the account bound anew?
pub const CONDITION_ACCOUNT_REBOUND: &str = "AccountRebound";
/// On a Certificate: is an issuance in progress?
pub const CONDITION_ISSUING: &str = "Issuing";
/// On a Certificate: did the last revocation succeed? Absent if there was none.
pub const CONDITION_REVOCATION: &str = "Revocation";
/// On a Certificate: has the CA revoked its certificate without being asked by the operator? Absent if not.
pub const CONDITION_REVOKED: &str = "Revoked";

/// On an Issuer or ClusterIssuer: did the last rollover of the account key succeed?
pub const CONDITION_KEY_ROLLOVER: &str = "KeyRollover";

/// On a Certificate with `renewal.windows`: does its renewal start within a window?
pub const CONDITION_RENEWAL_WINDOW: &str = "RenewalWindow";

/// On an issuer with `authorizations`: are all of them valid?
pub const CONDITION_AUTHORIZATIONS_KEPT: &str = "AuthorizationsKept";

/// Which fields of the spec have no effect? Absent if there are none.
pub const CONDITION_IGNORED_FIELDS: &str = "IgnoredFields";

/// On a Certificate whose `served.check` is true: do servers show the certificate in the Secret? Absent until that was checked.
pub const CONDITION_SERVED: &str = "Served";

/// Defines a constant for each reason, and a list of all reasons. `tests/it/documentation.rs` compares the list with the
/// documentation.
macro_rules! reasons {
    ($($(#[$meta:meta])* $name:ident = $reason:literal;)*) => {
        $($(#[$meta])* pub const $name: &str = $reason;)*

        /// All reasons.
        pub const ALL: &[&str] = &[$($name),*];
    };
}

/// Reasons of the conditions of an Issuer or ClusterIssuer.
pub mod issuer_reason {
    reasons! {
        /// The account exists and can be used.
        ACCOUNT_REGISTERED = "AccountRegistered";
        /// The CA could not be reached, or failed temporarily; the operator retries.
        CA_UNAVAILABLE = "CAUnavailable";
        /// A Secret named in the spec does not exist.
        SECRET_NOT_FOUND = "SecretNotFound";
        /// A Secret named in the spec does not have the key.
        SECRET_KEY_NOT_FOUND = "SecretKeyNotFound";
        /// The account key Secret contains something that is not a valid account key.
        INVALID_ACCOUNT_KEY = "InvalidAccountKey";
        /// The MAC key of the external account is not base64.
        INVALID_MAC_KEY = "InvalidMACKey";
        /// The Secret with the key id of the external account contains no valid key id.
        INVALID_KEY_ID = "InvalidKeyID";
        /// The CA requires external account binding, and the spec has none.
        EXTERNAL_ACCOUNT_REQUIRED = "ExternalAccountRequired";
        /// The CA requires a person to accept its terms of service.
        USER_ACTION_REQUIRED = "UserActionRequired";
        /// The spec cannot be used; the message says which field and why.
        INVALID_SPEC = "InvalidSpec";
        /// The CA rejected the account; the message quotes its error. The operator does not retry until something changes.
        ACCOUNT_UNUSABLE = "AccountUnusable";
        /// The CA rejected the registration; the message quotes its error.
        REGISTRATION_REFUSED = "RegistrationRefused";
        /// Rate limit of the CA; no request is sent before the time in the message.
        RATE_LIMITED = "RateLimited";
        /// The server's answer was larger than any CA needs, or contained something that must not be used.
        ANSWER_REFUSED = "AnswerRefused";
        /// The CA's terms of service differ from those the account agreed to. Events only.
        TERMS_OF_SERVICE_CHANGED = "TermsOfServiceChanged";
        /// The account is deactivated; no other account is registered unless a user requests it.
        DEACTIVATED = "Deactivated";
        /// The annotation that requests a deactivation does not name an account of this issuer.
        UNKNOWN_ACCOUNT = "UnknownAccount";
        /// An account with a new key replaces the one that was to be rebound.
        ACCOUNT_REBOUND = "AccountRebound";
        /// A rebinding is requested, and the spec has no external account.
        NO_EXTERNAL_ACCOUNT = "NoExternalAccount";
        /// A rebinding is requested, and too many previous accounts are still valid.
        TOO_MANY_ACCOUNTS = "TooManyAccounts";
        /// The request for a rebinding was withdrawn; the previous account is used again.
        REBINDING_WITHDRAWN = "RebindingWithdrawn";
        /// The issuer is deleted; its account is kept because another issuer uses it. Events only.
        ACCOUNT_RETAINED = "AccountRetained";
        /// The issuer is deleted; its account could not be deactivated. Events only.
        ACCOUNT_LEFT_BEHIND = "AccountLeftBehind";
        /// The account key was rolled over at the CA.
        KEY_ROLLED_OVER = "KeyRolledOver";
        /// The CA does not support key rollover.
        KEY_CHANGE_NOT_OFFERED = "KeyChangeNotOffered";
        /// The CA rejected the key rollover, or kept the old key.
        KEY_CHANGE_REFUSED = "KeyChangeRefused";
        /// The Secret with the account key belongs to something else, so the operator does not write a new key to it.
        ACCOUNT_KEY_NOT_OURS = "AccountKeyNotOurs";
        /// Another issuer uses the same account key Secret, and a new key would not suit it.
        ACCOUNT_KEY_SHARED = "AccountKeyShared";
        /// All authorizations in the spec are valid.
        AUTHORIZATIONS_VALID = "AuthorizationsValid";
        /// Control of a name is being proved for the first time.
        AUTHORIZATION_PENDING = "AuthorizationPending";
        /// The CA did not validate a name, or rejected the request; the message quotes its error. The operator retries.
        AUTHORIZATION_FAILED = "AuthorizationFailed";
        /// An authorization has expired, and could not be renewed; the message says why. The operator retries.
        AUTHORIZATION_EXPIRED = "AuthorizationExpired";
        /// The CA does not offer pre-authorization.
        PRE_AUTHORIZATION_NOT_OFFERED = "PreAuthorizationNotOffered";
        /// No dns-01 solver of the issuer matches a name in `authorizations`.
        NO_DNS01_SOLVER = "NoDNS01Solver";
        /// Fields of the spec have no effect; the message lists them. The issuer works as if they were not there.
        NO_EFFECT = "NoEffect";
    }
}

/// Reasons of the conditions of a Certificate, and of its issuances in metrics.
pub mod certificate_reason {
    reasons! {
        /// The Secret contains a valid certificate that matches the spec.
        READY = "Ready";
        /// The Secret does not exist.
        SECRET_MISSING = "SecretMissing";
        /// The Secret lacks `tls.crt` or `tls.key`, or they cannot be read.
        SECRET_INVALID = "SecretInvalid";
        /// The private key in the Secret does not match the certificate.
        KEY_MISMATCH = "KeyMismatch";
        /// The names of the certificate differ from the spec.
        NAMES_CHANGED = "NamesChanged";
        /// The algorithm or size of the private key differs from the spec.
        KEY_ALGORITHM_CHANGED = "KeyAlgorithmChanged";
        /// The certificate was issued by a different issuer than the one in the spec.
        ISSUER_CHANGED = "IssuerChanged";
        /// The certificate has expired.
        EXPIRED = "Expired";
        /// The renewal time is reached.
        RENEWAL_DUE = "RenewalDue";
        /// A user requested a renewal.
        RENEWAL_REQUESTED = "RenewalRequested";
        /// The Secret belongs to something else and is not changed.
        SECRET_NOT_OURS = "SecretNotOurs";
        /// Another Certificate with the same `secretName` has an older claim to the Secret.
        SECRET_CLAIMED = "SecretClaimed";
        /// A Certificate of cert-manager manages the Secret; the operator does not change it until that ends.
        KEPT_BY_CERT_MANAGER = "KeptByCertManager";
        /// The spec cannot be used; the message says which field and why.
        INVALID_SPEC = "InvalidSpec";
        /// A part of the status cannot be read and is ignored. Events only, also on issuers.
        INVALID_STATUS = "InvalidStatus";
        /// The Issuer or ClusterIssuer does not exist.
        ISSUER_NOT_FOUND = "IssuerNotFound";
        /// The Issuer or ClusterIssuer is not ready.
        ISSUER_NOT_READY = "IssuerNotReady";
        /// The ClusterIssuer does not allow this Certificate's namespace or names.
        NOT_ALLOWED = "NotAllowed";
        /// The issuer has reached its maximum number of concurrent orders; this one waits.
        QUEUED = "Queued";
        /// The Secret with the password of a keystore does not exist, or does not have the key.
        PASSWORD_NOT_FOUND = "PasswordNotFound";
        /// No solver of the issuer can prove control of a name.
        NO_SOLVER = "NoSolver";
        /// The order is being prepared: the private key, the order, and its authorizations.
        ORDERING = "Ordering";
        /// The responses to challenges could not be presented; the operator retries.
        PRESENTING = "WaitingForSolver";
        /// TXT records were added; name servers do not return them yet.
        PROPAGATION = "WaitingForPropagation";
        /// A TXT record for dns-persist-01 is not there, or does not prove control; you have to set it.
        PERSISTENT_RECORD = "WaitingForRecord";
        /// Challenges are presented; the self-check does not succeed yet.
        SELF_CHECK = "WaitingForSelfCheck";
        /// The CA is validating the challenges.
        VALIDATING = "Validating";
        /// The CA is issuing the certificate.
        FINALIZING = "Finalizing";
        /// The issuance failed; the message quotes the CA's error and says what to do.
        FAILED = "Failed";
        /// The CA could not be reached, or failed temporarily; the operator continues with the same order later.
        CA_UNAVAILABLE = "CAUnavailable";
        /// Rate limit of the CA.
        RATE_LIMITED = "RateLimited";
        /// The CA's answer was larger than any CA needs, or about something that was not requested; the order is abandoned.
        ANSWER_REFUSED = "AnswerRefused";
        /// The CA sent a certificate that does not match the request; it was not stored.
        CERTIFICATE_REFUSED = "CertificateRefused";
        /// Duplicate certificates were issued repeatedly because the Secret was lost each time; the next one is ordered later.
        DUPLICATE_CERTIFICATES = "DuplicateCertificates";
        /// The certificate is due for renewal, or was revoked again by the CA, so soon after it was ordered that the next order waits.
        ISSUED_RECENTLY = "IssuedRecently";
        /// The Secret was lost, and was restored with the certificate that it contained. Events only.
        SECRET_RESTORED = "SecretRestored";
        /// The CA offers no chain with the issuer in `preferredChain`. Events only.
        PREFERRED_CHAIN_NOT_OFFERED = "PreferredChainNotOffered";
        /// There are so many TXT records at one name that a CA may not read all of them. Events only.
        MANY_TXT_RECORDS = "ManyTxtRecords";
        /// A TXT record for dns-persist-01 ends before the certificate does.
        RECORD_ENDS = "RecordEnds";
        /// A TXT record could not be removed and is left behind. Events only.
        RECORD_LEFT_BEHIND = "RecordLeftBehind";
        /// The status contained an entry that this operator did not write; the operator does not act on it. Events only.
        UNVERIFIED_STATUS = "UnverifiedStatus";
        /// The renewal starts within a window in the spec.
        WITHIN_WINDOW = "WithinWindow";
        /// No window in the spec opens in time; the renewal starts outside the windows.
        NO_WINDOW_IN_TIME = "NoWindowInTime";
        /// The CA wants the certificate replaced before a window opens; the renewal starts outside the windows.
        CA_INSISTS = "CAInsists";
        /// The windows in the spec are invalid and are ignored.
        INVALID_WINDOW = "InvalidWindow";
        /// No issuance is in progress.
        ISSUED = "Issued";
        /// The CA has revoked the certificate.
        REVOKED = "Revoked";
        /// The certificate could not be revoked; the operator retries.
        REVOCATION_FAILED = "RevocationFailed";
        /// The certificate could not be revoked, and the operator does not retry.
        REVOCATION_GIVEN_UP = "RevocationGivenUp";
        /// The annotation that requests a revocation has an unknown reason.
        INVALID_REVOCATION_REASON = "InvalidRevocationReason";
        /// A revocation was requested, but there is no certificate.
        NOTHING_TO_REVOKE = "NothingToRevoke";
        /// The CA has revoked the certificate without being asked by the operator. Events only.
        REVOKED_BY_CA = "RevokedByCA";
        /// The CA has revoked the certificate, and gives no reason.
        UNSPECIFIED = "Unspecified";
        /// The CA has revoked the certificate: its private key is compromised.
        KEY_COMPROMISE = "KeyCompromise";
        /// The CA has revoked the certificate: the CA's private key is compromised.
        CA_COMPROMISE = "CACompromise";
        /// The CA has revoked the certificate: the subject's name or organization has changed.
        AFFILIATION_CHANGED = "AffiliationChanged";
        /// The CA has revoked the certificate: another one has replaced it.
        SUPERSEDED = "Superseded";
        /// The CA has revoked the certificate: the service it was for no longer exists.
        CESSATION_OF_OPERATION = "CessationOfOperation";
        /// The CA has suspended the certificate.
        CERTIFICATE_HOLD = "CertificateHold";
        /// The CA has revoked the certificate: the subject is no longer entitled to it.
        PRIVILEGE_WITHDRAWN = "PrivilegeWithdrawn";
        /// The CA has revoked the certificate: the attribute authority is compromised.
        AA_COMPROMISE = "AACompromise";
        /// The certificate is for another private key than `spec.csr`.
        CSR_CHANGED = "CSRChanged";
        /// The issuer in use cannot issue, so another one of the spec is tried. Events only.
        FALLING_BACK = "FallingBack";
        /// A validation failed, so the next attempts go to the rehearsal issuer. Events only.
        REHEARSING = "Rehearsing";
        /// The rehearsal succeeded, so the first issuer is asked again. Events only.
        REHEARSED = "Rehearsed";
        /// The rehearsal issuer cannot be used, so the first issuer is asked again. Events only.
        REHEARSAL_SKIPPED = "RehearsalSkipped";
        /// `certwright-dns`, which the solver needs, is not installed, does not answer, or may not be called; the operator retries.
        DNS_WEBHOOK_UNAVAILABLE = "DNSWebhookUnavailable";
        /// Fields of the spec have no effect; the message lists them. The certificate is issued as if they were not there.
        NO_EFFECT = "NoEffect";
        /// Every server that was asked shows the certificate in the Secret.
        SERVED = "Served";
        /// A server shows an older certificate for the name than the one in the Secret.
        OLD_CERTIFICATE_SERVED = "OldCertificateServed";
        /// A server shows a certificate that is neither the one in the Secret nor an older one for the name.
        OTHER_CERTIFICATE_SERVED = "OtherCertificateServed";
        /// The certificate in the Secret has changed, and it was not checked yet whether it is served.
        SERVED_NOT_CHECKED = "ServedNotChecked";
        /// The operator cannot connect to a server, or there was no TLS handshake with it.
        SERVER_NOT_REACHED = "ServerNotReached";
        /// The operator may not connect to the port or to the addresses.
        SERVER_NOT_ALLOWED = "ServerNotAllowed";
        /// The certificate has no name that can be checked.
        NO_NAME_TO_CHECK = "NoNameToCheck";
    }
}

/// Reasons of events on an Ingress or a Gateway whose annotations request Certificates.
pub mod annotated_reason {
    reasons! {
        /// A Certificate was created.
        CERTIFICATE_CREATED = "CertificateCreated";
        /// A Certificate was updated.
        CERTIFICATE_UPDATED = "CertificateUpdated";
        /// A Certificate is no longer requested and was deleted.
        CERTIFICATE_DELETED = "CertificateDeleted";
        /// No annotation names an issuer any more. The Certificate stays.
        CERTIFICATE_KEPT = "CertificateKept";
        /// An annotation has an invalid value. Nothing is changed until it is corrected.
        INVALID_ANNOTATION = "InvalidAnnotation";
        /// An annotation has no effect.
        ANNOTATION_NOT_USED = "AnnotationNotUsed";
        /// A TLS block or listener has no host or no Secret, or a Secret that must not be filled.
        TLS_SKIPPED = "TLSSkipped";
        /// A Certificate with the name exists, but was not created from this object.
        CERTIFICATE_NOT_OURS = "CertificateNotOurs";
        /// The API server rejects the Certificate.
        CERTIFICATE_NOT_WRITTEN = "CertificateNotWritten";
        /// The object cannot be read. Certificates created from it remain unchanged.
        INVALID_SPEC = "InvalidSpec";
    }
}

/// Reasons of the condition `Failed` and of events of a Kubernetes CertificateSigningRequest.
pub mod signing_request_reason {
    reasons! {
        /// The certificate was issued.
        CERTIFICATE_ISSUED = "CertificateIssued";
        /// The signer name is not that of an issuer.
        INVALID_SIGNER_NAME = "InvalidSignerName";
        /// The certificate signing request cannot be used.
        INVALID_REQUEST = "InvalidRequest";
        /// A certificate for one of the usages cannot be issued.
        USAGE_NOT_SUPPORTED = "UsageNotSupported";
        /// The user who created the request may not use the Issuer.
        REFERENCE_DENIED = "ReferenceDenied";
        /// The issuer does not allow the request.
        NOT_ALLOWED = "NotAllowed";
        /// The issuer does not exist yet. Events only.
        ISSUER_NOT_FOUND = "IssuerNotFound";
        /// The Certificate for the request could not be created. Events only.
        CERTIFICATE_NOT_WRITTEN = "CertificateNotWritten";
    }
}
