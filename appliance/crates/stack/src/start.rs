//! Starts the plugins of a plan.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::ScopedJoinHandle;
use std::time::{Duration, Instant};

use plugin_host::{Limits, LoadError, NoticeSink, Plugin, PluginState, Settings};
use profile::Plan;
use profile::plan::PluginPlan;

/// Longest that plugins may take to end once nobody calls them.
pub const PLUGIN_GRACE: Duration = Duration::from_secs(2);

/// Why a plugin did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The library is in none of the folders.
    #[error("plugin.{plugin}.library: {}; build or copy it there, or write the path to it", missing(.library, .searched))]
    NotFound {
        /// Name in the profile.
        plugin: Arc<str>,
        /// What was looked for.
        library: PathBuf,
        /// Where.
        searched: Vec<PathBuf>,
    },
    /// The library is there and does not load.
    #[error("plugin.{plugin}: {source}")]
    Load {
        /// Name in the profile.
        plugin: Arc<str>,
        /// Why.
        source: LoadError,
    },
    /// The library is another one than is wanted.
    #[error("plugin.{plugin}.library: `{}` has other bytes than then; put the file back whose SHA-256 is {digest}", .library.display())]
    OtherLibrary {
        /// Name in the profile.
        plugin: Arc<str>,
        /// Where it is.
        library: PathBuf,
        /// SHA-256 of the one that is wanted, in hexadecimal.
        digest: String,
    },
    /// Starting it panicked, which is a fault of ours.
    #[error("plugin.{plugin}: the loader failed unexpectedly; please report this")]
    Panicked {
        /// Name in the profile.
        plugin: Arc<str>,
    },
}

impl StartError {
    /// Whether another process would start it: this one has loaded as many libraries as it can.
    #[must_use]
    pub const fn takes_a_start(&self) -> bool {
        matches!(self, Self::Load { source, .. } if source.takes_a_start())
    }
}

/// What is missing, and where.
fn missing(library: &Path, searched: &[PathBuf]) -> String {
    let shown = library.display();
    if library.is_absolute() {
        return format!("`{shown}` does not exist");
    }
    let name = |folder: &PathBuf| {
        // What a profile in the current folder says of its own.
        let is_here = folder.as_os_str().is_empty();
        if is_here { "the current folder".to_owned() } else { folder.display().to_string() }
    };
    let folders = searched.iter().map(name).collect::<Vec<_>>().join(", ");
    format!("`{shown}` was not found in {folders}")
}

/// The plugins of a plan, ready to serve.
#[derive(Debug)]
pub struct Started {
    /// All of them, in the plan's order.
    pub plugins: Vec<Arc<Plugin>>,
    /// Those that run since now; the others did before.
    pub new: Vec<Arc<Plugin>>,
}

/// Plugins that run before others are started.
#[derive(Debug, Default)]
pub struct Known {
    /// Those that serve, or may have to serve again: each is taken when a start would lead to it again.
    pub running: Vec<Arc<Plugin>>,
    /// Those that are taken by their names, whatever their libraries are by now.
    pub given: Vec<Arc<Plugin>>,
    /// SHA-256 in hexadecimal of the libraries that are wanted, by the names of plugins. One that is not here may be any.
    pub digests: BTreeMap<String, String>,
}

impl Known {
    fn has(&self, plugin: &Arc<Plugin>) -> bool {
        self.running.iter().chain(&self.given).any(|known| Arc::ptr_eq(known, plugin))
    }

    /// Those that run under this name.
    fn named<'k>(&'k self, name: &'k Arc<str>) -> impl Iterator<Item = &'k Arc<Plugin>> {
        self.running.iter().filter(move |plugin| plugin.name() == name)
    }

    /// What serves as `plan` wants it, or what to start.
    fn find(&self, plan: &PluginPlan) -> Result<Found, StartError> {
        let mut given = self.given.iter().filter(|plugin| *plugin.name() == plan.name);
        if let Some(given) = given.find(serves) {
            return Ok(Found::Serves(Arc::clone(given)));
        }
        let starts = self.named(&plan.name).map(|plugin| plugin.start_number()).max();
        let settings = settings(plan, starts.unwrap_or(0).saturating_add(1))?;
        if self.digests.contains_key(&*plan.name) {
            return Ok(Found::Wanted(settings));
        }
        for running in self.named(&plan.name).filter(serves) {
            let failed = |source| StartError::Load { plugin: Arc::clone(&plan.name), source };
            if running.is_as(&settings).map_err(failed)? {
                return Ok(Found::Serves(Arc::clone(running)));
            }
        }
        Ok(Found::Wanted(settings))
    }
}

fn serves(plugin: &&Arc<Plugin>) -> bool {
    plugin.state() != PluginState::Stopped
}

/// What there is of a plugin.
enum Found {
    /// It serves already.
    Serves(Arc<Plugin>),
    /// It is to be started.
    Wanted(Settings),
}

type Ended = Result<Arc<Plugin>, StartError>;

/// A plugin that is looked for, or started on a thread of its own.
enum Begun<'s> {
    Known(Ended),
    Starts(&'s Arc<str>, ScopedJoinHandle<'s, Ended>),
}

impl Begun<'_> {
    fn end(self) -> Ended {
        match self {
            Self::Known(ended) => ended,
            Self::Starts(name, thread) => thread
                .join()
                .unwrap_or_else(|_| Err(StartError::Panicked { plugin: Arc::clone(name) })),
        }
    }
}

