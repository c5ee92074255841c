use aws_lc_rs::digest::{SHA256, digest};
use base64::engine::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

/// The value of the TXT record that answers a dns-01 challenge: the digest of the key authorization (RFC 8555 section 8.4).
#[must_use]
pub fn txt_value(key_authorization: &str) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(digest(&SHA256, key_authorization.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_value_is_the_digest_of_the_key_authorization() {
        // The token of RFC 8555 section 8.4 with the thumbprint of RFC 7638 section 3.1; computed with OpenSSL.
        let key_authorization =
            "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA.NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs";
        assert_eq!(txt_value(key_authorization), "ZTRx1Ckl1-tM05o5zaizTTA0yUy5AGereMgSNWC6Ll8");
    }
}
