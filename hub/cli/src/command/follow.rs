//! `muster watch`: follows the hub, and comes back when the connection is lost.

use std::time::Duration;

use jiff::Timestamp;
use muster_wire::v1::watch_fleet_response::Change as Told;
use serde::Serialize;

use super::{Verdict, reach, reach_again};
use crate::{
    args::Options,
    failure::Failure,
    hub::Hub,
    model::{App, Cluster, Event},
    output::{Printer, remark},
    show::{Widths, watched},
    text::clean,
    watch::Watch,
};

/// Wait before the first new try, doubled with each up to the longest.
const RETRY: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(15);

/// One message of the stream, as a document.
#[derive(Serialize)]
#[serde(tag = "type")]
enum Document {
    Cluster {
        time: Timestamp,
        cluster: Box<Cluster>,
    },
    App {
        time: Timestamp,
        app: Box<App>,
    },
    RemovedApp {
        time: Timestamp,
        cluster: String,
        app: String,
    },
    /// Everything that existed has been told.
    InitialStateEnd {
        time: Timestamp,
    },
    Event {
        time: Timestamp,
        event: Box<Event>,
    },
}

impl Document {
    fn new(told: Told, time: Timestamp) -> Self {
        match told {
            Told::Cluster(cluster) => Self::Cluster { time, cluster: Box::new(cluster.into()) },
            Told::App(app) => Self::App { time, app: Box::new(App::without_objects(app)) },
            Told::RemovedApp(removed) => {
                Self::RemovedApp { time, cluster: removed.cluster, app: removed.app }
            }
            Told::InitialStateEnd(_) => Self::InitialStateEnd { time },
            Told::Event(event) => Self::Event { time, event: Box::new(event.into()) },
        }
    }
}

/// Follows until the process is stopped, or the hub can no longer be asked.
pub(super) async fn watch(
    options: &Options,
    printer: Printer,
    cluster: Option<&str>,
) -> Result<Verdict, Failure> {
    let mut reach = reach(options).await?;
    let (watch, widths, resume) = (Watch::default(), Widths::default(), String::new());
    let mut follower = Follower { watch, widths, printer, resume };
    let mut retry = RETRY;
    let mut connected_once = false;
    loop {
        let started = Timestamp::now();
        let failure = match Hub::connect(reach.clone(), options.timeout).await {
            Ok(mut hub) => follower.follow(&mut hub, cluster, &mut connected_once).await,
            Err(failure) => failure,
        };
        if !connected_once {
            return Err(failure);
        }
        // The hub ends what a token was good for when the token ends.
        if let Failure::Refused { .. } = failure {
            let renewed = reach_again(options).await?;
            if renewed.bearer != reach.bearer {
                reach = renewed;
                continue;
            }
        }
        if !failure.is_transient() {
            return Err(failure);
        }
        // A stream that held for a while was a good one: the next try is a first one.
        if Timestamp::now().duration_since(started).as_secs() >= 60 {
            retry = RETRY;
        }
        let again = humantime::format_duration(retry);
        remark(&format!("{}; trying again in {again}\n", clean(&failure.to_string())));
        tokio::time::sleep(retry).await;
        retry = (retry * 2).min(RETRY_MAX);
    }
}

struct Follower {
    watch: Watch,
    widths: Widths,
    printer: Printer,
    /// Stands for what was told; empty for nothing.
    resume: String,
}

impl Follower {
    /// One stream, up to its end.
    async fn follow(&mut self, hub: &mut Hub, cluster: Option<&str>, connected: &mut bool) -> Failure {
        // A hub that was started anew does not know what was told: it tells everything.
        let resume = std::mem::take(&mut self.resume);
        let mut resumes = !resume.is_empty();
        let stream = match hub.watch(cluster, &resume).await {
            Err(_) if resumes => {
                resumes = false;
                hub.watch(cluster, "").await
            }
            stream => stream,
        };
        let mut stream = match stream {
            Ok(stream) => stream,
            Err(failure) => return failure,
        };
        self.watch.begin(resumes);
        loop {
            match stream.message().await {
                Ok(Some(message)) => {
                    *connected = true;
                    if !message.resume_token.is_empty() {
                        self.resume = message.resume_token;
                    }
                    // A message of a later protocol says nothing this version could show.
                    let Some(told) = message.change else { continue };
                    if let Err(failure) = self.show(told) {
                        return failure;
                    }
                }
                Ok(None) => return hub.failed(&tonic::Status::unavailable("the hub ended the stream")),
                Err(status) => return hub.failed(&status),
            }
        }
    }

    fn show(&mut self, told: Told) -> Result<(), Failure> {
        let now = Timestamp::now();
        if !self.printer.is_for_people() {
            return self.printer.stream(&Document::new(told, now), |_, _| Vec::new());
        }
        let changes = self.watch.observe(told);
        let widths = &mut self.widths;
        self.printer.stream(&(), |screen, colour| {
            changes.iter().flat_map(|change| watched(change, widths, now, screen, colour)).collect()
        })
    }
}
