//! The zone of a fake: records with numbers, each with a name, a type, a value and a time to live.

use std::sync::Arc;

use anyhow::Result;
use parking_lot::Mutex;

use crate::compare::{FOREIGN, NAME};

/// A record. Names are fully qualified, in lower case, without a trailing dot; values of TXT records are without quotes.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    pub id: u64,
    pub name: String,
    pub kind: String,
    pub value: String,
    pub ttl: u64,
}

/// The records of a zone. Clones share them.
#[derive(Clone, Default)]
pub struct Zone(Arc<Mutex<(u64, Vec<Record>)>>);

impl Zone {
    /// Only what others have there: a value at the name, and records next to it.
    pub fn reset(&self) -> Result<()> {
        self.0.lock().1.clear();
        self.add(NAME, "TXT", FOREIGN, 300);
        self.add("www.service.test", "A", "192.0.2.1", 300);
        self.add("service.test", "TXT", "v=spf1 -all", 300);
        self.add("_acme-challenge.service.test", "TXT", "of-another-name", 300);
        Ok(())
    }

    /// Adds a record.
    pub fn add(&self, name: &str, kind: &str, value: &str, ttl: u64) -> Record {
        let mut zone = self.0.lock();
        zone.0 += 1;
        let record = Record {
            id: 1000 + zone.0,
            name: name.to_ascii_lowercase(),
            kind: kind.to_owned(),
            value: value.to_owned(),
            ttl,
        };
        zone.1.push(record.clone());
        record
    }

    /// The records that fit.
    pub fn find(&self, fits: impl Fn(&Record) -> bool) -> Vec<Record> {
        self.0.lock().1.iter().filter(|record| fits(record)).cloned().collect()
    }

    /// Removes the records that fit, and returns how many there were.
    pub fn remove(&self, fits: impl Fn(&Record) -> bool) -> usize {
        let records = &mut self.0.lock().1;
        let before = records.len();
        records.retain(|record| !fits(record));
        before - records.len()
    }

    /// Replaces the values of a record set.
    pub fn replace(&self, name: &str, kind: &str, values: &[String], ttl: u64) {
        self.remove(|record| record.name == name && record.kind == kind);
        for value in values {
            self.add(name, kind, value, ttl);
        }
    }

    /// The values of TXT records at the name of the tests. Fails the test if another record is not as it was.
    pub fn values(&self) -> Result<Vec<String>> {
        let others: Vec<_> =
            self.find(|record| record.name != NAME).into_iter().map(|record| record.value).collect();
        assert_eq!(others, ["192.0.2.1", "v=spf1 -all", "of-another-name"], "records of others");
        Ok(self.find(|record| record.name == NAME).into_iter().map(|record| record.value).collect())
    }
}

/// A value without the quotes that many services show or want around TXT values.
pub fn unquoted(value: &str) -> String {
    value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(value).to_owned()
}

/// The name of a record from what an API calls it: relative to the zone, `@` for the zone itself, or with a dot at the end.
pub fn absolute(name: &str, zone: &str) -> String {
    match name {
        "" | "@" => zone.to_owned(),
        _ => name.strip_suffix('.').map_or_else(|| format!("{name}.{zone}"), str::to_owned),
    }
}

/// The name of a record relative to the zone; `apex` for the zone itself.
pub fn relative(name: &str, zone: &str, apex: &str) -> String {
    if name == zone { apex.to_owned() } else { name.trim_end_matches(zone).trim_end_matches('.').to_owned() }
}
