//! Whatever happens in whatever order, the hub ends up with the last state of everything.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Instant;

use muster_wire::v1::{Ack, AppAck, Welcome};
use proptest::prelude::*;

use super::super::*;

/// Events the board of this model keeps.
const EVENTS_KEPT_MAX: usize = 40;

/// One thing that happens.
#[derive(Clone, Debug)]
enum Step {
    Set(u8),
    Remove(u8),
    SetCluster,
    PushEvents(u8),
    Connect,
    Disconnect,
    /// The hub takes the oldest message on its way to it.
    HubReads,
    /// The agent takes the oldest message on its way to it.
    AgentReads,
    Tick,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..40_u8).prop_map(Step::Set),
        2 => (0..40_u8).prop_map(Step::Remove),
        1 => Just(Step::SetCluster),
        1 => (1..60_u8).prop_map(Step::PushEvents),
        2 => Just(Step::Connect),
        1 => Just(Step::Disconnect),
        8 => Just(Step::HubReads),
        8 => Just(Step::AgentReads),
        1 => Just(Step::Tick),
    ]
}

#[derive(Clone, Debug)]
enum ToHub {
    Hello(BTreeMap<String, u64>),
    Cluster(u64),
    App { name: String, sequence: u64, value: Option<u64> },
    Event(String),
    Heartbeat,
}

#[derive(Clone, Debug)]
enum ToAgent {
    Welcome(Welcome),
    Ack(Ack),
}

/// The board, the hub and the wire between them; values are numbers that only grow.
#[derive(Default)]
struct World {
    value: u64,
    apps: BTreeMap<String, u64>,
    cluster: Option<u64>,
    events: VecDeque<(u64, String)>,
    events_pushed: u64,
    link: Link,
    connected: bool,
    to_hub: VecDeque<ToHub>,
    to_agent: VecDeque<ToAgent>,
    hub_apps: BTreeMap<String, u64>,
    hub_cluster: Option<u64>,
    hub_events: BTreeSet<String>,
    hub_sequence: BTreeMap<String, u64>,
}

