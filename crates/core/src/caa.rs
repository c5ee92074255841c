//! Whether CAA records allow a CA to issue a certificate for a name (RFC 8659), with an account and a validation method (RFC 8657).
//!
//! The CA checks the same, and its answer counts. So whatever is uncertain counts as allowed here: only a name that the CA must
//! refuse is forbidden.

mod words;

pub use self::words::Remedy;

use crate::issue_value::{IssueValue, is_domain, is_label};

/// Tags that some CAs understand, although they do not restrict certificates for servers: RFC 8659 section 4.4, RFC 9495, and the
/// requirements of the CA/Browser Forum.
const OTHER_TAGS: [&str; 5] = ["iodef", "issuemail", "issuevmc", "contactemail", "contactphone"];

/// A CAA record (RFC 8659 section 4.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Property {
    /// Whether a CA that does not understand the tag must not issue.
    pub critical: bool,
    /// What the property is about: `issue`, `issuewild` and others. Ignores case.
    pub tag: String,
    /// Its value, as it was in the answer.
    pub value: Vec<u8>,
}

/// The CAA records that apply to a name: those of the closest domain that has any (RFC 8659 section 3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelevantSet {
    /// The domain that has the records, without a trailing dot: the name itself, the target of its CNAME, or a parent.
    pub domain: String,
    /// The records.
    pub properties: Vec<Property>,
}

/// A request for a certificate.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The name in the certificate. It begins with `*.` if it is a wildcard.
    pub name: &'a str,
    /// The names that stand for the CA in CAA records, see [`usable`].
    pub identities: &'a [String],
    /// The URL of the account, if it is known.
    pub account: Option<&'a str>,
    /// The type of the challenge that validates the name, if it is known.
    pub method: Option<&'a str>,
}

/// CAA records forbid the CA to issue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forbidden {
    /// The domain that has the records.
    pub domain: String,
    /// Why.
    pub why: Why,
    /// What would allow it.
    pub remedy: Remedy,
}

/// Why CAA records forbid the CA to issue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// A critical property has a tag that CAs do not know.
    Critical {
        /// The tag.
        tag: String,
    },
    /// No record is for this CA.
    OtherCas {
        /// The records that apply to the name.
        records: Vec<String>,
    },
    /// Records for this CA are for other accounts.
    OtherAccount {
        /// The records for this CA.
        records: Vec<String>,
    },
    /// Records for this CA and this account do not allow the validation method.
    OtherMethod {
        /// The records for this CA.
        records: Vec<String>,
        /// The validation method. If it is not known, no record allows any.
        method: Option<String>,
    },
}

/// The identities of a CA that can be in a CAA record (RFC 8659 section 4.2), in lower case.
pub fn usable(identities: &[String]) -> Vec<String> {
    let names = identities.iter().map(|name| name.trim_end_matches('.').to_ascii_lowercase());
    names.filter(|name| !name.is_empty() && is_domain(name)).collect()
}

