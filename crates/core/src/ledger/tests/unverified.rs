use proptest::collection::vec;

use super::*;

proptest! {
    /// The object has entries of the operator and of somebody else, in any mixture, and the status is written as the operator
    /// does it: first the erasure, then an apply, which leaves what the status does not mention.
    #[test]
    fn nothing_that_was_dropped_is_left_in_the_object(mixture in vec(0..4_u8, 4), observed in any::<bool>()) {
        let stored = mixed(&mixture, observed);
        let mut status = stored.clone();
        let mut unverified = keys().take_unverified(OWNER, &mut status);
        unverified.restore(&mut status, None, None);
        let patch = unverified.erasure(&mut status).unwrap_or_default();
        let mut object = serde_json::to_value(&stored).unwrap();
        merge(&mut object, &patch);
        apply(&mut object, &serde_json::to_value(&status).unwrap());
        let mut left: CertificateStatus = serde_json::from_value(object).unwrap();
        prop_assert!(keys().take_unverified(OWNER, &mut left).is_empty(), "{}", patch);
        prop_assert_eq!(left, status);
    }

    #[test]
    fn only_what_is_confirmed_is_restored_and_nothing_is_lost(
        mixture in vec(0..4_u8, 4), knows in any::<bool>(), forged in any::<bool>(), decided in any::<bool>(),
    ) {
        let mut status = mixed(&mixture, true);
        let mut unverified = keys().take_unverified(OWNER, &mut status);
        if forged {
            unverified.dns_records.iter_mut().for_each(|record| record.value.push('x'));
            unverified.certificates.iter_mut().for_each(|held| held.certificate.0.push(0));
        }
        if !decided {
            unverified.certificates.iter_mut().for_each(|held| held.revocation = None);
        }
        let (before, dropped) = (status.clone(), unverified.clone());
        let solvers = solvers();
        let known = known(&solvers);
        let in_secret = in_secret();
        let (known, in_secret) = (knows.then_some(&known), knows.then_some(&in_secret));
        unverified.restore(&mut status, known, in_secret);

        let is_trusted = knows && !forged;
        let records = if is_trusted { dropped.dns_records.len() } else { 0 };
        prop_assert_eq!(status.dns_records.len(), before.dns_records.len() + records);
        prop_assert_eq!(unverified.dns_records.len(), dropped.dns_records.len() - records);
        let certificates = |status: &CertificateStatus| status.revocation.clone().map(|ledger| ledger.certificates);
        let new: Vec<_> = certificates(&status).into_iter().flatten()
            .filter(|held| !certificates(&before).is_some_and(|before| before.contains(held))).collect();
        prop_assert!(new.iter().all(|held| is_trusted && Some(held) == in_secret), "{:?}", new);
        let is_reported = |held: &RevocableCertificate| !is_trusted || held.revocation.is_some();
        let reported: Vec<_> = dropped.certificates.iter().filter(|held| is_reported(held)).cloned().collect();
        prop_assert_eq!(&unverified.certificates, &reported);
        prop_assert_eq!((&status.order, &status.challenges), (&before.order, &before.challenges));
        prop_assert_eq!((&unverified.order, &unverified.challenges), (&dropped.order, &dropped.challenges));
        let once = (status.clone(), unverified.clone());
        unverified.restore(&mut status, known, in_secret);
        prop_assert_eq!((status, unverified), once, "twice is as good as once");
    }
}

#[test]
fn routes_are_removed_only_if_they_are_this_certificates_and_no_challenge_needs_them() {
    let mut status = CertificateStatus::default();
    let other = ChallengeStatus { name: "other.test".to_owned(), ..ChallengeStatus::default() };
    let own = ledger().challenges.remove(0);
    let unverified = Unverified { challenges: vec![own.clone(), other], ..Unverified::default() };
    let solvers = solvers();
    assert_eq!(unverified.routes(&status, Some(&known(&solvers))), std::slice::from_ref(&own));
    assert_eq!(unverified.routes(&status, None), []);
    status.challenges.push(own);
    assert_eq!(unverified.routes(&status, Some(&known(&solvers))), []);
}

#[test]
fn the_event_names_three_entries_and_counts_the_rest() {
    let mut status = ledger();
    status.dns_records[0].value = "x".repeat(500);
    let mut unverified = keys().take_unverified(OWNER, &mut status);
    let note = unverified.event().note;
    assert!(
        note.contains("dropped: the order https://ca.test/order/1; the TXT record _acme-challenge.a.test. with the value x")
            && note.contains("; the certificate to be revoked 01; and 1 more. No request"),
        "{note}"
    );
    assert!(note.len() < 800, "{note}");
    unverified.order = None;
    let note = unverified.event().note;
    assert!(
        note.contains("; the certificate to be revoked 01; the challenge for a.test. No request"),
        "{note}"
    );
    assert_eq!(unverified.event().reason, "UnverifiedStatus");
}

/// A status with entries of the operator and of somebody else. For each kind of entry: none, the operator's, somebody else's, or
/// both, of which an order can be only one.
fn mixed(mixture: &[u8], observed: bool) -> CertificateStatus {
    let (ours, theirs) = (sealed(), ledger());
    let [order, challenges, records, certificates] = mixture else { panic!("four kinds") };
    let held = |status: &CertificateStatus| status.revocation.clone().unwrap().certificates;
    let certificates = both(*certificates, held(&ours), held(&theirs));
    let observed_request = observed.then(|| "superseded".to_owned());
    let revocation = RevocationStatus { certificates, observed_request, ..RevocationStatus::default() };
    CertificateStatus {
        order: both(*order, vec![ours.order.unwrap()], vec![theirs.order.unwrap()]).pop(),
        challenges: both(*challenges, ours.challenges, theirs.challenges),
        dns_records: both(*records, ours.dns_records, theirs.dns_records),
        revocation: (revocation != RevocationStatus::default()).then_some(revocation),
        ..CertificateStatus::default()
    }
}

fn both<T>(which: u8, ours: Vec<T>, theirs: Vec<T>) -> Vec<T> {
    let (has_ours, has_theirs) = (which & 1 != 0, which & 2 != 0);
    let ours = ours.into_iter().filter(|_| has_ours);
    ours.chain(theirs.into_iter().filter(|_| has_theirs)).collect()
}

fn solvers() -> Vec<Solver> {
    vec![Solver { dns01: Some(ledger().dns_records[0].solver.clone()), ..Solver::default() }]
}

fn known(solvers: &[Solver]) -> Known<'_> {
    let names = BTreeSet::from(["a.test".to_owned()]);
    Known { names, solvers, secrets_namespace: "shop", ambient: false }
}

fn in_secret() -> RevocableCertificate {
    RevocableCertificate { revocation: None, account: None, ..held(&mut ledger()).clone() }
}

/// RFC 7386.
fn merge(object: &mut Value, patch: &Value) {
    let Some(fields) = patch.as_object() else { return };
    for (name, value) in fields {
        match value {
            Value::Null => drop(object.as_object_mut().unwrap().remove(name)),
            value => merge(&mut object[name], value),
        }
    }
}

/// A server-side apply: sets the fields that are sent, and leaves the others. Lists are replaced.
fn apply(object: &mut Value, sent: &Value) {
    match (object.as_object_mut(), sent.as_object()) {
        (Some(object), Some(sent)) => {
            for (name, value) in sent {
                apply(object.entry(name).or_insert(Value::Null), value);
            }
        }
        _ => *object = sent.clone(),
    }
}
