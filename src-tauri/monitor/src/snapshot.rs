//! What one measurement found, and its form as samples of signals.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use model::id::{AgentId, AttemptId};
use model::signal::{SeriesKey, Tick};
use model::usage::{Tokens, Usage};

/// Everything measured at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    /// When.
    pub at: Timestamp,
    /// Which measurement this is, from 1.
    pub tick: u64,
    /// Measurements that were due since the start and gave nothing.
    pub missed_ticks: u64,
    /// The machine.
    pub machine: MachineUsage,
    /// The engine's own process; nothing where the system does not show it.
    pub engine: Option<EngineUsage>,
    /// The agents whose program should be running. One whose exit record is written is left out.
    pub agents: HashMap<AgentId, AgentUsage>,
    /// What agents at work, and those that have just ended, said of their work.
    pub work: BTreeMap<AgentId, AgentWork>,
}

/// What an agent's attempt has used and how far it is, as was said last.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AgentWork {
    /// What it has used, by the best source; nothing where nobody said so.
    pub usage: Option<Usage>,
    /// How far its mission is, from 0 to 100; nothing where nobody said so.
    pub percent: Option<u8>,
}

/// The machine's load. Totals count since the machine started.
#[derive(Debug, Clone, PartialEq)]
pub struct MachineUsage {
    /// Processor use, 100 = all cores; nothing before the second measurement.
    pub cpu_percent: Option<f64>,
    /// Memory in use, in bytes.
    pub memory_used_bytes: u64,
    /// Memory installed, in bytes.
    pub memory_total_bytes: u64,
    /// Space left on the disk of the data directory; nothing when that disk is not listed.
    pub disk_free_bytes: Option<u64>,
    /// Bytes read from disks; nothing where no disk is listed.
    pub disk_read_bytes: Option<u64>,
    /// Bytes written to disks; nothing where no disk is listed.
    pub disk_written_bytes: Option<u64>,
    /// Bytes received on all interfaces but loopback; nothing where there is none.
    pub network_received_bytes: Option<u64>,
    /// Bytes sent on all interfaces but loopback; nothing where there is none.
    pub network_sent_bytes: Option<u64>,
}

/// What the engine's own process uses.
#[derive(Debug, Clone, PartialEq)]
pub struct EngineUsage {
    /// Processor use, 100 = one core; nothing before the second measurement.
    pub cpu_percent: Option<f64>,
    /// Resident memory, in bytes.
    pub memory_bytes: u64,
}

/// What the process tree of an agent's attempt uses, the shim included.
#[derive(Debug, Clone, PartialEq)]
pub struct AgentUsage {
    /// The attempt.
    pub attempt_id: AttemptId,
    /// Processor use of the tree, 100 = one core; nothing before the second measurement.
    pub cpu_percent: Option<f64>,
    /// How long the tree has used next to no processor time, in seconds; nothing where it is not
    /// alive.
    pub cpu_idle_s: Option<u64>,
    /// Whether every process below the shim is held where it is by a signal.
    pub held: bool,
    /// Resident memory of the tree, in bytes.
    pub memory_bytes: u64,
    /// Processes in the tree.
    pub processes: u32,
    /// Whether the root of the tree is alive and the one that was started. When not, the figures
    /// above say nothing and no samples are kept.
    pub alive: bool,
    /// Bytes the attempt has printed.
    pub output_bytes: u64,
    /// When it last printed something; nothing when it has printed nothing.
    pub last_output_at: Option<Timestamp>,
}

impl Snapshot {
    /// The samples of this measurement; what was not measured has none.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        reason = "byte counts below 2^53 are exact, and telemetry rounds to the signal's resolution"
    )]
    pub fn to_tick(&self) -> Tick {
        let mut samples = Vec::with_capacity(12 + 4 * self.agents.len());
        let mut plain = |name: &str, value: Option<f64>| {
            samples.extend(value.map(|value| (SeriesKey::plain(name), value)));
        };
        let bytes = |value: Option<u64>| value.map(|value| value as f64);
        let machine = &self.machine;
        plain("machine_cpu_percent", machine.cpu_percent);
        plain("machine_memory_used_bytes", bytes(Some(machine.memory_used_bytes)));
        plain("machine_memory_total_bytes", bytes(Some(machine.memory_total_bytes)));
        plain("machine_disk_free_bytes", bytes(machine.disk_free_bytes));
        plain("machine_disk_read_bytes_total", bytes(machine.disk_read_bytes));
        plain("machine_disk_written_bytes_total", bytes(machine.disk_written_bytes));
        plain("machine_network_received_bytes_total", bytes(machine.network_received_bytes));
        plain("machine_network_sent_bytes_total", bytes(machine.network_sent_bytes));
        if let Some(engine) = &self.engine {
            plain("engine_cpu_percent", engine.cpu_percent);
            plain("engine_memory_bytes", bytes(Some(engine.memory_bytes)));
        }
        plain("engine_missed_ticks_total", bytes(Some(self.missed_ticks)));
        for (agent_id, usage) in self.agents.iter().filter(|(_, usage)| usage.alive) {
            let agent = agent_id.to_string();
            let mut add = |name: &str, value: f64| {
                samples.push((SeriesKey::with(name, "agent", agent.as_str()), value));
            };
            if let Some(percent) = usage.cpu_percent {
                add("agent_cpu_percent", percent);
            }
            add("agent_memory_bytes", usage.memory_bytes as f64);
            add("agent_processes", f64::from(usage.processes));
            add("agent_output_bytes_total", usage.output_bytes as f64);
        }
        for (agent_id, work) in &self.work {
            work.put(&agent_id.to_string(), &mut samples);
        }
        Tick { at: self.at, samples }
    }
}

