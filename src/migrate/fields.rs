//! What becomes of each field of cert-manager's API, in a manifest of which only `apiVersion` is changed, and with `certwright
//! migrate`. `docs/cert-manager-fields.md` has the same tables for users.

use serde_json::{Map, Value};

use super::values::{self, Adapted};
use certwright_core::spec::ignored;

/// What happens to a field.
#[derive(Clone, Copy, Debug)]
pub enum Fate {
    /// It is taken over unchanged.
    Same,
    /// It is taken over unchanged, but means something else here, or requires something else.
    Differs(&'static str),
    /// It is taken over, and has no effect; the text says why.
    NoEffect(&'static str),
    /// It depends on the value.
    Depends {
        /// The rule, for people.
        rule: &'static str,
        /// Converts a value.
        of: fn(&Value) -> Adapted,
    },
    /// Certwright refuses it, and it is left out; the text says why, or what to do.
    Nothing(&'static str),
    /// The API server or cert-manager sets it. It is left out without a note.
    Bookkeeping,
}

/// Fields that are treated in the same way. In a path, `{a,b}` means either, `[]` the items of a list, and `.*` at the end
/// everything below.
#[derive(Clone, Copy, Debug)]
pub struct Fields {
    /// Their path.
    pub path: &'static str,
    /// What happens to them.
    pub fate: Fate,
}

/// What was done with a field that was not taken over unchanged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Its path, with the positions in lists.
    pub path: String,
    /// What was done.
    pub what: What,
    /// Why, and what to do.
    pub text: String,
}

/// What was done with a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// It is there, but has another value or means something else.
    Changed,
    /// It was left out.
    LeftOut,
    /// It is the same, and something else may be better.
    Hint,
    /// It is there, and has no effect.
    Ignored,
}

const fn same(path: &'static str) -> Fields {
    Fields { path, fate: Fate::Same }
}

const fn differs(path: &'static str, how: &'static str) -> Fields {
    Fields { path, fate: Fate::Differs(how) }
}

const fn depends(path: &'static str, rule: &'static str, of: fn(&Value) -> Adapted) -> Fields {
    Fields { path, fate: Fate::Depends { rule, of } }
}

const fn nothing(path: &'static str, why: &'static str) -> Fields {
    Fields { path, fate: Fate::Nothing(why) }
}

const fn no_effect(path: &'static str, why: &'static str) -> Fields {
    Fields { path, fate: Fate::NoEffect(why) }
}

const fn bookkeeping(path: &'static str) -> Fields {
    Fields { path, fate: Fate::Bookkeeping }
}

const NOT_ACME: &str =
    "Certwright has only ACME issuers. Leave this one, and what it issues, with cert-manager.";

/// Fields of all objects.
pub const METADATA: &[Fields] = &[
    same("metadata.{name,namespace}"),
    depends(
        "metadata.labels",
        "Taken over, except `app.kubernetes.io/managed-by: Helm`, which would be wrong.",
        values::labels,
    ),
    depends(
        "metadata.annotations",
        "Taken over, except those of cert-manager other than `http01-override-…` and `http01-parentref…`, those of Helm releases, and kubectl's own copy of the object.",
        values::annotations,
    ),
    nothing(
        "metadata.ownerReferences.*",
        "The new object has no owner, so it is not deleted with the old one.",
    ),
    nothing("metadata.finalizers.*", "They belong to whatever set them."),
    bookkeeping("{apiVersion,kind}"),
    bookkeeping(
        "metadata.{uid,resourceVersion,generation,creationTimestamp,deletionTimestamp,deletionGracePeriodSeconds,selfLink,generateName}",
    ),
    bookkeeping("metadata.managedFields.*"),
    bookkeeping("status.*"),
];

/// Fields of a Certificate.
pub const CERTIFICATE: &[Fields] = &[
    same("spec.{secretName,duration,renewBefore,renewBeforePercentage}"),
    depends(
        "spec.{dnsNames,ipAddresses}",
        "A name must not be listed twice. `migrate` leaves out duplicates.",
        values::unique,
    ),
    depends(
        "spec.commonName",
        "A DNS name or IP address is also requested as a name. Anything else has no effect, and is refused if there is no other \
         name.",
        values::common_name,
    ),
    same("spec.issuerRef.name"),
    depends(
        "spec.issuerRef.kind",
        "`Issuer` or `ClusterIssuer`. `migrate` writes `Issuer` if it is empty.",
        values::kind,
    ),
    depends(
        "spec.issuerRef.group",
        "`cert-manager.io` is read as `certwright.dev`, which `migrate` writes. Other groups are refused.",
        values::group,
    ),
    same("spec.privateKey.{algorithm,encoding,rotationPolicy,size}"),
    same("spec.renewal.policy"),
    same("spec.renewal.windows[].{cron,timezone,windowDuration}"),
    same("spec.additionalOutputFormats[].type"),
    same("spec.keystores.jks.{alias,create,password}"),
    same("spec.keystores.jks.passwordSecretRef.{key,name}"),
    same("spec.keystores.pkcs12.{create,password,profile}"),
    same("spec.keystores.pkcs12.passwordSecretRef.{key,name}"),
    depends(
        "spec.secretTemplate.{labels,annotations}",
        "All but `app.kubernetes.io/managed-by` and `certwright.dev/…`, which the operator sets.",
        values::template,
    ),
    no_effect("spec.revisionHistoryLimit", ignored::HISTORY),
    depends(
        "spec.isCA",
        "Only `false`: an ACME CA issues no CA certificates. `migrate` leaves out `true`.",
        values::only_false,
    ),
    depends(
        "spec.encodeUsagesInRequest",
        "`true` has no effect: several CAs reject requests that contain usages, so no request contains any.",
        values::encode_usages,
    ),
    depends(
        "spec.usages",
        "Others than `digital signature`, `key encipherment` and `server auth` have no effect: the CA sets the usages. For client \
         certificates, use a private CA.",
        values::usages,
    ),
    depends(
        "spec.{uris,emailAddresses}",
        "Only an empty list: an ACME CA validates DNS names and IP addresses only. `migrate` leaves out others.",
        values::only_empty,
    ),
    depends(
        "spec.otherNames.*",
        "Only an empty list: an ACME CA validates DNS names and IP addresses only. `migrate` leaves out others.",
        values::only_empty,
    ),
    no_effect("spec.subject.*", ignored::SUBJECT),
    no_effect("spec.literalSubject", ignored::SUBJECT),
    nothing("spec.nameConstraints.*", "An ACME CA issues no CA certificates."),
    no_effect("spec.signatureAlgorithm", ignored::SIGNATURE_ALGORITHM),
];

/// Fields of an Issuer or ClusterIssuer.
pub const ISSUER: &[Fields] = &[
    same("spec.acme.{server,email,preferredChain,profile,caBundle,skipTLSVerify}"),
    same("spec.acme.{disableAccountKeyGeneration,enableDurationFeature}"),
    same("spec.acme.privateKeySecretRef.{name,key}"),
    same("spec.acme.externalAccountBinding.{keyID,keyAlgorithm}"),
    same("spec.acme.externalAccountBinding.keySecretRef.{name,key}"),
    same("spec.acme.solvers[].selector.{dnsNames,dnsZones}"),
    same("spec.acme.solvers[].selector.matchLabels.*"),
    same("spec.acme.solvers[].http01.ingress.{name,class,ingressClassName,serviceType}"),
    same("spec.acme.solvers[].http01.ingress.ingressTemplate.metadata.labels.*"),
    same("spec.acme.solvers[].http01.ingress.ingressTemplate.metadata.annotations.*"),
    no_effect("spec.acme.solvers[].http01.ingress.podTemplate.*", ignored::POD_TEMPLATE),
    same("spec.acme.solvers[].http01.gatewayHTTPRoute.serviceType"),
    same("spec.acme.solvers[].http01.gatewayHTTPRoute.labels.*"),
    same(
        "spec.acme.solvers[].http01.gatewayHTTPRoute.parentRefs[].{group,kind,name,namespace,port,sectionName}",
    ),
    no_effect("spec.acme.solvers[].http01.gatewayHTTPRoute.podTemplate.*", ignored::POD_TEMPLATE),
    same("spec.acme.solvers[].dns01.cnameStrategy"),
    same("spec.acme.solvers[].dns01.rfc2136.{nameserver,protocol,tsigAlgorithm,tsigKeyName}"),
    same("spec.acme.solvers[].dns01.rfc2136.tsigSecretSecretRef.{name,key}"),
    same("spec.acme.solvers[].dns01.acmeDNS.host"),
    same("spec.acme.solvers[].dns01.acmeDNS.accountSecretRef.{name,key}"),
    differs(
        "spec.acme.solvers[].dns01.webhook.groupName",
        "The webhook must allow Certwright's service account: bind it to the webhook's role for `create` in this API group.",
    ),
    same("spec.acme.solvers[].dns01.webhook.solverName"),
    same("spec.acme.solvers[].dns01.webhook.config.*"),
    same("spec.acme.solvers[].dns01.akamai.serviceConsumerDomain"),
    same("spec.acme.solvers[].dns01.akamai.clientTokenSecretRef.{name,key}"),
    same("spec.acme.solvers[].dns01.akamai.clientSecretSecretRef.{name,key}"),
    same("spec.acme.solvers[].dns01.akamai.accessTokenSecretRef.{name,key}"),
    same("spec.acme.solvers[].dns01.azureDNS.{subscriptionID,resourceGroupName,hostedZoneName,zoneType}"),
    same("spec.acme.solvers[].dns01.azureDNS.{tenantID,clientID}"),
    same("spec.acme.solvers[].dns01.azureDNS.clientSecretSecretRef.{name,key}"),
    same("spec.acme.solvers[].dns01.azureDNS.managedIdentity.{clientID,resourceID,tenantID}"),
    depends(
        "spec.acme.solvers[].dns01.azureDNS.environment",
        "Taken over. A solver with `AzureGermanCloud`, which no longer exists, is left out.",
        values::azure_environment,
    ),
    same("spec.acme.solvers[].dns01.cloudDNS.{project,hostedZoneName}"),
    same("spec.acme.solvers[].dns01.cloudDNS.serviceAccountSecretRef.{name,key}"),
    same("spec.acme.solvers[].dns01.cloudflare.email"),
    same("spec.acme.solvers[].dns01.cloudflare.apiTokenSecretRef.{name,key}"),
    nothing(
        "spec.acme.solvers[].dns01.cloudflare.apiKeySecretRef.*",
        "The API key of a whole Cloudflare account is not supported, and the solver is left out. Create an API token with the \
         permission Zone / DNS / Edit, and set apiTokenSecretRef.",
    ),
    same("spec.acme.solvers[].dns01.digitalocean.tokenSecretRef.{name,key}"),
    same("spec.acme.solvers[].dns01.route53.{region,role,hostedZoneID,accessKeyID}"),
    same("spec.acme.solvers[].dns01.route53.accessKeyIDSecretRef.{name,key}"),
    depends(
        "spec.acme.solvers[].dns01.route53.secretAccessKeySecretRef.*",
        "Taken over, unless the name is empty.",
        values::named_secret,
    ),
    nothing(
        "spec.acme.solvers[].dns01.route53.auth.*",
        "The operator does not request tokens of other service accounts, and the solver is left out. Give the service account of \
         certwright-dns the role (IRSA or EKS Pod Identity), and remove auth.",
    ),
    same("spec.acme.solvers[].waitInsteadOfSelfCheck"),
    // In versions of cert-manager after 1.21.
    same("spec.acme.renewalInformationSource"),
    same("spec.acme.solvers[].dns01.nameservers"),
    nothing("spec.{ca,selfSigned,vault,venafi}.*", NOT_ACME),
];

impl Fields {
    /// All paths that this covers.
    pub fn paths(&self) -> Vec<String> {
        match (self.path.find('{'), self.path.find('}')) {
            (Some(open), Some(close)) => {
                let (before, rest) = (&self.path[..open], &self.path[close + 1..]);
                self.path[open + 1..close].split(',').map(|word| format!("{before}{word}{rest}")).collect()
            }
            _ => vec![self.path.to_owned()],
        }
    }

