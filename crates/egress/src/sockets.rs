use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::net::{TcpStream, UdpSocket};

use crate::{Egress, Forbidden, Purpose};

impl Egress {
    /// Opens a TCP connection to `at`, an address of `host`.
    ///
    /// # Errors
    /// An error for which [`is_forbidden`] is true if the rules forbid it; otherwise the system's.
    #[expect(clippy::disallowed_methods, reason = "the address has been checked")]
    pub async fn tcp(&self, purpose: Purpose, host: &str, at: SocketAddr) -> io::Result<TcpStream> {
        self.check(purpose, host, at.ip()).map_err(forbidden)?;
        TcpStream::connect(at).await
    }

    /// The addresses of `host` that the rules permit, for a connection that another library makes: that library resolves the name
    /// again, unless it is given one of these addresses.
    ///
    /// # Errors
    /// As for [`Egress::tcp`]; an error for which [`is_forbidden`] is true if the rules forbid all of its addresses.
    pub async fn addresses(&self, purpose: Purpose, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        let found = tokio::net::lookup_host((host, port)).await?;
        let (permitted, forbidden): (Vec<_>, Vec<_>) = found.partition(|address| self.permits(address.ip()));
        match (permitted.is_empty(), forbidden.first()) {
            (true, Some(address)) => {
                self.refuse(purpose, host, address.ip());
                Err(io::Error::new(io::ErrorKind::PermissionDenied, Forbidden))
            }
            (true, None) => Err(io::ErrorKind::NotFound.into()),
            (false, _) => Ok(permitted),
        }
    }

    /// Opens a UDP socket with its own port, connected to `at`, so that the system drops datagrams from others.
    ///
    /// # Errors
    /// As for [`Egress::tcp`].
    #[expect(clippy::disallowed_methods, reason = "the address has been checked")]
    pub async fn udp(&self, purpose: Purpose, host: &str, at: SocketAddr) -> io::Result<UdpSocket> {
        self.check(purpose, host, at.ip()).map_err(forbidden)?;
        let any: SocketAddr = match at {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        let socket = UdpSocket::bind(any).await?;
        socket.connect(at).await?;
        Ok(socket)
    }
}

fn forbidden(forbidden: Forbidden) -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, forbidden)
}

/// Whether the egress rules forbade the connection.
#[must_use]
pub fn is_forbidden(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<Forbidden>())
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket as StdUdpSocket;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::net::TcpListener;

    use super::*;
    use crate::Rules;

    #[tokio::test]
    async fn nothing_is_sent_to_an_address_that_is_forbidden() {
        let refused = Arc::new(AtomicUsize::new(0));
        let count = refused.clone();
        let egress = Egress::new(Rules::default(), move |_| {
            count.fetch_add(1, Ordering::SeqCst);
        });
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let udp = StdUdpSocket::bind("127.0.0.1:0").unwrap();
        let error = egress.tcp(Purpose::Dns, "", tcp.local_addr().unwrap()).await.unwrap_err();
        assert!(is_forbidden(&error), "{error}");
        let error = egress.udp(Purpose::Dns, "", udp.local_addr().unwrap()).await.unwrap_err();
        assert!(is_forbidden(&error), "{error}");
        assert_eq!(refused.load(Ordering::SeqCst), 2);
        let accepted = futures::poll!(std::pin::pin!(tcp.accept()));
        assert!(accepted.is_pending(), "{accepted:?}");
    }

    #[tokio::test]
    async fn a_name_has_only_the_addresses_that_are_permitted() {
        let error = Egress::default().addresses(Purpose::Provider, "localhost", 80).await.unwrap_err();
        assert!(is_forbidden(&error), "{error}");
        let found = Egress::unrestricted().addresses(Purpose::Provider, "127.0.0.1", 80).await.unwrap();
        assert_eq!(found, ["127.0.0.1:80".parse().unwrap()]);
        let found = Egress::default().addresses(Purpose::Provider, "192.0.2.1", 80).await.unwrap();
        assert_eq!(found, ["192.0.2.1:80".parse().unwrap()]);
    }

    #[tokio::test]
    async fn an_error_of_the_system_is_not_forbidden_by_the_rules() {
        let egress = Egress::unrestricted();
        let error = egress.tcp(Purpose::Dns, "", "127.0.0.1:1".parse().unwrap()).await.unwrap_err();
        assert!(!is_forbidden(&error), "{error}");
    }
}
