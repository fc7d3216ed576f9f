//! The receipt in words, for whoever waited for it.

use std::fmt::Write;

use load::receipt::{Envelope, Goal, Receipt, Step};

/// What the column of that name says.
pub(super) const LATENESS: &str = "late p99: how late the load itself sent calls, in ms, although they were due and a \
    connection was free; above some ms the box has no core left for the load.";

/// The steps, the goals and what else there is to know.
pub(super) fn render(receipt: &Receipt) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let say = |out: &mut String, text: String| writeln!(out, "{text}").ok();
    say(&mut out, headline(receipt));
    if let Some(processors) = processors(receipt) {
        say(&mut out, format!("Processors: {processors}."));
    }
    if receipt.toolrack.build != "release" {
        say(&mut out, "This is a debug build: its figures say little.".to_owned());
    }
    if let Some(envelope) = &receipt.envelope {
        say(&mut out, self::envelope(envelope));
    }
    out.push('\n');
    let steps: Vec<_> = steps(receipt).collect();
    out.push_str(&columns(&steps.iter().map(|step| cells(step)).collect::<Vec<_>>()));
    say(&mut out, LATENESS.to_owned());
    for step in steps {
        if let Some(line) = kinds(step) {
            say(&mut out, format!("  {}: {line}", step.name));
        }
    }
    out.push_str("\nGoals:\n");
    for goal in &receipt.goals {
        say(&mut out, format!("  {}", verdict(goal)));
    }
    if let Some(why) = &receipt.ended_early {
        say(&mut out, format!("\nEnded early: {why}"));
    }
    out
}

/// Everything that was measured, in its order.
pub(super) fn steps(receipt: &Receipt) -> impl Iterator<Item = &Step> {
    receipt.unloaded.iter().chain(&receipt.search).chain(&receipt.steps)
}

/// What was loaded, on what.
pub(super) fn headline(receipt: &Receipt) -> String {
    let machine = &receipt.machine;
    let profile = receipt.profile.as_ref().map_or_else(
        || format!("the server at {}", receipt.load.url),
        |profile| format!("profile `{}`", profile.name),
    );
    format!(
        "{profile}, toolrack {}, {} cores, {} MiB, {}, Linux {}",
        receipt.toolrack.version,
        machine.cores,
        machine.memory_bytes >> 20,
        machine.processor,
        machine.kernel
    )
}

/// Where load and server ran, when that is known of both.
pub(super) fn processors(receipt: &Receipt) -> Option<String> {
    let load = receipt.load.load_processors.as_deref()?;
    let server = receipt.load.server_processors.as_deref()?;
    Some(format!("the server on {server}, the load on {load}"))
}

/// The rate that the steps multiply.
pub(super) fn envelope(envelope: &Envelope) -> String {
    let rate = envelope.calls_per_sec;
    match envelope.is_sustained {
        None => format!("Envelope: {rate:.0} calls/s, as given."),
        Some(true) => format!("Measured peak: {rate:.0} calls/s with 99 % of them accepted."),
        Some(false) => format!(
            "No rate was found at which 99 % are accepted; the steps multiply {rate:.0} calls/s."
        ),
    }
}

/// Whether a goal is held, in a sentence.
pub(super) fn verdict(goal: &Goal) -> String {
    let Goal { what, bound, measured, remark, .. } = goal;
    let side = if goal.is_least { "at least" } else { "at most" };
    let bound = number(*bound);
    let said = match (goal.is_held, measured) {
        (Some(is_held), Some(measured)) => {
            let word = if is_held { "held" } else { "MISSED" };
            format!("{what}: {} (goal: {side} {bound}): {word}", number(*measured))
        }
        _ => format!("{what}: not measured (goal: {side} {bound})"),
    };
    remark.as_ref().map_or_else(|| said.clone(), |remark| format!("{said}; {remark}"))
}

