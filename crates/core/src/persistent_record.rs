//! The TXT record that proves control of a name for as long as it is there (draft-ietf-acme-dns-persist). A person sets it once, at
//! `_validation-persist.<name>`; Certwright says what it must be, and looks for it before it tells the CA.
//!
//! Two drafts differ in how the record names the account: by its URL (draft 01), or by a hash of its URL, its key and the name
//! (draft 02). What the CA offers decides.

mod accounts;
mod unfit;

pub use self::accounts::PersistentAccount;
pub use self::unfit::Unfit;

use jiff::Timestamp;

use crate::issue_value::{IssueValue, is_domain, issuer_of};
use certwright_acme::{Challenge, Meta};
use certwright_api::{DnsPersist01Solver, PersistPolicy};

/// The label of the record, below the validated name.
pub const LABEL: &str = "_validation-persist";
/// The maximum number of names of a CA (section 3.1 of the draft).
const MOST_ISSUERS: usize = 10;
/// The maximum number of characters of a domain name.
const LONGEST_NAME: usize = 253;
/// The maximum number of octets of a character-string in a TXT record (RFC 1035 section 3.3).
const LONGEST_STRING: usize = 255;

/// What a CA accepts in the record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// The names of the CA, of which one must be in the record.
    issuers: Vec<String>,
    /// Whether the record may have the account's URL.
    by_url: bool,
    /// What comes before the hash, if the record may have the account's hash.
    hash_prefix: Option<String>,
}

/// The record for a name, an account and a CA.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PersistentRecord {
    /// The validated name, without `*.`.
    name: String,
    /// The names of the CA. The record that is shown has the first.
    issuers: Vec<String>,
    /// How the record may name the account. The record that is shown has the first.
    accounts: Vec<String>,
    /// What comes before hashes of this CA, if the account had other keys before: the CA accepts their hashes, too, and nobody
    /// else knows them.
    earlier_hashes: Option<String>,
    /// Whether it must allow wildcards.
    for_wildcard: bool,
    /// Whether the record that is shown allows wildcards.
    shows_wildcard: bool,
    /// When the record that is shown ends.
    shows_until: Option<Timestamp>,
}

/// Why there is no record to set. `Display` continues a sentence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoRecord {
    /// The CA's offer is not usable.
    #[error(
        "the CA's offer of dns-persist-01 is malformed: it must have 1 to {MOST_ISSUERS} domain names of the CA in lower case"
    )]
    Issuers,
    /// The CA expects a hash of the account, but does not say what comes before it.
    #[error("the CA's directory has no accountHashPrefix, without which no record can name the account")]
    NoPrefix,
    /// The account's URL cannot be in a record.
    #[error("the URL of the account cannot be in a TXT record for dns-persist-01: {url}")]
    AccountUrl {
        /// The URL.
        url: String,
    },
    /// The account's URL is not at the CA, so a record could allow somebody else's account at another CA.
    #[error(
        "the URL of the account, {url}, is not at the host of the CA's directory, so no record for it is shown"
    )]
    Elsewhere {
        /// The URL.
        url: String,
    },
}

impl Offer {
    /// What the challenge of an authorization offers. `hash_prefix` is what the CA's directory says.
    pub fn of_challenge(challenge: &Challenge, hash_prefix: Option<&str>) -> Result<Self, NoRecord> {
        Self::new(&challenge.issuer_domain_names, &challenge.issuer_domain_names_01, hash_prefix)
    }

    /// What the CA's directory says, before there is a challenge. The names of draft 01 are those in CAA records.
    pub fn of_directory(meta: &Meta) -> Result<Self, NoRecord> {
        let prefix = meta.account_hash_prefix.as_deref();
        let by_url = if meta.issuer_domain_names.is_empty() { &meta.caa_identities[..] } else { &[] };
        Self::new(&meta.issuer_domain_names, by_url, prefix)
    }

    fn new(by_hash: &[String], by_url: &[String], hash_prefix: Option<&str>) -> Result<Self, NoRecord> {
        let hash_prefix = hash_prefix.filter(|prefix| !by_hash.is_empty() && is_parameter(prefix));
        let issuers = if hash_prefix.is_some() { by_hash } else { by_url };
        if issuers.is_empty() && !by_hash.is_empty() {
            return Err(NoRecord::NoPrefix);
        }
        let is_usable = |name: &String| {
            name.len() <= LONGEST_NAME && is_domain(name) && !name.contains(|c: char| c.is_ascii_uppercase())
        };
        if issuers.is_empty() || issuers.len() > MOST_ISSUERS || !issuers.iter().all(is_usable) {
            return Err(NoRecord::Issuers);
        }
        Ok(Self {
            issuers: issuers.to_vec(),
            by_url: !by_url.is_empty(),
            hash_prefix: hash_prefix.map(str::to_owned),
        })
    }
}

