//! What need not be rendered again?
//!
//! Rendering is pure, so what was made of the same bytes before is what would be made of them now.
//! While something is made, all that is looked at in the repository is noted with what was found
//! there (a file's digest, or that there is nothing); it is used again wherever a repository gives the
//! same answers. So the cache needs to know no rule about what depends on what, and one changed file
//! remakes that file, the bases and the apps that looked at it, and nothing else:
//!
//! ```text
//! app (path, values)  <- base (directory)  <- base ...  <- file, parsed
//! ```
//!
//! It is a value that the caller owns, with a bound on its memory; what was used longest ago goes first.

mod reads;
mod session;

use std::{collections::HashMap, sync::Arc};

pub use reads::Repository;
pub(crate) use reads::{Answer, Read, below};
pub(crate) use session::Session;

use crate::{
    Limits, Object, RenderError, RenderErrors, Source, Substitutions,
    kustomize::{Base, Resource},
};

/// So many results are kept of one thing, of different states of the repository.
const VARIANTS_MAX: usize = 4;
/// What an entry takes beside what it holds, in bytes; about.
const ENTRY_BYTES: usize = 256;

/// Results of rendering, by what they were made of.
#[derive(Debug)]
pub struct Cache {
    limits: Limits,
    bytes_max: usize,
    bytes: usize,
    /// Counts uses, to know what was used last.
    clock: u64,
    entries: HashMap<Key, Vec<Entry>>,
    counts: Counts,
}

/// What a cache did so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Apps rendered, and apps that were there already.
    pub apps: Use,
    /// Bases of kustomizations built, and taken as they were.
    pub bases: Use,
    /// Manifests parsed, and taken as they were.
    pub files: Use,
    /// Results dropped for want of room.
    pub evicted: usize,
}

/// How often something was made, and how often it was there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Use {
    /// Made anew.
    pub made: usize,
    /// Taken from the cache.
    pub reused: usize,
}

/// What a result is of.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Key {
    App(String, Option<Substitutions>),
    Base(String),
    /// A file as Kustomize reads it.
    Resources(String),
    /// A file as `kubectl apply -f` reads it.
    Manifest(String),
}

/// A result.
#[derive(Debug, Clone)]
pub(crate) enum Made {
    App(Result<Arc<Vec<Object>>, RenderErrors>),
    Base(Arc<Base>),
    Resources(Arc<Vec<Resource>>),
    Manifest(Arc<(Vec<Object>, Vec<RenderError>)>),
}

#[derive(Debug)]
struct Entry {
    used: u64,
    bytes: usize,
    reads: Vec<(Read, Answer)>,
    made: Made,
}

impl Cache {
    /// An empty cache for apps with these limits, that keeps results of at most about `bytes_max` bytes.
    pub fn new(limits: Limits, bytes_max: usize) -> Cache {
        Cache { limits, bytes_max, bytes: 0, clock: 0, entries: HashMap::new(), counts: Counts::default() }
    }

    /// What [`crate::render_app`] gives, made only where it was not made before.
    ///
    /// # Errors
    /// Those of [`crate::render_app`].
    pub fn render_app(
        &mut self,
        repository: &Repository<'_>,
        source: &Source,
    ) -> Result<Arc<Vec<Object>>, RenderErrors> {
        self.session(repository, |session, limits| session.app(source, limits))
    }

    /// The same for a caller that knows the app to have changed and keeps its objects itself: only what
    /// the app is made of is taken from the cache and kept in it.
    ///
    /// # Errors
    /// Those of [`crate::render_app`].
    pub fn render_changed_app(
        &mut self,
        repository: &Repository<'_>,
        source: &Source,
    ) -> Result<Vec<Object>, RenderErrors> {
        self.session(repository, |session, limits| session.objects(source, limits))
    }

    fn session<T>(
        &mut self,
        repository: &Repository<'_>,
        work: impl FnOnce(&Session<'_>, &Limits) -> T,
    ) -> T {
        let limits = self.limits;
        let cache = std::mem::replace(self, Cache::new(limits, self.bytes_max));
        let session = Session::new(repository, cache);
        let result = work(&session, &limits);
        *self = session.end();
        result
    }

    /// What was made and reused so far.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// The memory of what is kept, in bytes; about.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    fn clear(&mut self) {
        self.entries.clear();
        self.bytes = 0;
    }

