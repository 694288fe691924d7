//! What is in the cluster, and what has happened to it lately?
//!
//! Objects are kept as the JSON the server sends, with the few things that every list, watch and owner look-up asks
//! for beside it: fifty thousand objects then take little more memory than their text.

use bytes::Bytes;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Bound;
use std::sync::Arc;

/// Namespace (empty for cluster-scoped objects) and name.
pub(crate) type Key = (String, String);

/// One state of one object.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) uid: String,
    pub(crate) version: u64,
    pub(crate) labels: Vec<(Box<str>, Box<str>)>,
    pub(crate) owners: Vec<Box<str>>,
    /// Being deleted, waiting for its finalizers.
    pub(crate) deleting: bool,
    json: Bytes,
    /// Where the text goes on after apiVersion and kind.
    head: usize,
}

impl Record {
    fn new(object: &Value, version: u64) -> Record {
        let metadata = &object["metadata"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let labels = metadata["labels"].as_object().into_iter().flatten();
        let owners = metadata["ownerReferences"].as_array().into_iter().flatten();
        let (json, head) = written(object);
        Record {
            namespace: text(&metadata["namespace"]),
            name: text(&metadata["name"]),
            uid: text(&metadata["uid"]),
            version,
            labels: labels.map(|(key, value)| (key.as_str().into(), text(value).into())).collect(),
            owners: owners.map(|owner| text(&owner["uid"]).into()).collect(),
            deleting: metadata["deletionTimestamp"].is_string(),
            json,
            head,
        }
    }

    /// What would be kept, for a write that is only tried: its version is the one it was read under.
    pub(crate) fn unversioned(object: &Value) -> Record {
        let version = object["metadata"]["resourceVersion"].as_str().and_then(|version| version.parse().ok());
        Record::new(object, version.unwrap_or(0))
    }

    /// The object as text.
    pub(crate) fn json(&self) -> Bytes {
        self.json.clone()
    }

    /// The text without apiVersion and kind, from behind the opening brace on.
    pub(crate) fn untyped_tail(&self) -> &[u8] {
        &self.json[self.head..]
    }

    /// The object.
    pub(crate) fn value(&self) -> Value {
        serde_json::from_slice(&self.json).unwrap_or_default()
    }

    pub(crate) fn label(&self, key: &str) -> Option<&str> {
        self.labels.iter().find(|(name, _)| **name == *key).map(|(_, value)| &**value)
    }

    pub(crate) fn key(&self) -> Key {
        (self.namespace.clone(), self.name.clone())
    }
}

/// The text of an object, apiVersion and kind first, and the length of that first part.
fn written(object: &Value) -> (Bytes, usize) {
    let mut rest = object.clone();
    let mut first = String::from("{");
    if let Some(fields) = rest.as_object_mut() {
        for name in ["apiVersion", "kind"] {
            if let Some(value) = fields.remove(name) {
                first.push_str(&format!("\"{name}\":{value},"));
            }
        }
    }
    let head = first.len();
    first.push_str(rest.to_string().trim_start_matches('{'));
    (Bytes::from(first), head)
}

/// What happened to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Added,
    Modified,
    Deleted,
}

/// One change, as watches see it.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) version: u64,
    pub(crate) storage: Arc<str>,
    pub(crate) change: Change,
    pub(crate) record: Arc<Record>,
    pub(crate) previous: Option<Arc<Record>>,
}

/// All objects of a cluster and its bounded history.
#[derive(Debug)]
pub(crate) struct Store {
    version: u64,
    tables: BTreeMap<Arc<str>, BTreeMap<Key, Arc<Record>>>,
    uids: BTreeMap<String, (Arc<str>, Key)>,
    dependents: BTreeMap<Box<str>, BTreeSet<(Arc<str>, Key)>>,
    history: VecDeque<Event>,
    history_max: usize,
    /// Events up to this version are gone.
    floor: u64,
}

impl Store {
    /// An empty store that keeps `history_max` events.
    pub(crate) fn new(history_max: usize) -> Store {
        Store {
            version: 1,
            tables: BTreeMap::new(),
            uids: BTreeMap::new(),
            dependents: BTreeMap::new(),
            history: VecDeque::new(),
            history_max,
            floor: 0,
        }
    }

    /// The version of the last change.
    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    pub(crate) fn get(&self, storage: &str, namespace: &str, name: &str) -> Option<&Arc<Record>> {
        self.tables.get(storage)?.get(&(namespace.to_owned(), name.to_owned()))
    }

    /// Whether an object with this uid is there.
    pub(crate) fn has_uid(&self, uid: &str) -> bool {
        self.uids.contains_key(uid)
    }