/// Loads and starts every plugin of `plan`, all at once, but for those that are given, and those that run and that a
/// start would lead to again: the same library, byte for byte, and the same settings. These are taken as they are.
///
/// Blocks until the slowest has described itself; the host bounds that time.
///
/// # Errors
/// Every plugin that did not start. Those that did are stopped again.
pub fn start_plugins(
    plan: &Plan,
    notices: &NoticeSink,
    known: &Known,
) -> Result<Started, Vec<StartError>> {
    let images_max = plan.reload.images_max;
    let results: Vec<_> = std::thread::scope(|scope| {
        let begin = |plugin| match known.find(plugin) {
            Ok(Found::Serves(serves)) => Begun::Known(Ok(serves)),
            Ok(Found::Wanted(settings)) => Begun::Starts(
                &plugin.name,
                scope.spawn(move || start(settings, notices.clone(), known, images_max)),
            ),
            Err(error) => Begun::Known(Err(error)),
        };
        let begun: Vec<_> = plan.plugins.iter().map(begin).collect();
        begun.into_iter().map(Begun::end).collect()
    });
    let (mut plugins, mut failed) = (Vec::new(), Vec::new());
    for result in results {
        match result {
            Ok(plugin) => plugins.push(plugin),
            Err(error) => failed.push(error),
        }
    }
    let new: Vec<_> = plugins.iter().filter(|plugin| !known.has(plugin)).cloned().collect();
    if failed.is_empty() {
        return Ok(Started { plugins, new });
    }
    stop_plugins(&new, PLUGIN_GRACE);
    Err(failed)
}

/// Ends every plugin, all at once, and says which of them did not end within `grace`.
pub fn stop_plugins(plugins: &[Arc<Plugin>], grace: Duration) {
    let deadline = Instant::now() + grace;
    std::thread::scope(|scope| {
        for plugin in plugins {
            scope.spawn(move || {
                if let Err(error) = plugin.stop(deadline) {
                    tracing::warn!(plugin = %plugin.name(), %error, "Plugin did not stop.");
                }
            });
        }
    });
}

fn start(settings: Settings, notices: NoticeSink, known: &Known, images_max: usize) -> Ended {
    if let Some(digest) = known.digests.get(&*settings.name) {
        let name = Arc::clone(&settings.name);
        let before = known.named(&name).filter(serves);
        return start_wanted(settings, notices, before, images_max, digest);
    }
    let plugin = Arc::clone(&settings.name);
    let failed = |source| StartError::Load { plugin, source };
    Plugin::start(settings, notices, images_max).map_err(failed)
}

/// Starts a plugin whose library must be the one with this digest, or takes the one of those `before` that has it. A
/// library that is in memory is taken from there, whatever its file is by now.
fn start_wanted<'p>(
    settings: Settings,
    notices: NoticeSink,
    mut before: impl Iterator<Item = &'p Arc<Plugin>>,
    images_max: usize,
    digest: &str,
) -> Result<Arc<Plugin>, StartError> {
    if let Some(before) =
        before.find(|before| before.is_told(&settings) && before.digest() == digest)
    {
        return Ok(Arc::clone(before));
    }
    let plugin = Arc::clone(&settings.name);
    let failed = |source| StartError::Load { plugin: Arc::clone(&plugin), source };
    if plugin_host::images::has(digest) {
        return Plugin::start_from(settings, notices, images_max, digest).map_err(failed);
    }
    let library = settings.library.clone();
    // Before it is loaded: what is loaded stays for good.
    if plugin_host::inspect(&library).map_err(failed)?.sha256 == digest {
        let started = Plugin::start(settings, notices, images_max).map_err(failed)?;
        // The file may have been replaced between the two.
        if started.digest() == digest {
            return Ok(started);
        }
        stop_plugins(&[started], PLUGIN_GRACE);
    }
    let digest = digest.to_owned();
    Err(StartError::OtherLibrary { plugin: Arc::clone(&plugin), library, digest })
}

/// What the plugin is started with.
fn settings(plan: &PluginPlan, start_number: u32) -> Result<Settings, StartError> {
    let library = library_of(plan).ok_or_else(|| StartError::NotFound {
        plugin: Arc::clone(&plan.name),
        library: plan.library.clone(),
        searched: plan.search.clone(),
    })?;
    let limits = Limits {
        concurrent_calls: plan.limits.concurrent_calls,
        queue_calls: plan.limits.queue_calls,
        deadline: plan.limits.deadline,
        tool_deadlines: plan
            .tools
            .iter()
            .map(|(name, tool)| ((&**name).into(), tool.deadline))
            .collect(),
        response_bytes_max: plan.limits.response_bytes_max,
        threads_max: plan.limits.threads_max,
        inline_overrun: plan.limits.overrun,
        inline_overruns_max: plan.limits.overruns_max,
    };
    Ok(Settings {
        name: Arc::clone(&plan.name),
        library,
        config_json: plan.config_json.clone(),
        limits,
        generation: start_number,
    })
}

/// The file that a plugin is started from; `None` when it is in none of its folders.
#[must_use]
pub fn library_of(plan: &PluginPlan) -> Option<PathBuf> {
    locate(&plan.library, &plan.search)
}

/// A path with a folder is taken as it is, and from the first search folder when it is relative; a bare file name is
/// looked for in every search folder.
fn locate(library: &Path, search: &[PathBuf]) -> Option<PathBuf> {
    let is_bare = library.parent().is_none_or(|parent| parent.as_os_str().is_empty());
    if library.is_absolute() {
        return library.is_file().then(|| library.to_owned());
    }
    let folders = if is_bare { search } else { &search[..search.len().min(1)] };
    folders.iter().map(|folder| folder.join(library)).find(|path| path.is_file())
}
