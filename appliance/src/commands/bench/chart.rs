//! Charts as SVG text, drawn with the colours of the page that holds them.
//!
//! Own code: two kinds of chart are less of it than what a plotting library would bring in.

use std::fmt::Write;

/// Size of a chart, and of the room around what is drawn, in units of the drawing.
const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 300.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 34.0;
const BOTTOM: f64 = 34.0;

/// A row of values, one for each place on the axis below.
pub(super) struct Series {
    pub(super) name: &'static str,
    /// The class that gives it its colour.
    pub(super) class: &'static str,
    pub(super) values: Vec<Option<f64>>,
}

/// Bars for each place, the series upon each other.
pub(super) fn bars(title: &str, unit: &str, places: &[String], series: &[Series]) -> String {
    let sum = |place: usize| {
        series.iter().filter_map(|one| one.values.get(place).copied().flatten()).sum::<f64>()
    };
    let top = (0..places.len()).map(sum).fold(1.0, f64::max);
    let mut out = begin(title, series);
    let y = |value: f64| HEIGHT - BOTTOM - value / top * (HEIGHT - TOP - BOTTOM);
    for part in 0..=4 {
        let value = top * f64::from(part) / 4.0;
        rule(&mut out, y(value), &short(value));
    }
    let slot = (WIDTH - LEFT - RIGHT) / places.len().max(1) as f64;
    for (place, name) in places.iter().enumerate() {
        let x = LEFT + slot * place as f64;
        let mut below = 0.0;
        for one in series {
            let Some(value) = one.values.get(place).copied().flatten() else { continue };
            let (upper, lower) = (y(below + value), y(below));
            // Writing to a string cannot fail.
            write!(
                out,
                "<rect class=\"{}\" x=\"{:.1}\" y=\"{upper:.1}\" width=\"{:.1}\" height=\"{:.1}\">\
                 <title>{}: {} {unit}</title></rect>",
                one.class,
                x + slot * 0.2,
                slot * 0.6,
                lower - upper,
                one.name,
                short(value)
            )
            .ok();
            below += value;
        }
        label(&mut out, x + slot / 2.0, name);
    }
    out.push_str("</svg>");
    out
}

/// Lines over the places, on an axis on which each step is ten times the one below.
pub(super) fn lines(title: &str, unit: &str, places: &[String], series: &[Series]) -> String {
    let values = || series.iter().flat_map(|one| &one.values).flatten().copied();
    let positive = || values().filter(|value| *value > 0.0);
    let low = positive().fold(f64::INFINITY, f64::min).log10().floor();
    let high = positive().fold(0.0, f64::max).log10().ceil();
    let mut out = begin(title, series);
    if !low.is_finite() || !high.is_finite() {
        out.push_str("</svg>");
        return out;
    }
    let high = high.max(low + 1.0);
    let y = |value: f64| {
        let share = (value.log10() - low) / (high - low);
        HEIGHT - BOTTOM - share.clamp(0.0, 1.0) * (HEIGHT - TOP - BOTTOM)
    };
    let mut power = low;
    while power <= high {
        let value = 10_f64.powf(power);
        rule(&mut out, y(value), &format!("{} {unit}", short(value)));
        power += 1.0;
    }
    let slot = (WIDTH - LEFT - RIGHT) / places.len().max(1) as f64;
    let x = |place: usize| LEFT + slot * (place as f64 + 0.5);
    for one in series {
        let points: Vec<_> = one
            .values
            .iter()
            .enumerate()
            .filter_map(|(place, value)| Some((x(place), value.filter(|value| *value > 0.0)?)))
            .collect();
        let path: Vec<_> =
            points.iter().map(|(x, value)| format!("{x:.1},{:.1}", y(*value))).collect();
        write!(out, "<polyline class=\"line {}\" points=\"{}\"/>", one.class, path.join(" ")).ok();
        for (x, value) in points {
            write!(
                out,
                "<circle class=\"{}\" cx=\"{x:.1}\" cy=\"{:.1}\" r=\"4\"><title>{}: {} {unit}</title></circle>",
                one.class,
                y(value),
                one.name,
                short(value)
            )
            .ok();
        }
    }
    for (place, name) in places.iter().enumerate() {
        label(&mut out, x(place), name);
    }
    out.push_str("</svg>");
    out
}

