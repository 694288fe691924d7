//! What has changed since a watch that ended?
//!
//! Kept is when each name last changed, not what it was, so that all of it is never more than the names there are, some
//! that are gone, and the last events.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    hash::{BuildHasher as _, RandomState},
    sync::Arc,
};

use muster_spec::{AppName, ClusterName};
use muster_wire::v1;
use ring::digest;
use tonic::Status;

use super::EVENTS_MAX;
use crate::{authority::hex, fleet::Touched};

/// Names kept; beyond it the ones that changed longest ago are forgotten.
const NAMES_MAX: usize = 50_000;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Name {
    Cluster(ClusterName),
    App(ClusterName, AppName),
}

/// When each name last changed, counted in batches of changes.
#[derive(Debug)]
pub(super) struct Changes {
    /// Of this run of this hub, so that no token outlives the counting.
    epoch: u64,
    version: u64,
    /// Changes up to this one may be forgotten.
    forgotten: u64,
    names: HashMap<Name, u64>,
    /// The same by when; several names may share one.
    order: BTreeMap<u64, Vec<Name>>,
    events: VecDeque<(u64, Arc<v1::Event>)>,
}

impl Default for Changes {
    fn default() -> Self {
        Self::new(RandomState::new().hash_one("epoch"))
    }
}

impl Changes {
    fn new(epoch: u64) -> Self {
        Self {
            epoch,
            version: 0,
            forgotten: 0,
            names: HashMap::new(),
            order: BTreeMap::new(),
            events: VecDeque::new(),
        }
    }

    /// Notes one batch of changes.
    pub(super) fn note(&mut self, touched: &[Touched]) {
        self.version += 1;
        for touched in touched {
            let name = match touched {
                Touched::Cluster(cluster) => Name::Cluster(cluster.clone()),
                Touched::App(cluster, app) => Name::App(cluster.clone(), app.clone()),
                Touched::Event(event) => {
                    self.events.push_back((self.version, Arc::clone(event)));
                    continue;
                }
            };
            let before = self.names.insert(name.clone(), self.version);
            if before == Some(self.version) {
                continue;
            }
            if let Some(before) = before
                && let Some(names) = self.order.get_mut(&before)
            {
                names.retain(|other| *other != name);
                if names.is_empty() {
                    self.order.remove(&before);
                }
            }
            self.order.entry(self.version).or_default().push(name);
        }
        while self.names.len() > NAMES_MAX {
            let Some((version, names)) = self.order.pop_first() else { break };
            self.forgotten = version;
            for name in names {
                self.names.remove(&name);
            }
        }
        while self.events.len() > EVENTS_MAX
            && let Some((version, _)) = self.events.pop_front()
        {
            self.forgotten = self.forgotten.max(version);
        }
    }

    /// Stands for all that was noted so far, as far as the view of this [`Changes::mark`] shows it.
    pub(super) fn token(&self, mark: &str) -> String {
        format!("{mark}.{}", self.version)
    }

    /// What changed after the token was given.
    ///
    /// # Errors
    /// OUT_OF_RANGE when that is not known.
    pub(super) fn since(&self, token: &str, mark: &str) -> Result<Vec<Touched>, Status> {
        let unknown = || {
            Status::out_of_range(
                "it is not known any more what has changed since this resume_token; watch without it",
            )
        };
        let (of, version) = token.split_once('.').ok_or_else(unknown)?;
        let version: u64 = version.parse().map_err(|_| unknown())?;
        if of != mark || version > self.version || version < self.forgotten {
            return Err(unknown());
        }
        let later = self.order.range(version + 1..).flat_map(|(_, names)| names);
        let names = later.map(|name| match name.clone() {
            Name::Cluster(cluster) => Touched::Cluster(cluster),
            Name::App(cluster, app) => Touched::App(cluster, app),
        });
        let events = self.events.iter().filter(|(of, _)| *of > version);
        Ok(names.chain(events.map(|(_, event)| Touched::Event(Arc::clone(event)))).collect())
    }

    /// Says of a token that it is of this run of this hub, and for this view.
    pub(super) fn mark(&self, view: &str) -> String {
        let text = format!("{} {view}", self.epoch);
        hex(&digest::digest(&digest::SHA256, text.as_bytes()).as_ref()[..8])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn app(cluster: &str, app: &str) -> Touched {
        Touched::App(cluster.parse().unwrap(), app.parse().unwrap())
    }

    fn names(touched: &[Touched]) -> Vec<String> {
        let name = |touched: &Touched| match touched {
            Touched::Cluster(cluster) => cluster.to_string(),
            Touched::App(cluster, app) => format!("{cluster}/{app}"),
            Touched::Event(event) => event.id.clone(),
        };
        touched.iter().map(name).collect()
    }

    #[test]
    fn what_changed_since_is_told_once_and_by_its_last_change() {
        let mut changes = Changes::new(1);
        changes.note(&[app("a", "web"), Touched::Cluster("a".parse().unwrap())]);
        let token = changes.token(&changes.mark("all"));
        assert_eq!(names(&changes.since(&token, &changes.mark("all")).unwrap()), Vec::<String>::new());
        changes.note(&[app("a", "api"), app("a", "api")]);
        changes.note(&[app("a", "web")]);
        let event = Arc::new(v1::Event { id: "e1".to_owned(), ..v1::Event::default() });
        changes.note(&[app("a", "api"), Touched::Event(event)]);
        assert_eq!(names(&changes.since(&token, &changes.mark("all")).unwrap()), ["a/web", "a/api", "e1"]);
        assert!(changes.order.values().all(|names| !names.is_empty()));
    }

    #[test]
    fn a_token_of_another_run_view_or_time_is_refused() {
        let mut changes = Changes::new(1);
        changes.note(&[app("a", "web")]);
        let token = changes.token(&changes.mark("all"));
        for (token, view) in [
            (token.as_str(), "less"),
            (&Changes::new(2).token(&Changes::new(2).mark("all")), "all"),
            (&token.replace(".1", ".2"), "all"),
            ("nonsense", "all"),
            ("", "all"),
        ] {
            assert_eq!(
                changes.since(token, &changes.mark(view)).unwrap_err().code(),
                tonic::Code::OutOfRange,
                "{token}"
            );
        }
        for number in 0..EVENTS_MAX {
            let event = v1::Event { id: number.to_string(), ..v1::Event::default() };
            changes.note(&[Touched::Event(Arc::new(event))]);
        }
        assert!(changes.since(&token, &changes.mark("all")).is_ok(), "all of them are there");
        changes.note(&[Touched::Event(Arc::new(v1::Event::default()))]);
        assert!(changes.since(&token, &changes.mark("all")).is_err(), "an event is missing");
    }
}
