//! How does it look?

use jiff::Timestamp;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Cell, Clear, Paragraph, Row as TableRow, Table, Wrap};

use super::state::{Mode, Row, Top, View};
use crate::fleet::State as Wrong;
use crate::model::short;
use crate::text::{age, clean, count, thousands};

/// Narrower than this, only the first two columns and the last that fits are shown.
const NARROW: u16 = 70;

const HELP: [&str; 11] = [
    "up, down, j, k, PgUp, PgDn, Home, End   move",
    "Enter   look into it        Esc   back, or clear the filter",
    "Tab     fleet, waves, alerts",
    "/       filter by name or label",
    "a, r    approve or reject what waits on a track, after another question",
    "q, Ctrl-C   quit",
    "",
    "STATE is the worst there is in a cluster; the worst come first.",
    "What is shown is what agents report, live.",
    "",
    "Any key closes this.",
];

/// Draws everything.
pub(super) fn draw(top: &Top, frame: &mut Frame<'_>, now: Timestamp, colour: bool) {
    let areas = Layout::vertical([Constraint::Length(2), Constraint::Min(1), Constraint::Length(1)]);
    let [head, body, foot] = areas.areas(frame.area());
    let paint = Paint { colour };
    frame.render_widget(Paragraph::new(heading(top, now, &paint)), head);
    match &top.view {
        View::App(cluster, app) => frame.render_widget(app_page(top, (cluster, app), now, &paint), body),
        View::Waves | View::Track(_) if top.waves.is_err() => {
            let why = top.waves.as_ref().err().map(String::as_str).unwrap_or_default();
            frame.render_widget(Paragraph::new(clean(why)).wrap(Wrap { trim: true }), body);
        }
        _ => list(top, frame, body, now, &paint),
    }
    frame.render_widget(Paragraph::new(footer(top, &paint)), foot);
    if top.mode == Mode::Help {
        frame.render_widget(Clear, body);
        frame.render_widget(Paragraph::new(HELP.map(Line::raw).to_vec()).wrap(Wrap { trim: false }), body);
    }
}

/// Colours, or none.
struct Paint {
    colour: bool,
}

impl Paint {
    fn of(&self, color: Color) -> Style {
        if self.colour { Style::default().fg(color) } else { Style::default() }
    }

    fn wrong(&self, wrong: Option<Wrong>) -> Style {
        match wrong {
            None => self.of(Color::Green),
            Some(Wrong::Progressing | Wrong::NeverConnected | Wrong::Unknown) => self.of(Color::Yellow),
            Some(_) => self.of(Color::Red),
        }
    }
}

fn heading(top: &Top, now: Timestamp, paint: &Paint) -> Vec<Line<'static>> {
    let overview = top.overview(now);
    let tab = |name: &'static str, is_here: bool| {
        let style =
            if is_here { Style::default().add_modifier(Modifier::REVERSED) } else { Style::default() };
        Span::styled(format!(" {name} "), style)
    };
    let is_fleet = matches!(top.view, View::Clusters | View::Apps(_) | View::App(..));
    let is_waves = matches!(top.view, View::Waves | View::Track(_));
    let place = match &top.view {
        View::Apps(cluster) => format!("  {cluster}"),
        View::App(cluster, app) => format!("  {app} in {cluster}"),
        View::Track(track) => format!("  {track}"),
        _ => String::new(),
    };
    let tabs = vec![
        tab("Fleet", is_fleet),
        tab("Waves", is_waves),
        tab("Alerts", top.view == View::Alerts),
        Span::styled(clean(&place), Style::default().add_modifier(Modifier::BOLD)),
    ];
    let counts = &overview.clusters;
    let firing = top.alerts.iter().filter(|alert| alert.is_firing()).count();
    let mut line = vec![Span::raw(format!(
        "{}, {}, ",
        count(counts.total, "cluster"),
        count(overview.apps.total, "app")
    ))];
    let problems = overview.problems.len();
    line.push(Span::styled(
        if problems == 0 { "all well".to_owned() } else { format!("{} not well", thousands(problems)) },
        paint.of(if problems == 0 { Color::Green } else { Color::Red }),
    ));
    if firing > 0 {
        line.push(Span::raw(format!(", {}", count(firing, "alert"))));
    }
    line.push(match &top.lost {
        None => Span::styled("  live", paint.of(Color::Green)),
        Some(why) => Span::styled(format!("  not live: {}", clean(why)), paint.of(Color::Red)),
    });
    vec![Line::from(tabs), Line::from(line)]
}

