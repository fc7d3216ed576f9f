//! `[plugin.NAME]`.

use std::collections::BTreeMap;

use middleware::ByteSize;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// One plugin.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Plugin {
    /// The library: a path from this profile's folder, or a bare file name, which is looked for in this profile's
    /// folder, beside the program, in `../lib/toolrack/plugins` and in `plugins` beside the program.
    pub(crate) library: String,
    /// Where it runs. `inline`: in this process, trusted with everything in it. Default: `inline`, the one value of
    /// this version.
    #[serde(default)]
    pub(crate) isolation: Isolation,
    /// The plugin's own settings, handed to it as they are. Default: none.
    #[serde(default)]
    pub(crate) config: Map<String, Value>,
    /// Bounds of this plugin.
    #[serde(default)]
    pub(crate) limits: PluginLimits,
    /// Bounds of single tools of this plugin, by the names of the tools.
    #[serde(default)]
    pub(crate) tool: BTreeMap<String, ToolLimits>,
}

/// Where a plugin runs.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Isolation {
    /// In this process.
    #[default]
    Inline,
}

/// Bounds of one plugin.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct PluginLimits {
    /// Calls of this plugin at work at once, from 1 to 100000, held by the `bulkhead` layer; of blocking tools, no more
    /// run than there are threads. One tool has half of them, so that the other tools have the other half when it
    /// hangs; the only tool of a plugin has all. Default: `layer.bulkhead.concurrent_calls`.
    pub(crate) concurrent_calls: Option<u64>,
    /// Calls that wait besides, in their order, from 0 to 100000; one tool has half of these places, too. Beyond them,
    /// and without the layer at the sum of both: 429. Default: `layer.bulkhead.queue_calls`.
    pub(crate) queue_calls: Option<u64>,
    /// Most threads for blocking tools. Default: 8.
    pub(crate) threads_max: u64,
    /// Milliseconds that one call may take, within the `timeout` layer's own. At the limit: cancelled. Tasks have
    /// `tasks.deadline_ms` instead. Default: 30000.
    pub(crate) deadline_ms: u64,
    /// Most bytes of one result. At the limit: refused, and the client may ask for less. Default:
    /// `layer.bulkhead.response_bytes_max`.
    pub(crate) response_bytes_max: Option<ByteSize>,
    /// Microseconds that a non-blocking tool may hold a thread that serves others; waiting for a core does not count.
    /// At the limit: watched, then counted. Default: 1000.
    pub(crate) overrun_us: u64,
    /// After how many of those within one second, if they are one in a hundred calls of the tool, it is moved to the
    /// plugin's own threads, with a warning. Default: 5.
    pub(crate) overruns_max: u32,
}

impl Default for PluginLimits {
    fn default() -> Self {
        Self {
            concurrent_calls: None,
            queue_calls: None,
            threads_max: 8,
            deadline_ms: 30_000,
            response_bytes_max: None,
            overrun_us: 1_000,
            overruns_max: 5,
        }
    }
}

/// Bounds of one tool, within those of its plugin.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ToolLimits {
    /// Calls of this tool at work at once, from 1 to those of the plugin. Default: half of those of the plugin, rounded
    /// up; of a blocking tool no more than half of its threads.
    pub(crate) concurrent_calls: Option<u64>,
    /// Calls of this tool that wait besides, from 0 to those of the plugin. Default: half of those of the plugin,
    /// rounded up.
    pub(crate) queue_calls: Option<u64>,
    /// Milliseconds that one call of this tool may take, within the `timeout` layer's own. At the limit: cancelled.
    /// Tasks have `tasks.deadline_ms` instead. Default: that of the plugin.
    pub(crate) deadline_ms: Option<u64>,
}
