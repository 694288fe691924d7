//! What does a directory render to? The same directory is rendered once, for however many clusters.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::rc::Rc;

use muster_render::{Cache, Files, Limits, Object, RenderError, Repository, Source, gather};

use crate::source::{Reader, SourceError};

/// What a source renders to, in the order of rendering; or everything that is wrong.
pub(crate) type Rendered = Result<Vec<Object>, Vec<RenderError>>;

/// Memory for parsed manifests and built bases that several sources share.
const CACHE_BYTES_MAX: usize = 256 << 20;

/// Renders sources as an agent does, each once.
pub(crate) struct Renderer<'r> {
    reader: &'r dyn Reader,
    /// Everything read so far.
    files: Files,
    read: BTreeSet<String>,
    done: BTreeMap<Source, Rc<Rendered>>,
    cache: Cache,
}

impl<'r> Renderer<'r> {
    /// Nothing is read yet.
    pub(crate) fn new(reader: &'r dyn Reader) -> Self {
        let cache = Cache::new(Limits::default(), CACHE_BYTES_MAX);
        Renderer { reader, files: Files::new(), read: BTreeSet::new(), done: BTreeMap::new(), cache }
    }

    /// What a source renders to.
    pub(crate) fn render(&mut self, source: &Source) -> Rc<Rendered> {
        if let Some(done) = self.done.get(source) {
            return done.clone();
        }
        let rendered = Rc::new(self.run(source));
        self.done.insert(source.clone(), rendered.clone());
        rendered
    }

    /// Everything that was read for rendering.
    pub(crate) fn into_files(self) -> Files {
        self.files
    }

    fn run(&mut self, source: &Source) -> Rendered {
        let files = gather(&source.path, &Limits::default(), |path| self.below(path));
        let files = files.map_err(|error| {
            vec![RenderError { file: source.path.clone(), line: 0, column: 0, message: error.to_string() }]
        })?;
        let rendered = self.cache.render_changed_app(&Repository::new(&files), source);
        rendered.map_err(|errors| errors.0)
    }

    fn below(&mut self, path: &str) -> Result<Option<Files>, SourceError> {
        let is_above = |read: &String| {
            read.is_empty()
                || path
                    .strip_prefix(read.as_str())
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        if !self.read.iter().any(is_above) {
            match self.reader.read(path) {
                Ok(files) => self.files.extend(files),
                Err(SourceError::Missing(_)) => return Ok(None),
                Err(error) => return Err(error),
            }
            self.read.insert(path.to_owned());
        }
        Ok(below(&self.files, path))
    }
}

/// The files below a path, or the file itself.
fn below(files: &Files, path: &str) -> Option<Files> {
    let prefix = if path.is_empty() { String::new() } else { format!("{path}/") };
    let inside = files
        .range::<str, _>((Bound::Included(prefix.as_str()), Bound::Unbounded))
        .take_while(|(name, _)| name.starts_with(&prefix));
    let found: Files = files
        .get_key_value(path)
        .into_iter()
        .chain(inside)
        .map(|(name, bytes)| (name.clone(), bytes.clone()))
        .collect();
    (!found.is_empty()).then_some(found)
}
