//! The table of all known codes.

use super::{Class, Code, Source};

/// All known codes. `alreadyRevoked` and `badRevocationReason` are not among them, since they only answer revocations.
pub const CODES: &[Code] = {
    use Class::*;
    &[
        certigna(
            "DEACTIVATED_ACCOUNT",
            AccountUnusable,
            "A deactivated account cannot be used again: create another one in the CA's portal, and \
             configure its key id and MAC key",
        ),
        certigna(
            "REVOKED_ACCOUNT",
            AccountUnusable,
            "A revoked account cannot be used again, and its certificates are revoked with it: create \
             another account in the CA's portal, and configure its key id and MAC key",
        ),
        certigna(
            "EXPIRED_ACCOUNT",
            CaMustAct,
            "Renew the account in the CA's portal; if the portal then shows another MAC key, configure \
             that",
        ),
        certigna(
            "DEACTIVATED_EXTERNAL_ACCOUNT",
            AccountUnusable,
            "This key id was deactivated for good: create another one in the CA's portal, and configure \
             it with its MAC key",
        ),
        certigna(
            "REVOKED_EXTERNAL_ACCOUNT",
            AccountUnusable,
            "Find out who revoked this key id, and why; then create another one in the CA's portal, and \
             configure it with its MAC key",
        ),
        certigna(
            "EXPIRED_EXTERNAL_ACCOUNT",
            CaMustAct,
            "Generate a new MAC key for this key id in the CA's portal, and configure it",
        ),
        certigna(
            "EXTERNAL_ACCOUNT_NOT_FOUND",
            AccountUnusable,
            "Compare the configured key id with the one in the CA's portal, and check that the server URL \
             belongs to the same environment, test or production",
        ),
        certigna(
            "BAD_SIGNATURE",
            AccountUnusable,
            "Check that the MAC key belongs to the configured key id, and that no other ACME client and \
             no other cluster uses the same account",
        ),
        rfc8555(
            "accountDoesNotExist",
            "AccountDoesNotExist",
            AccountUnusable,
            "Check that the server URL is that of the CA where the account was registered, and that the \
             account key is the one that it was registered with",
        ),
        certigna(
            "PENDING_EXTERNAL_ACCOUNT",
            CaMustAct,
            "Check in the CA's portal whether a document is missing or has expired; otherwise wait until \
             the CA's staff activates the account",
        ),
        certigna(
            "SUSPENDED_ACCOUNT",
            CaMustAct,
            "Find out why the account is suspended, from the CA's portal or its mails to the \
             administrator, and have it reactivated there",
        ),
        certigna(
            "SUSPENDED_EXTERNAL_ACCOUNT",
            CaMustAct,
            "Reactivate the key id in the CA's portal; if that is not possible there, ask the CA's \
             support",
        ),
        certigna(
            "NO_DOCUMENT_FORM_FOUND",
            CaMustAct,
            "Upload the missing form of your organization in the CA's portal, and wait for its approval",
        ),
        certigna(
            "NO_VALID_ORGANIZATION_DOCUMENT_FOUND",
            CaMustAct,
            "Upload a current document that proves your organization in the CA's portal, and wait for its \
             approval",
        ),
        certigna(
            "ORGANIZATION_IS_NOT_VALID",
            CaMustAct,
            "Check in the CA's portal what is missing for the validation of your organization, and \
             complete it there",
        ),
        certigna("OUT_OF_CREDIT", CaMustAct, "Buy credit in the CA's portal"),
        rfc8555(
            "externalAccountRequired",
            "ExternalAccountRequired",
            CaMustAct,
            "Get a key id and a MAC key from the CA, and configure them as the external account binding",
        ),
        rfc8555(
            "userActionRequired",
            "UserActionRequired",
            CaMustAct,
            "Do what the CA requires, usually accepting new terms of service, on the page that it names \
             or in its portal",
        ),
        certigna(
            "DOMAIN_NOT_ASSOCIATED",
            NotAllowed,
            "Add the domain to your account in the CA's portal; it must be approved there before the CA \
             issues certificates for it",
        ),
        certigna(
            "DOMAIN_NOT_FOUND",
            NotAllowed,
            "Check the spelling of the domain, and that your account in the CA's portal lists it",
        ),
        certigna(
            "UNAUTHORIZED_DOMAIN",
            NotAllowed,
            "Have the domain approved for your account in the CA's portal, or remove it from the \
             certificate",
        ),
        certigna(
            "INVALID_DOMAIN",
            NotAllowed,
            "Correct the name that the CA rejects, or remove it from the certificate",
        ),
        certigna(
            "INVALID_DOMAIN_FOR_WILDCARD_PROFILE",
            NotAllowed,
            "This account issues wildcard certificates only: request only names such as `*.example.com`, \
             or use another account",
        ),
        certigna(
            "INVALID_PROFILE_FOR_WILDCARD",
            NotAllowed,
            "This account issues no wildcard certificates: remove the wildcards, or use an account for \
             wildcards",
        ),
        certigna(
            "NOT_SAME_ORGANIZATION",
            NotAllowed,
            "Request the domains of each organization in a separate certificate",
        ),
        certigna(
            "INVALID_DNSCAA",
            NotAllowed,
            "Add a CAA record that allows the CA, such as `0 issue \"certigna.com\"`, to each domain that \
             has CAA records; wildcards need `issuewild` if there is any",
        ),
        rfc8555(
            "caa",
            "CAA",
            NotAllowed,
            "Add a CAA record that allows this CA, with the domain in the CA's documentation, to the zone \
             that the message names, or remove the records that forbid it",
        ),
        rfc8555(
            "rejectedIdentifier",
            "RejectedIdentifier",
            NotAllowed,
            "Remove the name that the CA rejects from the certificate, or ask the CA what its policy \
             requires",
        ),
        rfc8555(
            "unsupportedIdentifier",
            "UnsupportedIdentifier",
            NotAllowed,
            "Remove names of types that the CA does not issue certificates for, such as IP addresses, or \
             use another CA",
        ),
        rfc8555(
            "badCSR",
            "BadCSR",
            NotAllowed,
            "Choose a key algorithm, key size and names that the CA accepts; its documentation lists them",
        ),
        rfc8555(
            "badPublicKey",
            "BadPublicKey",
            NotAllowed,
            "Choose a key algorithm and size for the certificate that the CA accepts, such as RSA with \
             3072 bits",
        )
        .at_account(
            "Choose an algorithm and size for the account key that the CA accepts, such as RSA with 3072 \
             bits",
        ),
        profiles(
            "invalidProfile",
            "InvalidProfile",
            NotAllowed,
            "Choose a profile that the CA's directory lists for this account, or none",
        ),
        certigna(
            "RATE_LIMITED",
            RateLimit,
            "This ends by itself; if it happens often, request fewer certificates at a time, or ask the \
             CA for a higher limit",
        )
        .at_challenge(
            "The CA has checked the same challenge too often without success: correct what prevents it \
             from seeing the response before the next attempt, which gets another challenge",
        ),
        rfc8555(
            "rateLimited",
            "RateLimited",
            RateLimit,
            "This ends by itself; if it happens often, request fewer certificates for the same names, or \
             ask the CA for a higher limit",
        ),
        certigna(
            "ACME_ORDER_NOT_READ",
            Temporary,
            "If this lasts for more than a day, ask the CA's support why the order cannot be read, and \
             quote its URL",
        ),
        certigna(
            "ACME_REQUEST_NOT_FOUND",
            Temporary,
            "If this lasts for more than a day, ask the CA's support for the request of this order, and \
             quote the order's URL",
        ),
        certigna(
            "ACME_ORDER_FINALIZE_ERROR",
            Temporary,
            "If this lasts for more than a day, ask the CA's support why the order cannot be finalized, \
             and quote its URL",
        ),
        certigna(
            "ACME_CA_ERROR",
            Temporary,
            "The certificate authority behind the CA's ACME server failed; if this lasts for hours, ask \
             the CA's support",
        ),
        certigna(
            "ACME_OTHER_ERROR",
            Temporary,
            "If this lasts for hours, ask the CA's support, and quote this message",
        ),
        certigna(
            "ACME_DEACTIVATED",
            Temporary,
            "The CA has switched off its ACME service; if this lasts for hours, ask the CA's support when \
             it returns",
        ),
        rfc8555(
            "serverInternal",
            "ServerInternal",
            Temporary,
            "If this lasts for hours, look at the CA's status page, or ask its support",
        ),
        rfc8555(
            "badNonce",
            "BadNonce",
            Temporary,
            "If this lasts for hours, check whether a proxy caches the CA's answers; otherwise ask the \
             CA's support",
        ),
        rfc8555(
            "orderNotReady",
            "OrderNotReady",
            Temporary,
            "If this lasts for more than a day, ask the CA's support what the order waits for, and quote \
             its URL",
        ),
        rfc8555(
            "unauthorized",
            "Unauthorized",
            DependsOnRequest,
            "If this happens again with the next order, ask the CA why it denies this account access to \
             its own orders",
        )
        .at_account(
            "Check the key id and the MAC key against the CA's portal, and whether the account is still \
             valid there",
        )
        .at_challenge(
            "Find out what the CA sees instead of the response: another server that answers for the name, \
             or another or no TXT record",
        ),
        rfc8555(
            "malformed",
            "Malformed",
            DependsOnRequest,
            "Remove settings that the CA may not support, such as a profile; otherwise report the message \
             to the CA",
        )
        .at_account(
            "Check that the server URL, the email addresses and the external account binding are what the \
             CA expects",
        ),
        rfc8555(
            "badSignatureAlgorithm",
            "BadSignatureAlgorithm",
            DependsOnRequest,
            "Choose an algorithm and size for the account key that the CA accepts, such as RSA with 3072 \
             bits",
        ),
        rfc8555(
            "invalidContact",
            "InvalidContact",
            DependsOnRequest,
            "Correct the email address of the account",
        ),
        rfc8555(
            "unsupportedContact",
            "UnsupportedContact",
            DependsOnRequest,
            "Use an email address for the account that the CA accepts, or none",
        ),
        rfc8555(
            "connection",
            "Connection",
            DependsOnRequest,
            "Make port 80 of the name reachable from the whole internet, or port 443 for tls-alpn-01: check its DNS \
             records, the load balancer and firewalls",
        ),
        rfc8555(
            "dns",
            "DNS",
            DependsOnRequest,
            "Correct the DNS of the name: all name servers of its zone must answer, and its DNSSEC \
             signatures, if any, must be valid",
        ),
        rfc8555(
            "incorrectResponse",
            "IncorrectResponse",
            DependsOnRequest,
            "Find out what the CA sees instead of the response: another server that answers for the name, \
             or another TXT record",
        ),
        rfc8555(
            "tls",
            "TLS",
            DependsOnRequest,
            "Correct the TLS server that the name, or a redirect from it, leads to",
        ),
        rfc8555(
            "compound",
            "Compound",
            DependsOnRequest,
            "Correct the error of each name that the message lists",
        ),
    ]
};

const fn certigna(code: &'static str, class: Class, remedy: &'static str) -> Code {
    Code::new(code, code, Source::Certigna, class, remedy)
}

const fn rfc8555(code: &'static str, name: &'static str, class: Class, remedy: &'static str) -> Code {
    Code::new(code, name, Source::Rfc8555, class, remedy)
}

const fn profiles(code: &'static str, name: &'static str, class: Class, remedy: &'static str) -> Code {
    Code::new(code, name, Source::Profiles, class, remedy)
}
