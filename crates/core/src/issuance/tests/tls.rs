//! Control of the names is proved in TLS handshakes.

use super::*;
use certwright_api::{ChallengeWay, TlsAlpn01GatewayTlsRoute};

#[test]
fn an_issuance_runs_through_with_a_route_or_a_front_proxy() {
    for (route, way) in [
        (Some(TlsAlpn01GatewayTlsRoute::default()), ChallengeWay::TlsRoute),
        (None, ChallengeWay::FrontProxy),
    ] {
        let mut world = World::new();
        world.proves_over_tls(route);
        while world.presented.is_none() {
            assert!(matches!(world.step(), Turn::On), "{:#?}", world.last_steps());
        }
        let challenges = &world.state.status.challenges;
        assert_eq!(challenges.len(), 2);
        assert!(challenges.iter().all(|one| one.way == way && one.type_ == "tls-alpn-01"), "{challenges:?}");
        world.run_until_rest();
        world.check_issued();
    }
}

#[test]
fn the_ca_is_told_of_a_handshake_that_is_not_seen_once_the_time_of_the_self_check_is_over() {
    let mut world = World::new();
    world.proves_over_tls(None);
    world.self_check_passes = false;
    let begin = world.now;
    while world.learned().told.is_empty() {
        match world.run() {
            Turn::Waits(Some(until)) => world.now = until,
            turn => panic!("{turn:?}"),
        }
        if let IssuanceStep::Wait { reason, message, .. } = world.next_step() {
            let words = "The self-check does not see the answer yet: a.test: connection refused";
            assert_eq!((reason, message.as_str()), (reason::SELF_CHECK, words));
        }
    }
    assert_eq!(world.learned().answered(), Some(begin + SignedDuration::from_secs(60)));
    world.run_until_rest();
    world.check_issued();
}

#[test]
fn a_route_is_withdrawn_when_a_front_proxy_takes_its_place() {
    let mut world = World::new();
    world.proves_over_tls(Some(TlsAlpn01GatewayTlsRoute::default()));
    world.self_check_passes = false;
    world.run();
    world.proves_over_tls(None);
    assert_eq!(world.next_step(), IssuanceStep::Tidy(crate::records::CleanupTask::Withdraw));
    world.self_check_passes = true;
    world.run_until_rest();
    world.check_issued();
}
