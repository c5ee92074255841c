//! Which of the certificate chains that a CA offers is used (RFC 8555 section 7.4.2).

use std::collections::BTreeSet;

use certwright_pki::Chain;

/// The first chain that has a certificate issued by the preferred issuer is used. Without a preference, or without such a chain, it
/// is the one that the CA serves by default.
#[derive(Clone, Debug)]
pub struct ChainChoice<'a> {
    preferred: Option<&'a str>,
    offered: BTreeSet<String>,
}

impl<'a> ChainChoice<'a> {
    /// A choice by the common name of an issuer.
    pub fn new(preferred: Option<&'a str>) -> Self {
        Self { preferred: preferred.filter(|name| !name.is_empty()), offered: BTreeSet::new() }
    }

    /// Whether this chain, in PEM, is the one to use. The chains are shown in the order in which the CA offers them.
    pub fn is_it(&mut self, pem: &str) -> bool {
        let Some(preferred) = self.preferred else { return true };
        if let Ok(chain) = Chain::parse_pem(pem.as_bytes()) {
            self.offered.extend(chain.issuers().iter().cloned());
        }
        self.offered.contains(preferred)
    }

    /// The preferred issuer, and the issuers of the chains that were shown, if none of them is the preferred one.
    pub fn not_offered(self) -> Option<(String, BTreeSet<String>)> {
        let preferred = self.preferred.filter(|name| !self.offered.contains(*name))?;
        Some((preferred.to_owned(), self.offered))
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

    use super::*;

    /// A chain whose certificate is issued by `issuer`.
    fn chain(issuer: &str) -> String {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, issuer);
        let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let leaf = CertificateParams::new(vec!["a.test".to_owned()]).unwrap();
        leaf.signed_by(&KeyPair::generate().unwrap(), &ca).unwrap().pem() + &ca.pem()
    }

    #[test]
    fn without_a_preference_the_first_chain_is_used() {
        for preferred in [None, Some("")] {
            let mut choice = ChainChoice::new(preferred);
            assert!(choice.is_it("no chain at all"));
            assert_eq!(choice.not_offered(), None);
        }
    }

    #[test]
    fn the_chain_of_the_preferred_issuer_is_used_and_otherwise_it_is_known_what_was_offered() {
        let mut choice = ChainChoice::new(Some("Root B"));
        assert!(!choice.is_it(&chain("Root A")) && !choice.is_it("no chain at all"));
        let offered = BTreeSet::from(["Root A".to_owned()]);
        assert_eq!(choice.clone().not_offered(), Some(("Root B".to_owned(), offered)));
        assert!(choice.is_it(&chain("Root B")));
        assert_eq!(choice.not_offered(), None);
    }
}