    /// Whether a path, with `[]` for positions in lists, is one of these.
    fn has(&self, path: &str) -> bool {
        self.paths().iter().any(|own| match own.strip_suffix(".*") {
            Some(above) => is_below(path, above),
            None => path == own,
        })
    }

    /// Whether one of these is below a path.
    fn is_below(&self, path: &str) -> bool {
        self.paths().iter().any(|own| own != path && is_below(own, path))
    }
}

fn is_below(path: &str, above: &str) -> bool {
    path.strip_prefix(above)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('.') || rest.starts_with('['))
}

/// What happens to the field at a path, with `[]` for positions in lists, if the field is known.
pub fn fate(table: &[Fields], path: &str) -> Option<Fate> {
    table.iter().chain(METADATA).find(|fields| fields.has(path)).map(|fields| fields.fate)
}

/// Converts an object field by field, and notes what was not taken over unchanged.
pub fn take(table: &[Fields], object: &Value) -> (Value, Vec<Note>) {
    let mut notes = Vec::new();
    let taken = take_field(table, object, &Place::default(), &mut notes);
    (taken.unwrap_or_else(|| Value::Object(Map::new())), notes)
}

/// Where a field is: in this object, and in any object.
#[derive(Clone, Default)]
struct Place {
    here: String,
    anywhere: String,
}

