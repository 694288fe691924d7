//! What is one simulated cluster, apart from sockets and timers?

use crate::faults::Faults;
use crate::kinds::Kinds;
use crate::schema::Builtins;
use crate::settings::Settings;
use crate::store::{Record, Store};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Everything a cluster knows. Requests and controllers change it under one lock, a step at a time.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) store: Store,
    pub(crate) kinds: Kinds,
    pub(crate) ids: Ids,
    pub(crate) addresses: Addresses,
    pub(crate) settings: Settings,
    pub(crate) faults: Faults,
    /// Requests by verb and resource, such as `("patch", "deployments")`.
    pub(crate) counts: BTreeMap<(String, String), u64>,
    /// The controllers' own state.
    pub(crate) control: crate::controllers::Control,
}

impl State {
    /// A cluster as it is when it has just come up: the system namespaces and nothing else.
    pub(crate) fn new(builtins: &Arc<Builtins>, settings: Settings, seed: u64, now: Timestamp) -> State {
        let mut state = State {
            store: Store::new(settings.history_max),
            kinds: Kinds::new(builtins),
            ids: Ids(seed),
            addresses: Addresses::default(),
            settings,
            faults: Faults::default(),
            counts: BTreeMap::new(),
            control: crate::controllers::Control::default(),
        };
        for name in ["default", "kube-node-lease", "kube-public", "kube-system"] {
            state.add_namespace(name, now);
        }
        state.add_api_service(now);
        state
    }

    fn add_namespace(&mut self, name: &str, now: Timestamp) {
        let object = json!({
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {
                "name": name,
                "uid": self.ids.uid(),
                "creationTimestamp": time_text(now),
                "labels": {"kubernetes.io/metadata.name": name},
            },
            "spec": {"finalizers": ["kubernetes"]},
            "status": {"phase": "Active"},
        });
        self.store.put(&"namespaces".into(), object);
    }

    /// The `kubernetes` Service that every cluster has.
    fn add_api_service(&mut self, now: Timestamp) {
        let ip = self.addresses.ip();
        let object = json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {
                "name": "kubernetes",
                "namespace": "default",
                "uid": self.ids.uid(),
                "creationTimestamp": time_text(now),
                "labels": {"component": "apiserver", "provider": "kubernetes"},
            },
            "spec": {
                "clusterIP": ip, "clusterIPs": [ip],
                "internalTrafficPolicy": "Cluster", "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack",
                "ports": [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": 6443}],
                "sessionAffinity": "None", "type": "ClusterIP",
            },
            "status": {"loadBalancer": {}},
        });
        self.store.put(&"services".into(), object);
    }

    /// The namespace, if it is there.
    pub(crate) fn namespace(&self, name: &str) -> Option<&Arc<Record>> {
        self.store.get("namespaces", "", name)
    }
}

/// The form of times in objects: whole seconds, UTC.
pub(crate) fn time_text(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Makes uids and name suffixes; the same seed gives the same ones.
#[derive(Debug)]
pub(crate) struct Ids(pub(crate) u64);

impl Ids {
    /// The next number of the SplitMix64 sequence.
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A version 4 UUID.
    pub(crate) fn uid(&mut self) -> String {
        let (high, low) = (self.next(), self.next());
        format!(
            "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
            high >> 32,
            (high >> 16) & 0xffff,
            high & 0xfff,
            0x8000 | ((low >> 48) & 0x3fff),
            low & 0xffff_ffff_ffff
        )
    }

    /// What is appended to a `generateName`.
    pub(crate) fn suffix(&mut self) -> String {
        const LETTERS: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
        let mut number = self.next();
        let mut letter = || {
            let index = usize::try_from(number % 27).unwrap_or_default();
            number /= 27;
            char::from(LETTERS[index])
        };
        (0..5).map(|_| letter()).collect()
    }
}

/// Hands out cluster IPs and node ports.
#[derive(Debug, Default)]
pub(crate) struct Addresses {
    ips: u32,
    ports: u32,
}

impl Addresses {
    /// The next address of 10.96.0.0/12.
    pub(crate) fn ip(&mut self) -> String {
        self.ips += 1;
        let [_, b, c, d] = self.ips.to_be_bytes();
        format!("10.{}.{c}.{d}", 96 + b % 16)
    }

    /// The next node port of 30000-32767.
    pub(crate) fn node_port(&mut self) -> Value {
        self.ports += 1;
        json!(30000 + (self.ports - 1) % 2768)
    }
}
