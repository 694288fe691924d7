//! What does one document say as written, before aliases and merge keys mean anything?

use std::collections::HashMap;

use crate::{
    Error, Limits, Mark,
    scan::{Kind, Position, Scanner},
};

/// The nodes of a document; they name one another by index.
pub(super) struct Tree {
    pub(super) nodes: Vec<Raw>,
    pub(super) root: usize,
}

pub(super) struct Raw {
    pub(super) at: Mark,
    /// A collection in brackets or braces.
    pub(super) is_flow: bool,
    pub(super) content: Content,
}

pub(super) enum Content {
    Scalar {
        /// The tag in full, such as `tag:yaml.org,2002:int`.
        tag: Option<String>,
        /// Without quotes and without a tag, so that it may be more than text.
        plain: bool,
        /// Behind a `>`.
        folded: bool,
        text: String,
    },
    Sequence(Vec<usize>),
    Mapping(Vec<(usize, usize)>),
    Alias(usize),
}

impl Raw {
    /// `<<` without quotes (or with YAML's own tag for it) merges instead of naming a field.
    pub(super) fn is_merge_key(&self) -> bool {
        match &self.content {
            Content::Scalar { tag, plain, text, .. } => {
                text == "<<" && (*plain || tag.as_deref() == Some("tag:yaml.org,2002:merge"))
            }
            _ => false,
        }
    }
}

/// Reads the first document of the text; `None` when there is none. What follows a `...` line is
/// not read, as in kubectl.
pub(super) fn read(text: &str, first_line: usize, limits: &Limits) -> Result<Option<Tree>, Error> {
    check_characters(text, first_line)?;
    let mut reader = Reader {
        scanner: Scanner::new(text, first_line),
        nodes: Vec::new(),
        anchors: HashMap::new(),
        tags: HashMap::new(),
        depth_max: limits.depth_max,
    };
    let root = reader.document()?;
    Ok(root.map(|root| Tree { nodes: reader.nodes, root }))
}

/// Refuses characters that YAML does not allow anywhere, not even in quotes.
fn check_characters(text: &str, first_line: usize) -> Result<(), Error> {
    let refused = |char: char| match char {
        '\t' | '\n' | '\r' | '\u{85}' => false,
        '\u{FFFE}' | '\u{FFFF}' => true,
        char => char.is_control(),
    };
    let Some(found) = text.find(refused) else {
        return Ok(());
    };
    let before = &text[..found];
    let line = first_line + before.matches('\n').count();
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    Err(Error::new(Mark { line, column }, "a control character; write it as an escape in double quotes"))
}

struct Reader<'t> {
    scanner: Scanner<'t>,
    nodes: Vec<Raw>,
    anchors: HashMap<String, usize>,
    /// Handles of tags and what they stand for.
    tags: HashMap<String, String>,
    depth_max: usize,
}

/// The tag and anchor in front of a node.
#[derive(Default)]
struct Properties {
    anchor: Option<String>,
    tag: Option<String>,
}

