//! What is kept of a generation.

use std::collections::BTreeMap;
use std::sync::Arc;

use ::history::Record;
use jiff::Timestamp;
use plugin_host::Plugin;
use profile::Loaded;
use runtime::Generation;

use crate::cli::ProfileOptions;
use crate::commands;

/// How a generation came about.
pub(in super::super) struct Cause<'a> {
    /// What asked for it.
    pub(in super::super) trigger: &'a str,
    /// Whether it took back the one before.
    pub(in super::super) takes_back: bool,
    /// The keys that it has otherwise.
    pub(in super::super) changed: &'a [String],
}

/// What is kept of `generation`, which serves `loaded` since now. Reads the images of plugins that were not asked for
/// their digests yet.
pub(in super::super) fn record(
    generation: &Generation,
    loaded: &Loaded,
    options: &ProfileOptions,
    cause: &Cause<'_>,
) -> Record {
    Record {
        number: generation.number(),
        at: Timestamp::now(),
        trigger: cause.trigger.to_owned(),
        takes_back: cause.takes_back,
        program: env!("CARGO_PKG_VERSION").to_owned(),
        identity: loaded.plan.identity.to_string(),
        changed: cause.changed.to_vec(),
        name: loaded.plan.name.to_string(),
        folder: commands::profile_folder(options).and_then(|path| std::path::absolute(path).ok()),
        libraries: libraries(&generation.stack().kit().plugins),
        profile: loaded.to_table(),
    }
}

/// The digests of the libraries of plugins, by the names of these.
pub(in super::super) fn libraries(plugins: &[Arc<Plugin>]) -> BTreeMap<String, String> {
    let digest = |plugin: &Arc<Plugin>| (plugin.name().to_string(), plugin.digest().to_owned());
    plugins.iter().map(digest).collect()
}
