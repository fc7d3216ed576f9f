//! Profiles that are posted to the control listener: tried without touching anything, or put in the place of the
//! profile's file until its next change, or until the process ends.

use std::path::PathBuf;
use std::sync::Arc;

use control::{Posting, Profiles, Telling, Told};
use http::StatusCode;
use profile::{Identity, Posted};
use runtime::{Attempt, Source, Trigger, Verdict};
use serde_json::{Value, json};

use super::attempt::{House, Not};
use super::queue::{Given, Wish};
use super::{Reloader, ledger};
use crate::commands;

impl Profiles for Reloader {
    fn post(self: Arc<Self>, text: String, posting: Posting) -> Telling {
        match posting {
            Posting::Try { folder } => Box::pin(async move {
                let tried = tokio::task::spawn_blocking(move || self.house.try_out(text, folder));
                tried.await.unwrap_or_else(|_| {
                    let sentence = "The profile could not be tried; please report this.";
                    Told::refused(StatusCode::INTERNAL_SERVER_ERROR, sentence)
                })
            }),
            Posting::Take { seen } => {
                let wish = Wish::Given(Box::new(move |house| house.take(text, seen)));
                let ordered = self.queue.order(wish, Trigger::Posted);
                Box::pin(async move {
                    ordered.await.map_or_else(|_| nobody_tries(), |attempt| told(&attempt))
                })
            }
        }
    }
}

/// What is said when there will be no attempt.
fn nobody_tries() -> Told {
    let sentence = "The process is stopping, or has too many changes before it; try again later.";
    Told::refused(StatusCode::SERVICE_UNAVAILABLE, sentence)
}

/// What became of a posted profile.
fn told(attempt: &Attempt) -> Told {
    let status = match attempt.verdict {
        Verdict::Applied | Verdict::Unchanged => StatusCode::OK,
        Verdict::Superseded => StatusCode::PRECONDITION_FAILED,
        Verdict::Refused | Verdict::RestartRequired | Verdict::RolledBack => StatusCode::CONFLICT,
    };
    let mut body = ledger::json(attempt);
    // A start reads the file.
    body["persisted"] = Value::Bool(false);
    Told { status, body }
}

impl House {
    /// A posted profile, if what serves is still what its writer has seen.
    fn take(&self, text: String, seen: Identity) -> Result<Given, Not> {
        let serves = self.effective.load().loaded.plan.identity;
        if serves != seen {
            let problem = format!(
                "it was written against profile {}, and {} serves by now; look at it again",
                seen.short(),
                serves.short()
            );
            return Err(Not::Current(problem));
        }
        let posted = Posted { text, folder: None };
        let loaded = commands::load_posted(&self.options, Some(posted)).map_err(Not::Good)?;
        Ok(Given::of(loaded, Source::Posted))
    }

    /// What a text would change. Plugins are not started, and nothing is opened or written.
    fn try_out(&self, text: String, folder: Option<PathBuf>) -> Told {
        let current = self.effective.load();
        let mut body = json!({
            "dry_run": true,
            "identity": current.loaded.plan.identity,
            "generation": self.endpoint.switch.load().number(),
            "changes": [],
            "warnings": [],
            "problems": [],
        });
        let tried = commands::load_posted(&self.options, Some(Posted { text, folder }));
        let judged = tried.map_err(Not::Good).and_then(|loaded| {
            body["proposed"] = json!(loaded.plan.identity);
            let changed = current.loaded.changes(&loaded);
            body["changes"] = ledger::changes(&changed).into();
            let is_same = changed.is_empty();
            self.judge(&loaded, &changed).map(|judged| (is_same, judged.warnings))
        });
        let (verdict, problems) = match judged {
            Ok((is_same, warnings)) => {
                body["warnings"] = json!(warnings);
                (if is_same { Verdict::Unchanged } else { Verdict::Applied }, Vec::new())
            }
            Err(not) => not.into_verdict(),
        };
        body["result"] = verdict.as_str().into();
        body["problems"] = json!(problems);
        let status = if verdict.is_good() { StatusCode::OK } else { StatusCode::CONFLICT };
        Told { status, body }
    }
}