/// Whether `set` allows what is requested.
///
/// # Errors
/// [`Forbidden`]
pub fn check(request: &Request<'_>, set: &RelevantSet) -> Result<(), Forbidden> {
    let forbidden = |why, remedy| Forbidden { domain: set.domain.clone(), why, remedy };
    if let Some(tag) = critical_unknown(set) {
        return Err(forbidden(Why::Critical { tag: words::shown_tag(tag) }, Remedy::Remove));
    }
    let is_wildcard = request.name.starts_with("*.");
    let tag = if is_wildcard && set.has("issuewild") { "issuewild" } else { "issue" };
    let applying: Vec<&Property> = set.of(tag).collect();
    if applying.is_empty() {
        return Ok(());
    }
    // The constraint that each record for this CA does not meet.
    let mut unmet: Vec<(&Property, IssueValue<'_>, Constraint)> = Vec::new();
    for property in &applying {
        let Some(grant) = IssueValue::parse(&property.value) else { continue };
        if !request.identities.iter().any(|identity| identity.eq_ignore_ascii_case(grant.issuer)) {
            continue;
        }
        match grant.unmet(request) {
            None => return Ok(()),
            Some(constraint) => unmet.push((property, grant, constraint)),
        }
    }
    let records = |properties: &[&Property]| properties.iter().map(|one| words::shown(one)).collect();
    // The record that is closest to allowing it: its restrictions stay in the one that would.
    let closest = unmet.iter().max_by_key(|(.., constraint)| *constraint);
    let remedy = Remedy::set(tag, request, closest.map(|(_, grant, _)| grant));
    let of_ca: Vec<&Property> = unmet.iter().map(|(property, ..)| *property).collect();
    Err(forbidden(
        match closest {
            None => Why::OtherCas { records: records(&applying) },
            Some((.., Constraint::Account)) => Why::OtherAccount { records: records(&of_ca) },
            Some((.., Constraint::Method)) => {
                Why::OtherMethod { records: records(&of_ca), method: request.method.map(str::to_owned) }
            }
        },
        remedy,
    ))
}

/// The tag of a critical property that no CA knows.
fn critical_unknown(set: &RelevantSet) -> Option<&str> {
    let known = |tag: &str| {
        let mut all = ["issue", "issuewild"].iter().chain(&OTHER_TAGS);
        all.any(|known| known.eq_ignore_ascii_case(tag))
    };
    let unknown = set.properties.iter().find(|property| property.critical && !known(&property.tag));
    unknown.map(|property| property.tag.as_str())
}

impl RelevantSet {
    fn has(&self, tag: &str) -> bool {
        self.of(tag).next().is_some()
    }

    fn of(&self, tag: &str) -> impl Iterator<Item = &Property> {
        self.properties.iter().filter(move |property| property.tag.eq_ignore_ascii_case(tag))
    }
}

/// A restriction of RFC 8657, in the order in which they are checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Constraint {
    Account,
    Method,
}

impl<'a> IssueValue<'a> {
    /// The constraint that the request does not meet.
    fn unmet(&self, request: &Request<'_>) -> Option<Constraint> {
        let account = self.value_of("accounturi").is_none_or(|value| {
            value.is_some_and(|value| request.account.is_none_or(|ours| may_be_same_account(value, ours)))
        });
        let method = self
            .value_of("validationmethods")
            .is_none_or(|value| value.is_some_and(|value| allows(value, request.method)));
        match (account, method) {
            (false, _) => Some(Constraint::Account),
            (true, false) => Some(Constraint::Method),
            (true, true) => None,
        }
    }

    /// The value of a parameter of RFC 8657, if there is one; `Some(None)` if there are several, which nothing satisfies.
    fn value_of(&self, tag: &str) -> Option<Option<&'a str>> {
        let mut values = self.parameters.iter().filter(|(known, _)| *known == tag).map(|(_, value)| *value);
        let first = values.next()?;
        Some(values.next().is_none().then_some(first))
    }
}

/// Whether a CA may consider both to be the same account. Some CAs know an account by several URLs with the same last segment,
/// such as Let's Encrypt, whose first API had others, and a URI of another kind may be for an account at the CA to which the ACME
/// account is bound.
fn may_be_same_account(theirs: &str, ours: &str) -> bool {
    match theirs.split_once(':') {
        Some((scheme, _)) if scheme.eq_ignore_ascii_case("https") || scheme.eq_ignore_ascii_case("http") => {
            theirs == ours || last_segment(theirs) == last_segment(ours)
        }
        Some((scheme, _)) => is_label(scheme),
        None => false,
    }
}

fn last_segment(url: &str) -> Option<&str> {
    url.rsplit('/').next().filter(|segment| !segment.is_empty())
}

/// Whether the list `methods` (RFC 8657 section 4) allows a method, if it is known. A list that does not match the grammar allows
/// none.
fn allows(methods: &str, method: Option<&str>) -> bool {
    let is_method = |method: &str| {
        !method.is_empty() && method.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    let has = |method: &str| methods.split(',').any(|one| one.eq_ignore_ascii_case(method));
    methods.split(',').all(is_method) && method.is_none_or(has)
}

#[cfg(test)]
mod tests;
