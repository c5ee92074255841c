//! Where a challenge's record belongs: CNAMEs followed, and the zone found.

use hickory_resolver::proto::rr::{Name, RecordType};
use tokio::time::timeout;

use super::resolver::{Answer, Resolver, ServerFailures, fully_qualified};
use super::{base_domain, undotted};

/// The label under the validated name (RFC 8555 section 8.4).
const CHALLENGE_LABEL: &str = "_acme-challenge";
/// CAs follow fewer.
const MAX_HOPS: usize = 16;

/// What to do about CNAME records at the challenge's name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum CnameStrategy {
    /// Put the record at `_acme-challenge.<name>`.
    #[default]
    None,
    /// Put the record where the CNAMEs lead, as CAs look there.
    Follow,
}

/// Where a challenge's record belongs.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Location {
    /// The name of the TXT record, in lower case, with the trailing dot.
    pub fqdn: String,
    /// The zone that holds it, in lower case, with the trailing dot.
    pub zone: String,
}

/// Why it is not known where a challenge's record belongs. `Display` is stable; names have no trailing dot.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LocateError {
    /// Not a DNS name.
    #[error("{name:?} is not a DNS name")]
    NotAName {
        /// What was given.
        name: String,
    },
    /// No name server looked a name up.
    #[error(
        "looking up {name}{} failed: {failures}; see to these name servers or name others for dns-01",
        from.as_ref().map(|from| format!(", where the CNAME at {from} leads,")).unwrap_or_default()
    )]
    Lookup {
        /// The name, or what it is if it is made up.
        name: String,
        /// The challenge's name, if it is a CNAME there that leads to `name`.
        from: Option<String>,
        /// What each server did instead.
        failures: ServerFailures,
    },
    /// The CNAME is none that somebody put at the challenge's name: it comes for any name there.
    #[error(
        "{name} has no record of its own, but a wildcard CNAME catches it and leads to {target}: add a CNAME at {name} \
         that leads to where challenges shall be answered, or set cnameStrategy to None so that the TXT record is put \
         at {name} itself"
    )]
    WildcardCname {
        /// The challenge's name.
        name: String,
        /// Where the CNAME leads.
        target: String,
    },
    /// CNAMEs that lead back to where they came from.
    #[error(
        "the CNAMEs at {name} go round in a circle ({}); let the last lead to where the TXT record shall be",
        path.join(" to ")
    )]
    CnameLoop {
        /// The challenge's name.
        name: String,
        /// The names in their order; the last occurs earlier, too.
        path: Vec<String>,
    },
    /// More CNAMEs in a row than are followed.
    #[error("the CNAMEs at {name} are more than {MAX_HOPS} in a row; shorten the chain, as CAs follow fewer")]
    TooManyCnames {
        /// The challenge's name.
        name: String,
    },
    /// The CNAMEs end at a name that no zone holds.
    #[error(
        "the CNAME at {name} leads to {target}, and there is no such domain; create its zone or let the CNAME lead \
         elsewhere"
    )]
    DanglingCname {
        /// The challenge's name.
        name: String,
        /// Where the last CNAME leads.
        target: String,
    },
    /// No zone holds the challenge's name.
    #[error(
        "there is no zone for {name}: no such domain is in DNS as these name servers see it; create it, or name others"
    )]
    NoZone {
        /// The challenge's name.
        name: String,
    },
    /// The lookups took too long altogether.
    #[error(
        "the lookups for {name} took too long altogether; see to the name servers or name others for dns-01"
    )]
    OutOfTime {
        /// The challenge's name.
        name: String,
    },
}

impl LocateError {
    /// The variant's name, as event reason and metric label.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NotAName { .. } => "NotAName",
            Self::Lookup { .. } => "Lookup",
            Self::WildcardCname { .. } => "WildcardCname",
            Self::CnameLoop { .. } => "CnameLoop",
            Self::TooManyCnames { .. } => "TooManyCnames",
            Self::DanglingCname { .. } => "DanglingCname",
            Self::NoZone { .. } => "NoZone",
            Self::OutOfTime { .. } => "OutOfTime",
        }
    }

    /// The same, telling by which challenge's CNAME the name was come upon.
    fn come_upon_at(self, challenge: &Name) -> Self {
        match self {
            Self::Lookup { name, failures, .. } => {
                let from = Some(shown(challenge)).filter(|from| !is_at_or_below(from, &name));
                Self::Lookup { name, from, failures }
            }
            other => other,
        }
    }
}

impl Resolver {
    /// Where the record that validates `name` belongs. A leading `*.` does not matter, nor does a trailing dot.
    ///
    /// Takes 30 seconds at most, and one query where there is no CNAME and the answer to it names the zone, as it
    /// usually does. That answer is "no such name" before the record is there, and a recursive server may remember
    /// that for a while: as long as the zone's SOA says.
    pub async fn locate(&self, name: &str, strategy: CnameStrategy) -> Result<Location, LocateError> {
        let challenge = challenge_name(name)?;
        let located = async {
            match strategy {
                CnameStrategy::None => self.locate_as_it_is(&challenge).await,
                CnameStrategy::Follow => self.locate_following(&challenge).await,
            }
        };
        timeout(self.time_limit(), located)
            .await
            .unwrap_or_else(|_| Err(LocateError::OutOfTime { name: shown(&challenge) }))
    }

