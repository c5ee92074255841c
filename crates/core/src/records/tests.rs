use super::*;
use certwright_api::ChallengeStatus;

#[test]
fn a_record_that_is_needed_is_left_alone_and_holds_the_certificate() {
    let status = with_record(None);
    assert_eq!(due(&status, true, None, at(1_000_000)), None);
    assert!(holds(&status));
    assert_eq!(next_removal(&status.dns_records), None);
}

#[test]
fn a_record_that_is_not_needed_any_more_is_removed_at_once() {
    let mut status = with_record(None);
    retire(&mut status.dns_records, |_| true, at(0));
    assert_eq!(removed(&status, None, at(0)), [30]);
    assert_eq!(next_removal(&status.dns_records), Some(at(0)));
}

#[test]
fn a_record_that_is_needed_again_by_way_of_another_solver_is_not_removed_meanwhile() {
    let mut status = with_record(None);
    retire(&mut status.dns_records, |_| true, at(0));
    let again = with_record(Some("7s")).dns_records.remove(0);
    status.dns_records.push(again);
    assert_eq!((due(&status, true, None, at(9)), next_removal(&status.dns_records)), (None, None));
    retire(&mut status.dns_records, |_| true, at(10));
    assert_eq!(removed(&status, None, at(10)).len(), 2, "by both solvers");
}

#[test]
fn a_record_that_is_retired_again_keeps_its_time() {
    let mut status = with_record(None);
    retire(&mut status.dns_records, |_| true, at(0));
    retire(&mut status.dns_records, |_| true, at(500));
    assert_eq!(status.dns_records[0].removal.as_ref().map(|removal| removal.since.0), Some(at(0)));
}

#[test]
fn the_certificate_is_released_once_nothing_is_left_in_the_dns_or_in_ingresses_of_others() {
    let mut status = CertificateStatus::default();
    assert_eq!(due(&status, true, None, at(0)), Some(CleanupTask::Release));
    assert_eq!(due(&status, false, None, at(0)), None);
    status.challenges.push(ChallengeStatus { ingress: Some("web".to_owned()), ..ChallengeStatus::default() });
    assert_eq!(due(&status, true, None, at(0)), None);
}

#[test]
fn a_failing_removal_is_tried_again_later_and_later_and_left_behind_after_a_day() {
    let mut status = with_record(None);
    retire(&mut status.dns_records, |_| true, at(0));
    let (mut now, mut waits) = (at(0), Vec::new());
    while let Some(removal) = after_failed_removal(&status.dns_records[0], "no route", None, now) {
        assert_eq!(removal.reason.as_deref(), Some("no route"));
        waits.push(removal.next_attempt_time.0.duration_since(now).as_secs());
        now = removal.next_attempt_time.0;
        status.dns_records[0].removal = Some(removal);
        assert!(waits.len() < 1000, "it goes on without end");
    }
    assert_eq!(now, at(24 * 3600));
    assert!(waits[0] == 1 && waits.iter().all(|wait| *wait <= 300), "{waits:?}");
    assert!(waits[..5].is_sorted(), "{waits:?}");
}

#[test]
fn a_deletion_waits_for_a_provider_no_longer_than_the_solver_says() {
    for (timeout, seconds) in [(None, 60), (Some("5s"), 5), (Some("0s"), 0)] {
        let mut status = with_record(timeout);
        retire(&mut status.dns_records, |_| true, at(-100));
        let (mut now, deleted) = (at(0), deleted_at(0));
        while let Some(removal) = after_failed_removal(&status.dns_records[0], "no", Some(deleted), now) {
            now = removal.next_attempt_time.0;
            status.dns_records[0].removal = Some(removal);
        }
        assert_eq!(now, at(seconds), "{timeout:?}");
    }
}

#[test]
fn a_provider_that_hangs_does_not_hold_a_deletion_up_beyond_its_end() {
    let most = Duration::from_secs(30);
    let mut status = with_record(Some("5s"));
    let record = &status.dns_records[0];
    let taking = |deleted, now| patience(record, most, deleted, now).as_secs();
    assert_eq!(taking(None, at(0)), 30);
    assert_eq!(taking(Some(deleted_at(0)), at(0)), 5);
    assert_eq!(taking(Some(deleted_at(0)), at(2)), 3);
    assert_eq!(taking(Some(deleted_at(0)), at(5)), 1, "it is asked once more, and briefly");
    assert_eq!(taking(Some(deleted_at(0)), at(500)), 1);
    status.dns_records[0].solver.cleanup_timeout = None;
    assert_eq!(patience(&status.dns_records[0], most, Some(deleted_at(0)), at(0)), most);
}

