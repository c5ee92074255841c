//! What forbids it, and the record that would allow it, in words and as it is in a zone file.

use super::{Forbidden, Property, Request, Why, allows};
use crate::issue_value::IssueValue;
use certwright_text::clean;

/// The longest value of a record that is quoted in full, and that another one repeats.
const LONGEST_VALUE: usize = 200;
/// The longest tag that is quoted in full.
const LONGEST_TAG: usize = 20;
/// How many records are quoted.
const MOST_RECORDS: usize = 5;
/// How many names are listed.
const MOST_NAMES: usize = 5;

/// What would allow the CA to issue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// Another record, with the flag 0.
    Add {
        /// Its tag.
        tag: &'static str,
        /// Its value.
        value: String,
    },
    /// The record without its critical flag, or no such record.
    Remove,
}

impl Remedy {
    /// A record for the CA with as many restrictions as `closest`.
    pub(super) fn set(tag: &'static str, request: &Request<'_>, closest: Option<&IssueValue<'_>>) -> Self {
        let issuer = closest.map(|grant| grant.issuer).or(request.identities.first().map(String::as_str));
        let mut value = issuer.unwrap_or_default().to_owned();
        let (mut has_account, mut has_method) = (false, false);
        for (parameter, theirs) in closest.iter().flat_map(|grant| &grant.parameters) {
            let ours = match *parameter {
                "accounturi" if std::mem::replace(&mut has_account, true) => None,
                "accounturi" => request.account.filter(|account| is_value(account)),
                "validationmethods" if std::mem::replace(&mut has_method, true) => None,
                "validationmethods" if !allows(theirs, request.method) => request.method,
                _ if theirs.len() + value.len() > LONGEST_VALUE => None,
                _ => Some(*theirs),
            };
            if let Some(ours) = ours {
                value.push_str(&format!("; {parameter}={ours}"));
            }
        }
        Self::Add { tag, value }
    }
}

impl Forbidden {
    /// What the records forbid to the CA that `ca` stands for, without a period.
    pub fn words(&self, ca: &str, names: &[&str]) -> String {
        format!(
            "the CAA records of {} do not allow {ca} to issue for {}: {}",
            self.domain,
            listed(names, MOST_NAMES),
            self.why.words()
        )
    }

    /// What to do, without a period.
    pub fn what_to_do(&self) -> String {
        let domain = &self.domain;
        let what = match &self.remedy {
            Remedy::Add { tag, value } => {
                format!("add the record {domain}. IN CAA 0 {tag} {}", quoted(value))
            }
            Remedy::Remove => "remove the critical flag or that record".to_owned(),
        };
        format!("{what}, and check the result with: dig {domain} CAA")
    }
}

impl Why {
    fn words(&self) -> String {
        let quote = |records: &[String]| {
            listed(&records.iter().map(String::as_str).collect::<Vec<_>>(), MOST_RECORDS)
        };
        match self {
            Self::Critical { tag } => format!("the tag {tag} is critical, and CAs do not know it"),
            Self::OtherCas { records } => format!("none of them is for this CA ({})", quote(records)),
            Self::OtherAccount { records } => {
                format!("those for this CA are for another account ({})", quote(records))
            }
            Self::OtherMethod { records, method } => {
                let method = method.as_ref().map_or("any method", String::as_str);
                format!("those for this CA do not allow validation with {method} ({})", quote(records))
            }
        }
    }
}

/// A record as it is in a zone file, without its name.
pub(super) fn shown(property: &Property) -> String {
    let flags = if property.critical { 128 } else { 0 };
    let value = clean(&String::from_utf8_lossy(&property.value), LONGEST_VALUE);
    format!("{flags} {} {}", shown_tag(&property.tag), quoted(&value))
}

pub(super) fn shown_tag(tag: &str) -> String {
    clean(tag, LONGEST_TAG)
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// `a`; `a and b`; `a, b and 7 more`.
fn listed(all: &[&str], most: usize) -> String {
    let more = all.len().saturating_sub(most);
    let mut shown: Vec<String> = all.iter().take(most).map(|one| (*one).to_owned()).collect();
    if more > 0 {
        shown.push(format!("{more} more"));
    }
    match shown.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
        None => String::new(),
    }
}

/// Whether it can be the value of a parameter.
fn is_value(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b';')
}
