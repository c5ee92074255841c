use aws_lc_rs::digest::{SHA256, digest};
use base64::engine::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use data_encoding::BASE32_NOPAD;

/// The value of the TXT record that answers a dns-01 or dns-account-01 challenge: the digest of the key authorization (RFC 8555
/// section 8.4).
#[must_use]
pub fn txt_value(key_authorization: &str) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(digest(&SHA256, key_authorization.as_bytes()))
}

/// The label of an account, below which `_acme-challenge` is for dns-account-01 (draft-ietf-acme-dns-account-label).
#[must_use]
pub fn account_label(account_url: &str) -> String {
    /// How much of the digest is in the label.
    const OCTETS: usize = 10;
    let digest = digest(&SHA256, account_url.as_bytes());
    format!("_{}", BASE32_NOPAD.encode(&digest.as_ref()[..OCTETS]).to_ascii_lowercase())
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

    #[test]
    fn the_label_of_an_account_is_that_of_the_draft() {
        let label = account_label("https://example.com/acme/acct/ExampleAccount");
        assert_eq!(label, "_ujmmovf2vn55tgye");
    }
}
