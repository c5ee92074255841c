//! Decides what happens next: pure functions of a snapshot and `now`. No client, no clock, no async runtime.
//!
//! - [`spec`]: a Certificate's spec, checked once;
//! - [`reissue`]: when an issuance is due, as an ordered list of checks;
//! - [`issuance`]: the next step of an issuance;
//! - [`allow`]: who may use a ClusterIssuer;
//! - [`account`]: the next step of an issuer's account;
//! - [`annotated`]: Certificates requested by annotations on Ingresses and Gateways;
//! - [`shares`]: slots that are shared fairly between namespaces;
//! - [`secret`]: what is written into Secrets and read from them;
//! - [`solvers`]: selects the solver for a name;
//! - [`disposition`]: what happens next after an error of the CA;
//! - [`conditions`] and [`events`]: what is reported;
//! - [`kstatus`]: the meaning of conditions for GitOps tools;
//! - [`duplicates`]: duplicate certificates, whose number CAs limit;
//! - [`ledger`]: verifies which entries of a status the operator wrote;
//! - [`outage`]: whether the API server is away, or a single request has failed;
//! - [`outputs`]: what the TLS Secret contains besides the certificate and its key;
//! - [`reading`]: objects as the API server sends them, each decoded separately;
//! - [`records`]: TXT records that were presented, until they are removed;
//! - [`revocation`]: pending revocations;
//! - [`renewal`], [`backoff`]: when;
//! - [`naming`]: names of the objects that Certwright creates.

pub mod account;
pub mod allow;
pub mod annotated;
pub mod backoff;
pub mod conditions;
pub mod consequence;
pub mod deletion;
pub mod disposition;
pub mod duplicates;
pub mod events;
pub mod fair_slots;
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
pub mod secret;
pub mod solvers;
pub mod spec;
