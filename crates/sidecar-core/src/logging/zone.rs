//! The local time zone, as Go finds it: `TZ`, else `/etc/localtime`, else UTC.
//!
//! Images have neither, so their logs are in UTC; `jiff`'s own search would pull in its time zone database.

use jiff::tz::TimeZone;

/// The zone in which the header of a line shows the time.
pub(super) fn local() -> TimeZone {
    let variable = std::env::var("TZ").ok();
    let file = match variable.as_deref() {
        Some("" | "UTC") => return TimeZone::UTC,
        Some(name) => {
            let name = name.trim_start_matches(':');
            if name.starts_with('/') { name.to_owned() } else { format!("/usr/share/zoneinfo/{name}") }
        }
        None => "/etc/localtime".to_owned(),
    };
    let content = std::fs::read(file).ok();
    content.and_then(|content| TimeZone::tzif("local", &content).ok()).unwrap_or(TimeZone::UTC)
}
