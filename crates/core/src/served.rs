//! Whether servers show the certificate that the Secret has.
//!
//! After a renewal, the Secret has the new certificate, but what serves it may not have read the Secret again, may show a certificate
//! of its own, or none. The operator looks now and then ([`plan`] says where), and compares what it sees with the Secret
//! ([`Plan::judge`]).
//!
//! A tenant chooses where the operator looks, and can put a certificate of his own into the Secret. So a message says who issued a
//! certificate, or for whom, only if everybody on the internet can see it, or if it is for a name of the Certificate and from the
//! same issuer.

mod address;
mod pace;

use std::net::{IpAddr, SocketAddr};

use jiff::Timestamp;

use self::address::is_public;
pub use self::pace::{first_look, next_look, settles_after};
use crate::conditions::condition;
use crate::spec::{is_dns_name, names};
use certwright_api::bounds::MAX_SERVED_ADDRESSES;
use certwright_api::{CONDITION_SERVED, CertificateSpec, CertificateStatus, certificate_reason as reason};
use certwright_pki::Leaf;
use certwright_text::clean;

/// The port of HTTPS.
pub const DEFAULT_PORT: u16 = 443;
/// The maximum number of names of a Certificate that are looked at.
const MOST_NAMES: usize = 50;
/// The maximum number of problems that a message has.
const MOST_WORDS: usize = 5;
/// The maximum number of characters of a common name or a serial number.
const LONGEST: usize = 64;

/// The common names of the certificates that ingress controllers serve if they have none for a name.
const DEFAULT_CERTIFICATES: &[(&str, &str)] = &[
    ("TRAEFIK DEFAULT CERT", "Traefik"),
    ("Kubernetes Ingress Controller Fake Certificate", "ingress-nginx"),
];

/// Whether what is served is checked for a Certificate with this spec.
#[must_use]
pub fn is_checked(spec: &CertificateSpec, by_default: bool) -> bool {
    spec.served.as_ref().and_then(|served| served.check).unwrap_or(by_default)
}

/// Whether what is served is checked, and what was found last.
#[derive(Clone, Copy, Debug)]
pub enum Observed<'a> {
    /// It is not checked.
    Off,
    /// It is checked.
    On(Option<&'a Finding>),
}

impl<'a> Observed<'a> {
    /// For a Certificate with this spec.
    #[must_use]
    pub fn of(spec: &CertificateSpec, by_default: bool, finding: Option<&'a Finding>) -> Self {
        if is_checked(spec, by_default) { Self::On(finding) } else { Self::Off }
    }
}

/// Where to look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The names to ask for: DNS names without wildcards, and IP addresses.
    pub names: Vec<String>,
    /// The port.
    pub port: u16,
    /// The addresses to connect to; if there are none, those of each name.
    pub addresses: Vec<IpAddr>,
    /// How many names are not asked for: wildcards, and those beyond the maximum.
    left_out: usize,
}

/// Where to look, or why that is not possible. `ports` are those that the administrator allows.
///
/// # Errors
/// A verdict without a look.
pub fn plan(spec: &CertificateSpec, stored: &Leaf, ports: &[u16]) -> Result<Plan, Verdict> {
    let served = spec.served.clone().unwrap_or_default();
    let port = served.port.map_or(Some(DEFAULT_PORT), |port| u16::try_from(port).ok()).unwrap_or_default();
    if !ports.contains(&port) {
        return Err(Verdict::unknown(
            reason::SERVER_NOT_ALLOWED,
            format!(
                "The operator may not connect to port {port}: --served-ports does not allow it; ask an administrator, or set \
                 served.port to another one"
            ),
        ));
    }
    let addresses = served.addresses.iter().take(MAX_SERVED_ADDRESSES);
    let addresses: Result<Vec<IpAddr>, _> = addresses.map(|address| address.parse()).collect();
    let Ok(addresses) = addresses else {
        let message = "An address in served.addresses is not an IP address; correct it".to_owned();
        return Err(Verdict::unknown(reason::NO_NAME_TO_CHECK, message));
    };
    let all = names::requested(spec);
    let mut checked: Vec<String> = match &served.server_name {
        Some(name) if is_dns_name(name) && !name.starts_with('*') && stored.is_for(name) => {
            vec![name.to_ascii_lowercase()]
        }
        Some(name) => {
            let name = clean(name, LONGEST);
            let message = format!(
                "The certificate is not for the name {name:?} in served.serverName; set it to one of its names, without a \
                 wildcard"
            );
            return Err(Verdict::unknown(reason::NO_NAME_TO_CHECK, message));
        }
        // The spec may have names that the certificate in the Secret does not have yet.
        None => all.iter().filter(|name| !name.starts_with("*.") && stored.is_for(name)).cloned().collect(),
    };
    checked.truncate(MOST_NAMES);
    if checked.is_empty() {
        let message = "The certificate has only wildcards, which no server can be asked for; set served.serverName to a name \
                       that one of them matches";
        return Err(Verdict::unknown(reason::NO_NAME_TO_CHECK, message.to_owned()));
    }
    let left_out = if served.server_name.is_some() { 0 } else { all.len().saturating_sub(checked.len()) };
    Ok(Plan { names: checked, port, addresses, left_out })
}

