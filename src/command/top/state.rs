//! What `certwright top` knows, and where the user is. It has no client and no terminal.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::effect::{Effect, Request};
use crate::command::kind::Kind;
use crate::command::outlook::NextAction;
use crate::command::rows::watches::{Change, Health};
use crate::command::rows::{CertificateFacts, IssuerFacts, Key, Row, Standing};
use crate::controller::issuer_record::IssuerId;
use certwright_api::certificate_reason as reason;

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
    Opened { of: Key, text: Option<String>, scroll: u16 },
    /// The question whether to make a request.
    Confirm(Request, Key),
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
    rows: BTreeMap<Key, Row>,
    /// The keys of the Certificates that are shown, in order.
    order: Vec<Key>,
    watches: BTreeMap<Kind, Health>,
    /// Whether all Certificates were seen once.
    pub(super) is_complete: bool,
    pub(super) filter: String,
    pub(super) only: Option<Standing>,
    pub(super) table: Table,
    pub(super) mode: Mode,
    pub(super) notice: String,
    /// What is selected. It stays selected when rows move.
    certificate: Option<Key>,
    issuer: Option<Key>,
    reading: Option<Reading>,
    ticks: u32,
}

/// An object that is being read.
#[derive(Debug)]
struct Reading {
    of: Key,
    /// Whether it has changed since.
    is_stale: bool,
}

