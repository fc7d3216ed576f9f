//! File descriptors: take what the system allows, and say when the profile counts on more.

use middleware::Mode;
use profile::Plan;
use profile::plan::TransportPlan;
use rustix::process::{Resource, getrlimit, setrlimit};

/// What the process opens beside connections, when no layer says it: listeners, plugins and their files, the control
/// plane, pollers.
const BESIDE_CONNECTIONS: u64 = 256;

/// What a plan needs.
struct Need {
    connections: u64,
    reserve: u64,
    /// Whether it does not start with less.
    is_enforced: bool,
}

impl Need {
    fn of(plan: &Plan) -> Self {
        let of_listeners = plan.listeners.iter().filter_map(|listener| match &listener.transport {
            TransportPlan::Http(http) => Some(http.connections_max as u64),
            TransportPlan::Stdio(_) => None,
        });
        let of_listeners = of_listeners.sum();
        let layer = &plan.layers.connections;
        match layer.mode {
            Mode::Off => {
                Self { connections: of_listeners, reserve: BESIDE_CONNECTIONS, is_enforced: false }
            }
            Mode::Enforce | Mode::Shadow => Self {
                connections: of_listeners.min(layer.connections_max as u64),
                reserve: layer.descriptors_reserve,
                is_enforced: layer.mode == Mode::Enforce,
            },
        }
    }

    /// What is wrong with a limit of so many descriptors; `None`: there is none.
    fn shortage(&self, limit: Option<u64>) -> Option<String> {
        let Self { connections, reserve, .. } = self;
        let needed = connections + reserve;
        let limit = limit.filter(|limit| *limit < needed)?;
        Some(format!(
            "The listeners may take {connections} connections, and {reserve} descriptors are to be left beside them, \
             but this process may open only {limit} files. Raise the limit to {needed} (`ulimit -n`, or LimitNOFILE \
             of the service), or lower layer.connections.connections_max or the listeners' connections_max."
        ))
    }
}

/// Raises the soft limit to the hard one: a shell's 1,024 would refuse connections long before `connections_max`.
/// Returns a warning when the plan's connections do not fit.
///
/// # Errors
/// The same as a reason not to start, when the `connections` layer enforces its reserve.
pub(super) fn raise_limit(plan: &Plan) -> Result<Option<String>, String> {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let soft = limit.current;
        limit.current = limit.maximum;
        // Refused only by a sandbox; then the old limit is what there is.
        if setrlimit(Resource::Nofile, limit).is_err() {
            limit.current = soft;
        }
    }
    let need = Need::of(plan);
    match need.shortage(limit.current) {
        Some(shortage) if need.is_enforced => Err(shortage),
        shortage => Ok(shortage),
    }
}

#[cfg(test)]
mod tests {
    use super::Need;

    #[test]
    fn complains_only_when_connections_and_the_reserve_do_not_fit() {
        let need = Need { connections: 1_000, reserve: 256, is_enforced: true };
        assert_eq!((need.shortage(None), need.shortage(Some(1_256))), (None, None));
        let shortage = need.shortage(Some(1_255)).expect("too few");
        assert!(shortage.contains("only 1255 files") && shortage.contains("to 1256"), "{shortage}");
    }
}
