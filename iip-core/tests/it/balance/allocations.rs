use std::sync::Arc;
use std::time::Instant;

use iip_core::balance::{
    ConsistentHash, Endpoint, LeastPending, PeakEwma, Pick, PickFirst, Policy, Random, RoundRobin,
    Target, Weight,
};

/// Of weights that are equal, and that differ.
fn endpoints(count: usize, heaviest: usize) -> Vec<Arc<Endpoint>> {
    let endpoint = |index| {
        let target: Target = format!("memory://server-{index}").parse().unwrap();
        let weight = Weight::new((index % heaviest) as u8 + 1).unwrap();
        Endpoint::new(target.with_weight(weight))
    };
    (0..count).map(endpoint).collect()
}

#[test]
fn picking_allocates_nothing() {
    let policies: [Arc<dyn Policy>; 6] = [
        Arc::new(RoundRobin::default()),
        Arc::new(Random::default()),
        Arc::new(LeastPending::default()),
        Arc::new(PeakEwma::default()),
        Arc::new(ConsistentHash::default()),
        Arc::new(PickFirst::default()),
    ];
    let now = Instant::now();
    for policy in policies {
        for (count, heaviest) in [(3, 1), (100, 1), (100, 100)] {
            let endpoints = endpoints(count, heaviest);
            let picker = policy.picker(&endpoints);
            let calls = |calls: u64| {
                for number in 0..calls {
                    let pick = Pick::new(now).with_attempt((number % 4) as u32);
                    let pick = if number % 3 == 0 {
                        pick
                    } else {
                        pick.with_key(number)
                    };
                    let endpoint = &endpoints[picker.pick(&pick).unwrap()];
                    let _call = endpoint.begin_call();
                    endpoint.record_latency(now.elapsed(), now);
                }
            };
            // The random numbers of a thread begin with the first.
            calls(1);
            let counted = allocation_counter::measure(|| calls(1000));
            assert_eq!(counted.count_total, 0, "{policy:?}, {count} endpoints");
        }
    }
}
