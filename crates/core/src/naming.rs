//! Names of the objects that Certwright creates. They are derived from the object they are created for, so that a restarted
//! operator finds them again.

use aws_lc_rs::digest;

/// Longest name that is also valid as a label value.
const MAX_LABEL: usize = 63;

/// Name of the Secret that holds the private key of a current issuance.
pub fn next_private_key_secret(certificate: &str, uid: &str) -> String {
    with_suffix(certificate, &format!("next-key-{}", digest(uid)))
}

/// Name of an issuer's account key Secret, if the spec gives none.
pub fn account_key_secret(issuer: &str) -> String {
    with_suffix(issuer, "account-key")
}

/// A number from 0 up to, not including, 1 that is always the same for the same `seed`.
pub fn stable_fraction(seed: &str) -> f64 {
    let digest = digest::digest(&digest::SHA256, seed.as_bytes());
    let head: u32 = digest.as_ref().iter().take(4).fold(0, |sum, byte| (sum << 8) | u32::from(*byte));
    f64::from(head) / (f64::from(u32::MAX) + 1.0)
}

/// Eight hexadecimal digits that tell one `text` from another.
pub fn digest(text: &str) -> String {
    let digest = digest::digest(&digest::SHA256, text.as_bytes());
    digest.as_ref().iter().take(4).map(|byte| format!("{byte:02x}")).collect()
}

fn with_suffix(name: &str, suffix: &str) -> String {
    let room = MAX_LABEL.saturating_sub(suffix.len() + 1);
    let head: String = name.chars().take(room).collect();
    format!("{}-{suffix}", head.trim_end_matches(['-', '.']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_short_enough_for_a_label() {
        let name = next_private_key_secret(&"a".repeat(253), "uid");
        assert_eq!(name.len(), MAX_LABEL);
        assert_eq!(account_key_secret("letsencrypt"), "letsencrypt-account-key");
    }

    #[test]
    fn long_names_with_one_beginning_do_not_share_a_key() {
        let long = "a".repeat(100);
        assert_ne!(next_private_key_secret(&long, "one"), next_private_key_secret(&long, "two"));
    }

    #[test]
    fn a_fraction_is_the_same_in_every_version_and_below_one() {
        // The first four bytes of the SHA-256 digest, as a part of 2 to the power of 32.
        for (seed, head) in [("seed", 0x19b2_5856), ("uid/01", 0x67d6_8c94)] {
            assert_eq!(stable_fraction(seed).to_bits(), (f64::from(head) / 4_294_967_296.0).to_bits());
        }
        assert!((0..1000).all(|n| (0.0..1.0).contains(&stable_fraction(&n.to_string()))));
    }
}
