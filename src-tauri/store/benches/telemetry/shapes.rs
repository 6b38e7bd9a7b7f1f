//! What a swarm's signals look like: a generator with a seed, the same samples each time.

use std::collections::BTreeMap;

use model::signal::SeriesKey;

/// Signals of each agent.
pub(crate) const PER_AGENT: usize = 12;

/// The kinds of numbers there are.
#[derive(Debug, Clone, Copy)]
enum Kind {
    /// Processor use: low while idle, wandering while at work.
    Load,
    /// Bytes that drift in steps of pages.
    Memory,
    /// Small whole numbers that seldom change.
    Level,
    /// A total that grows by about so much a second while at work, and not at all otherwise.
    Total { per_second: f64, starts: bool },
    /// A percentage that rises and starts again.
    Progress,
}

/// A signal's name, its label besides the agent, and how it moves.
type Described = (&'static str, Option<(&'static str, &'static str)>, Kind);

/// The signals of an agent, with the label they have besides it.
const SIGNALS: [Described; PER_AGENT] = [
    ("agent_cpu_percent", None, Kind::Load),
    ("agent_memory_bytes", None, Kind::Memory),
    ("agent_processes", None, Kind::Level),
    ("agent_threads", None, Kind::Level),
    ("agent_output_bytes_total", None, Kind::Total { per_second: 900.0, starts: false }),
    (
        "agent_tokens_total",
        Some(("kind", "output")),
        Kind::Total { per_second: 55.0, starts: true },
    ),
    (
        "agent_tokens_total",
        Some(("kind", "cache_read")),
        Kind::Total { per_second: 2500.0, starts: true },
    ),
    (
        "agent_cost_usd_total",
        Some(("by", "agent")),
        Kind::Total { per_second: 0.002, starts: true },
    ),
    ("agent_tool_calls_total", None, Kind::Total { per_second: 0.1, starts: false }),
    ("agent_turns_total", None, Kind::Total { per_second: 0.004, starts: false }),
    ("agent_context_percent", None, Kind::Progress),
    ("agent_progress_percent", None, Kind::Level),
];

/// A source of chance (SplitMix64).
#[derive(Debug, Clone)]
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From 0 to 1.
    fn part(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// One series and how it goes on, second by second.
#[derive(Debug, Clone)]
pub(crate) struct Shape {
    pub(crate) key: SeriesKey,
    kind: Kind,
    dice: Dice,
    /// Shared by the series of an agent: whether it is at work follows from it.
    agent: u64,
    second: u64,
    level: f64,
}

impl Shape {
    fn new(key: SeriesKey, kind: Kind, agent: u64, seed: u64) -> Self {
        let mut dice = Dice(seed);
        let level = match kind {
            Kind::Load => 5.0,
            Kind::Memory => (200.0 + 300.0 * dice.part()) * 1_048_576.0,
            Kind::Level => (dice.next() % 6) as f64,
            Kind::Total { .. } => 0.0,
            Kind::Progress => 100.0 * dice.part(),
        };
        Self { key, kind, dice, agent, second: 0, level }
    }

    /// Agents work in spells of some minutes, half of the time.
    fn at_work(&self) -> bool {
        let spell = 240 + self.agent * 37 % 420;
        Dice((self.agent << 32) | ((self.second + self.agent * 61) / spell)).next() & 1 == 0
    }

    /// The sample of the next second.
    pub(crate) fn next(&mut self) -> f64 {
        let work = self.at_work();
        self.second += 1;
        let (chance, part) = (self.dice.part(), self.dice.part());
        match self.kind {
            Kind::Load => {
                let aim = if work { 55.0 } else { 0.4 };
                self.level +=
                    0.08 * (aim - self.level) + if work { 9.0 * (part - 0.5) } else { 0.0 };
                // As a reading of jiffies gives it: hundredths of a second in a second.
                self.level = self.level.clamp(0.0, 400.0);
                return (self.level + if chance < 0.02 { 30.0 } else { 0.0 }).round();
            }
            Kind::Memory if work && chance < 0.35 => {
                self.level = (self.level + (part - 0.48) * 900_000.0).max(1e7);
            }
            Kind::Memory => {}
            Kind::Level if chance < 0.004 => self.level = (self.level + part * 5.0).round() % 9.0,
            Kind::Level => {}
            Kind::Total { per_second, starts } => {
                if starts && chance < 0.0002 {
                    self.level = 0.0;
                } else if work {
                    // In bursts: most seconds none, some a lot.
                    let burst = if part < 0.25 { 8.0 * chance } else { 0.0 };
                    self.level += per_second * burst;
                }
                return if per_second < 0.01 { self.level } else { self.level.floor() };
            }
            Kind::Progress if work => self.level = (self.level + part * 0.2) % 100.0,
            Kind::Progress => {}
        }
        (self.level * 10.0).round() / 10.0
    }
}

/// The series of so many agents.
pub(crate) fn swarm(agents: usize, seed: u64) -> Vec<Shape> {
    let of = |agent: usize| {
        SIGNALS.iter().enumerate().map(move |(nth, (name, label, kind))| {
            let mut labels = BTreeMap::from([("agent".to_owned(), format!("bee-{agent:04}"))]);
            labels.extend(label.map(|(label, value)| (label.to_owned(), value.to_owned())));
            let key = SeriesKey { name: (*name).to_owned(), labels };
            Shape::new(key, *kind, agent as u64, seed ^ (agent * PER_AGENT + nth + 1) as u64)
        })
    };
    (0..agents).flat_map(of).collect()
}

/// The processor use of so many cores.
pub(crate) fn cores(count: usize, seed: u64) -> Vec<Shape> {
    let of = |core: usize| {
        let key = SeriesKey::with("machine_core_cpu_percent", "core", core.to_string());
        Shape::new(key, Kind::Load, core as u64, seed ^ 0xC0DE_0000 ^ core as u64)
    };
    (0..count).map(of).collect()
}

/// The processor use of the machine.
pub(crate) fn machine(seed: u64) -> Shape {
    Shape::new(SeriesKey::plain("machine_cpu_percent"), Kind::Load, 7, seed ^ 0xFACE)
}