#[test]
fn an_issuance_does_not_wait_long_for_a_provider_and_a_deletion_does() {
    let mut status = with_record(None);
    retire(&mut status.dns_records, |_| true, at(0));
    status.order = Some(certwright_api::OrderStatus {
        url: "order/1".to_owned(),
        state: "pending".to_owned(),
        expires: None,
        created: Time(at(0)),
        account: "account/1".to_owned(),
        seal: None,
    });
    assert_eq!(removed(&status, None, at(0)), [2]);
    assert_eq!(removed(&status, Some(deleted_at(0)), at(0)), [30]);
    assert_eq!(removed(&status, Some(deleted_at(0)), at(55)), [5]);
}

#[test]
fn only_the_records_that_were_to_be_removed_change() {
    let mut ledger = with_record(None).dns_records;
    ledger.push(DnsRecordStatus { value: "other".to_owned(), ..ledger[0].clone() });
    ledger.push(DnsRecordStatus { value: "third".to_owned(), ..ledger[0].clone() });
    retire(&mut ledger, |_| true, at(0));
    let answers = [(ledger[1].clone(), Ok(())), (ledger[2].clone(), Err("no".to_owned()))];
    let first = ledger[0].clone();
    assert_eq!(after_removals(&mut ledger, &answers, None, at(1)), []);
    assert_eq!((ledger.len(), &ledger[0]), (2, &first));
    assert_eq!(ledger[1].removal.as_ref().unwrap().reason.as_deref(), Some("no"));
}

#[test]
fn a_certificate_that_is_deleted_withdraws_what_is_presented_and_is_then_released() {
    let mut status = with_record(None);
    assert_eq!(last_chore(&status, true, None, at(0)), Some(CleanupTask::Withdraw));
    retire(&mut status.dns_records, |_| true, at(0));
    assert!(matches!(last_chore(&status, true, None, at(0)), Some(CleanupTask::RemoveRecords(_))));
    status.dns_records.clear();
    assert_eq!(last_chore(&status, true, None, at(0)), Some(CleanupTask::Release));
    assert_eq!(last_chore(&status, false, None, at(0)), None);
}

#[test]
fn a_record_of_another_account_key_is_outdated_while_it_is_needed() {
    let mut status = with_record(None);
    status.dns_records[0].key_authorization = "token.old".to_owned();
    assert!(are_outdated(&status, "new"));
    assert!(!are_outdated(&status, "old"));
    retire(&mut status.dns_records, |_| true, at(0));
    assert!(!are_outdated(&status, "new"));
}

#[test]
fn a_withdrawal_during_an_issuance_removes_what_is_due_and_does_not_wait_long() {
    let mut status = with_record(None);
    assert_eq!(withdrawals(&status.dns_records, None, at(0)), []);
    retire(&mut status.dns_records, |_| true, at(0));
    let record = status.dns_records[0].clone();
    assert_eq!(
        withdrawals(&status.dns_records, None, at(0)),
        [Removal { record, patience: Duration::from_secs(2) }]
    );
}

#[test]
fn a_new_proof_keeps_the_records_it_needs_and_has_the_others_removed() {
    let mut ledger = with_record(None).dns_records;
    ledger.push(DnsRecordStatus { value: "again".to_owned(), ..ledger[0].clone() });
    let needed = DnsRecordStatus { key_authorization: "of now".to_owned(), ..ledger[1].clone() };
    replace(&mut ledger, vec![needed.clone()], at(0));
    assert_eq!(ledger.len(), 2);
    assert_eq!(ledger[0].removal.as_ref().map(|removal| removal.next_attempt_time.0), Some(at(0)));
    assert_eq!(ledger[1], needed);
}

/// How long the provider of each record that is due may take, in seconds.
fn removed(status: &CertificateStatus, deleted: Option<Deletion>, now: Timestamp) -> Vec<u64> {
    match due(status, true, deleted, now) {
        Some(CleanupTask::RemoveRecords(removals)) => {
            removals.iter().map(|removal| removal.patience.as_secs()).collect()
        }
        chore => panic!("{chore:?}"),
    }
}

fn with_record(cleanup_timeout: Option<&str>) -> CertificateStatus {
    let solver = Dns01Solver {
        cleanup_timeout: cleanup_timeout.map(|text| text.parse().unwrap()),
        ..Dns01Solver::default()
    };
    let record = DnsRecordStatus {
        name: "a.test".to_owned(),
        fqdn: "_acme-challenge.a.test.".to_owned(),
        zone: "a.test.".to_owned(),
        value: "value".to_owned(),
        solver,
        ..DnsRecordStatus::default()
    };
    CertificateStatus { dns_records: vec![record], ..CertificateStatus::default() }
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

fn deleted_at(seconds: i64) -> Deletion {
    Deletion { since: at(seconds), with_namespace: false }
}