impl PersistentRecord {
    /// The record for `full_name`, which begins with `*.` if it is a wildcard.
    ///
    /// # Errors
    /// [`NoRecord`]
    pub fn new(
        full_name: &str,
        offer: &Offer,
        account: &PersistentAccount<'_>,
        solver: &DnsPersist01Solver,
    ) -> Result<Self, NoRecord> {
        let for_wildcard = full_name.starts_with("*.");
        let name = full_name.trim_start_matches("*.").trim_end_matches('.').to_ascii_lowercase();
        let accounts = accounts::accepted(&name, offer, account)?;
        let wants_wildcard = solver.policy == Some(PersistPolicy::Wildcard);
        Ok(Self {
            name,
            issuers: offer.issuers.clone(),
            accounts,
            earlier_hashes: offer.hash_prefix.clone().filter(|_| account.rolled_over),
            for_wildcard,
            shows_wildcard: for_wildcard || wants_wildcard,
            shows_until: solver.persist_until.as_ref().map(|time| time.0),
        })
    }

    /// Its name, without a trailing dot.
    pub fn fqdn(&self) -> String {
        format!("{LABEL}.{}", self.name)
    }

    /// Its value.
    pub fn value(&self) -> String {
        let (issuer, account) = (self.issuers.first(), self.accounts.first());
        let mut value = format!(
            "{}; accounturi={}",
            issuer.map(String::as_str).unwrap_or_default(),
            account.map(String::as_str).unwrap_or_default()
        );
        if self.shows_wildcard {
            value.push_str("; policy=wildcard");
        }
        if let Some(until) = self.shows_until {
            value.push_str(&format!("; persistUntil={}", until.as_second()));
        }
        value
    }

    /// The record as it is in a zone file.
    pub fn zone_line(&self) -> String {
        let value = self.value();
        let strings = value.as_bytes().chunks(LONGEST_STRING).map(|part| {
            let part = String::from_utf8_lossy(part).replace('\\', "\\\\").replace('"', "\\\"");
            format!("\"{part}\"")
        });
        format!("{}. IN TXT {}", self.fqdn(), strings.collect::<Vec<_>>().join(" "))
    }

    /// Whether one of the TXT values at the record's name is accepted at `now`, and until when; `None` means for ever.
    ///
    /// # Errors
    /// [`Unfit`], about the value that is closest to being accepted.
    pub fn check(&self, values: &[Vec<u8>], now: Timestamp) -> Result<Option<Timestamp>, Unfit> {
        let is_of_ca = |value: &&Vec<u8>| {
            issuer_of(value).is_some_and(|issuer| self.issuers.iter().any(|ours| ours == issuer))
        };
        let of_ca = values.iter().filter(is_of_ca);
        let judged: Vec<Result<Option<Timestamp>, Unfit>> =
            of_ca.map(|value| self.judge(value, now)).collect();
        // The one that lasts longest.
        let fit = judged.iter().filter_map(|judged| judged.as_ref().ok());
        if let Some(until) = fit.max_by_key(|until| until.unwrap_or(Timestamp::MAX)) {
            return Ok(*until);
        }
        let closest = judged.into_iter().filter_map(Result::err).max_by_key(Unfit::closeness);
        Err(closest.unwrap_or(match values.len() {
            0 => Unfit::Missing,
            others => Unfit::OtherCas { others },
        }))
    }

    fn judge(&self, value: &[u8], now: Timestamp) -> Result<Option<Timestamp>, Unfit> {
        let unfit = |why: fn(String) -> Unfit| why(unfit::shown(value));
        let parsed = IssueValue::parse(value).ok_or_else(|| unfit(|value| Unfit::Malformed { value }))?;
        // Pebble, for one, accepts no semicolon at the end.
        let mut tags: Vec<String> =
            parsed.parameters.iter().map(|(tag, _)| tag.to_ascii_lowercase()).collect();
        tags.sort_unstable();
        if tags.windows(2).any(|pair| pair.first() == pair.last()) || value.trim_ascii_end().ends_with(b";") {
            return Err(unfit(|value| Unfit::Malformed { value }));
        }
        let of = |tag: &str| {
            let mut found = parsed.parameters.iter().filter(|(known, _)| known.eq_ignore_ascii_case(tag));
            found.next().map(|(_, value)| *value)
        };
        let until = match of("persistUntil").map(|text| text.parse().map(Timestamp::from_second)) {
            None => None,
            Some(Ok(Ok(until))) => Some(until),
            Some(Ok(Err(_)) | Err(_)) => return Err(unfit(|value| Unfit::Malformed { value })),
        };
        if !of("accounturi").is_some_and(|account| self.is_ours(account)) {
            return Err(unfit(|value| Unfit::OtherAccount { value }));
        }
        let allows_wildcards = of("policy").is_some_and(|policy| policy.eq_ignore_ascii_case("wildcard"));
        if self.for_wildcard && !allows_wildcards {
            return Err(unfit(|value| Unfit::NoWildcards { value }));
        }
        match until {
            Some(until) if until < now => Err(Unfit::Ended { until }),
            until => Ok(until),
        }
    }

    fn is_ours(&self, account: &str) -> bool {
        let of_earlier_key =
            || self.earlier_hashes.as_ref().is_some_and(|prefix| account.starts_with(prefix));
        self.accounts.iter().any(|ours| ours == account) || of_earlier_key()
    }
}

/// Whether it can be the value of a parameter.
fn is_parameter(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b';')
}

#[cfg(test)]
mod tests;
