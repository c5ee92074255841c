//! Three years in the life of a certificate: CAs that fail, CAs that suggest, windows, restarts.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use super::*;
use crate::acme::{AcmeError, Operation, RenewalInfo, SuggestedWindow};
use crate::api::{RenewalInfoStatus, RenewalWindow};
use crate::core::backoff::Backoff;
use crate::pki::Leaf;

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;
const THREE_YEARS: i64 = 3 * 365 * DAY;
/// CAs let a certificate begin before it was made.
const BACKDATED: i64 = HOUR;

/// What befalls a certificate.
#[derive(Clone, Debug)]
struct Fate {
    /// When it is applied, in seconds since the beginning of a year.
    applied: i64,
    lifetime: i64,
    windows: Vec<RenewalWindow>,
    /// How the CA suggests a time, if it does.
    suggests: Option<Suggests>,
    /// When the CA cannot be reached: its beginning, in seconds after the application, and its length.
    outages: Vec<(i64, i64)>,
    /// When the CA wants whatever certificate there is replaced at once.
    revocations: Vec<i64>,
    /// When the operator is started anew.
    restarts: Vec<i64>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Suggests {
    /// As Let's Encrypt does.
    Sensibly,
    /// Each certificate replaced at once.
    Now,
    /// What says nothing.
    Nonsense,
}

/// The certificate there is, and what the operator knows.
struct Life<'a> {
    fate: &'a Fate,
    windows: Result<Windows, InvalidWindow>,
    begin: Timestamp,
    now: Timestamp,
    leaf: Option<Leaf>,
    status: Option<RenewalInfoStatus>,
    asked: Option<Asked>,
    began: Timestamp,
    failures: u32,
    next_attempt: Timestamp,
    orders: i64,
    questions: i64,
    /// From the moment at which a renewal was planned to the end of the certificate, for those that expired.
    expired: Vec<(Timestamp, Timestamp)>,
}

impl<'a> Life<'a> {
    fn new(fate: &'a Fate) -> Self {
        let year: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let begin = year + SignedDuration::from_secs(fate.applied);
        Self {
            fate,
            windows: Windows::new(&fate.windows),
            begin,
            now: begin,
            leaf: None,
            status: None,
            asked: None,
            began: begin,
            failures: 0,
            next_attempt: begin,
            orders: 0,
            questions: 0,
            expired: Vec::new(),
        }
    }

    fn seconds(&self) -> i64 {
        self.now.duration_since(self.begin).as_secs()
    }

    fn at(&self, seconds: i64) -> Timestamp {
        self.begin + SignedDuration::from_secs(seconds)
    }

    fn ca_is_up(&self) -> bool {
        let now = self.seconds();
        !self.fate.outages.iter().any(|(begin, length)| (*begin..begin + length).contains(&now))
    }

    /// How long the CA could not be reached between two moments.
    fn downtime(&self, from: Timestamp, to: Timestamp) -> i64 {
        let seconds = |time: Timestamp| time.duration_since(self.begin).as_secs();
        let (from, to) = (seconds(from), seconds(to));
        let overlap = |(begin, length): &(i64, i64)| (to.min(begin + length) - from.max(*begin)).max(0);
        self.fate.outages.iter().map(overlap).sum()
    }

    fn plan(&self, leaf: &Leaf) -> Plan {
        plan(&Reasons {
            leaf,
            rule: RenewalRule::Default,
            suggestion: self.status.as_ref(),
            windows: &self.windows,
            under_way: false,
            seed: &leaf.serial_number,
            now: self.now,
        })
    }

    fn live(mut self) -> Self {
        let mut restarts = self.fate.restarts.iter().map(|at| self.at(*at)).collect::<Vec<_>>().into_iter();
        let mut restart = restarts.next();
        while self.seconds() < THREE_YEARS {
            if restart.is_some_and(|at| at <= self.now) {
                (self.asked, self.began, restart) = (None, self.now, restarts.next());
            }
            let next = self.turn();
            assert!(next >= self.now, "time goes on");
            self.now = next;
        }
        self
    }

    /// Does what is to be done now; returns when to look again.
    fn turn(&mut self) -> Timestamp {
        let Some(leaf) = self.leaf.clone() else { return self.attempt() };
        let plan = self.plan(&leaf);
        if self.now > leaf.not_after || plan.time <= self.now {
            return self.attempt();
        }
        let asking =
            Asking { wanted: self.fate.suggests.is_some(), asked: self.asked.as_ref(), began: self.began };
        match asking.next(&leaf, self.status.as_ref(), &leaf.serial_number) {
            Some(at) if at <= self.now => {
                self.ask(&leaf);
                self.now
            }
            Some(at) => at.min(plan.time).min(leaf.not_after + SignedDuration::from_secs(1)),
            None => plan.time.min(leaf.not_after + SignedDuration::from_secs(1)),
        }
    }

