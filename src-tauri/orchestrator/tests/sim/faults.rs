//! The simulation finds what is wrong on purpose: without that, its silence would say nothing.

use orchestrator::fault::{Fault, switch};

use crate::sim::{STEPS, run};

/// Looks for a fault; prints how many seeds it took.
fn is_found(fault: Fault, words: &[&str]) {
    switch(Some(fault));
    let broken = (0..1000).find_map(|seed| run(seed, STEPS).err());
    switch(None);
    let broken = broken.unwrap_or_else(|| panic!("{fault:?} was not found within 1000 seeds"));
    println!(
        "{fault:?} is found by seed {}, after {} seeds: {}",
        broken.seed,
        broken.seed + 1,
        broken.what
    );
    let by_name = words.iter().any(|word| broken.what.contains(word));
    assert!(by_name, "it was found as something else: {}", broken.what);
    assert!(run(broken.seed, STEPS).is_ok(), "seed {} breaks without it too", broken.seed);
}

#[test]
fn an_attempt_that_keeps_the_lease_of_a_mission_that_is_done_is_caught() {
    is_found(
        Fault::LostLeaseRelease,
        &["a mission is done, and its attempt", "nobody works on an attempt"],
    );
}

#[test]
fn a_mission_that_is_done_without_evidence_is_caught() {
    is_found(Fault::DoneWithoutEvidence, &["done with", "done, and"]);
}

#[test]
fn a_mission_that_is_leased_twice_is_caught() {
    is_found(Fault::DoubleAssignment, &["follows", "live leases", "an agent at work"]);
}
