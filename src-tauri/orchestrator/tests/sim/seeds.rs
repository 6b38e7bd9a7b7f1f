//! Many seeds, and one again.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use crate::sim::{STEPS, Sim, Tally, Violation, run, tell};

/// Seeds between two words about how far it is.
const PROGRESS: u64 = 10_000;

/// Steps of a run within the test suite.
const STEPS_IN_SUITE: u32 = 300;

fn check(seeds: std::ops::Range<u64>) {
    let mut sum = Tally::default();
    for seed in seeds {
        match run(seed, STEPS_IN_SUITE) {
            Ok(tally) => sum.add(&tally),
            Err(broken) => {
                let Violation { seed, what, step } = broken;
                let story = tell(seed, STEPS_IN_SUITE, false);
                panic!("seed {seed}, step {step}: {what}\n{story}");
            }
        }
    }
    println!("{sum}");
    assert!(
        sum.done > 0 && sum.crashes > 0 && sum.failed_commits > 0,
        "too little happened: {sum}"
    );
}

#[test]
fn whatever_happens_every_promise_is_kept_seeds_0_to_249() {
    check(0..250);
}

#[test]
fn whatever_happens_every_promise_is_kept_seeds_250_to_499() {
    check(250..500);
}

#[test]
fn whatever_happens_every_promise_is_kept_seeds_500_to_749() {
    check(500..750);
}

#[test]
fn whatever_happens_every_promise_is_kept_seeds_750_to_999() {
    check(750..1000);
}

#[test]
fn the_same_seed_gives_the_same_history_and_another_seed_another() {
    let history = |seed| {
        let mut sim = Sim::new(seed);
        assert_eq!(sim.run(STEPS), None);
        (sim.fingerprint(), sim.tally)
    };
    assert_eq!(history(7), history(7));
    assert_ne!(history(7).0, history(8).0);
}

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok().filter(|text| !text.is_empty())?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

#[test]
fn as_many_seeds_as_are_asked_for_keep_every_promise() {
    let steps = u32::try_from(number("STEPS").unwrap_or(STEPS.into())).unwrap();
    if let Some(seed) = number("SEED") {
        let story = tell(seed, steps, true);
        println!("{story}");
        assert!(!story.contains("\nbroken: "), "seed {seed} breaks a promise");
        return;
    }
    let from = number("FROM").unwrap_or(1_000_000);
    let seeds = number("SEEDS").unwrap_or(20);
    let (next, began) = (AtomicU64::new(from), Instant::now());
    let sum = Mutex::new(Tally::default());
    let broken: Mutex<Option<Violation>> = Mutex::new(None);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while broken.lock().unwrap().is_none() {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= from + seeds {
                        break;
                    }
                    match run(seed, steps) {
                        Ok(tally) => sum.lock().unwrap().add(&tally),
                        Err(violation) => *broken.lock().unwrap() = Some(violation),
                    }
                    if (seed - from + 1).is_multiple_of(PROGRESS) {
                        println!("{} of {seeds} seeds, {:.0?}", seed - from + 1, began.elapsed());
                    }
                }
            });
        }
    });
    println!("seeds {from} to {}: {}", from + seeds - 1, sum.into_inner().unwrap());
    println!("in {:.1?}", began.elapsed());
    if let Some(Violation { seed, what, step }) = broken.into_inner().unwrap() {
        println!("{}", tell(seed, steps, false));
        panic!("seed {seed}, step {step}: {what}");
    }
}
