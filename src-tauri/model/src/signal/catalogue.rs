//! Every signal the engine measures, and which of them a stored series belongs to.
//!
//! What does not exist on a machine, or nobody said, has no series: never a zero.

use super::{Signal, SignalKind};

/// Bounds for what takes from a tenth of a millisecond to ten seconds, in seconds.
pub const SHORT_BOUNDS: &[f64] = &[
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    10.0,
];

/// Bounds for what takes from a second to a week, in seconds.
pub const LONG_BOUNDS: &[f64] = &[
    1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1_800.0, 3_600.0, 7_200.0, 21_600.0, 86_400.0,
    604_800.0,
];

const fn new(
    (name, unit): (&'static str, &'static str),
    kind: SignalKind,
    resolution: f64,
    labels: &'static [&'static str],
    description: &'static str,
) -> Signal {
    Signal { name, unit, kind, resolution, labels, states: &[], bounds: &[], description }
}

const fn gauge(
    named: (&'static str, &'static str),
    resolution: f64,
    labels: &'static [&'static str],
    description: &'static str,
) -> Signal {
    new(named, SignalKind::Gauge, resolution, labels, description)
}

const fn counter(
    named: (&'static str, &'static str),
    resolution: f64,
    labels: &'static [&'static str],
    description: &'static str,
) -> Signal {
    new(named, SignalKind::Counter, resolution, labels, description)
}

const fn state(
    name: &'static str,
    states: &'static [&'static str],
    labels: &'static [&'static str],
    description: &'static str,
) -> Signal {
    Signal { states, ..new((name, ""), SignalKind::State, 1.0, labels, description) }
}

/// The sums of a histogram are kept to a tenth of a millisecond.
const fn seconds(name: &'static str, bounds: &'static [f64], description: &'static str) -> Signal {
    Signal { bounds, ..new((name, "s"), SignalKind::Histogram, 0.0001, &[], description) }
}

