//! The receipt as one page that needs nothing else: charts, tables, goals.

use std::fmt::Write;

use load::receipt::{Latency, Receipt, Step};

use super::chart::{self, Series, escape};
use super::table;

/// Colours that can be told apart in light and in dark, and by those who do not see red and green.
const STYLE: &str = "\
:root{color-scheme:light dark;--back:#fff;--text:#1b1f24;--faint:#d5dae0;--a:#0072b2;--b:#e69f00;--c:#cc3d6b;--d:#009e73;--e:#aab2bb}\
@media(prefers-color-scheme:dark){:root{--back:#15181c;--text:#e4e7eb;--faint:#3a4048;--a:#56b4e9;--b:#f0b93a;--c:#f27ba0;--d:#35c79a;--e:#5a636e}}\
body{background:var(--back);color:var(--text);font:16px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem}\
figure{margin:1.5rem 0;max-width:44rem}svg{width:100%;height:auto;font-size:12px;fill:var(--text)}\
.a{fill:var(--a)}.b{fill:var(--b)}.c{fill:var(--c)}.d{fill:var(--d)}.e{fill:var(--e)}\
.line{fill:none;stroke-width:2}.line.a{stroke:var(--a)}.line.b{stroke:var(--b)}.line.c{stroke:var(--c)}.line.d{stroke:var(--d)}\
.rule{stroke:var(--faint)}.end{text-anchor:end}.middle{text-anchor:middle}\
.wide{overflow-x:auto}table{border-collapse:collapse;font-variant-numeric:tabular-nums}\
th,td{border-bottom:1px solid var(--faint);padding:.25rem .6rem;text-align:right;white-space:nowrap}\
th:first-child,td:first-child,.words td{text-align:left;white-space:normal}code{overflow-wrap:anywhere}";

/// The whole page.
pub(super) fn render(receipt: &Receipt) -> String {
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>toolrack bench</title>\
         <style>{STYLE}</style></head><body>\n<h1>Load receipt</h1>\n<p>{}</p>\n",
        escape(&table::headline(receipt))
    );
    // Writing to a string cannot fail.
    if let Some(envelope) = &receipt.envelope {
        writeln!(out, "<p>{}</p>", escape(&table::envelope(envelope))).ok();
    }
    if let Some(why) = &receipt.ended_early {
        writeln!(out, "<p><strong>Ended early:</strong> {}</p>", escape(why)).ok();
    }
    goals(&mut out, receipt);
    charts(&mut out, receipt);
    steps(&mut out, receipt);
    circumstances(&mut out, receipt);
    out.push_str("</body></html>\n");
    out
}

fn goals(out: &mut String, receipt: &Receipt) {
    out.push_str("<h2>Goals</h2>\n<ul>\n");
    for goal in &receipt.goals {
        let mark = match goal.is_held {
            Some(true) => "✓",
            Some(false) => "✗",
            None => "–",
        };
        writeln!(out, "<li>{mark} {}</li>", escape(&table::verdict(goal))).ok();
    }
    out.push_str("</ul>\n");
}

fn charts(out: &mut String, receipt: &Receipt) {
    let steps = &receipt.steps;
    if steps.is_empty() {
        return;
    }
    let places: Vec<_> =
        steps.iter().map(|step| format!("{} ({:.0}/s)", step.name, step.offered_per_sec)).collect();
    let rate = |calls: u64, step: &Step| Some(calls as f64 / step.seconds.max(f64::MIN_POSITIVE));
    let series = |name, class, of: &dyn Fn(&Step) -> Option<f64>| Series {
        name,
        class,
        values: steps.iter().map(of).collect(),
    };
    let calls = [
        series("accepted", "a", &|step| rate(step.accepted, step)),
        series("refused", "b", &|step| rate(step.refused, step)),
        series("failed", "c", &|step| rate(step.failed, step)),
        series("not sent", "e", &|step| rate(step.not_sent, step)),
    ];
    let title = "Calls a second by offered load";
    figure(out, title, &chart::bars(title, "/s", &places, &calls));
    let ms = |latency: Option<Latency>, of: fn(Latency) -> f64| latency.map(|all| of(all) / 1e3);
    let latencies = [
        series("p50", "d", &|step| ms(step.accepted_latency, |all| all.p50_us)),
        series("p90", "a", &|step| ms(step.accepted_latency, |all| all.p90_us)),
        series("p99", "b", &|step| ms(step.accepted_latency, |all| all.p99_us)),
        series("p99.9", "c", &|step| ms(step.accepted_latency, |all| all.p999_us)),
    ];
    let title = "Latency of accepted calls by offered load, from the moment each was due";
    figure(out, title, &chart::lines(title, "ms", &places, &latencies));
    let others = [
        series("refusal p99", "b", &|step| ms(step.refusal_answer, |all| all.p99_us)),
        series("health p50", "d", &|step| step.health.map(|health| health.p50_us / 1e3)),
        series("health p99", "a", &|step| step.health.map(|health| health.p99_us / 1e3)),
        series("health max", "c", &|step| step.health.map(|health| health.max_us / 1e3)),
    ];
    let title = "Refusals and health by offered load, from the first byte out";
    figure(out, title, &chart::lines(title, "ms", &places, &others));
}