impl Place {
    fn field(&self, name: &str) -> Self {
        let below = |above: &str| if above.is_empty() { name.to_owned() } else { format!("{above}.{name}") };
        Self { here: below(&self.here), anywhere: below(&self.anywhere) }
    }

    fn item(&self, index: usize) -> Self {
        Self { here: format!("{}[{index}]", self.here), anywhere: format!("{}[]", self.anywhere) }
    }

    fn note(&self, what: What, text: impl Into<String>) -> Note {
        Note { path: self.here.clone(), what, text: text.into() }
    }
}

fn take_field(table: &[Fields], value: &Value, place: &Place, notes: &mut Vec<Note>) -> Option<Value> {
    match fate(table, &place.anywhere) {
        Some(Fate::Same) => Some(value.clone()),
        Some(Fate::Differs(how)) => {
            notes.push(place.note(What::Changed, how));
            Some(value.clone())
        }
        Some(Fate::NoEffect(why)) => {
            notes.push(place.note(What::Ignored, format!("It has no effect: {why}.")));
            Some(value.clone())
        }
        Some(Fate::Depends { of, .. }) => match of(value) {
            Adapted::Same => Some(value.clone()),
            Adapted::NoEffect(why) => {
                notes.push(place.note(What::Ignored, format!("It has no effect: {why}.")));
                Some(value.clone())
            }
            Adapted::Quietly(other) => Some(other),
            Adapted::To(other, why) => {
                notes.push(place.note(What::Changed, why));
                Some(other)
            }
            Adapted::Gone(why) => {
                notes.push(place.note(What::LeftOut, why));
                None
            }
        },
        Some(Fate::Nothing(why)) => {
            notes.push(place.note(What::LeftOut, why));
            None
        }
        Some(Fate::Bookkeeping) => None,
        None => take_below(table, value, place, notes),
    }
}

fn take_below(table: &[Fields], value: &Value, place: &Place, notes: &mut Vec<Note>) -> Option<Value> {
    let leads_on = table.iter().chain(METADATA).any(|fields| fields.is_below(&place.anywhere));
    match value {
        Value::Null => None,
        Value::Object(fields) if leads_on || place.here.is_empty() => Some(Value::Object(
            fields
                .iter()
                .filter_map(|(name, value)| {
                    Some((name.clone(), take_field(table, value, &place.field(name), notes)?))
                })
                .collect(),
        )),
        Value::Array(items) if leads_on => Some(Value::Array(
            items
                .iter()
                .enumerate()
                .filter_map(|(index, item)| take_field(table, item, &place.item(index), notes))
                .collect(),
        )),
        _ => {
            let text = "This field is not known to this version of Certwright; check whether you need it.";
            notes.push(place.note(What::LeftOut, text));
            None
        }
    }
}
