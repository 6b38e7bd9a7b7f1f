//! All checks together, in virtual time: thresholds, maintenance, what explains what, sleep and set
//! clocks; and what others do with the same rows, from the files in `vectors`.

use model::health::Recurrence;
use model::id::MaintenanceId;
use proptest::prelude::*;

use super::*;
use crate::health::{CheckSettings, Deadline, Reports, Standing as Late};

fn wall(s: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + s).unwrap()
}

fn at(s: i64) -> Moment {
    Moment { steady: wall(s), wall: wall(s) }
}

fn spec(failures: u32, successes: u32) -> Spec {
    Spec {
        name: "shop".to_owned(),
        settings: CheckSettings { failures, successes, ..CheckSettings::default() },
        needs: Vec::new(),
        paused: false,
        looking: Looking::Due,
        own: true,
    }
}

fn bad() -> Finding {
    Finding::Bad("refused".to_owned())
}

fn board(failures: u32, successes: u32) -> Board {
    let mut board = Board::default();
    board.put("shop", spec(failures, successes), false, at(0));
    board
}

fn state(board: &Board, key: &str, now: Moment) -> HealthState {
    board.standing(key, now).unwrap().state
}

fn maintenance(from: i64, until: i64, checks: &[&str]) -> Maintenance {
    Maintenance {
        id: MaintenanceId::from_uuid(uuid::Uuid::nil()),
        checks: checks.iter().map(|it| (*it).to_owned()).collect(),
        from: wall(from),
        until: wall(until),
        recurs: None,
        zone: "UTC".to_owned(),
        note: "the disk is changed".to_owned(),
    }
}

/// The lines of a file of vectors, in their columns.
fn vectors(text: &str) -> Vec<Vec<String>> {
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty());
    let columns = |line: &str| line.split('|').map(|it| it.trim().to_owned()).collect();
    let all: Vec<Vec<String>> = lines.map(columns).collect();
    assert!(all.len() > 5, "there are vectors");
    all
}

#[test]
fn rows_of_results_are_judged_as_gatus_judges_them() {
    for line in vectors(include_str!("vectors/gatus.txt")) {
        let [settings, results, expected] = line.as_slice() else { panic!("{line:?}") };
        let (failures, successes) = settings.split_once(' ').unwrap();
        let mut board = board(failures.parse().unwrap(), successes.parse().unwrap());
        let judged: String = (0..)
            .zip(results.chars())
            .map(|(n, letter)| {
                let finding = if letter == 'o' { Finding::Good } else { bad() };
                board.look("shop", finding, None, at(30 * n));
                let failed = state(&board, "shop", at(30 * n)) == HealthState::Failed;
                if failed { 'X' } else { '.' }
            })
            .collect();
        assert_eq!(&judged, expected, "{line:?}");
    }
}

#[test]
fn changes_are_told_where_kuma_calls_a_step_important() {
    for line in vectors(include_str!("vectors/kuma.txt")) {
        let [step, results, expected] = line.as_slice() else { panic!("{line:?}") };
        let mut board = board(3, 1);
        let told: String = (0..)
            .zip(results.chars())
            .map(|(n, letter)| {
                let now = at(30 * n);
                match letter {
                    'o' => board.look("shop", Finding::Good, None, now),
                    'x' => board.look("shop", bad(), None, now),
                    'm' => board.set_windows(vec![maintenance(0, 10_000, &[])]),
                    _ => board.set_windows(Vec::new()),
                }
                board.tick(now);
                if board.take_changes(10).is_empty() { '.' } else { '!' }
            })
            .collect();
        assert_eq!(&told, expected, "{step}");
    }
}

