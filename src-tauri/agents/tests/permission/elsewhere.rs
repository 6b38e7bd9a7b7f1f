//! Commands that are to run elsewhere, and lines of which only the beginning is known.

use super::*;

#[test]
fn a_command_that_is_to_run_elsewhere_is_judged_where_it_runs() {
    let place = tempfile::tempdir().unwrap();
    let work = place.path().join("work");
    std::fs::create_dir_all(work.join("sub")).unwrap();
    std::fs::create_dir_all(place.path().join("other")).unwrap();
    let at = |directory: &str, command: &str| PermissionAsk {
        directory: Some(directory.to_owned()),
        ..run(command)
    };
    let other = place.path().join("other").display().to_string();
    let found = risk(&at(&other, "rm -rf build"), &work);
    assert_eq!(found.level, RiskLevel::High, "{found:?}");
    assert!(found.reasons.iter().any(|why| why.contains("other/build")), "{found:?}");
    assert!(found.reasons.iter().any(|why| why.contains("works outside")), "{found:?}");
    assert_eq!(risk(&at("sub", "ls"), &work).level, RiskLevel::Low);
    let moved = risk(&run("cd /home/u && rm -rf build"), &work);
    assert_eq!(moved.level, RiskLevel::High, "{moved:?}");

    let rules = [rule("run: echo *", true), rule("run: make", true), rule("run: =make", true)];
    let auto = PermissionPolicy::AutoInWorktree;
    assert_eq!(word(auto, &rules, &at("/home/u", "echo x > .bashrc"), &work), "ask");
    assert_eq!(word(auto, &rules, &at(&other, "echo x"), &work), "ask");
    assert_eq!(word(auto, &rules, &at(&other, "make"), &work), "ask");
    assert_eq!(word(auto, &rules, &at("a\0", "make"), &work), "ask");
    assert_eq!(word(auto, &rules, &at("sub", "echo x > a"), &work), "allow");
    assert_eq!(word(auto, &rules, &at("sub", "echo x > ../../a"), &work), "ask");
    assert_eq!(word(auto, &rules, &at(&work.display().to_string(), "make"), &work), "allow");
    let no = [rule("edit: /etc/**", false), rule("run: *", true)];
    assert_eq!(word(auto, &no, &at("/etc", "echo x > passwd"), &work), "deny");

    // What *always* would allow is that line, there.
    let always = pattern(&at(&other, "make -j4"), &work);
    assert_eq!(always, format!("run: =cd {other} && make -j4"));
    let rules = [rule(&always, true)];
    assert_eq!(word(auto, &rules, &at(&other, "make -j4"), &work), "allow");
    assert_eq!(word(auto, &rules, &at("/home/u", "make -j4"), &work), "ask");
    assert_eq!(word(auto, &rules, &run("make -j4"), &work), "ask");
}

#[test]
fn a_line_that_was_cut_is_never_taken_for_what_is_left_of_it() {
    let cut = model::conversation::cut(&format!("ls {} ; rm -rf x", "a ".repeat(40)), 60);
    assert!(!fits("run: ls *", &run(&cut)), "{cut}");
    assert!(!fits("run: *", &run(&cut)), "{cut}");
}
