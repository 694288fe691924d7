//! Controllers on a clock that the test turns.

use super::*;
use crate::schema::Builtins;
use crate::settings::Settings;
use jiff::SignedDuration;
use std::time::Duration;

struct Clock {
    state: State,
    now: Timestamp,
}

impl Clock {
    fn new(settings: Settings) -> Clock {
        let now = Timestamp::UNIX_EPOCH;
        let mut clock = Clock { state: State::new(&Builtins::load(), settings, 1, now), now };
        clock.settle();
        clock
    }

    /// Steps until nothing is left to do now; returns when there is.
    fn settle(&mut self) -> Option<Timestamp> {
        for _ in 0..100 {
            match step(&mut self.state, self.now) {
                Some(due) if due <= self.now => {}
                due => return due,
            }
        }
        panic!("the controllers do not come to rest");
    }

    fn pass(&mut self, seconds: i64) {
        self.now += SignedDuration::from_secs(seconds);
        self.settle();
    }

    fn put(&mut self, storage: &str, mut object: Value) {
        let metadata = object["metadata"].as_object_mut().unwrap();
        metadata.entry("uid").or_insert(json!(self.state.ids.uid()));
        metadata.entry("namespace").or_insert(json!("default"));
        self.state.store.put(&storage.into(), object);
        self.settle();
    }

    fn get(&self, storage: &str, name: &str) -> Value {
        self.state.store.get(storage, "default", name).map_or(Value::Null, |record| record.value())
    }
}

fn deployment(generation: i64, image: &str, replicas: i64) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "web", "uid": "web", "generation": generation},
        "spec": {
            "replicas": replicas, "progressDeadlineSeconds": 600,
            "selector": {"matchLabels": {"app": "web"}},
            "strategy": {"rollingUpdate": {"maxUnavailable": "25%"}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": image}]}},
        },
        "status": {},
    })
}

fn ten_seconds() -> Settings {
    Settings { ready_after: Duration::from_secs(10), ..Settings::default() }
}

fn reason(object: &Value, kind: &str) -> String {
    let mut conditions = object["status"]["conditions"].as_array().into_iter().flatten();
    let found = conditions.find(|condition| condition["type"] == kind);
    found.and_then(|condition| condition["reason"].as_str()).unwrap_or_default().to_owned()
}

#[test]
fn a_rollout_takes_its_time_and_keeps_the_old_pods_meanwhile() {
    let mut clock = Clock::new(ten_seconds());
    clock.put("deployments.apps", deployment(1, "nginx:1", 4));
    assert_eq!(reason(&clock.get("deployments.apps", "web"), "Available"), "MinimumReplicasUnavailable");
    assert_eq!(clock.state.store.count("pods"), 4);
    clock.pass(9);
    assert_eq!(clock.get("deployments.apps", "web")["status"].get("readyReplicas"), None);
    clock.pass(1);
    let ready = clock.get("deployments.apps", "web");
    assert_eq!(ready["status"]["readyReplicas"], 4);
    assert_eq!(reason(&ready, "Progressing"), "NewReplicaSetAvailable");

    let mut next = deployment(2, "nginx:2", 4);
    next["status"] = ready["status"].clone();
    clock.put("deployments.apps", next);
    let rolling = clock.get("deployments.apps", "web");
    assert_eq!(
        (&rolling["status"]["readyReplicas"], &rolling["status"]["updatedReplicas"]),
        (&json!(4), &json!(1))
    );
    assert_eq!(reason(&rolling, "Available"), "MinimumReplicasAvailable");
    clock.pass(10);
    let done = clock.get("deployments.apps", "web");
    assert_eq!(done["metadata"]["annotations"]["deployment.kubernetes.io/revision"], "2");
    assert_eq!(clock.state.store.count("replicasets.apps"), 2);
    assert_eq!(clock.state.store.count("pods"), 4);
}

#[test]
fn a_crashing_image_misses_its_deadline() {
    let mut clock = Clock::new(ten_seconds());
    clock.put("deployments.apps", deployment(1, "always-fail", 1));
    clock.pass(599);
    assert_eq!(reason(&clock.get("deployments.apps", "web"), "Progressing"), "ReplicaSetUpdated");
    clock.pass(1);
    assert_eq!(reason(&clock.get("deployments.apps", "web"), "Progressing"), "ProgressDeadlineExceeded");
    assert_eq!(clock.settle(), None);
}

#[test]
fn slow_images_are_slow_and_deleted_pods_come_back() {
    let mut clock = Clock::new(ten_seconds());
    clock.put("deployments.apps", deployment(1, "slow-start", 2));
    clock.pass(50);
    assert_eq!(clock.get("deployments.apps", "web")["status"].get("readyReplicas"), None);
    clock.pass(50);
    assert_eq!(clock.get("deployments.apps", "web")["status"]["readyReplicas"], 2);
    let pod = clock.state.store.list("pods", None, None).next().unwrap().clone();
    clock.state.store.delete(&"pods".into(), pod.value());
    clock.settle();
    assert_eq!(clock.state.store.count("pods"), 2);
    assert!(clock.state.store.get("pods", "default", &pod.name).is_none());
}

#[test]
fn everything_goes_with_a_deployment() {
    let mut clock = Clock::new(ten_seconds());
    clock.put("deployments.apps", deployment(1, "nginx", 3));
    let web = clock.get("deployments.apps", "web");
    clock.state.store.delete(&"deployments.apps".into(), web);
    clock.settle();
    assert_eq!((clock.state.store.count("replicasets.apps"), clock.state.store.count("pods")), (0, 0));
    assert!(clock.state.control.rollouts.is_empty());
}

#[test]
fn a_lagging_controller_looks_at_everything_again() {
    let mut clock = Clock::new(Settings { history_max: 5, pods: false, ..ten_seconds() });
    for index in 0..20 {
        let mut one = deployment(1, "nginx", 1);
        one["metadata"]["name"] = json!(format!("web-{index}"));
        one["metadata"]["uid"] = json!(format!("uid-{index}"));
        one["metadata"]["namespace"] = json!("default");
        clock.state.store.put(&"deployments.apps".into(), one);
    }
    clock.pass(0);
    clock.pass(10);
    assert_eq!(clock.get("deployments.apps", "web-0")["status"]["readyReplicas"], 1);
    assert_eq!(clock.get("deployments.apps", "web-19")["status"]["readyReplicas"], 1);
}
