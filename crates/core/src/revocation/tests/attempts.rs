//! Attempts that fail, who signs them, and what is reported.

use super::*;

#[test]
fn a_deletion_does_not_wait_for_an_attempt_that_is_far_off() {
    let mut case = Case::holding(OLD);
    case.asked = on_replace();
    case.keeps_ledger(None);
    case.secret = secret(NEW);
    case.keeps_ledger(None);
    case.now += SignedDuration::from_hours(1);
    assert!(case.fails(OLD, stumble()));
    assert_eq!(case.next(), None);
    assert!(next_attempt(&case.state.status).unwrap() > case.now);
    case.delete();
    case.keeps_ledger(None);
    assert_eq!(case.states(), [(OLD, "open")]);
    assert!(case.is_next(OLD));
    let mut attempts = 0;
    while case.fails(OLD, stumble()) {
        attempts += 1;
        assert_eq!(case.next(), None);
        case.now = next_attempt(&case.state.status).unwrap();
    }
    assert!((3..=40).contains(&attempts), "{attempts}");
    let waited = case.now.duration_since(case.asked.deleted.unwrap().since);
    assert!(waited <= SignedDuration::from_secs(61), "{waited}");
}

#[test]
fn a_ca_that_fails_is_asked_again_ever_more_slowly_for_a_week() {
    let mut case = Case::holding(OLD);
    case.asked.request = Some("superseded");
    case.keeps_ledger(None);
    let begin = case.now;
    let mut attempts = 0;
    while case.fails(OLD, stumble()) {
        attempts += 1;
        case.now = next_attempt(&case.state.status).unwrap();
    }
    assert!((20..60).contains(&attempts), "{attempts}");
    assert!(case.now.duration_since(begin) >= GIVEN_UP_AFTER);
}

#[test]
fn a_refusal_that_would_be_the_same_each_time_is_not_asked_for_again() {
    let revoke = Operation::RevokeCertificate;
    for (code, status, is_asked_again) in [
        ("badRevocationReason", 400, false),
        ("malformed", 404, false),
        ("rateLimited", 429, true),
        ("serverInternal", 500, true),
        ("unexpectedStatus", 503, true),
    ] {
        let mut case = Case::asked();
        assert_eq!(case.fails(OLD, rejection(revoke, code, status)), is_asked_again, "{code}");
        assert_eq!(case.next(), None);
    }
    let mut case = Case::asked();
    let not_offered =
        AcmeError::NotOffered { operation: revoke, host: "ca.test".to_owned(), entry: "revokeCert" };
    assert!(!case.fails(OLD, not_offered));
}

#[test]
fn of_more_than_an_object_can_hold_the_oldest_is_given_up() {
    let mut case = Case::holding(OLD);
    case.asked = on_replace();
    let mut given_up = 0;
    for serial in 10..200 {
        case.secret = secret(&serial.to_string());
        if let Some(Ok(leaf)) = &mut case.secret.leaf {
            leaf.der = vec![0; 7 * 1024];
        }
        while let Some(chore) = case.next() {
            let is_too_much = matches!(chore, RevocationTask::GiveUp(..));
            given_up += usize::from(is_too_much);
            case.does(chore, Err(stumble()));
            if is_too_much {
                assert_eq!(case.said().1, reason::REVOCATION_GIVEN_UP);
                assert!(case.said().2.contains("too many certificates are waiting"), "{:?}", case.said());
            }
        }
        let size: usize = case.ledger().certificates.iter().map(|held| held.certificate.0.len()).sum();
        assert!(size <= LARGEST_LEDGER + 16 * 1024, "{size}");
    }
    assert!(given_up > 100, "{given_up}");
}

#[test]
fn the_account_is_passed_over_where_it_may_not_and_only_there() {
    let next = |error| by_account(Err(error)).signer();
    for (code, status) in [
        ("unauthorized", 403),
        ("accountDoesNotExist", 400),
        ("DEACTIVATED_ACCOUNT", 401),
        ("unexpectedStatus", 403),
    ] {
        let refused = rejection(Operation::RevokeCertificate, code, status);
        assert_eq!(next(refused), Some(Signer::CertificateKey), "{code}");
        let of_server = rejection(Operation::Directory, code, status);
        assert_eq!(next(of_server), None, "{code}: nobody has spoken of the account");
    }
    for (code, status) in [("badRevocationReason", 400), ("serverInternal", 500), ("rateLimited", 429)] {
        assert_eq!(next(rejection(Operation::RevokeCertificate, code, status)), None, "{code}");
    }
    for why in [NotByAccount::IssuerGone, NotByAccount::Unusable("it has no key".to_owned())] {
        let mut attempt = Attempt::default();
        assert_eq!(attempt.signer(), Some(Signer::Account));
        attempt.account_answered(Err(why));
        assert_eq!(attempt.signer(), Some(Signer::CertificateKey));
        attempt.key_answered(Err(NotByKey::Gone));
        assert_eq!(attempt.signer(), None);
    }
}

#[test]
fn a_revocation_is_reported_with_its_signer() {
    for (signer, how) in [
        (Signer::Account, "signed by the account"),
        (
            Signer::CertificateKey,
            "signed with the certificate's own private key, because the account may not revoke it",
        ),
    ] {
        let mut case = Case::asked();
        let attempt = match signer {
            Signer::Account => by_account(Ok(())),
            Signer::CertificateKey => after_account(Ok(())),
        };
        let reports = case.attempted(OLD, attempt);
        let message = "The certificate 01 is revoked: superseded";
        assert_eq!(case.said(), ("True", reason::REVOKED, message));
        assert_eq!(
            reports,
            [
                Report::Revoked { serial_number: OLD.to_owned(), why: RevocationReason::Superseded },
                Report::Event(Event::normal(reason::REVOKED, "Revoke", format!("{message}, {how}"))),
                Report::Write,
            ]
        );
        let last = case.ledger().last.unwrap();
        assert_eq!((last.cause, last.result), (RevocationCause::Requested, RevocationResult::Revoked));
    }
}

