//! Every arrow points down, and each is drawn here: what a crate of ours may depend on.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::Outcome;
use crate::run;

/// Each crate and the crates of ours that it may name. Floors from the bottom up.
const ARROWS: &[(&str, &[&str])] = &[
    ("history", &[]),
    ("json-schema", &[]),
    ("load", &[]),
    ("mapped", &[]),
    ("plugin-abi", &[]),
    ("plugin-macros", &[]),
    ("protocol", &[]),
    ("sched", &[]),
    ("telemetry", &["protocol"]),
    ("middleware", &["protocol", "telemetry"]),
    ("profile", &["json-schema", "mapped", "middleware"]),
    ("plugin-host", &["mapped", "plugin-abi", "protocol"]),
    ("stack", &["json-schema", "middleware", "plugin-host", "profile", "protocol", "telemetry"]),
    ("runtime", &["plugin-host", "profile", "protocol", "stack", "telemetry"]),
    (
        "transport",
        &["mapped", "middleware", "plugin-host", "profile", "protocol", "runtime", "telemetry"],
    ),
    ("control", &["profile", "protocol", "runtime", "sched"]),
    (
        "toolrack",
        &[
            "control",
            "history",
            "load",
            "middleware",
            "plugin-host",
            "profile",
            "protocol",
            "runtime",
            "stack",
            "telemetry",
            "transport",
        ],
    ),
    ("plugin-sdk", &["plugin-abi", "plugin-macros"]),
    ("echo", &["plugin-sdk"]),
    ("time", &["plugin-sdk"]),
    ("filesystem", &["plugin-sdk"]),
    ("conformance", &["plugin-sdk"]),
    ("misbehave", &["plugin-sdk"]),
    ("probe", &["plugin-sdk"]),
    ("ci", &["load", "profile", "protocol", "telemetry"]),
];

/// Crates that may contain unsafe code.
const UNSAFE: [&str; 4] = ["plugin-abi", "plugin-host", "plugin-sdk", "sched"];

/// Compares the workspace with the drawing.
pub(crate) fn run() -> Outcome {
    let text = run::output("cargo", &["metadata", "--format-version", "1", "--no-deps"])?;
    let metadata: Value =
        serde_json::from_str(&text).map_err(|error| format!("cargo metadata: {error}"))?;
    let drawn: BTreeMap<_, _> = ARROWS.iter().copied().collect();
    let mut wrong = Vec::new();
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let name = package["name"].as_str().unwrap_or_default();
        let Some(allowed) = drawn.get(name) else {
            wrong.push(format!(
                "{name} is not drawn; add it to ci/src/arrows.rs and ARCHITECTURE.md"
            ));
            continue;
        };
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            let is_ours = dependency["path"].is_string();
            let is_shipped = dependency["kind"].is_null();
            let to = dependency["name"].as_str().unwrap_or_default();
            if is_ours && is_shipped && !allowed.contains(&to) {
                wrong.push(format!("{name} -> {to} is not drawn"));
            }
        }
        let manifest = package["manifest_path"].as_str().unwrap_or_default();
        let lints = std::fs::read_to_string(manifest).unwrap_or_default();
        let is_fenced =
            lints.contains("[lints]\nworkspace = true") || lints.contains("unsafe_code = \"deny\"");
        if !is_fenced && !UNSAFE.contains(&name) {
            wrong.push(format!("{name} may contain unsafe code; take the workspace's lints"));
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n")) }
}