fn list(top: &Top, frame: &mut Frame<'_>, area: Rect, now: Timestamp, paint: &Paint) {
    let rows = top.rows(now);
    if rows.is_empty() {
        let text = match (&top.view, top.filter.is_empty()) {
            (_, false) => "Nothing matches the filter.",
            (View::Clusters, _) => "No cluster has enrolled yet: muster token create CLUSTER",
            (View::Apps(_), _) => "This cluster has no apps.",
            (View::Alerts, _) => "Nothing is wrong that anybody would be told of.",
            _ => "There are no tracks yet.",
        };
        frame.render_widget(Paragraph::new(text), area);
        return;
    }
    let height = usize::from(area.height.saturating_sub(1)).max(1);
    let selected = top.place(&rows);
    let first = selected.saturating_sub(height / 2).min(rows.len().saturating_sub(height));
    let columns = columns(&top.headings(), &rows, area.width, top.view == View::Waves);
    let headings = top.headings();
    let bold = Style::default().add_modifier(Modifier::BOLD);
    let header = columns.iter().map(|(at, _)| Cell::from(headings[*at].clone()).style(bold));
    let shown = rows.iter().enumerate().skip(first).take(height).map(|(number, row)| {
        let cells = columns.iter().map(|(at, _)| {
            let text = row.cells.get(*at).cloned().unwrap_or_default();
            let is_state =
                *at == 0 && top.view != View::Waves || matches!(top.view, View::Track(_)) && *at == 1;
            Cell::from(text).style(if is_state { paint.wrong(row.wrong) } else { Style::default() })
        });
        let style = if number == selected {
            Style::default().add_modifier(Modifier::REVERSED)
        } else {
            Style::default()
        };
        TableRow::new(cells).style(style)
    });
    let widths = columns.iter().map(|(_, width)| *width);
    let table = Table::new(shown, widths).header(TableRow::new(header)).column_spacing(2);
    frame.render_widget(table, area);
}

/// Which columns there is room for, and how wide they are. The last takes what is left.
fn columns(headings: &[String], rows: &[Row], width: u16, all: bool) -> Vec<(usize, Constraint)> {
    let is_narrow = width < NARROW && !all;
    let last = headings.len().saturating_sub(1);
    let chosen = (0..headings.len()).filter(|at| !is_narrow || *at < 2);
    chosen
        .map(|at| {
            let longest =
                rows.iter().filter_map(|row| row.cells.get(at)).map(|cell| cell.chars().count()).max();
            let wanted = longest.unwrap_or_default().max(headings[at].chars().count()).min(40);
            let fixed = Constraint::Length(u16::try_from(wanted).unwrap_or(40));
            (at, if at == last && !all { Constraint::Fill(1) } else { fixed })
        })
        .collect()
}

fn app_page(top: &Top, (cluster, name): (&str, &str), now: Timestamp, paint: &Paint) -> Paragraph<'static> {
    let Some(app) = top.app(cluster, name) else {
        return Paragraph::new("This app is not in this cluster any more.");
    };
    let field = |name: &str, value: String| Line::raw(format!("{name:<10}{}", clean(&value)));
    let state = format!("{} {}", app.sync.word(), app.health.word());
    let color = if app.well() { Color::Green } else { Color::Red };
    let mut lines = vec![
        Line::styled(format!("{:<10}{state} for {}", "state", age(app.since, now)), paint.of(color)),
        field("runs", app.revision.clone()),
        field("wanted", app.wanted_revision.clone()),
        field("path", app.path.clone()),
        field("objects", thousands(app.object_count)),
    ];
    let cause = app.cause();
    if !cause.is_empty() {
        lines.extend([Line::raw(""), Line::raw(clean(&cause))]);
    }
    lines.extend([Line::raw(""), Line::raw(clean(&format!("muster app {name} --cluster {cluster}")))]);
    Paragraph::new(lines).wrap(Wrap { trim: false })
}

fn footer(top: &Top, paint: &Paint) -> Line<'static> {
    match (&top.mode, &top.note) {
        (Mode::Filter, _) => Line::raw(format!("/{}_", clean(&top.filter))),
        (Mode::Decide(wish), _) => {
            let (verb, revision) = (wish.word(), short(&wish.revision));
            let asked =
                format!("{verb} {} {revision} for {}? y, or any other key for no", wish.track, wish.wave);
            Line::styled(clean(&asked), paint.of(Color::Yellow))
        }
        (_, Some((is_well, said))) => {
            Line::styled(clean(said), paint.of(if *is_well { Color::Green } else { Color::Red }))
        }
        _ if !top.filter.is_empty() => Line::raw(format!("filter: {}   Esc clears it", clean(&top.filter))),
        _ => Line::raw("Enter into  Esc back  Tab next  / filter  a approve  r reject  ? help  q quit"),
    }
}
