//! What does the parser underneath say, in the few words the rest needs?
//!
//! This is the only file that knows the parser crate.

use libyaml_safer::{EventData, Parser, ScalarStyle};

use crate::{Error, Mark};

/// One event of a document, without what only a printer of YAML would want to know.
#[derive(Debug)]
pub(crate) enum Event {
    /// Nothing (more) to read.
    StreamEnd,
    DocumentStart,
    DocumentEnd,
    Alias(String),
    Scalar(Scalar),
    SequenceStart(Option<String>),
    SequenceEnd,
    MappingStart(Option<String>),
    MappingEnd,
}

#[derive(Debug)]
pub(crate) struct Scalar {
    pub(crate) anchor: Option<String>,
    pub(crate) tag: Option<String>,
    /// Written without quotes and without a tag.
    pub(crate) plain: bool,
    pub(crate) text: String,
}

/// The events of one part of a file, whose first line is line `first_line` of that file.
pub(crate) struct Events<'a> {
    parser: Parser<&'a [u8]>,
    first_line: usize,
}

impl<'a> Events<'a> {
    pub(crate) fn new(text: &'a str, first_line: usize) -> Self {
        let mut parser = Parser::new();
        parser.set_input(text.as_bytes());
        parser.set_encoding(libyaml_safer::Encoding::Utf8);
        Events { parser, first_line }
    }

    fn mark(&self, mark: libyaml_safer::Mark) -> Mark {
        let line = usize::try_from(mark.line).unwrap_or(usize::MAX);
        let column = usize::try_from(mark.column).unwrap_or(usize::MAX);
        Mark { line: line.saturating_add(self.first_line), column: column.saturating_add(1) }
    }

    /// The next event and where it begins.
    pub(crate) fn next(&mut self) -> Result<(Mark, Event), Error> {
        loop {
            let event = self.parser.parse().map_err(|error| {
                let at = error.problem_mark().or(error.context_mark());
                let at = at.map_or(Mark { line: self.first_line, column: 1 }, |mark| self.mark(mark));
                let context = error.context().filter(|context| !context.is_empty());
                let message = match context {
                    Some(context) => format!("{}, {context}", error.problem()),
                    None => error.problem().to_owned(),
                };
                Error::new(at, message)
            })?;
            let at = self.mark(event.start_mark);
            let event = match event.data {
                EventData::StreamStart { .. } => continue,
                EventData::StreamEnd => Event::StreamEnd,
                EventData::DocumentStart { .. } => Event::DocumentStart,
                EventData::DocumentEnd { .. } => Event::DocumentEnd,
                EventData::Alias { anchor } => Event::Alias(anchor),
                EventData::Scalar { anchor, tag, value, plain_implicit, style, .. } => {
                    Event::Scalar(Scalar {
                        anchor,
                        plain: plain_implicit && style == ScalarStyle::Plain,
                        tag,
                        text: value,
                    })
                }
                EventData::SequenceStart { anchor, .. } => Event::SequenceStart(anchor),
                EventData::SequenceEnd => Event::SequenceEnd,
                EventData::MappingStart { anchor, .. } => Event::MappingStart(anchor),
                EventData::MappingEnd => Event::MappingEnd,
            };
            return Ok((at, event));
        }
    }
}
