//! The self-checks of http-01: the usual one, and one for each list of name servers that a solver names.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use certwright_egress::Egress;
use certwright_egress::recent::Recent;
use certwright_runtime::clock;
use certwright_solver::http01::{SelfCheck, SelfCheckSetupError};

/// The maximum number of cached self-checks: tenants can name their own servers.
const MOST: usize = 256;
/// The port of a name server.
const DNS_PORT: u16 = 53;

/// The self-checks of http-01.
pub struct SelfChecks {
    usual: Arc<SelfCheck>,
    egress: Egress,
    others: Recent<Vec<SocketAddr>, Arc<SelfCheck>>,
}

impl SelfChecks {
    /// The usual one looks up names at `nameservers`, or at those of the system if there are none. All connect where `egress`
    /// permits it.
    ///
    /// # Errors
    /// [`SelfCheckSetupError`]
    pub fn new(nameservers: Vec<SocketAddr>, egress: Egress) -> Result<Self, SelfCheckSetupError> {
        let usual = Arc::new(SelfCheck::new(nameservers, egress.clone())?);
        Ok(Self { usual, egress, others: Recent::new(MOST, clock::now) })
    }

    /// The self-check that looks up names at `nameservers`, which a solver names; the usual one if there are none.
    ///
    /// # Errors
    /// What is wrong with the name servers.
    pub fn of(&self, nameservers: &[String]) -> Result<Arc<SelfCheck>, String> {
        if nameservers.is_empty() {
            return Ok(self.usual.clone());
        }
        let servers = nameservers.iter().map(|text| self.server(text)).collect::<Result<Vec<_>, _>>()?;
        let make = || self.usual.with_name_servers(&servers).map(Arc::new);
        self.others.get_or_try_insert(&servers, make).map_err(|error| error.to_string())
    }

    fn server(&self, text: &str) -> Result<SocketAddr, String> {
        let address = text.parse().or_else(|_| text.parse().map(|ip: IpAddr| SocketAddr::new(ip, DNS_PORT)));
        let address =
            address.map_err(|_| format!("selfCheck.nameservers: {text:?} is neither ip nor ip:port"))?;
        match self.egress.permits(address.ip()) {
            true => Ok(address),
            false => Err(format!(
                "selfCheck.nameservers: the egress rules of the operator do not permit a connection to {}",
                address.ip()
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use certwright_egress::Rules;

    #[test]
    fn name_servers_of_solvers_are_addresses_that_the_egress_rules_permit() {
        let egress = Egress::new(Rules::default(), |_| {});
        let checks = SelfChecks::new(vec!["192.0.2.53:53".parse().unwrap()], egress).unwrap();
        let of = |server: &str| checks.of(&[server.to_owned()]);
        assert!(Arc::ptr_eq(&checks.of(&[]).unwrap(), &checks.usual));
        let (one, same, other) = (of("192.0.2.1"), of("192.0.2.1:53"), of("[2001:db8::1]:5353"));
        assert!(Arc::ptr_eq(&one.unwrap(), &same.unwrap()));
        assert!(other.is_ok());
        for (server, words) in [
            ("ns.test", "selfCheck.nameservers: \"ns.test\" is neither ip nor ip:port"),
            ("https://192.0.2.1/", "selfCheck.nameservers: \"https://192.0.2.1/\" is neither ip nor ip:port"),
            (
                "127.0.0.1",
                "selfCheck.nameservers: the egress rules of the operator do not permit a connection to 127.0.0.1",
            ),
        ] {
            assert_eq!(of(server).err().as_deref(), Some(words));
        }
    }
}
