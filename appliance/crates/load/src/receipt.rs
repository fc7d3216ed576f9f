//! The receipt: what was loaded, on what, how, and what came back.

use std::borrow::Cow;
use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::Serialize;

use crate::tally::Tally;

/// The version of this shape.
pub const FORMAT: u32 = 1;

/// What `toolrack bench` has found out. Times are in the unit that ends their name; rates are in a second.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Receipt {
    /// Version of this shape: 1.
    pub format: u32,
    /// When it began, as HTTP writes dates.
    pub date: String,
    /// The program that measured, and what it measured when it started the server itself.
    pub toolrack: Build,
    /// The command line.
    pub command: Vec<String>,
    /// The machine of the load, and of the server when that is local.
    pub machine: Machine,
    /// The server's profile, where it is known.
    pub profile: Option<Profile>,
    /// What was asked of which server.
    pub load: Load,
    /// A few calls a second, on one connection from each address.
    pub unloaded: Option<Step>,
    /// How the peak was found: as fast as the server answers, then at given rates.
    pub search: Vec<Step>,
    /// The rate that the steps multiply; absent when the run ended before it was known.
    pub envelope: Option<Envelope>,
    /// The load at 1, 2, 5 and 10 times the envelope.
    pub steps: Vec<Step>,
    /// The goals, and whether they are held.
    pub goals: Vec<Goal>,
    /// Why it ended before its end; absent when it did not.
    pub ended_early: Option<String>,
}

/// The program.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Build {
    /// Its version.
    pub version: String,
    /// `release`, or `debug`, whose figures say little.
    pub build: String,
}

/// The machine.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Machine {
    /// The processor's name for itself.
    pub processor: String,
    /// Cores that this process may use.
    pub cores: usize,
    /// What limits the cores.
    pub cores_from: String,
    /// Memory that this process may use; 0 when the kernel does not tell.
    pub memory_bytes: u64,
    /// What limits the memory.
    pub memory_from: String,
    /// The kernel's version.
    pub kernel: String,
}

/// The profile that the server runs.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Profile {
    /// Its name.
    pub name: String,
    /// SHA-256 over every key of the resolved plan with its value, one `key = value` a line in the order of the keys,
    /// in hexadecimal.
    pub plan_sha256: String,
}

/// What was asked of which server.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Load {
    /// The endpoint.
    pub url: String,
    /// The control listener, where it is known.
    pub control_url: Option<String>,
    /// Whether the server was started for this, by this.
    pub is_own_server: bool,
    /// `modern` or `session`.
    pub era: String,
    /// The tool.
    pub tool: String,
    /// Bytes of its arguments as JSON.
    pub arguments_bytes: usize,
    /// Connections, each with one call under way at most.
    pub connections: usize,
    /// Addresses that they come from.
    pub addresses: usize,
    /// Share of the calls that are the last on their connection, in percent.
    pub new_connections_percent: f64,
    /// How long each step is.
    pub step_seconds: f64,
    /// The processors that the load may run on, as the kernel lists them; absent where it does not, and in receipts
    /// that were written earlier.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub load_processors: Option<String>,
    /// The same of the server. Where the two share any, the load takes what the server would have had.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_processors: Option<String>,
}

/// The rate that the steps multiply.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Envelope {
    /// Calls a second.
    pub calls_per_sec: f64,
    /// Whether it is the measured peak: the highest rate at which 99 % of the calls were accepted. Otherwise it was
    /// given.
    pub is_measured: bool,
    /// Whether 99 % were accepted there; absent where the rate was given. Otherwise it is the lowest rate that was
    /// tried.
    pub is_sustained: Option<bool>,
    /// Accepted calls a second there; absent where the rate was given.
    pub goodput_per_sec: Option<f64>,
}