/// What is in the Secret.
#[derive(Clone, Copy, Debug)]
pub struct Stored<'a> {
    /// The Secret's name.
    pub secret: &'a str,
    /// The certificate.
    pub leaf: &'a Leaf,
    /// When it was ordered, if that is known.
    pub ordered: Option<Timestamp>,
}

/// When the certificate `leaf` was ordered, if it is the last one that the operator has issued for this status.
#[must_use]
pub fn ordered(status: &CertificateStatus, leaf: &Leaf) -> Option<Timestamp> {
    let last = status.recent_issuances.iter().max_by_key(|issued| issued.time.0)?;
    (last.not_after.0 == leaf.not_after).then_some(last.time.0)
}

/// What was seen under a name: at each address, or why there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Looked {
    /// The name.
    pub name: String,
    /// What the server at each address showed, or why the name has no address.
    pub found: Result<Vec<(SocketAddr, Shown)>, String>,
}

/// What a server showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shown {
    /// This certificate.
    Certificate(Box<Leaf>),
    /// A certificate that cannot be read.
    Unreadable,
    /// None: it accepted the connection, but there was no TLS handshake.
    Nothing,
    /// There was no connection. Nobody is told why: whether a port is closed or filtered is nothing that a tenant has to know of
    /// an address that he can choose.
    NoConnection,
    /// The egress rules forbid the connection.
    Forbidden,
}

/// How a certificate that a server showed relates to the one in the Secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    /// It is the same.
    Same,
    /// It is for the name, and older.
    Older,
    /// It is for the name, and not older.
    Other,
    /// It is not for the name.
    OtherNames,
}

impl Relation {
    /// That of `shown`, which a server showed under `name`, to a certificate with this serial number and first second.
    #[must_use]
    pub fn of(shown: &Leaf, name: &str, serial_number: &str, not_before: Timestamp) -> Self {
        match () {
            () if !shown.is_for(name) => Self::OtherNames,
            () if shown.serial_number == serial_number && shown.not_before == not_before => Self::Same,
            () if shown.not_before < not_before => Self::Older,
            () => Self::Other,
        }
    }
}

/// The controller whose default certificate this is, if it is a known one.
#[must_use]
pub fn default_of(shown: &Leaf) -> Option<&'static str> {
    let name = shown.common_name.as_deref()?;
    DEFAULT_CERTIFICATES.iter().find(|(default, _)| *default == name).map(|(_, controller)| *controller)
}

/// The result of a look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Whether the certificate in the Secret is served; `None` if that is not known.
    pub is: Option<bool>,
    /// A constant of [`certificate_reason`](certwright_api::certificate_reason).
    pub reason: &'static str,
    /// A sentence for people.
    pub message: String,
}

impl Verdict {
    fn unknown(reason: &'static str, message: String) -> Self {
        Self { is: None, reason, message }
    }
}

/// What was found about a Certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Serial number of the certificate in the Secret.
    pub serial_number: String,
    /// `metadata.generation` of the Certificate.
    pub generation: i64,
    /// The result.
    pub verdict: Verdict,
}

impl Finding {
    /// Whether the status does not have it yet. What was found about another certificate, or another spec, is no news.
    #[must_use]
    pub fn is_news(&self, status: &CertificateStatus, generation: i64) -> bool {
        let Verdict { is, reason, message } = &self.verdict;
        let is_current =
            status.serial_number.as_ref() == Some(&self.serial_number) && generation == self.generation;
        let is_known = condition(&status.conditions, CONDITION_SERVED).is_some_and(|known| {
            known.status == crate::conditions::Truth::from(*is).as_str()
                && known.reason == *reason
                && known.message == *message
                && known.observed_generation == Some(generation)
        });
        is_current && !is_known
    }
}

/// What one server does wrong, from the worst to the most harmless.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Problem {
    Other,
    Older,
    NotReached,
    NotAllowed,
}

