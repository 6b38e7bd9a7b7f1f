//! The state machine of a check, step by step and against random results.

use proptest::prelude::*;

use super::*;

fn at(s: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + s).unwrap()
}

fn bad() -> Finding {
    Finding::Bad("refused".into())
}

fn poor() -> Finding {
    Finding::Poor("slow".into())
}

/// Looks every thirty seconds; each letter is what is found, or how it is after that.
fn run(check: &mut Check, from: i64, findings: &str) -> String {
    let look = |(n, letter): (i64, char)| {
        let finding = match letter {
            'g' => Finding::Good,
            'p' => poor(),
            _ => bad(),
        };
        check.look(at(from + 30 * n), finding);
        letter_of(check.health())
    };
    (0..).zip(findings.chars()).map(look).collect()
}

const fn letter_of(health: Health) -> char {
    match health {
        Health::Unknown => '?',
        Health::Starting => 's',
        Health::Up => 'U',
        Health::Degraded => 'D',
        Health::Down => 'X',
        Health::Maintenance => 'm',
        Health::Paused => 'p',
        Health::Stale => 'o',
    }
}

#[test]
fn three_bad_looks_in_a_row_are_down_and_two_good_ones_up_again() {
    let judge = |findings: &str| run(&mut Check::new(CheckSettings::default(), at(0)), 0, findings);
    assert_eq!(judge("gbbgbbb"), "UUUUUUX", "any good look begins the row anew");
    assert_eq!(judge("gbbbgbgg"), "UUUXXXXU", "and so does a bad one");
    assert_eq!(judge("bbb"), "??X", "what never was in order is unknown until then");
    assert_eq!(judge("gpppgg"), "UUUDDU");
    assert_eq!(judge("gbpb"), "UUUD", "amiss three times, but not bad three times");
    assert_eq!(judge("gbbbppgg"), "UUUXXDDU", "it answers again, not yet as it should");
    assert_eq!(judge("gpppbbb"), "UUUDDDX");
}

#[test]
fn a_change_says_since_when_and_why() {
    let mut check = Check::new(CheckSettings::default(), at(0));
    run(&mut check, 0, "gbb");
    let change = check.look(at(90), Finding::Bad("x".repeat(5_000))).unwrap();
    // It began with the first bad look, not with the one that made it certain.
    assert_eq!((change.from, change.to, change.at), (Health::Up, Health::Down, at(30)));
    assert_eq!(change.reason.len(), REASON_CHARS_MAX);
    assert_eq!(check.since(), at(30));
    run(&mut check, 120, "gg");
    assert_eq!((check.health(), check.reason(), check.since()), (Health::Up, "", at(120)));
    assert_eq!(check.last_good(), Some(at(150)));
}

#[test]
fn nothing_counts_before_it_has_started_and_a_start_has_its_time() {
    let settings =
        CheckSettings { start_within: Some(Duration::from_secs(300)), ..CheckSettings::default() };
    let mut check = Check::new(settings, at(0));
    assert_eq!(run(&mut check, 0, "bbbbbbg"), "ssssssU", "the first good look is enough");
    assert_eq!(run(&mut check, 210, "bbb"), "UUX", "and from then on it counts");
    let mut slow = Check::new(settings, at(0));
    assert_eq!(run(&mut slow, 0, "bbb"), "sss");
    assert_eq!(slow.tick(at(299)), None);
    let change = slow.tick(at(300)).unwrap();
    assert_eq!((change.to, change.reason.as_str()), (Health::Down, "it did not start in time"));
    assert_eq!(run(&mut slow, 310, "gg"), "XU");
}

#[test]
fn results_that_stay_away_make_it_stale_and_the_next_one_counts_at_once() {
    let mut check = Check::new(CheckSettings::default(), at(0));
    assert_eq!(check.tick(at(10_000)), None, "it was never looked at");
    run(&mut check, 0, "g");
    assert_eq!(check.tick(at(70)), None);
    assert_eq!(check.tick(at(71)).unwrap().to, Health::Stale);
    assert_eq!(check.tick(at(5_000)), None, "it is said once");
    assert_eq!(run(&mut check, 5_010, "g"), "U");
}

#[test]
fn maintenance_and_a_pause_lie_over_what_is_found() {
    let mut check = Check::new(CheckSettings::default(), at(0));
    run(&mut check, 0, "gbb");
    let change = check.lay_over(at(70), Some(Over::Maintenance)).unwrap();
    assert_eq!((change.from, change.to), (Health::Up, Health::Maintenance));
    assert_eq!(run(&mut check, 90, "bbbb"), "mmmm");
    assert_eq!(check.tick(at(10_000)), None, "nor does silence count");
    assert_eq!(check.lay_over(at(10_000), None).unwrap().to, Health::Up);
    assert_eq!(check.tick(at(10_030)), None);
    assert_eq!(run(&mut check, 10_030, "bbb"), "UUX", "rows begin anew");
    assert_eq!(check.lay_over(at(10_200), Some(Over::Pause)).unwrap().to, Health::Paused);
}