/// Every signal the engine measures.
pub const CATALOGUE: &[Signal] = &[
    // The machine.
    gauge(
        ("machine_cpu_percent", "%"),
        0.1,
        &[],
        "Processor use of the machine, 100 % = all cores.",
    ),
    gauge(("machine_core_cpu_percent", "%"), 0.1, &["core"], "Processor use of one core."),
    gauge(
        ("machine_load", ""),
        0.01,
        &["minutes"],
        "Processes that run or wait for a disk, averaged over 1, 5 or 15 minutes.",
    ),
    gauge(
        ("machine_pressure_percent", "%"),
        0.01,
        &["resource", "stalled"],
        "Share of the last ten seconds in which processes waited for cpu, memory or io: some of them, or all (stalled=full).",
    ),
    gauge(("machine_memory_used_bytes", "B"), 1024.0, &[], "Memory in use."),
    gauge(
        ("machine_memory_available_bytes", "B"),
        1024.0,
        &[],
        "Memory that programs can still have without anything being swapped out.",
    ),
    gauge(("machine_memory_total_bytes", "B"), 1024.0, &[], "Memory installed."),
    gauge(("machine_swap_used_bytes", "B"), 1024.0, &[], "Swap space in use."),
    gauge(("machine_swap_total_bytes", "B"), 1024.0, &[], "Swap space there is."),
    counter(("machine_swap_in_bytes_total", "B"), 4096.0, &[], "Memory read back from swap space."),
    counter(("machine_swap_out_bytes_total", "B"), 4096.0, &[], "Memory written to swap space."),
    gauge(
        ("machine_disk_free_bytes", "B"),
        1024.0,
        &[],
        "Space left on the disk that holds the data directory.",
    ),
    gauge(
        ("machine_disk_total_bytes", "B"),
        1024.0,
        &[],
        "Size of the disk that holds the data directory.",
    ),
    counter(("machine_disk_read_bytes_total", "B"), 1.0, &[], "Bytes read from disks."),
    counter(("machine_disk_written_bytes_total", "B"), 1.0, &[], "Bytes written to disks."),
    counter(
        ("machine_disk_busy_seconds_total", "s"),
        0.001,
        &["disk"],
        "Time in which a disk had something to do.",
    ),
    counter(
        ("machine_network_received_bytes_total", "B"),
        1.0,
        &[],
        "Bytes received on all interfaces but loopback.",
    ),
    counter(
        ("machine_network_sent_bytes_total", "B"),
        1.0,
        &[],
        "Bytes sent on all interfaces but loopback.",
    ),
    gauge(
        ("machine_temperature_celsius", "°C"),
        0.1,
        &["sensor"],
        "What a temperature sensor of the machine says.",
    ),
    gauge(
        ("machine_gpu_percent", "%"),
        0.1,
        &["gpu"],
        "Use of a graphics processor, where its driver says so.",
    ),
    gauge(
        ("machine_gpu_memory_used_bytes", "B"),
        1024.0,
        &["gpu"],
        "Memory of a graphics processor in use, where its driver says so.",
    ),
    gauge(
        ("machine_gpu_memory_total_bytes", "B"),
        1024.0,
        &["gpu"],
        "Memory of a graphics processor, where its driver says so.",
    ),
    state(
        "machine_power",
        &["mains", "battery"],
        &[],
        "Where the machine's power comes from; measured where it has a battery.",
    ),
    gauge(("machine_battery_percent", "%"), 1.0, &[], "How full the machine's battery is."),
    // The process tree of an agent.
    gauge(
        ("agent_cpu_percent", "%"),
        0.1,
        &["agent"],
        "Processor use of the agent's process tree, 100 % = one core.",
    ),
    counter(
        ("agent_cpu_seconds_total", "s"),
        0.01,
        &["agent"],
        "Processor time of the agent's processes, that of all its attempts.",
    ),
    gauge(
        ("agent_memory_bytes", "B"),
        1024.0,
        &["agent"],
        "Resident memory of the agent's process tree.",
    ),
    gauge(("agent_processes", ""), 1.0, &["agent"], "Processes in the agent's tree."),
    gauge(("agent_threads", ""), 1.0, &["agent"], "Threads in the agent's tree."),
    gauge(
        ("agent_open_files", ""),
        1.0,
        &["agent"],
        "Files, sockets and pipes that the agent's tree holds open.",
    ),
    counter(
        ("agent_disk_read_bytes_total", "B"),
        1.0,
        &["agent"],
        "Bytes the agent's processes had read from disks, in all its attempts.",
    ),
    counter(
        ("agent_disk_written_bytes_total", "B"),
        1.0,
        &["agent"],
        "Bytes the agent's processes had written to disks, in all its attempts.",
    ),
    counter(
        ("agent_output_bytes_total", "B"),
        1.0,
        &["agent"],
        "Bytes the agent has printed, in all its attempts.",
    ),
    // The work of an agent.
    counter(
        ("agent_tokens_total", ""),
        1.0,
        &["agent", "kind"],
        "Tokens the agent has used, in all its attempts, by kind: uncached_input, cache_read, cache_write, output, reasoning (part of the output).",
    ),
    counter(
        ("agent_cost_usd_total", "$"),
        0.000_001,
        &["agent", "by"],
        "What the agent has cost, in all its attempts, as it says itself (by=agent) and by our prices (by=prices).",
    ),
    counter(
        ("agent_tool_calls_total", ""),
        1.0,
        &["agent"],
        "Tools the agent has called, in all its attempts.",
    ),
    counter(
        ("agent_tool_failures_total", ""),
        1.0,
        &["agent"],
        "Tool calls of the agent that failed, in all its attempts.",
    ),
    counter(("agent_turns_total", ""), 1.0, &["agent"], "Turns of the agent, in all its attempts."),
    counter(
        ("agent_model_requests_total", ""),
        1.0,
        &["agent"],
        "Requests the agent made to its model, in all its attempts, where they were counted.",
    ),
    counter(
        ("agent_model_seconds_total", "s"),
        0.001,
        &["agent"],
        "Time the agent waited for its model, in all its attempts; divided by the requests, their latency.",
    ),
    gauge(
        ("agent_context_percent", "%"),
        1.0,
        &["agent"],
        "How full the context of the agent's current attempt is.",
    ),
    gauge(
        ("agent_progress_percent", "%"),
        1.0,
        &["agent"],
        "How far the agent's current mission is, as was said last.",
    ),
    gauge(
        ("agent_requests_waiting", ""),
        1.0,
        &["agent"],
        "Permissions and questions of the agent that wait for an answer.",
    ),
    seconds(
        "permission_wait_seconds",
        LONG_BOUNDS,
        "How long permissions and questions waited for their answer.",
    ),
    // Missions.
    gauge(("missions", ""), 1.0, &["state"], "Missions by state."),
    seconds(
        "mission_queue_seconds",
        LONG_BOUNDS,
        "How long missions waited in the queue until an agent took them.",
    ),
    seconds(
        "mission_lead_seconds",
        LONG_BOUNDS,
        "How long it took from the making of a mission until it was done.",
    ),
    counter(
        ("mission_attempts_total", ""),
        1.0,
        &["end"],
        "Attempts that came to an end since the engine was started, by how they ended.",
    ),
    counter(
        ("mission_gates_total", ""),
        1.0,
        &["verdict"],
        "Gates that ran since the engine was started, by what they found.",
    ),
    // The engine itself.
    gauge(("engine_memory_bytes", "B"), 1024.0, &[], "Resident memory of the engine itself."),
    gauge(
        ("engine_cpu_percent", "%"),
        0.1,
        &[],
        "Processor use of the engine itself, 100 % = one core.",
    ),
    gauge(("engine_threads", ""), 1.0, &[], "Threads of the engine itself."),
    gauge(("engine_open_files", ""), 1.0, &[], "Files and sockets the engine itself holds open."),
    counter(
        ("engine_missed_ticks_total", ""),
        1.0,
        &[],
        "Measurements that were skipped because the one before took too long.",
    ),
    gauge(
        ("engine_measure_seconds", "s"),
        0.0001,
        &[],
        "How long the last measurement of everything took.",
    ),
    gauge(
        ("engine_task_lag_seconds", "s"),
        0.0001,
        &[],
        "The longest that something due in the engine waited for its turn since the measurement before.",
    ),
    gauge(
        ("engine_queue_length", ""),
        1.0,
        &["queue"],
        "What waits in a queue of the engine: ledger (changes to be written).",
    ),
    seconds(
        "engine_append_seconds",
        SHORT_BOUNDS,
        "How long a group of changes took to be written to the ledger.",
    ),
    seconds("engine_api_seconds", SHORT_BOUNDS, "How long requests took until their answer began."),
    counter(
        ("engine_events_total", ""),
        1.0,
        &[],
        "Events recorded in the ledger since there is one.",
    ),
    gauge(("engine_wal_bytes", "B"), 1.0, &[], "Size of the ledger's write-ahead log."),
    gauge(("engine_live_listeners", ""), 1.0, &[], "Clients that listen to the live stream."),
    counter(
        ("engine_frames_dropped_total", ""),
        1.0,
        &[],
        "Frames of the live stream that a client was too slow for.",
    ),
    counter(
        ("engine_samples_total", ""),
        1.0,
        &["outcome"],
        "Samples of signals by what became of them: recorded, lost, over_series_cap.",
    ),
    state(
        "health_check_state",
        &["ok", "degraded", "failed", "unknown"],
        &["check"],
        "How something is that is checked: a part of the engine, or one of the captain's own.",
    ),
    gauge(
        ("health_check_latency_seconds", "s"),
        0.0001,
        &["check"],
        "How long a look took; there is no sample where nobody looked, or there was nothing to wait for.",
    ),
];

