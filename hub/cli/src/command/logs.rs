//! `muster logs`: what happened to an app, as a log that can be followed.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use super::{Verdict, is_since};
use crate::failure::Failure;
use crate::hub::Hub;
use crate::model::{Event, short};
use crate::output::{Printer, write};
use crate::show;
use crate::text::{clean, finish_line};

/// How often the hub is asked for more.
const ASK: Duration = Duration::from_secs(2);

/// Which events are meant.
pub(super) struct Wanted<'a> {
    pub(super) app: &'a str,
    pub(super) cluster: Option<&'a str>,
    pub(super) since: Option<Duration>,
    pub(super) limit: u32,
}

#[derive(Serialize)]
struct Events<'a> {
    events: &'a [Event],
}

pub(super) async fn run(
    hub: &mut Hub,
    printer: Printer,
    wanted: &Wanted<'_>,
    follow: bool,
) -> Result<Verdict, Failure> {
    let mut told = BTreeSet::new();
    loop {
        let mut events = hub.events(wanted.cluster, Some(wanted.app), wanted.limit).await?;
        let now = Timestamp::now();
        events.retain(|event| is_since(event.time, wanted.since, now) && !told.contains(&event.id));
        events.reverse();
        told.extend(events.iter().map(|event| event.id.clone()));
        if printer.is_for_people() {
            for event in &events {
                write(&line(event, printer.is_coloured()))?;
            }
        } else if !follow {
            printer.print(&Events { events: &events }, |_| crate::text::Page::new())?;
        } else {
            for event in &events {
                printer.stream(event, |_, _| Vec::new())?;
            }
        }
        if !follow {
            return Ok(Verdict::Well);
        }
        tokio::time::sleep(ASK).await;
    }
}

fn line(event: &Event, colour: bool) -> String {
    let time = event.time.map(|time| time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()).unwrap_or_default();
    let kind = finish_line(&show::kind(event.kind), colour);
    let place = format!("{} {}", event.cluster, short(&event.revision));
    format!("{time}  {}  {}  {}\n", kind.trim_end(), clean(&place), clean(&event.message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn an_event_is_a_line_with_its_time() {
        let event = Event {
            id: "1".to_owned(),
            time: sample::before(61),
            kind: "Synced",
            cluster: "dev".to_owned(),
            app: "web".to_owned(),
            revision: sample::REVISION.to_owned(),
            message: "All 2 objects\nare as Git says.".to_owned(),
        };
        let shown = line(&event, false);
        assert_eq!(shown.lines().count(), 1, "{shown}");
        assert!(shown.starts_with("2026-11-23T20:26:09Z  Synced  dev 1a2b3c4  All 2 objects"), "{shown}");
        let day = Some(Duration::from_secs(60));
        assert!(!is_since(event.time, day, sample::now()) && is_since(event.time, None, sample::now()));
        assert!(is_since(sample::before(60), day, sample::now()));
    }
}