#[test]
fn uptime_is_the_share_of_the_time_of_which_anything_is_known() {
    for line in vectors(include_str!("vectors/uptime.txt")) {
        let [minutes, expected] = line.as_slice() else { panic!("{line:?}") };
        let mut board = board(1, 1);
        let mut now = at(0);
        for (n, letter) in (0..).zip(minutes.chars()) {
            now = at(60 * n);
            board.set_windows(match letter {
                'm' => vec![maintenance(0, 1_000_000, &[])],
                _ => Vec::new(),
            });
            board.tick(now);
            match letter {
                'o' => board.look("shop", Finding::Good, None, now),
                'd' => board.look("shop", Finding::Poor("slow".to_owned()), None, now),
                'x' => board.look("shop", bad(), None, now),
                '?' => board.withdraw("shop", "nobody knows", now),
                _ => {}
            }
        }
        let end = Moment { steady: now.steady + MINUTE, wall: now.wall + MINUTE };
        let share = board.uptime("shop", wall(0), end);
        let shown = share.map_or("-".to_owned(), |share| {
            format!("{share:.6}").trim_end_matches('0').trim_end_matches('.').to_owned()
        });
        assert_eq!(&shown, expected, "{minutes}");
    }
}

const MINUTE: SignedDuration = SignedDuration::from_mins(1);

#[test]
fn what_has_to_report_stands_as_healthchecks_says() {
    let daily =
        Deadline { period: SignedDuration::from_hours(24), grace: SignedDuration::from_hours(1) };
    for line in vectors(include_str!("vectors/healthchecks.txt")) {
        let [given, expected] = line.as_slice() else { panic!("{line:?}") };
        let given: Vec<&str> = given.split_whitespace().collect();
        let ago = |text: &str| text.parse::<i64>().ok().map(|m| wall(60 * (10_000 - m)));
        let reports =
            Reports { last: ago(given[0]), started: ago(given[1]), failed: given[2] == "yes" };
        let standing = match daily.standing(&reports, wall(60 * 10_000)) {
            Late::New => "new",
            Late::Started => "started",
            Late::Up => "up",
            Late::Grace => "grace",
            Late::Down => "down",
        };
        assert_eq!(standing, expected, "{line:?}");
    }
}

#[test]
fn a_failing_parent_explains_the_child_and_there_is_no_second_failure() {
    let mut board = Board::default();
    board.put("net", Spec { name: "network".into(), ..spec(3, 1) }, false, at(0));
    let shop = Spec { needs: vec!["net".into()], ..spec(3, 1) };
    board.put("shop", shop, false, at(0));
    let cart = Spec { name: "cart".into(), needs: vec!["shop".into()], ..spec(3, 1) };
    board.put("cart", cart, false, at(0));
    for key in ["net", "shop", "cart"] {
        board.look(key, Finding::Good, None, at(0));
    }
    board.take_changes(10);
    // The child is looked at first, each time.
    for n in 1..=6 {
        for key in ["cart", "shop", "net"] {
            board.look(key, bad(), None, at(30 * n));
            board.tick(at(30 * n));
        }
    }
    let changes = board.take_changes(100);
    let failed: Vec<&str> = changes
        .iter()
        .filter(|change| change.to == HealthState::Failed)
        .map(|change| change.check.as_str())
        .collect();
    assert_eq!(failed, ["net"], "{changes:#?}");
    for key in ["shop", "cart"] {
        let standing = board.standing(key, at(200)).unwrap();
        assert_eq!(standing.state, HealthState::Degraded);
        assert_eq!(standing.reason, "'network' has failed: refused", "{key}");
    }
    // It is over with the parent, and nothing is left of it.
    for key in ["net", "shop", "cart"] {
        board.look(key, Finding::Good, None, at(300));
    }
    board.tick(at(300));
    for key in ["net", "shop", "cart"] {
        assert_eq!(state(&board, key, at(300)), HealthState::Ok, "{key}");
    }
}

#[test]
fn a_bad_look_has_what_it_needs_looked_at_at_once() {
    let mut board = Board::default();
    board.put("net", Spec { name: "network".into(), ..spec(3, 1) }, false, at(0));
    board.put("shop", Spec { needs: vec!["net".into()], ..spec(3, 1) }, false, at(0));
    assert_eq!(board.due(at(0), 10).len(), 2);
    for key in ["net", "shop"] {
        board.look(key, Finding::Good, None, at(0));
    }
    assert!(board.due(at(10), 10).is_empty());
    board.look("shop", bad(), None, at(10));
    assert_eq!(board.due(at(10), 10), ["net"]);
}

