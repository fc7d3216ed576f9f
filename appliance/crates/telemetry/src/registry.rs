//! The recorder behind the `metrics` macros, and everything that is rendered beside it.

use metrics_exporter_prometheus::{BuildError, PrometheusBuilder, PrometheusHandle};

/// The process's metrics. Made once, before anything counts.
pub struct Registry(PrometheusHandle);

impl Registry {
    /// Installs the recorder for the whole process.
    ///
    /// # Errors
    /// When there is one already.
    pub fn install() -> Result<Self, BuildError> {
        PrometheusBuilder::new().install_recorder().map(Self)
    }

    /// Everything that was counted through the macros, in the Prometheus text format.
    #[must_use]
    pub fn render(&self) -> String {
        self.0.run_upkeep();
        self.0.render()
    }
}
