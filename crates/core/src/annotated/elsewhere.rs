//! cert-manager's annotations and labels on objects other than Ingresses, Gateways and ListenerSets.

/// An annotation or a label of cert-manager.
pub struct Elsewhere {
    /// cert-manager's name.
    pub name: &'static str,
    /// The objects that have it.
    pub on: &'static str,
    /// What becomes of it.
    pub here: &'static str,
}

const READ: &str = "read; see [above](#annotations-of-certificates)";
const TLS_SECRET: &str = "TLS Secret";
const CERTIFICATE: &str = "Certificate";
const REQUEST: &str = "CertificateRequest";
const CSR: &str = "CertificateSigningRequest";
const POD: &str = "solver pod (label)";
const NO_REQUESTS: &str = "there are no CertificateRequests";
const NO_PODS: &str = "there are no solver pods";
const NO_INJECTOR: &str = "left to cert-manager's cainjector";
const NO_VENAFI: &str = "there are only ACME issuers";

/// All of them in cert-manager v1.21.
pub const ELSEWHERE: &[Elsewhere] = &[
    of("acme.cert-manager.io/http01-override-ingress-name", CERTIFICATE, READ),
    of("acme.cert-manager.io/http01-override-ingress-class", CERTIFICATE, READ),
    of("acme.cert-manager.io/http01-override-ingress-ingressclassname", CERTIFICATE, READ),
    of("acme.cert-manager.io/http01-parentrefkind", CERTIFICATE, READ),
    of("acme.cert-manager.io/http01-parentrefname", CERTIFICATE, READ),
    of("acme.cert-manager.io/http01-parentrefnamespace", CERTIFICATE, READ),
    of(
        "cert-manager.io/issue-temporary-certificate",
        CERTIFICATE,
        "no effect: a Secret is filled only with a certificate of the CA",
    ),
    of("cert-manager.io/issuer-name", TLS_SECRET, "written as `certwright.dev/issuer-name`"),
    of("cert-manager.io/certificate-name", TLS_SECRET, "written as `certwright.dev/certificate-name`"),
    of(
        "cert-manager.io/next-private-key",
        "Secret of an issuance (label)",
        "written as `certwright.dev/secret: next-private-key`",
    ),
    of("controller.cert-manager.io/fao", "its Secrets (label)", "written as `certwright.dev/secret`"),
    of("cert-manager.io/allow-direct-injection", "Secret", NO_INJECTOR),
    of("cert-manager.io/inject-ca-from", "webhook configuration, APIService, CRD", NO_INJECTOR),
    of("cert-manager.io/inject-ca-from-secret", "webhook configuration, APIService, CRD", NO_INJECTOR),
    of("cert-manager.io/inject-apiserver-ca", "webhook configuration, APIService, CRD", NO_INJECTOR),
    of("cert-manager.io/private-key-secret-name", REQUEST, NO_REQUESTS),
    of("cert-manager.io/certificate-revision", REQUEST, NO_REQUESTS),
    of("venafi.cert-manager.io/custom-fields", "CertificateRequest, Issuer", NO_VENAFI),
    of("venafi.cert-manager.io/pickup-id", REQUEST, NO_VENAFI),
    of("experimental.cert-manager.io/request-duration", CSR, "no effect: set `spec.expirationSeconds`"),
    of("experimental.cert-manager.io/request-is-ca", CSR, "no effect: an ACME CA issues no CA certificates"),
    of(
        "experimental.cert-manager.io/private-key-secret-name",
        CSR,
        "no effect: there are no self-signed issuers",
    ),
    of("venafi.experimental.cert-manager.io/custom-fields", CSR, NO_VENAFI),
    of("venafi.experimental.cert-manager.io/pickup-id", CSR, NO_VENAFI),
    of("acme.cert-manager.io/http-domain", POD, NO_PODS),
    of("acme.cert-manager.io/http-token", POD, NO_PODS),
    of("acme.cert-manager.io/http01-solver", POD, NO_PODS),
];

const fn of(name: &'static str, on: &'static str, here: &'static str) -> Elsewhere {
    Elsewhere { name, on, here }
}
