//! Checks whether a record is publicly visible.

use std::fmt;
use std::net::IpAddr;

use futures::future::join_all;
use hickory_resolver::proto::rr::{Name, RecordType};
use tokio::time::timeout;

use super::locate::{Location, shown};
use super::resolver::{DnsResponse, Recursive, Resolver, ServerFailure, ServerFailures, fully_qualified};
use super::undotted;
use certwright_api::PropagationCheck;

/// The maximum number of a zone's name servers that are queried. The root has this many, and no registry accepts more for a
/// domain.
const MAX_NAME_SERVERS: usize = 13;
/// The maximum number of addresses of one name server that are queried.
const MAX_ADDRESSES: usize = 4;

/// Why a record is not visible. `Display` is stable; names have no trailing dot.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotVisible {
    /// Servers were queried, and these do not have the record.
    #[error("{} of {asked} {whose} have the TXT record at {fqdn}: {}", asked - lacking.len(), Listed(lacking))]
    Lacking {
        /// The name of the record.
        fqdn: String,
        /// Which servers were queried, in words.
        whose: String,
        /// How many were queried.
        asked: usize,
        /// Those that do not have it, sorted by name.
        lacking: Vec<ServerReport>,
    },
    /// The zone's name servers could not be found.
    #[error(
        "finding the name servers of {zone} failed: {failures}; check these name servers, or configure others for dns-01"
    )]
    NameServers {
        /// The zone.
        zone: String,
        /// Why each recursive server failed.
        failures: ServerFailures,
    },
    /// The zone has no NS records.
    #[error("the zone {zone} has no NS records; add them, or set propagation.check to Recursive")]
    NoNameServers {
        /// The zone.
        zone: String,
    },
    /// The location does not come from [`Resolver::locate`].
    #[error("{name:?} is not a DNS name")]
    NotAName {
        /// The given name.
        name: String,
    },
    /// The queries took too long in total.
    #[error("querying the TXT record at {fqdn} took too long; check the name servers")]
    OutOfTime {
        /// The name of the record.
        fqdn: String,
    },
}

/// A server that does not have a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerReport {
    /// Its name and address, or as configured.
    pub server: String,
    /// What it returned instead.
    pub what: Lacking,
}

impl fmt::Display for ServerReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.server, self.what)
    }
}

/// What a server returned instead of the record. `Display` continues a sentence that begins with the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lacking {
    /// The name does not exist there (NXDOMAIN).
    NoSuchName {
        /// How long a recursive server may cache that, in seconds; from the zone's SOA (RFC 2308 section 5).
        cached_at_most: Option<u32>,
    },
    /// The name exists, but has no TXT record.
    NoTxt {
        /// As above.
        cached_at_most: Option<u32>,
    },
    /// There are TXT records, but with other values.
    OtherValues,
    /// There is a CNAME record, so there cannot be a TXT record.
    Cname {
        /// Its target.
        target: String,
    },
    /// The server does not serve the zone, though the zone names it (RFC 8499: a lame delegation).
    Lame,
    /// The server should serve the zone, but answered SERVFAIL.
    NotLoaded,
    /// The server's name has no address.
    NoAddress,
    /// The server's address could not be looked up.
    AddressLookup(ServerFailures),
    /// The server did not answer the query.
    Failure(ServerFailure),
}

impl fmt::Display for Lacking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSuchName { cached_at_most } => {
                write!(f, "has no such name (NXDOMAIN){}", Cached(*cached_at_most))
            }
            Self::NoTxt { cached_at_most } => write!(f, "has no TXT record there{}", Cached(*cached_at_most)),
            Self::OtherValues => f.write_str("has TXT records with other values there"),
            Self::Cname { target } => {
                write!(
                    f,
                    "has a CNAME there that points to {target}; set cnameStrategy to Follow or remove it"
                )
            }
            Self::Lame => f.write_str("does not serve the zone, although an NS record names it"),
            Self::NotLoaded => {
                f.write_str("answered SERVFAIL (it has not loaded the zone, or its copy is too old)")
            }
            Self::NoAddress => f.write_str("has no address in DNS, although an NS record names it"),
            Self::AddressLookup(failures) => write!(f, "has an address that cannot be looked up: {failures}"),
            Self::Failure(failure) => failure.fmt(f),
        }
    }
}

struct Cached(Option<u32>);

impl fmt::Display for Cached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(seconds) => {
                write!(f, "; it may have cached that, for at most {seconds} s (the zone's SOA minimum)")
            }
            None => Ok(()),
        }
    }
}

struct Listed<'a>(&'a [ServerReport]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, report) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{report}")?;
        }
        Ok(())
    }
}

