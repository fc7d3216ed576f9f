//! Calls of async tools that nobody waits for any more.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, OnceLock};

use plugin_sdk::prelude::*;
use plugin_sdk::testing::Harness;

/// Status of the plugin ABI.
const CANCELLED: i32 = 5;

/// Says that `hold` has begun; ends it.
static HOLD: OnceLock<(SyncSender<()>, Mutex<Receiver<()>>)> = OnceLock::new();

/// A plugin whose event loop can be held.
pub struct Slow;

#[plugin(id = "test.slow", description = "Slow.")]
impl Slow {
    fn new(_: NoConfig, _: &Host) -> Result<Self> {
        Ok(Self)
    }

    /// Holds the event loop.
    #[tool]
    async fn hold(&self) -> Result<&'static str> {
        let (begun, end) = HOLD.get().ok_or_else(|| Error::internal("not prepared"))?;
        begun.send(())?;
        end.lock().map_err(|_| Error::internal("poisoned"))?.recv()?;
        Ok("held")
    }

    /// Never ends by itself.
    #[tool]
    async fn never(&self) -> Result<String> {
        std::future::pending().await
    }
}

#[test]
fn a_call_that_is_cancelled_ends_also_when_it_has_not_begun() {
    let (begun, has_begun) = sync_channel(1);
    let (end, ends) = sync_channel(1);
    assert!(HOLD.set((begun, Mutex::new(ends))).is_ok());
    let harness = Harness::<Slow>::new("{}").expect("it starts");
    let running = harness.begin_tool("never", "{}");
    let holding = harness.begin_tool("hold", "{}");
    has_begun.recv().expect("the event loop is held");
    let waiting = harness.begin_tool("never", "{}");
    running.cancel();
    waiting.cancel();
    end.send(()).expect("it waits");
    assert_eq!(holding.end().text(), "held");
    assert_eq!((running.end().status, waiting.end().status), (CANCELLED, CANCELLED));
    assert_eq!(harness.call_tool("gone", "{}").status, 3);
}