    /// Where the object with this uid is.
    pub(crate) fn place(&self, uid: &str) -> Option<&(Arc<str>, Key)> {
        self.uids.get(uid)
    }

    /// What names this uid as an owner.
    pub(crate) fn dependents(&self, uid: &str) -> Vec<(Arc<str>, Key)> {
        self.dependents.get(uid).into_iter().flatten().cloned().collect()
    }

    /// Objects in the order of namespace and name, of one namespace or all, after the given key.
    pub(crate) fn list<'a>(
        &'a self,
        storage: &str,
        namespace: Option<&'a str>,
        after: Option<Key>,
    ) -> impl Iterator<Item = &'a Arc<Record>> {
        let start = match (after, namespace) {
            (Some(after), _) => Bound::Excluded(after),
            (None, Some(namespace)) => Bound::Included((namespace.to_owned(), String::new())),
            (None, None) => Bound::Unbounded,
        };
        let table = self.tables.get(storage);
        let range = table.into_iter().flat_map(move |table| table.range((start.clone(), Bound::Unbounded)));
        range
            .map(|(_, record)| record)
            .take_while(move |record| namespace.is_none_or(|namespace| record.namespace == namespace))
    }

    pub(crate) fn count(&self, storage: &str) -> usize {
        self.tables.get(storage).map_or(0, BTreeMap::len)
    }

    /// How many objects there are.
    pub(crate) fn len(&self) -> usize {
        self.tables.values().map(BTreeMap::len).sum()
    }

    /// Where objects of the namespace are kept.
    pub(crate) fn in_namespace(&self, namespace: &str) -> Vec<(Arc<str>, Arc<Record>)> {
        let mut found = Vec::new();
        for storage in self.tables.keys() {
            found.extend(
                self.list(storage, Some(namespace), None).map(|record| (storage.clone(), record.clone())),
            );
        }
        found
    }

    /// Writes an object under the next version, which is set in it.
    pub(crate) fn put(&mut self, storage: &Arc<str>, mut object: Value) -> Arc<Record> {
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        let record = Arc::new(Record::new(&object, self.version));
        let table = self.tables.entry(storage.clone()).or_default();
        let previous = table.insert(record.key(), record.clone());
        if let Some(previous) = &previous {
            self.unlink(storage, previous);
        }
        self.link(storage, &record);
        let change = if previous.is_some() { Change::Modified } else { Change::Added };
        self.remember(storage, change, record.clone(), previous);
        record
    }

    /// Removes an object; `last` is its last state, sent to watches under the next version.
    pub(crate) fn delete(&mut self, storage: &Arc<str>, mut last: Value) -> Arc<Record> {
        self.version += 1;
        last["metadata"]["resourceVersion"] = json!(self.version.to_string());
        let record = Arc::new(Record::new(&last, self.version));
        let previous = self.tables.get_mut(storage).and_then(|table| table.remove(&record.key()));
        if let Some(previous) = &previous {
            self.unlink(storage, previous);
            self.remember(storage, Change::Deleted, record.clone(), Some(previous.clone()));
        }
        record
    }

    fn link(&mut self, storage: &Arc<str>, record: &Record) {
        self.uids.insert(record.uid.clone(), (storage.clone(), record.key()));
        for owner in &record.owners {
            let known = self.dependents.entry(owner.clone()).or_default();
            known.insert((storage.clone(), record.key()));
        }
    }

    fn unlink(&mut self, storage: &Arc<str>, record: &Record) {
        self.uids.remove(&record.uid);
        for owner in &record.owners {
            if let Some(known) = self.dependents.get_mut(owner) {
                known.remove(&(storage.clone(), record.key()));
                if known.is_empty() {
                    self.dependents.remove(owner);
                }
            }
        }
    }

    fn remember(
        &mut self,
        storage: &Arc<str>,
        change: Change,
        record: Arc<Record>,
        previous: Option<Arc<Record>>,
    ) {
        let event = Event { version: self.version, storage: storage.clone(), change, record, previous };
        self.history.push_back(event);
        while self.history.len() > self.history_max {
            if let Some(oldest) = self.history.pop_front() {
                self.floor = oldest.version;
            }
        }
    }

    /// The changes after `version`, or `None` when some of them are forgotten.
    pub(crate) fn since(&self, version: u64) -> Option<impl Iterator<Item = &Event>> {
        let start = self.history.partition_point(|event| event.version <= version);
        (version >= self.floor).then(|| self.history.range(start..))
    }

    /// Forgets all history: watches and continued lists from before are too old from now on.
    pub(crate) fn compact(&mut self) {
        self.version += 1;
        self.history.clear();
        self.floor = self.version;
    }
}
