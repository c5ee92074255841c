//! Flags that say where to connect to.

use clap::Args;

use certwright_egress::{Network, Rules};

/// Where issuers and Certificates may have us connect to.
#[derive(Args, Clone, Debug)]
pub struct EgressArgs {
    /// Networks to which no connection is opened that an issuer or a Certificate asks for, in addition to loopback, link-local,
    /// multicast and broadcast addresses and the metadata addresses of clouds; as 10.0.0.0/8, separated by commas.
    #[arg(long, env = "CERTWRIGHT_EGRESS_DENY", value_delimiter = ',')]
    egress_deny: Vec<Network>,
    /// Networks to which such connections are opened all the same: these win over those of --egress-deny and over the addresses
    /// that are denied by default.
    #[arg(long, env = "CERTWRIGHT_EGRESS_ALLOW", value_delimiter = ',')]
    egress_allow: Vec<Network>,
}

impl EgressArgs {
    /// The rules that these flags make.
    pub fn rules(&self) -> Rules {
        Rules { deny: self.egress_deny.clone(), allow: self.egress_allow.clone() }
    }
}
