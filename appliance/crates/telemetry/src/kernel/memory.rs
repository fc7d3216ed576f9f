//! Reads what the kernel writes about memory.

use super::field;

/// From here on a limit of version 1 means that there is none: it is the largest number that fits, rounded to pages,
/// and differs between machines.
const NO_LIMIT_BYTES: u64 = 1 << 60;

/// Bytes of `memory.max`, `memory.high` (`max` is no limit) or `memory.limit_in_bytes`; `None` when it sets no limit.
#[must_use]
pub fn group_limit(text: &str) -> Option<u64> {
    text.trim().parse().ok().filter(|limit| *limit < NO_LIMIT_BYTES)
}

/// `MemTotal` of `/proc/meminfo`, in bytes.
#[must_use]
pub fn total_bytes(meminfo: &str) -> Option<u64> {
    field(meminfo, "MemTotal:")?.checked_mul(1024)
}

/// `VmRSS` of `/proc/self/status`, in bytes.
pub(crate) fn resident_bytes(status: &str) -> Option<u64> {
    field(status, "VmRSS:")?.checked_mul(1024)
}

/// Bytes of files in `memory.stat` that the kernel gives back as soon as somebody wants them. Version 1 writes its own
/// and then, as `total_`, those of the groups inside, which its usage counts in as well.
pub(crate) fn inactive_file_bytes(stat: &str) -> u64 {
    let of = |name| field(stat, name);
    of("total_inactive_file ").or_else(|| of("inactive_file ")).unwrap_or(0)
}

/// The share of the last ten seconds in which something waited for memory, in percent: `some avg10` of a pressure file
/// (the kernel's `Documentation/accounting/psi.rst`).
pub(crate) fn stalled_percent(pressure: &str) -> Option<f32> {
    let some = pressure.lines().find_map(|line| line.strip_prefix("some "))?;
    let average = some.split_whitespace().find_map(|part| part.strip_prefix("avg10="))?;
    average.parse().ok().filter(|percent: &f32| percent.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_a_number_that_can_be_reached() {
        assert_eq!(group_limit("536870912\n"), Some(512 << 20));
        assert_eq!(group_limit("0\n"), Some(0));
        for none in
            ["max\n", "9223372036854771712\n", "18446744073709551615", "1152921504606846976"]
        {
            assert_eq!(group_limit(none), None, "{none}");
        }
        for malformed in ["", "a lot", "-1", "1 2", "99999999999999999999999"] {
            assert_eq!(group_limit(malformed), None, "{malformed}");
        }
    }

    #[test]
    fn reads_both_versions_of_the_statistics() {
        let two = "anon 4096\nfile 8192\ninactive_anon 1\ninactive_file 12288\nactive_file 3\n";
        assert_eq!(inactive_file_bytes(two), 12_288);
        let one = "cache 1\ninactive_file 4096\nactive_file 9\nhierarchical_memory_limit 7\n\
                   total_cache 2\ntotal_inactive_file 8192\n";
        assert_eq!(inactive_file_bytes(one), 8_192);
        assert_eq!(inactive_file_bytes(""), 0);
        assert_eq!(inactive_file_bytes("inactive_file lots\n"), 0);
    }

    #[test]
    fn reads_the_pressure_of_the_last_ten_seconds() {
        let text = "some avg10=12.34 avg60=5.00 avg300=1.00 total=556428\n\
                    full avg10=99.00 avg60=0.00 avg300=0.02 total=490709\n";
        assert_eq!(stalled_percent(text), Some(12.34));
        for malformed in
            ["", "some\n", "some avg60=1.00", "some avg10=x", "some avg10=inf", "full avg10=1.00"]
        {
            assert_eq!(stalled_percent(malformed), None, "{malformed}");
        }
    }

    #[test]
    fn kibibytes_are_read_as_bytes() {
        assert_eq!(total_bytes("MemTotal:       16777216 kB\nMemFree: 1 kB\n"), Some(16 << 30));
        assert_eq!(resident_bytes("Name:\ttoolrack\nVmRSS:\t   11264 kB\n"), Some(11 << 20));
        assert_eq!(total_bytes("MemTotal: 18446744073709551615 kB\n"), None);
        assert_eq!(resident_bytes("VmSize:\t 1 kB\n"), None);
    }
}
