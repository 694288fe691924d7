//! How is a list merged whose elements have keys?
//!
//! The elements of the patch come first, in its order, then those of the target that the patch does
//! not name. An element is the same if its key fields have the same text; of several keys those
//! count that any element has.

use super::{
    PatchError,
    merge::{DIRECTIVE, Directive, Merge, Walked},
    schema::At,
    tree::{Id, Shape, Tree},
};

/// Which element: the names of the key fields and the texts they have; `""` alone is the element
/// itself, in a list of scalars.
#[derive(Debug, Clone, Copy)]
struct Key<'k> {
    names: &'k [String],
    texts: &'k [String],
}

impl Merge<'_> {
    /// Merges a list with keys, or with a scalar for each element.
    pub(super) fn walk_list(
        &mut self,
        target: Option<Id>,
        patch: Option<Id>,
        at: At,
    ) -> Result<Walked, PatchError> {
        let into = match self.choose_list(target, patch)? {
            Walked::Node(into) => into,
            other => return Ok(other),
        };
        let names = self.schema.keys(at).to_vec();
        let sources = [Some(into), patch.filter(|patch| !self.tree.is_null(*patch))];
        let element = self.schema.element(at);
        let merged = if names.is_empty() {
            let found = self.texts_of_scalars(&sources);
            self.merge_elements(sources, &[String::new()], &found, element)?
        } else {
            let mut found = self.texts_of_keys(&sources, &names);
            if names.len() > 1 {
                complete(&mut found);
            }
            self.merge_elements(sources, &names, &found, element)?
        };
        Ok(Walked::Node(merged))
    }

    fn choose_list(&mut self, target: Option<Id>, patch: Option<Id>) -> Result<Walked, PatchError> {
        let Some(target) = target.filter(|target| !self.tree.is_null(*target)) else {
            return Ok(patch.map_or(Walked::Gone, Walked::Node));
        };
        let Some(patch) = patch else { return Ok(Walked::Node(target)) };
        if self.tree.is_null(patch) {
            return Ok(Walked::Gone);
        }
        Ok(match self.list_directive(patch)? {
            Directive::Delete => Walked::Gone,
            Directive::Replace => Walked::Node(patch),
            Directive::Merge => Walked::Node(target),
        })
    }

    /// Reads and removes the element `- $patch: ...` of a list, which has no other key.
    fn list_directive(&mut self, patch: Id) -> Result<Directive, PatchError> {
        let items = self.tree.items(patch);
        let Some((element, value)) =
            items.iter().find_map(|item| Some((*item, self.tree.field(*item, DIRECTIVE)?)))
        else {
            return Ok(Directive::Merge);
        };
        if self.tree.entries(element).len() > 1 {
            return Ok(Directive::Merge);
        }
        let directive = self.directive(value)?;
        let text = self.tree.text(value).to_owned();
        let key = Key { names: &[DIRECTIVE.to_owned()], texts: &[text] };
        self.put_element(patch, None, key)?;
        Ok(directive)
    }

    /// The texts of the key fields of all elements, those of the patch first, each once.
    fn texts_of_keys(&self, sources: &[Option<Id>; 2], names: &[String]) -> Vec<Vec<String>> {
        let mut found: Vec<Vec<String>> = Vec::new();
        for source in sources.iter().rev().flatten() {
            for item in self.tree.items(*source) {
                let text = |name| self.tree.field(*item, name).filter(|id| !self.tree.is_null(*id));
                let texts: Vec<String> = names
                    .iter()
                    .map(|name| text(name).map_or_else(String::new, |id| self.tree.text(id).to_owned()))
                    .collect();
                if !found.contains(&texts) {
                    found.push(texts);
                }
            }
        }
        found
    }

    fn texts_of_scalars(&self, sources: &[Option<Id>; 2]) -> Vec<Vec<String>> {
        let mut found: Vec<Vec<String>> = Vec::new();
        for source in sources.iter().rev().flatten() {
            for item in self.tree.items(*source) {
                let texts = vec![self.tree.text(*item).to_owned()];
                if !found.contains(&texts) {
                    found.push(texts);
                }
            }
        }
        found
    }

    /// Merges element by element and puts the list together.
    fn merge_elements(
        &mut self,
        sources: [Option<Id>; 2],
        names: &[String],
        found: &[Vec<String>],
        element: At,
    ) -> Result<Id, PatchError> {
        let [Some(into), _] = sources else { return Ok(self.tree.push(Shape::List(Vec::new()))) };
        if found.is_empty() {
            return Ok(into);
        }
        let names = counting(names, found);
        let merged = self.tree.push(Shape::List(Vec::new()));
        for texts in found {
            let texts: Vec<String> = names.iter().map(|(position, _)| texts[*position].clone()).collect();
            let names: Vec<String> = names.iter().map(|(_, name)| name.clone()).collect();
            let key = Key { names: &names, texts: &texts };
            let [target, patch] = sources.map(|source| find(&self.tree, source?, key));
            match self.walk(target, patch, element)? {
                Walked::Node(value) if !self.tree.is_null(value) && !self.tree.is_empty_mapping(value) => {
                    self.complete_element(value, key);
                    self.put_element(merged, Some(value), key)?;
                }
                _ => self.put_element(into, None, key)?,
            }
        }
        let names: Vec<String> = names.into_iter().map(|(_, name)| name).collect();
        self.append(merged, into, &names)?;
        Ok(merged)
    }

    /// Writes the key fields into an element that lacks them.
    fn complete_element(&mut self, element: Id, key: Key<'_>) {
        for (name, text) in key.names.iter().zip(key.texts) {
            if !name.is_empty() && !text.is_empty() && self.tree.field(element, name).is_none() {
                let value = self.tree.plain(text);
                self.tree.set_field(element, name, value);
            }
        }
    }

    /// Puts the elements of `from` into `list`: over the one of the same key, or at the end.
    fn append(&mut self, list: Id, from: Id, names: &[String]) -> Result<(), PatchError> {
        for element in self.tree.items(from).to_vec() {
            let mut texts = Vec::new();
            for name in names {
                if name.is_empty() {
                    texts.push(self.tree.text(element).to_owned());
                } else if !self.tree.is_mapping(element) && !self.tree.is_null(element) {
                    return Err(self.fail(format!(
                        "the elements of this list are mappings with the key {name}, found {}",
                        self.tree.kind(element)
                    )));
                } else if let Some(value) = self.tree.field(element, name) {
                    texts.push(self.tree.text(value).to_owned());
                } else if let Shape::List(items) = self.tree.shape(list)
                    && !self.tree.is_null(element)
                {
                    let items = items.iter().copied().chain([element]).collect();
                    self.tree.set(list, Shape::List(items));
                }
            }
            let key = Key { names, texts: &texts };
            if names.len() > 1 {
                self.put_element(list, None, key)?;
            }
            self.put_element(list, Some(element), key)?;
        }
        Ok(())
    }

    /// Puts an element over those with the key, or at the end; without an element removes them.
    /// Nulls and empty mappings in the list go too.
    fn put_element(&mut self, list: Id, element: Option<Id>, key: Key<'_>) -> Result<(), PatchError> {
        let by_field =
            [key.names, key.texts].iter().all(|part| part.first().is_some_and(|text| !text.is_empty()));
        let mut kept = Vec::new();
        let mut replaced = false;
        for item in self.tree.items(list).to_vec() {
            if self.tree.is_null(item) || self.tree.is_empty_mapping(item) {
                continue;
            }
            let is_mapping = self.tree.is_mapping(item);
            if !is_mapping && by_field {
                kept.push(item);
                continue;
            }
            let of_scalars = key.names.first().is_some_and(String::is_empty);
            if is_mapping == of_scalars && !key.texts.is_empty() {
                return Err(self
                    .fail(format!("the list holds {} among other kinds of elements", self.tree.kind(item))));
            }
            if has_key(&self.tree, item, key, true) {
                replaced = true;
                kept.extend(element);
            } else if !key.texts.is_empty() {
                kept.push(item);
            }
        }
        if let Some(element) = element.filter(|element| !self.tree.is_null(*element))
            && !replaced
        {
            kept.push(element);
        }
        self.tree.set(list, Shape::List(kept));
        Ok(())
    }
}

