mod authorized;
mod ca;
mod caa;
mod clock;
mod csr;
mod dns;
mod duplicates;
mod failure;
mod fallback;
mod hostile;
mod issuer;
mod listed;
mod machine;
mod order;
mod pace;
mod proof;
mod rehearsal;
mod reports;
mod rest;
mod revocation;
mod secret;
mod served;
mod status;
mod stumbles;
mod suggestion;
mod tls;
mod validation;
mod world;

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use self::ca::{Fault, Finalization, Flaw, Identifiers, Refusal, Validation};
use self::world::{Turn, World, Write};
use super::*;
use crate::disposition::Disposition;
use certwright_acme::{ChallengeStatus, OrderStatus, Problem};
use certwright_api::{PrivateKeyAlgorithm, RotationPolicy, Solver, certificate_reason as reason};

#[test]
fn an_issuance_runs_through_without_a_wait_where_nothing_has_to_be_waited_for() {
    let mut world = World::new();
    world.run_until_rest();
    world.check_issued();
    assert_eq!(
        world.step_names(),
        [
            "CheckCaa",
            "TakeSlot",
            "StoreKey",
            "PlaceOrder",
            "ReadAuthorizations",
            "Present",
            "SelfCheck",
            "Answer",
            "Wait",
            "ReadOrder",
            "Finalize",
            "Download",
            "StoreCertificate",
            "CleanUp",
            "Remove",
            "Rest"
        ]
    );
}

fn challenge_url(answer: &IssuanceStep) -> String {
    let IssuanceStep::Answer(challenges) = answer else { panic!("{answer:?}") };
    challenges[0].clone()
}

/// Lets time pass until the issuance fails, and executes that step.
fn failure_of(world: &mut World) -> Failure {
    let IssuanceStep::Fail(failure) = run_to(world, |step| matches!(step, IssuanceStep::Fail(_))) else {
        unreachable!()
    };
    world.step();
    failure
}

/// Lets time pass until the next step matches.
fn run_to(world: &mut World, wanted: impl Fn(&IssuanceStep) -> bool) -> IssuanceStep {
    for _ in 0..200 {
        let step = world.next_step();
        if wanted(&step) {
            return step;
        }
        if let Turn::Waits(Some(until)) = world.step() {
            world.now = until;
        }
    }
    panic!("it never comes to that: {:#?}", world.last_steps());
}