    /// A renewal, unless the last one has failed just now.
    fn attempt(&mut self) -> Timestamp {
        if self.next_attempt > self.now {
            return self.next_attempt;
        }
        if !self.ca_is_up() {
            self.failures += 1;
            self.next_attempt = Backoff::default().next_attempt(self.failures, None, self.now, "seed");
            return self.next_attempt;
        }
        if let Some(leaf) = self.leaf.take().filter(|leaf| leaf.not_after < self.now) {
            let free = self.windows.as_ref().is_ok_and(Windows::is_empty);
            let due =
                renewal_time(leaf.not_before, leaf.not_after, RenewalRule::Default, &leaf.serial_number);
            let since = if free { due } else { latest(leaf.not_before, leaf.not_after) };
            self.expired.push((since, leaf.not_after));
        }
        self.orders += 1;
        (self.failures, self.next_attempt) = (0, self.now);
        let backdated = SignedDuration::from_secs(BACKDATED.min(self.fate.lifetime / 12));
        let not_before = whole_seconds(self.now - backdated);
        self.leaf = Some(Leaf {
            not_before,
            not_after: not_before + SignedDuration::from_secs(self.fate.lifetime),
            serial_number: format!("{:x}", self.orders),
            common_name: None,
            dns_names: BTreeSet::new(),
            ip_addresses: BTreeSet::new(),
            public_key_der: Vec::new(),
            public_key_algorithm: None,
            issuer_name: "Intermediate".to_owned(),
            certificate_id: Some(format!("aYhb.{:x}", self.orders)),
            der: Vec::new(),
        });
        self.now
    }

    fn ask(&mut self, leaf: &Leaf) {
        self.questions += 1;
        let id = leaf.certificate_id.clone().unwrap();
        let failures = self.asked.as_ref().filter(|asked| asked.certificate_id == id);
        let question = Question {
            leaf,
            certificate_id: &id,
            seed: &leaf.serial_number,
            account: "https://ca.example/account/1",
            before: self.status.as_ref(),
            failures: failures.map_or(0, |asked| asked.failures),
            now: self.now,
            at_ca: self.now,
        };
        if !self.ca_is_up() {
            let why = AcmeError::Timeout { operation: Operation::RenewalInfo, host: "ca.example".to_owned() };
            let (status, asked) = question.failed(&NoSuggestion::Call(why));
            (self.status, self.asked) = (status, Some(asked));
            return;
        }
        let (status, asked) = question.answered(&self.suggestion(leaf), Some(Duration::from_secs(6 * 3600)));
        (self.status, self.asked) = (Some(status), Some(asked));
    }

    fn suggestion(&self, leaf: &Leaf) -> RenewalInfo {
        let lifetime = SignedDuration::from_secs(self.fate.lifetime);
        let now = SuggestedWindow {
            start: self.now - SignedDuration::from_hours(1),
            end: self.now - SignedDuration::from_secs(60),
        };
        let issued = leaf.not_before.duration_since(self.begin).as_secs();
        let revoked =
            self.fate.revocations.iter().any(|at| (issued + BACKDATED..=self.seconds()).contains(at));
        let ideal = if self.fate.lifetime < 10 * DAY { 0.5 } else { 0.66 };
        let around = |part: f64| leaf.not_before + part_of(lifetime, part);
        let suggested_window = match self.fate.suggests {
            Some(Suggests::Now) => now,
            _ if revoked => now,
            Some(Suggests::Nonsense) => SuggestedWindow { start: leaf.not_after, end: leaf.not_before },
            _ => SuggestedWindow { start: around(ideal - 0.02), end: around(ideal + 0.02) },
        };
        RenewalInfo { suggested_window, explanation_url: None }
    }
}

