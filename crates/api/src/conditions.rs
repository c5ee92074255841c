//! Condition types and reasons. A reason is a constant that scripts may compare; its message is for people.

/// Is the object in the state that its spec asks for?
pub const CONDITION_READY: &str = "Ready";
/// There while the object is not `Ready` and the operator works on that; not there otherwise (kstatus).
pub const CONDITION_RECONCILING: &str = "Reconciling";
/// There while the object is not `Ready` and will not be unless a human does something; not there otherwise (kstatus).
pub const CONDITION_STALLED: &str = "Stalled";
/// On an issuer, if a human asks for it by annotation: is the account deactivated?
pub const CONDITION_ACCOUNT_DEACTIVATED: &str = "AccountDeactivated";
/// On a Certificate: is an issuance under way?
pub const CONDITION_ISSUING: &str = "Issuing";
/// On a Certificate: is the certificate revoked that was to be revoked last? Not there while none was.
pub const CONDITION_REVOCATION: &str = "Revocation";

/// On an Issuer or ClusterIssuer: was the account key changed when it last should be?
pub const CONDITION_KEY_ROLLOVER: &str = "KeyRollover";

/// On a Certificate with `renewal.windows`: does its renewal begin within one of them?
pub const CONDITION_RENEWAL_WINDOW: &str = "RenewalWindow";

