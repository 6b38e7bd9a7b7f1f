//! What one measurement found, and its form as samples of signals.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use jiff::Timestamp;
use model::id::{AgentId, AttemptId};
use model::signal::Tick;
use model::usage::Usage;

use crate::machine::{MachineUsage, Slow};
use crate::samples::Samples;
use crate::totals::AgentTotals;
use crate::used::WorkTotals;

/// Everything measured at one moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Snapshot {
    /// When.
    pub at: Timestamp,
    /// Which measurement this is, from 1.
    pub tick: u64,
    /// Measurements that were due since the start and gave nothing.
    pub missed_ticks: u64,
    /// How long it took.
    pub took: Duration,
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
    /// What its agent has used in all.
    pub totals: WorkTotals,
    /// How far its mission is, from 0 to 100; nothing where nobody said so.
    pub percent: Option<u8>,
    /// How many of its agent's requests wait for an answer.
    pub waiting: u32,
}

/// What the engine's own process uses.
#[derive(Debug, Clone, PartialEq)]
pub struct EngineUsage {
    /// Processor use, 100 = one core; nothing before the second measurement.
    pub cpu_percent: Option<f64>,
    /// Resident memory, in bytes.
    pub memory_bytes: u64,
    /// Its threads; nothing where that is not told.
    pub threads: Option<u32>,
    /// Files and sockets it holds open; nothing where that is not told, and at most measurements.
    pub open_files: Option<u64>,
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
    /// Their threads; nothing where that is not told.
    pub threads: Option<u32>,
    /// Files they hold open; nothing where that is not told, and at most measurements.
    pub open_files: Option<u64>,
    /// What its agent has used in all its attempts.
    pub totals: AgentTotals,
    /// Whether the root of the tree is alive and the one that was started. When not, the figures
    /// above say nothing and no samples are kept.
    pub alive: bool,
    /// Bytes the attempt has printed.
    pub output_bytes: u64,
    /// When it last printed something; nothing when it has printed nothing.
    pub last_output_at: Option<Timestamp>,
}

/// What agents on somebody's screen use, between two measurements of everything.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CloseUp {
    /// When; nothing before the first one.
    pub at: Option<Timestamp>,
    /// The agents whose processes are there.
    pub agents: HashMap<AgentId, CloseUsage>,
}

/// What the process tree of one agent uses.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CloseUsage {
    /// Processor use since the look before, 100 = one core.
    pub cpu_percent: Option<f64>,
    /// Resident memory, in bytes.
    pub memory_bytes: u64,
    /// Processes.
    pub processes: u32,
}

impl Snapshot {
    /// Adds the samples of this measurement; what was not measured has none.
    #[expect(
        clippy::cast_precision_loss,
        reason = "byte counts below 2^53 are exact, and telemetry rounds to the signal's resolution"
    )]
    pub fn put(&self, samples: &mut Samples) {
        self.machine.put(samples);
        if let Some(engine) = &self.engine {
            some(samples, "engine_cpu_percent", engine.cpu_percent);
            samples.add("engine_memory_bytes", engine.memory_bytes as f64);
            some(samples, "engine_threads", engine.threads.map(f64::from));
            some(samples, "engine_open_files", bytes(engine.open_files));
        }
        samples.add("engine_missed_ticks_total", self.missed_ticks as f64);
        samples.add("engine_measure_seconds", self.took.as_secs_f64());
        for (agent, usage) in self.agents.iter().filter(|(_, usage)| usage.alive) {
            usage.put(*agent, samples);
        }
        for (agent, work) in &self.work {
            work.put(*agent, samples);
        }
    }

    /// The samples of this measurement alone, as the store names them.
    #[must_use]
    pub fn to_tick(&self) -> Tick {
        let mut samples = Samples::default();
        self.put(&mut samples);
        Tick { at: self.at, samples: samples.named() }
    }
}

fn some(samples: &mut Samples, name: &'static str, value: Option<f64>) {
    if let Some(value) = value {
        samples.add(name, value);
    }
}

#[expect(clippy::cast_precision_loss, reason = "telemetry rounds to the signal's resolution")]
fn bytes(value: Option<u64>) -> Option<f64> {
    value.map(|value| value as f64)
}

