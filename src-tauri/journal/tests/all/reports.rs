//! Missions and days as Markdown, HTML and JSON.

use jiff::civil::date;
use jiff::tz::TimeZone;
use journal::{Format, Rendered, ReportError, ReportOf, report};

use crate::world::{Ending, Words, World, mission_id};

async fn told(world: &World, of: ReportOf, format: Format) -> Rendered {
    let now = "2026-11-20T12:00:00Z".parse().unwrap();
    report(&world.ledger, &world.telemetry, of, format, &TimeZone::UTC, now).await.unwrap()
}

/// Two missions: one that failed once and was then done, one that was lost.
async fn morning() -> World {
    let world = World::open().await;
    world.add_agent(1, "hive-1").await;
    world.add_agent(2, "hive-2").await;
    let words = Words::default();
    world.add_mission(1, &words).await;
    let other = Words { title: "Write the manual".into(), ..words.clone() };
    world.add_mission(2, &other).await;
    world.attempt((1, 1, 1, 1), &words, Ending::GateFails, false).await;
    world.pass(60);
    world.attempt((1, 2, 2, 2), &words, Ending::Done, true).await;
    world.attempt((2, 3, 1, 1), &other, Ending::Lost, true).await;
    world
}

const FRIDAY: ReportOf = ReportOf::Day(date(2026, 11, 20));

