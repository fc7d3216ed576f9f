//! The fixtures that the official MCP conformance suite calls.
//!
//! Names, texts and schemas are the suite's own; the waits between notifications are part of its scenarios. Beside them
//! stand a link to a resource, and two tools by which a client sees whether a call that it cancelled has really ended.

mod asking;
mod ending;
mod fixtures;
mod talking;
mod working;

use plugin_sdk::prelude::*;

use asking::{Color, Name, Topic};
use ending::Ended;
use fixtures::{JSON_SCHEMA_2020_12, PNG, WAV};
use working::{ComputeArgs, DeleteArgs};

/// The plugin.
pub struct Conformance {
    host: Host,
    ended: Ended,
}

/// A prompt for the client's model.
#[derive(Deserialize, JsonSchema)]
pub struct SamplingArgs {
    /// What to ask.
    prompt: String,
}

/// A message to the user.
#[derive(Deserialize, JsonSchema)]
pub struct ElicitationArgs {
    /// What to say.
    message: String,
}

/// Arguments of which one is mirrored in a header.
#[derive(Deserialize, JsonSchema)]
pub struct HeaderArgs {
    /// Mirrored.
    #[schemars(extend("x-mcp-header" = "Region"))]
    region: String,
    /// Not mirrored.
    query: String,
}

/// Whom to greet.
#[derive(Deserialize, JsonSchema)]
pub struct GreetArgs {
    /// A name.
    name: String,
}

/// Which call is meant.
#[derive(Deserialize, JsonSchema)]
pub struct MarkArgs {
    /// A word of the client's own.
    mark: String,
}

/// The variable of the template.
#[derive(Deserialize, JsonSchema)]
pub struct DataArgs {
    /// Which data.
    id: String,
}

/// Arguments of `test_prompt_with_arguments`.
#[derive(Deserialize, JsonSchema)]
pub struct TwoArgs {
    /// First test argument.
    arg1: String,
    /// Second test argument.
    arg2: String,
}

/// Arguments of `test_prompt_with_embedded_resource`.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EmbedArgs {
    /// The resource to embed.
    resource_uri: String,
}

#[plugin(id = "toolrack.conformance", description = "Fixtures of the official conformance suite.")]
impl Conformance {
    fn new(_: NoConfig, host: &Host) -> Result<Self> {
        Ok(Self { host: *host, ended: Ended::default() })
    }

