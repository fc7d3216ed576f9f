//! A connection of the client, and what it hears beside the answers.

use anyhow::{Context, Result, anyhow, ensure};
use rmcp::model::{
    CallToolRequestParams, CallToolResult, ClientCapabilities, ClientConfig, ElicitRequestParams,
    ElicitResult, ElicitationAction, Implementation, JsonObject, ProgressNotificationParam,
    ProtocolVersion, ResourceUpdatedNotificationParam,
};
use rmcp::service::{NotificationContext, RequestContext, RunningService};
use rmcp::transport::{StreamableHttpClientTransport, TokioChildProcess};
use rmcp::{ClientHandler, ClientLifecycleMode, ClientServiceExt, ErrorData, RoleClient};
use serde_json::{Value, json};
use tokio::process::Command;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// Something that reached the client beside an answer.
#[derive(Debug, PartialEq)]
pub enum Heard {
    /// A form, with its message.
    Asked(String),
    /// How far a call is.
    Progress(f64),
    /// A followed resource changed.
    Updated(String),
    /// The tools changed.
    ToolsChanged,
}

/// The client's side of what a server may say.
pub struct Listener(ClientConfig, UnboundedSender<Heard>);

impl ClientHandler for Listener {
    fn get_info(&self) -> ClientConfig {
        self.0.clone()
    }

    async fn create_elicitation(
        &self,
        request: ElicitRequestParams,
        _: RequestContext<RoleClient>,
    ) -> Result<ElicitResult, ErrorData> {
        if let ElicitRequestParams::FormElicitationParams { message, .. } = request {
            self.1.send(Heard::Asked(message)).ok();
        }
        Ok(ElicitResult::new(ElicitationAction::Accept)
            .with_content(json!({ "username": "ada", "email": "ada@example.com" })))
    }

    async fn on_progress(
        &self,
        params: ProgressNotificationParam,
        _: NotificationContext<RoleClient>,
    ) {
        self.1.send(Heard::Progress(params.progress)).ok();
    }

    async fn on_resource_updated(
        &self,
        params: ResourceUpdatedNotificationParam,
        _: NotificationContext<RoleClient>,
    ) {
        self.1.send(Heard::Updated(params.uri)).ok();
    }

    async fn on_tool_list_changed(&self, _: NotificationContext<RoleClient>) {
        self.1.send(Heard::ToolsChanged).ok();
    }
}

/// A connection.
pub struct Session {
    /// The client itself.
    pub client: RunningService<RoleClient, Listener>,
    /// Whether the modern era is spoken.
    pub is_modern: bool,
    /// A word that no other run uses.
    pub mark: String,
    heard: UnboundedReceiver<Heard>,
}

impl Session {
    /// Connects in the era that is asked for, and in no other.
    pub async fn open(
        is_modern: bool,
        mark: &str,
        transport: &str,
        target: &str,
        rest: &[String],
    ) -> Result<Self> {
        let capabilities = ClientCapabilities::builder().enable_elicitation().build();
        let info = ClientConfig::new(capabilities, Implementation::new("interop", "1.0.0"))
            .with_protocol_version(ProtocolVersion::V_2025_11_25);
        let lifecycle = if is_modern {
            let preferred_versions = vec![ProtocolVersion::V_2026_07_28];
            ClientLifecycleMode::Discover { preferred_versions }
        } else {
            ClientLifecycleMode::Initialize
        };
        let (sender, heard) = unbounded_channel();
        let listener = Listener(info, sender);
        let client = if transport == "http" {
            let link = StreamableHttpClientTransport::from_uri(target);
            listener.serve_with_lifecycle(link, lifecycle).await?
        } else {
            let mut command = Command::new(target);
            command.args(rest);
            listener.serve_with_lifecycle(TokioChildProcess::new(command)?, lifecycle).await?
        };
        Ok(Self { client, is_modern, mark: mark.to_owned(), heard })
    }

    /// The next thing that reached the client beside an answer.
    pub async fn hear(&mut self) -> Result<Heard> {
        self.heard.recv().await.context("the connection has ended")
    }

    /// Calls a tool with an object.
    pub async fn call(&self, tool: &'static str, arguments: Value) -> Result<CallToolResult> {
        Ok(self.client.call_tool(request(tool, arguments)?).await?)
    }

    /// The text that a tool answers.
    pub async fn say(&self, tool: &'static str, arguments: Value) -> Result<String> {
        let result = self.call(tool, arguments).await?;
        ensure!(result.is_error != Some(true), "{tool} succeeds; seen: {result:?}");
        let text = result.content.first().and_then(|content| content.as_text());
        Ok(text.with_context(|| format!("{tool} answers text; seen: {result:?}"))?.text.clone())
    }

    /// Ends the connection as a client does.
    pub async fn close(self) -> Result<()> {
        self.client.cancel().await.map(drop).context("the connection does not end")
    }
}

/// What a call of a tool sends.
pub fn request(tool: &'static str, arguments: Value) -> Result<CallToolRequestParams> {
    let arguments: JsonObject = serde_json::from_value(arguments)
        .map_err(|error| anyhow!("arguments are an object: {error}"))?;
    Ok(CallToolRequestParams::new(tool).with_arguments(arguments))
}
