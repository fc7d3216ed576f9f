//! What the command line asks of the load, checked.

use std::time::Duration;

use load::receipt;
use load::wire::{self, Tool};
use load::{Era, Workload};
use serde_json::Value;

use super::subject::Subject;
use crate::cli::{BenchEra, BenchOptions};

/// Seconds of a step with `--quick`.
const QUICK_SECONDS: f64 = 2.0;
/// Seconds that a step may last.
const SECONDS: (f64, f64) = (0.1, 3_600.0);
/// Calls a second that may be asked for: ten times of it is more than one thread can make.
const CALLS_PER_SEC: (f64, f64) = (0.1, 1_000_000.0);
/// Most bytes of the requests of all connections.
const REQUESTS_BYTES_MAX: usize = 1 << 30;
/// Letters that `echo` says back when nothing is said.
const TEXT_BYTES: usize = 64;

/// The load.
pub(super) struct Settings {
    pub(super) era: Era,
    pub(super) tool: Tool,
    /// What a good answer of `echo` says, when that is known.
    pub(super) text: Option<String>,
    pub(super) connections: usize,
    pub(super) addresses: usize,
    pub(super) new_connections_percent: f64,
    pub(super) step_time: Duration,
    pub(super) calls_per_sec: Option<f64>,
    /// Rates that are tried to find the peak.
    pub(super) trials: usize,
}

impl Settings {
    pub(super) fn from(options: &BenchOptions) -> Result<Self, String> {
        let seconds = if options.quick { QUICK_SECONDS } else { options.seconds };
        let step_time = Duration::from_secs_f64(within("--seconds", seconds, SECONDS)?);
        let calls_per_sec = options
            .calls_per_sec
            .map(|rate| within("--calls-per-sec", rate, CALLS_PER_SEC))
            .transpose()?;
        let percent = within("--new-connections", options.new_connections, (0.0, 100.0))?;
        let (tool, text) = tool(&options.tool, options.arguments.as_deref())?;
        let connections = options.connections as usize;
        // Each keeps two requests: one that goes on, and one that is the last.
        if tool.arguments.to_string().len().saturating_mul(2 * connections) > REQUESTS_BYTES_MAX {
            return Err("so large --arguments on so many --connections take more than 1 GiB; \
                        give fewer of either"
                .to_owned());
        }
        Ok(Self {
            era: match options.era {
                BenchEra::Modern => Era::Modern,
                BenchEra::Session => Era::Session,
            },
            tool,
            text,
            connections,
            addresses: options.addresses as usize,
            new_connections_percent: percent,
            step_time,
            calls_per_sec,
            trials: if options.quick { 3 } else { 6 },
        })
    }

    /// The load with so many connections.
    pub(super) fn workload(&self, connections: usize) -> Workload<'_> {
        use load::tally::Expected;

        let percent = self.new_connections_percent;
        Workload {
            era: self.era,
            tool: &self.tool,
            expected: self.text.as_deref().map_or(Expected::Result, Expected::Echo),
            connections,
            addresses: self.addresses.min(connections),
            first_address: std::net::Ipv4Addr::LOCALHOST,
            calls_per_connection: (percent > 0.0).then(|| (100.0 / percent).round() as u64),
        }
    }

    /// The same for the receipt.
    pub(super) fn describe(&self, subject: &Subject) -> receipt::Load {
        let on_loopback = subject.target.is_loopback();
        let workload = self.workload(self.connections);
        receipt::Load {
            url: subject.url.clone(),
            control_url: subject.control_url.clone(),
            is_own_server: subject.own.is_some(),
            era: self.era.name().to_owned(),
            tool: self.tool.name.clone(),
            arguments_bytes: self.tool.arguments.to_string().len(),
            connections: self.connections,
            addresses: if on_loopback { workload.addresses } else { 1 },
            new_connections_percent: self.new_connections_percent,
            step_seconds: self.step_time.as_secs_f64(),
            load_processors: load::process::processors(std::process::id()).ok(),
            server_processors: subject.pid.and_then(|pid| load::process::processors(pid).ok()),
        }
    }
}

fn within(option: &str, value: f64, (least, most): (f64, f64)) -> Result<f64, String> {
    if (least..=most).contains(&value) {
        Ok(value)
    } else {
        Err(format!("{option} {value}: must be between {least} and {most}"))
    }
}

/// The tool, and what it must say back when it is an echo of ours.
fn tool(name: &str, arguments: Option<&str>) -> Result<(Tool, Option<String>), String> {
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(format!("--tool {name:?}: a tool's name is visible ASCII without spaces"));
    }
    let name = name.to_owned();
    match arguments {
        None if name == "echo" => {
            let text = wire::text(TEXT_BYTES);
            Ok((Tool::echo(&text), Some(text)))
        }
        None => Ok((Tool { name, arguments: Value::Object(serde_json::Map::new()) }, None)),
        Some(json) => {
            let arguments: Value = serde_json::from_str(json)
                .map_err(|error| format!("--arguments: not JSON: {error}"))?;
            if !arguments.is_object() {
                return Err("--arguments: must be an object, for example '{}'".to_owned());
            }
            Ok((Tool { name, arguments }, None))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_beyond_their_range_are_refused() {
        assert_eq!(within("--seconds", 0.1, SECONDS), Ok(0.1));
        for wrong in [0.0, -1.0, 3_601.0, f64::NAN, f64::INFINITY] {
            assert!(within("--seconds", wrong, SECONDS).is_err(), "{wrong}");
        }
    }

    #[test]
    fn echo_says_a_text_and_others_get_no_arguments() {
        let (echo, text) = tool("echo", None).unwrap();
        assert_eq!(text.map(|text| text.len()), Some(TEXT_BYTES));
        assert_eq!(echo.arguments["text"].as_str().map(str::len), Some(TEXT_BYTES));
        let (now, text) = tool("now", None).unwrap();
        assert_eq!((now.arguments.to_string(), text), ("{}".to_owned(), None));
    }

    #[test]
    fn arguments_must_be_an_object_and_names_fit_a_header() {
        assert!(tool("now", Some("[]")).is_err());
        assert!(tool("now", Some("{")).is_err());
        assert!(tool("a b", None).is_err());
        assert!(tool("a\r\nX: y", None).is_err());
        assert!(tool("now", Some("{\"zone\":\"UTC\"}")).is_ok());
    }
}