/// The TXT values that a server has at a name, and what it means if the sought one is not among them.
#[derive(Clone, Debug)]
struct Held {
    values: Vec<Vec<u8>>,
    otherwise: Lacking,
}

impl Held {
    /// How many there are, if `value` is one of them.
    fn with(self, value: &str) -> Result<usize, Lacking> {
        match self.values.iter().any(|found| found == value.as_bytes()) {
            true => Ok(self.values.len()),
            false => Err(self.otherwise),
        }
    }

    /// The values, unless there is something else at the name.
    fn any(self) -> Result<Vec<Vec<u8>>, Lacking> {
        match self.otherwise {
            Lacking::NoSuchName { .. } | Lacking::NoTxt { .. } | Lacking::OtherValues => Ok(self.values),
            other if self.values.is_empty() => Err(other),
            _ => Ok(self.values),
        }
    }
}

/// Which servers were queried, in words, and what each answered, at each of its addresses.
type Answers<T> = (String, Vec<Result<Vec<T>, ServerReport>>);

impl Resolver {
    /// Checks whether the servers that `check` selects have `value` among the TXT records at `location`. Returns the largest number
    /// of values that a server has there. Recursive servers may have cached that there was no record.
    ///
    /// All are queried once, at the same time; it does not wait for a record to appear. Takes at most 30 seconds.
    pub async fn visible(
        &self,
        location: &Location,
        value: &str,
        check: PropagationCheck,
    ) -> Result<usize, NotVisible> {
        let counts = self.held(location, check, |held| held.with(value)).await?;
        Ok(counts.into_iter().max().unwrap_or_default())
    }

    /// The TXT values at `location`, as each of the servers has them that `check` selects. Otherwise like [`Self::visible`].
    pub async fn txt_values(
        &self,
        location: &Location,
        check: PropagationCheck,
    ) -> Result<Vec<Vec<Vec<u8>>>, NotVisible> {
        self.held(location, check, Held::any).await
    }

    /// What `judge` makes of the answer of each server.
    async fn held<T>(
        &self,
        location: &Location,
        check: PropagationCheck,
        judge: impl Fn(Held) -> Result<T, Lacking>,
    ) -> Result<Vec<T>, NotVisible> {
        let asked = async {
            match check {
                PropagationCheck::Authoritative => self.held_by_authoritative(location, &judge).await,
                PropagationCheck::Recursive => self.held_by_recursive(location, &judge).await,
            }
        };
        let out_of_time = || NotVisible::OutOfTime { fqdn: undotted(&location.fqdn).to_owned() };
        let answers = timeout(self.time_limit(), asked).await.unwrap_or_else(|_| Err(out_of_time()))?;
        verdict(location, answers)
    }

    async fn held_by_authoritative<T>(
        &self,
        location: &Location,
        judge: &impl Fn(Held) -> Result<T, Lacking>,
    ) -> Result<Answers<T>, NotVisible> {
        let zone = undotted(&location.zone).to_owned();
        let (zone_name, fqdn) = (parsed(&location.zone)?, parsed(&location.fqdn)?);
        let mut names = self
            .recurse(&zone_name, RecordType::NS)
            .await
            .map_err(|failures| NotVisible::NameServers { zone: zone.clone(), failures })?
            .name_servers();
        if names.is_empty() {
            return Err(NotVisible::NoNameServers { zone });
        }
        let mut whose = format!("name servers of {zone}");
        if names.len() > MAX_NAME_SERVERS {
            whose = format!("{whose} (it has {}, of which {MAX_NAME_SERVERS} are queried)", names.len());
            names.truncate(MAX_NAME_SERVERS);
        }
        let reports = names.iter().map(|server| self.ask_name_server(server, &fqdn, judge));
        Ok((whose, join_all(reports).await))
    }

    async fn held_by_recursive<T>(
        &self,
        location: &Location,
        judge: &impl Fn(Held) -> Result<T, Lacking>,
    ) -> Result<Answers<T>, NotVisible> {
        let whose = "recursive name servers".to_owned();
        let fqdn = parsed(&location.fqdn)?;
        let reports = self.servers().iter().map(|server| self.ask_cache(server, &fqdn, judge));
        Ok((whose, join_all(reports).await))
    }

