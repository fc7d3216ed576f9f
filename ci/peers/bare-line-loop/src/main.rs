//! The ceiling for stdio: reads a line, writes a fixed line.
//!
//! `bare-line-loop [BYTES]`: the length of that line without its end, filled up with text; 160 without one.

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, BufWriter};

/// Bytes of each buffer: many small lines for each system call.
const BUFFER_BYTES: usize = 64 * 1024;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let bytes: usize = std::env::args().nth(1).map_or(Ok(160), |text| text.parse())?;
    let head = r#"{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":""#;
    let tail = r#""}]}}"#;
    let text = "x".repeat(bytes.saturating_sub(head.len() + tail.len()));
    let answer = format!("{head}{text}{tail}\n");
    let mut input = BufReader::with_capacity(BUFFER_BYTES, tokio::io::stdin());
    let mut output = BufWriter::with_capacity(BUFFER_BYTES, tokio::io::stdout());
    let mut line = Vec::new();
    loop {
        line.clear();
        if input.read_until(b'\n', &mut line).await? == 0 {
            output.flush().await?;
            return Ok(());
        }
        output.write_all(answer.as_bytes()).await?;
        // Nothing more to read at once: the client may be waiting for what is still in the buffer.
        if input.buffer().is_empty() {
            output.flush().await?;
        }
    }
}
