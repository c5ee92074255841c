//! The CA of an issuer, as this machine reaches it.

use std::time::Duration;

use crate::controller::accounts::trust;
use crate::controller::issuer_record::IssuerRecord;
use certwright_acme::{AcmeError, Server, ServerConfig};
use certwright_egress::Egress;
use certwright_runtime::clock;

/// How long to wait for a CA's answer.
const PATIENCE: Duration = Duration::from_secs(15);

/// The CA of an issuer, once its directory was fetched.
///
/// # Errors
/// [`AcmeError`], if the CA does not answer.
pub async fn answering(issuer: &IssuerRecord, egress: &Egress) -> Result<Server, AcmeError> {
    let config = ServerConfig {
        trust: trust(&issuer.spec),
        timeout: PATIENCE,
        egress: egress.clone(),
        ..ServerConfig::new(&issuer.spec.server, clock::now)
    };
    let server = Server::new(config)?;
    server.directory().await?;
    Ok(server)
}