impl Plan {
    /// Compares what servers showed with what is in the Secret.
    #[must_use]
    pub fn judge(&self, stored: &Stored<'_>, looked: &[Looked]) -> Verdict {
        let Stored { secret, leaf, ordered } = *stored;
        let mut problems = Vec::new();
        for Looked { name, found } in looked {
            let found = match found {
                Ok(found) => found.iter().map(|(at, shown)| (*at, problem(leaf, name, *at, shown))),
                Err(why) => {
                    problems.push((Problem::NotReached, format!("{name}: {why}")));
                    continue;
                }
            };
            let (right, wrong): (Vec<_>, Vec<_>) = found.partition(|(_, problem)| problem.is_none());
            // A pod often has no way to the IPv6 addresses of a name. One server that answers is enough; one that answers with
            // another certificate is too much.
            let counts = |problem: Problem| right.is_empty() || problem < Problem::NotReached;
            let wrong = wrong.into_iter().filter_map(|(at, problem)| {
                let (problem, words) = problem.filter(|(problem, _)| counts(*problem))?;
                Some((problem, format!("{name}: {at} {words}")))
            });
            problems.extend(wrong);
        }
        let Some(worst) = problems.iter().map(|(problem, _)| *problem).min() else {
            let names = match self.names.len() {
                1 => format!("for {}", self.names[0]),
                names => format!("for {names} names"),
            };
            let message = format!("The certificate in Secret {secret} is served {names}{}", self.left_out());
            return Verdict { is: Some(true), reason: reason::SERVED, message };
        };
        // Those that cannot be reached say nothing if others show the wrong certificate.
        problems.retain(|(problem, _)| *problem == worst || *problem < Problem::NotReached);
        problems.sort_by_key(|(problem, _)| *problem);
        let more = problems.len().saturating_sub(MOST_WORDS);
        let words: Vec<_> = problems.into_iter().take(MOST_WORDS).map(|(_, words)| words).collect();
        let more = if more == 0 { String::new() } else { format!("; and {more} more") };
        let (is, reason, remedy) = match worst {
            Problem::Other => (
                Some(false),
                reason::OTHER_CERTIFICATE_SERVED,
                format!("check that what serves the name has Secret {secret}, and that the name leads there"),
            ),
            Problem::Older => (
                Some(false),
                reason::OLD_CERTIFICATE_SERVED,
                format!(
                    "what serves the name has not read Secret {secret} since {}: reload or restart it",
                    ordered.map_or_else(
                        || "it changed".to_owned(),
                        |ordered| format!("its certificate was ordered at {ordered}")
                    )
                ),
            ),
            Problem::NotReached => (
                None,
                reason::SERVER_NOT_REACHED,
                "if only the operator cannot reach it, set served.addresses or served.port, or set served.check to false"
                    .to_owned(),
            ),
            Problem::NotAllowed => (
                None,
                reason::SERVER_NOT_ALLOWED,
                "set served.addresses to others, or set served.check to false".to_owned(),
            ),
        };
        Verdict { is, reason, message: format!("{}{more}; {remedy}", words.join("; ")) }
    }

    fn left_out(&self) -> String {
        match self.left_out {
            0 => String::new(),
            1 => "; another one is not checked".to_owned(),
            more => format!("; {more} others are not checked"),
        }
    }
}

/// What is wrong with what a server shows, and how that is said after its address.
fn problem(stored: &Leaf, name: &str, at: SocketAddr, shown: &Shown) -> Option<(Problem, String)> {
    let leaf = match shown {
        Shown::Certificate(leaf) => leaf,
        Shown::Unreadable => {
            return Some((Problem::Other, "serves a certificate that cannot be read".to_owned()));
        }
        Shown::Nothing => {
            return Some((Problem::NotReached, "does not complete a TLS handshake for this name".to_owned()));
        }
        Shown::NoConnection => return Some((Problem::NotReached, "cannot be reached".to_owned())),
        Shown::Forbidden => {
            let words = "is an address that the operator's egress rules forbid".to_owned();
            return Some((Problem::NotAllowed, words));
        }
    };
    let described = || {
        if !is_public(at.ip()) && leaf.issuer_name != stored.issuer_name {
            return format!("valid from {}", leaf.not_before);
        }
        let (serial, issuer) = (clean(&leaf.serial_number, LONGEST), clean(&leaf.issuer_name, LONGEST));
        format!("serial number {serial}, issued by {issuer}, valid from {}", leaf.not_before)
    };
    if leaf.der == stored.der {
        return None;
    }
    match Relation::of(leaf, name, &stored.serial_number, stored.not_before) {
        Relation::Older => Some((Problem::Older, format!("serves an older certificate ({})", described()))),
        Relation::Same | Relation::Other => {
            Some((Problem::Other, format!("serves another certificate for this name ({})", described())))
        }
        Relation::OtherNames => Some((Problem::Other, of_other_names(leaf, at.ip()))),
    }
}

/// A certificate that is not for the name.
fn of_other_names(leaf: &Leaf, at: IpAddr) -> String {
    if let Some(controller) = default_of(leaf) {
        return format!(
            "serves the default certificate of {controller}, which has none for this name: check spec.tls of the Ingress, or \
             the listener of the Gateway"
        );
    }
    let name = leaf.common_name.as_ref().or(leaf.dns_names.first()).filter(|_| is_public(at));
    match name {
        Some(name) => format!("serves a certificate for other names ({})", clean(name, LONGEST)),
        None => "serves a certificate for other names".to_owned(),
    }
}

#[cfg(test)]
mod tests;
