//! Revocations (RFC 8555 section 7.6).

use super::{Ca, Refusal};
use crate::revocation::Signer;
use certwright_api::RevocationReason;
use certwright_pki::{Chain, Leaf};

/// What the CA does with requests to revoke.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Revokes {
    /// It revokes for the account that ordered the certificate, and for the certificate's own key.
    Willingly,
    /// It revokes for the certificate's own key, not for an account.
    ForTheKey,
    Never,
    /// It is down.
    NotNow,
    /// It never answers.
    Hangs,
}

impl Revokes {
    pub const ALL: [Self; 5] = [Self::Willingly, Self::ForTheKey, Self::Never, Self::NotNow, Self::Hangs];
}

/// Who asks.
pub enum By<'a> {
    Account(&'a str),
    /// The certificate's own key, by its public key.
    Key(&'a [u8]),
}

pub struct Revoked {
    pub serial_number: String,
    pub reason: RevocationReason,
    pub signer: Signer,
}

impl Ca {
    pub fn revoke(&mut self, by: &By<'_>, der: &[u8], reason: RevocationReason) -> Result<(), Refusal> {
        self.revocation_requests += 1;
        self.call("", |ca| {
            let leaf = Leaf::from_der(der).expect("a certificate");
            let refusal = |code, status| Err(Refusal { code, status: Some(status), retry_after: None });
            let (is_allowed, signer) = match by {
                By::Account(account) => {
                    let ordered = ca.orders.iter().find(|order| {
                        let chain =
                            order.chain.as_ref().and_then(|pem| Chain::parse_pem(pem.as_bytes()).ok());
                        chain.is_some_and(|chain| chain.leaf().der == der)
                    });
                    let ordered = ordered.expect("a certificate of this CA");
                    (ca.revokes != Revokes::ForTheKey && ordered.account == *account, Signer::Account)
                }
                By::Key(public_key) => (leaf.public_key_der == *public_key, Signer::CertificateKey),
            };
            match ca.revokes {
                Revokes::Hangs => panic!("nobody waits for the answer"),
                Revokes::NotNow => refusal("serverInternal", 503),
                Revokes::Never => refusal("badRevocationReason", 400),
                Revokes::Willingly | Revokes::ForTheKey if !is_allowed => refusal("unauthorized", 403),
                Revokes::Willingly | Revokes::ForTheKey if ca.has_revoked(&leaf.serial_number) => {
                    refusal("alreadyRevoked", 400)
                }
                Revokes::Willingly | Revokes::ForTheKey => {
                    ca.revoked.push(Revoked { serial_number: leaf.serial_number, reason, signer });
                    Ok(())
                }
            }
        })
    }

    pub fn has_revoked(&self, serial_number: &str) -> bool {
        self.revoked.iter().any(|revoked| revoked.serial_number == serial_number)
    }
}
