//! What `certwright top` knows, and where the user is. It has no client and no terminal.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::effect::{Effect, Opened, Request};
use super::feed::{Change, Item, Seen};
use super::rows::{CertificateRow, IssuerRow, Key, Standing, kind_of};
use crate::command::kind::Kind;
use crate::controller::issuer_record::IssuerId;
use certwright_api::{IssuerKind, certificate_reason as reason};

/// How far the timeline reaches.
pub(super) const DAYS: usize = 30;
/// How many ticks pass until the opened object is read again, whether or not it has changed.
const REFRESH: u32 = 5;

/// What is in front.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// The tables.
    Rows,
    /// The tables, while the user types a filter.
    Filter,
    /// An object. The text is `None` until it was read.
    Opened { of: Opened, text: Option<String>, scroll: u16 },
    /// The question whether to make a request.
    Confirm(Request, Opened),
    /// The keys.
    Help,
}

/// A table that can be selected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Table {
    Certificates,
    Issuers,
}

/// What is known, and where the user is.
#[derive(Debug)]
pub(super) struct State {
    /// The namespace; `None` for all.
    pub(super) namespace: Option<String>,
    certificates: BTreeMap<Key, CertificateRow>,
    issuers: BTreeMap<IssuerId, IssuerRow>,
    /// The keys of the Certificates that are shown, in order.
    order: Vec<Key>,
    /// Why a watch does not work.
    faults: BTreeMap<Kind, String>,
    /// Whether all Certificates were seen once.
    pub(super) is_complete: bool,
    pub(super) filter: String,
    pub(super) only: Option<Standing>,
    pub(super) table: Table,
    pub(super) mode: Mode,
    pub(super) notice: String,
    /// What is selected. It stays selected when rows move.
    certificate: Option<Key>,
    issuer: Option<IssuerId>,
    ticks: u32,
}

/// What an issuer has to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Load {
    pub(super) certificates: usize,
    /// Issuances that have a place.
    pub(super) in_progress: usize,
    /// Issuances that wait for a place.
    pub(super) queued: usize,
    /// Issuances that wait for a rate limit.
    pub(super) paused: usize,
    pub(super) failing: usize,
}

impl State {
    pub(super) fn new(namespace: Option<String>) -> Self {
        Self {
            namespace,
            certificates: BTreeMap::new(),
            issuers: BTreeMap::new(),
            order: Vec::new(),
            faults: BTreeMap::new(),
            is_complete: false,
            filter: String::new(),
            only: None,
            table: Table::Certificates,
            mode: Mode::Rows,
            notice: String::new(),
            certificate: None,
            issuer: None,
            ticks: 0,
        }
    }

    /// Watches have seen something.
    pub(super) fn apply(&mut self, changes: Vec<Change>) -> Effect {
        changes.into_iter().for_each(|change| self.take(change));
        self.arrange();
        self.refreshed()
    }

    fn take(&mut self, Change { kind, what }: Change) {
        if !matches!(what, Seen::Fault(_)) {
            self.faults.remove(&kind);
        }
        match what {
            Seen::Fault(words) => drop(self.faults.insert(kind, words)),
            Seen::All(items) if kind == Kind::Certificate => {
                self.certificates.clear();
                self.is_complete = true;
                items.into_iter().for_each(|item| self.put(item));
            }
            Seen::All(items) => {
                self.issuers.retain(|id, _| kind_of(id) != kind);
                items.into_iter().for_each(|item| self.put(item));
            }
            Seen::One(item) => self.put(item),
            Seen::Gone(key) => self.remove(kind, key),
        }
    }

    fn put(&mut self, item: Item) {
        match item {
            Item::Certificate(row) => drop(self.certificates.insert(row.key.clone(), *row)),
            Item::Issuer(row) => drop(self.issuers.insert(row.id.clone(), *row)),
        }
    }

    fn remove(&mut self, kind: Kind, Key { namespace, name }: Key) {
        match kind {
            Kind::Certificate => drop(self.certificates.remove(&Key { namespace, name })),
            Kind::Issuer => {
                drop(self.issuers.remove(&IssuerId { kind: IssuerKind::Issuer, namespace, name }))
            }
            Kind::ClusterIssuer => {
                drop(self.issuers.remove(&IssuerId {
                    kind: IssuerKind::ClusterIssuer,
                    namespace: None,
                    name,
                }));
            }
        }
    }

    /// A second has passed.
    pub(super) fn tick(&mut self) -> Effect {
        self.ticks = self.ticks.wrapping_add(1);
        if self.ticks.is_multiple_of(REFRESH) { self.refreshed() } else { Effect::None }
    }

    /// Reads the opened object again, if there is one.
    fn refreshed(&self) -> Effect {
        match &self.mode {
            Mode::Opened { of, text: Some(_), .. } => Effect::Open(of.clone()),
            _ => Effect::None,
        }
    }

    /// An object was read.
    pub(super) fn opened(&mut self, read: &Opened, words: String) {
        if let Mode::Opened { of, text, .. } = &mut self.mode
            && of == read
        {
            *text = Some(words);
        }
    }

    /// Shows only rows with this text and this standing.
    pub(super) fn show_only(&mut self, filter: String, only: Option<Standing>) {
        (self.filter, self.only) = (filter, only);
        self.arrange();
    }

