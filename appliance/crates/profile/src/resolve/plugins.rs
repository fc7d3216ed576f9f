//! Plugins.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use super::{Findings, check_name};
use crate::plan::{PluginLimitsPlan, PluginPlan};
use crate::profile::{Plugin, PluginLimits};

pub(super) fn plugins(
    plugins: BTreeMap<String, Plugin>,
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
        plans.push(PluginPlan {
            name: name.as_str().into(),
            library: plugin.library.into(),
            search,
            config_json: Value::Object(plugin.config).to_string(),
            limits: limits(&key, &plugin.limits, findings),
        });
    }
    plans
}

fn limits(plugin: &str, limits: &PluginLimits, findings: &mut Findings<'_>) -> PluginLimitsPlan {
    let key = |name: &str| format!("{plugin}.limits.{name}");
    let response = limits.response_bytes_max;
    findings.number(&key("response_bytes_max"), response.0, 1_024..=1 << 30);
    PluginLimitsPlan {
        concurrent_calls: findings.number(
            &key("concurrent_calls"),
            limits.concurrent_calls,
            1..=100_000,
        ),
        queue_calls: findings.number(&key("queue_calls"), limits.queue_calls, 0..=100_000),
        threads_max: findings.number(&key("threads_max"), limits.threads_max, 1..=1_024),
        deadline: findings.time(&key("deadline_ms"), limits.deadline_ms, 1..=600_000),
        response_bytes_max: response.bytes(),
        overrun: {
            findings.number(&key("overrun_us"), limits.overrun_us, 1..=1_000_000);
            Duration::from_micros(limits.overrun_us)
        },
        overruns_max: limits.overruns_max,
    }
}
