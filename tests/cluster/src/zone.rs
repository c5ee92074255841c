//! The zones of the tests' name servers.

/// A zone as its primary server has it at first. Its name server is `ns1.<zone>`, at the address of the server.
#[derive(Clone, Debug)]
pub struct Zone {
    pub(crate) name: String,
    pub(crate) updates: Updates,
    ttl: u32,
    minimum: u32,
    records: Vec<String>,
    name_servers: Vec<String>,
}

/// Who may change a zone. The test itself always may, see [`NameServer::edit`](crate::NameServer::edit).
#[derive(Clone, Debug)]
pub(crate) enum Updates {
    /// Everybody who has a key that the server knows.
    AnyKey,
    /// Everybody who has one of these keys, by name.
    Keys(Vec<String>),
}

impl Zone {
    /// A zone that may be changed with every key that its server knows. The TTL of its records is 5 seconds, also for negative
    /// answers.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.trim_end_matches('.').into(),
            updates: Updates::AnyKey,
            ttl: 5,
            minimum: 5,
            records: Vec::new(),
            name_servers: Vec::new(),
        }
    }

    /// Adds a record, in the format of a zone file: `www A 192.0.2.10`, `alias 60 CNAME name.other.test.` Names without a final
    /// dot are below the zone.
    pub fn record(mut self, record: &str) -> Self {
        self.records.push(record.into());
        self
    }

    /// Adds a name server to the zone: a secondary at this address.
    pub fn name_server(mut self, ip: &str) -> Self {
        self.name_servers.push(ip.into());
        self
    }

    /// The TTL of records without their own, in seconds.
    pub fn ttl(mut self, seconds: u32) -> Self {
        self.ttl = seconds;
        self
    }

    /// The TTL of negative answers, in seconds (RFC 2308).
    pub fn negative_ttl(mut self, seconds: u32) -> Self {
        self.minimum = seconds;
        self
    }

    /// Only this key may change the zone; further calls add keys.
    pub fn updatable_by(mut self, key: &str) -> Self {
        match &mut self.updates {
            Updates::AnyKey => self.updates = Updates::Keys(vec![key.into()]),
            Updates::Keys(keys) => keys.push(key.into()),
        }
        self
    }

    /// Rejects updates, with any key.
    pub fn refuse_updates(mut self) -> Self {
        self.updates = Updates::Keys(Vec::new());
        self
    }

    /// The zone file, for a primary server at this address.
    pub(crate) fn file(&self, ip: &str) -> String {
        let mut text = format!("$ORIGIN {}.\n$TTL {}\n", self.name, self.ttl);
        // The secondary does not refresh the zone during a test.
        text += &format!("@ {} SOA ns1 hostmaster 1 86400 86400 864000 {}\n", self.minimum, self.minimum);
        let servers = [ip].into_iter().chain(self.name_servers.iter().map(String::as_str));
        for (number, ip) in (1..).zip(servers) {
            text += &format!("@ NS ns{number}\nns{number} A {ip}\n");
        }
        for record in &self.records {
            text += record;
            text.push('\n');
        }
        text
    }

    /// The names of those of the server's keys that may change the zone.
    pub(crate) fn keys<'a>(&'a self, all: &'a [crate::TsigKey]) -> Vec<&'a str> {
        match &self.updates {
            Updates::AnyKey => all.iter().map(|key| key.name.as_str()).collect(),
            Updates::Keys(keys) => keys.iter().map(String::as_str).collect(),
        }
    }
}

impl From<&str> for Zone {
    fn from(name: &str) -> Self {
        Self::new(name)
    }
}
