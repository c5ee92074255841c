//! One life: a certificate, its CA, and the operator that renews it.

use super::*;

const UID: &str = "uid";

/// A certificate that expired.
pub(super) struct Expiry {
    /// By when a renewal had to start.
    pub(super) due: Timestamp,
    /// The first and the last attempt before its end.
    pub(super) tried: Option<(Timestamp, Timestamp)>,
    pub(super) at: Timestamp,
}

/// The current certificate, and what the operator knows.
pub(super) struct Life<'a> {
    fate: &'a Fate,
    windows: Result<Windows, InvalidWindow>,
    begin: Timestamp,
    now: Timestamp,
    leaf: Option<Leaf>,
    status: Option<RenewalInfoStatus>,
    asked: Option<RenewalInfoPoll>,
    began: Timestamp,
    failures: u32,
    next_attempt: Timestamp,
    pub(super) orders: i64,
    pub(super) questions: i64,
    /// The first and the last attempt to replace the certificate before its end, if they failed.
    tried: Option<(Timestamp, Timestamp)>,
    pub(super) expired: Vec<Expiry>,
}

impl<'a> Life<'a> {
    pub(super) fn new(fate: &'a Fate) -> Self {
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
            tried: None,
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

    fn plan(&self, leaf: &Leaf) -> Plan {
        plan(&Reasons {
            leaf,
            rule: RenewalRule::Default,
            suggestion: self.status.as_ref(),
            windows: &self.windows,
            under_way: false,
            uid: UID,
            now: self.now,
        })
    }

    pub(super) fn live(mut self) -> Self {
        let span = span(self.fate.lifetime);
        let mut restarts = self.fate.restarts.iter().map(|at| self.at(*at)).collect::<Vec<_>>().into_iter();
        let mut restart = restarts.next();
        while self.seconds() < span {
            if restart.is_some_and(|at| at <= self.now) {
                (self.asked, self.began, restart) = (None, self.now, restarts.next());
            }
            let next = self.turn();
            assert!(next >= self.now, "time goes on");
            self.now = next;
        }
        self
    }

    /// Does what is due now; returns when to check again.
    fn turn(&mut self) -> Timestamp {
        let Some(leaf) = self.leaf.clone() else { return self.attempt() };
        let plan = self.plan(&leaf);
        if self.now > leaf.not_after || plan.time <= self.now {
            return self.attempt();
        }
        let asking = RenewalInfoPolling {
            wanted: self.fate.suggests.is_some(),
            asked: self.asked.as_ref(),
            began: self.began,
        };
        match asking.next(&leaf, self.status.as_ref(), UID) {
            Some(at) if at <= self.now => {
                self.ask(&leaf);
                self.now
            }
            Some(at) => at.min(plan.time).min(leaf.not_after + SignedDuration::from_secs(1)),
            None => plan.time.min(leaf.not_after + SignedDuration::from_secs(1)),
        }
    }

    /// A renewal, unless the operator backs off.
    fn attempt(&mut self) -> Timestamp {
        if self.next_attempt > self.now {
            return self.next_attempt;
        }
        if !self.ca_is_up() {
            self.failures += 1;
            if self.leaf.as_ref().is_some_and(|leaf| self.now <= leaf.not_after) {
                let first = self.tried.map_or(self.now, |(first, _)| first);
                self.tried = Some((first, self.now));
            }
            self.next_attempt = Backoff::default().next_attempt(self.failures, None, self.now, "seed");
            return self.next_attempt;
        }
        if let Some(leaf) = self.leaf.take().filter(|leaf| leaf.not_after < self.now) {
            let windows = !self.windows.as_ref().is_ok_and(Windows::is_empty);
            let suggested = !matches!(self.fate.suggests, None | Some(Suggests::Nonsense));
            let due = renewal_time(leaf.not_before, leaf.not_after, RenewalRule::Default, UID);
            let due = if windows || suggested { latest(leaf.not_before, leaf.not_after) } else { due };
            self.expired.push(Expiry { due, tried: self.tried, at: leaf.not_after });
        }
        self.tried = None;
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
            revocation_list_url: None,
            der: Vec::new(),
        });
        self.now
    }

    fn ask(&mut self, leaf: &Leaf) {
        self.questions += 1;
        let id = leaf.certificate_id.clone().unwrap();
        let failures = self.asked.as_ref().filter(|asked| asked.certificate_id == id);
        let question = RenewalInfoRequest {
            leaf,
            certificate_id: &id,
            uid: UID,
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
        let from_now = |begin: i64, end: i64| SuggestedWindow {
            start: self.now + SignedDuration::from_secs(begin),
            end: self.now + SignedDuration::from_secs(end),
        };
        let part = |part: f64| SuggestedWindow { start: around(part - 0.02), end: around(part + 0.02) };
        let suggested_window = match self.fate.suggests {
            Some(Suggests::Now) => now,
            Some(Suggests::Soon) => from_now(300, HOUR),
            Some(Suggests::Moody) => match (5.0 * stable_fraction(&leaf.serial_number)) as u8 {
                0 | 1 => now,
                2 => from_now(300, HOUR),
                _ => part(0.03 + 0.6 * stable_fraction(&format!("{}/part", leaf.serial_number))),
            },
            _ if revoked => now,
            Some(Suggests::Nonsense) => SuggestedWindow { start: leaf.not_after, end: leaf.not_before },
            _ => part(ideal),
        };
        RenewalInfo { suggested_window, explanation_url: None }
    }
}

fn part_of(lifetime: SignedDuration, fraction: f64) -> SignedDuration {
    SignedDuration::from_secs_f64(lifetime.as_secs_f64() * fraction)
}
