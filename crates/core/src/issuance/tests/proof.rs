//! What this process knows of the answers to challenges.

use super::*;
use certwright_acme::ChallengeType;

fn unseen(words: &str) -> Unseen {
    Unseen {
        challenge: "challenge/1".to_owned(),
        typ: ChallengeType::Http01,
        words: words.to_owned(),
        unserved: false,
        retry_after: None,
    }
}

fn challenged(name: &str) -> Vec<Challenged> {
    vec![Challenged {
        name: name.to_owned(),
        authorization: "authz/1".to_owned(),
        url: "challenge/1".to_owned(),
        token: "token".to_owned(),
        typ: ChallengeType::Http01,
        processing: false,
        stalled: false,
        check: certwright_api::SolverSelfCheck::default(),
        way: Way::Ingress(certwright_api::Http01Ingress::default()),
    }]
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

#[test]
fn answers_that_cannot_be_presented_fail_since_the_first_attempt_with_the_same_ones() {
    let mut proof = Proof::default();
    proof.saw_presented(challenged("a.test"), vec![unseen("no")], at(0));
    proof.saw_presented(challenged("a.test"), vec![unseen("still no")], at(10));
    let Proof::Failed(failed) = &proof else { panic!("{proof:?}") };
    assert_eq!((failed.since, failed.at), (at(0), at(10)));
    assert_eq!(proof.failures(), [unseen("still no")]);
    proof.saw_presented(challenged("b.test"), vec![unseen("no")], at(20));
    let Proof::Failed(failed) = &proof else { panic!("{proof:?}") };
    assert_eq!((failed.since, failed.at), (at(20), at(20)), "other challenges are another matter");
}

#[test]
fn what_the_last_self_check_did_not_see_counts_until_it_is_forgotten_or_presented_again() {
    let mut proof = Proof::default();
    proof.saw_self_check(SelfCheckResult {
        at: at(0),
        failures: vec![unseen("no")],
        counts: Vec::new(),
        persist_until: None,
    });
    assert_eq!(proof, Proof::Absent, "nothing is presented");
    proof.saw_presented(challenged("a.test"), Vec::new(), at(0));
    assert_eq!(proof.failures(), []);
    let result = SelfCheckResult {
        at: at(5),
        failures: vec![unseen("not yet")],
        counts: Vec::new(),
        persist_until: None,
    };
    proof.saw_self_check(result.clone());
    assert_eq!(proof.failures(), [unseen("not yet")]);
    proof.forget_self_check();
    assert_eq!((proof.self_check(), proof.failures()), (None, &[][..]));
    proof.saw_self_check(result);
    proof.saw_presented(challenged("a.test"), Vec::new(), at(9));
    assert_eq!(proof.self_check(), None);
    assert_eq!(proof.presented().map(|presented| presented.since), Some(at(0)));
}
