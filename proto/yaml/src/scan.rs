//! Which tokens does a text of YAML consist of?
//!
//! The scanner finds indentation and the ends of blocks, and tells keys from values: a key without
//! `?` is known to be one only at its colon, so the tokens since a possible key wait in a queue
//! until the colon comes or cannot come any more.
//!
//! ```text
//! characters -> Cursor -> fetch.rs (which token begins here?) -> block.rs, quoted.rs, plain.rs, tag.rs
//!                             |
//!                             +-> queue, indentation, possible keys (this file) -> tokens
//! ```
//!
//! The rules are those of libyaml as Go's port of it applies them, since that is the scanner
//! inside kubectl: what is let through and what is an error is the same.

mod block;
mod cursor;
mod fetch;
mod plain;
mod quoted;
mod tag;

use std::collections::VecDeque;

use crate::{Error, Mark};
use cursor::Cursor;
pub(crate) use cursor::Position;

/// One token and where it begins.
#[derive(Debug)]
pub(crate) struct Token {
    pub(crate) at: Position,
    pub(crate) kind: Kind,
}

/// What a token is.
#[derive(Debug, PartialEq)]
pub(crate) enum Kind {
    StreamEnd,
    VersionDirective { major: u8, minor: u8 },
    TagDirective { handle: String, prefix: String },
    DocumentStart,
    DocumentEnd,
    BlockSequenceStart,
    BlockMappingStart,
    BlockEnd,
    FlowSequenceStart,
    FlowSequenceEnd,
    FlowMappingStart,
    FlowMappingEnd,
    BlockEntry,
    FlowEntry,
    Key,
    Value,
    Alias(String),
    Anchor(String),
    Tag { handle: String, suffix: String },
    Scalar { text: String, plain: bool, folded: bool },
}

/// A token that may turn out to be a key.
#[derive(Debug, Clone, Copy)]
struct PossibleKey {
    possible: bool,
    /// At this place only a key can stand, so that a missing colon is an error.
    required: bool,
    token_number: usize,
    at: Position,
}

/// A key and its colon are on one line and at most so many characters apart.
const KEY_CHARS_MAX: usize = 1024;

pub(crate) struct Scanner<'t> {
    cursor: Cursor<'t>,
    queue: VecDeque<Token>,
    /// Tokens handed out so far, which is the number of the first token of the queue.
    taken: usize,
    /// The column of the block the cursor is in; -1 outside of all.
    indent: isize,
    indents: Vec<isize>,
    flow_level: usize,
    /// Whether a key without `?` may begin here.
    key_allowed: bool,
    /// The possible key of each flow level, outermost first.
    possible_keys: Vec<PossibleKey>,
    ended: bool,
    first_line: usize,
}

impl<'t> Scanner<'t> {
    /// Scans a text that begins at line `first_line` of its file.
    pub(crate) fn new(text: &'t str, first_line: usize) -> Self {
        let cursor = Cursor::new(text);
        let none = PossibleKey { possible: false, required: false, token_number: 0, at: cursor.position() };
        Scanner {
            cursor,
            queue: VecDeque::new(),
            taken: 0,
            indent: -1,
            indents: Vec::new(),
            flow_level: 0,
            key_allowed: true,
            possible_keys: vec![none],
            ended: false,
            first_line,
        }
    }

    /// The place in the file.
    pub(crate) fn mark(&self, position: Position) -> Mark {
        Mark { line: self.first_line + position.line, column: position.column + 1 }
    }

    fn fail<T>(&self, message: &str) -> Result<T, Error> {
        Err(Error::new(self.mark(self.cursor.position()), message))
    }

    fn fail_at<T>(&self, at: Position, message: &str) -> Result<T, Error> {
        Err(Error::new(self.mark(at), message))
    }