#[test]
fn looks_are_handed_out_once_at_their_interval_and_the_longest_due_first() {
    let mut board = Board::default();
    for key in ["a", "b", "c"] {
        board.put(key, spec(3, 2), false, at(0));
    }
    assert_eq!(board.due(at(0), 2), ["a", "b"]);
    assert_eq!(board.due(at(0), 2), ["c"]);
    assert!(board.due(at(1_000), 9).is_empty(), "all of them are under way");
    board.look("b", Finding::Good, None, at(1_001));
    assert_eq!(board.due(at(1_001), 9), ["b"], "however late: once");
    board.give_up("a");
    assert_eq!(board.due(at(1_002), 9), ["a"]);
    assert_eq!(board.standing("c", at(1_002)).unwrap().next_at, Some(wall(1_002)));
}

#[test]
fn maintenance_and_pauses_count_neither_way_and_say_until_when() {
    let mut board = board(1, 1);
    board.look("shop", Finding::Good, None, at(0));
    board.set_windows(vec![maintenance(100, 200, &["shop"])]);
    board.tick(at(100));
    let standing = board.standing("shop", at(100)).unwrap();
    assert!(standing.maintenance && standing.state == HealthState::Unknown);
    assert!(standing.reason.contains("the disk is changed"), "{}", standing.reason);
    assert!(board.due(at(150), 9).is_empty(), "nobody looks");
    board.look("shop", bad(), None, at(150));
    board.tick(at(200));
    assert_eq!(state(&board, "shop", at(200)), HealthState::Ok);
    let share = board.uptime("shop", wall(0), at(300));
    assert_eq!(share, Some(1.0));
    board.put("shop", Spec { paused: true, ..spec(1, 1) }, false, at(300));
    board.tick(at(300));
    let standing = board.standing("shop", at(300)).unwrap();
    assert_eq!((standing.reason.as_str(), standing.next_at), ("it is switched off", None));
    // A window for all is one for the captain's own.
    let mut parts = Board::default();
    parts.put("engine.store", Spec { own: false, ..spec(1, 1) }, false, at(0));
    parts.set_windows(vec![Maintenance {
        recurs: Some(Recurrence::Daily),
        ..maintenance(0, 100, &[])
    }]);
    parts.tick(at(10));
    assert!(!parts.standing("engine.store", at(10)).unwrap().maintenance);
}

#[test]
fn a_clock_that_is_set_by_an_hour_makes_nothing_stale_and_times_are_those_on_the_wall() {
    for step in [3_600, -3_600] {
        let mut board = board(1, 1);
        board.look("shop", Finding::Good, None, at(0));
        board.take_changes(9);
        let set = |s: i64| Moment { steady: wall(s), wall: wall(s + step) };
        board.tick(set(30));
        assert!(board.take_changes(9).is_empty(), "{step}");
        assert_eq!(board.due(set(30), 9), ["shop"], "it is due when it was");
        board.look("shop", bad(), None, set(31));
        let changes = board.take_changes(9);
        assert_eq!(changes[0].confirmed_at, wall(31 + step));
        assert!(changes[0].at >= wall(0), "nothing begins before what was before it");
    }
}

#[test]
fn a_night_asleep_is_not_known_and_is_over_with_the_first_look() {
    let mut board = board(3, 2);
    board.look("shop", Finding::Good, None, at(0));
    let morning = 8 * 3_600;
    board.slept(wall(10), at(morning));
    board.hold(wall(morning + 2));
    board.tick(at(morning));
    let changes = board.take_changes(9);
    assert_eq!(changes.last().unwrap().to, HealthState::Unknown);
    assert_eq!(changes.last().unwrap().at, wall(10));
    board.look("shop", bad(), None, at(morning + 1));
    assert_eq!(state(&board, "shop", at(morning + 1)), HealthState::Unknown, "nobody is blamed");
    board.look("shop", Finding::Good, None, at(morning + 2));
    assert_eq!(state(&board, "shop", at(morning + 2)), HealthState::Ok);
    let share = board.uptime("shop", wall(0), at(morning + 100));
    assert_eq!(share, Some(1.0), "the night is in neither");
}

