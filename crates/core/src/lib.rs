//! What happens next: pure functions of a snapshot and `now`. No client, no clock, no async runtime.
//!
//! - [`spec`]: a Certificate's spec, checked once;
//! - [`reissue`]: what makes an issuance due, as an ordered list of checks;
//! - [`issuance`]: the next step of an issuance;
//! - [`allow`]: who may use a ClusterIssuer;
//! - [`account`]: the next step of an issuer's account;
//! - [`annotated`]: Certificates that annotations on Ingresses and Gateways ask for;
//! - [`shares`]: places that are shared fairly between namespaces;
//! - [`solvers`]: which solver is for which name;
//! - [`disposition`]: what a CA's refusal means for what happens next;
//! - [`conditions`] and [`events`]: what is reported;
//! - [`kstatus`]: what an object's conditions mean to GitOps tools;
//! - [`duplicates`]: equal certificates, of which a CA issues only so many;
//! - [`ledger`]: what of a status the operator has written itself;
//! - [`outage`]: whether the API server is away, or a single request has failed;
//! - [`outputs`]: what the TLS Secret holds besides the certificate and its key;
//! - [`reading`]: objects as the API server sends them, each read by itself;
//! - [`records`]: TXT records that were presented, until they are removed;
//! - [`revocation`]: certificates that are to be revoked, until they are;
//! - [`renewal`], [`backoff`]: when;
//! - [`naming`]: names of the objects that Certwright makes.

pub mod account;
pub mod allow;
pub mod annotated;
pub mod backoff;
pub mod conditions;
pub mod deletion;
pub mod disposition;
pub mod duplicates;
pub mod events;
pub mod issuance;
pub mod kstatus;
pub mod ledger;
pub mod naming;
pub mod outage;
pub mod outputs;
pub mod reading;
pub mod records;
pub mod reissue;
pub mod renewal;
pub mod revocation;
pub mod shares;
pub mod solvers;
pub mod spec;
