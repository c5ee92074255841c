//! The names whose tls-alpn-01 challenges this process answers.

use std::collections::{BTreeMap, HashMap};

use jiff::{SignedDuration, Timestamp};
use parking_lot::RwLock;

use super::issuer_record::IssuerId;
use certwright_solver::tls_alpn01::server_name;

/// The names whose tls-alpn-01 challenges this process answers.
#[derive(Default)]
pub struct Handshakes(RwLock<Inner>);

#[derive(Default)]
struct Inner {
    /// By server name and namespace.
    by_name: HashMap<String, BTreeMap<String, BTreeMap<Place, Handshake>>>,
    by_certificate: HashMap<String, Vec<(String, Place)>>,
}

/// How long a namespace has its turn, if Certificates of several namespaces have a challenge for the same name: long enough for a
/// self-check and the validation after it, and half of the default time after which the CA is told without a self-check.
const TURN: SignedDuration = SignedDuration::from_secs(30);

/// The place of a challenge among those of its namespace for its name, of which only the first is answered: when its order was
/// placed, and its token. All replicas agree on it, and the next attempt of an order that fails has a later place.
type Place = (Timestamp, String);

/// A handshake that is answered.
#[derive(Clone, Debug, PartialEq)]
pub struct Handshake {
    /// A DNS name or an IP address.
    pub identifier: String,
    /// The token of the challenge.
    pub token: String,
    /// The issuer whose account answers.
    pub issuer: IssuerId,
    /// The namespace of the Certificate.
    pub namespace: String,
}

impl Handshakes {
    /// The handshake with this server name. It can answer only one challenge. Namespaces take turns, so that nobody can keep the
    /// name from others with a challenge that is never validated.
    pub fn find(&self, server_name: &str, now: Timestamp) -> Option<Handshake> {
        let inner = self.0.read();
        let namespaces = inner.by_name.get(server_name)?;
        let turn = usize::try_from(now.as_second() / TURN.as_secs()).unwrap_or_default();
        let places = namespaces.values().nth(turn.checked_rem(namespaces.len())?)?;
        places.values().next().cloned()
    }

    /// Answers exactly these challenges of a Certificate, whose order was placed at `since`.
    pub fn set(&self, uid: &str, since: Timestamp, handshakes: Vec<Handshake>) {
        let entries: Vec<_> =
            handshakes.iter().map(|one| (server_name(&one.identifier), (since, one.token.clone()))).collect();
        let unchanged = {
            let known = &self.0.read().by_certificate;
            known.get(uid).map_or(entries.is_empty(), |known| *known == entries)
        };
        if unchanged {
            return;
        }
        let mut inner = self.0.write();
        inner.forget(uid);
        for ((name, place), handshake) in entries.iter().cloned().zip(handshakes) {
            let namespaces = inner.by_name.entry(name).or_default();
            namespaces.entry(handshake.namespace.clone()).or_default().insert(place, handshake);
        }
        if !entries.is_empty() {
            inner.by_certificate.insert(uid.to_owned(), entries);
        }
    }

    /// No longer answers anything of a Certificate.
    pub fn forget(&self, uid: &str) {
        self.0.write().forget(uid);
    }
}

impl Inner {
    fn forget(&mut self, uid: &str) {
        for (name, place) in self.by_certificate.remove(uid).unwrap_or_default() {
            let Some(namespaces) = self.by_name.get_mut(&name) else { continue };
            namespaces.retain(|_, places| {
                places.remove(&place);
                !places.is_empty()
            });
            if namespaces.is_empty() {
                self.by_name.remove(&name);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use certwright_api::IssuerKind;

    #[test]
    fn the_challenge_of_the_oldest_order_is_answered_until_it_is_forgotten() {
        let handshakes = Handshakes::default();
        let handshake = |name, token| handshake("shop", name, token);
        handshakes.set("later", at(2), vec![handshake("a.test", "a")]);
        handshakes.set("first", at(1), vec![handshake("A.test", "z"), handshake("192.0.2.1", "ip")]);
        let token = |name: &str| handshakes.find(name, at(100)).map(|found| found.token);
        assert_eq!(token("a.test").as_deref(), Some("z"));
        assert_eq!(token("1.2.0.192.in-addr.arpa").as_deref(), Some("ip"));
        assert_eq!(token("192.0.2.1"), None);
        handshakes.forget("first");
        assert_eq!((token("a.test").as_deref(), token("1.2.0.192.in-addr.arpa")), (Some("a"), None));
        handshakes.set("later", at(3), vec![handshake("b.test", "b")]);
        assert_eq!((token("a.test"), token("b.test").as_deref()), (None, Some("b")));
        handshakes.set("later", at(3), Vec::new());
        let inner = handshakes.0.read();
        assert!(inner.by_name.is_empty() && inner.by_certificate.is_empty());
    }

    /// A challenge that is never validated must not keep others from the name.
    #[test]
    fn namespaces_take_turns_for_a_name() {
        let handshakes = Handshakes::default();
        for n in 0..50 {
            let stuck = handshake("greedy", "a.test", &format!("stuck-{n}"));
            handshakes.set(&format!("greedy-{n}"), at(n), vec![stuck]);
        }
        handshakes.set("web", at(1000), vec![handshake("shop", "a.test", "web")]);
        let token = |second| handshakes.find("a.test", at(second)).map(|found| found.token);
        let answered: Vec<_> = (0..120).step_by(10).map(|second| token(second).unwrap()).collect();
        assert_eq!(answered[..3], ["stuck-0"; 3]);
        assert_eq!(answered[3..6], ["web"; 3]);
        assert_eq!(answered[6..], answered[..6]);
        handshakes.forget("web");
        assert_eq!(token(30).as_deref(), Some("stuck-0"));
    }

    fn handshake(namespace: &str, identifier: &str, token: &str) -> Handshake {
        let namespace = namespace.to_owned();
        let issuer =
            IssuerId { kind: IssuerKind::Issuer, namespace: Some(namespace.clone()), name: "ca".to_owned() };
        Handshake { identifier: identifier.to_owned(), token: token.to_owned(), issuer, namespace }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }
}
