//! Asks the next stack what every client asks first, before any client can.
//!
//! It is asked around states of its own: buckets, permits and counts of clients do not know of it.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use plugin_host::Plugin;
use profile::Plan;
use protocol::envelope::Message;
use protocol::json::Limits;
use protocol::{Call, ClientCapabilities, Envelope, Outcome, Principal, Revision, codes};
use runtime::wait_until;
use stack::{BuildError, Seal};
use telemetry::LaneRegistry;
use tokio::runtime::Handle;

use super::super::house;

/// What is asked.
const ASKED: [&str; 2] = [
    r#"{"jsonrpc":"2.0","id":1,"method":"server/discover","params":{}}"#,
    r#"{"jsonrpc":"2.0","id":2,"method":"tools/list","params":{}}"#,
];

/// Builds a stack of `plan` around these plugins and asks it, until `until`.
///
/// # Errors
/// When it cannot be built, fails, or does not answer in time.
pub(super) fn rehearse(
    plan: &Arc<Plan>,
    plugins: &[Arc<Plugin>],
    until: Instant,
    timers: &Handle,
) -> Result<(), String> {
    // A layer that makes a call wait needs the time.
    let _entered = timers.enter();
    LaneRegistry::new().within(|| {
        let seal = Seal::random(plan.request_state.ttl).map_err(|error| error.to_string())?;
        let switch = house::first_generation(plan, plugins.to_vec(), seal, 1)
            .map_err(|BuildError(problems)| problems.join("; "))?;
        let generation = switch.load();
        for text in ASKED {
            let parsed = Envelope::parse(Bytes::from_static(text.as_bytes()), &Limits::DEFAULT);
            let Ok(Message::One(envelope)) = parsed else { continue };
            let client = ClientCapabilities::NONE;
            let call = Call::new(envelope, Revision::MODERN, client, Principal::local());
            let method = call.method();
            let failed = |how: &str| {
                Err(format!("the next generation {how} {}; please report this", method.as_str()))
            };
            match wait_until(until, generation.stack().call(call)) {
                None => return failed("does not answer in time to"),
                Some(Ok(reply)) => match reply.outcome {
                    Outcome::Failed(fault) if fault.code == codes::INTERNAL_ERROR => {
                        return failed("fails at");
                    }
                    _ => {}
                },
                // A limit may be as tight as its operator likes.
                Some(Err(_)) => {}
            }
        }
        Ok(())
    })
}
