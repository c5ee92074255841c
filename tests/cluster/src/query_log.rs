//! The queries that name servers received, from their logs.

use std::{
    fs,
    net::IpAddr,
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
};

use anyhow::{Context, Result};

use crate::name_server::TEST_ADDRESS;

/// A query that a name server received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsQuery {
    /// The client. In the run's network, a client has the address of the server that it queries, except
    /// [`Resolver`](crate::Resolver)s and secondaries, which have addresses of their own.
    pub client: IpAddr,
    /// Without the final dot.
    pub name: String,
    /// `TXT`, `SOA`; `AXFR` for a secondary's transfer.
    pub kind: String,
    /// Over TCP instead of UDP. Not known for a resolver's queries, and false.
    pub tcp: bool,
}

/// The file that a server logs queries to.
pub(crate) struct QueryLog {
    path: PathBuf,
    parse: fn(&str) -> Option<DnsQuery>,
    forgotten: AtomicUsize,
}

impl QueryLog {
    pub(crate) fn new(path: &Path, parse: fn(&str) -> Option<DnsQuery>) -> Self {
        Self { path: path.into(), parse, forgotten: AtomicUsize::new(0) }
    }

    /// All queries so far, except those of the test itself.
    pub(crate) fn all(&self) -> Result<Vec<DnsQuery>> {
        let new = self.read()?.into_iter().skip(self.forgotten.load(Ordering::Relaxed));
        Ok(new.filter(|query| query.client.to_string() != TEST_ADDRESS).collect())
    }

    /// Forgets the queries so far.
    pub(crate) fn forget(&self) -> Result<()> {
        self.forgotten.store(self.read()?.len(), Ordering::Relaxed);
        Ok(())
    }

    fn read(&self) -> Result<Vec<DnsQuery>> {
        let text = fs::read(&self.path).with_context(|| format!("cannot read {}", self.path.display()))?;
        let text = String::from_utf8_lossy(&text);
        // An incomplete line is read the next time.
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        Ok(whole.lines().filter_map(self.parse).collect())
    }
}

impl DnsQuery {
    /// Parses a line like `client @0x7f37452de098 192.0.2.70#45003 (t.a.test): query: t.a.test IN TXT +E(0)K (192.0.2.70)`.
    pub(crate) fn of_bind(line: &str) -> Option<Self> {
        let (from, question) = line.split_once(": query: ")?;
        let client = from.split(' ').find(|word| word.contains('#'))?.split('#').next()?.parse().ok()?;
        let mut words = question.split(' ');
        let name = words.next()?.to_ascii_lowercase();
        let kind = words.nth(1)?.into();
        let tcp = words.next()?.contains('T');
        Some(Self { client, name, kind, tcp })
    }

    /// Parses a line like `[1795505683] unbound[7:0] info: 192.0.2.72 t.a.test. TXT IN`.
    pub(crate) fn of_unbound(line: &str) -> Option<Self> {
        let mut words = line.split_once(" info: ")?.1.split(' ');
        let client = words.next()?.parse().ok()?;
        let name = words.next()?.trim_end_matches('.').to_ascii_lowercase();
        let kind = words.next()?.into();
        (words.next() == Some("IN")).then_some(Self { client, name, kind, tcp: false })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_are_read_from_logs() {
        let query = |tcp| DnsQuery {
            client: "192.0.2.70".parse().unwrap(),
            name: "t.a.test".into(),
            kind: "SOA".into(),
            tcp,
        };
        let line = "client @0x7f3 192.0.2.70#59537/key k (T.a.test): query: T.a.test IN SOA -ST (192.0.2.71)";
        assert_eq!(DnsQuery::of_bind(line), Some(query(true)));
        let line = "[1795505683] unbound[7:0] info: 192.0.2.70 T.a.test. SOA IN";
        assert_eq!(DnsQuery::of_unbound(line), Some(query(false)));
        assert_eq!(DnsQuery::of_unbound("[1795505683] unbound[7:0] info: start of service."), None);
    }
}
