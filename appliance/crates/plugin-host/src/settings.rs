//! What a plugin is started with.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Bounds of one plugin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Calls at once.
    pub concurrent_calls: usize,
    /// Calls that wait for a thread besides.
    pub queue_calls: usize,
    /// Longest that one call may take.
    pub deadline: Duration,
    /// The same for single tools, by name.
    pub tool_deadlines: HashMap<Box<str>, Duration>,
    /// Largest result.
    pub response_bytes_max: usize,
    /// Threads for blocking items.
    pub threads_max: usize,
    /// How long a non-blocking tool may hold the thread that called it.
    pub inline_overrun: Duration,
    /// After how many overruns a tool moves to the plugin's own threads.
    pub inline_overruns_max: u32,
}

/// What a plugin is started with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Its name in the profile.
    pub name: Arc<str>,
    /// The library.
    pub library: PathBuf,
    /// Its own table of the profile: one JSON object.
    pub config_json: String,
    /// Its bounds.
    pub limits: Limits,
    /// Counts the starts of plugins of this name, from 1.
    pub generation: u32,
}

/// What a plugin says of itself between calls. A change of a list is said once until it is described again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// Describe it again: its tools changed.
    ToolsChanged,
    /// Describe it again: its prompts changed.
    PromptsChanged,
    /// Describe it again: its resources changed.
    ResourcesChanged,
    /// The content of a resource changed.
    ResourceUpdated(Arc<str>),
}

/// Where notices go, with the plugin's name. Bounded: what does not fit is dropped and counted.
pub type NoticeSink = tokio::sync::mpsc::Sender<(Arc<str>, Notice)>;
