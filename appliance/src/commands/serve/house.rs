//! A plan brought up: its generation, its endpoint, and what is looked after while it serves.
//!
//! The lane of a self-test and the rehearsal of `explain --call` are brought up here as well, so that what they show is
//! what clients meet.

use std::sync::Arc;
use std::time::Duration;

use plugin_host::Plugin;
use profile::Plan;
use profile::plan::SessionPlan;
use runtime::{Changes, Generation, Switch, Tasks, Vitals, Watches};
use stack::{BuildError, Kit, Seal};
use telemetry::CallMeter;
use transport::Endpoint;
use transport::session::Sessions;

/// The first generation of `plan`, with its number, around plugins that have started: a fresh kit, and the stack that is built from it.
pub(crate) fn first_generation(
    plan: &Arc<Plan>,
    plugins: Vec<Arc<Plugin>>,
    seal: Seal,
    number: u64,
) -> Result<Arc<Switch>, BuildError> {
    let kit = Kit::new(plan, plugins, seal, Arc::new(CallMeter::new()));
    let stack = stack::build(plan, &kit)?;
    Ok(Arc::new(Switch::new(Generation::new(number, Arc::clone(plan), stack))))
}

/// What transports serve: the current generation, with nobody inside.
pub(crate) fn endpoint(switch: Arc<Switch>) -> Arc<Endpoint> {
    let generation = switch.load();
    let (plan, vitals) = (generation.plan(), Arc::new(Vitals::new()));
    vitals.set_generation(generation.number());
    Arc::new(Endpoint {
        sessions: Sessions::new(&plan.session),
        tasks: Tasks::new(&plan.tasks),
        changes: Changes::new(),
        watches: Watches::new(),
        vitals,
        ending: tokio::sync::watch::Sender::new(false),
        switch,
    })
}

/// Shows the control plane that the data plane runs.
pub(super) async fn beat(vitals: Arc<Vitals>) {
    let mut interval = tokio::time::interval(Vitals::BEAT);
    loop {
        interval.tick().await;
        vitals.beat();
    }
}

/// How often sessions are looked through: a fraction of what they are promised, and no more often than their clock goes
/// on.
fn sweep_period(plan: &SessionPlan) -> Duration {
    let shortest = plan.idle.min(plan.replay);
    (shortest / 4).clamp(Duration::from_secs(1), Duration::from_secs(10))
}

/// Ends idle sessions, forgets expired tasks and what layers need not know any more, and leaves tools alone whose calls
/// do not end.
pub(super) async fn sweep(endpoint: Arc<Endpoint>) {
    let mut interval = tokio::time::interval(Duration::from_secs(1));
    let mut next_sweep = None;
    loop {
        let now = interval.tick().await;
        endpoint.sessions.tick();
        let generation = endpoint.switch.load();
        generation.stack().kit().sweep();
        generation.stack().kit().quarantine_stuck();
        endpoint.switch.close_overdue(generation.plan().reload.drain);
        drop(generation);
        if next_sweep.is_some_and(|next_sweep| now < next_sweep) {
            continue;
        }
        next_sweep = Some(now + sweep_period(&endpoint.switch.load().plan().session));
        let ended = endpoint.sessions.sweep();
        if ended > 0 {
            tracing::debug!(ended, "Idle sessions ended.");
        }
        let expired = endpoint.tasks.sweep();
        if expired > 0 {
            tracing::debug!(expired, "Expired tasks forgotten.");
        }
    }
}
