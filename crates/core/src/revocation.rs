//! The ledger of certificates that may have to be revoked: which ones are revoked, when, and how long the operator tries.
//!
//! A certificate is in `status.revocation` while it is in the Secret, so that it can be revoked when it is no longer there:
//! when the next one has replaced it, or the Secret is gone. The spec, an annotation, the deletion of the Certificate and the
//! content of the Secret determine which certificates are revoked. An entry stays in the ledger until the CA has revoked the
//! certificate or the operator has given up. While there is a ledger, the Certificate has a finalizer.

mod apply;
mod attempt;
mod ledger;
mod next;
mod request;

pub use attempt::{Attempt, NotByAccount, NotByKey, Signer};
pub use ledger::{holds, next_attempt, reason_of_serial};
pub use next::{in_secret, next};
pub use request::{Remark, Revocation, RevocationRequests, RevocationTask};

#[cfg(test)]
mod tests;
