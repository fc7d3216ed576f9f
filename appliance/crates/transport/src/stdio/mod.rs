//! Lines on standard input and output: one client, both eras, one task that owns the output.
//!
//! Calls that are answered at once are answered between two lines, and what a read brought in goes out with few writes.

mod conversation;
mod lines;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use profile::plan::StdioPlan;
use protocol::{Fault, Id, codes, encode};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::{mpsc, watch};

use crate::endpoint::Endpoint;
use conversation::Conversation;
use lines::{Line, Lines};

/// How long calls that still run when the client closes its end may take to finish.
const END_GRACE: Duration = Duration::from_secs(2);
/// Messages of running calls on their way to the output; a call that is ahead of the client waits here.
const MESSAGES_MAX: usize = 256;
/// Answers that are written together: the client reads them while the next ones are made, and the first of many lines
/// does not wait for the last.
const ANSWERS_TOGETHER: usize = 16;
/// From here on output is written before more input is looked at.
const OUTPUT_BYTES_HIGH: usize = 256 * 1024;

/// Serves one client until it closes `input` or the process ends.
///
/// # Errors
/// When `output` is gone.
pub async fn serve(
    endpoint: Arc<Endpoint>,
    plan: &StdioPlan,
    mut input: impl AsyncRead + Unpin,
    mut output: impl AsyncWrite + Unpin,
) -> std::io::Result<()> {
    let (sender, mut messages) = mpsc::channel::<Bytes>(MESSAGES_MAX);
    let mut ending = endpoint.ending.subscribe();
    let mut lines = Lines::default();
    let mut out = Vec::new();
    let mut conversation = Conversation::new(endpoint, plan, sender);
    let has_client_left = loop {
        tokio::select! {
            read = input.read_buf(lines.buffer()) => {
                if read? == 0 {
                    break true;
                }
                answer_lines(&mut conversation, &mut lines, &mut out, &mut output).await?;
            }
            Some(message) = messages.recv() => {
                push(&mut out, &message);
                while let Ok(message) = messages.try_recv() {
                    push(&mut out, &message);
                }
            }
            message = conversation.change() => push(&mut out, &message),
            () = wait_for_end(&mut ending) => break false,
        }
        flush(&mut out, &mut output).await?;
    };
    conversation.close(has_client_left);
    // Every running call holds a sender; the channel ends with the last of them.
    let rest = async {
        while let Some(message) = messages.recv().await {
            push(&mut out, &message);
            flush(&mut out, &mut output).await?;
        }
        Ok(())
    };
    if !has_client_left {
        // How long that may take is the drain's to say.
        return rest.await;
    }
    match tokio::time::timeout(END_GRACE, rest).await {
        Ok(result) => result,
        Err(_) => Ok(()),
    }
}

async fn wait_for_end(ending: &mut watch::Receiver<bool>) {
    drop(ending.wait_for(|ending| *ending).await);
}

/// Answers every whole line that has been read.
async fn answer_lines(
    conversation: &mut Conversation,
    lines: &mut Lines,
    out: &mut Vec<u8>,
    output: &mut (impl AsyncWrite + Unpin),
) -> std::io::Result<()> {
    let bytes_max = conversation.line_bytes_max();
    let mut answers = 0;
    while let Some(line) = lines.next(bytes_max) {
        let before = out.len();
        match line {
            Line::Whole(line) => conversation.take(line, out).await,
            Line::TooLong => {
                let fault = Fault::new(
                    codes::INVALID_REQUEST,
                    format!("This line is longer than {bytes_max} bytes."),
                );
                push(out, &encode::fault(&Id::default(), &fault));
            }
        }
        answers += usize::from(out.len() > before);
        if answers == ANSWERS_TOGETHER || out.len() >= OUTPUT_BYTES_HIGH {
            flush(out, output).await?;
            answers = 0;
        }
    }
    Ok(())
}

fn push(out: &mut Vec<u8>, message: &[u8]) {
    out.extend_from_slice(message);
    out.push(b'\n');
}

async fn flush(out: &mut Vec<u8>, output: &mut (impl AsyncWrite + Unpin)) -> std::io::Result<()> {
    if out.is_empty() {
        return Ok(());
    }
    output.write_all(out).await?;
    output.flush().await?;
    out.clear();
    Ok(())
}
