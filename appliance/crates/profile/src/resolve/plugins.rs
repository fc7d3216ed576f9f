//! Plugins.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use middleware::{ByteSize, bulkhead};
use serde_json::Value;

use super::{Findings, check_name};
use crate::plan::{PluginLimitsPlan, PluginPlan, ToolLimitsPlan};
use crate::profile::{Plugin, PluginLimits, ToolLimits};

pub(super) fn plugins(
    plugins: BTreeMap<String, Plugin>,
    bulkhead: &bulkhead::Config,
    findings: &mut Findings<'_>,
) -> Vec<PluginPlan> {
    let mut plans = Vec::new();
    for (name, plugin) in plugins {
        check_name("plugin", &name, findings);
        let key = format!("plugin.{name}");
        if plugin.library.is_empty() {
            findings.problem(format!("{key}.library"), "name the library, for example libecho.so");
        }
        let mut search: Vec<PathBuf> = findings.context.folder.iter().cloned().collect();
        search.extend(findings.context.library_search.iter().cloned());
        let limits = limits(&key, &plugin.limits, bulkhead, findings);
        plans.push(PluginPlan {
            name: name.as_str().into(),
            library: plugin.library.into(),
            search,
            config_json: Value::Object(plugin.config).to_string(),
            tools: tools(&key, plugin.tool, &limits, findings),
            limits,
        });
    }
    plans
}

fn limits(
    plugin: &str,
    limits: &PluginLimits,
    bulkhead: &bulkhead::Config,
    findings: &mut Findings<'_>,
) -> PluginLimitsPlan {
    let key = |name: &str| format!("{plugin}.limits.{name}");
    let mut number = |name: &str, own: Option<u64>, of_layer: u64, range| match own {
        Some(own) => findings.number(&key(name), own, range),
        None => usize::try_from(of_layer).unwrap_or(usize::MAX),
    };
    let own = limits.response_bytes_max;
    let (least, most) = (ByteSize::kib(1).0, ByteSize::mib(1_024).0);
    let of_layer = bulkhead.response_bytes_max.0;
    let response_bytes_max =
        number("response_bytes_max", own.map(|size| size.0), of_layer, least..=most);
    let (own, of_layer) = (limits.concurrent_calls, bulkhead.concurrent_calls);
    let concurrent_calls = number("concurrent_calls", own, of_layer, 1..=100_000);
    let (own, of_layer) = (limits.queue_calls, bulkhead.queue_calls);
    let queue_calls = number("queue_calls", own, of_layer, 0..=100_000);
    let threads_max = findings.number(&key("threads_max"), limits.threads_max, 1..=1_024);
    let deadline = findings.time(&key("deadline_ms"), limits.deadline_ms, 1..=600_000);
    findings.number(&key("overrun_us"), limits.overrun_us, 1..=1_000_000);
    PluginLimitsPlan {
        concurrent_calls,
        queue_calls,
        threads_max,
        deadline,
        response_bytes_max,
        overrun: Duration::from_micros(limits.overrun_us),
        overruns_max: limits.overruns_max,
        each_tool: ToolLimitsPlan::usual(concurrent_calls, queue_calls, threads_max, deadline),
    }
}

fn tools(
    plugin: &str,
    tools: BTreeMap<String, ToolLimits>,
    of_plugin: &PluginLimitsPlan,
    findings: &mut Findings<'_>,
) -> BTreeMap<Arc<str>, ToolLimitsPlan> {
    let mut plans = BTreeMap::new();
    for (name, tool) in tools {
        let key = |limit: &str| format!("{plugin}.tool.{name}.{limit}");
        let mut plan = of_plugin.each_tool.clone();
        if let Some(calls) = tool.concurrent_calls {
            let most = of_plugin.concurrent_calls as u64;
            plan.concurrent_calls = findings.number(&key("concurrent_calls"), calls, 1..=most);
            plan.blocking_calls = plan.concurrent_calls;
        }
        if let Some(calls) = tool.queue_calls {
            let most = of_plugin.queue_calls as u64;
            plan.queue_calls = findings.number(&key("queue_calls"), calls, 0..=most);
        }
        if let Some(deadline_ms) = tool.deadline_ms {
            plan.deadline = findings.time(&key("deadline_ms"), deadline_ms, 1..=600_000);
        }
        plans.insert(name.into(), plan);
    }
    plans
}
