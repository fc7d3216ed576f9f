//! Numbers that are read when somebody scrapes, grouped by metric as the text format demands.

use std::fmt::{Display, Write};

use protocol::{Bound, Reading};

use crate::metric::Metric;

/// The samples of one scrape.
#[derive(Debug)]
pub struct Samples {
    /// Lines, by the metric's number.
    lines: Vec<String>,
}

impl Default for Samples {
    fn default() -> Self {
        Self::new()
    }
}

impl Samples {
    /// No samples.
    #[must_use]
    pub fn new() -> Self {
        Self { lines: vec![String::new(); Metric::ALL.len()] }
    }

    /// Adds one sample. `labels` are the values of [`Metric::labels`], in that order; an empty one
    /// is left out, which Prometheus takes for the same. No two samples of a metric may have the
    /// same labels.
    pub fn set(&mut self, metric: Metric, labels: &[&str], value: impl Display) {
        debug_assert_eq!(labels.len(), metric.labels().len(), "{metric:?}");
        let line = &mut self.lines[metric as usize];
        line.push_str(metric.name());
        let given = metric.labels().iter().zip(labels).filter(|(_, value)| !value.is_empty());
        let mut before = '{';
        for (name, value) in given {
            write!(line, "{before}{name}=\"{}\"", Escaped(value)).ok();
            before = ',';
        }
        if before == ',' {
            line.push('}');
        }
        writeln!(line, " {value}").ok();
    }

    /// Adds a bound: its limit, what it holds, the most it held, and its refusals. `scope` tells
    /// bounds of one name apart; it may be empty.
    pub fn bound(&mut self, bound: &Bound, scope: &str) {
        self.reading(&bound.reading(), scope);
    }

    /// The same of a bound that was looked at already.
    pub fn reading(&mut self, bound: &Reading, scope: &str) {
        let labels = [bound.name, scope];
        // A bound that only counts has no limit to show.
        if bound.limit != usize::MAX {
            self.set(Metric::BoundLimit, &labels, bound.limit);
        }
        self.set(Metric::BoundUsed, &labels, bound.used);
        self.set(Metric::BoundPeak, &labels, bound.peak);
        self.set(Metric::BoundRefused, &labels, bound.refused);
    }

    /// Writes them all in the Prometheus text format. Metrics without a sample are left out.
    pub fn render(&self, out: &mut String) {
        for (metric, lines) in Metric::ALL.iter().zip(&self.lines) {
            if !lines.is_empty() {
                metric.write_head(out);
                out.push_str(lines);
            }
        }
    }
}

/// A label's value, with what the text format gives a meaning taken out of it.
struct Escaped<'t>(&'t str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for character in self.0.chars() {
            match character {
                '\\' => f.write_str("\\\\")?,
                '"' => f.write_str("\\\"")?,
                '\n' => f.write_str("\\n")?,
                other => f.write_char(other)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_of_a_metric_stand_together_under_its_head() {
        let mut samples = Samples::new();
        samples.set(Metric::PluginCalls, &["a"], 1);
        samples.set(Metric::Generation, &[], 7);
        samples.set(Metric::PluginCalls, &["b"], 2);
        let mut out = String::new();
        samples.render(&mut out);
        assert_eq!(
            out,
            "# HELP toolrack_plugin_calls_total Calls that a plugin was given.\n\
             # TYPE toolrack_plugin_calls_total counter\n\
             toolrack_plugin_calls_total{plugin=\"a\"} 1\n\
             toolrack_plugin_calls_total{plugin=\"b\"} 2\n\
             # HELP toolrack_generation Number of the generation that serves.\n\
             # TYPE toolrack_generation gauge\n\
             toolrack_generation 7\n"
        );
    }

    #[test]
    fn values_of_labels_cannot_break_out() {
        let mut samples = Samples::new();
        samples.set(Metric::BuildInfo, &["a\"b\\c\nd"], 1);
        let mut out = String::new();
        samples.render(&mut out);
        assert!(out.ends_with("toolrack_build_info{version=\"a\\\"b\\\\c\\nd\"} 1\n"), "{out}");
    }

    #[test]
    fn a_bound_shows_limit_use_peak_and_refusals() {
        let bound = Bound::new("calls", 1);
        let held = bound.try_take();
        assert!(held.is_some() && bound.try_take().is_none());
        drop(held);
        let mut samples = Samples::new();
        samples.bound(&bound, "public");
        samples.bound(&Bound::new("endless", usize::MAX), "");
        let mut out = String::new();
        samples.render(&mut out);
        for line in [
            "toolrack_bound_limit{bound=\"calls\",scope=\"public\"} 1\n",
            "toolrack_bound_used{bound=\"calls\",scope=\"public\"} 0\n",
            "toolrack_bound_peak{bound=\"calls\",scope=\"public\"} 1\n",
            "toolrack_bound_refused_total{bound=\"calls\",scope=\"public\"} 1\n",
            "toolrack_bound_used{bound=\"endless\"} 0\n",
        ] {
            assert!(out.contains(line), "{line} is not in {out}");
        }
        assert!(!out.contains("toolrack_bound_limit{bound=\"endless\"}"), "{out}");
    }
}
