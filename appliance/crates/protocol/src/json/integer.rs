//! The exact integer that a JSON number means, however it is written.

/// The value of a number that has been checked already: `42`, `42.0`, `4.2e1`. None when it is no integer of `i64`.
///
/// Digits are never rounded: a float cannot tell neighbours apart above 2^53.
pub(super) fn integer(number: &str) -> Option<i64> {
    // Almost every integer is written plainly.
    number.parse().ok().or_else(|| by_digits(number))
}

fn by_digits(number: &str) -> Option<i64> {
    let (is_negative, number) = match number.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, number),
    };
    let (decimal, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let (whole, fraction) = decimal.split_once('.').unwrap_or((decimal, ""));
    let digits = whole.bytes().chain(fraction.bytes());
    let zeros_behind = digits.clone().rev().take_while(|digit| *digit == b'0').count();
    let count = whole.len() + fraction.len();
    if zeros_behind == count {
        return Some(0);
    }
    // The tens by which the digits without their last zeros are to be multiplied.
    let exponent: i64 = exponent.parse().ok()?;
    let tens = exponent.checked_add(zeros_behind as i64)?.checked_sub(fraction.len() as i64)?;
    let tens = 10_i128.checked_pow(u32::try_from(tens).ok()?)?;
    let magnitude = digits.take(count - zeros_behind).try_fold(0_i128, |value, digit| {
        value.checked_mul(10)?.checked_add(i128::from(digit - b'0'))
    })?;
    let magnitude = magnitude.checked_mul(tens)?;
    i64::try_from(if is_negative { -magnitude } else { magnitude }).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::integer;

    #[test]
    fn never_rounds() {
        for (text, value) in [
            ("0", Some(0)),
            ("-0", Some(0)),
            ("-0.000", Some(0)),
            ("0e999999999999999999999", Some(0)),
            ("42.0", Some(42)),
            ("1e3", Some(1_000)),
            ("1E+3", Some(1_000)),
            ("1200e-2", Some(12)),
            ("0.0012e4", Some(12)),
            ("1e18", Some(1_000_000_000_000_000_000)),
            ("9007199254740993.0", Some(9_007_199_254_740_993)),
            ("9223372036854775807.0", Some(i64::MAX)),
            ("-9223372036854775808.0", Some(i64::MIN)),
            ("9223372036854775808", None),
            ("1e19", None),
            ("1e99999999999999999999", None),
            ("1.5", None),
            ("9007199254740991.4", None),
            ("1e-400", None),
            ("1200e-3", None),
        ] {
            assert_eq!(integer(text), value, "{text}");
        }
    }

    proptest! {
        #[test]
        fn reads_every_way_to_write_an_integer(value: i64, zeros in 0_usize..30, moved in 0_usize..30) {
            let zeros_text = "0".repeat(zeros);
            prop_assert_eq!(integer(&format!("{value}.{zeros_text}0")), Some(value));
            prop_assert_eq!(integer(&format!("{value}{zeros_text}e-{zeros}")), Some(value));
            let sign = if value < 0 { "-" } else { "" };
            let digits = format!("{:030}", value.unsigned_abs());
            let (whole, fraction) = digits.split_at(30 - moved);
            let whole = if whole.is_empty() { "0" } else { whole };
            let text = format!("{sign}{whole}.{fraction}0e{moved}");
            prop_assert_eq!(integer(&text), Some(value));
        }
    }
}
