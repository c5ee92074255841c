//! Finds where a challenge's record belongs: follows CNAMEs and finds the zone.

use hickory_resolver::proto::rr::{Name, RecordType};
use tokio::time::timeout;

use super::resolver::{DnsResponse, Resolver, ServerFailures, fully_qualified};
use super::{base_domain, undotted};
use certwright_api::CnameStrategy;

/// The label of the records of dns-01 (RFC 8555 section 8.4).
pub const CHALLENGE_LABEL: &str = "_acme-challenge";
/// CAs follow fewer.
pub(super) const MAX_HOPS: usize = 16;

/// Where a challenge's record belongs.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Location {
    /// The name of the TXT record, in lower case, with a trailing dot.
    pub fqdn: String,
    /// The zone that contains it, in lower case, with a trailing dot.
    pub zone: String,
    /// The target of a wildcard CNAME that the name matches as long as it has no record of its own. It is not followed.
    pub passed_over: Option<String>,
}

/// Why the location of a challenge's record could not be found. `Display` is stable; names have no trailing dot.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LocateError {
    /// Not a DNS name.
    #[error("{name:?} is not a DNS name")]
    NotAName {
        /// The given name.
        name: String,
    },
    /// No name server answered a lookup.
    #[error(
        "looking up {name}{} failed: {failures}; check these name servers, or configure others for dns-01",
        from.as_ref().map(|from| format!(" (the target of the CNAME at {from})")).unwrap_or_default()
    )]
    Lookup {
        /// The name, or a description of a random name.
        name: String,
        /// The challenge's name, if a CNAME there points to `name`.
        from: Option<String>,
        /// Why each server failed.
        failures: ServerFailures,
    },
    /// The CNAMEs form a loop.
    #[error(
        "the CNAMEs at {name} form a loop ({}); point the last one to the name of the TXT record",
        path.join(" to ")
    )]
    CnameLoop {
        /// The challenge's name.
        name: String,
        /// The names in order; the last one also occurs earlier.
        path: Vec<String>,
    },
    /// There are more CNAMEs in a row than are followed.
    #[error(
        "there are more than {MAX_HOPS} CNAMEs in a row at {name}; shorten the chain, because CAs follow fewer"
    )]
    TooManyCnames {
        /// The challenge's name.
        name: String,
    },
    /// The CNAMEs end at a name without a zone.
    #[error(
        "the CNAME at {name} points to {target}, but there is no such domain; create its zone, or point the CNAME \
         elsewhere"
    )]
    DanglingCname {
        /// The challenge's name.
        name: String,
        /// The target of the last CNAME.
        target: String,
    },
    /// There is no zone for the challenge's name.
    #[error(
        "there is no zone for {name}: the name servers find no such domain; create it, or configure others for dns-01"
    )]
    NoZone {
        /// The challenge's name.
        name: String,
    },
    /// The lookups took too long in total.
    #[error("the lookups for {name} took too long; check the name servers, or configure others for dns-01")]
    OutOfTime {
        /// The challenge's name.
        name: String,
    },
}

impl LocateError {
    /// The same error, with the challenge whose CNAME led to the name.
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
    /// Finds where the record that validates `name` belongs: at `label`, which may be several labels, below the name. A leading
    /// `*.` or trailing dot of the name is ignored.
    ///
    /// Takes at most 30 seconds, and one query if there is no CNAME and the answer names the zone, as it usually does. Before
    /// the record exists, that answer is "no such name", and a recursive server may cache it for as long as the zone's SOA
    /// says.
    pub async fn locate(
        &self,
        label: &str,
        name: &str,
        strategy: CnameStrategy,
    ) -> Result<Location, LocateError> {
        let challenge = challenge_name(label, name)?;
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
        Ok(Location { fqdn: challenge.to_ascii(), zone: zone.to_ascii(), passed_over: None })
    }

