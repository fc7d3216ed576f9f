//! Whether a host carries what a profile is made for, and which of the built-in profiles it carries.

use middleware::ByteSize;
use profile::plan::HardwarePlan;
use profile::{Loaded, Plan, Problems, Sources, WorstCase, built_ins};

use crate::hardware::Hardware;

/// What `--profile` says for the profile that fits this machine.
pub(crate) const AUTO: &str = "auto";

/// A host may have a part in so many less memory than its profile says: firmware and kernel keep some of what was
/// bought.
const MEMORY_PART: u64 = 8;

/// A built-in profile for a box.
#[derive(Debug)]
pub(crate) struct Candidate {
    /// Its name.
    pub(crate) name: &'static str,
    /// The box.
    pub(crate) envelope: HardwarePlan,
    /// What it takes at most.
    pub(crate) worst_case_bytes: u64,
}

/// The profile for a host.
#[derive(Debug)]
pub(crate) struct Choice {
    /// The largest that fits; the smallest of all when none does.
    pub(crate) profile: Candidate,
    /// Whether it fits.
    pub(crate) fits: bool,
    /// The next larger one.
    pub(crate) next: Option<Candidate>,
}

/// The profiles for a box, the smallest first, as they are in the program: what the environment says belongs to a
/// profile that runs here.
///
/// # Errors
/// When the program carries a profile that is not good.
pub(crate) fn candidates() -> Result<Vec<Candidate>, Problems> {
    let mut candidates = Vec::new();
    for profile in built_ins().iter().filter(|profile| profile.is_box) {
        let sources = Sources { profile: profile.name.to_owned(), ..Sources::default() };
        let Loaded { plan, .. } = profile::load(&sources)?;
        let worst_case_bytes = WorstCase::of(&plan).bytes();
        if let Some(envelope) = plan.hardware {
            candidates.push(Candidate { name: profile.name, envelope, worst_case_bytes });
        }
    }
    Ok(candidates)
}

/// The profile for `host`.
///
/// # Errors
/// When the program carries a profile that is not good, or none for a box.
pub(crate) fn choose(host: &Hardware) -> Result<Choice, String> {
    let mut candidates = candidates().map_err(|problems| problems.to_string())?;
    let fitting = candidates
        .iter()
        .take_while(|candidate| lacking(&candidate.envelope, host).is_empty())
        .count();
    let next = (fitting.max(1) < candidates.len()).then(|| candidates.remove(fitting.max(1)));
    candidates.truncate(fitting.max(1));
    let profile = candidates.pop().ok_or("this program has no profile for a box")?;
    Ok(Choice { profile, fits: fitting > 0, next })
}

/// Each of cores and memory of which `host` has less than the envelope: what is needed, and what is there.
pub(crate) fn lacking(envelope: &HardwarePlan, host: &Hardware) -> Vec<(&'static str, String)> {
    let mut lacking = Vec::new();
    if host.cores < envelope.cores {
        let (needed, there) = (envelope.cores, host.cores);
        lacking.push(("cores", format!("{needed} cores; here are {there} ({})", host.cores_from)));
    }
    let needed = envelope.memory_bytes;
    // Of a kernel that does not tell, nothing is known.
    if host.memory_bytes < needed - needed / MEMORY_PART {
        let there = host.memory_bytes >> 20;
        let text =
            format!("{} of memory; here are {there} MiB ({})", ByteSize(needed), host.memory_from);
        lacking.push(("memory_bytes", text));
    }
    lacking
}

/// What an operator reads when `host` has less than the profile is made for: one sentence for each figure.
pub(crate) fn mismatches(plan: &Plan, host: &Hardware) -> Vec<String> {
    let Some(envelope) = &plan.hardware else { return Vec::new() };
    let name = &plan.name;
    let lacking = lacking(envelope, host);
    // Nobody who has enough waits for the other profiles to be read.
    let instead = if lacking.is_empty() { String::new() } else { instead(name, host) };
    let mut mismatches: Vec<_> = lacking
        .into_iter()
        .map(|(key, text)| {
            format!("hardware.{key}: the profile `{name}` is made for {text}. {instead}")
        })
        .collect();
    let descriptors = envelope.descriptors.zip(host.descriptors);
    if let Some((needed, there)) = descriptors.filter(|(needed, there)| there < needed) {
        mismatches.push(format!(
            "hardware.descriptors: the profile `{name}` is made for {needed} open files; here are {there} (RLIMIT_NOFILE). \
             Raise the limit (`ulimit -Hn`, or LimitNOFILE of the service), or lower \
             layer.connections.connections_max and this."
        ));
    }
    mismatches
}

