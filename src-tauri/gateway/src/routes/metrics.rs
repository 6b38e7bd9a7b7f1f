//! The engine's own figures in the text format of Prometheus.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use engine::{Figures, UsedBy};
use http::{HeaderValue, StatusCode, header};
use model::mission::MissionState;
use model::refusal::Code;
use model::status::AgentState;
use prometheus::{CounterVec, Gauge, GaugeVec, IntCounterVec, Opts, Registry, TextEncoder};

use crate::Gate;
use crate::problem::Problem;

/// The agents whose use is told one by one; the use of all others is one.
const AGENTS_MAX: usize = 500;
/// What the use of agents stands under that were removed, or are too many.
const OTHERS: &str = "(others)";

/// Shows the engine's own figures for Prometheus.
///
/// Its health, agents and missions by state, queues, how long requests take, tokens and cost, in
/// the text format of Prometheus, version 0.0.4. Counters of tokens and cost go on over a restart
/// of the engine; all others begin anew.
#[utoipa::path(
    get, path = "/metrics", tag = "house",
    responses((
        status = 200, description = "The figures as they are now.",
        body = String, content_type = "text/plain"
    )),
)]
pub(crate) async fn get_metrics(State(gate): State<Gate>) -> Result<Response, Problem> {
    let figures = gate.engine.figures().await?;
    let text = written(&figures, &gate).map_err(|error| {
        tracing::error!(%error, "the figures could not be written");
        Problem::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            Code::Internal,
            "the figures could not be written",
        )
    })?;
    let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    Ok(([(header::CONTENT_TYPE, kind)], text).into_response())
}

fn written(figures: &Figures, gate: &Gate) -> prometheus::Result<String> {
    let page = Page(Registry::new());
    page.house(figures)?;
    page.queues(figures)?;
    page.swarm(figures)?;
    page.used(&figures.used)?;
    page.0.register(Box::new(gate.latency.0.clone()))?;
    TextEncoder::new().encode_to_string(&page.0.gather())
}

/// What is told this time.
struct Page(Registry);

impl Page {
    #[expect(clippy::cast_precision_loss, reason = "no figure is that large")]
    fn gauge(&self, name: &str, help: &str, value: u64) -> prometheus::Result<()> {
        self.exact(name, help, value as f64)
    }

    fn exact(&self, name: &str, help: &str, value: f64) -> prometheus::Result<()> {
        let gauge = Gauge::new(name, help)?;
        gauge.set(value);
        self.0.register(Box::new(gauge))
    }

    fn gauges<'a>(
        &self,
        (name, help): (&str, &str),
        label: &str,
        values: impl IntoIterator<Item = (&'a str, u64)>,
    ) -> prometheus::Result<()> {
        let gauges = GaugeVec::new(Opts::new(name, help), &[label])?;
        for (of, value) in values {
            #[expect(clippy::cast_precision_loss, reason = "no figure is that large")]
            gauges.with_label_values(&[of]).set(value as f64);
        }
        self.0.register(Box::new(gauges))
    }

    fn counters<'a>(
        &self,
        (name, help): (&str, &str),
        label: &str,
        values: impl IntoIterator<Item = (&'a str, u64)>,
    ) -> prometheus::Result<()> {
        let counters = IntCounterVec::new(Opts::new(name, help), &[label])?;
        for (of, value) in values {
            counters.with_label_values(&[of]).inc_by(value);
        }
        self.0.register(Box::new(counters))
    }

    /// The engine itself and the machine it runs on.
    fn house(&self, figures: &Figures) -> prometheus::Result<()> {
        let overview = &figures.overview;
        let version = overview.version.as_str();
        let info = ("hivekeeper_build_info", "Always 1; the version stands in the label.");
        self.gauges(info, "version", [(version, 1)])?;
        let started = overview.started_at.as_millisecond();
        #[expect(clippy::cast_precision_loss, reason = "milliseconds of our time fit")]
        let started = started as f64 / 1e3;
        self.exact("hivekeeper_start_time_seconds", "When the engine was started.", started)?;
        if let Some(engine) = &overview.engine {
            let help = "Resident memory of the engine.";
            self.gauge("hivekeeper_resident_memory_bytes", help, engine.memory_bytes)?;
            if let Some(percent) = engine.cpu_percent {
                let help = "Processor use of the engine, 1 is one core.";
                self.exact("hivekeeper_cpu_usage_ratio", help, percent / 100.0)?;
            }
        }
        if let Some(free) = overview.machine.as_ref().and_then(|machine| machine.disk_free_bytes) {
            let help = "Space left on the disk of the data directory.";
            self.gauge("hivekeeper_disk_free_bytes", help, free)?;
        }
        let ledger = &figures.ledger;
        let help = "Whether the ledger takes changes.";
        self.gauge("hivekeeper_ledger_up", help, ledger.accepting.into())?;
        let help = "How long the last group of changes took to be written.";
        let took = std::time::Duration::from_micros(ledger.last_commit_us).as_secs_f64();
        self.exact("hivekeeper_ledger_last_commit_duration_seconds", help, took)?;
        let help = "Size of the ledger's write-ahead log.";
        self.gauge("hivekeeper_ledger_wal_bytes", help, ledger.wal_bytes)?;
        let events = ("hivekeeper_ledger_events_total", "Events recorded since there is a ledger.");
        self.counters(events, "ledger", [("main", ledger.head_seq)])?;
        let samples = figures.telemetry;
        let about = ("hivekeeper_telemetry_samples_total", "Samples by what became of them.");
        let outcomes = [
            ("recorded", samples.samples_recorded),
            ("lost", samples.samples_lost),
            ("over_series_cap", samples.samples_over_series_cap),
        ];
        self.counters(about, "outcome", outcomes)?;
        let about = (
            "hivekeeper_trace_exports_total",
            "Parts of missions that were to be sent as traces, by what became of them.",
        );
        let traces = figures.traces;
        let outcomes =
            [("sent", traces.sent), ("failed", traces.failed), ("dropped", traces.dropped)];
        self.counters(about, "outcome", outcomes)
    }