/// The frame, with the names of the series in their colours.
fn begin(title: &str, series: &[Series]) -> String {
    let mut out = format!(
        "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}\">",
        escape(title)
    );
    let mut x = LEFT;
    for one in series {
        write!(
            out,
            "<rect class=\"{}\" x=\"{x:.0}\" y=\"10\" width=\"12\" height=\"12\"/>\
             <text x=\"{:.0}\" y=\"20\">{}</text>",
            one.class,
            x + 17.0,
            escape(one.name)
        )
        .ok();
        x += 34.0 + 7.0 * one.name.len() as f64;
    }
    out
}

fn rule(out: &mut String, y: f64, text: &str) {
    let (right, edge, baseline) = (WIDTH - RIGHT, LEFT - 6.0, y + 4.0);
    write!(
        out,
        "<line class=\"rule\" x1=\"{LEFT}\" x2=\"{right}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
         <text class=\"end\" x=\"{edge}\" y=\"{baseline:.1}\">{}</text>",
        escape(text)
    )
    .ok();
}

fn label(out: &mut String, x: f64, text: &str) {
    let y = HEIGHT - BOTTOM + 20.0;
    write!(out, "<text class=\"middle\" x=\"{x:.1}\" y=\"{y}\">{}</text>", escape(text)).ok();
}

/// A number of few letters: 1.2k, 35M.
fn short(value: f64) -> String {
    let (scaled, unit) = match value.abs() {
        1e6.. => (value / 1e6, "M"),
        1e3.. => (value / 1e3, "k"),
        _ => (value, ""),
    };
    let digits = match scaled.abs() {
        0.0 => 0,
        value if value >= 10.0 => 0,
        value if value >= 1.0 => 1,
        value if value >= 0.1 => 2,
        _ => 3,
    };
    let text = format!("{scaled:.digits$}");
    let text =
        if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text}{unit}")
}

/// Text for HTML and SVG, in and outside of attributes.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(values: &[f64]) -> Vec<Series> {
        let values = values.iter().map(|value| Some(*value)).collect();
        vec![Series { name: "one", class: "a", values }]
    }

    fn places(count: usize) -> Vec<String> {
        (0..count).map(|place| format!("{place}x")).collect()
    }

    #[test]
    fn highest_bar_fills_the_height_and_half_of_it_half() {
        let chart = bars("t", "/s", &places(2), &series(&[100.0, 50.0]));
        let full = HEIGHT - TOP - BOTTOM;
        assert!(chart.contains(&format!("height=\"{full:.1}\"")), "{chart}");
        assert!(chart.contains(&format!("height=\"{:.1}\"", full / 2.0)), "{chart}");
    }

    #[test]
    fn ten_times_as_much_is_one_step_up() {
        let chart = lines("t", "ms", &places(3), &series(&[1.0, 10.0, 100.0]));
        let (low, high) = (HEIGHT - BOTTOM, TOP);
        for y in [low, f64::midpoint(low, high), high] {
            assert!(chart.contains(&format!("cy=\"{y:.1}\"")), "{y}: {chart}");
        }
    }

    #[test]
    fn nothing_measured_draws_nothing_and_breaks_nothing() {
        for values in [&[][..], &[0.0], &[f64::NAN]] {
            let chart = lines("t", "ms", &places(values.len()), &series(values));
            assert!(chart.ends_with("</svg>") && !chart.contains("circle"), "{chart}");
            assert!(bars("t", "/s", &places(0), &series(values)).ends_with("</svg>"));
        }
    }

    #[test]
    fn numbers_are_short() {
        let numbers = [0.0, 0.05, 0.25, 1.0, 12.4, 1_234.0, 35_000_000.0];
        assert_eq!(numbers.map(short), ["0", "0.05", "0.25", "1", "12", "1.2k", "35M"]);
    }

    #[test]
    fn text_cannot_become_markup() {
        assert_eq!(escape("<a b='\"&'>"), "&lt;a b=&#39;&quot;&amp;&#39;&gt;");
    }
}
