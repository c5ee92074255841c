use std::collections::HashSet;

use proptest::prelude::*;

use super::*;

#[test]
fn holders_keep_their_slot_and_a_freed_one_goes_to_the_longest_waiting() {
    let mut shares = FairSlots::new(1);
    assert!(take(&mut shares, "a", "ns"));
    assert!(take(&mut shares, "a", "ns"));
    assert!(!take(&mut shares, "b", "ns"));
    assert!(!take(&mut shares, "c", "ns"));
    assert_eq!(shares.free("a"), ["b"]);
    assert!(!take(&mut shares, "c", "ns"), "it is b's, though b has not come for it yet");
    assert!(take(&mut shares, "b", "ns"));
}

#[test]
fn a_slot_is_held_from_its_assignment_until_it_is_freed() {
    let mut shares = FairSlots::new(1);
    assert!(shares.is_empty() && !shares.has("a"));
    take(&mut shares, "a", "ns");
    take(&mut shares, "b", "ns");
    assert!(!shares.is_empty() && shares.has("a") && !shares.has("b"));
    shares.free("a");
    assert!(!shares.has("a") && shares.has("b"));
}

#[test]
fn one_that_leaves_the_queue_or_never_uses_its_place_holds_nobody_up() {
    let mut shares = FairSlots::new(1);
    take(&mut shares, "a", "ns");
    for id in ["b", "c", "d"] {
        take(&mut shares, id, "ns");
    }
    assert!(shares.free("c").is_empty());
    assert_eq!(shares.free("a"), ["b"]);
    assert_eq!(shares.free("b"), ["d"]);
    assert!(shares.free("d").is_empty() && shares.free("d").is_empty());
    assert!(
        shares.is_empty() && shares.groups.is_empty() && shares.with.is_empty() && shares.without.is_empty()
    );
}

#[test]
fn the_first_of_a_namespace_waits_for_one_place_and_not_for_a_whole_queue() {
    let mut shares = FairSlots::new(2);
    for id in 0..10_000 {
        take(&mut shares, &format!("greedy-{id}"), "greedy");
    }
    take(&mut shares, "modest", "modest");
    assert_eq!(shares.free("greedy-0"), ["modest"]);
    assert_eq!(shares.free("greedy-1"), ["greedy-2"]);
}

#[test]
fn namespaces_take_turns() {
    let mut shares = FairSlots::new(1);
    take(&mut shares, "first", "z");
    for group in ["a", "b", "c"] {
        for n in 0..3 {
            take(&mut shares, &format!("{group}{n}"), group);
        }
    }
    let mut order = Vec::new();
    let mut next = "first".to_owned();
    while let Some(served) = shares.free(&next).pop() {
        order.push(served.clone());
        next = served;
    }
    assert_eq!(order, ["a0", "b0", "c0", "a1", "b1", "c1", "a2", "b2", "c2"]);
}

#[test]
fn the_last_places_are_for_namespaces_that_hold_none() {
    let mut shares = FairSlots::new(4).with_reserve(1);
    let taken = (0..4).filter(|n| take(&mut shares, &format!("greedy-{n}"), "greedy")).count();
    assert_eq!(taken, 3, "the last one is not for it");
    assert!(take(&mut shares, "modest-0", "modest"));
    assert!(!take(&mut shares, "modest-1", "modest"));
    assert!(shares.free("greedy-0").is_empty(), "only the last place is free");
    assert_eq!(shares.free("modest-0"), ["modest-1"], "who was next in turn among those that hold none");
    assert_eq!(shares.free("modest-1"), ["greedy-3"]);
    assert!(take(&mut FairSlots::new(1).with_reserve(9), "one", "ns"), "at least one is for all");
}

#[test]
fn a_lower_rank_comes_first_within_a_namespace_only() {
    let mut shares = FairSlots::new(1);
    for (id, group, rank) in
        [("first", "z", 0), ("large", "a", 8192), ("small", "a", 2048), ("other", "b", 8192)]
    {
        shares.take(id, group, rank, id.to_owned());
    }
    assert_eq!(shares.free("first"), ["small"]);
    assert_eq!(shares.free("small"), ["other"]);
    assert_eq!(shares.free("other"), ["large"]);
}

#[test]
fn one_that_waits_moves_when_its_rank_changes_and_keeps_its_arrival() {
    let mut shares = FairSlots::new(1);
    for (id, rank) in [("first", 0), ("a", 5), ("b", 5), ("c", 5), ("d", 7)] {
        shares.take(id, "ns", rank, id.to_owned());
    }
    for (id, rank) in [("d", 1), ("a", 9), ("a", 5)] {
        assert!(!shares.take(id, "ns", rank, id.to_owned()));
    }
    assert!(shares.take("first", "ns", 9, "first".to_owned()), "one that holds a slot keeps it");
    let mut order = vec!["first".to_owned()];
    while let Some(served) = shares.free(order.last().unwrap()).pop() {
        order.push(served);
    }
    assert_eq!(order, ["first", "d", "a", "b", "c"]);
    assert!(shares.is_empty() && shares.groups.is_empty());
}

proptest! {
    /// In any sequence of events: no more slots are taken than exist, nobody waits for a slot that it could have, and no
    /// namespace without a slot waits while another takes a second one.
    #[test]
    fn slots_are_never_lost_or_assigned_twice(
        limit in 1usize..6,
        reserve in 0usize..3,
        steps in prop::collection::vec((any::<bool>(), 0u8..12, 0u32..3), 0..200),
    ) {
        let mut shares = FairSlots::new(limit).with_reserve(reserve);
        let mut holding = HashSet::new();
        for (takes, member, rank) in steps {
            let (id, group) = (format!("m{member}"), format!("g{}", member % 4));
            if takes {
                if shares.take(&id, &group, rank, id.clone()) {
                    holding.insert(id);
                }
            } else {
                holding.remove(&id);
                for served in shares.free(&id) {
                    prop_assert!(holding.insert(served), "it was not given twice");
                }
            }
            let held: HashSet<_> = shares.members.iter().filter(|(_, m)| m.waits.is_none()).map(|(id, _)| id.clone()).collect();
            prop_assert_eq!(&held, &holding);
            prop_assert_eq!(shares.taken, holding.len());
            prop_assert!(holding.len() <= limit);
            for (name, group) in &shares.groups {
                let ready = holding.iter().filter(|id| shares.members[*id].group == *name).count();
                prop_assert_eq!(group.held, ready);
                let waiting = shares.members.values().filter(|m| m.group == *name && m.waits.is_some()).count();
                prop_assert_eq!(group.waiting.len(), waiting);
                for (place, (id, _)) in &group.waiting {
                    prop_assert_eq!(shares.members[id].waits, Some(*place));
                }
                prop_assert!(group.waiting.is_empty() || !shares.is_free_for(group.held), "{} waits", name);
                prop_assert_eq!(shares.without.contains_key(&group.turn) && shares.without[&group.turn] == *name, group.held == 0 && !group.waiting.is_empty());
            }
        }
    }
}

fn take(shares: &mut FairSlots<String>, id: &str, group: &str) -> bool {
    shares.take(id, group, 0, id.to_owned())
}