/// Makes a constant of each reason, and a list of them all, which `tests/it/documentation.rs` compares with the documentation.
macro_rules! reasons {
    ($($(#[$meta:meta])* $name:ident = $reason:literal;)*) => {
        $($(#[$meta])* pub const $name: &str = $reason;)*

        /// All of them.
        pub const ALL: &[&str] = &[$($name),*];
    };
}

/// Reasons of the conditions of an Issuer or ClusterIssuer.
pub mod issuer_reason {
    reasons! {
        /// The account exists and can be used.
        ACCOUNT_REGISTERED = "AccountRegistered";
        /// The CA could not be reached, or stumbled; it is tried again.
        CA_UNAVAILABLE = "CAUnavailable";
        /// A Secret that the spec names does not exist.
        SECRET_NOT_FOUND = "SecretNotFound";
        /// A Secret that the spec names has no such key.
        SECRET_KEY_NOT_FOUND = "SecretKeyNotFound";
        /// The account key Secret holds something that is not a usable private key.
        INVALID_ACCOUNT_KEY = "InvalidAccountKey";
        /// The MAC key of the external account is not base64.
        INVALID_MAC_KEY = "InvalidMACKey";
        /// The Secret with the key id of the external account holds no key id.
        INVALID_KEY_ID = "InvalidKeyID";
        /// The CA demands an external account binding and the spec has none.
        EXTERNAL_ACCOUNT_REQUIRED = "ExternalAccountRequired";
        /// The CA demands that a human agrees to its terms of service.
        USER_ACTION_REQUIRED = "UserActionRequired";
        /// The spec cannot be used; the message says which field and why.
        INVALID_SPEC = "InvalidSpec";
        /// The CA refused the account; the message has its words. Not retried until something changes.
        ACCOUNT_UNUSABLE = "AccountUnusable";
        /// The CA refused the registration; the message has its words.
        REGISTRATION_REFUSED = "RegistrationRefused";
        /// The CA wants fewer requests; nothing is sent before the time that the message gives.
        RATE_LIMITED = "RateLimited";
        /// The server answered with more than any CA needs to send, or with what must not be used.
        ANSWER_REFUSED = "AnswerRefused";
        /// The CA has other terms of service than those that were agreed to. Of events only.
        TERMS_OF_SERVICE_CHANGED = "TermsOfServiceChanged";
        /// The account is deactivated, and no other is registered unless a human sees to it.
        DEACTIVATED = "Deactivated";
        /// The annotation that asks for a deactivation names no account of this issuer.
        UNKNOWN_ACCOUNT = "UnknownAccount";
        /// The issuer is deleted, and its account stays, since another issuer uses it. Of events only.
        ACCOUNT_RETAINED = "AccountRetained";
        /// The issuer is deleted, and its account could not be deactivated. Of events only.
        ACCOUNT_LEFT_BEHIND = "AccountLeftBehind";
        /// The account key was changed at the CA.
        KEY_ROLLED_OVER = "KeyRolledOver";
        /// The CA does not offer to change account keys.
        KEY_CHANGE_NOT_OFFERED = "KeyChangeNotOffered";
        /// The CA refused to change the account key, or kept the old one.
        KEY_CHANGE_REFUSED = "KeyChangeRefused";
        /// The Secret with the account key is somebody else's, so that no other key is put there.
        ACCOUNT_KEY_NOT_OURS = "AccountKeyNotOurs";
        /// Another issuer has the same account key Secret and would not go along with another key.
        ACCOUNT_KEY_SHARED = "AccountKeyShared";
    }
}

/// Reasons of the conditions of a Certificate, and of its issuances in metrics.
pub mod certificate_reason {
    reasons! {
        /// The Secret holds a valid certificate as the spec asks for.
        READY = "Ready";
        /// No Secret of that name exists.
        SECRET_MISSING = "SecretMissing";
        /// The Secret lacks `tls.crt` or `tls.key`, or they cannot be read.
        SECRET_INVALID = "SecretInvalid";
        /// The private key in the Secret is not that of the certificate beside it.
        KEY_MISMATCH = "KeyMismatch";
        /// The certificate has other names than the spec.
        NAMES_CHANGED = "NamesChanged";
        /// The private key has another algorithm or size than the spec.
        KEY_ALGORITHM_CHANGED = "KeyAlgorithmChanged";
        /// The certificate came from another issuer than the spec names.
        ISSUER_CHANGED = "IssuerChanged";
        /// The certificate has expired.
        EXPIRED = "Expired";
        /// The renewal time has come.
        RENEWAL_DUE = "RenewalDue";
        /// A human asked for a renewal.
        RENEWAL_REQUESTED = "RenewalRequested";
        /// The Secret belongs to somebody else and is left alone.
        SECRET_NOT_OURS = "SecretNotOurs";
        /// Another Certificate has the same `secretName` and the older claim.
        SECRET_CLAIMED = "SecretClaimed";
        /// cert-manager has a Certificate that keeps the Secret, which is left alone as long as it does.
        KEPT_BY_CERT_MANAGER = "KeptByCertManager";
        /// The spec cannot be honoured; the message says which field and why.
        INVALID_SPEC = "InvalidSpec";
        /// A part of the status cannot be read, and is ignored. Of events only, also on issuers.
        INVALID_STATUS = "InvalidStatus";
        /// The Issuer or ClusterIssuer does not exist.
        ISSUER_NOT_FOUND = "IssuerNotFound";
        /// The Issuer or ClusterIssuer is not ready.
        ISSUER_NOT_READY = "IssuerNotReady";
        /// The ClusterIssuer does not allow this Certificate: not in this namespace, or not for these names.
        NOT_ALLOWED = "NotAllowed";
        /// The issuer has as many orders under way as it may; this one waits for a free place.
        QUEUED = "Queued";
        /// The Secret with the password of a keystore does not exist, or has no such key.
        PASSWORD_NOT_FOUND = "PasswordNotFound";
        /// No solver of the issuer can prove control of a name.
        NO_SOLVER = "NoSolver";
        /// The order is being prepared: a private key, the order, its authorizations.
        ORDERING = "Ordering";
        /// The answers to challenges could not be put where the CA looks; it is tried again.
        PRESENTING = "WaitingForSolver";
        /// TXT records are presented; name servers do not have them yet.
        PROPAGATION = "WaitingForPropagation";
        /// Challenges are presented; the self-check does not see them yet.
        SELF_CHECK = "WaitingForSelfCheck";
        /// Challenges were answered; the CA is validating them.
        VALIDATING = "Validating";
        /// The CA is making the certificate.
        FINALIZING = "Finalizing";
        /// The issuance failed; the message has the CA's words and what to do.
        FAILED = "Failed";
        /// The CA could not be reached, or stumbled; the same order goes on later.
        CA_UNAVAILABLE = "CAUnavailable";
        /// The CA wants fewer requests.
        RATE_LIMITED = "RateLimited";
        /// The CA answered with more than any CA needs to send, or about something that was not asked for; the order is
        /// given up.
        ANSWER_REFUSED = "AnswerRefused";
        /// The CA sent a certificate that does not fit and was not stored.
        CERTIFICATE_REFUSED = "CertificateRefused";
        /// Equal certificates were issued again and again, since the Secret was lost each time; the next one is ordered later.
        DUPLICATE_CERTIFICATES = "DuplicateCertificates";
        /// The certificate is due so soon after it was ordered that the next one waits.
        ISSUED_RECENTLY = "IssuedRecently";
        /// The Secret was lost, and was written again with the certificate that it had. Of events only.
        SECRET_RESTORED = "SecretRestored";
        /// The CA offers no chain with the issuer that `preferredChain` names. Of events only.
        PREFERRED_CHAIN_NOT_OFFERED = "PreferredChainNotOffered";
        /// A TXT record could not be removed, and is left behind. Of events only.
        RECORD_LEFT_BEHIND = "RecordLeftBehind";
        /// The status had something that this operator has not written, and nothing is done about it. Of events only.
        UNVERIFIED_STATUS = "UnverifiedStatus";
        /// The renewal begins within a window of the spec.
        WITHIN_WINDOW = "WithinWindow";
        /// No window of the spec opens before it is too late; the renewal begins outside of them.
        NO_WINDOW_IN_TIME = "NoWindowInTime";
        /// The CA wants the certificate replaced before a window of the spec opens; the renewal begins outside of them.
        CA_INSISTS = "CAInsists";
        /// The windows of the spec cannot be read, and are not followed.
        INVALID_WINDOW = "InvalidWindow";
        /// Nothing is under way.
        ISSUED = "Issued";
        /// The CA has revoked the certificate.
        REVOKED = "Revoked";
        /// The certificate could not be revoked; it is tried again.
        REVOCATION_FAILED = "RevocationFailed";
        /// The certificate could not be revoked, and that is not tried any more.
        REVOCATION_GIVEN_UP = "RevocationGivenUp";
        /// The annotation that asks for a revocation names no reason that there is.
        INVALID_REVOCATION_REASON = "InvalidRevocationReason";
        /// A revocation was asked for, and there is no certificate.
        NOTHING_TO_REVOKE = "NothingToRevoke";
    }
}

/// Reasons of the events on an Ingress or a Gateway whose annotations ask for Certificates.
pub mod annotated_reason {
    reasons! {
        /// A Certificate was made.
        CERTIFICATE_CREATED = "CertificateCreated";
        /// A Certificate was changed.
        CERTIFICATE_UPDATED = "CertificateUpdated";
        /// A Certificate is asked for no more, and was deleted.
        CERTIFICATE_DELETED = "CertificateDeleted";
        /// An annotation has a value that cannot be used. Nothing is changed until it is mended.
        INVALID_ANNOTATION = "InvalidAnnotation";
        /// An annotation does nothing.
        ANNOTATION_NOT_USED = "AnnotationNotUsed";
        /// A TLS block or listener names no host or no Secret, or a Secret that may not be filled.
        TLS_SKIPPED = "TLSSkipped";
        /// A Certificate of the name exists, and was not made from this object.
        CERTIFICATE_NOT_OURS = "CertificateNotOurs";
        /// The API server refuses the Certificate.
        CERTIFICATE_NOT_WRITTEN = "CertificateNotWritten";
        /// The object cannot be read. What was made from it stays as it is.
        INVALID_SPEC = "InvalidSpec";
    }
}
