//! The server that is loaded: a running one, or one of our own.

use std::fmt::Write;
use std::sync::atomic::AtomicBool;

use load::receipt::Profile;
use load::{Client, Target, answer, machine, wire};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::Failed;
use super::server::Own;
use crate::cli::BenchOptions;
use crate::exit;

/// A server.
pub(super) struct Subject {
    pub(super) url: String,
    pub(super) target: Target,
    pub(super) control_url: Option<String>,
    pub(super) control: Option<Target>,
    pub(super) pid: Option<u32>,
    /// The process, when it is ours.
    pub(super) own: Option<Own>,
}

impl Subject {
    /// The running one that the options name, or a new one.
    pub(super) fn find(options: &BenchOptions, stopped: &AtomicBool) -> Result<Self, Failed> {
        let (url, control_url, pid, own) = match &options.url {
            Some(url) => (url.clone(), options.control.clone(), options.pid, None),
            None => {
                let own = start(options, stopped)?;
                let pid = Some(own.pid());
                (own.url.clone(), own.control_url.clone(), pid, Some(own))
            }
        };
        let wrong = |error: String| Failed::new(exit::USAGE, error);
        let resolve =
            |option, url| Target::resolve(url).map_err(|why| wrong(format!("{option} {why}")));
        let target = resolve("--url", &url)?;
        let control = control_url.as_deref().map(|url| resolve("--control", url)).transpose()?;
        let pid = pid.or_else(|| {
            let is_here = target.address.ip().is_loopback();
            is_here.then(|| load::process::listening_at(target.address)).flatten()
        });
        if let Some(pid) = pid {
            load::process::processor_time(pid).map_err(|error| wrong(format!("--pid: {error}")))?;
        }
        Ok(Self { url, target, control_url, control, pid, own })
    }

    /// What its control listener says of the plan.
    pub(super) fn profile(&self) -> Result<Option<Profile>, String> {
        let Some(control) = &self.control else { return Ok(None) };
        let answer = Client::connect(control)?.exchange(&wire::get(control, "/admin/plan"))?;
        let plan = answer::body(&answer.bytes)?;
        let plan: Value = serde_json::from_slice(&plan).unwrap_or_default();
        let url = &control.authority;
        digest(&plan)
            .map(Some)
            .ok_or_else(|| format!("{url}: no plan at /admin/plan; is it the control listener?"))
    }
}

/// An appliance of our own, on processors of its own where that is asked for.
fn start(options: &BenchOptions, stopped: &AtomicBool) -> Result<Own, Failed> {
    if !options.apart {
        return Own::start(&options.served, stopped);
    }
    let failed = |error| Failed::new(exit::INTERNAL, error);
    let processors = machine::processors().map_err(failed)?;
    let Some((last, others)) = processors.split_last().filter(|(_, others)| !others.is_empty())
    else {
        let why = "--apart: this process may run on one processor only; leave the option out";
        return Err(Failed::new(exit::USAGE, why));
    };
    machine::run_on(others).map_err(failed)?;
    let own = Own::start(&options.served, stopped)?;
    machine::run_on(&[*last]).map_err(failed)?;
    Ok(own)
}

/// The name and the values of a plan, without where they came from.
fn digest(plan: &Value) -> Option<Profile> {
    let name = plan["profile"].as_str()?.to_owned();
    let mut values: Vec<_> = plan["values"].as_object()?.iter().collect();
    values.sort_by_key(|(key, _)| *key);
    let mut hash = Sha256::new();
    for (key, value) in values {
        hash.update(format!("{key} = {}\n", value["value"].as_str()?));
    }
    let mut plan_sha256 = String::new();
    for byte in hash.finalize() {
        // Writing to a string cannot fail.
        write!(plan_sha256, "{byte:02x}").ok();
    }
    Some(Profile { name, plan_sha256 })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn hash(values: &Value) -> String {
        digest(&json!({"profile": "p", "values": values})).expect("a plan").plan_sha256
    }

    #[test]
    fn hash_is_of_the_values_and_not_of_where_they_came_from() {
        let file = hash(&json!({"a": {"value": "1", "origin": "file"}}));
        let set = hash(&json!({"a": {"value": "1", "origin": "--set"}}));
        let other = hash(&json!({"a": {"value": "2", "origin": "file"}}));
        assert_eq!((file.len(), &file), (64, &set));
        assert_ne!(file, other);
    }

    #[test]
    fn what_is_no_plan_has_no_hash() {
        assert!(digest(&json!({"profile": "p"})).is_none());
        assert!(digest(&Value::Null).is_none());
    }
}