#[test]
fn what_is_down_because_of_something_it_needs_is_degraded() {
    let mut check = Check::new(CheckSettings::default(), at(0));
    run(&mut check, 0, "g");
    let lacks = Some("the ledger is down".to_owned());
    let change = check.needs(at(10), lacks.clone()).unwrap();
    assert_eq!((change.to, change.reason.as_str()), (Health::Degraded, "the ledger is down"));
    assert_eq!(run(&mut check, 30, "bbb"), "DDD");
    assert_eq!(check.needs(at(200), lacks), None);
    assert_eq!(check.needs(at(210), None).unwrap().to, Health::Down, "now it is its own");
}

#[test]
fn while_it_is_held_nothing_gets_worse_and_the_row_begins_anew() {
    let mut check = Check::new(CheckSettings::default(), at(0));
    run(&mut check, 0, "gbb");
    check.hold(at(120));
    assert_eq!(run(&mut check, 75, "b"), "U", "the third bad look does not count");
    assert_eq!(check.tick(at(119)), None);
    assert_eq!(run(&mut check, 120, "bbb"), "UUX");
    check.hold(at(10_000));
    assert_eq!(run(&mut check, 300, "gg"), "XU", "it may get better");
}

#[test]
fn what_nobody_looked_at_while_the_machine_slept_is_not_known() {
    let mut check = Check::new(CheckSettings::default(), at(0));
    run(&mut check, 0, "gbbb");
    assert_eq!(check.slept(at(100), at(160)), None, "no longer than results may stay away");
    let morning = 100 + 8 * 3_600;
    let change = check.slept(at(100), at(morning)).unwrap();
    assert_eq!((change.to, change.at), (Health::Stale, at(100)));
    assert!(change.reason.contains("slept"), "{}", change.reason);
    assert_eq!(run(&mut check, morning + 1, "bbb"), "ooX", "and is judged anew");
}

#[test]
fn what_cannot_be_said_is_not_said() {
    let mut check = Check::new(CheckSettings::default(), at(0));
    run(&mut check, 0, "g");
    let change = check.withdraw(at(10), "it has nothing to do").unwrap();
    assert_eq!((change.to, check.reason()), (Health::Unknown, "it has nothing to do"));
    assert_eq!(check.tick(at(10_000)), None, "and is not waited for");
    assert_eq!(run(&mut check, 10_000, "g"), "U");
}

#[test]
fn settings_that_cannot_work_are_refused() {
    let usual = CheckSettings::default();
    assert_eq!(usual.checked(), Ok(usual));
    let second = Duration::from_secs(1);
    let timeout = CheckSettings { timeout: usual.interval, ..usual };
    assert!(matches!(timeout.checked(), Err(BadSettings::Timeout { .. })));
    let none = CheckSettings { timeout: Duration::ZERO, ..usual };
    assert!(matches!(none.checked(), Err(BadSettings::Timeout { .. })));
    for interval in [Duration::ZERO, second / 2, Duration::MAX] {
        let settings = CheckSettings { interval, timeout: second / 4, ..usual };
        assert!(matches!(settings.checked(), Err(BadSettings::Interval { .. })), "{interval:?}");
    }
    for looks in [0, 101, u32::MAX] {
        let settings = CheckSettings { failures: looks, ..usual };
        assert_eq!(settings.checked(), Err(BadSettings::Threshold));
    }
}

/// What the letters of the last looks must have come to, where no look was poor: a naive reading of
/// the whole row, from its beginning.
fn naive(findings: &[bool], failures: usize, successes: usize) -> Health {
    let mut health = Health::Unknown;
    for end in 1..=findings.len() {
        let row = |good: bool| findings[..end].iter().rev().take_while(|it| **it == good).count();
        health = match health {
            Health::Unknown if row(true) > 0 => Health::Up,
            Health::Unknown | Health::Up if row(false) >= failures => Health::Down,
            Health::Down if row(true) >= successes => Health::Up,
            other => other,
        };
    }
    health
}

proptest! {
    #[test]
    fn rows_of_results_are_judged_as_a_naive_reading_of_all_of_them(
        findings in prop::collection::vec(any::<bool>(), 0..60), failures in 1_u32..5, successes in 1_u32..5,
    ) {
        let settings = CheckSettings { failures, successes, ..CheckSettings::default() };
        let mut check = Check::new(settings, at(0));
        for (n, good) in (0..).zip(&findings) {
            check.look(at(30 * n), if *good { Finding::Good } else { bad() });
        }
        let expected = naive(&findings, failures as usize, successes as usize);
        prop_assert_eq!(check.health(), expected);
    }

    #[test]
    fn every_change_goes_on_from_the_one_before(
        steps in prop::collection::vec((0_u8..9, 0_i64..200), 0..200),
    ) {
        let mut check = Check::new(CheckSettings::default(), at(0));
        let (mut now, mut last) = (0, Health::Unknown);
        for (step, wait) in steps {
            now += wait - 20;
            let change = match step {
                0 | 1 => check.look(at(now), Finding::Good),
                2 => check.look(at(now), poor()),
                3 | 4 => check.look(at(now), bad()),
                5 => check.tick(at(now)),
                6 => check.lay_over(at(now), Some(Over::Maintenance)),
                7 => check.lay_over(at(now), None),
                _ => check.needs(at(now), (wait > 100).then(|| "x".to_owned())),
            };
            if let Some(change) = change {
                prop_assert_eq!(change.from, last);
                prop_assert!(change.from != change.to);
                last = change.to;
            }
            prop_assert_eq!(check.health(), last);
        }
    }
}
