//! Drives the appliance with the official Rust client: both eras.
//!
//! Arguments are `ERA MARK http URL` or `ERA MARK stdio PROGRAM ARGUMENT...`; the exit code counts what failed.

mod checks;
mod session;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};

use checks::CHECKS;
use session::Session;

/// One check may take this long; the one that hangs is named then.
const CHECK: Duration = Duration::from_secs(30);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [era, mark, transport, target, rest @ ..] = &arguments[..] else {
        return Err(anyhow!("give an era, a mark, a transport and what to reach"));
    };
    let mut session =
        tokio::time::timeout(CHECK, Session::open(era == "modern", mark, transport, target, rest))
            .await
            .context("the connection takes too long")??;
    let mut failed = 0;
    for (name, check) in CHECKS {
        let outcome = match tokio::time::timeout(CHECK, check(&mut session)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(anyhow!("nothing happened in time")),
        };
        match outcome {
            Ok(()) => println!("ok {name}"),
            Err(error) => {
                failed += 1;
                println!("FAIL {name}: {}", format!("{error:#}").replace('\n', " "));
            }
        }
    }
    session.close().await?;
    Ok(ExitCode::from(failed))
}