    /// The entry whose reads give the same answers now.
    fn find(&mut self, key: &Key, same: impl Fn(&Read, &Answer) -> bool) -> Option<&Entry> {
        self.clock += 1;
        let variants = self.entries.get_mut(key)?;
        let entry =
            variants.iter_mut().find(|entry| entry.reads.iter().all(|(read, answer)| same(read, answer)))?;
        entry.used = self.clock;
        self.counts.of(key).reused += 1;
        Some(entry)
    }

    fn insert(&mut self, key: Key, reads: Vec<(Read, Answer)>, made: Made) {
        self.counts.of(&key).made += 1;
        let bytes = ENTRY_BYTES + reads.iter().map(|(read, _)| read.bytes()).sum::<usize>() + made.bytes();
        if bytes > self.bytes_max / 2 {
            return;
        }
        self.clock += 1;
        let variants = self.entries.entry(key).or_default();
        if variants.len() >= VARIANTS_MAX
            && let Some(oldest) = (0..variants.len()).min_by_key(|at| variants[*at].used)
        {
            self.bytes -= variants.swap_remove(oldest).bytes;
            self.counts.evicted += 1;
        }
        variants.push(Entry { used: self.clock, bytes, reads, made });
        self.bytes += bytes;
        if self.bytes > self.bytes_max {
            self.evict();
        }
    }

    /// Drops what was used longest ago, until a quarter of the room is free, so that it is not done
    /// for each new entry.
    fn evict(&mut self) {
        let mut uses: Vec<(u64, usize)> =
            self.entries.values().flatten().map(|entry| (entry.used, entry.bytes)).collect();
        uses.sort_unstable();
        let mut rest = self.bytes;
        let first_kept = uses.into_iter().find(|(_, bytes)| {
            let fits = rest <= self.bytes_max / 4 * 3;
            if !fits {
                rest -= bytes;
            }
            fits
        });
        let first_kept = first_kept.map_or(u64::MAX, |(used, _)| used);
        let before: usize = self.entries.values().map(Vec::len).sum();
        for variants in self.entries.values_mut() {
            variants.retain(|entry| entry.used >= first_kept);
        }
        self.entries.retain(|_, variants| !variants.is_empty());
        self.bytes = self.entries.values().flatten().map(|entry| entry.bytes).sum();
        self.counts.evicted += before - self.entries.values().map(Vec::len).sum::<usize>();
    }
}

impl Counts {
    fn of(&mut self, key: &Key) -> &mut Use {
        match key {
            Key::App(..) => &mut self.apps,
            Key::Base(_) => &mut self.bases,
            Key::Resources(_) | Key::Manifest(_) => &mut self.files,
        }
    }
}

impl Made {
    /// The memory it takes, about.
    fn bytes(&self) -> usize {
        let objects = |objects: &[Object]| {
            objects.iter().map(|object| object.file.len() + weight(&object.value)).sum::<usize>()
        };
        let errors = |errors: &[RenderError]| {
            errors.iter().map(|error| ENTRY_BYTES + error.file.len() + error.message.len()).sum::<usize>()
        };
        let resources = |resources: &[Resource]| resources.iter().map(Resource::bytes).sum::<usize>();
        match self {
            Made::App(Ok(made)) => objects(made),
            Made::App(Err(made)) => errors(&made.0),
            Made::Base(made) => made.bytes(),
            Made::Resources(made) => resources(made),
            Made::Manifest(made) => objects(&made.0) + errors(&made.1),
        }
    }
}

/// The memory a value takes, about.
pub(crate) fn weight(value: &serde_json::Value) -> usize {
    use serde_json::Value;
    const VALUE_BYTES: usize = size_of::<Value>();
    /// A node of the tree that a map is: room for 11 names and values, 6 or more of it taken.
    const NODE_BYTES: usize = 16 + 11 * (size_of::<String>() + VALUE_BYTES);
    const NODE_TAKEN: usize = 6;
    VALUE_BYTES
        + match value {
            Value::String(text) => text.len(),
            Value::Array(items) => items.iter().map(weight).sum(),
            Value::Object(fields) => {
                fields.len().div_ceil(NODE_TAKEN) * NODE_BYTES
                    + fields.iter().map(|(key, value)| key.len() + weight(value)).sum::<usize>()
            }
            _ => 0,
        }
}
