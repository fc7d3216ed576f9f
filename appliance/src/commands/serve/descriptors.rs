//! File descriptors: take what the system allows, and say when the profile counts on more.

use profile::Plan;
use profile::plan::TransportPlan;
use rustix::process::{Resource, getrlimit, setrlimit};

/// What the process opens beside connections: listeners, plugins and their files, the control plane, pollers.
const BESIDE_CONNECTIONS: u64 = 256;

/// Raises the soft limit to the hard one: a shell's 1,024 would refuse connections long before `connections_max`.
/// Returns a warning when the plan's connections do not fit.
pub(super) fn raise_limit(plan: &Plan) -> Option<String> {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let soft = limit.current;
        limit.current = limit.maximum;
        // Refused only by a sandbox; then the old limit is what there is.
        if setrlimit(Resource::Nofile, limit).is_err() {
            limit.current = soft;
        }
    }
    let connections = plan.listeners.iter().filter_map(|listener| match &listener.transport {
        TransportPlan::Http(http) => Some(http.connections_max as u64),
        TransportPlan::Stdio(_) => None,
    });
    shortage(connections.sum(), limit.current)
}

/// `limit` is `None` when there is none.
fn shortage(connections: u64, limit: Option<u64>) -> Option<String> {
    let needed = connections + BESIDE_CONNECTIONS;
    let limit = limit.filter(|limit| *limit < needed)?;
    Some(format!(
        "The listeners may take {connections} connections, but this process may open only {limit} files. Raise the \
         limit to {needed} (`ulimit -n`, or LimitNOFILE of the service) or lower connections_max."
    ))
}

#[cfg(test)]
mod tests {
    use super::{BESIDE_CONNECTIONS, shortage};

    #[test]
    fn warns_only_when_connections_do_not_fit() {
        assert_eq!(shortage(1_000, None), None);
        assert_eq!(shortage(1_000, Some(1_000 + BESIDE_CONNECTIONS)), None);
        let warning = shortage(1_000, Some(1_024)).expect("too few");
        assert!(warning.contains("only 1024 files") && warning.contains("to 1256"), "{warning}");
    }
}