    /// Follows the CNAMEs one by one, because a server that follows them itself answers SERVFAIL to any problem on the way.
    async fn locate_following(&self, challenge: &Name) -> Result<Location, LocateError> {
        let mut path = vec![challenge.clone()];
        loop {
            let end = path.last().unwrap_or(challenge).clone();
            let answer =
                self.look_up(&end, RecordType::CNAME).await.map_err(|error| error.come_upon_at(challenge))?;
            let Some(target) = answer.cname(&end) else {
                let zone = self.zone(&end, &answer).await.map_err(|error| error.come_upon_at(challenge))?;
                return match zone {
                    Some(zone) => {
                        Ok(Location { fqdn: end.to_ascii(), zone: zone.to_ascii(), passed_over: None })
                    }
                    None => Err(no_zone(challenge, &end)),
                };
            };
            if path.len() == 1 && self.is_wildcard(challenge, &target).await? {
                // It swallows every name by accident. The record makes the name one of its own.
                let location = self.locate_as_it_is(challenge).await?;
                return Ok(Location { passed_over: Some(shown(&target)), ..location });
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

    /// Whether the CNAME to `target` is not at the challenge's name itself, but a wildcard: a random name next to it has the same
    /// only then (RFC 4592).
    async fn is_wildcard(&self, challenge: &Name, target: &Name) -> Result<bool, LocateError> {
        let parent = challenge.base_name();
        // The name is so long that no random name fits.
        let Ok(sibling) = parent.prepend_label(made_up_label()) else { return Ok(false) };
        let answer = self.recurse(&sibling, RecordType::CNAME).await.map_err(|failures| {
            let name = format!("a random name under {}", shown(&parent));
            LocateError::Lookup { name, from: None, failures }
        })?;
        Ok(answer.cname(&sibling).is_some_and(|same| same == *target))
    }

    /// The zone of `name`. In most cases `answer`, the answer to a query for `name`, names it; otherwise the parent names are
    /// queried.
    async fn zone(&self, name: &Name, answer: &DnsResponse) -> Result<Option<Name>, LocateError> {
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

    /// Whether the domain directly below the top-level domain `zone` exists. A public top-level domain answers for every
    /// unregistered domain; a private one may contain names itself.
    async fn has_domain(&self, zone: &Name, name: &Name) -> Result<bool, LocateError> {
        let domain = fully_qualified(name.trim_to(labels(zone) + 1));
        // The challenge of the top-level domain itself, which may not exist yet.
        if domain.iter().next().is_some_and(|label| label.starts_with(b"_")) {
            return Ok(true);
        }
        Ok(!self.look_up(&domain, RecordType::SOA).await?.is_nx_domain())
    }

    async fn look_up(&self, name: &Name, kind: RecordType) -> Result<DnsResponse, LocateError> {
        let looked_up = self.recurse(name, kind).await;
        looked_up.map_err(|failures| LocateError::Lookup { name: shown(name), from: None, failures })
    }
}

fn challenge_name(label: &str, name: &str) -> Result<Name, LocateError> {
    let below = |name: Name| label.rsplit('.').try_fold(name, |name, label| name.prepend_label(label));
    let challenge = domain_name(name).and_then(|name| below(name).ok());
    challenge.map(fully_qualified).ok_or_else(|| LocateError::NotAName { name: name.to_owned() })
}

/// The domain that is validated for `name`, without `*.`, in lower case.
pub(super) fn domain_name(name: &str) -> Option<Name> {
    let base = base_domain(name);
    let base = base.strip_suffix('.').unwrap_or(base);
    // DNS permits other characters, but no CA issues certificates for them.
    let usual = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let is_usual = !base.is_empty() && base.chars().all(usual);
    is_usual.then(|| Name::from_ascii(format!("{}.", base.to_ascii_lowercase())).ok())?
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

/// The number of labels, including an asterisk.
fn labels(name: &Name) -> usize {
    name.iter().len()
}

fn made_up_label() -> String {
    // The name only has to be unused, so a failing random generator does no harm.
    let mut random = [0; 8];
    let _ = aws_lc_rs::rand::fill(&mut random);
    format!("certwright-{:016x}", u64::from_be_bytes(random))
}

/// A name as shown in messages.
pub(super) fn shown(name: &Name) -> String {
    undotted(&name.to_ascii()).to_owned()
}
