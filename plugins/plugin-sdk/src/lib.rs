//! The contract made pleasant for authors of plugins in Rust.
//!
//! ```
//! use plugin_sdk::prelude::*;
//!
//! struct Greeter;
//!
//! #[derive(Deserialize, JsonSchema)]
//! struct GreetArgs {
//!     /// Whom to greet.
//!     name: String,
//! }
//!
//! #[plugin(id = "example.greeter", description = "Greets people.")]
//! impl Greeter {
//!     fn new(_: NoConfig, _: &Host) -> Result<Self> {
//!         Ok(Self)
//!     }
//!
//!     /// Says hello.
//!     #[tool(read_only)]
//!     fn greet(&self, args: GreetArgs) -> Result<String> {
//!         Ok(format!("Hello, {}!", args.name))
//!     }
//! }
//! # fn main() {}
//! ```
//!
//! A doc comment becomes the description, the argument type becomes the input schema, and an error becomes what the
//! client of that revision expects. See `plugins/README.md` for the whole guide.

mod content;
mod context;
mod entry;
mod error;
mod host;
mod instance;
mod items;
mod output;
mod questions;
pub mod testing;

pub use content::{Completion, CompletionRequest, PromptMessage, ResourceEntry, ToolResult};
pub use context::{Context, Level};
pub use error::{Error, Result};
pub use host::Host;
pub use items::{
    Author, Handler, Here, Items, Later, NoConfig, PromptItem, ResourceItem, Running, TaskSupport,
    ToolItem,
};
pub use output::{Blob, IntoOutput, Json, Output, Text};
pub use plugin_macros::plugin;
pub use questions::{Answers, Elicited, Questions, Sampled};

/// Everything that a plugin usually needs.
pub mod prelude {
    pub use schemars::{self, JsonSchema};
    pub use serde::{self, Deserialize, Serialize};

    pub use crate::{
        Answers, Blob, Completion, CompletionRequest, Context, Elicited, Error, Host, Json, Level,
        NoConfig, PromptMessage, Questions, ResourceEntry, Result, Sampled, Text, ToolResult,
        plugin,
    };
}

/// For the expansion of [`plugin`] only.
#[doc(hidden)]
pub mod expansion {
    pub use plugin_abi as abi;
    pub use serde_json;

    pub use crate::entry::Exported;
    pub use crate::instance::settle;
    pub use crate::items::{arguments, arguments_schema};
}
