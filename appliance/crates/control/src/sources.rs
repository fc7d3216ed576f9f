//! Where answers come from.

use std::sync::Arc;

use bytes::Bytes;
use protocol::{MemoryGauge, RefusalId};
use runtime::{Source, Vitals};

use crate::orders::{Profiles, Reloads, SelfTests, Serving, Upgrades};

/// A plugin's health.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginReport {
    /// Its name in the profile.
    pub name: Arc<str>,
    /// `ready`, `unresponsive` or `stopped`.
    pub state: &'static str,
    /// Whether it can serve.
    pub is_ready: bool,
}

/// Where the profile that serves came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProfileReport {
    /// Its files, or a generation that was kept.
    pub source: Source,
    /// How many things were wrong with the files when the process started without them.
    pub problems: usize,
}

/// Where answers come from. Each is called on the control thread and must not wait.
#[derive(Clone)]
pub struct Sources {
    /// Signs of life.
    pub vitals: Arc<Vitals>,
    /// How short of memory the process is.
    pub memory: Arc<MemoryGauge>,
    /// Every plugin.
    pub plugins: Arc<dyn Fn() -> Vec<PluginReport> + Send + Sync>,
    /// Every metric, in the Prometheus text format.
    pub metrics: Arc<dyn Fn() -> String + Send + Sync>,
    /// The effective plan with the origin of each value, as JSON.
    pub plan: Arc<dyn Fn() -> Bytes + Send + Sync>,
    /// The last attempts to change the profile, as JSON.
    pub attempts: Arc<dyn Fn() -> Bytes + Send + Sync>,
    /// The generation that serves and those that drain, as JSON.
    pub generations: Arc<dyn Fn() -> Bytes + Send + Sync>,
    /// The generations that are kept, as JSON.
    pub history: Arc<dyn Fn() -> Bytes + Send + Sync>,
    /// Where the profile that serves came from.
    pub profile: Arc<dyn Fn() -> ProfileReport + Send + Sync>,
    /// Who reads the profile again; `None`: nobody may ask here.
    pub reloads: Option<Arc<dyn Reloads>>,
    /// The profile that serves.
    pub serving: Arc<dyn Fn() -> Serving + Send + Sync>,
    /// Who takes profiles; `None`: nobody may post any here.
    pub profiles: Option<Arc<dyn Profiles>>,
    /// Who hands over to another program; `None`: nobody may ask here.
    pub upgrades: Option<Arc<dyn Upgrades>>,
    /// Who runs self-tests; `None`: nobody may.
    pub selftest: Option<Arc<dyn SelfTests>>,
    /// What is known of the refusal with this id, as JSON; `None` when it was forgotten or never was.
    pub refusal: Arc<dyn Fn(RefusalId) -> Option<Bytes> + Send + Sync>,
}
