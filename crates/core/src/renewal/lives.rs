//! Three years in the life of a certificate: CAs that fail, CAs that suggest, windows, restarts.

mod life;

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use self::life::{Expiry, Life};
use super::*;
use crate::backoff::Backoff;
use crate::naming::stable_fraction;
use certwright_acme::{AcmeError, Operation, RenewalInfo, SuggestedWindow};
use certwright_api::{RenewalInfoStatus, RenewalWindow};
use certwright_pki::Leaf;

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;
const THREE_YEARS: i64 = 3 * 365 * DAY;
/// CAs backdate certificates.
const BACKDATED: i64 = HOUR;

/// Three years, or the time of a few hundred certificates.
fn span(lifetime: i64) -> i64 {
    THREE_YEARS.min(400 * lifetime)
}

/// The events in the life of a certificate.
#[derive(Clone, Debug)]
struct Fate {
    /// When it is applied, in seconds since the start of a year.
    applied: i64,
    lifetime: i64,
    windows: Vec<RenewalWindow>,
    /// How the CA suggests a time, if it does.
    suggests: Option<Suggests>,
    /// When the CA cannot be reached: start, in seconds after the application, and length.
    outages: Vec<(i64, i64)>,
    /// When the CA wants the current certificate replaced immediately.
    revocations: Vec<i64>,
    /// When the operator restarts.
    restarts: Vec<i64>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Suggests {
    /// As Let's Encrypt does.
    Sensibly,
    /// Each certificate is to be replaced immediately.
    Now,
    /// Each certificate is to be replaced soon, whenever the CA is asked.
    Soon,
    /// A mix of these that differs between certificates, and times in between.
    Moody,
    /// An invalid window.
    Nonsense,
}

/// A CA that always wants a certificate replaced immediately, and windows.
#[test]
fn a_ca_that_always_says_now_costs_a_few_orders_and_not_a_few_per_certificate() {
    let window = RenewalWindow {
        cron: "0 */2 * * *".to_owned(),
        window_duration: "30m".parse().unwrap(),
        timezone: None,
    };
    // In one of these it is renewed before the time that the CA gave.
    let minutes = RenewalWindow { cron: "*/10 * * * *".to_owned(), ..window.clone() };
    let minutes = RenewalWindow { window_duration: "1m".parse().unwrap(), ..minutes };
    let fate = Fate {
        applied: 1,
        lifetime: 90 * DAY,
        windows: vec![window],
        suggests: Some(Suggests::Now),
        outages: Vec::new(),
        revocations: Vec::new(),
        restarts: vec![
            20_257_186, 23_711_692, 29_908_083, 49_318_165, 67_776_802, 67_971_253, 76_941_979, 79_160_172,
        ],
    };
    check(&fate).unwrap();
    for lifetime in DAYS {
        let fate = Fate { lifetime, ..fate.clone() };
        check(&fate).unwrap();
        check(&Fate { windows: Vec::new(), ..fate.clone() }).unwrap();
        check(&Fate { windows: Vec::new(), suggests: Some(Suggests::Soon), ..fate.clone() }).unwrap();
        check(&Fate { suggests: Some(Suggests::Soon), windows: vec![minutes.clone()], ..fate }).unwrap();
    }
    // Within an hour, of which the Certificate picks a moment after a tenth of the lifetime.
    let hours = Fate { lifetime: 6 * HOUR, suggests: Some(Suggests::Soon), windows: Vec::new(), ..fate };
    for applied in 0..20 {
        check(&Fate { applied: applied * 1000, restarts: Vec::new(), ..hours.clone() }).unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 20, ..ProptestConfig::with_cases(40) })]

    #[test]
    fn in_three_years_nothing_expires_that_could_be_renewed_and_no_order_is_wasted(fate in fate(&DAYS)) {
        check(&fate)?;
    }

    /// The CA is asked as often as it wants, and once more after each restart.
    #[test]
    fn the_ca_is_not_asked_more_often_than_it_wants(fate in fate(&DAYS)) {
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
    // Some eight hundred certificates each.
    #![proptest_config(ProptestConfig { max_shrink_iters: 20, ..ProptestConfig::with_cases(20) })]

    #[test]
    fn the_same_holds_for_certificates_of_six_hours(fate in fate(&[6 * HOUR])) {
        check(&fate)?;
    }
}