/// Refusals and failures by their kind; `None` when there were none.
pub(super) fn kinds(step: &Step) -> Option<String> {
    let refusals = step.refusals.iter().map(|(kind, calls)| format!("{calls} refused {kind}"));
    let errors = step.errors.iter().map(|(name, calls)| format!("{calls} failed {name}"));
    let kinds: Vec<_> = refusals.chain(errors).collect();
    (!kinds.is_empty()).then(|| kinds.join(", "))
}

/// The headings of [`cells`].
pub(super) const HEADINGS: [&str; 15] = [
    "step",
    "offered/s",
    "accepted/s",
    "refused",
    "failed",
    "not sent",
    "late p99",
    "p50 ms",
    "p90 ms",
    "p99 ms",
    "p99.9 ms",
    "max ms",
    "refusal p99",
    "health p99",
    "RSS MiB",
];

/// One step, in the columns of the headings.
pub(super) fn cells(step: &Step) -> [String; 15] {
    let ms = |us: Option<f64>| us.map_or_else(|| "-".to_owned(), |us| number(us / 1e3));
    let latency = step.accepted_latency;
    [
        step.name.clone(),
        format!("{:.0}", step.offered_per_sec),
        format!("{:.0}", step.goodput_per_sec),
        step.refused.to_string(),
        step.failed.to_string(),
        step.not_sent.to_string(),
        ms(step.generator_lateness.map(|lateness| lateness.p99_us)),
        ms(latency.map(|latency| latency.p50_us)),
        ms(latency.map(|latency| latency.p90_us)),
        ms(latency.map(|latency| latency.p99_us)),
        ms(latency.map(|latency| latency.p999_us)),
        ms(latency.map(|latency| latency.max_us)),
        ms(step.refusal_answer.map(|latency| latency.p99_us)),
        ms(step.health.map(|health| health.p99_us)),
        step.server.map_or_else(
            || "-".to_owned(),
            |server| format!("{:.0}", server.resident_bytes_max as f64 / f64::from(1 << 20)),
        ),
    ]
}

/// Columns under their headings, the first to the left and the others to the right.
fn columns(rows: &[[String; 15]]) -> String {
    let mut out = String::new();
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(String::len);
        cells.chain(HEADINGS.get(column).map(|text| text.len())).max().unwrap_or(0)
    };
    let mut line = |cells: &[&str]| {
        for (column, cell) in cells.iter().enumerate() {
            let width = width(column);
            if column == 0 {
                write!(out, "{cell:<width$}").ok();
            } else {
                write!(out, "  {cell:>width$}").ok();
            }
        }
        out.push('\n');
    };
    line(&HEADINGS);
    for row in rows {
        line(&row.each_ref().map(String::as_str));
    }
    out
}

