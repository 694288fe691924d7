//! What does one document say as written, before aliases and merge keys mean anything?

use std::collections::HashMap;

use crate::{
    Error, Limits, Mark,
    events::{Event, Events},
};

/// The nodes of a document; they name one another by index.
pub(super) struct Tree {
    pub(super) nodes: Vec<Raw>,
    pub(super) root: usize,
}

pub(super) struct Raw {
    pub(super) at: Mark,
    pub(super) content: Content,
}

pub(super) enum Content {
    Scalar { tag: Option<String>, plain: bool, text: String },
    Sequence(Vec<usize>),
    Mapping(Vec<(usize, usize)>),
    Alias(usize),
}

impl Raw {
    /// `<<` without quotes (or with YAML's own tag for it) merges instead of naming a field.
    pub(super) fn is_merge_key(&self) -> bool {
        match &self.content {
            Content::Scalar { tag, plain, text } => {
                text == "<<" && (*plain || tag.as_deref() == Some("tag:yaml.org,2002:merge"))
            }
            _ => false,
        }
    }
}

/// Reads the first document of the text; `None` when there is none. What follows a `...` line is
/// not read, as in kubectl.
pub(super) fn read(text: &str, first_line: usize, limits: &Limits) -> Result<Option<Tree>, Error> {
    let mut events = Events::new(text, first_line);
    match events.next()? {
        (_, Event::DocumentStart) => {}
        _ => return Ok(None),
    }
    let mut reader =
        Reader { events, nodes: Vec::new(), anchors: HashMap::new(), depth_max: limits.depth_max };
    let event = reader.events.next()?;
    let root = reader.node(event, 1)?;
    // Asking for the end is what finds text that cannot follow the document.
    reader.events.next()?;
    Ok(Some(Tree { nodes: reader.nodes, root }))
}

struct Reader<'a> {
    events: Events<'a>,
    nodes: Vec<Raw>,
    anchors: HashMap<String, usize>,
    depth_max: usize,
}

impl Reader<'_> {
    fn add(&mut self, at: Mark, anchor: Option<String>, content: Content) -> usize {
        self.nodes.push(Raw { at, content });
        let index = self.nodes.len() - 1;
        if let Some(anchor) = anchor {
            self.anchors.insert(anchor, index);
        }
        index
    }

    fn node(&mut self, (at, event): (Mark, Event), depth: usize) -> Result<usize, Error> {
        if depth > self.depth_max {
            return Err(Error::new(at, format!("nested deeper than {} levels", self.depth_max)));
        }
        match event {
            Event::Scalar(scalar) => {
                let content = Content::Scalar { tag: scalar.tag, plain: scalar.plain, text: scalar.text };
                Ok(self.add(at, scalar.anchor, content))
            }
            Event::Alias(name) => match self.anchors.get(&name) {
                Some(target) => Ok(self.add(at, None, Content::Alias(*target))),
                None => Err(Error::new(at, format!("the alias *{name} names no anchor before it"))),
            },
            Event::SequenceStart(anchor) => {
                let index = self.add(at, anchor, Content::Sequence(Vec::new()));
                let mut items = Vec::new();
                loop {
                    match self.events.next()? {
                        (_, Event::SequenceEnd) => break,
                        event => items.push(self.node(event, depth + 1)?),
                    }
                }
                self.nodes[index].content = Content::Sequence(items);
                Ok(index)
            }
            Event::MappingStart(anchor) => {
                let index = self.add(at, anchor, Content::Mapping(Vec::new()));
                let mut pairs = Vec::new();
                loop {
                    match self.events.next()? {
                        (_, Event::MappingEnd) => break,
                        event => {
                            let key = self.node(event, depth + 1)?;
                            let event = self.events.next()?;
                            pairs.push((key, self.node(event, depth + 1)?));
                        }
                    }
                }
                self.nodes[index].content = Content::Mapping(pairs);
                Ok(index)
            }
            Event::StreamEnd
            | Event::DocumentStart
            | Event::DocumentEnd
            | Event::SequenceEnd
            | Event::MappingEnd => Err(Error::new(at, "the document ends in the middle of a value")),
        }
    }
}
