//! `toolrack explain --call`: what each layer would decide about a request, and why.

mod rehearse;
mod request;
mod show;
mod verdict;

use std::net::IpAddr;
use std::path::Path;
use std::process::ExitCode;

use profile::Loaded;
use protocol::Method;
use serde_json::Value;

use crate::cli::CallOptions;
use crate::exit;
use request::Asked;
use verdict::{Decision, Verdict};

/// Everything that can be said of a request without an appliance that runs.
struct Explained {
    /// The listener that it comes to.
    listener: String,
    /// Who sends it.
    from: IpAddr,
    verdicts: Vec<Verdict>,
    end: End,
}

/// What becomes of a request in an appliance that has nothing else to do.
enum End {
    /// The layer that was named before refuses it.
    Refused,
    /// It is answered without a plugin, with this status and message.
    Answered { status: Option<u16>, message: Value },
    /// It comes to a plugin or a session, of which nothing is known here.
    Elsewhere(&'static str),
}

/// Explains the request in a file.
pub(super) fn run(loaded: &Loaded, file: &Path, options: &CallOptions) -> ExitCode {
    match explain(loaded, file, options) {
        Ok(explained) if options.json => crate::commands::say(&show::json(&explained)),
        Ok(explained) => crate::commands::say(&show::text(&explained)),
        Err(error) => crate::commands::failed(exit::USAGE, &format!("--call: {error}")),
    }
}

fn explain(loaded: &Loaded, file: &Path, options: &CallOptions) -> Result<Explained, String> {
    let asked = request::read(file, &options.header, &loaded.plan)?;
    let verdicts = verdict::of_all(&asked, loaded, options.from)?;
    let end = end(&asked, loaded, options.from, &verdicts)?;
    let listener = asked.way.name().to_owned();
    Ok(Explained { listener, from: options.from, verdicts, end })
}

fn end(
    asked: &Asked<'_>,
    loaded: &Loaded,
    from: IpAddr,
    verdicts: &[Verdict],
) -> Result<End, String> {
    if verdicts.iter().any(|verdict| verdict.decision == Decision::Refuses) {
        return Ok(End::Refused);
    }
    let heard = rehearse::play(asked, &loaded.plan, from)?;
    // What an appliance without plugins says of their items, and one without sessions of those, means nothing.
    let code = heard.message["error"]["code"].as_i64();
    let is_unknown = matches!(code, Some(-32_601 | -32_602));
    if asked.needs_session() && !matches!(code, Some(-32_700 | -32_020)) {
        return Ok(End::Elsewhere("its session, which only the appliance that began it knows"));
    }
    let is_known = |message: &protocol::Envelope| message.method() != Method::Unknown;
    if is_unknown && asked.message.as_ref().is_some_and(is_known) {
        return Ok(End::Elsewhere("the plugins, of which none is started here"));
    }
    Ok(End::Answered { status: heard.status, message: heard.message })
}