fn part_of(lifetime: SignedDuration, fraction: f64) -> SignedDuration {
    SignedDuration::from_secs_f64(lifetime.as_secs_f64() * fraction)
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 20, ..ProptestConfig::with_cases(12) })]

    #[test]
    fn in_three_years_nothing_expires_that_could_be_renewed_and_no_order_is_wasted(fate in fate(&DAYS)) {
        check(&fate)?;
    }

    /// The CA is asked as often as it wants, and a little oftener when the operator is started anew.
    #[test]
    fn the_ca_is_not_asked_oftener_than_it_wants(fate in fate(&DAYS)) {
        let fate = Fate { outages: Vec::new(), windows: Vec::new(), ..fate };
        let life = Life::new(&fate).live();
        let restarts = i64::try_from(fate.restarts.len()).unwrap();
        prop_assert!(
            life.questions <= THREE_YEARS / (6 * HOUR) + life.orders + restarts + 1,
            "{} questions",
            life.questions
        );
    }
}

proptest! {
    // Some nine thousand certificates each.
    #![proptest_config(ProptestConfig { max_shrink_iters: 5, ..ProptestConfig::with_cases(2) })]

    #[test]
    fn the_same_holds_for_certificates_of_six_hours(fate in fate(&[6 * HOUR])) {
        check(&fate)?;
    }
}

const DAYS: [i64; 6] = [6 * DAY, 45 * DAY, 47 * DAY, 90 * DAY, 200 * DAY, 398 * DAY];

fn check(fate: &Fate) -> Result<(), TestCaseError> {
    let life = Life::new(fate).live();
    for (since, end) in &life.expired {
        // The waits after failures double, so that they are about as long as what has failed before.
        let time = end.duration_since(*since).as_secs();
        let down = life.downtime(*since, *end);
        prop_assert!(
            down * 10 >= time * 4,
            "expired at {end}, though the CA was down for {down} of the {time} seconds before only"
        );
    }
    // A window may bring a renewal forward by half of the use, and the use is less than by the rule for the jitter.
    let used = if fate.lifetime < 10 * DAY { 0.45 } else { 0.63 };
    let used = if fate.windows.is_empty() { used } else { used / 2.0 };
    let least = (fate.lifetime as f64 * used) as i64 - BACKDATED.min(fate.lifetime / 12) - 60;
    let early = match fate.suggests {
        None | Some(Suggests::Nonsense) => 0,
        Some(Suggests::Sensibly) => 2 * i64::try_from(fate.revocations.len()).unwrap(),
        // Two hours, or a tenth of the lifetime, and six times as long each time. An outage that is as long as a certificate
        // is used has it begin anew.
        Some(Suggests::Now) => 10 * (1 + i64::try_from(fate.outages.len()).unwrap()),
    };
    prop_assert!(
        life.orders <= THREE_YEARS / least + 1 + early,
        "{} orders, and a certificate is used for {least} s at least",
        life.orders
    );
    Ok(())
}

fn fate(lifetimes: &[i64]) -> impl Strategy<Value = Fate> + use<> {
    let lifetime = prop::sample::select(lifetimes.to_vec());
    lifetime.prop_flat_map(|lifetime| {
        let suggests = prop::option::of(prop::sample::select(vec![
            Suggests::Sensibly,
            Suggests::Sensibly,
            Suggests::Now,
            Suggests::Nonsense,
        ]));
        // As long as a certificate lives, and now and then much shorter.
        let length = prop_oneof![60..lifetime, 60..lifetime / 4];
        let moments = |most| prop::collection::vec(0..THREE_YEARS, 0..most);
        (
            0..365 * DAY,
            prop_oneof![2 => Just(Vec::new()), 3 => prop::collection::vec(window(), 1..3)],
            suggests,
            prop::collection::vec((0..THREE_YEARS, length), 0..6),
            moments(3),
            moments(10),
        )
            .prop_map(move |(applied, windows, suggests, outages, revocations, mut restarts)| {
                restarts.sort_unstable();
                Fate { applied, lifetime, windows, suggests, outages, revocations, restarts }
            })
    })
}

fn window() -> impl Strategy<Value = RenewalWindow> {
    let cron = prop::sample::select(vec![
        "0 2 * * *",
        "30 1 * * 6",
        "0 22 * * 1-5",
        "15 3 1 * *",
        "0 */2 * * *",
        "0 0 1 */3 *",
        "0 4 29 2 *",
    ]);
    let zone = prop::sample::select(vec![
        None,
        Some("Europe/Paris"),
        Some("America/New_York"),
        Some("Asia/Kolkata"),
    ]);
    (cron, prop::sample::select(vec!["1m", "30m", "4h", "48h"]), zone).prop_map(|(cron, length, zone)| {
        RenewalWindow {
            cron: cron.to_owned(),
            window_duration: length.parse().unwrap(),
            timezone: zone.map(str::to_owned),
        }
    })
}
