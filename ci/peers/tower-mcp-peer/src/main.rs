//! tower-mcp with one tool; sessions and revision 2026-07-28 on one endpoint.

use std::io::Write;

use axum::serve::ListenerExt;
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::net::TcpListener;
use tower_mcp::{BoxError, CallToolResult, HttpTransport, McpRouter, ToolBuilder};

/// What to say back.
#[derive(Debug, Deserialize, JsonSchema)]
struct EchoArguments {
    /// The text to say back.
    text: String,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    let echo = ToolBuilder::new("echo")
        .description("Says the text back.")
        .handler(|arguments: EchoArguments| async move { Ok(CallToolResult::text(arguments.text)) })
        .build();
    let router = McpRouter::new().server_info("tower-mcp-peer", "0.1.0").tool(echo);
    let router = HttpTransport::new(router).require_sessions().into_router_at("/mcp");
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    writeln!(std::io::stdout(), "listening http://{}/mcp", listener.local_addr()?)?;
    let listener = listener.tap_io(|stream| {
        // Without it the second part of an answer waits for the client's acknowledgement.
        stream.set_nodelay(true).ok();
    });
    axum::serve(listener, router).await?;
    Ok(())
}
