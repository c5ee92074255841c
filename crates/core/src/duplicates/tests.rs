use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use proptest::prelude::*;

use super::*;

const LIMIT: usize = 4;

fn at(hours: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap() + SignedDuration::from_hours(hours)
}

fn issued(hour: i64, lives: i64) -> IssuanceRecord {
    IssuanceRecord {
        time: Time(at(hour)),
        not_after: Time(at(hour + lives)),
        names_digest: "same".to_owned(),
        account: "account".to_owned(),
    }
}

#[test]
fn the_limit_holds_until_the_oldest_is_a_week_old() {
    let mut ledger: Vec<_> = [0, 1, 2].map(|hour| issued(hour, 90 * 24)).to_vec();
    assert_eq!(free_at(&ledger, "same", LIMIT, at(3)), None);
    ledger.push(issued(3, 90 * 24));
    assert_eq!(free_at(&ledger, "same", LIMIT, at(4)), Some(at(7 * 24)));
    assert_eq!(free_at(&ledger, "others", LIMIT, at(4)), None);
    assert_eq!(free_at(&ledger, "same", 0, at(4)), None, "no limit");
    ledger.push(issued(5, 90 * 24));
    assert_eq!(free_at(&ledger, "same", LIMIT, at(6)), Some(at(7 * 24 + 1)), "one that was asked for");
    assert_eq!(free_at(&ledger, "same", LIMIT, at(7 * 24 + 1)), None);
}

#[test]
fn what_has_expired_does_not_count() {
    let ledger: Vec<_> = (0..20).map(|turn| issued(turn * 3, 6)).collect();
    assert_eq!(
        free_at(&ledger, "same", LIMIT, at(58)),
        None,
        "certificates of six hours, renewed every three"
    );
}

#[test]
fn the_ledger_forgets_what_another_account_obtained_and_what_does_not_count() {
    let mut ledger = vec![issued(0, 90 * 24), issued(100, 90 * 24), issued(101, 1)];
    ledger[1].names_digest = "others".to_owned();
    record(&mut ledger, issued(7 * 24, 90 * 24), at(7 * 24));
    assert_eq!(ledger.len(), 2, "{ledger:?}");
    let another = IssuanceRecord { account: "another".to_owned(), ..issued(7 * 24 + 1, 90 * 24) };
    record(&mut ledger, another.clone(), at(7 * 24 + 1));
    assert_eq!(ledger, [another]);
}

#[test]
fn certificates_are_duplicates_if_their_names_are_the_same() {
    let digest = |names: &[&str]| names_digest(&names.iter().map(|name| (*name).to_owned()).collect());
    assert_eq!(digest(&["a.test", "b.test"]), digest(&["b.test", "a.test"]));
    assert_ne!(digest(&["a.test", "b.test"]), digest(&["a.test"]));
    assert_ne!(digest(&["a.test"]), digest(&["b.test"]));
}

proptest! {
    #[test]
    fn never_more_than_the_limit_within_any_week(
        losses in prop::collection::vec(1i64..60, 1..200), limit in 1usize..6,
    ) {
        let (mut ledger, mut orders, mut now) = (Vec::new(), Vec::new(), 0);
        for wait in losses {
            now += wait;
            if free_at(&ledger, "same", limit, at(now)).is_none() {
                orders.push(now);
                record(&mut ledger, issued(now, 90 * 24), at(now));
            }
            let week = orders.iter().filter(|order| **order > now - 7 * 24).count();
            prop_assert!(week <= limit);
            prop_assert!(ledger.len() <= limit, "the ledger stays short");
        }
    }
}