    /// Queries the name server called `server` at each of its addresses. An address that does not answer matters only if none
    /// does: there may be no IPv6 here, for example.
    async fn ask_name_server<T>(
        &self,
        server: &Name,
        fqdn: &Name,
        judge: &impl Fn(Held) -> Result<T, Lacking>,
    ) -> Result<Vec<T>, ServerReport> {
        let addresses = self.addresses(server).await;
        let addresses = addresses.map_err(|what| ServerReport { server: shown(server), what })?;
        let ask = |address: IpAddr| async move {
            let answer = self.ask_authoritative(address, fqdn, RecordType::TXT).await;
            (address, held_by_server(answer, fqdn).and_then(judge))
        };
        let answers = join_all(addresses.into_iter().map(ask)).await;
        let silent =
            |found: &Result<T, Lacking>| matches!(found, Err(Lacking::Failure(ServerFailure::NoAnswer(_))));
        let any_answered = answers.iter().any(|(_, found)| !silent(found));
        let of_interest = answers.into_iter().filter(|(_, found)| !any_answered || !silent(found));
        let server = |address| format!("{} ({address})", shown(server));
        of_interest
            .map(|(address, found)| found.map_err(|what| ServerReport { server: server(address), what }))
            .collect()
    }

    async fn addresses(&self, server: &Name) -> Result<Vec<IpAddr>, Lacking> {
        let (six, four) =
            tokio::join!(self.recurse(server, RecordType::AAAA), self.recurse(server, RecordType::A));
        let addresses = match (six, four) {
            (Ok(six), Ok(four)) => some_of_both(six.addresses(), four.addresses()),
            (Ok(found), Err(_)) | (Err(_), Ok(found)) if !found.addresses().is_empty() => {
                some_of_both(found.addresses(), Vec::new())
            }
            (_, Err(failures)) | (Err(failures), _) => return Err(Lacking::AddressLookup(failures)),
        };
        if addresses.is_empty() { Err(Lacking::NoAddress) } else { Ok(addresses) }
    }

    async fn ask_cache<T>(
        &self,
        server: &Recursive,
        fqdn: &Name,
        judge: &impl Fn(Held) -> Result<T, Lacking>,
    ) -> Result<Vec<T>, ServerReport> {
        let answer = self.ask_recursive(server, fqdn, RecordType::TXT).await;
        let found = answer.map_err(Lacking::Failure).map(held_by_cache).and_then(judge);
        let report = |what| ServerReport { server: server.to_string(), what };
        found.map(|found| vec![found]).map_err(report)
    }
}

/// The addresses to query, of both families if there are both: there may be no IPv6 here.
fn some_of_both(mut six: Vec<IpAddr>, mut four: Vec<IpAddr>) -> Vec<IpAddr> {
    six.truncate(MAX_ADDRESSES - four.len().min(MAX_ADDRESSES / 2));
    four.truncate(MAX_ADDRESSES - six.len());
    [six, four].concat()
}

/// What a server has that should serve the zone.
fn held_by_server(answer: Result<DnsResponse, ServerFailure>, fqdn: &Name) -> Result<Held, Lacking> {
    let answer = match answer {
        Ok(answer) => answer,
        Err(ServerFailure::ServFail) => return Err(Lacking::NotLoaded),
        Err(failure) => return Err(Lacking::Failure(failure)),
    };
    let values: Vec<Vec<u8>> = answer.txt_values().collect();
    let otherwise = match answer.cname(fqdn) {
        // The response code is about the CNAME's target.
        Some(target) => Lacking::Cname { target: shown(&target) },
        None if !answer.is_authoritative() => Lacking::Lame,
        None if answer.is_nx_domain() => Lacking::NoSuchName { cached_at_most: None },
        None if values.is_empty() => Lacking::NoTxt { cached_at_most: None },
        None => Lacking::OtherValues,
    };
    Ok(Held { values, otherwise })
}

/// What a recursive server has.
fn held_by_cache(answer: DnsResponse) -> Held {
    let values: Vec<Vec<u8>> = answer.txt_values().collect();
    let cached_at_most = answer.negative_soa().map(|soa| soa.minimum);
    let otherwise = match values.is_empty() {
        false => Lacking::OtherValues,
        true if answer.is_nx_domain() => Lacking::NoSuchName { cached_at_most },
        true => Lacking::NoTxt { cached_at_most },
    };
    Held { values, otherwise }
}

fn verdict<T>(location: &Location, (whose, reports): Answers<T>) -> Result<Vec<T>, NotVisible> {
    let asked = reports.len();
    let (mut found, mut lacking) = (Vec::new(), Vec::new());
    for report in reports {
        match report {
            Ok(of_server) => found.extend(of_server),
            Err(report) => lacking.push(report),
        }
    }
    lacking.sort_unstable_by(|a, b| a.server.cmp(&b.server));
    if lacking.is_empty() {
        return Ok(found);
    }
    Err(NotVisible::Lacking { fqdn: undotted(&location.fqdn).to_owned(), whose, asked, lacking })
}

fn parsed(name: &str) -> Result<Name, NotVisible> {
    let parsed = Name::from_ascii(name).map_err(|_| NotVisible::NotAName { name: name.to_owned() });
    parsed.map(fully_qualified)
}
