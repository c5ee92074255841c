//! What a kept authorization means for the Certificates of the issuer.

use jiff::Timestamp;

use certwright_acme::AuthorizationStatus;
use certwright_api::IssuerStatus;

/// A name that the account is authorized for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authorized {
    /// The name, in lower case.
    pub name: String,
    /// Whether the CA says that this covers the subdomains (RFC 9444).
    pub subdomains: bool,
    /// Since when.
    pub since: Timestamp,
}

/// The names that `account` is authorized for when it is `at_ca` at the CA.
pub fn authorized(status: &IssuerStatus, account: &str, at_ca: Timestamp) -> Vec<Authorized> {
    let valid = status.authorizations.iter().filter(|entry| {
        let expired = entry.expires.as_ref().is_some_and(|expires| expires.0 <= at_ca);
        entry.state == AuthorizationStatus::Valid.as_str()
            && !expired
            && entry.account.as_deref() == Some(account)
    });
    let authorized = valid.filter_map(|entry| {
        let since = entry.valid_since.as_ref()?.0;
        Some(Authorized { name: entry.dns_name.to_ascii_lowercase(), subdomains: entry.subdomains, since })
    });
    authorized.collect()
}

/// The domain above `name` that the CA says is authorized with its subdomains: the longest one.
pub fn ancestor<'a>(authorized: &'a [Authorized], name: &str) -> Option<&'a str> {
    let above = authorized.iter().filter(|one| one.subdomains && is_below(name, &one.name));
    above.map(|one| one.name.as_str()).max_by_key(|name| name.len())
}

impl Authorized {
    /// Whether the CA may accept this for `name`, which may be a wildcard. Some CAs let a name cover its subdomains without saying so.
    pub fn may_cover(&self, name: &str) -> bool {
        name.eq_ignore_ascii_case(&self.name) || is_below(name, &self.name)
    }
}

/// Whether `name` is a subdomain of `domain`, which is in lower case.
fn is_below(name: &str, domain: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name.strip_suffix(domain).is_some_and(|head| head.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(name: &str, subdomains: bool) -> Authorized {
        Authorized { name: name.to_owned(), subdomains, since: Timestamp::UNIX_EPOCH }
    }

    #[test]
    fn the_longest_domain_above_a_name_is_its_ancestor_if_the_ca_says_that_it_covers_subdomains() {
        let all = [one("example.com", true), one("a.example.com", true), one("b.example.com", false)];
        for (name, expected) in [
            ("www.example.com", Some("example.com")),
            ("WWW.A.Example.com", Some("a.example.com")),
            ("*.example.com", Some("example.com")),
            ("www.b.example.com", Some("example.com")),
            ("a.example.com", Some("example.com")),
            ("example.com", None),
            ("notexample.com", None),
            ("example.org", None),
        ] {
            assert_eq!(ancestor(&all, name), expected, "{name}");
        }
    }

    #[test]
    fn a_name_may_be_covered_by_itself_and_by_what_is_above() {
        let one = one("example.com", false);
        for name in ["example.com", "EXAMPLE.com", "*.example.com", "a.b.example.com"] {
            assert!(one.may_cover(name), "{name}");
        }
        for name in ["com", "notexample.com", "example.com.test"] {
            assert!(!one.may_cover(name), "{name}");
        }
    }
}
