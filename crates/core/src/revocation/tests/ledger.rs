//! What is kept in the ledger, and what is revoked.

use super::*;

#[test]
fn nothing_is_kept_unless_somebody_asks_for_it() {
    let case = Case::holding(OLD);
    assert_eq!(case.next(), None);
}

#[test]
fn a_certificate_is_on_record_while_it_is_in_the_secret() {
    for asked in [on_delete(), on_replace()] {
        let mut case = Case::holding(OLD);
        case.asked = asked;
        case.keeps_ledger(None);
        assert_eq!(case.states(), [(OLD, "held")]);
        assert_eq!(case.ledger().certificates[0].account.as_deref(), Some("account/1"));
        assert_eq!(case.next(), None, "it is not revoked for that");
        assert!(holds(&case.state.status));
    }
}

#[test]
fn the_account_of_a_certificate_is_recorded_when_it_is_known_and_stays() {
    let mut case = Case::holding(OLD);
    case.asked = on_delete();
    let ready = std::mem::replace(&mut case.issuer, IssuerView::NotFound);
    case.keeps_ledger(None);
    assert_eq!(case.ledger().certificates[0].account, None);
    case.issuer = ready;
    case.keeps_ledger(None);
    assert_eq!(case.ledger().certificates[0].account.as_deref(), Some("account/1"));
    case.issuer = IssuerView::Ready {
        account: "account/2".to_owned(),
        solvers: Vec::new(),
        profile: None,
        authorized: Vec::new(),
    };
    assert_eq!(case.next(), None, "a new account has not issued it");
}

#[test]
fn the_account_of_another_issuer_is_not_recorded() {
    let mut case = Case::holding(OLD);
    case.asked = on_delete();
    case.secret.issuer = Some(("another".to_owned(), "Issuer".to_owned()));
    case.keeps_ledger(None);
    assert_eq!(case.ledger().certificates[0].account, None);
}

#[test]
fn the_certificate_in_the_secret_counts_if_it_is_ours() {
    let mut case = Case::holding(OLD);
    let in_secret = |case: &Case| in_secret(&case.seen().with(&case.state)).map(|held| held.serial_number);
    assert_eq!(in_secret(&case).as_deref(), Some(OLD));
    case.secret.certificate_name = Some("another".to_owned());
    assert_eq!(in_secret(&case), None);
}

#[test]
fn a_replaced_certificate_is_revoked_once_the_next_is_in_the_secret_and_not_before() {
    let mut case = Case::holding(OLD);
    case.asked = on_replace();
    case.keeps_ledger(None);
    case.secret = SecretView::default();
    assert_eq!(case.next(), None, "nothing has taken its place yet");
    case.secret = secret(NEW);
    case.keeps_ledger(None);
    assert_eq!(case.states(), [(OLD, "open"), (NEW, "held")]);
    assert!(case.is_next(OLD));
    case.is_revoked(OLD);
    case.keeps_ledger(None);
    assert_eq!(case.states(), [(NEW, "held")]);
    assert_eq!(case.next(), None);
    let last = case.ledger().last.unwrap();
    assert_eq!((last.serial_number.as_str(), last.cause), (OLD, RevocationCause::Replaced));
}

#[test]
fn a_replaced_certificate_is_forgotten_if_only_a_deletion_revokes() {
    let mut case = Case::holding(OLD);
    case.asked = on_delete();
    case.keeps_ledger(None);
    case.secret = secret(NEW);
    case.keeps_ledger(None);
    assert_eq!(case.states(), [(NEW, "held")]);
}

#[test]
fn a_certificate_beside_another_key_is_never_revoked() {
    let mut case = Case::holding(OLD);
    case.asked = RevocationRequests { request: Some("keyCompromise"), ..on_delete() };
    case.secret.key = Some(Ok((KeyAlgorithm::ECDSA_P256, vec![9])));
    case.keeps_ledger(Some(Remark::NothingToRevoke));
    assert_eq!(case.states(), []);
    assert_eq!(case.next(), None);
}

#[test]
fn a_certificate_in_the_secret_of_somebody_else_is_never_revoked() {
    let mut case = Case::holding(OLD);
    case.asked = on_delete();
    case.secret.certificate_name = Some("other".to_owned());
    assert_eq!(case.next(), None);
}

#[test]
fn a_request_is_answered_once_and_its_certificate_stays_marked_until_it_is_replaced() {
    let mut case = Case::holding(OLD);
    case.asked.request = Some("keyCompromise");
    case.keeps_ledger(None);
    assert!(case.is_next(OLD));
    assert_eq!(reason_of_serial(&case.state.status, OLD), Some(RevocationReason::KeyCompromise));
    case.is_revoked(OLD);
    assert_eq!(case.next(), None);
    case.secret = SecretView::default();
    assert_eq!(case.next(), None, "it could come back");
    assert_eq!(reason_of_serial(&case.state.status, OLD), Some(RevocationReason::KeyCompromise));
    case.secret = secret(NEW);
    case.keeps_ledger(None);
    assert_eq!(case.states(), []);
    assert_eq!(case.next(), None, "the annotation, which still stands, is not for the new one");
    assert_eq!(reason_of_serial(&case.state.status, NEW), None);
}

