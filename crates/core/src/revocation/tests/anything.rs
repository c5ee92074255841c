//! Whatever happens.

use proptest::prelude::*;

use super::*;

#[derive(Clone, Copy, Debug)]
enum Event {
    Holds(u8),
    IsLost,
    OnReplace(bool),
    OnDelete(bool),
    Request(Option<&'static str>),
    Passes(i64),
    Succeeds(bool),
    Deleted,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        (1..6u8).prop_map(Event::Holds),
        Just(Event::IsLost),
        any::<bool>().prop_map(Event::OnReplace),
        any::<bool>().prop_map(Event::OnDelete),
        prop_oneof![
            Just(None),
            Just(Some("superseded")),
            Just(Some("keyCompromise")),
            Just(Some("nonsense"))
        ]
        .prop_map(Event::Request),
        (0..100_000i64).prop_map(Event::Passes),
        any::<bool>().prop_map(Event::Succeeds),
        Just(Event::Deleted),
    ]
}

proptest! {
    /// Whatever happens, at some point nothing is left to do. The certificate in the Secret is revoked only on request or on
    /// deletion. None is revoked again while its revocation is on record, and a deletion ends in time.
    #[test]
    fn after_any_events_it_comes_to_rest_and_a_deletion_ends(events in prop::collection::vec(event(), 1..40)) {
        let mut case = Case::holding(OLD);
        let mut succeeds = true;
        let mut revoked = std::collections::BTreeSet::new();
        for event in events.into_iter().chain([Event::Deleted]) {
            match event {
                Event::Holds(serial) => case.secret = secret(&serial.to_string()),
                Event::IsLost => case.secret = SecretView::default(),
                Event::OnReplace(is) => case.asked.on_replace = is.then_some(RevocationReason::Superseded),
                Event::OnDelete(is) => case.asked.on_delete = is.then_some(RevocationReason::CessationOfOperation),
                Event::Request(request) => case.asked.request = request,
                Event::Passes(seconds) => case.now += SignedDuration::from_secs(seconds),
                Event::Succeeds(does) => succeeds = does,
                Event::Deleted => { case.asked.deleted.get_or_insert(deleted_at(case.now)); }
            }
            let mut steps = 0;
            while let Some(chore) = case.next() {
                steps += 1;
                prop_assert!(steps < 60, "no rest: {chore:?}");
                if let RevocationTask::Revoke(revocation, _) = &chore {
                    let serial = &revocation.certificate.serial_number;
                    let cause = revocation.progress.cause;
                    let in_secret = case.secret.leaf().is_some_and(|leaf| leaf.serial_number == *serial);
                    // One that reappears in the Secret is still revoked: that was decided.
                    prop_assert!(!in_secret || cause != RevocationCause::Replaced || !revoked.contains(serial));
                    if succeeds {
                        revoked.insert(serial.clone());
                    }
                }
                case.does(chore, if succeeds { Ok(()) } else { Err(stumble()) });
            }
            // The ledger forgets a revoked certificate when it is replaced. It may reappear, and be replaced again.
            let on_record: Vec<_> =
                case.state.status.revocation.iter().flat_map(|ledger| &ledger.certificates).collect();
            revoked.retain(|serial| on_record.iter().any(|held| held.serial_number == *serial));
            if let Some(next) = next_attempt(&case.state.status) {
                prop_assert!(next > case.now);
            }
        }
        let deleted = case.asked.deleted.unwrap().since;
        let bound = deleted + DELETION_TIMEOUT + SignedDuration::from_secs(2);
        while holds(&case.state.status) {
            case.now = next_attempt(&case.state.status).expect("something to wait for");
            prop_assert!(case.now <= bound, "it waits until {} and was deleted at {deleted}", case.now);
            while let Some(chore) = case.next() {
                case.does(chore, Err(stumble()));
            }
        }
    }
}
