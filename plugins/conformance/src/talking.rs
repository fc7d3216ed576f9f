//! Tools that speak before they answer.

use std::time::Duration;

use plugin_sdk::prelude::*;

/// The suite wants notifications to be apart from one another.
const PAUSE: Duration = Duration::from_millis(50);

pub(crate) async fn progress(ctx: &Context) -> Result<String> {
    for step in [0.0, 50.0, 100.0] {
        ctx.progress(step, Some(100.0), &format!("Completed step {step} of 100"))?;
        tokio::time::sleep(PAUSE).await;
    }
    Ok("Done, with progress.".to_owned())
}

pub(crate) async fn logging(ctx: &Context) -> Result<String> {
    for text in ["Tool execution started", "Tool processing data", "Tool execution completed"] {
        ctx.message(Level::Info, "conformance", &text);
        tokio::time::sleep(PAUSE).await;
    }
    Ok("Done, with messages.".to_owned())
}

pub(crate) async fn reconnection(ctx: &Context) -> Result<String> {
    ctx.detach(Duration::from_millis(500));
    // The client has lost its connection by now; the work goes on.
    tokio::time::sleep(2 * PAUSE).await;
    Ok("Finished while the client was away.".to_owned())
}