    /// What waits.
    fn queues(&self, figures: &Figures) -> prometheus::Result<()> {
        let (ledger, inbox) = (&figures.ledger, &figures.inbox);
        let number = |value: usize| u64::try_from(value).unwrap_or(u64::MAX);
        let help = "Changes that wait to be written to the ledger.";
        self.gauge("hivekeeper_ledger_queue_length", help, number(ledger.queued))?;
        let help = "Changes that may wait to be written to the ledger.";
        self.gauge("hivekeeper_ledger_queue_capacity", help, number(ledger.queue_max))?;
        let help = "Clients that listen to the live stream.";
        self.gauge("hivekeeper_live_listeners", help, number(figures.listeners))?;
        let about = ("hivekeeper_inbox_items", "What waits for the captain, by kind.");
        let kinds = [
            ("permission", inbox.permissions),
            ("question", inbox.questions),
            ("review", inbox.reviews),
            ("quarantined", inbox.quarantined),
        ];
        self.gauges(about, "kind", kinds)
    }

    /// Agents and missions. A state that nobody is in is told as zero, so that it can be watched.
    fn swarm(&self, figures: &Figures) -> prometheus::Result<()> {
        let overview = &figures.overview;
        let agents = AgentState::ALL
            .map(|state| (word_of(state), overview.agents.get(&state).copied().unwrap_or(0)));
        let agents = agents.iter().map(|(state, count)| (state.as_str(), *count));
        self.gauges(("hivekeeper_agents", "Agents by state."), "state", agents)?;
        let missions = MissionState::ALL
            .map(|state| (state.as_str(), overview.missions.get(&state).copied().unwrap_or(0)));
        self.gauges(("hivekeeper_missions", "Missions by state."), "state", missions)?;
        let help = "Agents with a live program.";
        self.gauge("hivekeeper_live_agents", help, overview.swarm.live)?;
        let help = "Whether everything is stopped.";
        let halted = overview.swarm.halted_since.is_some();
        self.gauge("hivekeeper_halted", help, halted.into())
    }

    fn used(&self, used: &[UsedBy]) -> prometheus::Result<()> {
        let tokens = Opts::new("hivekeeper_tokens_total", "Tokens by agent and kind.");
        let tokens = IntCounterVec::new(tokens, &["agent", "kind"])?;
        let cost = "Cost by agent, as the agent itself says and by our own prices.";
        let cost = Opts::new("hivekeeper_cost_usd_total", cost);
        let cost = CounterVec::new(cost, &["agent", "by"])?;
        let calls = Opts::new("hivekeeper_tool_calls_total", "Tool calls by agent and outcome.");
        let calls = IntCounterVec::new(calls, &["agent", "outcome"])?;
        let named = used.iter().filter(|used| used.agent.is_some()).count();
        let mut left = AGENTS_MAX.min(named);
        for UsedBy { agent, usage } in used {
            let agent = match agent {
                Some(agent) if left > 0 => {
                    left -= 1;
                    agent.as_str()
                }
                _ => OTHERS,
            };
            let kinds = [
                ("uncached_input", usage.tokens.uncached_input),
                ("cache_read", usage.tokens.cache_read),
                ("cache_write", usage.tokens.cache_write),
                ("output", usage.tokens.output),
                ("reasoning", usage.tokens.reasoning),
            ];
            for (kind, known) in kinds {
                // What nobody said is no zero.
                if let Some(known) = known {
                    tokens.with_label_values(&[agent, kind]).inc_by(known);
                }
            }
            let by = [("agent", usage.reported_cost_micros), ("prices", usage.own_cost_micros)];
            for (by, micros) in by {
                #[expect(clippy::cast_precision_loss, reason = "no cost is that large")]
                if let Some(micros) = micros {
                    cost.with_label_values(&[agent, by]).inc_by(micros as f64 / 1e6);
                }
            }
            let well = usage.tool_calls.saturating_sub(usage.tool_failures);
            calls.with_label_values(&[agent, "ok"]).inc_by(well);
            calls.with_label_values(&[agent, "failed"]).inc_by(usage.tool_failures);
        }
        self.0.register(Box::new(tokens))?;
        self.0.register(Box::new(cost))?;
        self.0.register(Box::new(calls))
    }
}

/// The word for a state, as everywhere in the API.
fn word_of(state: AgentState) -> String {
    let word = serde_json::to_value(state).unwrap_or_default();
    word.as_str().unwrap_or_default().to_owned()
}
