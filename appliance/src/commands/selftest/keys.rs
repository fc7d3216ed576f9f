//! The order of a report, and what it says of keys that no check came to.

use middleware::Mode;

use super::judge::{Finding, Verdict};
use super::reach::Known;

/// Tables beside the layers, those first that are tried.
const BESIDE: [&str; 9] = [
    "listen",
    "session",
    "tasks",
    "request_state",
    "server",
    "reload",
    "history",
    "shutdown",
    "control",
];

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

/// What kept checks from trying keys.
pub(super) struct Untried<'a> {
    /// Why the test ended early.
    pub(super) stopped: Option<&'a str>,
    /// Tables with keys that only a probe could have tried, which is missing.
    pub(super) without_probe: &'a [&'a str],
}

impl Untried<'_> {
    fn lacks_probe(&self, key: &str) -> bool {
        self.without_probe.iter().any(|table| key.starts_with(table))
    }

    /// Why there is no finding of a key.
    fn why(&self, key: &str) -> &str {
        match self.stopped {
            _ if self.lacks_probe(key) => "the probe is missing",
            Some(stopped) => stopped,
            None => "no attack of this version tries it",
        }
    }
}

/// Adds what the findings do not speak of: the modes, and keys that no check came to. Then sorts them as the layers are.
/// How many of the keys only lacked the probe.
pub(super) fn complete(
    findings: &mut Vec<Finding>,
    known: &[Known],
    untried: &Untried<'_>,
) -> usize {
    let mut lacking = 0;
    for Known { key, mode, out_of_reach } in known {
        if findings.iter().any(|finding| finding.key == *key) {
            continue;
        }
        let table = key.strip_suffix("mode").filter(|table| table.ends_with('.'));
        findings.push(match (out_of_reach, table) {
            (Some(why), _) => Finding::not_exercised(key, *why),
            (None, Some(table)) => of_mode(key, *mode, table, findings),
            (None, None) => {
                lacking += usize::from(untried.lacks_probe(key));
                Finding::not_exercised(key, untried.why(key))
            }
        });
    }
    let groups = groups();
    let place = |finding: &Finding| groups.iter().position(|group| belongs(&finding.key, group));
    findings.sort_by(|one, other| (place(one), &one.key).cmp(&(place(other), &other.key)));
    lacking
}

/// That so many keys lacked the probe, and why there is none; `None`: it made no difference.
pub(super) fn says_lacking(count: usize, why: &str) -> Option<String> {
    let keys = if count == 1 { "1 key was" } else { &format!("{count} keys were") };
    (count > 0).then(|| format!("without the plugin `probe` {keys} not tried: {why}"))
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

    fn known(key: &str, mode: Mode) -> Known {
        Known { key: key.to_owned(), mode, out_of_reach: None }
    }

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
            known("layer.origin.mode", Mode::Enforce),
            known("layer.origin.allowed_hosts", Mode::Enforce),
            known("layer.origin.allowed_origins", Mode::Enforce),
            known("layer.memory.mode", Mode::Off),
            Known {
                out_of_reach: Some("a lane serves one profile"),
                ..known("reload.probation.mode", Mode::Enforce)
            },
        ];
        let mut findings = vec![Finding {
            verdict: Verdict::ChangedBehaviour,
            ..Finding::not_exercised("layer.origin.allowed_hosts", "")
        }];
        let untried = Untried { stopped: Some("out of time"), without_probe: &[] };
        assert_eq!(complete(&mut findings, &known, &untried), 0);
        let told: Vec<_> = findings
            .iter()
            .map(|finding| (&*finding.key, finding.verdict, &*finding.why))
            .collect();
        let expected = [
            ("layer.origin.allowed_hosts", Verdict::ChangedBehaviour, ""),
            ("layer.origin.allowed_origins", Verdict::NotExercised, "out of time"),
            ("layer.origin.mode", Verdict::Exercised, ""),
            ("layer.memory.mode", Verdict::NotExercised, "the layer is off"),
            ("reload.probation.mode", Verdict::NotExercised, "a lane serves one profile"),
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn only_keys_that_were_to_be_tried_lack_the_probe() {
        let known = [
            known("layer.timeout.deadline_ms", Mode::Enforce),
            known("layer.timeout.mode", Mode::Enforce),
            known("layer.memory.mode", Mode::Off),
            known("listen.public.http.path", Mode::Enforce),
            known("listen.public.http.write_ms", Mode::Enforce),
        ];
        let mut findings = vec![Finding::not_exercised("listen.public.http.path", "tried")];
        let tables = ["layer.timeout.", "layer.memory.", "listen."];
        let untried = Untried { stopped: None, without_probe: &tables };
        assert_eq!(complete(&mut findings, &known, &untried), 2);
        let told: Vec<_> = findings.iter().map(|finding| (&*finding.key, &*finding.why)).collect();
        let expected = [
            ("layer.memory.mode", "the layer is off"),
            ("layer.timeout.deadline_ms", "the probe is missing"),
            ("layer.timeout.mode", "none of its keys was exercised"),
            ("listen.public.http.path", "tried"),
            ("listen.public.http.write_ms", "the probe is missing"),
        ];
        assert_eq!(told, expected, "each key once");
        assert_eq!(says_lacking(0, "it is not there"), None);
        let said = says_lacking(2, "it is not there");
        let sentence = "without the plugin `probe` 2 keys were not tried: it is not there";
        assert_eq!(said.as_deref(), Some(sentence));
    }
}
