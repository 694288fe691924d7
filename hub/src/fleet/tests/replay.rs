//! Whatever is lost, doubled, late or restarted on the way: does the hub end with what the agent last said?

use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;

/// One step of a history.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// The agent's status of an app changes; `None`: the app is gone.
    Change { app: u8, revision: Option<u8> },
    /// The next message on its way arrives, once or twice.
    Deliver { twice: bool },
    /// The stream breaks; what is on its way is lost, or still arrives later.
    Break { late: bool },
    /// The hub restarts from what it kept.
    Restart,
    /// Time passes.
    Wait { seconds: u8 },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (0..4_u8, proptest::option::weighted(0.8, 0..4_u8))
            .prop_map(|(app, revision)| Step::Change { app, revision }),
        8 => any::<bool>().prop_map(|twice| Step::Deliver { twice }),
        1 => any::<bool>().prop_map(|late| Step::Break { late }),
        1 => Just(Step::Restart),
        1 => (0..60_u8).prop_map(|seconds| Step::Wait { seconds }),
    ];
    proptest::collection::vec(step, 0..80)
}

/// An agent that follows the protocol, the network, and the hub.
struct World {
    hub: State,
    kept: BTreeMap<String, Record>,
    /// What is so in the cluster.
    truth: BTreeMap<String, v1::AppStatus>,
    stream: u64,
    sequence: u64,
    /// On the agent's present stream.
    on_way: VecDeque<Report>,
    /// Of streams that broke.
    late: Vec<Input>,
    seconds: u64,
}

impl World {
    fn new() -> Self {
        let mut world = Self {
            hub: empty(),
            kept: BTreeMap::new(),
            truth: BTreeMap::new(),
            stream: 0,
            sequence: 0,
            on_way: VecDeque::new(),
            late: Vec::new(),
            seconds: 0,
        };
        world.connect();
        world
    }

    fn apply(&mut self, input: Input) -> Changes {
        let changes = self.hub.apply(input, at(self.seconds));
        keep(&mut self.kept, &changes.records);
        changes
    }

    fn connect(&mut self) {
        self.stream += 1;
        self.sequence = 0;
        self.on_way.clear();
        let apps: Vec<_> = self.truth.values().cloned().collect();
        let Answer::Welcome(send) = self.apply(connect("prod", self.stream, &apps)).answer else {
            panic!("Hello is answered with Welcome");
        };
        for app in send {
            let status = self.truth[app.as_str()].clone();
            self.report(status);
        }
    }

    fn report(&mut self, status: v1::AppStatus) {
        self.sequence += 1;
        self.on_way.push_back(report(self.sequence, status));
    }

    /// The present stream, if the hub still has it.
    fn deliver(&mut self, twice: bool) {
        let Some(message) = self.on_way.pop_front() else { return };
        for _ in 0..=usize::from(twice) {
            self.apply(say("prod", self.stream, message.clone()));
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Change { app: number, revision } => {
                let name = format!("app-{number}");
                match revision {
                    Some(revision) => {
                        let status = status(&name, &revision.to_string());
                        self.truth.insert(name, status.clone());
                        self.report(status);
                    }
                    None => {
                        if self.truth.remove(&name).is_some() {
                            self.sequence += 1;
                            self.on_way
                                .push_back(Report::Removed { app: app(&name), sequence: self.sequence });
                        }
                    }
                }
            }
            Step::Deliver { twice } => self.deliver(twice),
            Step::Break { late } => {
                let stream = self.stream;
                let end = Input::Disconnected {
                    cluster: cluster("prod"),
                    stream: StreamId(stream),
                    hub_stops: false,
                };
                if late {
                    let rest = std::mem::take(&mut self.on_way);
                    self.late.extend(rest.into_iter().map(|message| say("prod", stream, message)));
                    self.late.push(end);
                } else {
                    self.apply(end);
                }
                self.connect();
            }
            Step::Restart => {
                self.hub = State::restore(reload(&self.kept), RULES, at(self.seconds));
                self.connect();
            }
            Step::Wait { seconds } => {
                for _ in 0..seconds {
                    self.seconds += 1;
                    if !self.apply(Input::Tick { leads: true }).ended.is_empty() {
                        self.connect();
                    }
                }
                for input in std::mem::take(&mut self.late) {
                    self.apply(input);
                }
            }
        }
    }

    fn shown(hub: &State) -> BTreeMap<String, v1::AppStatus> {
        let apps = hub.list_apps(AppFilter::default(), Detail::Full);
        let statuses = apps.into_iter().filter_map(|app| app.status);
        statuses.map(|status| (status.app.clone(), status)).collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_hub_ends_with_what_the_agent_last_said(steps in steps()) {
        let mut world = World::new();
        for step in steps {
            world.step(step);
        }
        while !world.on_way.is_empty() {
            world.deliver(false);
        }
        for input in std::mem::take(&mut world.late) {
            world.apply(input);
        }
        prop_assert_eq!(&World::shown(&world.hub), &world.truth);
        let green = world.hub.show_cluster("prod").unwrap().apps.unwrap().healthy;
        prop_assert_eq!(green as usize, world.truth.len());

        let restarted = State::restore(reload(&world.kept), RULES, at(world.seconds));
        prop_assert_eq!(&World::shown(&restarted), &world.truth);
        let events = |hub: &State| hub.list_events(EventFilter::default(), 1_000);
        prop_assert_eq!(events(&restarted), events(&world.hub));
    }
}
