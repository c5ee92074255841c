//! The rows that the page shows, and what has changed of them since a page last asked.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;

/// How many rows that no longer exist are remembered. A page that has missed more gets all rows anew.
const MOST_GONE: usize = 10_000;

/// The rows, which watches write and pages read.
#[derive(Debug, Default)]
pub struct Board {
    rows: Mutex<Rows>,
    version: watch::Sender<u64>,
}

/// What a page has to change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// The version of the board after this.
    pub version: u64,
    /// Whether what the page had before is to be forgotten.
    pub reset: bool,
    /// New and changed rows, as JSON.
    pub rows: Vec<Arc<str>>,
    /// The keys of the rows that are gone.
    pub gone: Vec<String>,
}

impl Board {
    /// Sets a row, given as JSON.
    pub fn put(&self, key: String, row: String) {
        self.change(|rows| rows.set(key, Some(row.into())));
    }

    /// Removes a row.
    pub fn remove(&self, key: &str) {
        self.change(|rows| rows.set(key.to_owned(), None));
    }

    /// Removes the rows whose keys begin with `prefix`, except those to be kept.
    pub fn retain(&self, prefix: &str, kept: impl Fn(&str) -> bool) {
        self.change(|rows| {
            let is_left_over =
                |key: &String, row: &Row| row.json.is_some() && key.starts_with(prefix) && !kept(key);
            let gone = rows.all.iter().filter(|(key, row)| is_left_over(key, row));
            let gone: Vec<_> = gone.map(|(key, _)| key.clone()).collect();
            gone.into_iter().for_each(|key| rows.set(key, None));
        });
    }

    /// What has changed since this version; everything, if `None`.
    pub fn since(&self, version: Option<u64>) -> Changes {
        self.rows.lock().since(version)
    }

    /// Is told each new version.
    pub fn versions(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    fn change(&self, change: impl FnOnce(&mut Rows)) {
        let mut rows = self.rows.lock();
        change(&mut rows);
        let version = rows.version;
        drop(rows);
        self.version.send_if_modified(|told| {
            let is_newer = version > *told;
            *told = version.max(*told);
            is_newer
        });
    }
}

#[derive(Debug, Default)]
struct Rows {
    version: u64,
    all: HashMap<String, Row>,
    /// The key of each row by the version that changed it last.
    by_version: BTreeMap<u64, String>,
    gone: usize,
    /// The last version whose removed rows are forgotten.
    forgotten: u64,
}

#[derive(Debug)]
struct Row {
    version: u64,
    /// `None`: it is gone.
    json: Option<Arc<str>>,
}

impl Rows {
    fn set(&mut self, key: String, json: Option<Arc<str>>) {
        let before = self.all.get(&key);
        if before.map_or(json.is_none(), |before| before.json == json) {
            return;
        }
        if let Some(before) = before {
            self.by_version.remove(&before.version);
            self.gone -= usize::from(before.json.is_none());
        }
        self.version += 1;
        self.gone += usize::from(json.is_none());
        self.by_version.insert(self.version, key.clone());
        self.all.insert(key, Row { version: self.version, json });
        if self.gone > MOST_GONE {
            self.forget();
        }
    }

    /// Forgets all rows that are gone.
    fn forget(&mut self) {
        let (all, by_version) = (&mut self.all, &mut self.by_version);
        all.retain(|_, row| row.json.is_some() || by_version.remove(&row.version).is_none());
        (self.gone, self.forgotten) = (0, self.version);
    }

    fn since(&self, version: Option<u64>) -> Changes {
        let known = version.filter(|version| *version >= self.forgotten);
        let mut changes = Changes { version: self.version, reset: known.is_none(), ..Changes::default() };
        let after = known.map_or(0, |version| version + 1);
        for key in self.by_version.range(after..).map(|(_, key)| key) {
            match self.all.get(key).and_then(|row| row.json.clone()) {
                Some(row) => changes.rows.push(row),
                None if known.is_some() => changes.gone.push(key.clone()),
                None => {}
            }
        }
        changes
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_page_gets_everything_first_and_then_only_what_changes() {
        let board = Board::default();
        board.put("a".to_owned(), "1".to_owned());
        board.put("b".to_owned(), "2".to_owned());
        let first = board.since(None);
        assert_eq!((first.reset, first.rows.len(), first.version), (true, 2, 2));
        board.put("a".to_owned(), "1".to_owned());
        assert_eq!(board.since(Some(2)), Changes { version: 2, ..Changes::default() }, "nothing changed");
        board.put("a".to_owned(), "3".to_owned());
        board.remove("b");
        board.remove("never there");
        let expected =
            Changes { version: 4, rows: vec!["3".into()], gone: vec!["b".to_owned()], reset: false };
        assert_eq!(board.since(Some(2)), expected);
        assert_eq!(board.since(None).rows, ["3".into()]);
    }

    #[test]
    fn what_a_list_lacks_is_gone_and_other_kinds_stay() {
        let board = Board::default();
        for key in ["certificate/a/a", "certificate/a/b", "issuer/a/a"] {
            board.put(key.to_owned(), format!("\"{key}\""));
        }
        board.retain("certificate/", |key| key.ends_with("/b"));
        assert_eq!(board.since(Some(3)).gone, ["certificate/a/a"]);
    }

    #[test]
    fn a_page_that_missed_too_many_removals_begins_anew() {
        let board = Board::default();
        board.put("stays".to_owned(), "1".to_owned());
        for number in 0..=MOST_GONE {
            board.put(number.to_string(), "2".to_owned());
            board.remove(&number.to_string());
        }
        let changes = board.since(Some(1));
        assert!(changes.reset && changes.gone.is_empty());
        assert_eq!(changes.rows, ["1".into()]);
        assert_eq!(board.rows.lock().by_version.len(), 1, "what is gone is forgotten");
    }

    proptest! {
        #[test]
        fn a_page_that_applies_all_changes_shows_what_is_there(
            steps in prop::collection::vec((0..8u8, prop::option::of(0..3u8), any::<bool>()), 0..200)
        ) {
            let board = Board::default();
            let (mut there, mut shown) = (BTreeMap::new(), BTreeMap::new());
            let mut version = None;
            for (key, value, reads) in steps {
                let key = key.to_string();
                let row = value.map(|value| format!("{key}={value}"));
                match row {
                    Some(row) => {
                        board.put(key.clone(), row.clone());
                        there.insert(key, row);
                    }
                    None => {
                        board.remove(&key);
                        there.remove(&key);
                    }
                }
                if reads {
                    let changes = board.since(version);
                    if changes.reset {
                        shown.clear();
                    }
                    changes.gone.iter().for_each(|key| drop(shown.remove(key)));
                    for row in changes.rows {
                        let (key, _) = row.split_once('=').unwrap();
                        shown.insert(key.to_owned(), row.to_string());
                    }
                    version = Some(changes.version);
                    prop_assert_eq!(&shown, &there);
                }
            }
        }
    }
}