    /// Returns plain text.
    #[tool]
    fn test_simple_text(&self) -> Result<&'static str> {
        Ok("This is a simple text response for testing.")
    }

    /// Returns an image.
    #[tool]
    fn test_image_content(&self) -> Result<ToolResult> {
        Ok(ToolResult::new().image(PNG, "image/png"))
    }

    /// Returns a sound.
    #[tool]
    fn test_audio_content(&self) -> Result<ToolResult> {
        Ok(ToolResult::new().audio(WAV, "audio/wav"))
    }

    /// Returns an embedded resource.
    #[tool]
    fn test_embedded_resource(&self) -> Result<ToolResult> {
        let text = "This is an embedded resource content.";
        Ok(ToolResult::new().resource("test://embedded-resource", "text/plain", text))
    }

    /// Returns a link to a resource, for the interop checks.
    #[tool]
    fn test_resource_link(&self) -> Result<ToolResult> {
        Ok(ToolResult::new().resource_link("test://static-text", "Static text", Some("text/plain")))
    }

    /// Returns text, an image and a resource.
    #[tool]
    fn test_multiple_content_types(&self) -> Result<ToolResult> {
        Ok(ToolResult::new().text("Multiple content types test:").image(PNG, "image/png").resource(
            "test://mixed-content-resource",
            "application/json",
            r#"{"test":"data","value":123}"#,
        ))
    }

    /// Always fails.
    #[tool]
    fn test_error_handling(&self) -> Result<String> {
        Err(Error::tool("This tool intentionally returns an error for testing"))
    }

    /// Reports progress three times.
    #[tool]
    async fn test_tool_with_progress(&self, ctx: &Context) -> Result<String> {
        talking::progress(ctx).await
    }

    /// Has a schema with every kind of JSON Schema 2020-12 keyword.
    #[tool(input_schema = JSON_SCHEMA_2020_12)]
    fn json_schema_2020_12_tool(&self) -> Result<&'static str> {
        Ok("The arguments fit.")
    }

    /// Logs three messages.
    #[tool]
    async fn test_tool_with_logging(&self, ctx: &Context) -> Result<String> {
        talking::logging(ctx).await
    }

    /// Asks the client's model.
    #[tool]
    fn test_sampling(&self, ctx: &Context, args: SamplingArgs) -> Result<String> {
        let answer = ctx.sample("answer", &args.prompt, 100)?;
        Ok(format!("LLM response: {}", answer.text))
    }

    /// Asks the user for a name and an address.
    #[tool]
    fn test_elicitation(&self, ctx: &Context, args: ElicitationArgs) -> Result<String> {
        asking::user_info(ctx, &args.message)
    }

    /// Asks with a default in every field.
    #[tool]
    fn test_elicitation_sep1034_defaults(&self, ctx: &Context) -> Result<String> {
        asking::form(ctx, fixtures::defaults_schema())
    }

    /// Asks with every kind of choice.
    #[tool]
    fn test_elicitation_sep1330_enums(&self, ctx: &Context) -> Result<String> {
        asking::form(ctx, fixtures::enums_schema())
    }

    /// Lets the connection go in the middle.
    #[tool]
    async fn test_reconnection(&self, ctx: &Context) -> Result<String> {
        talking::reconnection(ctx).await
    }

    /// Needs a model.
    #[tool]
    fn test_missing_capability(&self, ctx: &Context) -> Result<String> {
        Ok(ctx.sample("text", "Say something.", 10)?.text)
    }

    /// Answers at once.
    #[tool]
    fn test_streaming_elicitation(&self) -> Result<&'static str> {
        Ok("Nothing had to be asked.")
    }

    /// Logs, whether anybody listens or not.
    #[tool]
    fn test_logging_tool(&self, ctx: &Context) -> Result<&'static str> {
        ctx.message(Level::Info, "conformance", &"A message for those who asked for it.");
        Ok("Logged.")
    }

    /// Says that the tools changed.
    #[tool]
    fn test_trigger_tool_change(&self) -> Result<&'static str> {
        self.host.tools_changed();
        Ok("Said so.")
    }

    /// Says that the prompts changed.
    #[tool]
    fn test_trigger_prompt_change(&self) -> Result<&'static str> {
        self.host.prompts_changed();
        Ok("Said so.")
    }

    /// Has an argument that a header mirrors.
    #[tool]
    fn test_x_mcp_header(&self, args: HeaderArgs) -> Result<String> {
        Ok(format!("Region {}, query {}.", args.region, args.query))
    }

    /// Asks for a name.
    #[tool]
    fn test_input_required_result_elicitation(&self, ctx: &Context) -> Result<String> {
        let name: Elicited<Name> = ctx.elicit("user_name", "What is your name?")?;
        Ok(asking::greet(&name))
    }

    /// Asks the client's model.
    #[tool]
    fn test_input_required_result_sampling(&self, ctx: &Context) -> Result<String> {
        Ok(ctx.sample("capital_question", "What is the capital of France?", 100)?.text)
    }

    /// Asks for the client's roots.
    #[tool]
    fn test_input_required_result_list_roots(&self, ctx: &Context) -> Result<String> {
        Ok(format!("Roots: {}", ctx.roots("client_roots")?.join(", ")))
    }

    /// Asks, and gives the client a state.
    #[tool]
    fn test_input_required_result_request_state(&self, ctx: &Context) -> Result<String> {
        asking::with_state(ctx, "state-ok")
    }

    /// Asks three things at once.
    #[tool]
    fn test_input_required_result_multiple_inputs(&self, ctx: &Context) -> Result<String> {
        asking::three_at_once(ctx)
    }

    /// Asks twice, one after the other.
    #[tool]
    fn test_input_required_result_multi_round(&self, ctx: &Context) -> Result<String> {
        let step = Questions::new().elicit::<Name>("step1", "Your name?").state("step1".into());
        let name = ctx.ask(&step)?.elicited::<Name>("step1");
        let step = Questions::new().elicit::<Color>("step2", "Your color?").state("step2".into());
        let color = ctx.ask(&step)?.elicited::<Color>("step2");
        Ok(asking::favourite(name, color))
    }

    /// Asks, and trusts only a state that nobody changed.
    #[tool]
    fn test_input_required_result_tampered_state(&self, ctx: &Context) -> Result<String> {
        asking::with_state(ctx, "untouched")
    }

    /// Asks for several things, of which the client may not know all.
    #[tool]
    fn test_input_required_result_capabilities(&self, ctx: &Context) -> Result<String> {
        asking::what_the_client_can(ctx)
    }

    /// Answers at once: never a task.
    #[tool]
    fn greet(&self, args: GreetArgs) -> Result<String> {
        Ok(format!("Hello, {}!", args.name))
    }

    /// Takes as long as it is told.
    #[tool(task = "optional")]
    async fn slow_compute(&self, args: ComputeArgs) -> Result<String> {
        Ok(working::compute(args).await)
    }

    /// Fails after a while, as tools do.
    #[tool(task = "required")]
    async fn failing_job(&self) -> Result<String> {
        working::fail(Error::tool("This job always fails.")).await
    }

    /// Fails after a while, as no tool should.
    #[tool(task = "optional")]
    async fn protocol_error_job(&self) -> Result<String> {
        working::fail(Error::internal("This job always breaks.")).await
    }

    /// Asks before it deletes nothing.
    #[tool(task = "optional")]
    async fn confirm_delete(&self, ctx: &Context, args: DeleteArgs) -> Result<String> {
        working::delete(ctx, &args)
    }

    /// Asks two things at once.
    #[tool(task = "optional")]
    async fn multi_input(&self, ctx: &Context) -> Result<String> {
        working::two_at_once(ctx)
    }

    /// Asks for a name, and then works on.
    #[tool(task = "required", questions_first)]
    async fn test_tool_with_task(&self, ctx: &Context) -> Result<String> {
        let name: Elicited<Name> = ctx.elicit("user_name", "What is your name?")?;
        working::pause().await;
        Ok(asking::greet(&name))
    }

    /// Says that it waits, and waits until it is cancelled.
    #[tool]
    async fn test_cancellation(&self, ctx: &Context, args: MarkArgs) -> Result<String> {
        self.ended.wait(ctx, args.mark).await
    }

    /// Says whether the waiting call with this mark was ended, and forgets it.
    #[tool]
    fn test_was_cancelled(&self, args: MarkArgs) -> Result<&'static str> {
        Ok(if self.ended.take(&args.mark) { "yes" } else { "no" })
    }

    /// Text that never changes.
    #[resource("test://static-text", name = "Static text", mime = "text/plain")]
    fn static_text(&self) -> Result<&'static str> {
        Ok("This is the content of the static text resource.")
    }

    /// An image that never changes.
    #[resource("test://static-binary", name = "Static image", mime = "image/png")]
    fn static_binary(&self) -> Result<Blob> {
        Ok(Blob { data: fixtures::png(), mime: "image/png".into() })
    }

    /// Can be followed.
    #[resource("test://watched-resource", name = "Watched resource", mime = "text/plain")]
    fn watched_resource(&self) -> Result<&'static str> {
        Ok("This resource can be followed.")
    }

    /// Data by id.
    #[resource_template(
        "test://template/{id}/data",
        name = "Template data",
        mime = "application/json"
    )]
    fn template_data(&self, args: DataArgs) -> Result<String> {
        Ok(fixtures::template_data(&args.id))
    }

    /// One message.
    #[prompt]
    fn test_simple_prompt(&self) -> Result<Vec<PromptMessage>> {
        Ok(vec![PromptMessage::user("This is a simple prompt for testing.")])
    }

    /// One message with two arguments.
    #[prompt]
    fn test_prompt_with_arguments(&self, args: TwoArgs) -> Result<Vec<PromptMessage>> {
        let TwoArgs { arg1, arg2 } = args;
        Ok(vec![PromptMessage::user(format!(
            "Prompt with arguments: arg1='{arg1}', arg2='{arg2}'"
        ))])
    }

    /// A resource and a message.
    #[prompt]
    fn test_prompt_with_embedded_resource(&self, args: EmbedArgs) -> Result<Vec<PromptMessage>> {
        let text = "Embedded resource content for testing.";
        Ok(vec![
            PromptMessage::user_resource(&args.resource_uri, "text/plain", text),
            PromptMessage::user("Please process the embedded resource above."),
        ])
    }

    /// An image and a message.
    #[prompt]
    fn test_prompt_with_image(&self) -> Result<Vec<PromptMessage>> {
        Ok(vec![
            PromptMessage::user_image(PNG, "image/png"),
            PromptMessage::user("Please analyze the image above."),
        ])
    }

    /// Asks before it renders.
    #[prompt]
    fn test_input_required_result_prompt(&self, ctx: &Context) -> Result<Vec<PromptMessage>> {
        let context: Elicited<Topic> = ctx.elicit("user_context", "What is this about?")?;
        Ok(vec![PromptMessage::user(asking::about(&context))])
    }

    /// Completes everything with the same words.
    #[complete]
    fn complete(&self, request: &CompletionRequest) -> Result<Completion> {
        let words = ["testing", "testValue1", "testValue2"];
        let typed = &request.argument.value;
        Ok(Completion::new(
            words
                .iter()
                .filter(|word| word.starts_with(typed))
                .map(|word| (*word).to_owned())
                .collect(),
        ))
    }

    /// Everything that is read from here is the same for ever; following it is allowed and quiet.
    #[watch]
    fn watch(&self, uri: &str, on: bool) {
        self.host.debug(&format!("{} {uri}", if on { "following" } else { "no longer following" }));
    }
}