#[test]
fn a_failure_is_an_event_only_if_it_is_another_than_before() {
    let mut case = Case::asked();
    let reports = case.attempted(OLD, by_account(Err(stumble())));
    let words = stumble().to_string();
    let message = format!("The certificate 01 is not revoked yet: {words}");
    assert_eq!(case.said(), ("False", reason::REVOCATION_FAILED, message.as_str()));
    let (serial_number, why) = (OLD.to_owned(), RevocationReason::Superseded);
    let report = Report::NotRevoked { serial_number, why, words };
    let event = Report::Event(Event::warning(reason::REVOCATION_FAILED, "Revoke", message.clone()));
    assert_eq!(reports, [report.clone(), event, Report::Write]);
    case.now = next_attempt(&case.state.status).unwrap();
    assert_eq!(case.attempted(OLD, by_account(Err(stumble()))), [report, Report::Write]);
    case.now = next_attempt(&case.state.status).unwrap();
    let reports = case.attempted(OLD, Attempt::default());
    assert!(matches!(&reports[1], Report::Event(event) if event.note.ends_with("did not answer in time")));
    assert_eq!(case.entry(OLD).open().unwrap().failed_attempts, Some(3));
}

#[test]
fn what_neither_key_may_revoke_is_given_up_and_said() {
    let mut case = Case::asked();
    let refused = rejection(Operation::RevokeCertificate, "badPublicKey", 400);
    let reports = case.attempted(OLD, after_account(Err(NotByKey::Refused(refused.clone()))));
    let words = format!("{}; with the certificate's own private key: {refused}", may_not());
    let message = format!(
        "The certificate 01 could not be revoked, and the operator does not retry; if it must not be used, have it revoked \
         at the CA: {words}"
    );
    assert_eq!(case.said(), ("False", reason::REVOCATION_GIVEN_UP, message.as_str()));
    let (serial_number, why) = (OLD.to_owned(), RevocationReason::Superseded);
    let event = Event::warning(reason::REVOCATION_GIVEN_UP, "Revoke", message.clone());
    assert_eq!(
        reports,
        [
            Report::RevocationGivenUp { serial_number, why, words: words.clone() },
            Report::Event(event),
            Report::Write,
        ]
    );
    let ended = case.entry(OLD).revocation.unwrap();
    assert_eq!((ended.message, ended.next_attempt_time), (Some(words), None));
    assert_eq!(case.next(), None);
}

#[test]
fn without_the_certificates_own_key_the_refusal_of_the_account_counts() {
    let gone = "; the certificate's own private key, which could also revoke it, is no longer in the Secret";
    let unusable = "Issuer ca has no usable account: it has no key".to_owned();
    for (why, words, is_asked_again) in [
        (NotByAccount::Refused(may_not()), may_not().to_string(), false),
        (
            NotByAccount::IssuerGone,
            "Issuer ca, which issued the certificate, no longer exists".to_owned(),
            true,
        ),
        (NotByAccount::Unusable("it has no key".to_owned()), unusable, true),
    ] {
        let mut case = Case::asked();
        let mut attempt = Attempt::default();
        attempt.account_answered(Err(why));
        attempt.key_answered(Err(NotByKey::Gone));
        case.attempted(OLD, attempt);
        assert!(case.said().2.ends_with(&format!("{words}{gone}")), "{:?}", case.said());
        assert_eq!(case.entry(OLD).open().is_some(), is_asked_again, "{words}");
    }
}

#[test]
fn an_attempt_that_the_time_runs_out_for_is_repeated_whoever_was_to_sign() {
    for attempt in [Attempt::default(), by_account(Err(may_not()))] {
        let mut case = Case::asked();
        case.attempted(OLD, attempt);
        let words = "revoking the certificate failed: the CA did not answer in time";
        assert_eq!(case.said().2, format!("The certificate 01 is not revoked yet: {words}"));
        assert!(case.entry(OLD).open().is_some());
    }
}

#[test]
fn a_pause_of_the_account_is_waited_for() {
    let mut case = Case::asked();
    let until = case.now + SignedDuration::from_hours(20);
    assert!(case.fails(OLD, AcmeError::Paused { until }));
    assert!(next_attempt(&case.state.status).unwrap() >= until);
}

#[test]
fn a_call_may_take_as_long_as_the_deletion_still_waits() {
    let mut case = Case::asked();
    let patience = |case: &Case| match case.next() {
        Some(RevocationTask::Revoke(_, patience)) => patience,
        chore => panic!("{chore:?}"),
    };
    assert_eq!(patience(&case), PATIENCE);
    case.delete();
    assert_eq!(patience(&case), PATIENCE);
    case.now += DELETION_TIMEOUT - SignedDuration::from_secs(5);
    assert_eq!(patience(&case), Duration::from_secs(5));
    case.now += SignedDuration::from_secs(60);
    assert_eq!(patience(&case), Duration::from_secs(1));
}

/// The account may not revoke, and `answer` is the result of the request that the certificate's own key signs.
fn after_account(answer: Result<(), NotByKey>) -> Attempt {
    let mut attempt = by_account(Err(may_not()));
    attempt.key_answered(answer);
    attempt
}

fn may_not() -> AcmeError {
    rejection(Operation::RevokeCertificate, "unauthorized", 403)
}
