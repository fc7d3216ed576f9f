//! Bounds as metrics.

use std::fmt::Write;

use protocol::Bound;

/// Writes a bound in the Prometheus text format: its limit, what it holds, the most it held, and
/// refusals.
pub fn render_bound(out: &mut String, bound: &Bound) {
    let name = bound.name();
    let limit = bound.limit();
    if limit != usize::MAX {
        writeln!(out, "toolrack_bound_limit{{bound=\"{name}\"}} {limit}").ok();
    }
    writeln!(out, "toolrack_bound_used{{bound=\"{name}\"}} {}", bound.used()).ok();
    writeln!(out, "toolrack_bound_peak{{bound=\"{name}\"}} {}", bound.peak()).ok();
    writeln!(out, "toolrack_bound_refused_total{{bound=\"{name}\"}} {}", bound.refused()).ok();
}
