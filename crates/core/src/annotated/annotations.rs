//! The known annotations and their effects.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

use serde::Deserialize;

use super::names::{OURS, is_true};
use super::object::{AnnotatedKind, AnnotatedObject};
use super::{AnnotationSettings, Remark};
use crate::spec::is_dns_name;
use certwright_api::{
    CERT_MANAGER_GROUP, CertificateSpec, GROUP, IssuerKind, IssuerRef, OVERRIDE_INGRESS_CLASS,
    OVERRIDE_INGRESS_CLASS_NAME, OVERRIDE_INGRESS_NAME, OVERRIDE_PARENT_KIND, OVERRIDE_PARENT_NAME,
    OVERRIDE_PARENT_NAMESPACE, PrivateKeyAlgorithm, PrivateKeyEncoding, RotationPolicy, SecretTemplate,
    annotated_reason as reason, cert_manager_name,
};
use certwright_pki::KeyAlgorithm;
use certwright_text::escaped;

const ISSUER: &str = "certwright.dev/issuer";
const CLUSTER_ISSUER: &str = "certwright.dev/cluster-issuer";
const ISSUER_KIND: &str = "certwright.dev/issuer-kind";
const ISSUER_GROUP: &str = "certwright.dev/issuer-group";
const IGNORED_LISTENERS: &str = "certwright.dev/ignore-tls-listeners";
const ROUTE_HOSTNAMES: &str = "certwright.dev/route-hostnames";
const EDIT_IN_PLACE: &str = "acme.certwright.dev/http01-edit-in-place";
const INGRESS_CLASS: &str = "acme.certwright.dev/http01-ingress-class";
const INGRESS_CLASS_NAME: &str = "acme.certwright.dev/http01-ingress-ingressclassname";
const PARENT_FALLBACK: &str = "acme.certwright.dev/http01-parentreffallback";

/// The groups that mean ours.
const GROUPS: [&str; 2] = [GROUP, CERT_MANAGER_GROUP];
/// The maximum length of a value quoted in an event.
const MAX_SHOWN: usize = 80;

/// A known annotation.
pub struct Annotation {
    /// Its name, with our prefix.
    pub name: &'static str,
    /// What it does.
    pub effect: Effect,
}