const DAYS: [i64; 6] = [6 * DAY, 45 * DAY, 47 * DAY, 90 * DAY, 200 * DAY, 398 * DAY];

fn check(fate: &Fate) -> Result<(), TestCaseError> {
    let life = Life::new(fate).live();
    for Expiry { due, tried, at } in &life.expired {
        // The renewal was tried in time, and failed each time, because the CA was down.
        let Some((first, last)) = tried else {
            return Err(TestCaseError::fail(format!("expired at {at}, and nothing was tried")));
        };
        prop_assert!(first <= due, "expired at {at}, and first tried at {first}, after {due}");
        // A wait is at most the sum of all waits before it plus a minute, plus a fifth for the jitter.
        let wait = (last.duration_since(*first) + SignedDuration::from_secs(60)) * 12 / 10;
        let next = *last + wait + SignedDuration::from_secs(1);
        prop_assert!(next >= *at, "expired at {at}, and last tried at {last}, after {first}");
    }
    let (most, why) = most_orders(fate);
    prop_assert!(life.orders <= most, "{} orders, and there may be {most}: {why}", life.orders);
    Ok(())
}

/// The maximum number of orders, and why.
fn most_orders(fate: &Fate) -> (i64, String) {
    let &Fate { lifetime, suggests, .. } = fate;
    let backdated = BACKDATED.min(lifetime / 12);
    // The part of the use that remains if windows move a renewal forward: half; without windows, all of it.
    let windows = if fate.windows.is_empty() { 1.0 } else { 0.5 };
    let uses = |part: f64| span(lifetime) / ((lifetime as f64 * part * windows) as i64 - backdated - 60);
    // According to the rule, less the most by which it is moved forward; a sensible CA suggests more.
    let normal = if lifetime < 10 * DAY { 0.4 } else { 0.56 };
    let revocations = i64::try_from(fate.revocations.len()).unwrap();
    let (early, why) = match suggests {
        None => (0, "the CA is not asked".to_owned()),
        // Each replaces one certificate before its time.
        Some(Suggests::Sensibly | Suggests::Nonsense) => (revocations, format!("{revocations} revocations")),
        // However often it says so: the series ends only with a certificate that the CA lets be used.
        Some(Suggests::Now | Suggests::Soon) => {
            (early_orders(fate), "one at once and one after each wait".to_owned())
        }
        // In the worst case, each series of early ones is followed by one that is used for half of the normal time, and all
        // others are used for a tenth of their lifetime.
        Some(Suggests::Moody) => {
            let rows = uses(normal / 2.0) + 1;
            (rows * early_orders(fate) + uses(0.1), "a row of early ones for each that is used".to_owned())
        }
    };
    let used = uses(normal);
    (used + 1 + early, format!("{used} of normal use, the first, and {early}, for {why}"))
}

/// The maximum number of certificates that are replaced early if the CA always says "now": one immediately, and one after each
/// wait that is shorter than the normal use.
fn early_orders(fate: &Fate) -> i64 {
    let normal = if fate.lifetime < 10 * DAY { fate.lifetime / 2 } else { fate.lifetime * 2 / 3 };
    let first = (2 * HOUR).min(fate.lifetime / 10);
    let waits = std::iter::successors(Some(first), |wait| Some(wait * 6)).take_while(|wait| *wait < normal);
    1 + i64::try_from(waits.count()).unwrap()
}

fn fate(lifetimes: &[i64]) -> impl Strategy<Value = Fate> + use<> {
    let lifetime = prop::sample::select(lifetimes.to_vec());
    lifetime.prop_flat_map(|lifetime| {
        let suggests = prop::option::of(prop::sample::select(vec![
            Suggests::Sensibly,
            Suggests::Now,
            Suggests::Soon,
            Suggests::Moody,
            Suggests::Nonsense,
        ]));
        // As long as the lifetime of a certificate, and sometimes much shorter.
        let length = prop_oneof![60..lifetime, 60..lifetime / 4];
        let span = span(lifetime);
        let moments = move |most| prop::collection::vec(0..span, 0..most);
        (
            0..365 * DAY,
            prop_oneof![2 => Just(Vec::new()), 3 => prop::collection::vec(window(), 1..3)],
            suggests,
            prop::collection::vec((0..span, length), 0..6),
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