    fn arrange(&mut self) {
        let text = self.filter.to_lowercase();
        let is_shown = |row: &&CertificateRow| {
            self.only.is_none_or(|only| row.standing == only) && (text.is_empty() || row.contains(&text))
        };
        let mut rows: Vec<&CertificateRow> = self.certificates.values().filter(is_shown).collect();
        rows.sort_by(|one, other| one.rank().cmp(&other.rank()));
        self.order = rows.into_iter().map(|row| row.key.clone()).collect();
    }

    /// The position of the selected Certificate: the first one, until the user has chosen another.
    pub(super) fn position(&self) -> usize {
        let chosen = self.certificate.as_ref();
        chosen.and_then(|key| self.order.iter().position(|one| one == key)).unwrap_or_default()
    }

    /// The position of the selected issuer.
    pub(super) fn issuer_position(&self) -> usize {
        let chosen = self.issuer.as_ref();
        chosen.and_then(|id| self.issuers.keys().position(|one| one == id)).unwrap_or_default()
    }

    /// Selects a row further down or up.
    pub(super) fn step(&mut self, by: isize) {
        let moved = |from: usize, len: usize| from.saturating_add_signed(by).min(len.saturating_sub(1));
        match self.table {
            Table::Certificates => {
                let to = moved(self.position(), self.order.len());
                self.certificate = self.order.get(to).cloned();
            }
            Table::Issuers => {
                let to = moved(self.issuer_position(), self.issuers.len());
                self.issuer = self.issuers.keys().nth(to).cloned();
            }
        }
    }

    /// The selected object.
    pub(super) fn selected(&self) -> Option<Opened> {
        match self.table {
            Table::Certificates => {
                let Key { namespace, name } = self.order.get(self.position())?.clone();
                Some(Opened { kind: Kind::Certificate, namespace, name })
            }
            Table::Issuers => {
                let row = self.issuers.values().nth(self.issuer_position())?;
                let IssuerId { namespace, name, .. } = row.id.clone();
                Some(Opened { kind: row.kind(), namespace, name })
            }
        }
    }

    /// Whether the last issuance of a Certificate failed.
    pub(super) fn has_failed(&self, of: &Opened) -> bool {
        let key = Key { namespace: of.namespace.clone(), name: of.name.clone() };
        self.certificates.get(&key).is_some_and(|row| row.standing == Standing::Failing)
    }

    /// At most `height` Certificates around the selected one, and its place among them.
    pub(super) fn window(&self, height: usize) -> (Vec<&CertificateRow>, usize) {
        let position = self.position();
        let first = position.saturating_sub(height / 2).min(self.order.len().saturating_sub(height));
        let rows = self.order.iter().skip(first).take(height);
        (rows.filter_map(|key| self.certificates.get(key)).collect(), position - first)
    }

    /// How many Certificates there are, of which so many are shown.
    pub(super) fn counts(&self) -> (usize, usize) {
        (self.certificates.len(), self.order.len())
    }

    /// How many Certificates have this standing.
    pub(super) fn count(&self, standing: Standing) -> usize {
        self.certificates.values().filter(|row| row.standing == standing).count()
    }

    /// The issuers, with what they have to do.
    pub(super) fn issuers(&self) -> Vec<(&IssuerRow, Load)> {
        let mut loads: BTreeMap<&IssuerId, Load> = BTreeMap::new();
        for row in self.certificates.values() {
            let load = loads.entry(&row.issuer).or_default();
            load.certificates += 1;
            let why = row.outlook.trouble.as_ref().map(|trouble| trouble.reason.as_str());
            match (row.standing, why) {
                (Standing::Failing, _) => load.failing += 1,
                (_, Some(reason::QUEUED)) => load.queued += 1,
                (_, Some(reason::RATE_LIMITED)) => load.paused += 1,
                (Standing::UnderWay | Standing::Waiting, _) => load.in_progress += 1,
                _ => {}
            }
        }
        self.issuers.values().map(|row| (row, loads.get(&row.id).copied().unwrap_or_default())).collect()
    }

    /// How many renewals there are on each of the next [`DAYS`] days, of 24 hours from now. Those that are due are in the first.
    pub(super) fn timeline(&self, now: Timestamp) -> [u64; DAYS] {
        let mut days = [0; DAYS];
        for renews in self.certificates.values().filter_map(|row| row.renews) {
            let hours = renews.duration_since(now).max(SignedDuration::ZERO).as_hours();
            if let Some(day) = usize::try_from(hours / 24).ok().and_then(|day| days.get_mut(day)) {
                *day += 1;
            }
        }
        days
    }

    /// The next renewals.
    pub(super) fn next_renewals(&self, count: usize) -> Vec<(&Key, Timestamp)> {
        let renewals = self.certificates.values().filter_map(|row| Some((&row.key, row.renews?)));
        let mut renewals: Vec<_> = renewals.collect();
        renewals.sort_by_key(|(key, time)| (*time, *key));
        renewals.truncate(count);
        renewals
    }

    /// What the user must know about the watches: what cannot be seen.
    pub(super) fn fault(&self) -> Option<String> {
        let (kind, words) = self.faults.first_key_value()?;
        Some(format!("{}s may be out of date: {words}", kind.as_str()))
    }
}
