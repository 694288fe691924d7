//! What do the events of one document add up to, with anchors, aliases and merge keys put in place?
//!
//! Two steps, as in kubectl: first the whole document as written (`raw`), then its values, where
//! each alias is a copy of what it names. The second step is where a document can grow, so it has
//! a budget.

mod raw;

use std::collections::HashMap;

use crate::{Entry, Error, Limits, Mark, Node, Value, Written, number, scalar};
use raw::{Content, Raw, Tree};

/// Who reads: what keys a mapping may have, and what a plain scalar is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// As `kubectl -f` has it: of a key given twice the later value stands, and numbers and booleans
    /// (`1`, `on`, `y`) become text (`"1"`, `"true"`).
    AsKubectl,
    /// A key given twice and a key that is not a string are errors.
    Strict,
    /// As `kubectl kustomize` reads resources and patches: keys as in `Strict`, but `yes`, `on` and the
    /// like are text, dates become timestamps, and a merge key (`<<`) never overrides a key that is
    /// written out.
    AsKustomize,
}

/// What a copied value costs besides its text: about the memory of one node.
const NODE_BYTES: usize = 64;
/// From this many keys on a mapping is indexed instead of searched.
const INDEX_FROM: usize = 16;

/// Reads one document; `None` when there is nothing in it but comments.
pub(crate) fn document(
    text: &str,
    first_line: usize,
    reading: Reading,
    limits: &Limits,
) -> Result<Option<Node>, Error> {
    let Some(tree) = raw::read(text, first_line, limits)? else {
        return Ok(None);
    };
    let mut composer =
        Composer { tree: &tree, reading, limits, in_flow: false, expanding: Vec::new(), alias_bytes: 0 };
    composer.node(tree.root, 1).map(Some)
}

struct Composer<'t> {
    tree: &'t Tree,
    reading: Reading,
    limits: &'t Limits,
    /// Whether brackets or braces are around what is read right now.
    in_flow: bool,
    /// The aliases being copied right now, outermost first.
    expanding: Vec<usize>,
    alias_bytes: usize,
}

