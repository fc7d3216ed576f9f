//! Counts the letters of a text: the fifth of five plugins whose loading is timed.

use plugin_sdk::prelude::*;

/// The plugin.
pub struct Letters;

/// What to count in.
#[derive(Deserialize, JsonSchema)]
pub struct LettersArgs {
    /// The text.
    text: String,
}

#[plugin(id = "toolrack.letters", description = "Counts letters.")]
impl Letters {
    fn new(_: NoConfig, _: &Host) -> Result<Self> {
        Ok(Self)
    }

    /// Counts the letters.
    #[tool(title = "Letters", read_only, idempotent, nonblocking, open_world = false)]
    fn letters(&self, args: LettersArgs) -> Result<String> {
        Ok(args.text.chars().filter(|letter| letter.is_alphabetic()).count().to_string())
    }
}