/// One stretch of load.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Step {
    /// For example `10x`.
    pub name: String,
    /// Calls a second that were planned; absent where the server set the pace.
    pub planned_per_sec: Option<f64>,
    /// How long calls were made.
    pub seconds: f64,
    /// Calls that were due: accepted, refused, failed and not sent together.
    pub offered: u64,
    /// Calls with a result.
    pub accepted: u64,
    /// Calls that a protection refused.
    pub refused: u64,
    /// Calls that ended in any other way.
    pub failed: u64,
    /// Calls that found no free connection in time: what the load could not do, not what the server did.
    pub not_sent: u64,
    /// Calls that were due in a second.
    pub offered_per_sec: f64,
    /// Calls with a result in a second, of those that came in time.
    pub goodput_per_sec: f64,
    /// Refused calls by kind, as `data.refusal` names it.
    pub refusals: BTreeMap<Cow<'static, str>, u64>,
    /// Failed calls by what went wrong.
    pub errors: BTreeMap<Cow<'static, str>, u64>,
    /// The first failure, in the server's words where it had any.
    pub first_error: Option<String>,
    /// Connections that were opened in the course of it.
    pub connects: u64,
    /// Accepted calls, from the moment each was due, less the lateness of the load itself.
    pub accepted_latency: Option<Latency>,
    /// Refused calls, from the moment each was due, less the lateness of the load itself.
    pub refused_latency: Option<Latency>,
    /// Refused calls, from the first byte out: what the server needs to say no.
    pub refusal_answer: Option<Latency>,
    /// The health endpoints meanwhile, where a control listener is known.
    pub health: Option<Health>,
    /// The server's process, where it is known.
    pub server: Option<Server>,
    /// Processor time of the load itself.
    pub generator_processor_seconds: f64,
    /// How well the load itself kept the planned pace; absent where the server set the pace, and in older receipts,
    /// whose latencies hold it.
    pub generator_lateness: Option<Lateness>,
}

/// Latencies, until the kernel had the whole answer. A call that was due while all connections waited for the server
/// waited with them; what the load itself waits, before it sends a call or reads an answer, does not count.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
pub struct Latency {
    /// Half were faster.
    pub p50_us: f64,
    /// 90 % were faster.
    pub p90_us: f64,
    /// 99 % were faster.
    pub p99_us: f64,
    /// 99.9 % were faster.
    pub p999_us: f64,
    /// The slowest.
    pub max_us: f64,
}

/// How late the load itself sent calls that were due and had a free connection: no delay of the server. Above some
/// milliseconds, the box has no core left for the load.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
pub struct Lateness {
    /// Half were sent sooner.
    pub p50_us: f64,
    /// 99 % were sent sooner.
    pub p99_us: f64,
    /// The latest.
    pub max_us: f64,
}

/// `/livez` and `/readyz` in turns, 100 probes a second on one connection: from the first byte out, or from the moment
/// a probe was due when the one before it took too long, until the kernel had the answer.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
pub struct Health {
    /// Probes.
    pub probes: u64,
    /// Probes without an answer.
    pub lost: u64,
    /// Probes with another answer than status 200.
    pub not_ok: u64,
    /// Half were faster.
    pub p50_us: f64,
    /// 99 % were faster.
    pub p99_us: f64,
    /// The slowest.
    pub max_us: f64,
    /// How late the prober itself was woken, 99 % less: no delay of the server.
    pub wake_p99_us: f64,
    /// Whether the prober ran before others on its core.
    pub has_priority: bool,
}

/// The server's process.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
pub struct Server {
    /// Most resident memory that was seen.
    pub resident_bytes_max: u64,
    /// Most open descriptors that were seen.
    pub descriptors_max: u64,
    /// Processor time, user and kernel.
    pub processor_seconds: f64,
    /// Processor time for one accepted call, from a step without refusals.
    pub processor_us_per_accepted: Option<f64>,
    /// Processor time for one refusal: what the step used beyond its accepted calls at the price above.
    pub processor_us_per_refused: Option<f64>,
}

/// A goal and what was measured.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Goal {
    /// For example `goodput at 10x as a share of the peak, %`.
    pub what: String,
    /// The bound.
    pub bound: f64,
    /// Whether the bound is the least, not the most.
    pub is_least: bool,
    /// What was measured; absent where it was not.
    pub measured: Option<f64>,
    /// Whether it is held; absent where it was not measured.
    pub is_held: Option<bool>,
    /// What to know about the figure.
    pub remark: Option<String>,
}

