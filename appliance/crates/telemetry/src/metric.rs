//! Every metric that a scrape can show: its name, kind, labels and meaning, in this one table.
//!
//! Values of labels come from closed sets or from the profile, never from a client: the number of
//! series is bounded.

use std::fmt::Write;

/// How a metric behaves over time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows, until the process ends.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts by ranges of seconds.
    Histogram,
}

impl Kind {
    /// The word of the Prometheus text format.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

macro_rules! metrics {
    ($($(#[doc = $help:literal])+ $variant:ident = $name:literal, $kind:ident, [$($label:literal),*];)*) => {
        /// A metric.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Metric {
            $($(#[doc = $help])+ $variant,)*
        }

        impl Metric {
            /// Every metric, in the order of the reference.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The name in a scrape; the unit is its last word, before `_total`.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// How it behaves over time.
            #[must_use]
            pub const fn kind(self) -> Kind {
                match self {
                    $(Self::$variant => Kind::$kind,)*
                }
            }

            /// The names of its labels, in the order in which values are given.
            #[must_use]
            pub const fn labels(self) -> &'static [&'static str] {
                match self {
                    $(Self::$variant => &[$($label),*],)*
                }
            }

            /// What it means, in a sentence or two.
            #[must_use]
            pub const fn help(self) -> &'static str {
                match self {
                    $(Self::$variant => concat!($($help),+).trim_ascii(),)*
                }
            }
        }
    };
}

metrics! {
    /// Calls that went through the stack. `result` is `result`, `tool_error`, `input_required`,
    /// `error`, `refused` or `dropped`; the last means that the client left before the answer.
    Calls = "toolrack_calls_total", Counter, ["era", "method", "result"];
    /// Seconds from the parsed call to its answer.
    CallSeconds = "toolrack_call_seconds", Histogram, ["era", "method"];
    /// Seconds that a call waited for a permit, by its class and however the wait ended. Calls that
    /// got theirs at once are not counted.
    QueueWaitSeconds = "toolrack_queue_wait_seconds", Histogram, ["class"];
    /// Refusals by layer and kind. `mode` is `enforce`, or `shadow` for what would have been
    /// refused.
    Refusals = "toolrack_refusals_total", Counter, ["layer", "kind", "mode"];
    /// Refusals that `/admin/explain` can tell of.
    RefusalsRemembered = "toolrack_refusals_remembered", Gauge, [];
    /// The most that a named bound admits. `scope` tells several of one name apart, for example by
    /// listener.
    BoundLimit = "toolrack_bound_limit", Gauge, ["bound", "scope"];
    /// How much of a named bound is in use.
    BoundUsed = "toolrack_bound_used", Gauge, ["bound", "scope"];
    /// The most of a named bound that ever was in use.
    BoundPeak = "toolrack_bound_peak", Gauge, ["bound", "scope"];
    /// How often a named bound was full.
    BoundRefused = "toolrack_bound_refused_total", Counter, ["bound", "scope"];
    /// Connections accepted and served.
    ConnectionsAccepted = "toolrack_connections_accepted_total", Counter, ["listener"];
    /// Connections closed. `reason` is `done`, `first_byte`, `head`, `idle`, `write_stall`, `age`,
    /// `spent`, `evicted`, `abuse`, `error` or `cut`.
    ConnectionsClosed = "toolrack_connections_closed_total", Counter, ["listener", "reason"];
    /// Connections turned away because as many as allowed were open, no descriptor was free, or memory was short.
    ConnectionsRefused = "toolrack_connections_refused_total", Counter, ["listener"];
    /// Failures to accept a connection, for example for want of file descriptors.
    AcceptFailures = "toolrack_accept_failures_total", Counter, ["listener"];
    /// HTTP/2 streams reset because their client stopped reading.
    StreamsStalled = "toolrack_streams_stalled_total", Counter, ["listener"];
    /// Sessions ended. `reason` is `client`, `idle` or `shutdown`.
    SessionsEnded = "toolrack_sessions_ended_total", Counter, ["reason"];
    /// Messages that left a stream's replay before a reader had taken them.
    StreamMessagesDropped = "toolrack_stream_messages_dropped_total", Counter, [];
    /// Tasks ended. `status` is `completed`, `failed` or `cancelled`.
    TasksEnded = "toolrack_tasks_ended_total", Counter, ["status"];
    /// Resources that at least one client follows.
    WatchedResources = "toolrack_watched_resources", Gauge, [];
    /// Whether a plugin is ready: 1 or 0.
    PluginReady = "toolrack_plugin_ready", Gauge, ["plugin"];
    /// Calls that a plugin was given.
    PluginCalls = "toolrack_plugin_calls_total", Counter, ["plugin"];
    /// Calls that a plugin has at this moment.
    PluginCallsInFlight = "toolrack_plugin_calls_in_flight", Gauge, ["plugin"];
    /// Calls that a plugin still has although nobody waits for them any more.
    PluginCallsAbandoned = "toolrack_plugin_calls_abandoned", Gauge, ["plugin"];
    /// The most calls that a plugin may have at once.
    PluginCallsLimit = "toolrack_plugin_calls_limit", Gauge, ["plugin"];
    /// Calls refused because a plugin had as many as it may.
    PluginBusy = "toolrack_plugin_busy_total", Counter, ["plugin"];
    /// Calls that hold a place of their plugin although their deadlines have passed.
    PluginCallsStuck = "toolrack_plugin_calls_stuck", Gauge, ["plugin"];
    /// What a circuit does with calls: 0 closed, 1 open, 2 half-open, 3 forced open, 4 forced closed. Without a tool:
    /// of everything else that the plugin offers.
    CircuitPhase = "toolrack_circuit_phase", Gauge, ["plugin", "tool"];
    /// How often a circuit entered a phase; those that it never entered are left out.
    CircuitTransitions = "toolrack_circuit_transitions_total", Counter, ["plugin", "tool", "to"];
    /// Calls that a plugin's own deadline ended.
    PluginTimeouts = "toolrack_plugin_timeouts_total", Counter, ["plugin"];
    /// Completions of calls that were over.
    PluginStaleCompletions = "toolrack_plugin_stale_completions_total", Counter, ["plugin"];
    /// Results that were not what they claimed to be.
    PluginRejectedResults = "toolrack_plugin_rejected_results_total", Counter, ["plugin"];
    /// Results that were above `limits.response_bytes_max`.
    PluginLargeResults = "toolrack_plugin_large_results_total", Counter, ["plugin"];
    /// Progress and log messages that nobody had room for.
    PluginDroppedEvents = "toolrack_plugin_dropped_events_total", Counter, ["plugin"];
    /// Change notices that nobody had room for.
    PluginDroppedNotices = "toolrack_plugin_dropped_notices_total", Counter, ["plugin"];
    /// Calls of non-blocking tools that blocked.
    PluginOverruns = "toolrack_plugin_overruns_total", Counter, ["plugin"];
    /// Tools moved to their plugin's own threads because they blocked.
    PluginDemotedTools = "toolrack_plugin_demoted_tools_total", Counter, ["plugin"];
    /// Number of the generation that serves.
    Generation = "toolrack_generation", Gauge, [];
    /// 1, of the generation that serves: its number, and the first twelve digits of its profile's identity.
    GenerationInfo = "toolrack_generation_info", Gauge, ["generation", "identity"];
    /// Generations before it that still have calls or streams.
    GenerationsDraining = "toolrack_generations_draining", Gauge, [];
    /// Calls that the oldest of those still has; 0 when there is none.
    GenerationOldestCalls = "toolrack_generation_oldest_calls", Gauge, [];
    /// Seconds since that one was replaced; 0 when there is none.
    GenerationOldestSeconds = "toolrack_generation_oldest_seconds", Gauge, [];
    /// Libraries that are in memory for good; `reload.images_max` is the most.
    PluginImages = "toolrack_plugin_images", Gauge, [];
    /// Bytes of their files.
    PluginImageBytes = "toolrack_plugin_image_bytes", Gauge, [];
    /// Whether a changed profile is on probation: 1 or 0.
    Probation = "toolrack_probation", Gauge, [];
    /// How often what served before a change was brought back. `reason` is `plugin_faults`, `errors`, `refusals` or
    /// `latency`.
    ProbationRollbacks = "toolrack_probation_rollbacks_total", Counter, ["reason"];
    /// Attempts to change the profile of the running process. `result` is `applied`, `unchanged`, `refused`,
    /// `restart_required`, `superseded` or `rolled_back`.
    Reloads = "toolrack_reloads_total", Counter, ["result"];
    /// When the last attempt began after which the profile was what serves, in seconds since 1970; not there before the
    /// first.
    ReloadGoodTimestampSeconds = "toolrack_reload_good_timestamp_seconds", Gauge, [];
    /// Whether the last attempt ended so: 1 or 0; not there before the first.
    ReloadIsGood = "toolrack_reload_is_good", Gauge, [];
    /// Seconds that the last attempt took; not there before the first.
    ReloadSeconds = "toolrack_reload_seconds", Gauge, [];
    /// How often the process was asked to hand over to another program, and serves on.
    UpgradesFailed = "toolrack_upgrades_failed_total", Counter, [];
    /// Whether what serves did not come from the profile on disk: the process started on the last good one, was rolled
    /// back, or had a profile posted. 1 or 0.
    ProfileIsStale = "toolrack_profile_is_stale", Gauge, [];
    /// Generations that can be rolled back to, the one that serves included.
    HistoryGenerations = "toolrack_history_generations", Gauge, [];
    /// Writings of a generation into `history.folder`. `result` is `written` or `failed`; one that failed is tried again.
    HistoryWrites = "toolrack_history_writes_total", Counter, ["result"];
    /// Seconds since the process started.
    UptimeSeconds = "toolrack_uptime_seconds", Gauge, [];
    /// Always 1; the label tells which build runs.
    BuildInfo = "toolrack_build_info", Gauge, ["version"];
    /// How short of memory the process is: 0 is calm, 1 soft, 2 high, 3 hard, 4 critical.
    MemoryLevel = "toolrack_memory_level", Gauge, [];
    /// Bytes of memory that there may be, by the limit that is nearest.
    MemoryLimitBytes = "toolrack_memory_limit_bytes", Gauge, [];
    /// Bytes of memory in use under that limit, without files that the kernel gives back at once.
    MemoryUsedBytes = "toolrack_memory_used_bytes", Gauge, [];
    /// The most bytes of memory that ever were in use, as far as somebody looked.
    MemoryPeakBytes = "toolrack_memory_peak_bytes", Gauge, [];
    /// Memory of the process that is in RAM.
    ResidentBytes = "process_resident_memory_bytes", Gauge, [];
    /// Processor time that the process has used, in seconds.
    CpuSeconds = "process_cpu_seconds_total", Counter, [];
    /// Threads of the process.
    Threads = "process_threads", Gauge, [];
    /// File descriptors that the process has open.
    OpenFds = "process_open_fds", Gauge, [];
    /// The most file descriptors that the process may have open.
    MaxFds = "process_max_fds", Gauge, [];
}

impl Metric {
    /// Writes the two comment lines that come before a metric's samples.
    pub(crate) fn write_head(self, out: &mut String) {
        let (name, kind) = (self.name(), self.kind().as_str());
        write!(out, "# HELP {name} {}\n# TYPE {name} {kind}\n", self.help()).ok();
    }
}

/// The reference of all metrics, as Markdown.
#[must_use]
pub fn reference() -> String {
    let mut out = String::from(
        "# Metrics\n\n\
         Generated from the program by `cargo ci schemas`; change the table in `src/metric.rs` instead.\n\n\
         What `/metrics` of the control listener shows.\n\
         The names that begin with `process_` are those that every Prometheus dashboard knows.\n\n\
         | Metric | Kind | Labels | Meaning |\n|---|---|---|---|\n",
    );
    for metric in Metric::ALL {
        let labels: Vec<String> =
            metric.labels().iter().map(|label| format!("`{label}`")).collect();
        let (name, kind, labels) = (metric.name(), metric.kind().as_str(), labels.join(", "));
        writeln!(out, "| `{name}` | {kind} | {labels} | {} |", metric.help()).ok();
    }
    out
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_metric_is_there_once_and_says_what_it_means() {
        let names: HashSet<_> = Metric::ALL.iter().map(|metric| metric.name()).collect();
        assert_eq!(names.len(), Metric::ALL.len());
        for metric in Metric::ALL {
            let help = metric.help();
            assert!(help.ends_with('.') && !help.contains(['\n', '\\', '|']), "{metric:?}: {help}");
        }
    }

    #[test]
    fn counters_end_in_total_and_nothing_else_does() {
        for metric in Metric::ALL {
            let is_counter = metric.kind() == Kind::Counter;
            assert_eq!(metric.name().ends_with("_total"), is_counter, "{metric:?}");
        }
    }

    #[test]
    fn the_reference_has_a_row_for_every_metric() {
        let reference = reference();
        let row = "| `toolrack_bound_limit` | gauge | `bound`, `scope` | The most that a named bound admits.";
        assert!(reference.contains(row), "{reference}");
        assert_eq!(reference.matches("\n| `").count(), Metric::ALL.len());
    }
}
