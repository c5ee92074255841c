//! Where a CA publishes its revocation list (RFC 5280 section 4.2.1.13).

use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{CRLDistributionPoint, DistributionPointName, GeneralName, ParsedExtension};

/// How many distribution points, and names of each, are looked at.
const MOST: usize = 8;
/// Longer URLs are ignored.
const MAX_URL: usize = 1024;

/// The first usable URL of a list that a certificate names. Lists of another issuer, or for some reasons only, are ignored.
pub(super) fn revocation_list_url(certificate: &X509Certificate<'_>) -> Option<String> {
    let points = certificate.iter_extensions().find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::CRLDistributionPoints(points) => Some(points),
        _ => None,
    })?;
    let complete =
        points.iter().take(MOST).filter(|point| point.reasons.is_none() && point.crl_issuer.is_none());
    complete.flat_map(urls).find(|url| is_usable(url)).map(str::to_owned)
}

fn urls<'a>(point: &'a CRLDistributionPoint<'a>) -> impl Iterator<Item = &'a str> {
    let names = match &point.distribution_point {
        Some(DistributionPointName::FullName(names)) => names.as_slice(),
        _ => &[],
    };
    names.iter().take(MOST).filter_map(|name| match name {
        GeneralName::URI(url) => Some(*url),
        _ => None,
    })
}

/// Whether it can be fetched over HTTP, and shown as it is.
fn is_usable(url: &str) -> bool {
    let begins = |with: &str| url.get(..with.len()).is_some_and(|start| start.eq_ignore_ascii_case(with));
    url.len() <= MAX_URL
        && url.bytes().all(|byte| byte.is_ascii_graphic())
        && (begins("http://") || begins("https://"))
}
