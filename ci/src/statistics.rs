//! From many rounds to one figure.

/// The middle of `values`; the mean of the middle two when their number is even. `None` for no values.
pub(crate) fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    let upper = *sorted.get(middle)?;
    if sorted.len().is_multiple_of(2) {
        sorted.get(middle.checked_sub(1)?).map(|lower| f64::midpoint(*lower, upper))
    } else {
        Some(upper)
    }
}

/// Distance of the extremes as a share of the median: how far to trust it. `None` for no values or a median of zero.
pub(crate) fn spread(values: &[f64]) -> Option<f64> {
    let middle = median(values).filter(|middle| *middle != 0.0)?;
    let low = values.iter().copied().fold(f64::INFINITY, f64::min);
    let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    Some((high - low) / middle)
}

/// The places 0 to `count`, beginning with `round`: every place is first once in `count` rounds.
pub(crate) fn rotation(count: usize, round: usize) -> impl Iterator<Item = usize> {
    (0..count).map(move |place| (place + round) % count)
}

/// What is typical of figures that were taken by turns.
pub(crate) fn of_turns(figures: &[f64]) -> Result<f64, String> {
    median(figures).ok_or_else(|| "no turn was played".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_is_the_middle_of_what_was_measured() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median(&[]), None);
    }

    #[test]
    fn median_ignores_one_wild_round() {
        assert_eq!(median(&[10.0, 11.0, 9000.0]), Some(11.0));
    }

    #[test]
    fn spread_is_relative_to_the_median() {
        assert_eq!(spread(&[90.0, 100.0, 110.0]), Some(0.2));
        assert_eq!(spread(&[0.0]), None);
        assert_eq!(spread(&[]), None);
    }

    #[test]
    fn every_contestant_is_first_once() {
        let firsts: Vec<_> = (0..3).map(|round| rotation(3, round).next()).collect();
        assert_eq!(firsts, [Some(0), Some(1), Some(2)]);
        assert_eq!(rotation(3, 2).collect::<Vec<_>>(), [2, 0, 1]);
    }
}