impl MachineUsage {
    #[expect(clippy::cast_precision_loss, reason = "telemetry rounds to the signal's resolution")]
    fn put(&self, samples: &mut Samples) {
        some(samples, "machine_cpu_percent", self.cpu_percent);
        for (core, percent) in &self.cores {
            samples.add_of("machine_core_cpu_percent", ("core", *core), *percent);
        }
        for (minutes, load) in ["1", "5", "15"].into_iter().zip(self.load.into_iter().flatten()) {
            samples.add_of("machine_load", ("minutes", minutes), load);
        }
        for it in &self.pressure {
            let (one, other) = (("resource", it.resource), ("stalled", it.stalled));
            samples.add_of_both("machine_pressure_percent", one, other, it.percent);
        }
        if self.memory_total_bytes > 0 {
            samples.add("machine_memory_used_bytes", self.memory_used_bytes as f64);
            samples.add("machine_memory_total_bytes", self.memory_total_bytes as f64);
        }
        some(samples, "machine_memory_available_bytes", bytes(self.memory_available_bytes));
        if let Some(swap) = &self.swap {
            samples.add("machine_swap_used_bytes", swap.used_bytes as f64);
            samples.add("machine_swap_total_bytes", swap.total_bytes as f64);
            some(samples, "machine_swap_in_bytes_total", bytes(swap.in_bytes));
            some(samples, "machine_swap_out_bytes_total", bytes(swap.out_bytes));
        }
        some(samples, "machine_disk_free_bytes", bytes(self.disk_free_bytes));
        some(samples, "machine_disk_total_bytes", bytes(self.disk_total_bytes));
        some(samples, "machine_disk_read_bytes_total", bytes(self.disk_read_bytes));
        some(samples, "machine_disk_written_bytes_total", bytes(self.disk_written_bytes));
        for (disk, busy) in &self.disk_busy_s {
            samples.add_of("machine_disk_busy_seconds_total", ("disk", disk.clone()), *busy);
        }
        some(samples, "machine_network_received_bytes_total", bytes(self.network_received_bytes));
        some(samples, "machine_network_sent_bytes_total", bytes(self.network_sent_bytes));
        if let Some(slow) = &self.slow {
            slow.put(samples);
        }
    }
}

impl Slow {
    fn put(&self, samples: &mut Samples) {
        for (sensor, degrees) in &self.temperatures {
            samples.add_of("machine_temperature_celsius", ("sensor", sensor.clone()), *degrees);
        }
        for gpu in &self.gpus {
            let mut put = |name, value: Option<f64>| {
                if let Some(value) = value {
                    samples.add_of(name, ("gpu", gpu.name.clone()), value);
                }
            };
            put("machine_gpu_percent", gpu.percent);
            put("machine_gpu_memory_used_bytes", bytes(gpu.memory_used_bytes));
            put("machine_gpu_memory_total_bytes", bytes(gpu.memory_total_bytes));
        }
        if let Some(power) = &self.power {
            samples.add("machine_power", f64::from(u8::from(power.on_battery)));
            some(samples, "machine_battery_percent", power.percent);
        }
    }
}

impl AgentUsage {
    #[expect(clippy::cast_precision_loss, reason = "telemetry rounds to the signal's resolution")]
    fn put(&self, agent: AgentId, samples: &mut Samples) {
        let mut put = |name, value: Option<f64>| {
            if let Some(value) = value {
                samples.add_of(name, ("agent", agent), value);
            }
        };
        put("agent_cpu_percent", self.cpu_percent);
        put("agent_cpu_seconds_total", Some(self.totals.cpu_ms as f64 / 1_000.0));
        put("agent_memory_bytes", Some(self.memory_bytes as f64));
        put("agent_processes", Some(f64::from(self.processes)));
        put("agent_threads", self.threads.map(f64::from));
        put("agent_open_files", bytes(self.open_files));
        put("agent_disk_read_bytes_total", bytes(self.totals.read_bytes));
        put("agent_disk_written_bytes_total", bytes(self.totals.written_bytes));
        put("agent_output_bytes_total", Some(self.totals.output_bytes as f64));
    }
}