/// As many digits as say something.
pub(super) fn number(value: f64) -> String {
    match value.abs() {
        100.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeMap;

    use load::receipt::{Build, FORMAT, Health, Latency, Lateness, Load, Machine, Server};

    use super::*;

    fn latency(p50_us: f64) -> Latency {
        let (p90_us, p99_us) = (p50_us * 2.0, p50_us * 3.0);
        Latency { p50_us, p90_us, p99_us, p999_us: p50_us * 4.0, max_us: p50_us * 5.0 }
    }

    pub(in super::super) fn step(name: &str, factor: f64, accepted: u64, refused: u64) -> Step {
        let refusals = [("overloaded".into(), refused)].into_iter().filter(|(_, count)| *count > 0);
        Step {
            name: name.to_owned(),
            planned_per_sec: Some(1_000.0 * factor),
            seconds: 1.0,
            offered: accepted + refused,
            accepted,
            refused,
            failed: 0,
            not_sent: 0,
            offered_per_sec: (accepted + refused) as f64,
            goodput_per_sec: accepted as f64,
            refusals: refusals.collect(),
            errors: BTreeMap::new(),
            first_error: None,
            connects: 0,
            accepted_latency: Some(latency(500.0)),
            refused_latency: (refused > 0).then(|| latency(200.0)),
            refusal_answer: (refused > 0).then(|| latency(100.0)),
            health: Some(Health {
                probes: 100,
                lost: 0,
                not_ok: 0,
                p50_us: 50.0,
                p99_us: 400.0,
                max_us: 900.0,
                wake_p99_us: 80.0,
                has_priority: true,
            }),
            server: Some(Server {
                resident_bytes_max: 20 << 20,
                descriptors_max: 100,
                processor_seconds: 0.5,
                processor_us_per_accepted: (refused == 0).then_some(50.0),
                processor_us_per_refused: (refused > 0).then_some(4.0),
            }),
            generator_processor_seconds: 0.2,
            generator_lateness: Some(Lateness { p50_us: 60.0, p99_us: 12_300.0, max_us: 45_600.0 }),
        }
    }

    /// A receipt in which every goal is held.
    pub(in super::super) fn receipt() -> Receipt {
        let machine = Machine {
            processor: "Model <1>".to_owned(),
            cores: 2,
            cores_from: "here".to_owned(),
            memory_bytes: 4 << 30,
            memory_from: "here".to_owned(),
            kernel: "6.1".to_owned(),
        };
        let load = Load {
            url: "http://127.0.0.1:1/mcp".to_owned(),
            control_url: None,
            is_own_server: true,
            era: "modern".to_owned(),
            tool: "echo".to_owned(),
            arguments_bytes: 75,
            connections: 256,
            addresses: 16,
            new_connections_percent: 1.0,
            step_seconds: 1.0,
            load_processors: Some("1".to_owned()),
            server_processors: Some("0".to_owned()),
        };
        Receipt {
            format: FORMAT,
            date: "Sat, 21 Nov 2026 12:00:00 GMT".to_owned(),
            toolrack: Build { version: "0.1.0".to_owned(), build: "release".to_owned() },
            command: vec!["toolrack".to_owned(), "bench".to_owned()],
            machine,
            profile: None,
            load,
            unloaded: Some(step("unloaded", 0.05, 50, 0)),
            search: vec![step("trial 1", 1.0, 1_000, 0)],
            envelope: Some(Envelope {
                calls_per_sec: 1_000.0,
                is_measured: true,
                is_sustained: Some(true),
                goodput_per_sec: Some(1_000.0),
            }),
            steps: vec![
                step("1x", 1.0, 1_000, 0),
                step("2x", 2.0, 980, 1_020),
                step("5x", 5.0, 950, 4_050),
                step("10x", 10.0, 930, 9_070),
            ],
            goals: Vec::new(),
            ended_early: None,
        }
    }

    #[test]
    fn table_has_a_line_for_each_step_and_names_what_was_refused() {
        let mut receipt = receipt();
        receipt.goals = super::super::goals::judge(&receipt);
        let said = render(&receipt);
        for name in ["unloaded ", "trial 1 ", "1x ", "2x ", "5x ", "10x "] {
            assert!(said.lines().any(|line| line.starts_with(name)), "{name}: {said}");
        }
        assert!(said.contains("  10x: 9070 refused overloaded\n"), "{said}");
        assert!(said.contains("  12.3  ") && said.contains(LATENESS), "{said}");
        let held = "goodput at 10x, % of the peak: 93.0 (goal: at least 90.0): held";
        assert!(said.contains(held), "{said}");
        assert!(!said.contains("MISSED") && !said.contains("Ended early"), "{said}");
    }

    #[test]
    fn end_before_the_end_is_said() {
        let mut receipt = receipt();
        receipt.steps.clear();
        receipt.goals = super::super::goals::judge(&receipt);
        receipt.ended_early = Some("stopped by a signal".to_owned());
        let said = render(&receipt);
        assert!(said.contains("Ended early: stopped by a signal\n"), "{said}");
        assert!(said.contains("not measured"), "{said}");
    }

    #[test]
    fn numbers_keep_the_digits_that_matter() {
        assert_eq!([0.4567, 45.67, 4567.0].map(number), ["0.46", "45.7", "4567"]);
    }
}