impl AgentWork {
    /// Adds its samples; what nobody said has none.
    #[expect(clippy::cast_precision_loss, reason = "no attempt uses 2^53 tokens")]
    fn put(&self, agent: &str, samples: &mut Vec<(SeriesKey, f64)>) {
        let mut add = |name: &str, label: Option<(&str, &str)>, value: f64| {
            let mut key = SeriesKey::with(name, "agent", agent);
            key.labels.extend(label.map(|(label, value)| (label.to_owned(), value.to_owned())));
            samples.push((key, value));
        };
        if let Some(percent) = self.percent {
            add("agent_progress_percent", None, f64::from(percent));
        }
        let Some(usage) = &self.usage else {
            return;
        };
        let Tokens { uncached_input, cache_read, cache_write, output, reasoning } = usage.tokens;
        for (kind, count) in [
            ("uncached_input", uncached_input),
            ("cache_read", cache_read),
            ("cache_write", cache_write),
            ("output", output),
            ("reasoning", reasoning),
        ] {
            if let Some(count) = count {
                add("agent_tokens_total", Some(("kind", kind)), count as f64);
            }
        }
        let costs = [("agent", usage.reported_cost_micros), ("prices", usage.own_cost_micros)];
        for (by, micros) in costs {
            if let Some(micros) = micros {
                add("agent_cost_usd_total", Some(("by", by)), micros as f64 / 1e6);
            }
        }
        add("agent_tool_calls_total", None, usage.tool_calls as f64);
        add("agent_turns_total", None, usage.turns as f64);
    }
}

#[cfg(test)]
mod tests {
    use model::signal::by_name;

    use super::*;

    fn snapshot(alive: bool, cpu_percent: Option<f64>) -> Snapshot {
        let usage = AgentUsage {
            attempt_id: "0198c0de-0000-7000-8000-00000000000a".parse().unwrap(),
            cpu_idle_s: Some(0),
            held: false,
            cpu_percent,
            memory_bytes: 4096,
            processes: 2,
            alive,
            output_bytes: 12,
            last_output_at: None,
        };
        Snapshot {
            at: Timestamp::UNIX_EPOCH,
            tick: 1,
            missed_ticks: 3,
            machine: MachineUsage {
                cpu_percent,
                memory_used_bytes: 1,
                memory_total_bytes: 2,
                disk_free_bytes: None,
                disk_read_bytes: Some(0),
                disk_written_bytes: Some(0),
                network_received_bytes: None,
                network_sent_bytes: Some(5),
            },
            engine: Some(EngineUsage { cpu_percent, memory_bytes: 9 }),
            agents: HashMap::from([(
                "0198c0de-0000-7000-8000-00000000000b".parse().unwrap(),
                usage,
            )]),
            work: BTreeMap::new(),
        }
    }

    fn work() -> AgentWork {
        let tokens = Tokens {
            uncached_input: Some(3200),
            cache_read: Some(800),
            output: Some(200),
            ..Tokens::default()
        };
        let usage = Usage {
            tokens,
            own_cost_micros: Some(12_840),
            turns: 1,
            ..Usage::none(model::usage::UsageSource::Otlp)
        };
        AgentWork { usage: Some(usage), percent: Some(40) }
    }

    fn names(snapshot: &Snapshot) -> Vec<String> {
        let tick = snapshot.to_tick();
        tick.samples.into_iter().map(|(key, _)| key.name).collect()
    }

    #[test]
    fn every_sample_is_a_signal_of_the_catalogue_with_its_labels() {
        let agent = "0198c0de-0000-7000-8000-00000000000b".parse().unwrap();
        let all = Snapshot { work: BTreeMap::from([(agent, work())]), ..snapshot(true, Some(1.0)) };
        for (key, _) in all.to_tick().samples {
            let signal = by_name(&key.name).unwrap_or_else(|| panic!("{} is unknown", key.name));
            let labels: Vec<_> = key.labels.keys().map(String::as_str).collect();
            assert_eq!(labels, signal.labels, "{}", key.name);
        }
    }

    #[test]
    fn what_was_not_measured_has_no_sample() {
        let names = names(&snapshot(true, None));
        assert!(!names.iter().any(|name| name.contains("cpu")), "{names:?}");
        assert!(!names.contains(&"machine_disk_free_bytes".to_owned()));
        assert!(names.contains(&"agent_memory_bytes".to_owned()));
        assert!(names.contains(&"machine_disk_read_bytes_total".to_owned()));
    }

    #[test]
    fn what_an_agent_said_of_its_work_is_sampled_by_kind_and_what_it_did_not_say_is_not_zero() {
        let mut samples = Vec::new();
        work().put("a", &mut samples);
        let all: Vec<String> = samples
            .iter()
            .map(|(key, value)| {
                let label = key.labels.iter().find(|(name, _)| *name != "agent");
                format!("{}{} {value}", key.name, label.map_or("", |(_, value)| value))
            })
            .collect();
        assert_eq!(
            all,
            [
                "agent_progress_percent 40",
                "agent_tokens_totaluncached_input 3200",
                "agent_tokens_totalcache_read 800",
                "agent_tokens_totaloutput 200",
                "agent_cost_usd_totalprices 0.01284",
                "agent_tool_calls_total 0",
                "agent_turns_total 1",
            ]
        );
        let mut none = Vec::new();
        AgentWork::default().put("a", &mut none);
        assert_eq!(none, []);
    }

    #[test]
    fn an_agent_that_is_not_alive_has_no_samples_at_all() {
        let names = names(&snapshot(false, Some(50.0)));
        assert!(!names.iter().any(|name| name.starts_with("agent_")));
    }
}
