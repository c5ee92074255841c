//! The day on which a CA wants ten thousand certificates of one account replaced at once.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::urgency::suggested;
use super::*;
use crate::fair_slots::FairSlots;

const SLOTS: usize = 50;
const REVOKED: usize = 10_000;
/// How long an order takes, in seconds.
const ORDER: i64 = 30;

/// A Certificate that waits.
struct Waiting {
    case: Case,
    namespace: &'static str,
    /// When it is first due, in seconds since the CA's message.
    since: i64,
}

#[test]
fn on_a_revocation_day_nobody_starves_and_the_most_urgent_come_first() {
    let revoked = Case {
        suggestion: Some(suggested("2026-01-09T00:00:00Z", "2026-01-09T12:00:00Z")),
        ..Case::default()
    };
    let mut fleet: Vec<Waiting> = (0..REVOKED).map(|_| waiting(&revoked, "large", 0)).collect();
    // These are due a bit later, when all the others are in the queue.
    let created = Case { secret: SecretView::default(), ..Case::default() };
    let mut expiring = Case::default();
    expiring.leaf().not_before -= SignedDuration::from_hours(81 * 24);
    expiring.leaf().not_after -= SignedDuration::from_hours(81 * 24 - 2);
    let mut ordinary = Case::default();
    ordinary.leaf().not_before -= SignedDuration::from_hours(60 * 24);
    ordinary.leaf().not_after -= SignedDuration::from_hours(60 * 24);
    let groups = [
        (&created, "other", 20),
        (&created, "large", 20),
        (&expiring, "large", 20),
        (&ordinary, "large", 20),
    ];
    for (case, namespace, number) in groups {
        fleet.extend((0..number).map(|_| waiting(case, namespace, 600)));
    }
    let waits = waits(&fleet);
    let longest = |from: usize, to: usize| waits[from..to].iter().max().copied().unwrap();
    let [first, created_there, expiring, ordinary] =
        [0, 1, 2, 3].map(|group| longest(REVOKED + group * 20, REVOKED + group * 20 + 20));
    assert!(first <= ORDER, "in another namespace: {first} s");
    assert!(created_there <= 2 * ORDER, "without a certificate: {created_there} s");
    assert!(expiring <= 3 * ORDER, "about to expire: {expiring} s");
    // All are done at the pace of the account, and those that nobody revokes and that do not expire soon come last.
    let all = ORDER * (REVOKED + 80).div_ceil(SLOTS - SLOTS / 8) as i64;
    assert!(longest(0, REVOKED) <= all, "{} s", longest(0, REVOKED));
    assert!(waits[REVOKED + 60..].iter().all(|wait| *wait > all / 2) && ordinary <= all, "{ordinary} s");
}

fn waiting(case: &Case, namespace: &'static str, since: i64) -> Waiting {
    Waiting { case: case.clone(), namespace, since }
}

/// How long each one waits for its order slot.
fn waits(fleet: &[Waiting]) -> Vec<i64> {
    let mut slots = FairSlots::new(SLOTS).with_reserve(SLOTS / 8);
    let mut waits = vec![-1; fleet.len()];
    // When somebody asks for a slot, or its order ends.
    let mut events: BinaryHeap<_> =
        fleet.iter().enumerate().map(|(one, waiting)| Reverse((waiting.since, false, one))).collect();
    while let Some(Reverse((now, ends, one))) = events.pop() {
        let mut starts = Vec::new();
        if ends {
            starts = slots.free(&one.to_string());
        } else {
            let Waiting { case, namespace, .. } = &fleet[one];
            let urgency = Urgency::of(&case.current());
            if slots.take(&one.to_string(), namespace, urgency, one) {
                starts.push(one);
            }
        }
        for started in starts {
            assert_eq!(waits[started], -1, "nobody gets a slot twice");
            waits[started] = now - fleet[started].since;
            events.push(Reverse((now + ORDER, true, started)));
        }
    }
    assert!(slots.is_empty() && waits.iter().all(|wait| *wait >= 0), "nobody is forgotten");
    waits
}