    async fn locate_as_it_is(&self, challenge: &Name) -> Result<Location, LocateError> {
        let answer = self.look_up(challenge, RecordType::SOA).await?;
        let zone = self.zone(challenge, &answer).await?;
        let zone = zone.ok_or_else(|| LocateError::NoZone { name: shown(challenge) })?;
        Ok(Location { fqdn: challenge.to_ascii(), zone: zone.to_ascii() })
    }

    /// Follows one CNAME after the other, as a server that does so in one go answers SERVFAIL to whatever is wrong
    /// on the way.
    async fn locate_following(&self, challenge: &Name) -> Result<Location, LocateError> {
        let mut path = vec![challenge.clone()];
        loop {
            let end = path.last().unwrap_or(challenge).clone();
            let answer =
                self.look_up(&end, RecordType::CNAME).await.map_err(|error| error.come_upon_at(challenge))?;
            let Some(target) = answer.cname(&end) else {
                let zone = self.zone(&end, &answer).await.map_err(|error| error.come_upon_at(challenge))?;
                return match zone {
                    Some(zone) => Ok(Location { fqdn: end.to_ascii(), zone: zone.to_ascii() }),
                    None => Err(no_zone(challenge, &end)),
                };
            };
            if path.len() == 1 {
                self.refuse_wildcard(challenge, &target).await?;
            }
            let looping = path.contains(&target);
            path.push(target);
            if looping {
                let path = path.iter().map(shown).collect();
                return Err(LocateError::CnameLoop { name: shown(challenge), path });
            }
            if path.len() > MAX_HOPS + 1 {
                return Err(LocateError::TooManyCnames { name: shown(challenge) });
            }
        }
    }

    /// A made-up name beside the challenge's has the same CNAME only if that is made for every name (RFC 4592).
    async fn refuse_wildcard(&self, challenge: &Name, target: &Name) -> Result<(), LocateError> {
        let parent = challenge.base_name();
        // A name so long that nothing fits beside it.
        let Ok(sibling) = parent.prepend_label(made_up_label()) else { return Ok(()) };
        let answer = self.recurse(&sibling, RecordType::CNAME).await.map_err(|failures| {
            let name = format!("a made-up name under {}", shown(&parent));
            LocateError::Lookup { name, from: None, failures }
        })?;
        match answer.cname(&sibling) {
            Some(same) if same == *target => {
                Err(LocateError::WildcardCname { name: shown(challenge), target: shown(target) })
            }
            _ => Ok(()),
        }
    }

    /// The zone of `name`: `answer`, which is about it, names it in most cases; else its ancestors are asked.
    async fn zone(&self, name: &Name, answer: &Answer) -> Result<Option<Name>, LocateError> {
        let mut zone = answer.zone_of(name);
        let mut ancestor = name.base_name();
        while zone.is_none() && !ancestor.is_root() {
            zone = self.look_up(&ancestor, RecordType::SOA).await?.zone_of(&ancestor);
            ancestor = ancestor.base_name();
        }
        match zone {
            Some(zone) if zone.is_root() => Ok(None),
            Some(zone) if labels(&zone) == 1 && !self.has_domain(&zone, name).await? => Ok(None),
            zone => Ok(zone),
        }
    }

    /// Whether the domain right below the top-level domain `zone` exists. A public one answers for each domain that
    /// nobody has; a private one may well hold names of its own.
    async fn has_domain(&self, zone: &Name, name: &Name) -> Result<bool, LocateError> {
        let domain = fully_qualified(name.trim_to(labels(zone) + 1));
        // The challenge of the top-level domain itself, which need not be there yet.
        if domain.iter().next() == Some(CHALLENGE_LABEL.as_bytes()) {
            return Ok(true);
        }
        Ok(!self.look_up(&domain, RecordType::SOA).await?.is_nx_domain())
    }

    async fn look_up(&self, name: &Name, kind: RecordType) -> Result<Answer, LocateError> {
        let looked_up = self.recurse(name, kind).await;
        looked_up.map_err(|failures| LocateError::Lookup { name: shown(name), from: None, failures })
    }
}

fn challenge_name(name: &str) -> Result<Name, LocateError> {
    let error = || LocateError::NotAName { name: name.to_owned() };
    let base = base_domain(name);
    let base = base.strip_suffix('.').unwrap_or(base);
    // Other characters are possible in DNS, but no CA issues for them.
    let usual = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if base.is_empty() || !base.chars().all(usual) {
        return Err(error());
    }
    let text = format!("{CHALLENGE_LABEL}.{}.", base.to_ascii_lowercase());
    Name::from_ascii(text).map_err(|_| error())
}

fn no_zone(challenge: &Name, end: &Name) -> LocateError {
    let name = shown(challenge);
    if challenge == end {
        LocateError::NoZone { name }
    } else {
        LocateError::DanglingCname { name, target: shown(end) }
    }
}

/// Whether `name` is `ancestor` or below it.
fn is_at_or_below(name: &str, ancestor: &str) -> bool {
    name.strip_suffix(ancestor).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// As many labels as there are, an asterisk included.
fn labels(name: &Name) -> usize {
    name.iter().len()
}

fn made_up_label() -> String {
    // Only that nobody has it matters, so that a failing random generator does no harm.
    let mut random = [0; 8];
    let _ = aws_lc_rs::rand::fill(&mut random);
    format!("certwright-{:016x}", u64::from_be_bytes(random))
}

/// A name as it stands in a sentence.
pub(super) fn shown(name: &Name) -> String {
    undotted(&name.to_ascii()).to_owned()
}
