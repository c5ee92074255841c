//! The open connections, and which one is closed when there is no slot for another.
//!
//! A connection is never refused: when all slots are taken, the peer with the most connections loses the one that has waited
//! longest for a request. So idle connections of a peer affect only that peer. If all connections come from one address, as
//! behind an ingress controller or a load balancer that rewrites addresses, the oldest is closed first: a client that sends its
//! request immediately is served, unless so many connect at the same time that all slots are replaced.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};
use tokio_util::sync::CancellationToken;

/// The connections of a server. Clones share them.
#[derive(Clone, Debug)]
pub(super) struct Connections(Arc<Mutex<Inner>>);

#[derive(Debug)]
struct Inner {
    limit: usize,
    next: u64,
    peers: HashMap<IpAddr, BTreeMap<u64, Connection>>,
    count: usize,
}

#[derive(Debug)]
struct Connection {
    answering: bool,
    displaced: CancellationToken,
}

/// The slot of a connection, until this is dropped.
#[derive(Debug)]
pub struct Ticket {
    connections: Connections,
    peer: IpAddr,
    id: u64,
    displaced: CancellationToken,
}

impl Connections {
    pub(super) fn new(limit: usize) -> Self {
        Self(Arc::new(Mutex::new(Inner { limit, next: 0, peers: HashMap::new(), count: 0 })))
    }

    /// Takes a slot, if necessary that of another connection.
    pub(super) fn enter(&self, address: IpAddr) -> Ticket {
        let peer = peer(address);
        let mut inner = self.inner();
        if inner.count >= inner.limit {
            inner.make_room(peer);
        }
        let (id, displaced) = (inner.next, CancellationToken::new());
        inner.next += 1;
        inner.count += 1;
        let connection = Connection { answering: false, displaced: displaced.clone() };
        inner.peers.entry(peer).or_default().insert(id, connection);
        Ticket { connections: self.clone(), peer, id, displaced }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock()
    }
}

impl Ticket {
    /// A complete request has arrived: connections without one are closed first.
    pub fn answering(&self) {
        let mut inner = self.connections.inner();
        let found = inner.peers.get_mut(&self.peer).and_then(|connections| connections.get_mut(&self.id));
        if let Some(connection) = found {
            connection.answering = true;
        }
    }

    /// Waits until the slot is given to another connection.
    pub(super) async fn displaced(&self) {
        self.displaced.cancelled().await;
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.connections.inner().remove(self.peer, self.id);
    }
}

impl Inner {
    /// Closes the longest idle connection of the peer with the most connections, counting the new one of `newcomer`.
    fn make_room(&mut self, newcomer: IpAddr) {
        let greed = |peer: IpAddr, count: usize| count + usize::from(peer == newcomer);
        let Some(most) = self.peers.iter().map(|(peer, held)| greed(*peer, held.len())).max() else { return };
        let greediest = self.peers.iter().filter(|(peer, held)| greed(**peer, held.len()) == most);
        let held =
            greediest.flat_map(|(peer, held)| held.iter().map(|(id, held)| (*peer, *id, held.answering)));
        let Some((peer, id, _)) = held.min_by_key(|(_, id, answering)| (*answering, *id)) else { return };
        if let Some(connection) = self.remove(peer, id) {
            connection.displaced.cancel();
        }
    }

    fn remove(&mut self, peer: IpAddr, id: u64) -> Option<Connection> {
        let held = self.peers.get_mut(&peer)?;
        let removed = held.remove(&id)?;
        if held.is_empty() {
            self.peers.remove(&peer);
        }
        self.count -= 1;
        Some(removed)
    }
}

/// The owner of an IPv6 address usually has its whole /64.
fn peer(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peer_with_the_most_connections_loses_the_one_that_has_waited_longest() {
        let connections = Connections::new(4);
        let quiet = enter(&connections, "192.0.2.1");
        let greedy: Vec<_> = (0..3).map(|_| enter(&connections, "192.0.2.2")).collect();
        let new = enter(&connections, "192.0.2.3");
        assert_eq!(displaced(&greedy), [true, false, false]);
        assert!(!quiet.displaced.is_cancelled() && !new.displaced.is_cancelled());
    }

    #[test]
    fn a_greedy_peer_displaces_only_itself() {
        let connections = Connections::new(4);
        let others: Vec<_> = ["192.0.2.1", "192.0.2.2"].map(|address| enter(&connections, address)).into();
        let greedy: Vec<_> = (0..100).map(|_| enter(&connections, "192.0.2.3")).collect();
        assert_eq!(displaced(&others), [false, false]);
        assert_eq!(displaced(&greedy).iter().filter(|displaced| !**displaced).count(), 2);
    }

    #[test]
    fn connections_without_a_request_are_closed_first() {
        let connections = Connections::new(2);
        let asked = enter(&connections, "192.0.2.1");
        asked.answering();
        let idle = enter(&connections, "192.0.2.1");
        let _new = enter(&connections, "192.0.2.1");
        assert_eq!(displaced(&[asked, idle]), [false, true]);
    }

    #[test]
    fn if_every_peer_has_one_connection_the_oldest_is_closed() {
        let connections = Connections::new(3);
        let held = ["192.0.2.1", "192.0.2.2", "192.0.2.3"].map(|address| enter(&connections, address));
        let _new = enter(&connections, "192.0.2.4");
        assert_eq!(displaced(&held), [true, false, false]);
    }

    #[test]
    fn a_connection_that_ends_gives_its_place_back() {
        let connections = Connections::new(1);
        drop(enter(&connections, "192.0.2.1"));
        let first = enter(&connections, "192.0.2.1");
        let second = enter(&connections, "192.0.2.1");
        assert!(first.displaced.is_cancelled());
        drop(first);
        assert!(!second.displaced.is_cancelled());
        drop(second);
        let inner = connections.inner();
        assert_eq!((inner.count, inner.peers.len()), (0, 0));
    }

    #[test]
    fn an_ipv6_peer_is_its_network_and_a_mapped_address_is_ipv4() {
        let of = |text: &str| peer(text.parse().unwrap());
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
    }

    fn enter(connections: &Connections, address: &str) -> Ticket {
        connections.enter(address.parse().unwrap())
    }

    fn displaced(tickets: &[Ticket]) -> Vec<bool> {
        tickets.iter().map(|ticket| ticket.displaced.is_cancelled()).collect()
    }
}
