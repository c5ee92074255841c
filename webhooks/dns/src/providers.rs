//! The DNS services that `config` can name: a table.

mod clouds;
mod dynamic;
pub mod field;
mod given;
mod hosters;
mod registrars;
mod servers;

use std::time::Duration;

use dns_update::DnsUpdater;

pub use self::field::{Field, Kind, Place, Presence};
pub use self::given::Given;

/// How long one HTTP request to a service may take.
const REQUEST_LIMIT: Option<Duration> = Some(Duration::from_secs(10));

/// A DNS service, and what `config` must contain for it.
#[derive(Clone, Copy, Debug)]
pub struct Provider {
    /// Its name in `config`.
    pub name: &'static str,
    /// Its name in sentences.
    pub title: &'static str,
    /// Where the service describes its API or its tokens.
    pub docs: &'static str,
    /// How far it is tested.
    pub tier: Tier,
    /// Its fields.
    pub fields: &'static [Field],
    /// The rights that its credentials need.
    pub rights: &'static str,
    /// What else its users must know.
    pub note: Option<&'static str>,
    /// How many values it keeps at a name.
    pub holds: Holds,
    /// The time to live of new values in seconds, if `config` has none.
    pub ttl: u32,
    /// Whether `config` must name the zone.
    pub needs_zone: bool,
    /// Whether each change writes the whole zone, so that two names of a zone must not be changed at once.
    pub writes_zones: bool,
    /// How to connect to it. All required fields are given.
    pub(crate) connect: Connect,
}

/// How a service is connected to.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Connect {
    /// With a client of the crate `dns-update`.
    Known(Client),
    /// With our client of Route 53.
    Aws,
    /// With our client of Google Cloud DNS.
    Google,
    /// With our client of Azure DNS.
    Azure,
    /// With our client of Akamai Edge DNS.
    Akamai,
}

/// Makes a client of the crate.
pub(crate) type Client = fn(&Given) -> dns_update::Result<DnsUpdater>;

/// How far a provider is tested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tier {
    /// Against the service's own software, an emulator, or a fake made from its public API documents.
    One,
    /// Only that its configuration is checked.
    Two,
}

/// How many values a service keeps at a name, and whether it shows them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holds {
    /// Any number, which it lists.
    Many,
    /// One, which it does not show: a second value replaces the first.
    One,
}

/// Names by which people know a service, and its name here.
const OTHER_NAMES: &[(&str, &str)] = &[
    ("aws", "route53"),
    ("azuredns", "azure"),
    ("bluecatv2", "bluecat"),
    ("clouddns", "google"),
    ("edgedns", "akamai"),
    ("gandiv5", "gandi"),
    ("gcloud", "google"),
    ("he", "hurricane"),
    ("pdns", "powerdns"),
    ("simplycom", "simply"),
    ("zoneeu", "zoneee"),
];

/// All providers, ordered by name.
#[must_use]
pub fn all() -> Vec<&'static Provider> {
    let tables = [
        clouds::PROVIDERS,
        dynamic::PROVIDERS,
        hosters::PROVIDERS,
        registrars::PROVIDERS,
        servers::PROVIDERS,
    ];
    let mut all: Vec<_> = tables.into_iter().flatten().collect();
    all.sort_unstable_by_key(|provider| provider.name);
    all
}

/// The provider of that name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Provider> {
    all().into_iter().find(|provider| provider.name == name)
}

/// The names of providers that somebody who wrote `name` may mean, the best first.
#[must_use]
pub fn similar(name: &str) -> Vec<&'static str> {
    const MOST: usize = 3;
    const LEAST: f64 = 0.8;
    let name = name.to_ascii_lowercase();
    if let Some((_, known)) = OTHER_NAMES.iter().find(|(other, _)| *other == name) {
        return vec![known];
    }
    let alike = |one: &'static str| (strsim::jaro_winkler(one, &name), one);
    let mut names: Vec<_> = all().into_iter().map(|provider| alike(provider.name)).collect();
    names.retain(|(likeness, _)| *likeness >= LEAST);
    names.sort_by(|one, other| other.0.total_cmp(&one.0));
    names.into_iter().take(MOST).map(|(_, name)| name).collect()
}

const fn provider(
    name: &'static str,
    title: &'static str,
    docs: &'static str,
    fields: &'static [Field],
    rights: &'static str,
    client: Client,
) -> Provider {
    cloud(name, title, docs, fields, rights, Connect::Known(client))
}

/// A provider with credentials that may be short-lived.
const fn cloud(
    name: &'static str,
    title: &'static str,
    docs: &'static str,
    fields: &'static [Field],
    rights: &'static str,
    connect: Connect,
) -> Provider {
    Provider {
        name,
        title,
        docs,
        tier: Tier::Two,
        fields,
        rights,
        note: None,
        holds: Holds::Many,
        ttl: 120,
        needs_zone: false,
        writes_zones: false,
        connect,
    }
}

impl Provider {
    const fn tested(self) -> Self {
        Self { tier: Tier::One, ..self }
    }

    const fn note(self, note: &'static str) -> Self {
        Self { note: Some(note), ..self }
    }

    const fn one_value(self) -> Self {
        Self { holds: Holds::One, ..self }
    }

    const fn ttl(self, ttl: u32) -> Self {
        Self { ttl, ..self }
    }

    const fn needs_zone(self) -> Self {
        Self { needs_zone: true, ..self }
    }

    const fn writes_zones(self) -> Self {
        Self { writes_zones: true, ..self }
    }

    /// The field of that name.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.name == name)
    }
}

#[cfg(test)]
mod tests;
