//! How does each answer look in a terminal? Pure functions from data and the time now to a page.

mod alerts;
mod app;
mod apps;
mod audit;
mod clusters;
mod diff;
mod events;
mod status;
mod tokens;
mod watch;
mod waves;

pub(crate) use alerts::{alerts, silences};
pub(crate) use app::app;
pub(crate) use apps::apps;
pub(crate) use audit::{audit, authorities, who_am_i};
pub(crate) use clusters::clusters;
pub(crate) use diff::{between, reported};
pub(crate) use events::{events, kind};
pub(crate) use status::status;
pub(crate) use tokens::{created, tokens};
pub(crate) use watch::{Widths, watched};
pub(crate) use waves::{decisions, waves};

use crate::{
    model::{App, Connection, Health, Sync, short},
    text::{Style, Text},
};

fn sync(sync: Sync) -> Text {
    let style = match sync {
        Sync::Synced => Style::Good,
        Sync::OutOfSync => Style::Bad,
        Sync::Unknown => Style::Warn,
    };
    Text::styled(style, sync.word())
}

fn health(health: Health) -> Text {
    let style = match health {
        Health::Healthy => Style::Good,
        Health::Degraded | Health::Missing => Style::Bad,
        Health::Progressing | Health::Unknown => Style::Warn,
        Health::Suspended => Style::Plain,
    };
    Text::styled(style, health.word())
}

fn connection(connection: Connection) -> Text {
    let style = match connection {
        Connection::Connected => Style::Good,
        Connection::Unreachable => Style::Bad,
        Connection::NeverConnected => Style::Warn,
    };
    Text::styled(style, connection.word())
}

/// The revision, and where it is going when that is another.
fn revision(app: &App) -> Text {
    let text = Text::plain(short(&app.revision));
    if app.wanted_revision.is_empty() || app.wanted_revision == app.revision {
        return text;
    }
    text.and(Style::Warn, format!(" -> {}", short(&app.wanted_revision)))
}

/// How the age of an app's data looks: out of reach, it is the first thing to see.
fn seen(text: &str, of: Connection) -> Text {
    Text::styled(if of == Connection::Connected { Style::Plain } else { Style::Bad }, text)
}

/// A word for a place that is empty.
fn or_dash(text: &str) -> Text {
    Text::plain(if text.is_empty() { "-" } else { text })
}

/// The first few names, and how many more there are.
pub(crate) fn names(names: &[String], shown_max: usize) -> String {
    let more = names.len().saturating_sub(shown_max);
    // "and 1 more" takes as much room as the name it hides.
    if more <= 1 {
        return names.join(", ");
    }
    let shown = names.get(..shown_max).unwrap_or(names).join(", ");
    format!("{shown} and {} more", crate::text::thousands(more))
}
