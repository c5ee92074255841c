//! Lookups against name servers on loopback, which stand in for the world.

use super::*;

mod locate;
mod propagation;
mod transport;
pub(super) mod world;

#[test]
fn the_value_is_the_digest_of_the_key_authorization() {
    // The token of RFC 8555 section 8.4 with the thumbprint of RFC 7638 section 3.1; computed with OpenSSL.
    let key_authorization =
        "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA.NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs";
    assert_eq!(txt_value(key_authorization), "ZTRx1Ckl1-tM05o5zaizTTA0yUy5AGereMgSNWC6Ll8");
}

/// A record to put somewhere.
pub(super) fn record(domain: &str) -> Record {
    let fqdn = format!("_acme-challenge.{}.", base_domain(domain));
    let key_authorization = "token.thumbprint".to_owned();
    Record {
        fqdn,
        zone: "a.test.".to_owned(),
        value: txt_value(&key_authorization),
        domain: domain.to_owned(),
        token: "token".to_owned(),
        key_authorization,
    }
}
