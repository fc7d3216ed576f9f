//! Brings the plugins of a plan up beside those that serve, within a deadline.

use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, SendError, sync_channel};

use plugin_host::NoticeSink;
use profile::Plan;
use stack::{Known, PLUGIN_GRACE, StartError, Started};

use super::attempt::Not;

/// Starts what is not known, or otherwise. What comes after the deadline is stopped again, on its own thread.
///
/// # Errors
/// Every plugin that does not start; or that they were not all there in time.
pub(super) fn start_plugins(
    plan: &Arc<Plan>,
    notices: &NoticeSink,
    known: Known,
) -> Result<Started, Not> {
    // Without room in it: what nobody takes comes back to the thread.
    let (reply, staged) = sync_channel(0);
    let (staging, notices) = (Arc::clone(plan), notices.clone());
    let thread = std::thread::Builder::new().name("stage".to_owned()).spawn(move || {
        let started = stack::start_plugins(&staging, &notices, &known);
        if let Err(SendError(Ok(late))) = reply.send(started) {
            stack::stop_plugins(&late.new, PLUGIN_GRACE);
        }
    });
    let refused = |problem: String| Not::Good(vec![problem]);
    thread.map_err(|error| refused(format!("there is no thread to load plugins on: {error}")))?;
    let deadline = plan.reload.stage_deadline;
    match staged.recv_timeout(deadline) {
        Ok(Ok(started)) => Ok(started),
        Ok(Err(errors)) => Err(not_started(&errors)),
        Err(RecvTimeoutError::Timeout) => Err(refused(format!(
            "reload.stage_deadline_ms: the plugins were not ready within {} ms; try again, or raise it",
            deadline.as_millis()
        ))),
        Err(RecvTimeoutError::Disconnected) => {
            Err(refused("the loader failed unexpectedly; please report this".to_owned()))
        }
    }
}

/// A restart helps when nothing else is wrong.
fn not_started(errors: &[StartError]) -> Not {
    let problems = errors.iter().map(ToString::to_string).collect();
    if errors.iter().all(StartError::takes_a_start) {
        Not::Live(problems)
    } else {
        Not::Good(problems)
    }
}
