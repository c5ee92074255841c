//! Lookups against name servers on loopback, which simulate the DNS of the Internet.

use super::*;

mod caa;
mod locate;
mod propagation;
mod transport;
pub(super) mod world;

/// A record for `domain`.
pub(super) fn record(domain: &str) -> Record {
    let fqdn = format!("_acme-challenge.{}.", base_domain(domain));
    let key_authorization = "token.thumbprint".to_owned();
    Record {
        fqdn,
        zone: "a.test.".to_owned(),
        value: "ZTRx1Ckl1-tM05o5zaizTTA0yUy5AGereMgSNWC6Ll8".to_owned(),
        domain: domain.to_owned(),
        token: "token".to_owned(),
        key_authorization,
    }
}
