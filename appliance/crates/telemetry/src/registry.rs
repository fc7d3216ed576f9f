//! The recorder behind the `metrics` macros.

use metrics::{KeyName, Recorder, with_local_recorder, with_recorder};
use metrics_exporter_prometheus::{
    BuildError, PrometheusBuilder, PrometheusHandle, PrometheusRecorder,
};

use crate::metric::{Kind, Metric};

/// The process's metrics. Made once, before anything counts.
#[derive(Clone)]
pub struct Registry(PrometheusHandle);

impl Registry {
    /// Installs the recorder for the whole process. It starts no thread and opens no listener.
    ///
    /// # Errors
    /// When there is one already.
    pub fn install() -> Result<Self, BuildError> {
        let handle = PrometheusBuilder::new().install_recorder()?;
        with_recorder(describe);
        Ok(Self(handle))
    }

    /// Everything that was counted through the macros, in the Prometheus text format. Tidies the
    /// recorder as well: there is no thread that would.
    #[must_use]
    pub fn render(&self) -> String {
        self.0.run_upkeep();
        self.0.render()
    }
}

/// Metrics of their own, beside the process's: of what one thread makes.
pub struct LaneRegistry(PrometheusRecorder);

impl LaneRegistry {
    /// Nothing counted yet. No thread and no listener.
    #[must_use]
    pub fn new() -> Self {
        let recorder = PrometheusBuilder::new().build_recorder();
        describe(&recorder);
        Self(recorder)
    }

    /// Runs `work`, whose counters are those of this registry: the ones that it makes on this thread, wherever they
    /// count later.
    pub fn within<T>(&self, work: impl FnOnce() -> T) -> T {
        with_local_recorder(&self.0, work)
    }

    /// Everything that was counted in it, in the Prometheus text format.
    #[must_use]
    pub fn render(&self) -> String {
        self.0.handle().render()
    }
}

impl Default for LaneRegistry {
    fn default() -> Self {
        Self::new()
    }
}

/// Says what every metric means.
fn describe(recorder: &dyn Recorder) {
    for metric in Metric::ALL {
        let (name, help) = (KeyName::from_const_str(metric.name()), metric.help().into());
        match metric.kind() {
            Kind::Counter => recorder.describe_counter(name, None, help),
            Kind::Gauge => recorder.describe_gauge(name, None, help),
            Kind::Histogram => recorder.describe_histogram(name, None, help),
        }
    }
}

#[cfg(test)]
mod tests {
    use protocol::{Refusal, RefusalKind};

    use super::*;
    use crate::RefusalCounter;

    #[test]
    fn renders_what_was_counted_with_its_meaning() {
        let registry = Registry::install().expect("the first of this process");
        let counter = RefusalCounter::new("origin", RefusalKind::OriginForbidden);
        let refusal = Refusal::new(RefusalKind::OriginForbidden, "origin", "request", "no");
        counter.count(&refusal, false);
        counter.count(&refusal, false);
        counter.count(&refusal, true);
        let out = registry.render();
        let head = "# HELP toolrack_refusals_total Refusals by layer and kind.";
        assert!(out.contains(head), "{out}");
        for (mode, count) in [("enforce", 2), ("shadow", 1)] {
            let labels = format!("layer=\"origin\",kind=\"origin_forbidden\",mode=\"{mode}\"");
            assert!(
                out.contains(&format!("toolrack_refusals_total{{{labels}}} {count}\n")),
                "{out}"
            );
        }
        assert!(Registry::install().is_err(), "a second recorder would split the counts");
        // In the same test: the process has one recorder.
        let lane = LaneRegistry::new();
        lane.within(|| RefusalCounter::new("origin", RefusalKind::OriginForbidden))
            .count(&refusal, false);
        let still = "layer=\"origin\",kind=\"origin_forbidden\",mode=\"enforce\"} 2\n";
        assert!(registry.render().contains(still), "a lane counts apart");
        let one = "layer=\"origin\",kind=\"origin_forbidden\",mode=\"enforce\"} 1\n";
        assert!(lane.render().contains(one), "{}", lane.render());
    }
}