impl World {
    fn tell(&mut self, input: Input) {
        let now = Instant::now();
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            let (link, actions) = std::mem::take(&mut self.link).decide(input, now);
            self.link = link;
            for action in actions {
                match action {
                    Action::SendHello => self.to_hub.push_back(ToHub::Hello(self.apps.clone())),
                    Action::SendCluster => self.to_hub.push_back(ToHub::Cluster(self.cluster.unwrap())),
                    Action::SendApp { name, sequence } => {
                        let value = self.apps.get(&name).copied();
                        self.to_hub.push_back(ToHub::App { name, sequence, value });
                    }
                    Action::SendEvent { number } => {
                        let event = self.events.iter().find(|(of, _)| *of == number).unwrap();
                        self.to_hub.push_back(ToHub::Event(event.1.clone()));
                    }
                    Action::SendHeartbeat => self.to_hub.push_back(ToHub::Heartbeat),
                    Action::OfferEvents { after, count_max } => {
                        let offered =
                            self.events.iter().filter(|(number, _)| *number > after).take(count_max);
                        inputs.push_back(Input::Events(offered.cloned().collect()));
                    }
                    Action::ForgetEvents(ids) => self.events.retain(|(_, id)| !ids.contains(id)),
                    Action::Close(why) => panic!("closed: {why}"),
                }
            }
        }
    }

    fn step(&mut self, step: &Step) {
        self.value += 1;
        match step {
            Step::Set(app) => {
                let name = format!("app-{app}");
                self.apps.insert(name.clone(), self.value);
                self.tell(Input::App { name, exists: true });
            }
            Step::Remove(app) => {
                let name = format!("app-{app}");
                if self.apps.remove(&name).is_some() {
                    self.tell(Input::App { name, exists: false });
                }
            }
            Step::SetCluster => {
                self.cluster = Some(self.value);
                self.tell(Input::Cluster);
            }
            Step::PushEvents(count) => {
                for _ in 0..*count {
                    self.events_pushed += 1;
                    self.events.push_back((self.events_pushed, format!("event-{}", self.events_pushed)));
                    if self.events.len() > EVENTS_KEPT_MAX {
                        self.events.pop_front();
                    }
                }
                self.tell(Input::EventsWaiting);
            }
            Step::Connect => self.connect(),
            Step::Disconnect => self.disconnect(),
            Step::HubReads => self.hub_reads(),
            Step::AgentReads => match self.to_agent.pop_front() {
                Some(ToAgent::Welcome(welcome)) => self.tell(Input::Welcome(welcome)),
                Some(ToAgent::Ack(ack)) => self.tell(Input::Ack(ack)),
                None => {}
            },
            Step::Tick => self.tell(Input::Tick),
        }
    }

    fn connect(&mut self) {
        if !self.connected {
            self.connected = true;
            let apps = self.apps.keys().cloned().collect();
            self.tell(Input::Connected { apps, cluster: self.cluster.is_some() });
        }
    }

    /// Whatever is on the wire is lost, in both directions.
    fn disconnect(&mut self) {
        if self.connected {
            self.connected = false;
            self.to_hub.clear();
            self.to_agent.clear();
            self.hub_sequence.clear();
            self.link = Link::default();
        }
    }

    fn hub_reads(&mut self) {
        let mut ack = Ack::default();
        match self.to_hub.pop_front() {
            Some(ToHub::Hello(listed)) => {
                self.hub_apps.retain(|name, _| listed.contains_key(name));
                let differ = listed.iter().filter(|(name, value)| self.hub_apps.get(*name) != Some(value));
                let send_apps = differ.map(|(name, _)| name.clone()).collect();
                self.to_agent.push_back(ToAgent::Welcome(Welcome { send_apps, ..Welcome::default() }));
                return;
            }
            Some(ToHub::Cluster(value)) => {
                self.hub_cluster = Some(value);
                ack.cluster = true;
            }
            Some(ToHub::App { name, sequence, value }) => {
                let before = self.hub_sequence.insert(name.clone(), sequence);
                assert!(before.is_none_or(|before| before < sequence), "numbered upwards");
                match value {
                    Some(value) => drop(self.hub_apps.insert(name.clone(), value)),
                    None => drop(self.hub_apps.remove(&name)),
                }
                ack.apps.push(AppAck { app: name, sequence });
            }
            Some(ToHub::Event(id)) => {
                self.hub_events.insert(id.clone());
                ack.event_ids.push(id);
            }
            Some(ToHub::Heartbeat) | None => return,
        }
        self.to_agent.push_back(ToAgent::Ack(ack));
    }

    /// Nothing may grow with what happens, only with what there is.
    fn check_bounds(&self) {
        assert!(self.to_hub.len() <= MESSAGES_MAX, "{} messages on the wire", self.to_hub.len());
        assert!(self.link.reports_in_flight <= REPORTS_IN_FLIGHT_MAX);
        assert!(self.link.events.in_flight.len() <= EVENTS_IN_FLIGHT_MAX);
        assert!(self.link.queue.len() <= self.link.apps.len());
        assert!(self.link.apps.len() <= 40);
        let in_flight = self.link.apps.values().filter(|app| app.mark.is_in_flight()).count();
        assert_eq!(in_flight, self.link.reports_in_flight);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_hub_ends_up_with_the_last_state(steps in prop::collection::vec(step(), 0..300)) {
        let mut world = World::default();
        for step in &steps {
            world.step(step);
            world.check_bounds();
        }
        world.connect();
        let waiting: BTreeSet<String> = world.events.iter().map(|(_, id)| id.clone()).collect();
        for _ in 0..2_000 {
            world.step(&Step::HubReads);
            world.step(&Step::AgentReads);
            world.check_bounds();
        }
        prop_assert!(world.to_hub.is_empty() && world.to_agent.is_empty());
        prop_assert_eq!(&world.hub_apps, &world.apps);
        prop_assert_eq!(world.hub_cluster, world.cluster);
        prop_assert!(waiting.is_subset(&world.hub_events));
        prop_assert!(world.events.is_empty());
        prop_assert!(!world.link.waits());
        // What is gone and told leaves no trace.
        prop_assert!(world.link.apps.keys().all(|name| world.apps.contains_key(name)));
    }
}
