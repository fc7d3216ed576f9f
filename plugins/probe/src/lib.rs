//! Stands in for real plugins while an appliance tests itself: tools without any effect that answer, ask, fail, take
//! their time, hang or say much, each when it is told to.

#[cfg(test)]
mod tests;

use std::time::Duration;

use plugin_sdk::prelude::*;

/// The plugin.
pub struct Probe;

/// How long a tool takes.
#[derive(Deserialize, JsonSchema)]
pub struct WaitArgs {
    /// Milliseconds.
    ms: u64,
}

/// How a call ends.
#[derive(Deserialize, JsonSchema)]
pub struct FailArgs {
    /// Whether it fails.
    fails: bool,
    /// Milliseconds that it takes.
    #[serde(default)]
    ms: u64,
}

/// How large an answer is.
#[derive(Deserialize, JsonSchema)]
pub struct LargeArgs {
    /// Bytes.
    bytes: usize,
}

/// How often a tool speaks.
#[derive(Deserialize, JsonSchema)]
pub struct SpeakArgs {
    /// Times.
    times: u32,
}

/// Which resource.
#[derive(Deserialize, JsonSchema)]
pub struct FollowedArgs {
    /// Its number.
    number: u32,
}

/// What a client decides.
#[derive(Deserialize, JsonSchema)]
struct Consent {
    /// Whether the tool may go on.
    #[serde(rename = "ok")]
    _ok: bool,
}

#[plugin(id = "toolrack.probe", description = "Stands in for real plugins in a self-test.")]
impl Probe {
    fn new(_: NoConfig, _: &Host) -> Result<Self> {
        Ok(Self)
    }

    /// Answers at once.
    #[tool(name = "probe_answer", read_only, idempotent, nonblocking, open_world = false)]
    fn answer(&self) -> Result<&'static str> {
        Ok("answered")
    }

    /// Fails by a fault of its own when it is told to, and answers otherwise.
    #[tool(name = "probe_fail", read_only)]
    async fn fail(&self, args: FailArgs) -> Result<&'static str> {
        if args.ms > 0 {
            tokio::time::sleep(Duration::from_millis(args.ms)).await;
        }
        if args.fails {
            Err(Error::internal("asked to fail by a self-test"))
        } else {
            Ok("answered")
        }
    }

    /// Answers after some time, and leaves when it is cancelled.
    #[tool(name = "probe_wait", read_only)]
    async fn wait(&self, args: WaitArgs) -> Result<&'static str> {
        tokio::time::sleep(Duration::from_millis(args.ms)).await;
        Ok("waited")
    }

    /// Never completes, and leaves when it is cancelled.
    #[tool(name = "probe_hang", read_only)]
    async fn hang(&self) -> Result<String> {
        std::future::pending().await
    }

    /// The same, as a second tool.
    #[tool(name = "probe_hang_beside", read_only)]
    async fn hang_beside(&self) -> Result<String> {
        std::future::pending().await
    }

    /// Never comes, and leaves when it is cancelled: a read that holds its permit.
    #[prompt(name = "probe_hang")]
    async fn hang_as_prompt(&self) -> Result<String> {
        std::future::pending().await
    }

    /// Answers with many bytes.
    #[tool(name = "probe_large", read_only)]
    fn large(&self, args: LargeArgs) -> Result<String> {
        Ok("x".repeat(args.bytes))
    }

    /// Runs as a task for those who know tasks. Never completes, and leaves when it is cancelled.
    #[tool(name = "probe_task", read_only, task = "optional")]
    async fn task(&self) -> Result<String> {
        std::future::pending().await
    }

    /// Asks its client whether it may go on, and answers whatever it decided.
    #[tool(name = "probe_ask", read_only)]
    async fn ask(&self, ctx: &Context) -> Result<&'static str> {
        let questions = Questions::new().elicit::<Consent>("go_on", "May this self-test go on?");
        ctx.ask(&questions.state("asked".into()))?;
        Ok("answered")
    }

    /// Speaks so many times before it answers.
    #[tool(name = "probe_speak", read_only)]
    async fn speak(&self, ctx: &Context, args: SpeakArgs) -> Result<&'static str> {
        for time in 1..=args.times {
            ctx.progress(time.into(), Some(args.times.into()), "speaking")?;
        }
        Ok("answered")
    }

    /// As many resources as somebody follows. None of them ever changes.
    #[resource_template("probe://followed/{number}", name = "Followed", mime = "text/plain")]
    fn followed(&self, args: FollowedArgs) -> Result<String> {
        Ok(format!("resource {}", args.number))
    }
}
