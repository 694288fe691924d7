//! What differs, object by object, with the fields under each.

use jiff::Timestamp;

use crate::{
    diff::{Between, Change, Reported, State},
    model::{Connection, short},
    text::{Page, Screen, Style, Text, ago, count, thousands},
};

/// Fields shown of one object; `-o wide` shows all.
const FIELDS_MAX: usize = 10;

/// The page of `muster diff`.
pub(crate) fn reported(found: &[Reported], now: Timestamp, screen: Screen) -> Page {
    let mut page = Page::new();
    if found.is_empty() {
        page.line(&Text::styled(Style::Good, "every cluster is as Git says"));
        return page;
    }
    let mut last = None;
    for one in found {
        let whose = (&one.cluster, &one.app);
        if last != Some(whose) {
            page.gap();
            page.line(&heading(one));
            last = Some(whose);
        }
        page.wrapped(&told(one, now), screen, 2);
        let fields =
            one.fields.iter().map(|field| (field.path.as_str(), given(&field.found), given(&field.wanted)));
        lines(&mut page, fields.collect(), screen);
    }
    page
}

/// An empty text stands for no value.
fn given(json: &str) -> Option<&str> {
    (!json.is_empty()).then_some(json)
}

fn heading(one: &Reported) -> Text {
    let revision = match (short(&one.revision), short(&one.wanted_revision)) {
        (at, wanted) if at == wanted => format!(" at {at}"),
        (at, wanted) => format!(" at {at}, wanted {wanted}"),
    };
    let text = Text::styled(Style::Strong, format!("{} {}", one.cluster, one.app)).and(Style::Dim, revision);
    match one.connection {
        Connection::Connected => text,
        connection => text.and(Style::Warn, format!(", {}: what it said last", connection.word())),
    }
}

fn told(one: &Reported, now: Timestamp) -> Text {
    let by = if one.field_manager.is_empty() { String::new() } else { format!(" by {}", one.field_manager) };
    let when = one.detected_at.map(|_| format!(" {}", ago(one.detected_at, now))).unwrap_or_default();
    let object = one.object.as_ref().map(|object| format!("{object}  ")).unwrap_or_default();
    let text = Text::plain(object);
    match one.state {
        State::Changed => text.and(Style::Bad, "changed").and(Style::Dim, format!("{when}{by}")),
        State::Deleted => text.and(Style::Bad, "deleted").and(Style::Dim, format!("{when}{by}")),
        State::OutOfSync if one.message.is_empty() => text.and(Style::Bad, "not as Git says"),
        State::OutOfSync => text.and(Style::Bad, &*one.message),
    }
}

/// The page of `muster diff REV1..REV2`.
pub(crate) fn between(found: &[Between], screen: Screen) -> Page {
    let mut page = Page::new();
    if found.is_empty() {
        page.line(&Text::plain("both render to the same objects"));
        return page;
    }
    let mut last = None;
    for one in found {
        let whose = (&one.cluster, &one.app);
        if last != Some(whose) {
            if !one.app.is_empty() {
                page.gap();
                page.line(&Text::styled(Style::Strong, format!("{} {}", one.cluster, one.app)));
            }
            last = Some(whose);
        }
        let text = match one.change {
            Change::Added => Text::styled(Style::Good, "+ "),
            Change::Removed => Text::styled(Style::Bad, "- "),
            Change::Changed => Text::styled(Style::Warn, "~ "),
        };
        let place = if one.place.is_empty() { String::new() } else { format!("  {}", one.place) };
        page.wrapped(&text.and(Style::Plain, &*one.object).and(Style::Dim, place), screen, 0);
        let fields = one
            .fields
            .iter()
            .map(|field| (field.path.as_str(), field.before.as_deref(), field.after.as_deref()));
        lines(&mut page, fields.collect(), screen);
    }
    let of = |change| found.iter().filter(|one| one.change == change).count();
    page.gap();
    let (added, removed) = (thousands(of(Change::Added)), thousands(of(Change::Removed)));
    let changed = count(of(Change::Changed), "object");
    page.line(&Text::styled(Style::Dim, format!("{changed} changed, {added} added, {removed} removed")));
    page
}

/// A line for each field: what is there, and what is to be there.
fn lines(page: &mut Page, fields: Vec<(&str, Option<&str>, Option<&str>)>, screen: Screen) {
    let shown = if screen.wide { usize::MAX } else { FIELDS_MAX };
    let more = fields.len().saturating_sub(shown);
    for (path, before, after) in fields.into_iter().take(shown) {
        let line = Text::styled(Style::Strong, path)
            .and(Style::Plain, ": ")
            .and(Style::Bad, before.unwrap_or("nothing"))
            .and(Style::Plain, " -> ")
            .and(Style::Good, after.unwrap_or("nothing"));
        page.wrapped(&line, screen, 6);
    }
    if more > 0 {
        page.line(&Text::styled(Style::Dim, format!("      and {}: -o wide", count(more, "more field"))));
    }
}
