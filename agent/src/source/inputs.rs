//! Has anything changed that an app is made of?
//!
//! ```text
//! Git's ids of all that was read for it are the same ----> nothing is read, nothing rendered
//! else read it; what it holds is the same ---------------> nothing rendered
//! else render it; bases and files that are the same -----> taken from the cache
//! ```
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use muster_git::{GitError, Mirror, ReadLimits, Revision};
use muster_render::{Cache, Files, Limits, Object, RenderErrors, Repository, Source, gather};

use crate::object::{Digest, digest};

/// Memory for parsed manifests and built bases while a revision is read: enough for the bases that its apps
/// have in common.
const CACHE_BYTES_MAX: usize = 8 << 20;

/// A repository at one revision, as far as apps are read from it.
pub(super) trait Contents {
    /// What a path leads to: the same id stands for the same files below it. `None` if there is nothing.
    fn id(&self, path: &str) -> Result<Option<String>, GitError>;

    /// The files below a path, and whether its id says all about them. `None` if there is nothing.
    fn read(&self, path: &str) -> Result<Option<(Files, bool)>, GitError>;
}

/// A revision in the mirror.
pub(super) struct AtRevision<'m> {
    pub(super) mirror: &'m Mirror,
    pub(super) revision: &'m Revision,
}

impl Contents for AtRevision<'_> {
    fn id(&self, path: &str) -> Result<Option<String>, GitError> {
        self.mirror.identify(self.revision, path)
    }

    fn read(&self, path: &str) -> Result<Option<(Files, bool)>, GitError> {
        match self.mirror.read(self.revision, path, &ReadLimits::default()) {
            Ok(tree) => {
                let is_all = !tree.has_links();
                Ok(Some((tree.into_files(), is_all)))
            }
            Err(GitError::PathMissing { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// What was delivered of each app, so that what has not changed is not read or rendered again.
pub(super) struct Delivered {
    apps: BTreeMap<String, Delivery>,
    /// What the apps of one revision have in common.
    cache: Cache,
}

/// One app as it was delivered.
struct Delivery {
    /// What its document asks for.
    asked: Digest,
    /// All that was read for it.
    inputs: Vec<Input>,
    /// What that held.
    content: Digest,
}

struct Input {
    path: String,
    id: Option<String>,
    /// Whether the id says all about it; a link may lead elsewhere.
    is_all: bool,
}

impl Input {
    fn holds(&self, contents: &dyn Contents) -> bool {
        // What cannot be looked at is read, which says why.
        self.is_all && contents.id(&self.path).is_ok_and(|id| id == self.id)
    }
}

/// All files that an app may need, and what to look at to know them unchanged.
fn read(source: &Source, contents: &dyn Contents) -> Result<(Files, Vec<Input>), GitError> {
    let mut inputs = Vec::new();
    let files = gather(&source.path, &Limits::default(), |path| {
        let id = contents.id(path)?;
        let read = contents.read(path)?;
        let is_all = read.as_ref().is_none_or(|(_, is_all)| *is_all);
        inputs.push(Input { path: path.to_owned(), id, is_all });
        Ok::<_, GitError>(read.map(|(files, _)| files))
    })?;
    Ok((files, inputs))
}

/// The objects of an app.
#[derive(Debug)]
pub(super) enum Found {
    /// As they were delivered.
    Unchanged,
    Rendered(Result<Vec<Object>, RenderErrors>),
}

impl Default for Delivered {
    fn default() -> Self {
        Delivered { apps: BTreeMap::new(), cache: new_cache() }
    }
}

impl Delivered {
    /// The next delivery of this app is whole.
    pub(super) fn forget(&mut self, app: &str) {
        self.apps.remove(app);
    }

    /// A revision has been read: forgets all apps but these, and what they were made of. That takes many times the
    /// memory of the objects, and making it again for one app takes milliseconds.
    pub(super) fn end(&mut self, is_there: impl Fn(&str) -> bool) {
        self.apps.retain(|app, _| is_there(app));
        self.cache = new_cache();
    }

    /// What an app is now. `options` are those parts of its document that are not in `source`;
    /// `rendered_in` hears how long it took, if it was rendered.
    ///
    /// # Errors
    /// When its files cannot be read; the next delivery is whole then.
    pub(super) fn app(
        &mut self,
        name: &str,
        options: &str,
        source: &Source,
        contents: &dyn Contents,
        rendered_in: &dyn Fn(Duration),
    ) -> Result<Found, GitError> {
        let asked = digest([options.as_bytes(), format!("{source:?}").as_bytes()]);
        if let Some(known) = self.apps.get(name)
            && known.asked == asked
            && known.inputs.iter().all(|input| input.holds(contents))
        {
            return Ok(Found::Unchanged);
        }
        let known = self.apps.remove(name).filter(|known| known.asked == asked);
        let (files, inputs) = read(source, contents)?;
        let content = digest(files.iter().flat_map(|(name, bytes)| [name.as_bytes(), bytes.as_slice()]));
        let is_same = known.is_some_and(|known| known.content == content);
        self.apps.insert(name.to_owned(), Delivery { asked, inputs, content });
        if is_same {
            return Ok(Found::Unchanged);
        }
        let began = Instant::now();
        let rendered = self.cache.render_changed_app(&Repository::new(&files), source);
        rendered_in(began.elapsed());
        Ok(Found::Rendered(rendered))
    }
}

fn new_cache() -> Cache {
    Cache::new(Limits::default(), CACHE_BYTES_MAX)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    /// A repository that remembers what was read. The id of a path is that of all below it; `linked`
    /// paths have a link in them.
    #[derive(Default)]
    struct Fake {
        files: Files,
        linked: Vec<String>,
        reads: RefCell<Vec<String>>,
    }

    impl Fake {
        fn below(&self, path: &str) -> Files {
            let is_below = |file: &str| file.strip_prefix(path).is_some_and(|rest| rest.starts_with('/'));
            let files = self.files.iter().filter(|(file, _)| is_below(file));
            files.map(|(file, bytes)| (file.clone(), bytes.clone())).collect()
        }

        fn put(&mut self, file: &str, text: &str) {
            self.files.insert(file.to_owned(), text.as_bytes().to_vec());
        }
    }

    impl Contents for Fake {
        fn id(&self, path: &str) -> Result<Option<String>, GitError> {
            let files = self.below(path);
            Ok((!files.is_empty()).then(|| format!("{files:?}")))
        }

        fn read(&self, path: &str) -> Result<Option<(Files, bool)>, GitError> {
            self.reads.borrow_mut().push(path.to_owned());
            let files = self.below(path);
            let is_all = !self.linked.iter().any(|linked| linked == path);
            Ok((!files.is_empty()).then_some((files, is_all)))
        }
    }

    const MAP: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n";

    fn fake() -> Fake {
        let mut fake = Fake::default();
        fake.put("base/kustomization.yaml", "resources: [a.yaml]\n");
        fake.put("base/a.yaml", MAP);
        for app in ["one", "two"] {
            fake.put(
                &format!("{app}/kustomization.yaml"),
                &format!("resources: [../base]\nnamePrefix: {app}-\n"),
            );
        }
        fake.put("plain/a.yaml", MAP);
        fake
    }

    /// Delivers all apps: those that were rendered, and the paths that were read.
    fn deliver(delivered: &mut Delivered, fake: &Fake, options: &str) -> (Vec<&'static str>, Vec<String>) {
        fake.reads.borrow_mut().clear();
        let mut rendered = Vec::new();
        for app in ["one", "two", "plain"] {
            let source = Source { path: app.to_owned(), substitutions: None };
            match delivered.app(app, options, &source, fake, &|_| ()).unwrap() {
                Found::Unchanged => {}
                Found::Rendered(result) => {
                    result.unwrap();
                    rendered.push(app);
                }
            }
        }
        (rendered, fake.reads.borrow().clone())
    }

    #[test]
    fn what_is_the_same_by_its_ids_is_not_even_read() {
        let (mut fake, mut delivered) = (fake(), Delivered::default());
        let (rendered, reads) = deliver(&mut delivered, &fake, "");
        assert_eq!(rendered, ["one", "two", "plain"]);
        assert_eq!(reads, ["one", "base", "two", "base", "plain"]);
        assert_eq!(deliver(&mut delivered, &fake, ""), (vec![], vec![]));

        fake.put("elsewhere/a.yaml", MAP);
        assert_eq!(deliver(&mut delivered, &fake, ""), (vec![], vec![]));

        fake.put("base/a.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: b}\n");
        delivered.end(|_| true);
        let before = delivered.cache.counts();
        let (rendered, reads) = deliver(&mut delivered, &fake, "");
        assert_eq!(rendered, ["one", "two"], "a base changed, which is none of the plain app's");
        assert_eq!(reads, ["one", "base", "two", "base"]);
        let after = delivered.cache.counts();
        assert_eq!(after.bases.made - before.bases.made, 1, "it is built once for both");

        fake.put("two/kustomization.yaml", "resources: [../base]\nnamePrefix: x-\n");
        let (rendered, reads) = deliver(&mut delivered, &fake, "");
        assert_eq!(rendered, ["two"]);
        assert_eq!(reads, ["two", "base"]);
    }

    #[test]
    fn what_ids_do_not_tell_is_read_and_what_is_asked_for_counts() {
        let (mut fake, mut delivered) = (fake(), Delivered::default());
        fake.linked.push("base".to_owned());
        deliver(&mut delivered, &fake, "");
        let (rendered, reads) = deliver(&mut delivered, &fake, "");
        assert_eq!((rendered.len(), reads.len()), (0, 4), "read again, and found to be the same");
        let (rendered, _) = deliver(&mut delivered, &fake, "namespace: other");
        assert_eq!(rendered, ["one", "two", "plain"]);
        delivered.forget("one");
        assert_eq!(deliver(&mut delivered, &fake, "namespace: other").0, ["one"]);
        delivered.end(|app| app != "plain");
        assert_eq!(deliver(&mut delivered, &fake, "namespace: other").0, ["plain"]);
    }

    /// An app whose base appears later is looked at again.
    #[test]
    fn what_was_missing_may_come() {
        let (mut fake, mut delivered) = (fake(), Delivered::default());
        fake.put("one/kustomization.yaml", "resources: [../later]\n");
        let source = Source { path: "one".to_owned(), substitutions: None };
        let mut app = |fake: &Fake| delivered.app("one", "", &source, fake, &|_| ()).unwrap();
        assert!(matches!(app(&fake), Found::Rendered(Err(_))));
        assert!(matches!(app(&fake), Found::Unchanged));
        fake.put("later/kustomization.yaml", "configMapGenerator: [{name: g}]\n");
        assert!(matches!(app(&fake), Found::Rendered(Ok(_))));
    }
}
