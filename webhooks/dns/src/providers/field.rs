//! The fields of a provider: what they are called, and what they may contain.

use reqwest::Url;

/// The longest text of a setting, and of a Secret's content that is one line.
const MAX_TEXT: usize = 1024;
/// The longest content of a Secret that is a document.
const MAX_DOCUMENT: usize = 32 << 10;

/// A field of a provider.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Its name in `config`.
    pub name: &'static str,
    /// Where it is in `config`.
    pub place: Place,
    /// What it contains.
    pub kind: Kind,
    /// Whether it may be missing.
    pub presence: Presence,
    /// What it is for, for the documentation.
    pub about: &'static str,
    /// Whether messages may show it, as some services do in theirs.
    pub shown: bool,
}

/// Where a field is in `config`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In a Secret that `credentials` names.
    Credentials,
    /// In `settings`, or in a Secret that `credentials` names.
    Settings,
}

/// Whether a field may be missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// It must be given.
    Required,
    /// It may be missing.
    Optional,
    /// This is used if it is missing.
    Default(&'static str),
    /// It may be missing if this process has credentials of its own.
    UnlessAmbient,
}

/// What a field contains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One line of printable characters.
    Text,
    /// Several lines: a private key or a JSON document.
    Document,
    /// A whole number.
    Integer,
    /// `true` or `false`.
    Boolean,
    /// One of these.
    OneOf(&'static [&'static str]),
    /// A region: small letters, digits and hyphens.
    Region,
    /// An HTTP or HTTPS URL of a server that the issuer's author chooses.
    Url,
    /// A server with an HTTPS API that the issuer's author chooses: a host name or an address, and a port if it is not 443.
    Host,
    /// A name server that the issuer's author chooses, written alike; the port is 53 by default.
    NameServer,
    /// A host name that ends with this domain.
    HostUnder(&'static str),
}

/// A field that must be in a Secret.
pub(super) const fn credential(name: &'static str, about: &'static str) -> Field {
    let (place, kind, presence) = (Place::Credentials, Kind::Text, Presence::Required);
    Field { name, place, kind, presence, about, shown: false }
}

/// A field that is no secret.
pub(super) const fn setting(name: &'static str, about: &'static str) -> Field {
    let (place, kind, presence) = (Place::Settings, Kind::Text, Presence::Required);
    Field { name, place, kind, presence, about, shown: false }
}

impl Field {
    pub(super) const fn kind(self, kind: Kind) -> Self {
        Self { kind, ..self }
    }

    pub(super) const fn optional(self) -> Self {
        Self { presence: Presence::Optional, ..self }
    }

    pub(super) const fn or(self, default: &'static str) -> Self {
        Self { presence: Presence::Default(default), ..self }
    }

    pub(super) const fn unless_ambient(self) -> Self {
        Self { presence: Presence::UnlessAmbient, ..self }
    }

    pub(super) const fn shown(self) -> Self {
        Self { shown: true, ..self }
    }

    /// Whether it may be in a Secret: it must, or it is a text like a user's name, which no message shows. Whoever writes an issuer may
    /// not be allowed to read that Secret.
    #[must_use]
    pub fn may_be_in_secret(&self) -> bool {
        self.place == Place::Credentials || (self.kind == Kind::Text && !self.shown)
    }

    /// What it must look like, in words that follow "must be".
    #[must_use]
    pub fn form(&self) -> String {
        match self.kind {
            Kind::Text => format!("one line of at most {MAX_TEXT} printable characters"),
            Kind::Document => format!("a text of at most {} KiB", MAX_DOCUMENT >> 10),
            Kind::Integer => "a whole number of at most 9 digits".to_owned(),
            Kind::Boolean => "true or false".to_owned(),
            Kind::OneOf(values) => format!("one of {}", values.join(", ")),
            Kind::Region => "a region of at most 64 small letters, digits and hyphens".to_owned(),
            Kind::Url => "an http:// or https:// URL without user, query or fragment".to_owned(),
            Kind::Host => "a host name or an address, with a port if it is not 443".to_owned(),
            Kind::NameServer => {
                "a host name or an address, with a port if it is not 53, as in ns1.example.com:53".to_owned()
            }
            Kind::HostUnder(domain) => format!("a host name that ends with {domain}"),
        }
    }