#[test]
fn a_request_that_is_withdrawn_and_repeated_is_answered_again() {
    let mut case = Case::holding(OLD);
    case.asked.request = Some("superseded");
    case.keeps_ledger(None);
    case.is_revoked(OLD);
    case.secret = secret(NEW);
    case.keeps_ledger(None);
    case.asked.request = None;
    case.keeps_ledger(Some(Remark::TakenBack));
    case.asked.request = Some("superseded");
    case.keeps_ledger(None);
    assert!(case.is_next(NEW));
}

#[test]
fn a_request_for_a_reason_that_there_is_not_revokes_nothing() {
    let mut case = Case::holding(OLD);
    case.asked.request = Some("KeyCompromise");
    case.keeps_ledger(Some(Remark::InvalidReason("KeyCompromise".to_owned())));
    assert_eq!(case.states(), []);
    assert_eq!(case.next(), None);
    case.asked.request = Some("keyCompromise");
    case.keeps_ledger(None);
    assert_eq!(case.states(), [(OLD, "open")]);
}

#[test]
fn a_request_after_the_secret_was_lost_is_for_what_was_in_it() {
    let mut case = Case::holding(OLD);
    case.asked = on_replace();
    case.keeps_ledger(None);
    case.secret = SecretView::default();
    case.asked.request = Some("keyCompromise");
    case.keeps_ledger(None);
    assert!(case.is_next(OLD));
}

#[test]
fn a_request_with_a_worse_reason_overrides_one_that_is_not_answered_yet() {
    let mut case = Case::holding(OLD);
    case.asked.request = Some("superseded");
    case.keeps_ledger(None);
    case.asked.request = Some("keyCompromise");
    case.keeps_ledger(None);
    assert_eq!(reason_of_serial(&case.state.status, OLD), Some(RevocationReason::KeyCompromise));
}

#[test]
fn a_deletion_revokes_what_was_in_the_secret_although_it_is_gone_first() {
    let mut case = Case::holding(OLD);
    case.asked = on_delete();
    case.keeps_ledger(None);
    case.secret = SecretView::default();
    case.delete();
    case.keeps_ledger(None);
    assert!(case.is_next(OLD));
    case.is_revoked(OLD);
    assert!(!holds(&case.state.status));
    assert_eq!(case.next(), None);
    case.secret = secret(OLD);
    assert_eq!(case.next(), None, "it is revoked once");
}

#[test]
fn a_deletion_lets_go_what_is_revoked_only_when_replaced() {
    let mut case = Case::holding(OLD);
    case.asked = on_replace();
    case.keeps_ledger(None);
    case.delete();
    case.keeps_ledger(None);
    assert!(!holds(&case.state.status));
}

#[test]
fn an_expired_certificate_is_not_revoked_any_more() {
    let mut case = Case::holding(OLD);
    case.asked.request = Some("superseded");
    case.keeps_ledger(None);
    case.now = "2026-04-01T00:00:01Z".parse().unwrap();
    case.keeps_ledger(None);
    assert_eq!(case.states(), []);
}

#[test]
fn when_the_policy_is_taken_back_nothing_is_kept() {
    let mut case = Case::holding(OLD);
    case.asked = on_delete();
    case.keeps_ledger(None);
    case.asked = RevocationRequests::default();
    case.keeps_ledger(None);
    assert!(!holds(&case.state.status));
}

#[test]
fn a_request_that_revokes_nothing_says_so_until_it_is_withdrawn() {
    let annotation = "The annotation certwright.dev/revoke requests a revocation";
    let invalid = format!(
        "{annotation} with the invalid reason 'nonsense'; nothing is revoked. Use one of unspecified, keyCompromise, \
         affiliationChanged, superseded, cessationOfOperation, privilegeWithdrawn"
    );
    let nothing =
        format!("{annotation}, but the Secret contains no certificate with its key; nothing is revoked");
    for (request, secret, remark, reason, message) in [
        (
            "nonsense",
            secret(OLD),
            Remark::InvalidReason("nonsense".to_owned()),
            reason::INVALID_REVOCATION_REASON,
            invalid,
        ),
        ("superseded", SecretView::default(), Remark::NothingToRevoke, reason::NOTHING_TO_REVOKE, nothing),
    ] {
        let mut case = Case { secret, ..Case::holding(OLD) };
        case.asked.request = Some(request);
        let reports = case.keeps_ledger(Some(remark));
        assert_eq!(case.said(), ("False", reason, message.as_str()));
        assert_eq!(
            reports,
            [Report::Event(Event::warning(reason, "Revoke", message.clone())), Report::Write]
        );
        case.asked.request = None;
        assert_eq!(case.keeps_ledger(Some(Remark::TakenBack)), []);
        assert_eq!(condition(&case.state.status.conditions, CONDITION_REVOCATION), None);
        assert_eq!(case.state.status.revocation, None);
    }
}

#[test]
fn what_was_said_of_a_revocation_stays_when_its_request_is_withdrawn() {
    let mut case = Case::asked();
    case.is_revoked(OLD);
    case.asked.request = None;
    case.keeps_ledger(Some(Remark::TakenBack));
    assert_eq!(case.said().1, reason::REVOKED);
}
