//! Says back what it is told: for smoke tests and benchmarks.

use std::borrow::Cow;

use plugin_sdk::prelude::*;

/// The plugin.
pub struct Echo;

/// What to say back.
#[derive(Deserialize, JsonSchema)]
pub struct EchoArgs<'a> {
    /// The text to say back.
    #[serde(borrow)]
    text: Cow<'a, str>,
}

#[plugin(id = "toolrack.echo", description = "Says back what it is told.")]
impl Echo {
    fn new(_: NoConfig, _: &Host) -> Result<Self> {
        Ok(Self)
    }

    /// Says the text back.
    #[tool(title = "Echo", read_only, idempotent, nonblocking, open_world = false)]
    fn echo<'a>(&self, args: EchoArgs<'a>) -> Result<Text<'a>> {
        Ok(Text(args.text))
    }
}
