//! turbomcp with one tool; sessions and revision 2026-07-28 on one endpoint.

use std::io::Write;

use axum::serve::ListenerExt;
use tokio::net::TcpListener;
use turbomcp::http::{HttpConfig, router};
use turbomcp::prelude::*;

#[derive(Clone)]
struct Echo;

#[server(name = "turbomcp-peer", version = "0.1.0")]
impl Echo {
    /// Says the text back.
    #[tool(description = "Says the text back.")]
    async fn echo(&self, text: String) -> String {
        text
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let router = router(Echo.into_server().build(), HttpConfig::new().path("/mcp"));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    writeln!(std::io::stdout(), "listening http://{}/mcp", listener.local_addr()?)?;
    let listener = listener.tap_io(|stream| {
        // Without it the second part of an answer waits for the client's acknowledgement.
        stream.set_nodelay(true).ok();
    });
    axum::serve(listener, router).await?;
    Ok(())
}
