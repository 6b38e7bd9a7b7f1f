//! What a run may use, and what becomes of it when it uses more.

use std::time::Instant;

use model::process::{Exit, ExitRecord, LaunchSpec, Limits};
use shim::confine::Arrangement;
use tokio_util::sync::CancellationToken;

use crate::supervising::{own_time, script, ways, with_argument};
use crate::support::{Run, launcher};

async fn ended(run: &Run, spec: &LaunchSpec) -> ExitRecord {
    let launcher = launcher();
    let identity = launcher.start(&run.dir(), spec, None).await.unwrap();
    launcher.wait(&run.dir(), &identity, &CancellationToken::new()).await.unwrap()
}

fn over(record: &ExitRecord) -> &str {
    let Exit::OverLimit { reason } = &record.exit else {
        panic!("{record:?}");
    };
    reason
}

#[tokio::test]
async fn a_cap_holds_when_an_agent_exceeds_it_in_processes() {
    for way in ways() {
        let run = Run::new();
        let time = own_time();
        // 255 processes at most, each of which starts two more: it ends by itself if nobody does it.
        let text = format!(
            "f() {{ if [ $1 -gt 0 ]; then f $(($1-1)) & f $(($1-1)) & fi; sleep {time}; }}; f 7"
        );
        let limits = Limits { processes: Some(20), ..Limits::default() };
        let spec = LaunchSpec { supervision: way, limits, ..script(&run, &text) };
        let launcher = launcher();
        let identity = launcher.start(&run.dir(), &spec, None).await.unwrap();
        if Arrangement::read(&run.dir()).unwrap().held.processes {
            crate::support::until("processes", || with_argument(&time).len() > 5);
            assert!(with_argument(&time).len() <= 20, "{way:?}");
            launcher.stop(&run.dir(), &identity).await.unwrap();
        } else {
            let cancel = CancellationToken::new();
            let record = launcher.wait(&run.dir(), &identity, &cancel).await.unwrap();
            let said = over(&record);
            assert!(said.starts_with("it had "), "{said}");
            assert!(said.ends_with(" processes, the limit is 20"), "{said}");
            assert_eq!(record.survivors, [], "{way:?}");
        }
        assert_eq!(with_argument(&time), [], "{way:?}");
        assert_eq!(run.processes(), [], "{way:?}");
    }
}

#[tokio::test]
async fn a_cap_holds_when_an_agent_exceeds_it_in_memory() {
    for way in ways() {
        let run = Run::new();
        let time = own_time();
        // tail keeps a line until it is whole: a quarter of a gibibyte, in one of three processes.
        let text = format!("(head -c 268435456 /dev/zero; sleep {time}) | tail");
        let limits = Limits { memory_bytes: Some(64 << 20), ..Limits::default() };
        let spec = LaunchSpec { supervision: way, limits, ..script(&run, &text) };
        // Building it may take longer than what is measured.
        crate::support::shim();
        let begun = Instant::now();
        let record = ended(&run, &spec).await;
        let said = over(&record);
        assert!(said.starts_with("its processes used "), "{said}");
        assert!(said.contains("limit") && said.ends_with("64 MiB"), "{said}");
        assert_eq!(record.survivors, [], "{way:?}");
        assert_eq!(with_argument(&time), [], "{way:?}");
        assert!(begun.elapsed().as_secs() < 20, "{way:?}");
        assert!(record.exit.to_string().starts_with("was ended: its processes used"));
    }
}

#[tokio::test]
async fn a_run_within_its_limits_is_left_alone() {
    let limits = Limits {
        memory_bytes: Some(1 << 30),
        processes: Some(10),
        cpu_weight: Some(50),
        open_files: Some(256),
        ..Limits::default()
    };
    for way in ways() {
        let run = Run::new();
        let text = "sleep 1.2 & sleep 1.2; echo fine; exit 4";
        let spec = LaunchSpec { supervision: way, limits, ..script(&run, text) };
        let record = ended(&run, &spec).await;
        assert_eq!(record.exit, Exit::Code { code: 4 }, "{way:?}");
        assert_eq!(run.stdout(), "fine\n", "{way:?}");
    }
}

#[tokio::test]
async fn no_more_than_256_files_can_be_open_and_no_core_is_written() {
    for way in ways() {
        let run = Run::new();
        let text = "ulimit -n; ulimit -Hn; ulimit -c\n\
                    i=3; while [ $i -lt 300 ]; do eval \"exec $i</dev/null\" || break; i=$((i+1)); done\n\
                    echo stopped at $i";
        let limits = Limits { open_files: Some(256), ..Limits::default() };
        let mut spec = LaunchSpec { supervision: way, limits, ..script(&run, text) };
        // The plain shell knows one digit only.
        spec.program = "bash".to_owned();
        let record = ended(&run, &spec).await;
        assert!(matches!(record.exit, Exit::Code { .. }), "{record:?}");
        let printed = run.stdout();
        assert!(printed.starts_with("256\n256\n0\n"), "{way:?}: {printed}");
        let stopped = printed.lines().last().unwrap().strip_prefix("stopped at ").unwrap();
        assert!(stopped.parse::<u32>().unwrap() <= 256, "{way:?}: {printed}");
    }
}

#[tokio::test]
async fn a_share_of_the_processor_is_held_as_niceness_where_no_group_holds_it() {
    for way in ways() {
        let run = Run::new();
        let limits = Limits { cpu_weight: Some(50), ..Limits::default() };
        let spec = LaunchSpec { supervision: way, limits, ..script(&run, "nice") };
        let own = rustix::process::getpriority_process(None).unwrap();
        ended(&run, &spec).await;
        let held = Arrangement::read(&run.dir()).unwrap().held.cpu;
        let expected = if held { own } else { own.max(3) };
        assert_eq!(run.stdout().trim(), expected.to_string(), "{way:?}");
    }
}
