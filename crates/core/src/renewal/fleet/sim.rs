//! A fleet of Certificates of one account, from event to event.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};
use std::ops::Range;

use jiff::{SignedDuration, Timestamp};

use crate::fair_slots::FairSlots;
use crate::reissue::Urgency;
use crate::renewal::{InvalidWindow, Reasons, RenewalInfoRequest, RenewalRule, Windows, plan};
use certwright_acme::{RenewalInfo, SuggestedWindow};
use certwright_api::RenewalInfoStatus;
use certwright_pki::Leaf;

/// In seconds.
const HOURS: i64 = 3600;
/// CAs backdate certificates.
const BACKDATED: i64 = HOURS;
/// How long an order takes.
const ORDER: i64 = 30;
const NAMESPACES: [&str; 8] = ["a", "b", "c", "d", "e", "f", "g", "h"];
const BEGIN: i64 = 1_767_225_600;

pub(super) struct Fleet {
    uids: Vec<String>,
    /// When the certificate of each one starts.
    starts: Vec<i64>,
    lifetime: i64,
    slots: FairSlots<usize, Urgency>,
    limit: usize,
    away: Range<i64>,
    events: BinaryHeap<Reverse<(i64, bool, usize)>>,
    suggests: bool,
    windows: Result<Windows, InvalidWindow>,
    leaf: Leaf,
    /// Certificates issued in each hour.
    issued: Vec<usize>,
    pub(super) expired: usize,
}

/// Issuances in a period.
#[derive(Debug)]
pub(super) struct Spread {
    /// The maximum in an hour.
    pub(super) max: f64,
    pub(super) mean: f64,
    pub(super) sum: usize,
}

impl Spread {
    /// The maximum as a multiple of the mean.
    pub(super) fn most(&self) -> f64 {
        self.max / self.mean
    }
}

impl Fleet {
    /// Certificates with this lifetime, in hours, that are all due at once.
    pub(super) fn all_due(number: usize, lifetime: i64) -> Self {
        Self::created_over(0, number, lifetime)
    }

    /// Certificates with this lifetime that are created within some hours, one after another.
    pub(super) fn created_over(hours: i64, number: usize, lifetime: i64) -> Self {
        let mut fleet = Self::new(number, lifetime);
        let created = |one: usize| hours * HOURS * one as i64 / number as i64;
        fleet.events = (0..number).map(|one| Reverse((created(one), false, one))).collect();
        fleet
    }

    pub(super) fn with_suggestions(self) -> Self {
        Self { suggests: true, ..self }
    }

    /// There is an order slot for two thousand of them.
    fn new(number: usize, lifetime: i64) -> Self {
        let limit = number / 2000;
        Self {
            uids: (0..number).map(|one| format!("uid-{one}")).collect(),
            starts: vec![0; number],
            lifetime: lifetime * HOURS,
            slots: FairSlots::new(limit).with_reserve(limit / 8),
            limit,
            away: 0..0,
            events: BinaryHeap::new(),
            suggests: false,
            windows: Ok(Windows::default()),
            leaf: leaf(),
            issued: Vec::new(),
            expired: 0,
        }
    }

    /// The operator or its CA is away from one hour to the other.
    pub(super) fn is_away(&mut self, from: i64, to: i64) {
        self.away = from * HOURS..to * HOURS;
    }

    /// The maximum number of certificates that can be issued in an hour.
    pub(super) fn pace(&self) -> f64 {
        self.limit as f64 * (HOURS / ORDER) as f64
    }

    pub(super) fn number(&self) -> usize {
        self.uids.len()
    }

    /// Issuances from one hour to another. In a small fleet, the maximum is that of several hours in a row, in which a hundred are
    /// due, so that chance plays no larger part.
    pub(super) fn spread(&self, from: i64, to: i64) -> Spread {
        let hours = &self.issued[from as usize..to as usize];
        let at_once = self.cycle_in_hours() * 100 / self.number();
        let at_once = at_once.clamp(1, hours.len());
        let most = hours.windows(at_once).map(|hours| hours.iter().sum::<usize>()).max().unwrap_or_default();
        let sum: usize = hours.iter().sum();
        Spread { max: most as f64 / at_once as f64, mean: sum as f64 / hours.len() as f64, sum }
    }

    fn cycle_in_hours(&self) -> usize {
        self.lifetime as usize * 2 / 3 / HOURS as usize
    }

    pub(super) fn run_until(&mut self, hour: i64) {
        self.issued = vec![0; hour as usize];
        while let Some(Reverse((time, ends, one))) =
            self.events.pop().filter(|event| event.0.0 < hour * HOURS)
        {
            if self.away.contains(&time) {
                self.events.push(Reverse((self.away.end, ends, one)));
            } else if ends {
                self.issue(one, time);
            } else {
                let urgency = Urgency::UsableUntil(at(self.starts[one] + self.lifetime));
                if self.slots.take(&self.uids[one], NAMESPACES[one % NAMESPACES.len()], urgency, one) {
                    self.events.push(Reverse((time + ORDER, true, one)));
                }
            }
        }
    }

    fn issue(&mut self, one: usize, now: i64) {
        let ends = self.starts[one] + self.lifetime;
        self.expired += usize::from(self.starts[one] != 0 && ends < now);
        self.issued[(now / HOURS) as usize] += 1;
        self.starts[one] = now - BACKDATED;
        self.plan(one, now);
        for next in self.slots.free(&self.uids[one]) {
            self.events.push(Reverse((now + ORDER, true, next)));
        }
    }

    fn plan(&mut self, one: usize, now: i64) {
        self.leaf.not_before = at(self.starts[one]);
        self.leaf.not_after = at(self.starts[one] + self.lifetime);
        let suggestion = self.suggests.then(|| self.suggestion(one, now));
        let plan = plan(&Reasons {
            leaf: &self.leaf,
            rule: RenewalRule::Default,
            suggestion: suggestion.as_ref(),
            windows: &self.windows,
            under_way: false,
            uid: &self.uids[one],
            now: at(now),
        });
        self.events.push(Reverse(((plan.time.as_second() - BEGIN).max(0), false, one)));
    }

    /// Around two thirds, as Let's Encrypt does.
    fn suggestion(&self, one: usize, now: i64) -> RenewalInfoStatus {
        let around = |part: i64| self.leaf.not_before + SignedDuration::from_secs(self.lifetime * part / 300);
        let request = RenewalInfoRequest {
            leaf: &self.leaf,
            certificate_id: "aYhb.01",
            uid: &self.uids[one],
            account: "https://ca.example/account/1",
            before: None,
            failures: 0,
            now: at(now),
            at_ca: at(now),
        };
        let suggested_window = SuggestedWindow { start: around(194), end: around(206) };
        request.answered(&RenewalInfo { suggested_window, explanation_url: None }, None).0
    }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(BEGIN + second).unwrap()
}

fn leaf() -> Leaf {
    Leaf {
        not_before: at(0),
        not_after: at(0),
        serial_number: "01".to_owned(),
        common_name: None,
        dns_names: BTreeSet::new(),
        ip_addresses: BTreeSet::new(),
        public_key_der: Vec::new(),
        public_key_algorithm: None,
        issuer_name: "Intermediate".to_owned(),
        certificate_id: Some("aYhb.01".to_owned()),
        revocation_list_url: None,
        der: Vec::new(),
    }
}