    /// Whether `text` may be its content.
    #[must_use]
    pub fn admits(&self, text: &str) -> bool {
        match self.kind {
            Kind::Text => is_line(text),
            Kind::Document => !text.is_empty() && text.len() <= MAX_DOCUMENT && !text.contains('\0'),
            Kind::Integer => (1..=9).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit()),
            Kind::Boolean => matches!(text, "true" | "false"),
            Kind::OneOf(values) => values.contains(&text),
            Kind::Region => (1..=64).contains(&text.len()) && text.bytes().all(is_of_region),
            Kind::Url => is_line(text) && is_plain_url(text),
            Kind::Host | Kind::NameServer => host_and_port(text, 53).is_some(),
            Kind::HostUnder(domain) => {
                text.len() <= 253
                    && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-".contains(&byte))
                    && text.to_ascii_lowercase().strip_suffix(domain).is_some_and(|label| !label.is_empty())
            }
        }
    }
}

fn is_line(text: &str) -> bool {
    (1..=MAX_TEXT).contains(&text.len()) && !text.chars().any(char::is_control)
}

fn is_of_region(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-'
}

fn is_plain_url(text: &str) -> bool {
    Url::parse(text).is_ok_and(|url| {
        matches!(url.scheme(), "http" | "https")
            && url.has_host()
            && url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none()
    })
}

/// The host, without brackets, and the port, which is `default` if none is given.
pub(crate) fn host_and_port(text: &str, default: u16) -> Option<(String, u16)> {
    if text.len() > 260 || !text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte))
    {
        return None;
    }
    let port = |text: &str| text.parse::<u16>().ok().filter(|port| *port > 0);
    let (host, port) = match (text.strip_prefix('['), text.matches(':').count()) {
        (Some(rest), _) => {
            let (host, rest) = rest.split_once(']')?;
            host.parse::<std::net::Ipv6Addr>().ok()?;
            (host, if rest.is_empty() { default } else { port(rest.strip_prefix(':')?)? })
        }
        (None, 0) => (text, default),
        (None, 1) => {
            let (host, rest) = text.split_once(':')?;
            (host, port(rest)?)
        }
        (None, _) => {
            text.parse::<std::net::Ipv6Addr>().ok()?;
            (text, default)
        }
    };
    let is_host = !host.is_empty() && !host.contains(['[', ']']);
    is_host.then(|| (host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_admits_only_what_its_form_says() {
        let admits = |kind, text: &str| setting("x", "").kind(kind).admits(text);
        for (kind, good, bad) in [
            (Kind::Text, vec!["a b", "ü"], vec!["", "a\nb", "\u{7f}"]),
            (Kind::Document, vec!["a\nb"], vec!["", "\0"]),
            (Kind::Integer, vec!["0", "999999999"], vec!["", "-1", "1.0", "1000000000", "+1"]),
            (Kind::Boolean, vec!["true", "false"], vec!["True", "1", ""]),
            (Kind::OneOf(&["a", "b"]), vec!["a", "b"], vec!["c", ""]),
            (Kind::Region, vec!["eu-west-1"], vec!["", "EU", "a.b", "a/b"]),
            (
                Kind::Url,
                vec!["http://a:8081", "https://a.example/x/"],
                vec!["ftp://a", "a", "http://u@a", "http://u:p@a", "http://a?b", "http://a#b", "http://"],
            ),
            (
                Kind::NameServer,
                vec!["a", "a.example:53", "192.0.2.1", "192.0.2.1:1", "::1", "[::1]", "[::1]:5353"],
                vec!["", "a:", "a:0", "a:70000", "[::1", "[a]:53", "a/b", "a b", "1:2:3", ":53", "u@a"],
            ),
            (
                Kind::HostUnder(".akamaiapis.net"),
                vec!["akab-x.luna.akamaiapis.net", "A.Akamaiapis.NET"],
                vec!["", ".akamaiapis.net", "a.example", "a.akamaiapis.net.example", "a/.akamaiapis.net"],
            ),
        ] {
            good.iter().for_each(|text| assert!(admits(kind, text), "{kind:?} {text:?}"));
            bad.iter().for_each(|text| assert!(!admits(kind, text), "{kind:?} {text:?}"));
        }
        assert!(!admits(Kind::Text, &"a".repeat(MAX_TEXT + 1)));
        assert!(!admits(Kind::Document, &"a".repeat(MAX_DOCUMENT + 1)));
    }

    #[test]
    fn a_port_that_is_not_given_is_the_usual_one() {
        let read = |text| host_and_port(text, 53).map(|(host, port)| format!("{host} {port}"));
        assert_eq!(read("ns.example").as_deref(), Some("ns.example 53"));
        assert_eq!(read("ns.example:5353").as_deref(), Some("ns.example 5353"));
        assert_eq!(read("[2001:db8::1]:54").as_deref(), Some("2001:db8::1 54"));
        assert_eq!(read("2001:db8::1").as_deref(), Some("2001:db8::1 53"));
    }
}