impl<'t> Composer<'t> {
    fn raw(&self, index: usize) -> &'t Raw {
        &self.tree.nodes[index]
    }

    /// The node of an index, `depth` levels below the root.
    fn node(&mut self, index: usize, depth: usize) -> Result<Node, Error> {
        let outside = self.in_flow;
        self.in_flow |= self.raw(index).is_flow;
        let node = self.node_here(index, depth)?;
        self.in_flow = outside;
        Ok(node)
    }

    fn node_here(&mut self, index: usize, depth: usize) -> Result<Node, Error> {
        let raw = self.raw(index);
        if depth > self.limits.depth_max {
            return Err(Error::new(raw.at, format!("nested deeper than {} levels", self.limits.depth_max)));
        }
        self.charge(raw)?;
        let value = match &raw.content {
            Content::Alias(target) => {
                return self.expand(raw.at, *target, |composer| composer.node(*target, depth + 1));
            }
            Content::Scalar { tag, plain, folded, text } => {
                let resolved = scalar::resolve(tag.as_deref(), *plain, text.clone(), self.reading);
                let resolved = resolved.map_err(|message| Error::new(raw.at, message))?;
                let value = value(resolved, raw.at, self.reading)?;
                let written = match Written::of(text, *plain || tag.is_some(), &value) {
                    Written::Empty if self.in_flow && tag.is_none() => Written::EmptyInFlow,
                    Written::Quoted if *folded && !self.in_flow && tag.is_none() => Written::Folded,
                    written => written,
                };
                return Ok(Node { at: raw.at, value, written });
            }
            Content::Sequence(items) => {
                let items = items.iter().map(|item| self.node(*item, depth + 1)).collect::<Result<_, _>>()?;
                Value::Sequence(items)
            }
            Content::Mapping(pairs) => {
                let mut mapping = Mapping::default();
                self.mapping(pairs, depth, &mut mapping, false)?;
                Value::Mapping(mapping.entries)
            }
        };
        Ok(Node { at: raw.at, value, written: Written::Plain })
    }

    /// Counts what a copy of this node takes while an alias is being copied.
    fn charge(&mut self, raw: &Raw) -> Result<(), Error> {
        if self.expanding.is_empty() {
            return Ok(());
        }
        let text = if let Content::Scalar { text, .. } = &raw.content { text.len() } else { 0 };
        self.alias_bytes = self.alias_bytes.saturating_add(NODE_BYTES + text);
        if self.alias_bytes > self.limits.alias_bytes_max {
            let limit = self.limits.alias_bytes_max;
            return Err(Error::new(
                raw.at,
                format!("aliases (*name) of this value expand to more than {limit} bytes"),
            ));
        }
        Ok(())
    }

    fn expand<T>(
        &mut self,
        at: Mark,
        target: usize,
        copy: impl FnOnce(&mut Self) -> Result<T, Error>,
    ) -> Result<T, Error> {
        if self.expanding.contains(&target) || self.expanding.len() >= self.limits.depth_max {
            return Err(Error::new(at, "an alias (*name) stands inside the value it names"));
        }
        self.expanding.push(target);
        let copied = copy(self);
        self.expanding.pop();
        copied
    }

    /// Puts the pairs of a mapping into `into`, which holds more than nothing when this mapping
    /// is merged into another one. In kubectl a merge counts where it stands: it overrides the
    /// keys before it and is overridden by the keys behind it.
    fn mapping(
        &mut self,
        pairs: &[(usize, usize)],
        depth: usize,
        into: &mut Mapping,
        merging: bool,
    ) -> Result<(), Error> {
        let merges_first = self.reading == Reading::AsKustomize;
        if merges_first {
            self.merges_first(pairs, depth, into)?;
        }
        for (key, value) in pairs {
            let raw = self.raw(*key);
            if raw.is_merge_key() {
                if !merges_first {
                    self.merge(*value, depth, into)?;
                }
                continue;
            }
            let (at, text) = self.key(*key)?;
            let value = self.node(*value, depth + 1)?;
            let entry = Entry { at, key: text, value };
            into.put(entry, merging, self.reading)?;
        }
        Ok(())
    }

    /// Kustomize merges before it looks at the keys that are written out.
    fn merges_first(
        &mut self,
        pairs: &[(usize, usize)],
        depth: usize,
        into: &mut Mapping,
    ) -> Result<(), Error> {
        let mut merges = pairs.iter().filter(|(key, _)| self.raw(*key).is_merge_key());
        let (Some((_, value)), second) = (merges.next(), merges.next()) else { return Ok(()) };
        if let Some((key, _)) = second {
            return Err(Error::new(self.raw(*key).at, "a second merge key << in the same mapping"));
        }
        self.merge(*value, depth, into)
    }

    fn key(&mut self, index: usize) -> Result<(Mark, String), Error> {
        let raw = self.raw(index);
        self.charge(raw)?;
        match &raw.content {
            Content::Alias(target) => {
                self.expand(raw.at, *target, |composer| composer.key(*target)).map(|(_, text)| (raw.at, text))
            }
            Content::Scalar { tag, plain, text, .. } => {
                let resolved = scalar::resolve(tag.as_deref(), *plain, text.clone(), self.reading);
                let resolved = resolved.map_err(|message| Error::new(raw.at, message))?;
                if self.reading != Reading::AsKubectl && !matches!(resolved, scalar::Resolved::Text(_)) {
                    let message = format!("the key {text} is not a string to YAML 1.1; put it in quotes");
                    return Err(Error::new(raw.at, message));
                }
                let text = scalar::key(resolved).map_err(|message| Error::new(raw.at, message))?;
                Ok((raw.at, text))
            }
            Content::Sequence(_) | Content::Mapping(_) => {
                let hint =
                    "a key is a list or a mapping; if this is a template such as {{ x }}, put it in quotes";
                Err(Error::new(raw.at, hint))
            }
        }
    }

    fn merge(&mut self, index: usize, depth: usize, into: &mut Mapping) -> Result<(), Error> {
        let raw = self.raw(index);
        match &raw.content {
            Content::Sequence(items) => {
                // The first of a list of merged mappings counts most, so it comes last.
                items.iter().rev().try_for_each(|item| self.merge_one(*item, depth, into))
            }
            _ => self.merge_one(index, depth, into),
        }
    }

    fn merge_one(&mut self, index: usize, depth: usize, into: &mut Mapping) -> Result<(), Error> {
        let raw = self.raw(index);
        if depth > self.limits.depth_max {
            return Err(Error::new(raw.at, format!("nested deeper than {} levels", self.limits.depth_max)));
        }
        self.charge(raw)?;
        match &raw.content {
            Content::Mapping(pairs) => self.mapping(pairs, depth + 1, into, true),
            Content::Alias(target) => match &self.raw(*target).content {
                Content::Mapping(pairs) => {
                    self.expand(raw.at, *target, |composer| composer.mapping(pairs, depth + 1, into, true))
                }
                _ => Err(merge_error(raw.at)),
            },
            _ => Err(merge_error(raw.at)),
        }
    }
}