/// What an issuer has to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Load {
    pub(super) certificates: usize,
    /// Issuances that have an order at the CA.
    pub(super) orders: usize,
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
            rows: BTreeMap::new(),
            order: Vec::new(),
            watches: BTreeMap::new(),
            is_complete: false,
            filter: String::new(),
            only: None,
            table: Table::Certificates,
            mode: Mode::Rows,
            notice: String::new(),
            certificate: None,
            issuer: None,
            reading: None,
            ticks: 0,
        }
    }

    /// Watches have seen something.
    pub(super) fn apply(&mut self, changes: Vec<Change>) -> Effect {
        let concerns_opened = match &self.mode {
            Mode::Opened { of, .. } => changes.iter().any(|change| change.concerns(of)),
            _ => false,
        };
        changes.into_iter().for_each(|change| self.take(change));
        self.arrange();
        if concerns_opened { self.refreshed() } else { Effect::None }
    }

    fn take(&mut self, change: Change) {
        match change {
            Change::All(kind, rows) => {
                self.rows.retain(|key, _| key.kind() != kind);
                self.rows.extend(rows.into_iter().map(|row| (row.key.clone(), row)));
                self.is_complete |= kind == Kind::Certificate;
            }
            Change::One(row) => drop(self.rows.insert(row.key.clone(), *row)),
            Change::Gone(key) => drop(self.rows.remove(&key)),
            Change::Watch(kind, health) => drop(self.watches.insert(kind, health)),
        }
    }

    /// The Certificates, with what only they have.
    fn certificates(&self) -> impl Iterator<Item = (&Row, &CertificateFacts)> {
        self.rows.values().filter_map(|row| Some((row, row.certificate()?)))
    }

    /// The issuers, with what only they have.
    fn all_issuers(&self) -> impl Iterator<Item = (&Row, &IssuerFacts)> {
        self.rows.values().filter_map(|row| Some((row, row.issuer()?)))
    }

    /// A second has passed.
    pub(super) fn tick(&mut self) -> Effect {
        self.ticks = self.ticks.wrapping_add(1);
        if self.ticks.is_multiple_of(REFRESH) { self.refreshed() } else { Effect::None }
    }

    /// Opens an object.
    pub(super) fn open(&mut self, of: Key) -> Effect {
        self.mode = Mode::Opened { of: of.clone(), text: None, scroll: 0 };
        self.read(of)
    }

    fn read(&mut self, of: Key) -> Effect {
        self.reading = Some(Reading { of: of.clone(), is_stale: false });
        Effect::Open(of)
    }

    /// Reads the opened object again, if there is one: after the read that is in progress.
    fn refreshed(&mut self) -> Effect {
        let Mode::Opened { of, .. } = &self.mode else { return Effect::None };
        match &mut self.reading {
            Some(reading) if reading.of == *of => {
                reading.is_stale = true;
                Effect::None
            }
            _ => self.read(of.clone()),
        }
    }

    /// An object was read.
    pub(super) fn opened(&mut self, read: &Key, words: String) -> Effect {
        let reading = self.reading.take_if(|reading| reading.of == *read);
        match &mut self.mode {
            Mode::Opened { of, text, .. } if of == read => *text = Some(words),
            _ => return Effect::None,
        }
        if reading.is_some_and(|reading| reading.is_stale) { self.refreshed() } else { Effect::None }
    }

    /// Shows only rows with this text and this standing.
    pub(super) fn show_only(&mut self, filter: String, only: Option<Standing>) {
        (self.filter, self.only) = (filter, only);
        self.arrange();
    }

    fn arrange(&mut self) {
        let text = self.filter.to_lowercase();
        let is_shown = |(row, facts): &(&Row, &CertificateFacts)| {
            self.only.is_none_or(|only| row.standing == only)
                && (text.is_empty() || contains(row, facts, &text))
        };
        let mut rows: Vec<_> = self.certificates().filter(is_shown).collect();
        rows.sort_by(|(one, of_one), (other, of_other)| rank(one, of_one).cmp(&rank(other, of_other)));
        self.order = rows.into_iter().map(|(row, _)| row.key.clone()).collect();
    }

    /// The position of the selected Certificate: the first one, until the user has chosen another.
    pub(super) fn position(&self) -> usize {
        let chosen = self.certificate.as_ref();
        chosen.and_then(|key| self.order.iter().position(|one| one == key)).unwrap_or_default()
    }

    /// The position of the selected issuer.
    pub(super) fn issuer_position(&self) -> usize {
        let chosen = self.issuer.as_ref();
        let position = |key: &Key| self.all_issuers().position(|(row, _)| row.key == *key);
        chosen.and_then(position).unwrap_or_default()
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
                let to = moved(self.issuer_position(), self.all_issuers().count());
                let chosen = self.all_issuers().nth(to).map(|(row, _)| row.key.clone());
                self.issuer = chosen;
            }
        }
    }

    /// The selected object.
    pub(super) fn selected(&self) -> Option<Key> {
        match self.table {
            Table::Certificates => self.order.get(self.position()).cloned(),
            Table::Issuers => self.all_issuers().nth(self.issuer_position()).map(|(row, _)| row.key.clone()),
        }
    }

    /// Whether the last issuance of a Certificate failed.
    pub(super) fn has_failed(&self, of: &Key) -> bool {
        self.rows.get(of).is_some_and(|row| row.standing == Standing::Failing)
    }

    /// At most `height` Certificates around the selected one, and its place among them.
    pub(super) fn window(&self, height: usize) -> (Vec<(&Row, &CertificateFacts)>, usize) {
        let position = self.position();
        let first = position.saturating_sub(height / 2).min(self.order.len().saturating_sub(height));
        let keys = self.order.iter().skip(first).take(height);
        let row = |key| self.rows.get(key).and_then(|row| Some((row, row.certificate()?)));
        (keys.filter_map(row).collect(), position - first)
    }

    /// How many Certificates there are, of which so many are shown.
    pub(super) fn counts(&self) -> (usize, usize) {
        (self.certificates().count(), self.order.len())
    }

    /// How many Certificates have this standing.
    pub(super) fn count(&self, standing: Standing) -> usize {
        self.certificates().filter(|(row, _)| row.standing == standing).count()
    }

    /// The issuers, with what they have to do.
    pub(super) fn issuers(&self) -> Vec<(&Row, &IssuerFacts, Load)> {
        let mut loads: BTreeMap<&IssuerId, Load> = BTreeMap::new();
        for (row, facts) in self.certificates() {
            let load = loads.entry(&facts.issuer).or_default();
            load.certificates += 1;
            let why = row.outlook.trouble.as_ref().map(|trouble| trouble.reason.as_str());
            match (row.standing, why) {
                (Standing::Failing, _) => load.failing += 1,
                (_, Some(reason::QUEUED)) => load.queued += 1,
                (_, Some(reason::RATE_LIMITED)) => load.paused += 1,
                (Standing::Working | Standing::Waiting, _) if facts.has_order => load.orders += 1,
                _ => {}
            }
        }
        let load = |key: &Key| match key {
            Key::Issuer(id) => loads.get(id).copied().unwrap_or_default(),
            Key::Certificate(..) => Load::default(),
        };
        self.all_issuers().map(|(row, facts)| (row, facts, load(&row.key))).collect()
    }

    /// How many renewals there are on each of the next [`DAYS`] days, of 24 hours from now. Those that are due are in the first.
    pub(super) fn timeline(&self, now: Timestamp) -> [u64; DAYS] {
        let mut days = [0; DAYS];
        for renews in self.rows.values().filter_map(Row::renews) {
            let hours = renews.duration_since(now).max(SignedDuration::ZERO).as_hours();
            if let Some(day) = usize::try_from(hours / 24).ok().and_then(|day| days.get_mut(day)) {
                *day += 1;
            }
        }
        days
    }

    /// The next renewals.
    pub(super) fn next_renewals(&self, count: usize) -> Vec<(&Key, Timestamp)> {
        let renewals = self.rows.values().filter_map(|row| Some((&row.key, row.renews()?)));
        let mut renewals: Vec<_> = renewals.collect();
        renewals.sort_by_key(|(key, time)| (*time, *key));
        renewals.truncate(count);
        renewals
    }

    /// What the user must know about the watches: what cannot be seen.
    pub(super) fn fault(&self) -> Option<String> {
        let fault = |(kind, health): (&Kind, &Health)| {
            let words = health.fault.as_ref()?;
            let how = if health.is_listed { "may be out of date" } else { "cannot be read" };
            Some(format!("{} {how}: {words}", kind.plural()))
        };
        self.watches.iter().find_map(fault)
    }
}

/// Whether this text occurs in a name, the reason or the message of a Certificate.
fn contains(row: &Row, facts: &CertificateFacts, text: &str) -> bool {
    let has = |field: &str| field.to_lowercase().contains(text);
    let trouble = row.outlook.problem();
    has(row.key.name())
        || row.key.namespace().is_some_and(has)
        || has(&facts.issuer.name)
        || facts.names.iter().any(|name| has(name))
        || trouble.is_some_and(|trouble| has(&trouble.reason) || has(&trouble.message))
}

/// Certificates with the greatest trouble come first, and then those for which something happens next.
fn rank<'a>(row: &'a Row, facts: &CertificateFacts) -> (Standing, Timestamp, &'a Key) {
    let next = match &row.outlook.next {
        NextAction::At(_, time) => *time,
        NextAction::When(_) => facts.expires.unwrap_or(Timestamp::MIN),
    };
    (row.standing, next, &row.key)
}
