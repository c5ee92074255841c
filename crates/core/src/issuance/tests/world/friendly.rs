//! The end of all obstacles.

use super::*;
use certwright_acme::ChallengeType;

impl World {
    /// Every obstacle is removed.
    pub fn becomes_friendly(&mut self) {
        self.ca.mend();
        self.crash_after = None;
        self.writes.clear();
        self.self_check_passes = true;
        self.place_is_free = true;
        self.claimed_by = None;
        self.caa.clear();
        if self.secret.as_ref().is_some_and(|secret| secret.certificate_name.as_deref() != Some(NAME)) {
            self.secret = None;
        }
        for issuer in ["one", "two"] {
            if !matches!(self.issuers.get(issuer), Some(IssuerView::Ready { .. })) {
                self.issuer_is_ready(issuer, &format!("account/{issuer}"));
            }
        }
        if self.ca.offers == Some(ChallengeType::TlsAlpn01) {
            self.proves_over_tls(None);
        }
        let unprovable = self.spec.dns_names.iter().any(|name| name.starts_with('*'));
        if unprovable || !self.spec.ip_addresses.is_empty() {
            self.edit(|spec| {
                spec.ip_addresses.clear();
                spec.dns_names = vec!["a.test".to_owned()];
            });
        }
    }
}