fn merge_error(at: Mark) -> Error {
    Error::new(at, "the merge key << takes a mapping or a list of mappings")
}

/// The value of a plain scalar with this text.
pub(crate) fn plain(text: &str, reading: Reading) -> Result<Value, Error> {
    let resolved = scalar::resolve(None, true, text.to_owned(), reading);
    value(resolved.map_err(|message| Error::new(Mark::START, message))?, Mark::START, reading)
}

fn value(resolved: scalar::Resolved, at: Mark, reading: Reading) -> Result<Value, Error> {
    use scalar::Resolved;
    Ok(match resolved {
        Resolved::Null => Value::Null,
        Resolved::Bool(value) => Value::Bool(value),
        Resolved::Int(value) => Value::Number(value.into()),
        // Kustomize prints what others send through a float.
        Resolved::Uint(value) if reading == Reading::AsKustomize => Value::Number(value.into()),
        Resolved::Uint(value) => Value::Number(number::from_u64(value)),
        Resolved::Time(text) => Value::String(text),
        Resolved::Float(value) => match number::from_f64(value) {
            Some(number) => Value::Number(number),
            None => {
                return Err(Error::new(
                    at,
                    "JSON has no infinities and no \"not a number\"; put the value in quotes",
                ));
            }
        },
        Resolved::Text(text) => Value::String(text),
    })
}

/// A mapping under construction.
#[derive(Default)]
pub(crate) struct Mapping {
    pub(crate) entries: Vec<Entry>,
    /// Whether the entry of the same index came through a merge key.
    merged: Vec<bool>,
    /// Where each key is, once there are many.
    index: HashMap<String, usize>,
}

impl Mapping {
    fn find(&self, key: &str) -> Option<usize> {
        if self.entries.len() < INDEX_FROM {
            return self.entries.iter().position(|entry| entry.key == key);
        }
        self.index.get(key).copied()
    }

    /// Puts an entry, which came through a merge key or not.
    pub(crate) fn put(&mut self, entry: Entry, merging: bool, reading: Reading) -> Result<(), Error> {
        if let Some(found) = self.find(&entry.key) {
            if reading != Reading::AsKubectl && !merging && !self.merged[found] {
                let Entry { at: earlier, key, .. } = &self.entries[found];
                let message = format!("the key `{key}` is already given at {earlier}; remove one of the two");
                return Err(Error::new(entry.at, message));
            }
            self.entries[found] = entry;
            self.merged[found] = merging;
            return Ok(());
        }
        self.entries.push(entry);
        self.merged.push(merging);
        let count = self.entries.len();
        if count == INDEX_FROM {
            self.index = self.entries.iter().enumerate().map(|(at, entry)| (entry.key.clone(), at)).collect();
        } else if count > INDEX_FROM {
            self.index.insert(self.entries[count - 1].key.clone(), count - 1);
        }
        Ok(())
    }
}