impl AgentWork {
    /// Adds its samples; what nobody said has none.
    #[expect(clippy::cast_precision_loss, reason = "no agent uses 2^53 tokens")]
    fn put(&self, agent: AgentId, samples: &mut Samples) {
        samples.add_of("agent_requests_waiting", ("agent", agent), f64::from(self.waiting));
        if let Some(percent) = self.percent {
            samples.add_of("agent_progress_percent", ("agent", agent), f64::from(percent));
        }
        let Some(usage) = &self.usage else {
            return;
        };
        let totals = &self.totals;
        for (kind, count) in [
            ("uncached_input", totals.tokens.uncached_input),
            ("cache_read", totals.tokens.cache_read),
            ("cache_write", totals.tokens.cache_write),
            ("output", totals.tokens.output),
            ("reasoning", totals.tokens.reasoning),
        ] {
            if let Some(count) = count {
                let (agent, kind) = (("agent", agent), ("kind", kind));
                samples.add_of_both("agent_tokens_total", agent, kind, count as f64);
            }
        }
        let costs = [("agent", totals.reported_cost_micros), ("prices", totals.own_cost_micros)];
        for (by, micros) in costs {
            if let Some(micros) = micros {
                let (agent, by) = (("agent", agent), ("by", by));
                samples.add_of_both("agent_cost_usd_total", agent, by, micros as f64 / 1e6);
            }
        }
        let mut put = |name, value: Option<f64>| {
            if let Some(value) = value {
                samples.add_of(name, ("agent", agent), value);
            }
        };
        put("agent_tool_calls_total", Some(totals.tool_calls as f64));
        put("agent_tool_failures_total", Some(totals.tool_failures as f64));
        put("agent_turns_total", Some(totals.turns as f64));
        put("agent_model_requests_total", bytes(totals.requests));
        put("agent_model_seconds_total", totals.model_ms.map(|ms| ms as f64 / 1_000.0));
        let context = usage.context.and_then(|context| context.percent());
        put("agent_context_percent", context.map(f64::from));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use model::signal::{CATALOGUE, SignalKind, of_series};
    use model::usage::{Context, Tokens, UsageSource};

    use super::*;
    use crate::machine::{Gpu, Power, Pressure, Swap};

    const AGENT: &str = "0198c0de-0000-7000-8000-00000000000b";

    fn agent(alive: bool, cpu_percent: Option<f64>) -> AgentUsage {
        AgentUsage {
            attempt_id: "0198c0de-0000-7000-8000-00000000000a".parse().unwrap(),
            cpu_idle_s: Some(0),
            held: false,
            cpu_percent,
            memory_bytes: 4096,
            processes: 2,
            threads: Some(3),
            open_files: Some(9),
            totals: AgentTotals {
                cpu_ms: 1_500,
                read_bytes: Some(1),
                written_bytes: Some(2),
                output_bytes: 12,
            },
            alive,
            output_bytes: 12,
            last_output_at: None,
        }
    }

    /// A machine that has and tells everything.
    fn machine() -> MachineUsage {
        let gpu = Gpu {
            name: "card0".into(),
            percent: Some(5.0),
            memory_used_bytes: Some(1),
            memory_total_bytes: Some(2),
        };
        MachineUsage {
            cpu_percent: Some(1.0),
            cores: vec![(0, 1.0), (1, 1.0)],
            load: Some([0.1, 0.2, 0.3]),
            pressure: vec![Pressure { resource: "cpu", stalled: "some", percent: 0.5 }],
            memory_used_bytes: 1,
            memory_available_bytes: Some(1),
            memory_total_bytes: 2,
            swap: Some(Swap {
                total_bytes: 2,
                used_bytes: 1,
                in_bytes: Some(1),
                out_bytes: Some(1),
            }),
            disk_free_bytes: Some(1),
            disk_total_bytes: Some(2),
            disk_read_bytes: Some(0),
            disk_written_bytes: Some(0),
            disk_busy_s: vec![("sda".into(), 1.0)],
            network_received_bytes: Some(0),
            network_sent_bytes: Some(0),
            slow: Some(Slow {
                temperatures: vec![("chip temp1".into(), 40.0)],
                gpus: vec![gpu],
                power: Some(Power { on_battery: true, percent: Some(50.0) }),
            }),
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
            turns: 1,
            context: Some(Context { used: 1, size: 4 }),
            ..Usage::none(UsageSource::Otlp)
        };
        let totals = WorkTotals {
            tokens: Tokens { output: Some(900), ..tokens },
            own_cost_micros: Some(12_840),
            requests: Some(4),
            model_ms: Some(2_500),
            turns: 6,
            ..WorkTotals::default()
        };
        AgentWork { usage: Some(usage), totals, percent: Some(40), waiting: 1 }
    }

    fn snapshot(machine: MachineUsage, usage: AgentUsage) -> Snapshot {
        Snapshot {
            at: Timestamp::UNIX_EPOCH,
            tick: 1,
            missed_ticks: 3,
            took: Duration::from_millis(5),
            machine,
            engine: Some(EngineUsage {
                cpu_percent: Some(1.0),
                memory_bytes: 4096,
                threads: Some(4),
                open_files: Some(20),
            }),
            agents: HashMap::from([(AGENT.parse().unwrap(), usage)]),
            work: BTreeMap::new(),
        }
    }

    fn names(snapshot: &Snapshot) -> Vec<String> {
        let tick = snapshot.to_tick();
        tick.samples.into_iter().map(|(key, _)| key.name).collect()
    }

    #[test]
    fn every_sample_is_a_signal_of_the_catalogue_with_its_labels() {
        let work = BTreeMap::from([(AGENT.parse().unwrap(), work())]);
        let all = Snapshot { work, ..snapshot(machine(), agent(true, Some(1.0))) };
        let mut samples = Samples::default();
        all.put(&mut samples);
        crate::flow::Flow::new(Vec::new()).put(&mut samples);
        let mut seen = BTreeSet::new();
        for (key, _) in samples.named() {
            let of = of_series(&key.name).unwrap_or_else(|| panic!("{} is unknown", key.name));
            let labels: BTreeSet<_> =
                key.labels.keys().map(String::as_str).filter(|label| *label != "le").collect();
            let declared: BTreeSet<_> = of.signal.labels.iter().copied().collect();
            assert_eq!(labels, declared, "{}", key.name);
            seen.insert(of.signal.name);
        }
        // What the monitor itself measures is all of it that is neither the engine's own nor of its checks.
        let told_by_others =
            |name: &str| ["engine_", "health_", "mission"].iter().any(|of| name.starts_with(of));
        let missing: Vec<_> = CATALOGUE
            .iter()
            .filter(|signal| signal.kind != SignalKind::Histogram && !told_by_others(signal.name))
            .filter(|signal| !seen.contains(signal.name))
            .map(|signal| signal.name)
            .collect();
        assert!(missing.is_empty(), "{missing:?}");
    }

    #[test]
    fn what_was_not_measured_has_no_sample() {
        let unknown = AgentUsage { threads: None, open_files: None, ..agent(true, None) };
        let names = names(&snapshot(MachineUsage::default(), unknown));
        let told: Vec<_> = names.iter().filter(|name| name.starts_with("machine_")).collect();
        assert!(told.is_empty(), "{told:?}");
        for missing in ["agent_cpu_percent", "agent_threads", "agent_open_files"] {
            assert!(!names.contains(&missing.to_owned()), "{missing}");
        }
        assert!(names.contains(&"agent_memory_bytes".to_owned()));
    }

    #[test]
    fn what_an_agent_said_of_its_work_is_sampled_by_kind_and_what_it_did_not_say_is_not_zero() {
        let said = |work: AgentWork| {
            let mut samples = Samples::default();
            work.put(AGENT.parse().unwrap(), &mut samples);
            let text = |(key, value): (model::signal::SeriesKey, f64)| {
                let label = key.labels.iter().find(|(name, _)| *name != "agent");
                let label = label.map_or(String::new(), |(_, value)| format!(" {value}"));
                format!("{}{label} = {value}", key.name)
            };
            samples.named().into_iter().map(text).collect::<Vec<_>>()
        };
        let expected = [
            "agent_requests_waiting = 1",
            "agent_progress_percent = 40",
            "agent_tokens_total uncached_input = 3200",
            "agent_tokens_total cache_read = 800",
            "agent_tokens_total output = 900",
            "agent_cost_usd_total prices = 0.01284",
            "agent_tool_calls_total = 0",
            "agent_tool_failures_total = 0",
            "agent_turns_total = 6",
            "agent_model_requests_total = 4",
            "agent_model_seconds_total = 2.5",
            "agent_context_percent = 25",
        ];
        assert_eq!(said(work()), expected);
        assert_eq!(said(AgentWork::default()), ["agent_requests_waiting = 0"]);
    }

    #[test]
    fn an_agent_that_is_not_alive_has_no_samples_at_all() {
        let names = names(&snapshot(machine(), agent(false, Some(50.0))));
        assert!(!names.iter().any(|name| name.starts_with("agent_")));
    }
}
