use super::*;

const TYPE: &str = "Issuing";

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

fn set(conditions: &mut Vec<Condition>, type_: &str, is: bool, message: &str, seconds: i64) {
    set_condition(conditions, type_, is, "Reason", message, 7, at(seconds));
}

#[test]
fn the_transition_time_moves_only_when_the_status_changes() {
    let mut conditions = Vec::new();
    set(&mut conditions, TYPE, true, "one", 0);
    set(&mut conditions, CONDITION_READY, false, "another", 5);
    for (is, message, seconds, since) in
        [(true, "two", 10, 0), (false, "two", 20, 20), (false, "three", 30, 20), (true, "three", 40, 40)]
    {
        set(&mut conditions, TYPE, is, message, seconds);
        let found = condition(&conditions, TYPE).unwrap();
        assert_eq!((found.message.as_str(), is_true(&conditions, TYPE)), (message, is));
        assert_eq!(found.last_transition_time.0, at(since), "after {seconds} s");
        assert_eq!(found.observed_generation, Some(7));
    }
    assert_eq!(conditions.len(), 2);
    let ready = condition(&conditions, CONDITION_READY).unwrap();
    assert_eq!((ready.message.as_str(), ready.last_transition_time.0), ("another", at(5)));
}

#[test]
fn news_are_what_a_condition_says_for_the_first_time_and_nothing_is_said_twice() {
    let mut conditions = Vec::new();
    set(&mut conditions, CONDITION_READY, false, "not issued yet", 0);
    set(&mut conditions, TYPE, true, "ordering", 0);
    let before = conditions.clone();
    let said = |after: &[Condition]| {
        news(&before, after)
            .iter()
            .map(|news| format!("{}: {}", news.type_, news.message))
            .collect::<Vec<_>>()
    };
    assert!(said(&conditions).is_empty());
    set(&mut conditions, TYPE, true, "validating", 5);
    assert_eq!(said(&conditions), ["Issuing: validating"]);
    set_standing(&mut conditions, Some(Standing::Reconciling), 7, at(5));
    conditions.reverse();
    conditions.sort_by_key(|condition| condition.type_ == CONDITION_READY);
    set(&mut conditions, CONDITION_READY, false, "validating (Secret www-tls does not exist)", 5);
    assert_eq!(said(&conditions), ["Issuing: validating"], "once, and not what is a copy for kstatus");
    set(&mut conditions, CONDITION_READY, true, "valid until tomorrow", 9);
    set_condition(&mut conditions, TYPE, false, certificate_reason::ISSUED, "nothing is issued", 7, at(9));
    assert_eq!(said(&conditions), ["Ready: valid until tomorrow"]);
    set(&mut conditions, TYPE, false, "the CA refused", 9);
    assert_eq!(said(&conditions), ["Issuing: the CA refused", "Ready: valid until tomorrow"]);
}

#[test]
fn a_long_message_is_cut_at_a_character() {
    let mut conditions = Vec::new();
    set(&mut conditions, TYPE, true, &"ä".repeat(MAX_MESSAGE), 0);
    let message = &condition(&conditions, TYPE).unwrap().message;
    assert!((MAX_MESSAGE - 8..=MAX_MESSAGE).contains(&message.len()), "{}", message.len());
}

#[test]
fn an_object_that_is_not_ready_is_either_reconciling_or_stalled_for_the_same_reason() {
    let mut conditions = Vec::new();
    set(&mut conditions, CONDITION_READY, false, "why", 0);
    set(&mut conditions, TYPE, true, "ordering", 0);
    let types = |conditions: &[Condition]| {
        conditions.iter().map(|found| found.type_.clone()).filter(|type_| type_ != TYPE).collect::<Vec<_>>()
    };
    for (standing, type_) in
        [(Standing::Reconciling, CONDITION_RECONCILING), (Standing::Stalled, CONDITION_STALLED)]
    {
        set_standing(&mut conditions, Some(standing), 7, at(1));
        assert_eq!(types(&conditions), [CONDITION_READY, type_]);
        assert_eq!(condition(&conditions, type_).unwrap().message, "why");
        assert!(is_true(&conditions, type_));
    }
    set_standing(&mut conditions, None, 7, at(2));
    assert_eq!(types(&conditions), [CONDITION_READY]);
    assert!(is_true(&conditions, TYPE), "other conditions stay");
}

#[test]
fn a_sentence_begins_with_a_capital_letter() {
    assert_eq!(sentence("the CA"), "The CA");
    assert_eq!(sentence("élan"), "Élan");
    assert_eq!(sentence(""), "");
}
