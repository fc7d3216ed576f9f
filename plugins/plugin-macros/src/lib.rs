//! The attribute macros of plugin-sdk.

mod attributes;
mod expand;
mod item;

use proc_macro::TokenStream;

/// Makes a plugin of an `impl` block. See the crate `plugin-sdk` for how it is used.
///
/// Arguments: `id = "acme.weather"`, `description = "…"`, and optionally `config = Type`, `instructions = "…"`.
/// Inside: `fn new(config, &Host) -> Result<Self>`, and functions with one of these attributes:
///
/// | attribute | function |
/// |---|---|
/// | `#[tool(…)]` | `[async] fn(&self[, &Context][, args: T]) -> Result<impl IntoOutput>` |
/// | `#[resource("uri", mime = "…")]` | the same without `args` |
/// | `#[resource_template("x://{id}", mime = "…")]` | the same; `args` holds the variables |
/// | `#[prompt]` | the same; every field of `args` is a string |
/// | `#[complete]` | `fn(&self, &CompletionRequest) -> Result<Completion>` |
/// | `#[resources]` | `fn(&self) -> Vec<ResourceEntry>`: resources that are listed at run time |
/// | `#[read]` | `fn(&self, &Context, uri: &str) -> Result<impl IntoOutput>`: reads those |
/// | `#[watch]` | `fn(&self, uri: &str, on: bool)` |
///
/// `#[tool]` takes `name = "…"`, `title = "…"`, `nonblocking`, `read_only`, `destructive`, `idempotent`,
/// `open_world = false`, `input_schema = CONST` (JSON text in place of the schema of `T`), `output = Type`,
/// `task = "optional"` or `"required"` (its calls may run as tasks), `questions_first` (the task begins with the answers
/// to its first questions).
#[proc_macro_attribute]
pub fn plugin(arguments: TokenStream, block: TokenStream) -> TokenStream {
    expand::plugin(arguments.into(), block.into())
        .unwrap_or_else(syn::Error::into_compile_error)
        .into()
}