/// What an annotation does.
pub enum Effect {
    /// It selects the issuer.
    Issuer,
    /// It says which listeners of a Gateway have certificates, and whose names these have.
    Listeners,
    /// It sets this field of the Certificate.
    Sets(&'static str, Setter),
    /// It sets this annotation of the Certificate, which changes the http-01 solver.
    Overrides(&'static str),
    /// It has no effect, for this reason.
    NotUsed(&'static str),
}

/// Sets a field from a value, or returns what values are allowed.
type Setter = fn(&mut CertificateSpec, &str) -> Result<(), &'static str>;

const NAMES_ONLY: &str = "an ACME CA validates DNS names and IP addresses only";
const SUBJECT: &str = "the CA uses the details on file for the account";
const OF_CERTIFICATES: &str = "it is an annotation of Certificates";

/// All of them, in the order in which they are applied.
pub const ANNOTATIONS: &[Annotation] = &[
    Annotation { name: ISSUER, effect: Effect::Issuer },
    Annotation { name: CLUSTER_ISSUER, effect: Effect::Issuer },
    Annotation { name: ISSUER_KIND, effect: Effect::Issuer },
    Annotation { name: ISSUER_GROUP, effect: Effect::Issuer },
    Annotation { name: IGNORED_LISTENERS, effect: Effect::Listeners },
    Annotation { name: ROUTE_HOSTNAMES, effect: Effect::Listeners },
    sets("certwright.dev/common-name", "commonName", common_name),
    sets("certwright.dev/alt-names", "dnsNames", alt_names),
    sets("certwright.dev/ip-sans", "ipAddresses", ip_sans),
    sets("certwright.dev/duration", "duration", |spec, value| {
        spec.duration =
            Some(duration(value, MIN_DURATION).ok_or("a duration from 1h to 87600h, such as 2160h")?);
        Ok(())
    }),
    sets("certwright.dev/renew-before", "renewBefore", |spec, value| {
        let allowed = "a duration from 5m to 87600h, such as 720h";
        spec.renew_before = Some(duration(value, MIN_RENEW_BEFORE).ok_or(allowed)?);
        Ok(())
    }),
    sets("certwright.dev/renew-before-percentage", "renewBeforePercentage", renew_before_percentage),
    sets("certwright.dev/revision-history-limit", "revisionHistoryLimit", |spec, value| {
        let limit = value.parse().ok().filter(|limit| *limit >= 1);
        spec.revision_history_limit = Some(limit.ok_or("a number of at least 1")?);
        Ok(())
    }),
    sets("certwright.dev/private-key-algorithm", "privateKey.algorithm", |spec, value| {
        let algorithm = parsed::<PrivateKeyAlgorithm>(value).ok_or("RSA, ECDSA or Ed25519")?;
        spec.private_key.get_or_insert_default().algorithm = Some(algorithm);
        Ok(())
    }),
    sets("certwright.dev/private-key-encoding", "privateKey.encoding", |spec, value| {
        let encoding = parsed::<PrivateKeyEncoding>(value).ok_or("PKCS1 or PKCS8")?;
        spec.private_key.get_or_insert_default().encoding = Some(encoding);
        Ok(())
    }),
    // After the algorithm, on which it depends.
    sets("certwright.dev/private-key-size", "privateKey.size", private_key_size),
    sets("certwright.dev/private-key-rotation-policy", "privateKey.rotationPolicy", |spec, value| {
        let policy = parsed::<RotationPolicy>(value).ok_or("Always or Never")?;
        spec.private_key.get_or_insert_default().rotation_policy = Some(policy);
        Ok(())
    }),
    sets("certwright.dev/secret-template", "secretTemplate", secret_template),
    not_used("certwright.dev/usages", "the CA sets the usages"),
    not_used("certwright.dev/email-sans", NAMES_ONLY),
    not_used("certwright.dev/uri-sans", NAMES_ONLY),
    not_used("certwright.dev/subject-organizations", SUBJECT),
    not_used("certwright.dev/subject-organizationalunits", SUBJECT),
    not_used("certwright.dev/subject-countries", SUBJECT),
    not_used("certwright.dev/subject-provinces", SUBJECT),
    not_used("certwright.dev/subject-localities", SUBJECT),
    not_used("certwright.dev/subject-postalcodes", SUBJECT),
    not_used("certwright.dev/subject-streetaddresses", SUBJECT),
    not_used("certwright.dev/subject-serialnumber", SUBJECT),
    Annotation { name: EDIT_IN_PLACE, effect: Effect::Overrides(OVERRIDE_INGRESS_NAME) },
    Annotation { name: INGRESS_CLASS, effect: Effect::Overrides(OVERRIDE_INGRESS_CLASS) },
    Annotation { name: INGRESS_CLASS_NAME, effect: Effect::Overrides(OVERRIDE_INGRESS_CLASS_NAME) },
    Annotation { name: PARENT_FALLBACK, effect: Effect::Overrides(OVERRIDE_PARENT_NAME) },
    not_used(
        "certwright.dev/issue-temporary-certificate",
        "a Secret is filled only with a certificate of the CA",
    ),
    not_used(OVERRIDE_INGRESS_NAME, OF_CERTIFICATES),
    not_used(OVERRIDE_INGRESS_CLASS, OF_CERTIFICATES),
    not_used(OVERRIDE_INGRESS_CLASS_NAME, OF_CERTIFICATES),
    not_used(OVERRIDE_PARENT_KIND, OF_CERTIFICATES),
    not_used(OVERRIDE_PARENT_NAME, OF_CERTIFICATES),
    not_used(OVERRIDE_PARENT_NAMESPACE, OF_CERTIFICATES),
];

const fn sets(name: &'static str, field: &'static str, set: Setter) -> Annotation {
    Annotation { name, effect: Effect::Sets(field, set) }
}

const fn not_used(name: &'static str, why: &'static str) -> Annotation {
    Annotation { name, effect: Effect::NotUsed(why) }
}

/// The annotations of an Ingress or a Gateway.
pub struct Annotations<'a> {
    object: &'a AnnotatedObject,
    settings: &'a AnnotationSettings,
}

/// Which issuer annotations name.
#[derive(Debug, PartialEq)]
pub enum Chosen {
    /// This one.
    Issuer(IssuerRef),
    /// None, or one of another group.
    None,
}

impl<'a> Annotations<'a> {
    pub fn of(object: &'a AnnotatedObject, settings: &'a AnnotationSettings) -> Self {
        Self { object, settings }
    }

    /// The issuer. If our annotations name one, cert-manager's are ignored.
    pub fn issuer(&self) -> Result<Chosen, Remark> {
        let read = |key: &str| self.object.annotations.get(key).map(|value| (key.to_owned(), value.as_str()));
        if let Some(named) = named(read(ISSUER), read(CLUSTER_ISSUER))? {
            let group = read(ISSUER_GROUP);
            if let Some((key, value)) = group.filter(|(_, group)| !GROUPS.contains(group)) {
                return Err(wrong(&key, value, GROUP));
            }
            return kind(named, read(ISSUER_KIND)).map(Chosen::Issuer);
        }
        let read = |key: &str| read(&cert_manager_name(key)).filter(|_| self.settings.cert_manager);
        if let Some(named) = named(read(ISSUER), read(CLUSTER_ISSUER))? {
            // Other groups are those of cert-manager's external issuers.
            if read(ISSUER_GROUP).is_some_and(|(_, group)| !GROUPS.contains(&group)) {
                return Ok(Chosen::None);
            }
            return kind(named, read(ISSUER_KIND)).map(Chosen::Issuer);
        }
        let requested = |name: &String| self.object.annotations.get(name).is_some_and(|value| is_true(value));
        let automatic =
            self.object.kind == AnnotatedKind::Ingress && self.settings.automatic.iter().any(requested);
        let default = self.settings.default_issuer.clone().filter(|_| automatic);
        Ok(default.map_or(Chosen::None, Chosen::Issuer))
    }

    /// The fields that annotations set, in an otherwise empty spec; or all mistakes.
    pub fn fields(&self) -> Result<CertificateSpec, Vec<Remark>> {
        let mut spec = CertificateSpec::default();
        let mut mistakes = Vec::new();
        for annotation in ANNOTATIONS {
            let Effect::Sets(_, set) = annotation.effect else { continue };
            let Some((key, value)) = self.value(annotation.name) else { continue };
            if let Err(allowed) = set(&mut spec, value) {
                mistakes.push(wrong(&key, value, allowed));
            }
        }
        if spec.renew_before.is_some() && spec.renew_before_percentage.is_some() {
            let note = "certwright.dev/renew-before and certwright.dev/renew-before-percentage are mutually exclusive; \
                remove one";
            mistakes.push(Remark { reason: reason::INVALID_ANNOTATION, note: note.to_owned() });
        }
        if mistakes.is_empty() { Ok(spec) } else { Err(mistakes) }
    }

    /// Whether hostnames of HTTPRoutes are names of certificates.
    pub fn follows_routes(&self) -> bool {
        self.settings.routes && self.value(ROUTE_HOSTNAMES).is_some_and(|(_, value)| is_true(value))
    }

    /// Names of the ignored listeners.
    pub fn ignored_listeners(&self) -> Vec<&'a str> {
        self.value(IGNORED_LISTENERS).map(|(_, value)| items(value).collect()).unwrap_or_default()
    }

    /// The annotations of its Certificates: those that are copied, and those that change how http-01 is done.
    pub fn of_certificates(&self) -> BTreeMap<String, String> {
        let copied = self.settings.copied.iter().filter_map(|name| {
            let value = self.object.annotations.get(name)?;
            Some((name.clone(), value.clone()))
        });
        let value = |name: &str| self.value(name).map(|(_, value)| value);
        let in_place = value(EDIT_IN_PLACE) == Some("true");
        let ingress = match self.object.kind {
            AnnotatedKind::Ingress if in_place => vec![(OVERRIDE_INGRESS_NAME, self.object.name.as_str())],
            _ => [(OVERRIDE_INGRESS_CLASS, INGRESS_CLASS), (OVERRIDE_INGRESS_CLASS_NAME, INGRESS_CLASS_NAME)]
                .into_iter()
                .filter_map(|(ours, name)| Some((ours, value(name)?)))
                .collect(),
        };
        let parent = self.object.parent(value(PARENT_FALLBACK).map(is_true));
        let parent = parent.into_iter().flat_map(|parent| {
            let namespace = parent.namespace.map(|namespace| (OVERRIDE_PARENT_NAMESPACE, namespace));
            [(OVERRIDE_PARENT_KIND, parent.kind), (OVERRIDE_PARENT_NAME, parent.name)]
                .into_iter()
                .chain(namespace)
        });
        let overrides = ingress.into_iter().chain(parent);
        copied.chain(overrides.map(|(name, value)| (name.to_owned(), value.to_owned()))).collect()
    }

    /// Annotations without an effect.
    pub fn not_used(&self) -> Vec<Remark> {
        let known = ANNOTATIONS.iter().filter_map(|annotation| {
            let Effect::NotUsed(why) = annotation.effect else { return None };
            let (key, _) = self.value(annotation.name)?;
            Some(format!("{key} is not used: {why}"))
        });
        let is_known = |key: &String| ANNOTATIONS.iter().any(|annotation| annotation.name == key);
        let unknown = self.object.annotations.keys().filter(|key| key.contains(OURS) && !is_known(key));
        let unknown = unknown.map(|key| format!("{key} is not used: Certwright has no such annotation"));
        let routes = self.value(ROUTE_HOSTNAMES).filter(|_| !self.settings.routes);
        let routes = routes.map(|(key, _)| {
            format!("{key} is not used: the operator runs without --gateway-route-hostnames")
        });
        known
            .chain(unknown)
            .chain(routes)
            .map(|note| Remark { reason: reason::ANNOTATION_NOT_USED, note })
            .collect()
    }

    /// The value of an annotation, and its actual name. An empty value counts as none.
    fn value(&self, name: &str) -> Option<(String, &'a str)> {
        let read = |key: String| {
            let value = self.object.annotations.get(&key).filter(|value| !value.is_empty())?;
            Some((key, value.as_str()))
        };
        read(name.to_owned()).or_else(|| read(cert_manager_name(name)).filter(|_| self.settings.cert_manager))
    }
}

/// The issuer named by one of these annotations.
fn named(
    issuer: Option<(String, &str)>,
    cluster_issuer: Option<(String, &str)>,
) -> Result<Option<IssuerRef>, Remark> {
    let ((key, name), kind) = match (issuer, cluster_issuer) {
        (None, None) => return Ok(None),
        (Some((one, _)), Some((other, _))) => {
            let note = format!("{one} and {other} are mutually exclusive; remove one");
            return Err(Remark { reason: reason::INVALID_ANNOTATION, note });
        }
        (Some(issuer), None) => (issuer, IssuerKind::Issuer),
        (None, Some(issuer)) => (issuer, IssuerKind::ClusterIssuer),
    };
    if name.is_empty() {
        return Err(wrong(&key, name, "the name of an issuer"));
    }
    Ok(Some(IssuerRef { name: name.to_owned(), kind, group: GROUP.to_owned() }))
}

/// The same issuer with the kind from another annotation.
fn kind(issuer: IssuerRef, named: Option<(String, &str)>) -> Result<IssuerRef, Remark> {
    let Some((key, value)) = named else { return Ok(issuer) };
    match value {
        "ClusterIssuer" => Ok(IssuerRef { kind: IssuerKind::ClusterIssuer, ..issuer }),
        "Issuer" if issuer.kind == IssuerKind::Issuer => Ok(issuer),
        "Issuer" => Err(wrong(&key, value, "ClusterIssuer, because cluster-issuer is set")),
        _ => Err(wrong(&key, value, "Issuer or ClusterIssuer")),
    }
}

pub fn wrong(key: &str, value: &str, allowed: &str) -> Remark {
    let shown = escaped(value, MAX_SHOWN);
    Remark {
        reason: reason::INVALID_ANNOTATION,
        note: format!("{key}: '{shown}' is not valid; it must be {allowed}"),
    }
}

/// cert-manager's least `duration` and `renewBefore`.
const MIN_DURATION: Duration = Duration::from_secs(3600);
const MIN_RENEW_BEFORE: Duration = Duration::from_secs(300);

fn duration<D: FromStr + Copy + Into<Duration>>(value: &str, least: Duration) -> Option<D> {
    value.parse().ok().filter(|duration: &D| (*duration).into() >= least)
}

fn common_name(spec: &mut CertificateSpec, value: &str) -> Result<(), &'static str> {
    let usable = value.len() <= 64 && (is_dns_name(value) || value.parse::<IpAddr>().is_ok());
    spec.common_name = Some(value.to_owned());
    usable.then_some(()).ok_or("a DNS name or an IP address of at most 64 characters")
}