/// Looks a signal up by its name.
#[must_use]
pub fn by_name(name: &str) -> Option<&'static Signal> {
    CATALOGUE.iter().find(|signal| signal.name == name)
}

/// What of its signal a stored series holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Part {
    /// The signal itself.
    Whole,
    /// Values up to the bound in the label `le`, counted.
    Bucket,
    /// The sum of a histogram's values.
    Sum,
    /// How many values a histogram has.
    Count,
}

/// A stored series' signal, and what of it the series holds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SeriesOf {
    /// The signal.
    pub signal: &'static Signal,
    /// What of it.
    pub part: Part,
}

impl SeriesOf {
    /// What the numbers of the series mean: the parts of a histogram are counters.
    #[must_use]
    pub const fn kind(&self) -> SignalKind {
        match self.part {
            Part::Whole => self.signal.kind,
            Part::Bucket | Part::Sum | Part::Count => SignalKind::Counter,
        }
    }

    /// The smallest difference that is kept.
    #[must_use]
    pub const fn resolution(&self) -> f64 {
        match self.part {
            Part::Whole | Part::Sum => self.signal.resolution,
            Part::Bucket | Part::Count => 1.0,
        }
    }

    /// The unit of its numbers; numbers of values have none.
    #[must_use]
    pub const fn unit(&self) -> &'static str {
        match self.part {
            Part::Whole | Part::Sum => self.signal.unit,
            Part::Bucket | Part::Count => "",
        }
    }
}