#[tokio::test]
async fn a_mission_reads_as_a_story_with_its_evidence() {
    let world = morning().await;
    let told = told(&world, ReportOf::Mission(mission_id(1)), Format::Markdown).await;
    assert_eq!(told.media_type, "text/markdown; charset=utf-8");
    insta::assert_snapshot!(told.file_name, @"hivekeeper-mission-M-1800.md");
    insta::assert_snapshot!(told.body, @r#"
    # M-1800 · Fix the parser — done

    | | |
    |---|---|
    | State | done |
    | Evidence | gates run by the engine passed |
    | Repository | /home/captain/project |
    | Created | 2026-11-20 09:58:00 UTC |
    | Last change | 2026-11-20 09:59:50 UTC |
    | Attempts | 2, together 50 s |
    | Gates | 1 of 2 runs passed |
    | Processor time | 24 s |
    | Memory at most | 50.0 MiB |
    | As of | 2026-11-20 12:00:00 UTC |

    ## Brief

    ```text
    Make `cargo test` pass.
    ```

    ## Attempt 1

    Attempt 1 by hive-1 failed after 25 s: a gate did not pass

    | | |
    |---|---|
    | Agent | hive-1 (writes code) |
    | Started | 2026-11-20 09:58:00 UTC |
    | Ended | 2026-11-20 09:58:25 UTC |
    | Duration | 25 s |
    | Program | ended with exit code 0 |
    | Program ran | 20 s |
    | Branch | `hive/M-0001/1` from `0123456789` |
    | Left out | 2 files with uncommitted changes in the repository: not part of the work |
    | Work | 1 commit, 2 files changed, +31 −4 |
    | Processor time | 12 s |
    | Processor use | 64 % of one core on average, at most 90 % |
    | Memory | 50.0 MiB on average, at most 50.0 MiB |

    ### Gates

    | Gate | Result | Took | Why |
    |---|---|---|---|
    | command: cargo test | failed | 3.2 s | it exited with code 101 |

    #### Output of command: cargo test

    ```text
    running 2 tests
    test a ... ok
    test b ... FAILED
    ```

    ### Commits

    - `fedcba9876` parser: read empty lines

    So that nothing is lost, the last commit holds 1 file that the agent had left uncommitted.

    ## Attempt 2

    Attempt 2 by hive-2 passed after 25 s.

    | | |
    |---|---|
    | Agent | hive-2 (writes code) |
    | Started | 2026-11-20 09:59:25 UTC |
    | Ended | 2026-11-20 09:59:50 UTC |
    | Duration | 25 s |
    | Program | ended with exit code 0 |
    | Program ran | 20 s |
    | Branch | `hive/M-0001/1` from `0123456789` |
    | Left out | 2 files with uncommitted changes in the repository: not part of the work |
    | Work | 1 commit, 2 files changed, +31 −4 |
    | Processor time | 12 s |
    | Processor use | 64 % of one core on average, at most 90 % |
    | Memory | 50.0 MiB on average, at most 50.0 MiB |

    ### Gates

    | Gate | Result | Took | Why |
    |---|---|---|---|
    | command: cargo test | passed | 3.2 s | it exited with code 0 |

    ### Commits

    - `fedcba9876` parser: read empty lines

    So that nothing is lost, the last commit holds 1 file that the agent had left uncommitted.
    "#);
}

#[tokio::test]
async fn a_day_counts_what_came_to_an_end_and_who_was_busy() {
    let world = morning().await;
    let told = told(&world, FRIDAY, Format::Markdown).await;
    insta::assert_snapshot!(told.file_name, @"hivekeeper-day-2026-11-20.md");
    insta::assert_snapshot!(told.body, @r#"
    # Friday, 20 November 2026

    The day is not over; this is what happened so far.

    | | |
    |---|---|
    | Missions | 1 done, 1 failed |
    | Created | 2 missions |
    | Attempts | 3 begun, 3 ended |
    | Gates | 1 of 2 runs passed |
    | From, to | 2026-11-20 00:00:00 UTC to 2026-11-21 00:00:00 UTC |
    | As of | 2026-11-20 12:00:00 UTC |

    ## Missions that came to an end or to review

    | Mission | Title | State | At |
    |---|---|---|---|
    | M-1800 | Fix the parser | done | 2026-11-20 09:59:50 UTC |
    | M-2800 | Write the manual | failed | 2026-11-20 10:00:15 UTC |

    ## Agents

    | Agent | Attempts | Busy |
    |---|---|---|
    | hive-1 | 2 | 50 s |
    | hive-2 | 1 | 25 s |
    "#);
}

#[tokio::test]
async fn a_mission_page_draws_its_use_over_time_with_the_gaps_kept() {
    let world = morning().await;
    let page = told(&world, ReportOf::Mission(mission_id(1)), Format::Html).await;
    assert_eq!(page.media_type, "text/html; charset=utf-8");
    let charts: Vec<_> = page.body.split("<svg").skip(1).collect();
    assert_eq!(charts.len(), 2);
    for chart in charts {
        let chart = chart.split("</svg>").next().unwrap();
        let lines = chart.split("<polyline").skip(1);
        let drawn = |line: &&str| line.contains("#2F7FD6") || line.contains("#B4690E");
        let lines = lines.filter(drawn).count();
        // Two attempts, each with a stretch in which nothing was measured.
        assert_eq!(lines, 4, "{chart}");
        assert!(chart.contains("currentColor"));
    }
    assert!(page.body.contains("test b ... FAILED"));
}

#[tokio::test]
async fn a_day_page_draws_outcomes_hours_and_agents() {
    let world = morning().await;
    let page = told(&world, FRIDAY, Format::Html).await.body;
    assert_eq!(page.matches("<svg").count(), 3);
    for text in ["Missions by outcome", "Attempts begun per hour", "hive-2", "done", "failed"] {
        assert!(page.contains(text), "{text}");
    }
}

#[tokio::test]
async fn the_same_facts_give_the_same_bytes() {
    let world = morning().await;
    for of in [ReportOf::Mission(mission_id(1)), FRIDAY] {
        for format in [Format::Markdown, Format::Html, Format::Json] {
            let first = told(&world, of, format).await;
            assert_eq!(first, told(&world, of, format).await);
        }
    }
}

#[tokio::test]
async fn json_holds_the_facts_and_none_of_the_agents_secrets() {
    let world = morning().await;
    let mission = told(&world, ReportOf::Mission(mission_id(1)), Format::Json).await;
    let facts: serde_json::Value = serde_json::from_str(&mission.body).unwrap();
    assert_eq!(facts["mission"]["state"], "done");
    assert_eq!(facts["attempts"][0]["gates"][0]["verdict"], "failed");
    assert_eq!(facts["attempts"][1]["resources"]["samples"], 14);
    assert_eq!(facts["attempts"][1]["resources"]["cpu_ms"], 12_340);
    let day = told(&world, FRIDAY, Format::Json).await;
    let facts: serde_json::Value = serde_json::from_str(&day.body).unwrap();
    assert_eq!(facts["outcomes"]["done"], 1);
    assert_eq!(facts["outcomes"]["failed"], 1);
    assert_eq!(facts["attempts_per_hour"][9]["attempts"], 3);
    assert_eq!(facts["attempts_per_hour"].as_array().unwrap().len(), 24);
    for body in [&mission.body, &day.body] {
        assert!(!body.contains("planted-secret"));
    }
}

#[tokio::test]
async fn a_day_without_events_says_so() {
    let world = morning().await;
    let empty = ReportOf::Day(date(2026, 11, 19));
    let text = told(&world, empty, Format::Markdown).await.body;
    insta::assert_snapshot!(text, @r#"
    # Thursday, 19 November 2026

    No data: no mission was created or came to an end, and no attempt ran, from 2026-11-19 00:00:00 UTC to 2026-11-20 00:00:00 UTC.
    "#);
    let page = told(&world, empty, Format::Html).await.body;
    assert!(!page.contains("<svg"));
    let tomorrow = told(&world, ReportOf::Day(date(2026, 11, 21)), Format::Markdown).await;
    assert!(tomorrow.body.contains("The day has not begun."));
}

#[tokio::test]
async fn an_attempt_over_midnight_counts_for_both_days_in_the_readers_zone() {
    let world = morning().await;
    let now = "2026-11-21T12:00:00Z".parse().unwrap();
    // 10:00 UTC, in the middle of the attempts, is midnight there.
    let zone = TimeZone::fixed(jiff::tz::offset(14));
    let mut busy = 0;
    for day in [date(2026, 11, 20), date(2026, 11, 21)] {
        let of = ReportOf::Day(day);
        let told = report(&world.ledger, &world.telemetry, of, Format::Json, &zone, now).await;
        let facts: serde_json::Value = serde_json::from_str(&told.unwrap().body).unwrap();
        let agents = facts["agents"].as_array().unwrap();
        assert!(!agents.is_empty(), "{day}");
        busy += agents.iter().map(|agent| agent["busy_ms"].as_i64().unwrap()).sum::<i64>();
    }
    assert_eq!(busy, 3 * 25_000);
}

#[tokio::test]
async fn a_mission_that_is_not_there_has_no_report() {
    let world = World::open().await;
    let of = ReportOf::Mission(mission_id(9));
    let now = world.now();
    let told = report(&world.ledger, &world.telemetry, of, Format::Html, &TimeZone::UTC, now).await;
    assert!(matches!(told, Err(ReportError::NoMission(id)) if id == mission_id(9)));
}
