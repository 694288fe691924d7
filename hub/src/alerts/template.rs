//! What does a message say in the words of whoever runs the hub?
//!
//! ```yaml
//! template:
//!   title: "{{ kind }}: {{ app }} in {{ places }}"
//!   text-file: /etc/muster/alert.j2
//! ```
//! Templates are checked when the settings are read. One that fails on a message all the same costs no message: that is
//! told in the usual words.

use std::{io, path::PathBuf};

use jiff::Timestamp;
use minijinja::{Environment, UndefinedBehavior, Value, context};
use muster_spec::AlertKind;
use serde::Deserialize;

use super::{Alert, AlertKey, message::Message, receivers::text_of};

/// How much work a template may be: steps of minijinja's machine.
const FUEL: u64 = 100_000;
/// Longest title and text, in bytes; what is longer is cut.
const TITLE_BYTES_MAX: usize = 500;
const TEXT_BYTES_MAX: usize = 16 * 1024;
/// Clusters or waves that a template is given by name.
const PLACES_MAX: usize = 50;

/// As it is written in the settings.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct TemplateText {
    title: Option<String>,
    title_file: Option<PathBuf>,
    text: Option<String>,
    text_file: Option<PathBuf>,
}

/// Words of one's own for messages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Template {
    title: Option<String>,
    text: Option<String>,
}

/// What a template made of a message.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Words {
    pub(super) title: Option<String>,
    pub(super) text: Option<String>,
}

impl TemplateText {
    /// The template, if it makes something of every kind of message.
    pub(super) fn check(self) -> Result<Template, String> {
        let one = |name: &str, given: Option<String>, file: Option<PathBuf>| match (given, file) {
            (Some(_), Some(_)) => Err(format!("template: give {name} or {name}-file")),
            (given, None) => Ok(given),
            (None, Some(file)) => text_of(&file).map(Some),
        };
        let template = Template {
            title: one("title", self.title, self.title_file)?,
            text: one("text", self.text, self.text_file)?,
        };
        if template == Template::default() {
            return Err("template: give a title, a text, or both".to_owned());
        }
        for kind in AlertKind::ALL {
            for is_resolved in [false, true] {
                template.words(&sample(kind, is_resolved), None, &str::to_owned)?;
            }
        }
        Ok(template)
    }
}

impl Template {
    /// What it makes of a message for a receiver for which fields are to be escaped like this.
    pub(super) fn words(
        &self,
        message: &Message,
        dashboard: Option<&str>,
        escape: &dyn Fn(&str) -> String,
    ) -> Result<Words, String> {
        let fields = fields(message, dashboard, escape);
        let render = |name: &str, source: &Option<String>, limit| {
            let source = source.as_deref();
            let rendered = source.map(|source| render(source, &fields, limit)).transpose();
            rendered.map_err(|error| format!("template: {name}: {error}"))
        };
        let title = render("title", &self.title, TITLE_BYTES_MAX)?;
        Ok(Words {
            // It is one line wherever it is shown, and a header of mail.
            title: title.map(|title| title.split_whitespace().collect::<Vec<_>>().join(" ")),
            text: render("text", &self.text, TEXT_BYTES_MAX)?.map(|text| text.trim().to_owned()),
        })
    }
}

/// The fields that docs/alerts.md lists.
fn fields(message: &Message, dashboard: Option<&str>, escape: &dyn Fn(&str) -> String) -> Value {
    let names: Vec<String> = message.keys.iter().take(PLACES_MAX).map(|key| escape(key.place())).collect();
    let of_waves = message.is_of_waves();
    let (clusters, waves) = if of_waves { (Vec::new(), names) } else { (names, Vec::new()) };
    let what = escape(message.what().unwrap_or_default());
    let (app, track) = if of_waves { (String::new(), what) } else { (what, String::new()) };
    let first = |names: &[String]| names.first().cloned().unwrap_or_default();
    context! {
        status => if message.is_resolved { "resolved" } else { "firing" },
        kind => message.word(),
        severity => message.severity().word(),
        cluster => first(&clusters),
        wave => first(&waves),
        clusters,
        waves,
        app,
        track,
        count => message.keys.len(),
        places => escape(&message.places()),
        since => message.since().map(|since| since.to_string()).unwrap_or_default(),
        cause => escape(&message.cause()),
        revision => escape(message.revision().unwrap_or_default()),
        author => escape(message.author().unwrap_or_default()),
        next => escape(&message.next()),
        link => message.link(dashboard).unwrap_or_default(),
        title => escape(&message.title()),
        text => escape(&message.lines().join("\n")),
    }
}

fn render(source: &str, fields: &Value, limit: usize) -> Result<String, minijinja::Error> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(FUEL));
    let template = environment.template_from_named_str("template", source)?;
    let mut output = Cut { bytes: Vec::new(), limit };
    template.render_captured_to(fields.clone(), &mut output)?;
    Ok(output.text())
}

/// Takes no more than the first bytes.
struct Cut {
    bytes: Vec<u8>,
    limit: usize,
}

impl Cut {
    fn text(self) -> String {
        let mut text = String::from_utf8_lossy(&self.bytes).into_owned();
        if text.len() > self.limit {
            let end = (0..=self.limit).rev().find(|end| text.is_char_boundary(*end));
            text.truncate(end.unwrap_or_default());
            text.push('…');
        }
        text
    }
}

impl io::Write for Cut {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // One more than is shown, which tells that it was cut.
        let room = (self.limit + 1).saturating_sub(self.bytes.len());
        self.bytes.extend_from_slice(&bytes[..bytes.len().min(room)]);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A message of that kind, to try a template on.
fn sample(kind: AlertKind, is_resolved: bool) -> Message {
    let key =
        ["prod/web", "prod/", "/"].iter().find_map(|rest| format!("{}/{rest}", kind.word()).parse().ok());
    let git = AlertKey { kind: AlertKind::GitFailing, subject: super::Subject::Git };
    let mut alert = Alert::new(key.unwrap_or(git), Timestamp::UNIX_EPOCH);
    "why".clone_into(&mut alert.cause);
    Message::new("", is_resolved, &[&alert])
}
