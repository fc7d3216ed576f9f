//! The ceiling for stdio: reads a line, writes a fixed line.
//!
//! `bare-line-loop [BYTES [BUFFER_BYTES]]`: the length of that line without its end, filled up with text, 160 without
//! one; and how large the buffers are, those of tokio without it.

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, BufWriter};

/// What tokio's own `BufReader` and `BufWriter` have.
const BUFFER_BYTES: usize = 8 * 1024;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let argument = |place, default| {
        std::env::args().nth(place).map_or(Ok(default), |text| text.parse::<usize>())
    };
    let (bytes, buffer_bytes) = (argument(1, 160)?, argument(2, BUFFER_BYTES)?);
    let head = r#"{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":""#;
    let tail = r#""}]}}"#;
    let text = "x".repeat(bytes.saturating_sub(head.len() + tail.len()));
    let answer = format!("{head}{text}{tail}\n");
    let mut input = BufReader::with_capacity(buffer_bytes, tokio::io::stdin());
    let mut output = BufWriter::with_capacity(buffer_bytes, tokio::io::stdout());
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