    /// The next token, left in place.
    pub(crate) fn peek(&mut self) -> Result<&Token, Error> {
        self.fill()?;
        let end = self.cursor.position();
        if self.queue.is_empty() {
            self.queue.push_back(Token { at: end, kind: Kind::StreamEnd });
        }
        Ok(&self.queue[0])
    }

    /// Takes the next token.
    pub(crate) fn take(&mut self) -> Result<Token, Error> {
        self.fill()?;
        self.taken += 1;
        let end = self.cursor.position();
        Ok(self.queue.pop_front().unwrap_or(Token { at: end, kind: Kind::StreamEnd }))
    }

    /// Scans until the first token of the queue is certain.
    fn fill(&mut self) -> Result<(), Error> {
        while !self.ended && (self.queue.is_empty() || self.head_may_be_key()?) {
            self.fetch()?;
        }
        Ok(())
    }

    fn head_may_be_key(&mut self) -> Result<bool, Error> {
        // The numbers grow from level to level, so the head's is found by halving.
        let from = self.possible_keys.partition_point(|key| key.token_number < self.taken);
        for level in from..self.possible_keys.len() {
            let key = self.possible_keys[level];
            if key.token_number != self.taken {
                break;
            }
            if key.possible {
                return self.is_still_possible(level);
            }
        }
        Ok(false)
    }

    fn is_still_possible(&mut self, level: usize) -> Result<bool, Error> {
        let key = self.possible_keys[level];
        let here = self.cursor.position();
        if !key.possible || (key.at.line == here.line && key.at.index + KEY_CHARS_MAX >= here.index) {
            return Ok(key.possible);
        }
        if key.required {
            return self.fail_at(key.at, "could not find the colon behind this key");
        }
        self.possible_keys[level].possible = false;
        Ok(false)
    }

    fn push(&mut self, at: Position, kind: Kind) {
        self.queue.push_back(Token { at, kind });
    }

    /// Puts a token in front of the one with this number.
    fn insert(&mut self, number: usize, at: Position, kind: Kind) {
        let index = number.saturating_sub(self.taken).min(self.queue.len());
        self.queue.insert(index, Token { at, kind });
    }

    /// The number the next token will have.
    fn next_number(&self) -> usize {
        self.taken + self.queue.len()
    }

    /// Notes that the token about to be scanned may be a key.
    fn save_possible_key(&mut self) -> Result<(), Error> {
        if !self.key_allowed {
            return Ok(());
        }
        let at = self.cursor.position();
        let required = self.flow_level == 0 && self.indent == column(at);
        self.drop_possible_key()?;
        let token_number = self.next_number();
        if let Some(key) = self.possible_keys.last_mut() {
            *key = PossibleKey { possible: true, required, token_number, at };
        }
        Ok(())
    }

    fn drop_possible_key(&mut self) -> Result<(), Error> {
        let Some(key) = self.possible_keys.last_mut() else {
            return Ok(());
        };
        if key.possible && key.required {
            let at = key.at;
            return self.fail_at(at, "could not find the colon behind this key");
        }
        key.possible = false;
        Ok(())
    }

    /// Opens a block at a column, if it is further right than the current one; the token goes in
    /// front of the one with number `before`, or to the end.
    fn open_block(&mut self, at: Position, before: Option<usize>, kind: Kind) {
        if self.flow_level > 0 || self.indent >= column(at) {
            return;
        }
        self.indents.push(self.indent);
        self.indent = column(at);
        match before {
            Some(number) => self.insert(number, at, kind),
            None => self.push(at, kind),
        }
    }

    /// Closes all blocks that are further right than a column.
    fn close_blocks(&mut self, until: isize) {
        if self.flow_level > 0 {
            return;
        }
        while self.indent > until {
            self.push(self.cursor.position(), Kind::BlockEnd);
            self.indent = self.indents.pop().unwrap_or(-1);
        }
    }
}

/// A column as indentation.
fn column(at: Position) -> isize {
    isize::try_from(at.column).unwrap_or(isize::MAX)
}