/// What to do on `host` instead of serving the profile `name`.
fn instead(name: &str, host: &Hardware) -> String {
    match choose(host) {
        Ok(choice) if choice.fits && choice.profile.name != name => format!(
            "Use the profile `{}`, which fits here, as it is or by `extends`; or give the process more.",
            choice.profile.name
        ),
        _ => "No built-in profile fits better; give the process more, or lower the numbers of the profile.".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hardware::Limit;

    const GIB: u64 = 1 << 30;

    fn host(cores: usize, memory_bytes: u64) -> Hardware {
        let (cores_from, memory_from) = (Limit::Affinity, Limit::Group);
        Hardware { cores, cores_from, memory_bytes, memory_from, descriptors: Some(1_024) }
    }

    #[test]
    fn the_largest_profile_that_fits_is_chosen_by_cores_and_memory() {
        let hosts = [
            (1, GIB, "edge-1c1g"),
            (1, 64 * GIB, "edge-1c1g"),
            (2, 4 * GIB, "small-2c4g"),
            (2, 3 * GIB, "edge-1c1g"),
            (3, 24 * GIB, "small-2c4g"),
            (4, 8 * GIB, "medium-4c8g"),
            (6, 16 * GIB, "medium-4c8g"),
            (8, 16 * GIB, "large-8c16g"),
            (16, 32 * GIB, "reference-16c32g"),
            (32, 48 * GIB, "reference-16c32g"),
            (32, 64 * GIB, "xlarge-32c64g"),
            (128, 1_024 * GIB, "xlarge-32c64g"),
        ];
        for (cores, memory_bytes, expected) in hosts {
            let choice = choose(&host(cores, memory_bytes)).expect("good profiles");
            assert_eq!((choice.profile.name, choice.fits), (expected, true), "{cores} cores");
        }
    }

    #[test]
    fn an_eighth_of_the_memory_may_be_kept_by_the_kernel() {
        let chosen = |bytes| choose(&host(2, bytes)).expect("good profiles").profile.name;
        assert_eq!(chosen(7 * GIB / 2), "small-2c4g");
        assert_eq!(chosen(7 * GIB / 2 - 1), "edge-1c1g");
    }

    #[test]
    fn where_none_fits_it_is_the_smallest_and_says_so() {
        for (cores, memory_bytes) in [(1, GIB / 2), (8, GIB / 2), (4, 0)] {
            let choice = choose(&host(cores, memory_bytes)).expect("good profiles");
            assert_eq!((choice.profile.name, choice.fits), ("edge-1c1g", false));
            assert_eq!(choice.next.map(|next| next.name), Some("small-2c4g"));
        }
    }

    #[test]
    fn the_largest_has_no_next() {
        let choice = choose(&host(64, 128 * GIB)).expect("good profiles");
        assert!(choice.next.is_none());
    }

    #[test]
    fn where_no_profile_fits_a_mismatch_names_none() {
        let sources = Sources { profile: "edge-1c1g".to_owned(), ..Sources::default() };
        let plan = profile::load(&sources).expect("good").plan;
        let said = mismatches(&plan, &host(1, GIB / 2));
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(said[0].contains("No built-in profile fits better; give"), "{said:?}");
        let dev = Sources { profile: "dev".to_owned(), ..Sources::default() };
        let dev = profile::load(&dev).expect("good").plan;
        assert_eq!(mismatches(&dev, &host(1, 1)), [""; 0]);
    }

    #[test]
    fn a_mismatch_names_the_figure_both_sides_and_the_profile_that_fits() {
        let sources = Sources { profile: "large-8c16g".to_owned(), ..Sources::default() };
        let plan = profile::load(&sources).expect("good").plan;
        assert_eq!(
            mismatches(&plan, &Hardware { descriptors: None, ..host(8, 16 * GIB) }),
            [""; 0]
        );
        let said = mismatches(&plan, &host(2, 4 * GIB)).join("\n");
        for part in [
            "hardware.cores: the profile `large-8c16g` is made for 8 cores; here are 2 (processors",
            "hardware.memory_bytes: the profile `large-8c16g` is made for 16GiB of memory; here are 4096 MiB (limit",
            "Use the profile `small-2c4g`",
            "made for 9216 open files; here are 1024",
        ] {
            assert!(said.contains(part), "{part} is not in {said}");
        }
    }
}
