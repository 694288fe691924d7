//! One app being rendered with a cache.

use std::{
    cell::RefCell,
    collections::BTreeSet,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use super::{Cache, Key, Made, Read, Repository};
use crate::{Limits, Object, RenderErrors, Source, app, kustomize::Tree};

/// Notes all that is looked at, and finds and keeps results.
#[derive(Debug)]
pub(crate) struct Session<'s> {
    repository: &'s Repository<'s>,
    cache: RefCell<Cache>,
    /// What was looked at, in order.
    log: RefCell<Vec<Read>>,
}

impl<'s> Session<'s> {
    pub(crate) fn new(repository: &'s Repository<'s>, cache: Cache) -> Session<'s> {
        Session { repository, cache: RefCell::new(cache), log: RefCell::default() }
    }

    /// The cache, with what was added.
    pub(crate) fn end(self) -> Cache {
        self.cache.into_inner()
    }

    /// The app's objects, made or kept from before.
    pub(crate) fn app(&self, source: &Source, limits: &Limits) -> Result<Arc<Vec<Object>>, RenderErrors> {
        let key = Key::App(source.path.clone(), source.substitutions.clone());
        if let Some(Made::App(result)) = self.find(&key) {
            return result;
        }
        let result = self.objects(source, limits).map(Arc::new);
        self.keep(key, 0, Made::App(result.clone()));
        result
    }

    /// The app's objects, made of what is kept of its parts.
    pub(crate) fn objects(&self, source: &Source, limits: &Limits) -> Result<Vec<Object>, RenderErrors> {
        let tree = Tree::cached(self.repository.files(), self);
        catch_unwind(AssertUnwindSafe(|| app::objects(tree, source, limits))).unwrap_or_else(|_| {
            // What it left behind is not looked at again.
            self.cache.borrow_mut().clear();
            Err(app::panicked(source))
        })
    }

    pub(crate) fn note(&self, read: Read) {
        self.log.borrow_mut().push(read);
    }

    /// Where the log is now, for [`Session::keep`].
    pub(crate) fn mark(&self) -> usize {
        self.log.borrow().len()
    }

    /// What was made before of what the repository holds now. Whoever uses it depends on all that it
    /// was made of.
    pub(crate) fn find(&self, key: &Key) -> Option<Made> {
        let mut cache = self.cache.borrow_mut();
        let entry = cache.find(key, |read, answer| self.repository.answer(read) == *answer)?;
        self.log.borrow_mut().extend(entry.reads.iter().map(|(read, _)| read.clone()));
        Some(entry.made.clone())
    }

    /// Keeps what was made of all that was looked at since a mark.
    pub(crate) fn keep(&self, key: Key, since: usize, made: Made) {
        let mut log = self.log.borrow_mut();
        let reads: BTreeSet<Read> = log.drain(since..).collect();
        log.extend(reads.iter().cloned());
        let reads = reads.into_iter().map(|read| {
            let answer = self.repository.answer(&read);
            (read, answer)
        });
        self.cache.borrow_mut().insert(key, reads.collect(), made);
    }
}