#[test]
fn what_was_before_a_restart_is_remembered_and_the_time_between_is_not_known() {
    let mut before = board(1, 1);
    before.look("shop", Finding::Good, None, at(0));
    before.look("shop", bad(), None, at(60));
    let changes = before.take_changes(9);
    let mut after = Board::default();
    after.put("shop", spec(1, 1), false, at(1_000));
    after.restore("shop", changes);
    after.interrupted("shop", wall(120), "the engine did not run", at(1_000));
    let told = after.take_changes(9);
    assert_eq!((told.len(), told[0].from, told[0].at), (1, HealthState::Failed, wall(120)));
    after.look("shop", Finding::Good, None, at(1_000));
    let share = after.uptime("shop", wall(0), at(1_060)).unwrap();
    assert!((share - 120.0 / 180.0).abs() < 1e-9, "{share}");
}

#[test]
fn changes_that_cannot_be_recorded_are_kept_in_their_order_and_bounded() {
    let mut board = board(1, 1);
    for n in 0..10_i64 {
        let finding = if n % 2 == 0 { Finding::Good } else { bad() };
        board.look("shop", finding, None, at(n));
    }
    let first = board.take_changes(3);
    board.put_back(first.clone());
    let all = board.take_changes(100);
    assert_eq!((&all[..3], all.len()), (&first[..], 10));
    for n in 0..25_000_i64 {
        let finding = if n % 2 == 0 { Finding::Good } else { bad() };
        board.look("shop", finding, None, at(100 + n));
    }
    assert_eq!(board.unrecorded().0, WAITING_MAX);
    assert!(board.unrecorded().1 > 0);
    assert!(board.entries["shop"].changes.len() <= CHANGES_KEPT);
    assert_eq!(board.beats("shop").count(), BEATS_KEPT);
}

#[test]
fn a_check_that_looks_at_something_else_begins_anew() {
    let mut board = board(1, 1);
    board.look("shop", bad(), None, at(0));
    board.put("shop", spec(2, 1), false, at(10));
    assert_eq!(state(&board, "shop", at(10)), HealthState::Failed, "it is judged otherwise only");
    board.put("shop", spec(2, 1), true, at(20));
    assert_eq!(state(&board, "shop", at(20)), HealthState::Unknown);
    assert_eq!(board.due(at(20), 9), ["shop"]);
}

proptest! {
    #[test]
    fn what_is_told_goes_on_from_what_was_told_whatever_happens(
        steps in prop::collection::vec((0_u8..10, 0_i64..200, 0_i64..4_000), 0..120),
    ) {
        let mut board = board(2, 2);
        board.put("base", Spec { name: "base".into(), ..spec(2, 2) }, false, at(0));
        board.put("shop", Spec { needs: vec!["base".into()], ..spec(2, 2) }, false, at(0));
        let (mut steady, mut set) = (0, 0);
        let mut last = BTreeMap::new();
        for (step, wait, jump) in steps {
            steady += wait;
            let mut now = Moment { steady: wall(steady), wall: wall(steady + set) };
            match step {
                0 | 1 => board.look("shop", Finding::Good, None, now),
                2 => board.look("shop", bad(), None, now),
                3 => board.look("base", Finding::Good, None, now),
                4 => board.look("base", bad(), None, now),
                5 => board.set_windows(vec![maintenance(steady - 50, steady + 50, &[])]),
                6 => board.withdraw("shop", "x", now),
                7 => board.slept(wall(steady - wait), now),
                8 => board.hold(wall(steady + 2)),
                _ => set = jump - 2_000,
            }
            now.wall = wall(steady + set);
            board.tick(now);
            for change in board.take_changes(100) {
                let before = last.insert(change.check.clone(), change.clone());
                let (from, at) = before.map_or((HealthState::Unknown, None), |it: CheckChange| (it.to, Some(it.at)));
                prop_assert_eq!(change.from, from);
                prop_assert!(change.from != change.to);
                prop_assert!(at.is_none_or(|at| change.at >= at));
            }
            for key in ["shop", "base"] {
                let told = last.get(key).map_or(HealthState::Unknown, |it| it.to);
                prop_assert_eq!(state(&board, key, now), told);
                let share = board.uptime(key, wall(-10), now);
                prop_assert!(share.is_none_or(|share| (0.0..=1.0).contains(&share)));
            }
        }
    }
}
