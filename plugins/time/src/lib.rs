//! The time in any zone of the IANA database, and from one zone to another.

use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned, civil};
use plugin_sdk::prelude::*;

/// The plugin.
pub struct Time {
    default_zone: TimeZone,
}

/// Settings.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The zone that is meant when none is named. Default: `UTC`.
    zone: String,
}

impl Default for Config {
    fn default() -> Self {
        Self { zone: "UTC".to_owned() }
    }
}

/// Which zone.
#[derive(Deserialize, JsonSchema)]
pub struct NowArgs {
    /// IANA name, for example `Europe/Berlin`. Without it, the default zone of this server.
    #[serde(default)]
    zone: Option<String>,
}

/// What to convert.
#[derive(Deserialize, JsonSchema)]
pub struct ConvertArgs {
    /// The time: RFC 3339 with an offset (`2026-07-28T12:00:00Z`), or without one (`2026-07-28T12:00:00`), which then
    /// is a time in `from`.
    time: String,
    /// IANA name of the zone that a time without an offset is in. Without it, the default zone of this server.
    #[serde(default)]
    from: Option<String>,
    /// IANA name of the wanted zone.
    to: String,
}

/// Which zones.
#[derive(Deserialize, JsonSchema)]
pub struct ZonesArgs {
    /// Part of the name, in any case, for example `berlin` or `america/`.
    #[serde(default)]
    contains: String,
}

/// A moment in a zone.
#[derive(Serialize, JsonSchema)]
pub struct Moment {
    /// RFC 3339 with the zone's offset.
    time: String,
    /// IANA name of the zone.
    zone: String,
    /// The offset from UTC, for example `+02:00`.
    offset: String,
    /// English name of the day.
    weekday: String,
    /// Seconds since 1970-01-01T00:00:00Z.
    unix_seconds: i64,
}

impl Moment {
    fn new(at: &Zoned) -> Self {
        Self {
            time: at.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string(),
            zone: at.time_zone().iana_name().unwrap_or("UTC").to_owned(),
            offset: at.strftime("%:z").to_string(),
            weekday: at.strftime("%A").to_string(),
            unix_seconds: at.timestamp().as_second(),
        }
    }
}

/// Most zones of one answer: the whole database fits.
const ZONES_MAX: usize = 1_000;

fn zone(name: &str) -> Result<TimeZone> {
    TimeZone::get(name).map_err(|_| {
        Error::invalid(format!(
            "`{name}` is no time zone; call `zones` with a part of its name, for example a city."
        ))
    })
}

fn zone_names() -> impl Iterator<Item = String> {
    jiff::tz::db().available().map(|name| name.to_string())
}

#[plugin(id = "toolrack.time", description = "The time in any zone, and from one zone to another.", config = Config)]
impl Time {
    fn new(config: Config, _: &Host) -> Result<Self> {
        let default_zone = TimeZone::get(&config.zone).map_err(|_| {
            Error::invalid(format!(
                "config.zone: `{}` is no time zone of the IANA database",
                config.zone
            ))
        })?;
        Ok(Self { default_zone })
    }

    /// Tells the current time in a zone.
    #[tool(title = "Current time", read_only, open_world = false, output = Moment)]
    fn now(&self, args: NowArgs) -> Result<Json<Moment>> {
        let zone = match args.zone {
            Some(name) => zone(&name)?,
            None => self.default_zone.clone(),
        };
        Ok(Json(Moment::new(&Timestamp::now().to_zoned(zone))))
    }

    /// Converts a time from one zone to another.
    #[tool(title = "Convert a time", read_only, idempotent, open_world = false, output = Moment)]
    fn convert(&self, args: ConvertArgs) -> Result<Json<Moment>> {
        let to = zone(&args.to)?;
        if let Ok(at) = args.time.parse::<Timestamp>() {
            return Ok(Json(Moment::new(&at.to_zoned(to))));
        }
        let local: civil::DateTime = args.time.parse().map_err(|_| {
            let time = &args.time;
            Error::invalid(format!(
                "`{time}` is no time; write it like 2026-07-28T12:00:00 or 2026-07-28T12:00:00Z."
            ))
        })?;
        let from = match &args.from {
            Some(name) => zone(name)?,
            None => self.default_zone.clone(),
        };
        let at = local
            .to_zoned(from)
            .map_err(|error| Error::invalid(format!("There is no such time there: {error}.")))?;
        Ok(Json(Moment::new(&at.with_time_zone(to))))
    }

    /// Names the time zones whose names contain a text.
    #[tool(title = "Time zones", read_only, idempotent, open_world = false)]
    fn zones(&self, args: ZonesArgs) -> Result<String> {
        let part = args.contains.to_lowercase();
        let names: Vec<_> = zone_names()
            .filter(|name| name.to_lowercase().contains(&part))
            .take(ZONES_MAX)
            .collect();
        if names.is_empty() {
            return Err(Error::tool(format!("No time zone has `{}` in its name.", args.contains)));
        }
        Ok(names.join("\n"))
    }
}

#[cfg(test)]
mod tests {
    use plugin_sdk::testing::Harness;

    use super::*;

    fn converted(arguments: &str) -> String {
        let harness = Harness::<Time>::new("{}").expect("starts");
        let answer = harness.call_tool("convert", arguments);
        answer.json()["time"].as_str().map_or_else(|| answer.text(), str::to_owned)
    }

    #[test]
    fn converts_across_daylight_saving() {
        let summer = r#"{"time":"2026-07-28T12:00:00Z","to":"Europe/Berlin"}"#;
        assert_eq!(converted(summer), "2026-07-28T14:00:00+02:00");
        let winter =
            r#"{"time":"2026-01-28T12:00:00","from":"America/New_York","to":"Europe/Berlin"}"#;
        assert_eq!(converted(winter), "2026-01-28T18:00:00+01:00");
    }

    #[test]
    fn says_how_to_mend_a_wrong_zone_or_time() {
        assert!(converted(r#"{"time":"noon","to":"UTC"}"#).contains("write it like"));
        assert!(
            converted(r#"{"time":"2026-07-28T12:00:00Z","to":"Mars/Base"}"#)
                .contains("call `zones`")
        );
        assert!(Harness::<Time>::new(r#"{"zone":"Nowhere"}"#).is_err());
        assert!(Harness::<Time>::new(r#"{"zones":"UTC"}"#).is_err());
    }

    #[test]
    fn knows_the_time_and_the_zones() {
        let harness = Harness::<Time>::new("{}").expect("starts");
        assert!(harness.call_tool("now", r#"{"zone":"Asia/Tokyo"}"#).json()["offset"] == "+09:00");
        assert!(
            harness.call_tool("zones", r#"{"contains":"BERLIN"}"#).text().contains("Europe/Berlin")
        );
        assert_eq!(harness.call_tool("zones", r#"{"contains":"nowhere"}"#).status, 1);
    }
}
