//! Flags that restrict where to connect to.

use clap::Args;

use certwright_egress::{Network, Rules};

/// Where to connect to on behalf of issuers and Certificates.
#[derive(Args, Clone, Debug)]
pub struct EgressArgs {
    /// Networks, such as 10.0.0.0/8, to which not to connect on behalf of an issuer or a Certificate, in addition to loopback,
    /// link-local, multicast and broadcast addresses and the metadata addresses of clouds. Separated by commas.
    #[arg(long, env = "CERTWRIGHT_EGRESS_DENY", value_delimiter = ',')]
    egress_deny: Vec<Network>,
    /// Networks to which such connections are allowed nevertheless. They override --egress-deny and the addresses denied by
    /// default. Separated by commas.
    #[arg(long, env = "CERTWRIGHT_EGRESS_ALLOW", value_delimiter = ',')]
    egress_allow: Vec<Network>,
}

impl EgressArgs {
    /// The rules that these flags define.
    pub fn rules(&self) -> Rules {
        Rules { deny: self.egress_deny.clone(), allow: self.egress_allow.clone() }
    }
}
