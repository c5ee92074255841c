//! Looks up the CAA records that apply to names (RFC 8659 section 3).

use std::collections::{BTreeMap, BTreeSet};
use std::iter;

use futures::{StreamExt, stream};
use hickory_resolver::proto::rr::{Name, RecordType};
use tokio::time::timeout;

use super::locate::{MAX_HOPS, domain_name, shown};
use super::resolver::{DnsResponse, Resolver, ServerFailure, ServerFailures};
use super::transport::Request;

/// The number of domains that are looked up concurrently.
const AT_ONCE: usize = 16;

/// A CAA record.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CaaRecord {
    /// Whether a CA that does not understand the tag must not issue.
    pub critical: bool,
    /// The tag.
    pub tag: String,
    /// The value.
    pub value: Vec<u8>,
}

/// The CAA records of a domain, at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaaRecords {
    /// The domain that has them, without a trailing dot: after CNAMEs.
    pub domain: String,
    /// The records, sorted.
    pub records: Vec<CaaRecord>,
}

/// Why it is not known which CAA records apply to a name. `Display` is stable; names have no trailing dot.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CaaLookupError {
    /// Not a DNS name.
    #[error("{name:?} is not a DNS name")]
    NotAName {
        /// The given name.
        name: String,
    },
    /// No name server answered a lookup.
    #[error("looking up the CAA records of {domain} failed: {failures}")]
    Lookup {
        /// The name or its parent.
        domain: String,
        /// Why each server failed.
        failures: ServerFailures,
    },
    /// There are more CNAMEs in a row than are followed, or they form a loop.
    #[error("looking up the CAA records of {domain} failed: there are more than {MAX_HOPS} CNAMEs in a row")]
    TooManyCnames {
        /// The name or its parent.
        domain: String,
    },
    /// The lookups took too long in total.
    #[error("looking up the CAA records of {domain} took too long")]
    OutOfTime {
        /// The name or its parent.
        domain: String,
    },
}

impl CaaLookupError {
    /// The domain whose lookup failed because a server answered SERVFAIL.
    fn servfail(&self) -> Option<&str> {
        let Self::Lookup { domain, failures } = self else { return None };
        failures.0.iter().any(|(_, failure)| *failure == ServerFailure::ServFail).then_some(domain)
    }
}

impl Resolver {
    /// The CAA records that apply to each of `names`: those of the name, or else of the closest parent that has any. A leading
    /// `*.` is ignored.
    ///
    /// Takes at most 30 seconds. The names and all their parents, which names share, are queried at the same time; names without
    /// an answer by then count as failed.
    pub async fn caa(
        &self,
        names: &BTreeSet<String>,
    ) -> BTreeMap<String, Result<Option<CaaRecords>, CaaLookupError>> {
        let domains: BTreeSet<Name> =
            names.iter().filter_map(|name| domain_name(name)).flat_map(with_parents).collect();
        let mut answers = BTreeMap::new();
        let collected = async {
            let ask = async |domain: Name| (self.caa_at(&domain).await, domain);
            let mut asked = stream::iter(domains).map(ask).buffer_unordered(AT_ONCE);
            while let Some((answer, domain)) = asked.next().await {
                answers.insert(domain, answer);
            }
        };
        // What has been answered by then counts.
        let _ = timeout(self.time_limit(), collected).await;
        names.iter().map(|name| (name.clone(), closest(name, &answers))).collect()
    }

    /// Whether `error` is due to DNSSEC: a name server that answers SERVFAIL has an answer if it is asked not to check signatures.
    pub async fn is_bogus(&self, error: &CaaLookupError) -> bool {
        let Some(domain) = error.servfail().and_then(domain_name) else { return false };
        for server in self.servers() {
            let checked = self.ask_recursive(server, &domain, RecordType::CAA).await;
            let request = Request::query_unchecked(&domain, RecordType::CAA);
            if checked.err() == Some(ServerFailure::ServFail)
                && self.ask_recursive_with(server, request).await.is_ok()
            {
                return true;
            }
        }
        false
    }

    /// The CAA records of one domain. Recursive servers follow CNAMEs; if the answer ends at one, its target is queried.
    async fn caa_at(&self, domain: &Name) -> Result<Option<CaaRecords>, CaaLookupError> {
        let mut end = domain.clone();
        let mut hops = 0;
        loop {
            let begin = end.clone();
            let answer = self.recurse(&begin, RecordType::CAA).await;
            let answer =
                answer.map_err(|failures| CaaLookupError::Lookup { domain: shown(domain), failures })?;
            while let Some(target) = answer.cname(&end) {
                (end, hops) = (target, hops + 1);
                if hops > MAX_HOPS {
                    return Err(CaaLookupError::TooManyCnames { domain: shown(domain) });
                }
            }
            let records = records(&answer, &end);
            if !records.is_empty() {
                return Ok(Some(CaaRecords { domain: shown(&end), records }));
            }
            if end == begin || answer.is_nx_domain() || answer.negative_soa().is_some() {
                return Ok(None);
            }
        }
    }
}

/// The CAA records of `name` in an answer, sorted, because servers shuffle them.
pub(super) fn records(answer: &DnsResponse, name: &Name) -> Vec<CaaRecord> {
    let records = answer.caa(name).map(|caa| CaaRecord {
        critical: caa.issuer_critical,
        tag: caa.tag.clone(),
        value: caa.value.clone(),
    });
    let mut records = records.collect::<Vec<_>>();
    records.sort_unstable();
    records.dedup();
    records
}

type Answers = BTreeMap<Name, Result<Option<CaaRecords>, CaaLookupError>>;

/// The records of the closest domain that has any.
fn closest(name: &str, answers: &Answers) -> Result<Option<CaaRecords>, CaaLookupError> {
    let start = domain_name(name).ok_or_else(|| CaaLookupError::NotAName { name: name.to_owned() })?;
    for domain in with_parents(start) {
        match answers.get(&domain) {
            Some(Ok(None)) => {}
            Some(answer) => return answer.clone(),
            None => return Err(CaaLookupError::OutOfTime { domain: shown(&domain) }),
        }
    }
    Ok(None)
}

/// The name and its parents, except the root.
fn with_parents(name: Name) -> impl Iterator<Item = Name> {
    iter::successors(Some(name), |name| Some(name.base_name())).take_while(|name| !name.is_root())
}
