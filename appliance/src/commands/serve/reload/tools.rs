//! Which tools look different to clients once other plugins serve.

use std::collections::BTreeMap;
use std::sync::Arc;

use plugin_host::Plugin;
use serde_json::Value;

/// Tools that were described before and want other arguments now, in their order: whoever knows the old list calls them
/// wrongly. Tools that come or go are told by their lists.
pub(super) fn changed(before: &[Arc<Plugin>], after: &[Arc<Plugin>]) -> Vec<String> {
    let before: BTreeMap<_, _> = before.iter().flat_map(schemas).collect();
    let after: BTreeMap<_, _> = after.iter().flat_map(schemas).collect();
    let is_other =
        |(name, schema): &(String, Value)| before.get(name).is_some_and(|known| known != schema);
    after.into_iter().filter(is_other).map(|(name, _)| name).collect()
}

/// The input schema of each tool of a plugin.
fn schemas(plugin: &Arc<Plugin>) -> Vec<(String, Value)> {
    let schema = |json: &str| {
        let tool: Value = serde_json::from_str(json).unwrap_or_default();
        tool["inputSchema"].clone()
    };
    let described = plugin.described();
    described.tools.iter().map(|tool| (tool.name.clone(), schema(&tool.json))).collect()
}