fn alt_names(spec: &mut CertificateSpec, value: &str) -> Result<(), &'static str> {
    spec.dns_names = items(value).map(str::to_ascii_lowercase).collect();
    spec.dns_names.iter().all(|name| is_dns_name(name)).then_some(()).ok_or("DNS names, separated by commas")
}

fn ip_sans(spec: &mut CertificateSpec, value: &str) -> Result<(), &'static str> {
    spec.ip_addresses = items(value).map(str::to_owned).collect();
    let usable = spec.ip_addresses.iter().all(|address| address.parse::<IpAddr>().is_ok());
    usable.then_some(()).ok_or("IP addresses, separated by commas")
}

fn renew_before_percentage(spec: &mut CertificateSpec, value: &str) -> Result<(), &'static str> {
    let percentage = value.parse().ok().filter(|percent| (1..=99).contains(percent));
    spec.renew_before_percentage = Some(percentage.ok_or("a number from 1 to 99")?);
    Ok(())
}

fn private_key_size(spec: &mut CertificateSpec, value: &str) -> Result<(), &'static str> {
    let key = spec.private_key.get_or_insert_default();
    let size: Option<i32> = value.parse().ok();
    let is_rsa_size =
        |size: &i32| u32::try_from(*size).is_ok_and(|size| KeyAlgorithm::RSA_SIZES.contains(&size));
    key.size = match key.algorithm.unwrap_or_default() {
        PrivateKeyAlgorithm::Rsa => Some(
            size.filter(is_rsa_size)
                .ok_or("2048, 3072, 4096 or 8192 for an RSA key, which is the default")?,
        ),
        PrivateKeyAlgorithm::Ecdsa => Some(
            size.filter(|size| [256, 384, 521].contains(size)).ok_or("256, 384 or 521 for an ECDSA key")?,
        ),
        // As in cert-manager: it has no meaning there.
        PrivateKeyAlgorithm::Ed25519 => None,
    };
    Ok(())
}

fn secret_template(spec: &mut CertificateSpec, value: &str) -> Result<(), &'static str> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Template {
        #[serde(default)]
        labels: BTreeMap<String, String>,
        #[serde(default)]
        annotations: BTreeMap<String, String>,
    }
    let template: Template = serde_json::from_str(value)
        .map_err(|_| "JSON with labels and annotations, such as {\"labels\": {\"team\": \"web\"}}")?;
    spec.secret_template =
        Some(SecretTemplate { labels: template.labels, annotations: template.annotations });
    Ok(())
}

/// A value of an enum of the API, as it is written there.
fn parsed<T: for<'de> Deserialize<'de>>(value: &str) -> Option<T> {
    serde_json::from_value(value.into()).ok()
}

/// The parts of a list that are separated by commas.
fn items(value: &str) -> impl Iterator<Item = &str> {
    value.split(',').map(str::trim).filter(|item| !item.is_empty())
}