/// Finds what the series of a name hold: a signal, or a part of a histogram. A histogram itself has
/// no series of its name.
#[must_use]
pub fn of_series(name: &str) -> Option<SeriesOf> {
    if let Some(signal) = by_name(name) {
        let whole = SeriesOf { signal, part: Part::Whole };
        return (signal.kind != SignalKind::Histogram).then_some(whole);
    }
    let parts = [("_bucket", Part::Bucket), ("_sum", Part::Sum), ("_count", Part::Count)];
    parts.into_iter().find_map(|(end, part)| {
        let signal = by_name(name.strip_suffix(end)?)?;
        (signal.kind == SignalKind::Histogram).then_some(SeriesOf { signal, part })
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_signal_is_declared_once_and_whole() {
        let mut names = BTreeSet::new();
        for signal in CATALOGUE {
            let name = signal.name;
            assert!(names.insert(name), "{name} stands twice");
            let plain = |text: &str| {
                text.starts_with(|ch: char| ch.is_ascii_lowercase())
                    && text
                        .chars()
                        .all(|ch| ch.is_ascii_lowercase() || ch == '_' || ch.is_ascii_digit())
            };
            assert!(plain(name), "{name} is no name Prometheus takes");
            assert!(signal.labels.iter().all(|label| plain(label)), "{name}");
            assert!(!signal.labels.contains(&"le"), "{name}: histograms own this label");
            assert!(signal.resolution > 0.0 && signal.resolution.is_finite(), "{name}");
            assert!(signal.description.ends_with('.'), "{name}");
            let is = |kind| signal.kind == kind;
            assert_eq!(is(SignalKind::State), !signal.states.is_empty(), "{name}");
            assert_eq!(is(SignalKind::Histogram), !signal.bounds.is_empty(), "{name}");
            assert!(signal.bounds.is_sorted(), "{name}");
            assert_eq!(is(SignalKind::Counter), name.ends_with("_total"), "{name}");
        }
    }

    #[test]
    fn a_series_is_known_as_its_signal_or_as_a_part_of_its_histogram() {
        let check = |name: &str, expected: Option<(&str, Part, SignalKind)>| {
            let found = of_series(name).map(|found| (found.signal.name, found.part, found.kind()));
            assert_eq!(found, expected, "{name}");
        };
        let gauge = ("machine_cpu_percent", Part::Whole, SignalKind::Gauge);
        check("machine_cpu_percent", Some(gauge));
        check("machine_cpu_percent_sum", None);
        check("engine_api_seconds", None);
        let part = |part| Some(("engine_api_seconds", part, SignalKind::Counter));
        check("engine_api_seconds_bucket", part(Part::Bucket));
        check("engine_api_seconds_sum", part(Part::Sum));
        check("engine_api_seconds_count", part(Part::Count));
        check("", None);
        check("_sum", None);
    }
}
