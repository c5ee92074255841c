//! The syntax of issue values (RFC 8659 section 4.2), which CAA records and the records of dns-persist-01 have.

/// A parsed issue value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IssueValue<'a> {
    /// The CA; empty if the value allows none.
    pub issuer: &'a str,
    /// Parameters, in order.
    pub parameters: Vec<(&'a str, &'a str)>,
}

impl<'a> IssueValue<'a> {
    /// `None` if the value does not match the grammar, in which case it allows no CA.
    pub fn parse(value: &'a [u8]) -> Option<Self> {
        let text = std::str::from_utf8(value).ok()?;
        let (issuer, rest) = text.split_once(';').map_or((text, None), |(issuer, rest)| (issuer, Some(rest)));
        let issuer = trimmed(issuer);
        if !issuer.is_empty() && !is_domain(issuer) {
            return None;
        }
        let rest = rest.map(trimmed).filter(|rest| !rest.is_empty());
        let parameters = rest.iter().flat_map(|rest| rest.split(';')).map(|parameter| {
            let (tag, value) = parameter.split_once('=')?;
            let (tag, value) = (trimmed(tag), trimmed(value));
            (is_label(tag) && value.bytes().all(|byte| byte.is_ascii_graphic())).then_some((tag, value))
        });
        Some(Self { issuer, parameters: parameters.collect::<Option<_>>()? })
    }
}

/// The CA of a value, even if the rest does not match the grammar.
pub(crate) fn issuer_of(value: &[u8]) -> Option<&str> {
    let issuer = value.split(|byte| *byte == b';').next().unwrap_or_default();
    std::str::from_utf8(issuer).ok().map(trimmed)
}

/// Letters, digits and hyphens between dots.
pub(crate) fn is_domain(text: &str) -> bool {
    text.split('.').all(is_label)
}

/// Letters, digits and hyphens, which are neither first nor last.
pub(crate) fn is_label(text: &str) -> bool {
    let usual = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    usual && !text.is_empty() && !text.starts_with('-') && !text.ends_with('-')
}

fn trimmed(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}