fn figure(out: &mut String, title: &str, chart: &str) {
    writeln!(out, "<figure><figcaption>{}</figcaption>{chart}</figure>", escape(title)).ok();
}

fn steps(out: &mut String, receipt: &Receipt) {
    out.push_str("<h2>Steps</h2>\n<div class=\"wide\"><table><tr>");
    for heading in table::HEADINGS {
        write!(out, "<th>{heading}</th>").ok();
    }
    out.push_str("</tr>\n");
    for step in table::steps(receipt) {
        out.push_str("<tr>");
        for cell in table::cells(step) {
            write!(out, "<td>{}</td>", escape(&cell)).ok();
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</table></div>\n<ul>\n");
    for step in table::steps(receipt) {
        if let Some(kinds) = table::kinds(step) {
            writeln!(out, "<li>{}: {}</li>", escape(&step.name), escape(&kinds)).ok();
        }
        if let Some(error) = &step.first_error {
            let name = escape(&step.name);
            writeln!(out, "<li>{name}, first failure: <code>{}</code></li>", escape(error)).ok();
        }
    }
    out.push_str("</ul>\n");
}

fn circumstances(out: &mut String, receipt: &Receipt) {
    let (machine, load) = (&receipt.machine, &receipt.load);
    let profile = receipt.profile.as_ref().map_or_else(
        || "not known".to_owned(),
        |profile| format!("{}, SHA-256 of its plan {}", profile.name, profile.plan_sha256),
    );
    let build = &receipt.toolrack.build;
    let rows = [
        ("Date", receipt.date.clone()),
        ("Program", format!("toolrack {}, {build} build", receipt.toolrack.version)),
        ("Command", receipt.command.join(" ")),
        ("Profile", profile),
        ("Processor", machine.processor.clone()),
        ("Cores", format!("{} ({})", machine.cores, machine.cores_from)),
        ("Processors", table::processors(receipt).unwrap_or_else(|| "not known".to_owned())),
        ("Memory", format!("{} MiB ({})", machine.memory_bytes >> 20, machine.memory_from)),
        ("Kernel", format!("Linux {}", machine.kernel)),
        ("Server", load.url.clone()),
        ("Calls", format!("{} of {} bytes, era {}", load.tool, load.arguments_bytes, load.era)),
        (
            "Clients",
            format!(
                "{} connections from {} addresses, {} % of the calls on new ones",
                load.connections, load.addresses, load.new_connections_percent
            ),
        ),
        ("Method", format!("{METHOD} {}", table::LATENESS)),
    ];
    out.push_str("<h2>Circumstances</h2>\n<table class=\"words\">");
    for (name, value) in rows {
        writeln!(out, "<tr><th>{name}</th><td>{}</td></tr>", escape(&value)).ok();
    }
    out.push_str("</table>\n");
}

/// How it was measured.
const METHOD: &str = "Open loop: calls are due by the clock, and an accepted call counts from then until the \
    kernel has the answer; a refusal counts from when it was sent. What the load itself waits, before it sends a call \
    or reads an answer, does not count. A call that finds no free connection within 10 ms is not sent. One generator \
    thread, on this machine, beside the server when that is here too.";

#[cfg(test)]
mod tests {
    use super::super::table::tests::receipt;
    use super::*;

    #[test]
    fn page_needs_nothing_from_elsewhere() {
        let page = render(&receipt());
        for mark in ["<script", "src=", "href=", "url(", "@import"] {
            assert!(!page.contains(mark), "{mark}");
        }
        assert_eq!(page.matches("<svg").count(), 3);
        assert!(page.contains("prefers-color-scheme:dark"));
    }

    #[test]
    fn words_from_outside_cannot_become_markup() {
        let mut receipt = receipt();
        receipt.steps[0].first_error = Some("<script>alert(1)</script>".to_owned());
        let page = render(&receipt);
        assert!(page.contains("&lt;script&gt;") && page.contains("Model &lt;1&gt;"));
        assert!(!page.contains("<script"));
    }

    #[test]
    fn run_without_steps_has_a_page_without_charts() {
        let mut receipt = receipt();
        receipt.steps.clear();
        receipt.ended_early = Some("stopped by a signal".to_owned());
        let page = render(&receipt);
        assert!(page.contains("stopped by a signal") && !page.contains("<svg"));
    }
}
