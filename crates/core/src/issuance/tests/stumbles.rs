//! Temporary failures of the API server and the CA, while the process runs.

use jiff::SignedDuration;
use proptest::prelude::*;

use super::ca::{Fault, Refusal};
use super::machine::writes;
use super::world::World;

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 2000, ..ProptestConfig::with_cases(200) })]

    /// Whatever the API server and the CA do, reject, or lose the answer of, while the process runs: when both answer again,
    /// there is a certificate within minutes, without help, and without a second order while one can continue.
    #[test]
    fn an_api_server_and_a_ca_that_stumble_cost_no_time_and_no_order(
        writes in prop::collection::vec(writes(), 0..4),
        calls in prop::collection::vec(prop::option::weighted(0.3, any::<bool>()), 0..10),
    ) {
        let mut world = World::new();
        world.writes.extend(writes.into_iter().flatten());
        let fault = |answer_lost| Fault { refusal: Refusal::no_answer(), answer_lost };
        world.ca.calls.extend(calls.iter().map(|call| call.map(fault)));
        let (begin, faults) = (world.now, calls.iter().flatten().count());
        world.run_until_rest();
        world.check_issued();
        let orders = 1 + world.ca.orders_unheard_of;
        prop_assert!(world.ca.orders.len() <= orders, "an order whose URL is known goes on: {:#?}", world.last_steps());
        let most = SignedDuration::from_secs(72 * (1 << faults) + 60);
        prop_assert!(world.now.duration_since(begin) <= most, "{} after {faults} failures", world.now);
    }
}
