//! Profiles for the program under test, and how it is given another one while it runs.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::appliance::{Appliance, PROFILE};
use super::wait;
use crate::run;

/// The text of a profile: what every scenario begins with, and these tables.
pub(crate) fn text(tables: &str) -> String {
    format!("format = 1\nextends = \"{}\"\n{tables}", run::root().join(PROFILE).display())
}

/// `[server]` with a number that tells one writing from another, and that no call meets.
pub(crate) fn mark(number: u32) -> String {
    format!("[server]\nlist_ttl_ms = {number}\n")
}

/// Posts a profile with these tables against what serves now; the attempt, as the program tells of it.
pub(crate) fn post(appliance: &Appliance, tables: &str) -> Result<Value, String> {
    let (status, shown) = appliance.ask_control("/admin/plan")?;
    let shown: Value = serde_json::from_str(&shown)
        .map_err(|_| format!("/admin/plan: status {status}, no JSON: {shown}"))?;
    let identity = shown["identity"].as_str().ok_or_else(|| format!("no identity: {shown}"))?;
    let lines = [("If-Match", &*format!("\"{identity}\""))];
    let (status, body) = appliance.order("/admin/profile", &lines, &text(tables))?;
    serde_json::from_str(&body).map_err(|_| format!("status {status}, no attempt: {body}"))
}

/// Posts a good profile with these tables; whether it came in. It has to, or has to come too late: something else made a
/// generation meanwhile.
pub(crate) fn post_good(appliance: &Appliance, tables: &str) -> Result<bool, String> {
    let attempt = post(appliance, tables)?;
    match attempt["result"].as_str() {
        Some("applied") => Ok(true),
        Some("superseded") => Ok(false),
        _ => Err(format!("a good profile was not taken: {attempt}")),
    }
}

/// Posts one profile after the other for so long, at this pace, with the tables that `tables` makes of their numbers; how
/// many came in.
pub(crate) fn post_for(
    appliance: &Appliance,
    time: Duration,
    pace: Duration,
    tables: impl Fn(u32) -> String,
) -> Result<u64, String> {
    let (begun, mut applied) = (Instant::now(), 0);
    for number in 1.. {
        wait::pass((pace * number).min(time).saturating_sub(begun.elapsed()));
        if begun.elapsed() >= time {
            break;
        }
        applied += u64::from(post_good(appliance, &tables(number))?);
    }
    Ok(applied)
}
