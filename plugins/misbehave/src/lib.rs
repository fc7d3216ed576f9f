//! Does wrong on request: for the tests of the host, and for trying out what a bad plugin does to its neighbours.
//!
//! Only what inline isolation promises to survive. Corrupt memory, a full stack and `exit` are no tools of this plugin:
//! they end the process, as the guide to plugins says.

mod rubbish;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use plugin_sdk::prelude::*;

use rubbish::Rubbish;

/// What the profile may set.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where it panics by itself; nowhere by default.
    panics_in: Option<Step>,
    /// A file that its start waits for, however long that takes; none by default.
    starts_after: Option<PathBuf>,
    /// Answers of more bytes fail; none by default.
    fails_above_bytes: Option<usize>,
}

/// A step in the life of a plugin.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
enum Step {
    /// When it is created.
    Start,
    /// When it is described for the first time.
    Describe,
    /// When it is described again, after a change.
    DescribeAgain,
    /// When it is destroyed.
    Stop,
}

/// The plugin.
pub struct Misbehave {
    host: Host,
    panics_in: Option<Step>,
    fails_above_bytes: usize,
    was_described: AtomicBool,
}

/// How a tool panics.
#[derive(Deserialize, JsonSchema)]
pub struct PanicArgs {
    /// Panics once more while the first panic is cleaned up.
    #[serde(default)]
    twice: bool,
}

/// How long a tool holds its thread.
#[derive(Deserialize, JsonSchema)]
pub struct BlockArgs {
    /// Milliseconds.
    ms: u64,
}

/// How long a tool takes.
#[derive(Deserialize, JsonSchema)]
pub struct TimeArgs {
    /// Milliseconds.
    ms: u64,
}

/// How large an answer, or a question, is.
#[derive(Deserialize, JsonSchema)]
pub struct LargeArgs {
    /// Bytes.
    bytes: usize,
}

/// What a client is asked.
#[derive(Deserialize, JsonSchema)]
pub struct Consent {}

/// What a tool tells far too often.
#[derive(Deserialize, JsonSchema)]
pub struct FloodArgs {
    /// What.
    what: Flood,
    /// How often.
    count: u32,
}

/// What can be told too often.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Flood {
    /// Progress of the call.
    Progress,
    /// Messages to the client.
    Messages,
    /// Lines in the operator's log.
    Log,
    /// Changes of its lists.
    Changes,
}

/// What a tool answers that no client may see.
#[derive(Deserialize, JsonSchema)]
pub struct RubbishArgs {
    /// Which.
    kind: Rubbish,
}

/// A panic's payload that panics again when it is dropped.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("asked to panic twice");
    }
}

#[plugin(id = "toolrack.misbehave", description = "Does wrong on request.", config = Config)]
impl Misbehave {
    fn new(config: Config, host: &Host) -> Result<Self> {
        assert!(config.panics_in != Some(Step::Start), "asked to panic in start");
        if let Some(file) = &config.starts_after {
            while !file.exists() {
                hold_thread(1);
            }
        }
        Ok(Self {
            host: *host,
            panics_in: config.panics_in,
            fails_above_bytes: config.fails_above_bytes.unwrap_or(usize::MAX),
            was_described: AtomicBool::new(false),
        })
    }

    /// Called whenever the host asks for a description.
    #[resources]
    fn list(&self) -> Vec<ResourceEntry> {
        let step = if self.was_described.swap(true, Relaxed) {
            Step::DescribeAgain
        } else {
            Step::Describe
        };
        assert!(self.panics_in != Some(step), "asked to panic in {step:?}");
        Vec::new()
    }

    /// Panics on a thread of the pool.
    #[tool(name = "panic")]
    fn panic_on_pool(&self, args: PanicArgs) -> Result<String> {
        if args.twice {
            std::panic::panic_any(Bomb);
        }
        panic!("asked to panic");
    }

    /// Panics on the thread that serves the client.
    #[tool(nonblocking)]
    fn panic_here(&self) -> Result<String> {
        panic!("asked to panic");
    }

    /// Panics on the event loop.
    #[tool]
    async fn panic_async(&self) -> Result<String> {
        panic!("asked to panic");
    }

    /// Never completes, and leaves when it is cancelled.
    #[tool]
    async fn never(&self) -> Result<String> {
        std::future::pending().await
    }

    /// Never comes back, cancelled or not: its thread is lost.
    #[tool]
    fn hang(&self) -> Result<String> {
        loop {
            std::thread::park();
        }
    }

    /// Says that it does not block, and blocks.
    #[tool(nonblocking)]
    fn block(&self, args: BlockArgs) -> Result<&'static str> {
        hold_thread(args.ms);
        Ok("done")
    }

    /// Blocks the event loop that its other async tools need.
    #[tool]
    async fn block_loop(&self, args: BlockArgs) -> Result<&'static str> {
        hold_thread(args.ms);
        Ok("done")
    }

    /// Takes its time and no core: for loads whose capacity must be known.
    #[tool]
    async fn wait(&self, args: TimeArgs) -> Result<&'static str> {
        tokio::time::sleep(Duration::from_millis(args.ms)).await;
        Ok("done")
    }

    /// Takes a core for a while, and does nothing with it.
    #[tool]
    fn spin(&self, args: TimeArgs) -> Result<&'static str> {
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_millis(args.ms) {
            std::hint::spin_loop();
        }
        Ok("done")
    }

    /// Answers with many bytes.
    #[tool]
    fn large(&self, args: LargeArgs) -> Result<String> {
        if args.bytes > self.fails_above_bytes {
            return Err(Error::internal("asked to fail"));
        }
        Ok("x".repeat(args.bytes))
    }

    /// Asks the client for its consent, at length.
    #[tool]
    fn large_question(&self, context: &Context, args: LargeArgs) -> Result<&'static str> {
        let questions = Questions::new().elicit::<Consent>("consent", &"x".repeat(args.bytes));
        context.ask(&questions)?;
        Ok("asked")
    }

    /// Tells something far too often, then answers.
    #[tool]
    fn flood(&self, context: &Context, args: FloodArgs) -> Result<&'static str> {
        for number in 0..args.count {
            match args.what {
                // Goes on when nobody waits any more: that is the point.
                Flood::Progress => drop(context.progress(f64::from(number), None, "flood")),
                Flood::Messages => context.message(Level::Emergency, "flood", &number),
                Flood::Log => context.log("flood"),
                Flood::Changes => self.host.tools_changed(),
            }
        }
        Ok("done")
    }

    /// Answers what no client may see.
    #[tool]
    fn rubbish(&self, args: RubbishArgs) -> Result<Rubbish> {
        Ok(args.kind)
    }
}

#[expect(clippy::disallowed_methods, reason = "a thread that is held is what these tools are for")]
fn hold_thread(ms: u64) {
    std::thread::sleep(Duration::from_millis(ms));
}

impl Drop for Misbehave {
    fn drop(&mut self) {
        assert!(self.panics_in != Some(Step::Stop), "asked to panic in stop");
    }
}