/// Whether an element has the key. When `lenient`, an empty text is any text.
fn has_key(tree: &Tree, item: Id, key: Key<'_>, lenient: bool) -> bool {
    let mut matched = false;
    for (position, name) in key.names.iter().enumerate() {
        if let Some(text) = key.texts.get(position) {
            matched = if name.is_empty() {
                tree.text(item) == text
            } else {
                let any = lenient && text.is_empty();
                tree.field(item, name).is_some_and(|value| any || tree.text(value) == text)
            };
        }
        if !matched {
            return false;
        }
    }
    matched
}

/// The first element with the key.
fn find(tree: &Tree, list: Id, key: Key<'_>) -> Option<Id> {
    let of_scalars = key.names.first().is_some_and(String::is_empty);
    // Texts that are empty do not count where others are there.
    let counts = |text: &String| !text.is_empty() || key.texts.iter().all(String::is_empty);
    let (names, texts): (Vec<String>, Vec<String>) = key
        .names
        .iter()
        .zip(key.texts)
        .filter(|(_, text)| counts(text))
        .map(|(name, text)| (name.clone(), text.clone()))
        .unzip();
    let key = Key { names: &names, texts: &texts };
    tree.items(list)
        .iter()
        .copied()
        .find(|item| (of_scalars || tree.is_mapping(*item)) && has_key(tree, *item, key, false))
}

/// The key fields that any element has, with their positions; all of them if none has any.
fn counting(names: &[String], found: &[Vec<String>]) -> Vec<(usize, String)> {
    let all = names.iter().cloned().enumerate();
    let some: Vec<_> =
        all.clone().filter(|(position, _)| found.iter().any(|texts| !texts[*position].is_empty())).collect();
    if some.is_empty() { all.collect() } else { some }
}

/// Makes keys equal that differ only in fields that one of them lacks: port 80 without a protocol
/// and port 80 with one.
fn complete(found: &mut [Vec<String>]) {
    for first in 0..found.len() {
        for second in 0..found.len() {
            if let Some(texts) = common(&found[first], &found[second]) {
                found[first].clone_from(&texts);
                found[second] = texts;
            }
        }
    }
}

fn common(first: &[String], second: &[String]) -> Option<Vec<String>> {
    let agree = first.iter().zip(second).all(|(a, b)| a == b || a.is_empty() || b.is_empty());
    let any = first.iter().zip(second).any(|(a, b)| a == b);
    (agree && any)
        .then(|| first.iter().zip(second).map(|(a, b)| if a.is_empty() { b } else { a }.clone()).collect())
}