impl Reader<'_> {
    fn document(&mut self) -> Result<Option<usize>, Error> {
        let root = match self.scanner.peek()?.kind {
            Kind::StreamEnd => return Ok(None),
            Kind::VersionDirective { .. } | Kind::TagDirective { .. } | Kind::DocumentStart => {
                self.directives()?;
                let token = self.scanner.take()?;
                if token.kind != Kind::DocumentStart {
                    return self.fail(token.at, "expected --- behind the directives");
                }
                let next = self.scanner.peek()?;
                let at = next.at;
                match next.kind {
                    Kind::VersionDirective { .. }
                    | Kind::TagDirective { .. }
                    | Kind::DocumentStart
                    | Kind::DocumentEnd
                    | Kind::StreamEnd => self.empty(at),
                    _ => self.node(true, false, 1)?,
                }
            }
            _ => {
                self.directives()?;
                self.node(true, false, 1)?
            }
        };
        // Finds text that cannot follow the document.
        self.scanner.peek()?;
        Ok(Some(root))
    }

    fn directives(&mut self) -> Result<(), Error> {
        let mut has_version = false;
        loop {
            if !matches!(self.scanner.peek()?.kind, Kind::VersionDirective { .. } | Kind::TagDirective { .. })
            {
                break;
            }
            let token = self.scanner.take()?;
            match token.kind {
                Kind::VersionDirective { major: 1, minor: 1 } if !has_version => has_version = true,
                Kind::VersionDirective { .. } => {
                    return self.fail(
                        token.at,
                        "expected a single directive %YAML 1.1, which is what Kubernetes reads",
                    );
                }
                Kind::TagDirective { handle, prefix } => {
                    let earlier = self.tags.insert(handle, prefix);
                    if earlier.is_some() {
                        return self.fail(token.at, "this handle already has a %TAG directive");
                    }
                }
                _ => {}
            }
        }
        self.tags.entry("!".to_owned()).or_insert_with(|| "!".to_owned());
        self.tags.entry("!!".to_owned()).or_insert_with(|| "tag:yaml.org,2002:".to_owned());
        Ok(())
    }

    fn fail<T>(&self, at: Position, message: impl Into<String>) -> Result<T, Error> {
        Err(Error::new(self.scanner.mark(at), message))
    }

    fn add(&mut self, at: Position, anchor: Option<String>, content: Content) -> usize {
        self.nodes.push(Raw { at: self.scanner.mark(at), is_flow: false, content });
        let index = self.nodes.len() - 1;
        if let Some(anchor) = anchor {
            self.anchors.insert(anchor, index);
        }
        index
    }

    /// A value that is not there, which is null.
    fn empty(&mut self, at: Position) -> usize {
        self.add(at, None, Content::Scalar { tag: None, plain: true, folded: false, text: String::new() })
    }

    /// Reads a node. `block` allows block collections, `indentless` a list at its key's column.
    fn node(&mut self, block: bool, indentless: bool, depth: usize) -> Result<usize, Error> {
        let start = self.scanner.peek()?.at;
        if depth > self.depth_max {
            return self.fail(start, format!("nested deeper than {} levels", self.depth_max));
        }
        if matches!(self.scanner.peek()?.kind, Kind::Alias(_)) {
            return self.alias();
        }
        let Properties { anchor, tag } = self.properties()?;
        let next = self.scanner.peek()?;
        let content_at = next.at;
        match next.kind {
            Kind::BlockEntry if indentless => {
                let index = self.add(start, anchor, Content::Sequence(Vec::new()));
                self.indentless_sequence(index, depth)
            }
            Kind::Scalar { .. } => {
                let token = self.scanner.take()?;
                let Kind::Scalar { text, plain, folded } = token.kind else {
                    return self.fail(token.at, "expected a value");
                };
                let plain = tag.as_deref().map_or(plain, |tag| tag == "!");
                Ok(self.add(content_at, anchor, Content::Scalar { tag, plain, folded, text }))
            }
            Kind::FlowSequenceStart => {
                let index = self.add(content_at, anchor, Content::Sequence(Vec::new()));
                self.flow_sequence(index, depth)
            }
            Kind::FlowMappingStart => {
                let index = self.add(content_at, anchor, Content::Mapping(Vec::new()));
                self.flow_mapping(index, depth)
            }
            Kind::BlockSequenceStart if block => {
                let index = self.add(content_at, anchor, Content::Sequence(Vec::new()));
                self.block_sequence(index, depth)
            }
            Kind::BlockMappingStart if block => {
                let index = self.add(content_at, anchor, Content::Mapping(Vec::new()));
                self.block_mapping(index, depth)
            }
            _ if anchor.is_some() || tag.is_some() => {
                let plain = tag.is_none();
                Ok(self.add(
                    start,
                    anchor,
                    Content::Scalar { tag, plain, folded: false, text: String::new() },
                ))
            }
            _ => self.fail(content_at, "expected a value here"),
        }
    }

    fn alias(&mut self) -> Result<usize, Error> {
        let token = self.scanner.take()?;
        let Kind::Alias(name) = token.kind else {
            return self.fail(token.at, "expected an alias");
        };
        match self.anchors.get(&name) {
            Some(target) => Ok(self.add(token.at, None, Content::Alias(*target))),
            // Without the name: what stands here may be a password that lacks its quotes.
            None => self.fail(
                token.at,
                "this alias (*) names no anchor before it; put a value that begins with * in quotes",
            ),
        }
    }

    /// An anchor and a tag, in either order, each at most once.
    fn properties(&mut self) -> Result<Properties, Error> {
        let mut properties = Properties::default();
        loop {
            match self.scanner.peek()?.kind {
                Kind::Anchor(_) if properties.anchor.is_none() => {
                    if let Kind::Anchor(name) = self.scanner.take()?.kind {
                        properties.anchor = Some(name);
                    }
                }
                Kind::Tag { .. } if properties.tag.is_none() => {
                    let token = self.scanner.take()?;
                    if let Kind::Tag { handle, suffix } = token.kind {
                        properties.tag = Some(self.full_tag(token.at, &handle, suffix)?);
                    }
                }
                _ => return Ok(properties),
            }
        }
    }

    fn full_tag(&self, at: Position, handle: &str, suffix: String) -> Result<String, Error> {
        if handle.is_empty() {
            return Ok(suffix);
        }
        match self.tags.get(handle) {
            Some(prefix) => Ok(format!("{prefix}{suffix}")),
            None => self.fail(at, "the handle of this tag has no %TAG directive"),
        }
    }

    fn block_sequence(&mut self, index: usize, depth: usize) -> Result<usize, Error> {
        self.scanner.take()?;
        let mut items = Vec::new();
        loop {
            let token = self.scanner.take()?;
            match token.kind {
                Kind::BlockEntry => {}
                Kind::BlockEnd => break,
                _ => return self.fail(token.at, "expected a list item (- ) or less indentation"),
            }
            let next = self.scanner.peek()?;
            let at = next.at;
            let item = match next.kind {
                Kind::BlockEntry | Kind::BlockEnd => self.empty(at),
                _ => self.node(true, false, depth + 1)?,
            };
            items.push(item);
        }
        self.nodes[index].content = Content::Sequence(items);
        Ok(index)
    }

    fn indentless_sequence(&mut self, index: usize, depth: usize) -> Result<usize, Error> {
        let mut items = Vec::new();
        while self.scanner.peek()?.kind == Kind::BlockEntry {
            self.scanner.take()?;
            let next = self.scanner.peek()?;
            let at = next.at;
            let item = match next.kind {
                Kind::BlockEntry | Kind::Key | Kind::Value | Kind::BlockEnd => self.empty(at),
                _ => self.node(true, false, depth + 1)?,
            };
            items.push(item);
        }
        self.nodes[index].content = Content::Sequence(items);
        Ok(index)
    }

    fn block_mapping(&mut self, index: usize, depth: usize) -> Result<usize, Error> {
        self.scanner.take()?;
        let mut pairs = Vec::new();
        loop {
            let token = self.scanner.take()?;
            match token.kind {
                Kind::Key => {}
                Kind::BlockEnd => break,
                _ => return self.fail(token.at, "expected a key at the indentation of the ones before it"),
            }
            let key = self.block_mapping_part(depth)?;
            let next = self.scanner.peek()?;
            let at = next.at;
            let value = match next.kind {
                Kind::Value => {
                    self.scanner.take()?;
                    self.block_mapping_part(depth)?
                }
                _ => self.empty(at),
            };
            pairs.push((key, value));
        }
        self.nodes[index].content = Content::Mapping(pairs);
        Ok(index)
    }

    /// What stands behind a key's or a value's sign, possibly nothing.
    fn block_mapping_part(&mut self, depth: usize) -> Result<usize, Error> {
        let next = self.scanner.peek()?;
        let at = next.at;
        match next.kind {
            Kind::Key | Kind::Value | Kind::BlockEnd => Ok(self.empty(at)),
            _ => self.node(true, true, depth + 1),
        }
    }

    fn flow_sequence(&mut self, index: usize, depth: usize) -> Result<usize, Error> {
        self.scanner.take()?;
        self.nodes[index].is_flow = true;
        let mut items = Vec::new();
        loop {
            let mut next = self.scanner.peek()?;
            if !items.is_empty() && next.kind != Kind::FlowSequenceEnd {
                if next.kind != Kind::FlowEntry {
                    let at = next.at;
                    return self.fail(at, "expected a comma or a closing bracket");
                }
                self.scanner.take()?;
                next = self.scanner.peek()?;
            }
            match next.kind {
                Kind::FlowSequenceEnd => break,
                Kind::Key => items.push(self.flow_pair(depth)?),
                _ => items.push(self.node(false, false, depth + 1)?),
            }
        }
        self.scanner.take()?;
        self.nodes[index].content = Content::Sequence(items);
        Ok(index)
    }

    /// A mapping of one pair without braces, as an item of a flow sequence.
    fn flow_pair(&mut self, depth: usize) -> Result<usize, Error> {
        let start = self.scanner.take()?.at;
        let index = self.add(start, None, Content::Mapping(Vec::new()));
        let next = self.scanner.peek()?;
        let at = next.at;
        let key = match next.kind {
            Kind::Value | Kind::FlowEntry | Kind::FlowSequenceEnd => {
                // kubectl's reader takes this token as well.
                self.scanner.take()?;
                self.empty(at)
            }
            _ => self.node(false, false, depth + 2)?,
        };
        let value = self.flow_value(depth + 1, &Kind::FlowSequenceEnd)?;
        self.nodes[index].content = Content::Mapping(vec![(key, value)]);
        Ok(index)
    }

    fn flow_mapping(&mut self, index: usize, depth: usize) -> Result<usize, Error> {
        self.scanner.take()?;
        self.nodes[index].is_flow = true;
        let mut pairs = Vec::new();
        loop {
            let mut next = self.scanner.peek()?;
            if !pairs.is_empty() && next.kind != Kind::FlowMappingEnd {
                if next.kind != Kind::FlowEntry {
                    let at = next.at;
                    return self.fail(at, "expected a comma or a closing brace");
                }
                self.scanner.take()?;
                next = self.scanner.peek()?;
            }
            match next.kind {
                Kind::FlowMappingEnd => break,
                Kind::Key => {
                    self.scanner.take()?;
                    let next = self.scanner.peek()?;
                    let at = next.at;
                    let key = match next.kind {
                        Kind::Value | Kind::FlowEntry | Kind::FlowMappingEnd => self.empty(at),
                        _ => self.node(false, false, depth + 1)?,
                    };
                    pairs.push((key, self.flow_value(depth, &Kind::FlowMappingEnd)?));
                }
                _ => {
                    let key = self.node(false, false, depth + 1)?;
                    let at = self.scanner.peek()?.at;
                    pairs.push((key, self.empty(at)));
                }
            }
        }
        self.scanner.take()?;
        self.nodes[index].content = Content::Mapping(pairs);
        Ok(index)
    }

    fn flow_value(&mut self, depth: usize, end: &Kind) -> Result<usize, Error> {
        let next = self.scanner.peek()?;
        let at = next.at;
        if next.kind != Kind::Value {
            return Ok(self.empty(at));
        }
        self.scanner.take()?;
        let next = self.scanner.peek()?;
        let at = next.at;
        if next.kind == Kind::FlowEntry || next.kind == *end {
            return Ok(self.empty(at));
        }
        self.node(false, false, depth + 1)
    }
}
