//! Tools that run as tasks.

use std::time::Duration;

use plugin_sdk::prelude::*;

use crate::asking::{self, Name};

/// Long enough for a client to see a task at work.
const WORK: Duration = Duration::from_millis(200);

/// How long to compute.
#[derive(Deserialize, JsonSchema)]
pub struct ComputeArgs {
    /// Seconds.
    seconds: u64,
    /// Comes back with the result.
    #[serde(default)]
    label: String,
}

/// What not to delete.
#[derive(Deserialize, JsonSchema)]
pub struct DeleteArgs {
    /// A file that need not exist.
    filename: String,
}

/// Whether to go on.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct Confirmation {
    /// Whether to delete it.
    confirm: bool,
}

pub(crate) async fn pause() {
    tokio::time::sleep(WORK).await;
}

pub(crate) async fn compute(args: ComputeArgs) -> String {
    tokio::time::sleep(Duration::from_secs(args.seconds)).await;
    format!("Computed {} for {} s.", args.label, args.seconds)
}

pub(crate) async fn fail(error: Error) -> Result<String> {
    pause().await;
    Err(error)
}

pub(crate) fn delete(ctx: &Context, args: &DeleteArgs) -> Result<String> {
    let message = format!("Delete {}?", args.filename);
    Ok(match ctx.elicit::<Confirmation>("confirm", &message)? {
        Elicited::Accepted(Confirmation { confirm: true }) => format!("Deleted {}.", args.filename),
        Elicited::Accepted(_) | Elicited::Declined | Elicited::Cancelled => {
            format!("Kept {}.", args.filename)
        }
    })
}

pub(crate) fn two_at_once(ctx: &Context) -> Result<String> {
    let questions = Questions::new()
        .elicit::<Name>("name", "What is your name?")
        .elicit::<Confirmation>("confirm", "Shall it go on?");
    let answers = ctx.ask(&questions)?;
    let name = answers.elicited("name").unwrap_or(Elicited::Cancelled);
    let confirmed = answers.elicited("confirm");
    let goes_on = matches!(confirmed, Some(Elicited::Accepted(Confirmation { confirm: true })));
    Ok(format!("{} Going on: {goes_on}.", asking::greet(&name)))
}