impl Latency {
    /// The percentiles of `histogram`, in nanoseconds; `None` when it is empty.
    #[must_use]
    pub fn of(histogram: &Histogram<u64>) -> Option<Self> {
        let micros = |quantile| histogram.value_at_quantile(quantile) as f64 / 1e3;
        (!histogram.is_empty()).then(|| Self {
            p50_us: micros(0.5),
            p90_us: micros(0.9),
            p99_us: micros(0.99),
            p999_us: micros(0.999),
            max_us: histogram.max() as f64 / 1e3,
        })
    }
}

impl Lateness {
    /// The percentiles of `histogram`, in nanoseconds; `None` when it is empty.
    #[must_use]
    pub fn of(histogram: &Histogram<u64>) -> Option<Self> {
        Latency::of(histogram).map(|Latency { p50_us, p99_us, max_us, .. }| Self {
            p50_us,
            p99_us,
            max_us,
        })
    }
}

impl Step {
    /// What `tally` says, without what only the outside can know.
    #[must_use]
    pub fn of(name: impl Into<String>, planned_per_sec: Option<f64>, tally: &Tally) -> Self {
        Self {
            name: name.into(),
            planned_per_sec,
            seconds: tally.elapsed.as_secs_f64(),
            offered: tally.offered,
            accepted: tally.accepted,
            refused: tally.refused(),
            failed: tally.failed(),
            not_sent: tally.not_sent,
            offered_per_sec: tally.offered_per_sec(),
            goodput_per_sec: tally.goodput(),
            refusals: tally.refusals.clone(),
            errors: tally.errors.clone(),
            first_error: tally.first_error.clone(),
            connects: tally.connects,
            accepted_latency: Latency::of(&tally.accepted_ns),
            refused_latency: Latency::of(&tally.refused_ns),
            refusal_answer: Latency::of(&tally.refusal_answer_ns),
            health: None,
            server: None,
            generator_processor_seconds: 0.0,
            generator_lateness: Lateness::of(&tally.lateness_ns),
        }
    }
}

impl Goal {
    /// Compares what was measured with the bound.
    #[must_use]
    pub fn new(what: impl Into<String>, is_least: bool, bound: f64, measured: Option<f64>) -> Self {
        let is_held = measured.map(|value| if is_least { value >= bound } else { value <= bound });
        Self { what: what.into(), bound, is_least, measured, is_held, remark: None }
    }

    /// The same with what to know about the figure.
    #[must_use]
    pub fn with_remark(mut self, remark: impl Into<String>) -> Self {
        self.remark = Some(remark.into());
        self
    }
}

/// The JSON Schema of a receipt (2020-12).
#[must_use]
pub fn schema() -> String {
    let generator = SchemaSettings::draft2020_12().into_generator();
    let schema = generator.into_root_schema_for::<Receipt>().to_value();
    let mut text = serde_json::to_string_pretty(&schema).unwrap_or_default();
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tally::histogram;

    #[test]
    fn percentiles_are_those_of_all_calls() {
        let mut all = histogram().unwrap();
        assert!(Latency::of(&all).is_none() && Lateness::of(&all).is_none());
        for millis in 1..=1_000 {
            all.record(millis * 1_000_000).unwrap();
        }
        let latency = Latency::of(&all).unwrap();
        for (found_us, millis) in [
            (latency.p50_us, 500.0),
            (latency.p90_us, 900.0),
            (latency.p99_us, 990.0),
            (latency.p999_us, 999.0),
            (latency.max_us, 1_000.0),
        ] {
            assert!((found_us / 1e3 / millis - 1.0).abs() < 0.002, "{found_us} {millis}");
        }
        let lateness = Lateness::of(&all).unwrap();
        assert_eq!(lateness.p50_us, latency.p50_us);
        assert_eq!((lateness.p99_us, lateness.max_us), (latency.p99_us, latency.max_us));
    }

    #[test]
    fn bound_itself_holds_either_way() {
        assert_eq!(Goal::new("x", true, 90.0, Some(90.0)).is_held, Some(true));
        assert_eq!(Goal::new("x", true, 90.0, Some(89.9)).is_held, Some(false));
        assert_eq!(Goal::new("x", false, 5.0, Some(5.0)).is_held, Some(true));
        assert_eq!(Goal::new("x", false, 5.0, Some(5.1)).is_held, Some(false));
        assert_eq!(Goal::new("x", false, 5.0, None).is_held, None);
    }
}
