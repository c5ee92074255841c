//! The names in a spec, for people: valid or not.

use super::{csr, is_name};
use certwright_api::CertificateSpec;
use certwright_pki::Subject;

/// The names that a spec requests, each once: DNS names, IP addresses, and the common name.
pub fn requested(spec: &CertificateSpec) -> Vec<String> {
    let names = match in_csr(spec) {
        Some(Subject { dns_names, ip_addresses, .. }) => {
            dns_names.into_iter().chain(ip_addresses.iter().map(ToString::to_string)).collect()
        }
        None => {
            let common_name = spec.common_name.iter().filter(|name| is_name(name));
            let names = spec.dns_names.iter().chain(&spec.ip_addresses).chain(common_name);
            names.cloned().collect::<Vec<_>>()
        }
    };
    let mut each = Vec::new();
    names.into_iter().for_each(|name| {
        if !each.contains(&name) {
            each.push(name);
        }
    });
    each
}

/// The DNS names that a spec requests, without the common name.
pub fn dns_names(spec: &CertificateSpec) -> Vec<String> {
    in_csr(spec).map_or_else(|| spec.dns_names.clone(), |subject| subject.dns_names)
}

/// The names in the certificate signing request; none, if it cannot be used.
fn in_csr(spec: &CertificateSpec) -> Option<Subject> {
    let request = csr::read(spec.csr.as_deref()?);
    Some(request.and_then(|request| csr::names(&request)).unwrap_or_default())
}
