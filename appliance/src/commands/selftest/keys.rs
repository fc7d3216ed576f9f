//! The keys that a report must speak of: those of every layer and listener that is on.

use middleware::Mode;

use super::judge::{Finding, Verdict};
use super::lane::Lane;

/// Tables beside the layers that are tried.
const BESIDE: [&str; 2] = ["listen", "session"];

/// What `--layer` may name, in the order of a report: the layers as a request meets them.
pub(super) fn groups() -> Vec<&'static str> {
    let mut groups = Vec::new();
    for group in stack::ORDER.iter().map(|(layer, _)| *layer).chain(BESIDE) {
        // A layer with two halves stands twice.
        if !groups.contains(&group) {
            groups.push(group);
        }
    }
    groups
}

/// Whether a key, or a table of keys, belongs to what `--layer` names. Places of plugins are held by a layer.
pub(super) fn belongs(key: &str, group: &str) -> bool {
    let mut parts = key.split('.');
    match parts.next() {
        Some("layer") => parts.next() == Some(group),
        Some("plugin") => group == "bulkhead",
        first => first == Some(group),
    }
}

/// Every key of the lane's layers with its mode, of its listeners, and of the caps that are tried besides. A layer
/// that is off is spoken of once.
pub(super) fn turned_on(lane: &Lane, plugins: &[String]) -> Vec<(String, Mode)> {
    let mut known = Vec::new();
    for key in profile::keys() {
        let mut parts = key.split('.');
        match (parts.next(), parts.next()) {
            (Some("layer"), Some(layer)) => {
                let mode = lane.mode(layer);
                if mode != Mode::Off || key.ends_with(".mode") {
                    known.push((key.clone(), mode));
                }
            }
            (Some("listen"), _) if key.contains(".http.") => {
                let of = |name: &str| (key.replacen("NAME", name, 1), Mode::Enforce);
                known.extend(lane.listeners.iter().map(|way| of(&way.name)));
            }
            (Some("session"), Some("sessions_max" | "streams_max")) => {
                known.push((key.clone(), Mode::Enforce));
            }
            (Some("plugin"), _) if lane.mode("bulkhead") != Mode::Off => {
                let is_tried = ["concurrent_calls", "queue_calls"];
                if is_tried.iter().any(|of| key == format!("plugin.NAME.limits.{of}")) {
                    let of = |name: &String| (key.replacen("NAME", name, 1), lane.mode("bulkhead"));
                    known.extend(plugins.iter().map(of));
                }
            }
            _ => {}
        }
    }
    known
}

/// Adds what the findings do not speak of: the modes, and keys that no check came to. Then sorts them as the layers are.
pub(super) fn complete(
    findings: &mut Vec<Finding>,
    known: &[(String, Mode)],
    stopped: Option<&str>,
) {
    for (key, mode) in known {
        if findings.iter().any(|finding| finding.key == *key) {
            continue;
        }
        findings.push(match key.strip_suffix("mode").filter(|table| table.ends_with('.')) {
            Some(table) => of_mode(key, *mode, table, findings),
            None => {
                Finding::not_exercised(key, stopped.unwrap_or("no attack of this version tries it"))
            }
        });
    }
    let groups = groups();
    let place = |finding: &Finding| groups.iter().position(|group| belongs(&finding.key, group));
    findings.sort_by(|one, other| (place(one), &one.key).cmp(&(place(other), &other.key)));
}

/// What the findings of a layer say of its mode.
fn of_mode(key: &str, mode: Mode, table: &str, findings: &[Finding]) -> Finding {
    let of_layer = || findings.iter().filter(|finding| finding.key.starts_with(table));
    let refused = of_layer()
        .filter(|finding| matches!(finding.verdict, Verdict::Exercised | Verdict::ChangedBehaviour))
        .count();
    match mode {
        Mode::Off => Finding::not_exercised(key, "the layer is off"),
        Mode::Shadow => Finding::not_exercised(key, "the layer only counts what it would refuse"),
        Mode::Enforce if refused > 0 => Finding {
            verdict: Verdict::Exercised,
            expected: "that its keys are heeded".to_owned(),
            seen: format!("{refused} of its keys are heeded"),
            sent: "what its keys bound".to_owned(),
            ..Finding::not_exercised(key, "")
        },
        Mode::Enforce => Finding::not_exercised(key, "none of its keys was exercised"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_layer_of_the_program_can_be_asked_for() {
        let groups = groups();
        for key in profile::keys().iter().filter(|key| key.starts_with("layer.")) {
            assert!(groups.iter().any(|group| belongs(key, group)), "{key}");
        }
        assert!(groups.starts_with(&["connections", "http"]) && groups.ends_with(&BESIDE));
    }

    #[test]
    fn places_of_plugins_belong_to_the_layer_that_holds_them() {
        assert!(belongs("plugin.echo.limits.queue_calls", "bulkhead"));
        assert!(belongs("layer.bulkhead.mode", "bulkhead") && belongs("layer.http.", "http"));
        assert!(belongs("listen.public.http.head_ms", "listen"));
        assert!(!belongs("listen.public.http.head_ms", "http"));
        assert!(!belongs("layer.rate_limit.mode", "pre_auth_limit"));
    }

    #[test]
    fn keys_that_nobody_tried_are_told() {
        let known = [
            ("layer.origin.mode".to_owned(), Mode::Enforce),
            ("layer.origin.allowed_hosts".to_owned(), Mode::Enforce),
            ("layer.origin.allowed_origins".to_owned(), Mode::Enforce),
            ("layer.memory.mode".to_owned(), Mode::Off),
        ];
        let mut findings = vec![Finding {
            verdict: Verdict::ChangedBehaviour,
            ..Finding::not_exercised("layer.origin.allowed_hosts", "")
        }];
        complete(&mut findings, &known, Some("out of time"));
        let told: Vec<_> = findings
            .iter()
            .map(|finding| (&*finding.key, finding.verdict, &*finding.why))
            .collect();
        let expected = [
            ("layer.origin.allowed_hosts", Verdict::ChangedBehaviour, ""),
            ("layer.origin.allowed_origins", Verdict::NotExercised, "out of time"),
            ("layer.origin.mode", Verdict::Exercised, ""),
            ("layer.memory.mode", Verdict::NotExercised, "the layer is off"),
        ];
        assert_eq!(told, expected);
    }
}
