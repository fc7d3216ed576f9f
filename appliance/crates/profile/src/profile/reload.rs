//! `[reload]`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::plan::ProbationMode;

/// How a change of this profile comes into a process that runs.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Reload {
    /// Whether the files of the profile are watched: this one, those that it extends, and the libraries and secrets that
    /// it names. Other content is applied a quarter of a second after the last write, of libraries a second after it, or
    /// refused with reasons in the log and in `/admin/reloads` while what was there before serves on. SIGHUP and
    /// `toolrack reload` work in any case. Default: true, since a file that says something else than what serves is what
    /// operators stumble over; false where changes come in parts that only fit together.
    pub(crate) watch: bool,
    /// Milliseconds that loading and starting the plugins of a changed profile may take together, from 1 to 600000. At
    /// the limit: refused, and what was there before serves on. Default: 30000, three times what one plugin may take.
    pub(crate) stage_deadline_ms: u64,
    /// Least milliseconds between two changes of what serves, from 0 to 3600000; 0: none. Attempts wait meanwhile, and
    /// writings add up to one. Default: 1000, so that a storm of writings costs one generation a second.
    pub(crate) interval_ms: u64,
    /// Generations that may drain at once, from 1 to 16. When there are as many, an attempt waits for the oldest, for
    /// `stage_deadline_ms` at most; then the calls of that one are refused as `timed_out`. Streams that only listen
    /// belong to no generation. Default: 4, since each keeps its plugins.
    pub(crate) draining_generations_max: u64,
    /// Longest, in milliseconds, that calls and tasks keep a generation that was replaced, from 0 to 86400000. At the
    /// limit: they are refused as `timed_out`, and plugins that no other generation has are stopped. Default: 300000,
    /// ten times what a call may take by default.
    pub(crate) drain_ms: u64,
    /// Libraries that may be in memory at once, from 1 to 1024. Images stay for good; one whose plugin has ended serves
    /// again when the same bytes are loaded. One more takes a restart. Default: 16, of which a process of few plugins
    /// needs years; more for a profile that has many.
    pub(crate) images_max: u64,
    /// How a changed profile is watched after it came in.
    pub(crate) probation: Probation,
}

impl Default for Reload {
    fn default() -> Self {
        Self {
            watch: true,
            stage_deadline_ms: 30_000,
            interval_ms: 1_000,
            draining_generations_max: 4,
            drain_ms: 300_000,
            images_max: 16,
            probation: Probation::default(),
        }
    }
}

/// A changed profile is on probation: for a while, what comes back is compared with what came back as long before it.
/// When it is worse, what served before serves again by itself, and the log and `/admin/reloads` say why. Shares are
/// compared in points of a hundred, and only differences that chance does not make count. Without enough calls on both
/// sides, only faults of plugins are judged.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Probation {
    /// `on`, or `off`: what came in stays. Default: `on`, since it compares and costs nothing.
    pub(crate) mode: ProbationMode,
    /// Milliseconds that a probation lasts, from 1000 to 600000. Another change of the profile ends it early; that one
    /// is compared with what served before both. Default: 10000.
    pub(crate) watch_ms: u64,
    /// Calls that there must be before and after it for shares to be compared, from 1 to 1000000. Default: 200, from
    /// which on one call is half a point.
    pub(crate) calls_min: u64,
    /// By how many points the share of calls may grow that end as errors of tools or internal errors, from 0 to 100;
    /// 100: not compared. Default: 1.
    pub(crate) errors_increase_percent: u64,
    /// By how many points the share of requests may grow that are refused for reasons whose keys the change did not
    /// touch, from 0 to 100; 100: not compared. Default: 5.
    pub(crate) refusals_increase_percent: u64,
    /// The same of refusals that may be meant or the load's: their keys were touched, or more than twice as many requests
    /// come in. From 0 to 100; 100: not compared. Default: 50, since a limit that refuses half of everything is a slip.
    pub(crate) intended_increase_percent: u64,
    /// By how many percent a call must take longer than 99 of 100 did before to count as slow, and by at least 20 ms,
    /// from 0 to 10000. Default: 100, twice as long.
    pub(crate) latency_increase_percent: u64,
    /// By how many points the share of slow calls may grow, from 0 to 100; 100: not compared. Not compared either while
    /// more than twice as many requests come in. Default: 10, which a disturbed host does not reach.
    pub(crate) slow_increase_percent: u64,
    /// Faults of plugins that may come besides those as long before, from 0 to 1000000: results that are not what they
    /// claim to be, tools that block although they say they do not, and looks (ten in a probation) at a plugin that
    /// cannot serve. Default: 3.
    pub(crate) plugin_faults_max: u64,
}

impl Default for Probation {
    fn default() -> Self {
        Self {
            mode: ProbationMode::On,
            watch_ms: 10_000,
            calls_min: 200,
            errors_increase_percent: 1,
            refusals_increase_percent: 5,
            intended_increase_percent: 50,
            latency_increase_percent: 100,
            slow_increase_percent: 10,
            plugin_faults_max: 3,
        }
    }
}
