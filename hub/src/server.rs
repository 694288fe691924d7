//! How does the hub start, serve and stop?

use std::{io, net::SocketAddr, path::PathBuf, sync::Arc, thread, time::Duration};

use muster_wire::{
    DESCRIPTORS, MESSAGE_BYTES_MAX,
    v1::{
        access_service_server::AccessServiceServer, agent_service_server::AgentServiceServer,
        alert_service_server::AlertServiceServer, audit_service_server::AuditServiceServer,
        authority_service_server::AuthorityServiceServer, cluster_service_server::ClusterServiceServer,
        enrollment_service_server::EnrollmentServiceServer, fleet_service_server::FleetServiceServer,
        promotion_service_server::PromotionServiceServer, token_service_server::TokenServiceServer,
    },
};
use tokio::{
    net::TcpListener,
    runtime::Handle,
    sync::{RwLock, mpsc, watch},
    task::JoinSet,
    time::{MissedTickBehavior, interval, timeout},
};
use tokio_stream::{StreamExt as _, wrappers::ReceiverStream};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::{
    service::{Routes, RoutesBuilder},
    transport::Server,
};
use tonic_health::{
    ServingStatus,
    pb::health_server::{Health, HealthServer},
    server::HealthReporter,
};
use tower::Layer as _;

use crate::{
    access::{Gate, GuardLayer, config::Access},
    alerts::{self, AlertSettings, Tellers},
    audit::Entry,
    clock::Clock,
    commit::{Committer, Effects, Fleet, Writer},
    config::{self, CONFIG_FILE, Settings, StoreSettings},
    fleet::{Input, Rules},
    gates::Asker,
    init::InitError,
    listener::{self, FailedHandshake},
    metrics::{self, Metrics},
    record::{Change, Key, Loaded},
    reload::Watched,
    repository::{Follower, Promotion},
    service::{Agents, Hub, Serve},
    store::{EtcdStore, Incoming, LocalStore, Store, StoreError},
    streams::Streams,
    trust::{Trust, fingerprints},
    watch::Watchers,
    web,
};

/// Folder of the mirror of the fleet repository.
const MIRROR: &str = "repository";
/// How often time is looked at: silence, certificates, old tokens.
const TICK: Duration = Duration::from_secs(1);
/// How long a configuration must have been the same to be taken over.
const SETTLED: Duration = Duration::from_millis(200);
/// How long agents and callers have to hang up when the hub stops.
const FAREWELL: Duration = Duration::from_secs(5);
/// How long the last write may take when the hub stops.
const LAST_WRITE: Duration = Duration::from_secs(10);
/// Connections after their handshake that wait for the gRPC server, which takes them at once.
const READY_MAX: usize = 64;

// HTTP/2: one agent has one stream and now and then a call; a CLI has a few.
const STREAMS_PER_CONNECTION: u32 = 32;
const HEADERS_BYTES_MAX: u32 = 16 * 1024;
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;
const FRAME_BYTES_MAX: u32 = 16 * 1024;
const RESETS_MAX: usize = 32;
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(20);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);

/// Why the hub does not run, or did not end well.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Its directory is not in order.
    #[error(transparent)]
    Directory(#[from] InitError),
    /// Its store is not in order.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What it is to reach etcd with is not in order.
    #[error("the settings of etcd are not valid: {0}")]
    Settings(String),
    /// It cannot listen.
    #[error(
        "cannot listen on {address}: {error}; choose another address with --listen, --dashboard or --metrics"
    )]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why.
        error: io::Error,
    },
    /// The gRPC server could not go on.
    #[error("the gRPC server failed: {0}")]
    Grpc(#[from] tonic::transport::Error),
    /// The reflection service could not be made.
    #[error("the reflection service cannot be made: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),
    /// Nothing can be asked over HTTP.
    #[error("nothing can be asked or told over HTTP: {0}")]
    Client(reqwest::Error),
    /// The system gives no thread, or one of ours ended unexpectedly.
    #[error("cannot run the store's thread: {0}")]
    Thread(io::Error),
}

/// Runs the hub until `stop`, then lets everybody go and writes what is left.
///
/// # Errors
/// When it cannot start, or could not keep everything at its end.
pub async fn serve(settings: Settings, stop: CancellationToken) -> Result<(), ServeError> {
    let clock = Clock::start();
    let hosts = settings.addresses.iter().map(|address| address.host.clone()).collect();
    let trust = Trust::load(settings.directory.clone(), hosts, clock.now().wall).map_err(InitError::from)?;
    let (mut store, loaded) = open_store(&settings).await?;
    let incoming = store.incoming();
    let leader = store.leader();
    let rules = Rules { heartbeat: settings.heartbeat };
    let named = fingerprints(&trust.authority().borrow());
    let fleet = Arc::new(RwLock::new(Fleet::restore(loaded, named, rules, clock.now())));
    // Only now, so that a port that is open means a hub that answers.
    let bind = |error| ServeError::Listen { address: settings.listen, error };
    let listener = TcpListener::bind(settings.listen).await.map_err(bind)?;
    let address = listener.local_addr().map_err(bind)?;

    let (watchers, streams) = (Arc::<Watchers>::default(), Arc::<Streams>::default());
    let (writable, store_state) = watch::channel(true);
    let metrics = Metrics::default();
    let give_up = CancellationToken::new();
    let writer = Writer {
        store,
        fleet: Arc::clone(&fleet),
        rules,
        clock,
        watchers: Arc::clone(&watchers),
        streams: Arc::clone(&streams),
        writable,
        metrics: metrics.clone(),
        give_up: give_up.clone(),
    };
    let (committer, thread) = writer.start().map_err(ServeError::Thread)?;
    let hints = watch::Sender::new(0);
    let followed = settings.repository.map(|repository| {
        let directory = repository.mirror.clone().unwrap_or_else(|| settings.directory.join(MIRROR));
        let gates = Asker::new(Arc::new(settings.gates.clone()), clock).map_err(ServeError::Client)?;
        let follower = Follower::new(
            repository,
            directory,
            Arc::clone(&fleet),
            gates,
            clock,
            hints.clone(),
            leader.clone(),
        );
        Ok::<_, ServeError>(follower)
    });
    let (follower, promotion) = followed.transpose()?.unzip();
    let hook = promotion.as_ref().and_then(Promotion::hook);
    if settings.access.policy.bindings.is_empty() {
        tracing::warn!("nobody may ask this hub anything: give roles in `access` of its {CONFIG_FILE}");
    }
    let (access_sender, access) = watch::channel(Arc::new(settings.access.clone()));
    let alerts = Arc::new(settings.alerts.clone());
    let gate = Arc::new(Gate::new(access, Arc::clone(&fleet), committer.clone(), clock, metrics.clone()));
    let hub = Arc::new(Hub {
        authority: trust.authority(),
        agents: Agents::default(),
        gate: Arc::clone(&gate),
        fleet,
        committer: committer.clone(),
        watchers,
        streams,
        clock,
        heartbeat: settings.heartbeat,
        certificate_lifetime: settings.certificate_lifetime,
        leader,
        stopping: stop.clone(),
        promotion,
        alerts: Tellers::new(Arc::clone(&alerts)).map_err(ServeError::Client)?,
        hints,
        tasks: TaskTracker::new(),
    });

    let (reporter, health) = tonic_health::server::health_reporter();
    let mut companions = JoinSet::new();
    if let Some(follower) = follower {
        companions.spawn(follower.run(stop.clone()));
    }
    let (tls, open) = (trust.tls(), trust.connections());
    companions.spawn(keep_time(Arc::clone(&hub), trust, alerts));
    let sender = alerts::Sender {
        tellers: hub.alerts.clone(),
        fleet: Arc::clone(&hub.fleet),
        committer: committer.clone(),
        clock,
        leader: hub.leader.clone(),
        metrics: metrics.clone(),
    };
    companions.spawn(sender.run(stop.clone()));
    if let Some(incoming) = incoming {
        companions.spawn(take_in(incoming, committer.clone()));
    }
    companions.spawn(tell_health(reporter, store_state.clone(), hub.leader.clone(), stop.clone()));
    companions.spawn(follow_access(settings.directory.clone(), access_sender));
    let (ready, connections) = mpsc::channel(READY_MAX);
    let (failed, failures) = mpsc::channel(READY_MAX);
    companions.spawn(remember(failures, Arc::clone(&gate)));
    let accepting = tokio::spawn(listener::accept(listener, tls, ready, failed, open, stop.clone()));
    tracing::info!(%address, version = env!("CARGO_PKG_VERSION"), "listening");

    if let Some(address) = settings.metrics {
        let writable = store_state.clone();
        let listening = metrics::listen(address, Arc::clone(&hub), metrics, writable, stop.clone()).await;
        let (address, serve) = listening.map_err(|error| ServeError::Listen { address, error })?;
        tracing::info!(%address, "metrics and probes are served");
        companions.spawn(serve);
    }
    let routes = routes(&hub, health)?.prepare();
    if let Some(dashboard) = &settings.dashboard {
        let bind = |error| ServeError::Listen { address: dashboard.listen, error };
        let grpc = web::Grpc::new(GuardLayer(Arc::clone(&gate)).layer(routes.clone()));
        let listening = web::listen(dashboard, grpc, hook.clone(), stop.clone()).await.map_err(bind)?;
        tracing::info!(address = %listening.address, tls = dashboard.tls.is_some(), "the dashboard is served");
        companions.spawn(listening.serve);
    }
    let serving = http2().layer(GuardLayer(gate)).serve_with_incoming_shutdown(
        routes,
        ReceiverStream::new(connections).map(Ok::<_, io::Error>),
        stop.clone().cancelled_owned(),
    );
    let mut serving = std::pin::pin!(serving);
    let served = tokio::select! {
        served = &mut serving => served,
        () = async { stop.cancelled().await; tokio::time::sleep(FAREWELL).await } => {
            tracing::warn!("some connections did not end in time and are cut");
            Ok(())
        }
    };
    stop.cancel(); // where the server ended by itself
    let _ = accepting.await; // it ends with `stop`; a panic in it has been printed
    companions.shutdown().await;
    end(&hub, &committer, thread, &give_up).await?;
    served?;
    tracing::info!("stopped");
    Ok(())
}

/// Waits for the streams to end and for the last write.
async fn end(
    hub: &Hub,
    committer: &Committer,
    thread: thread::JoinHandle<Result<(), StoreError>>,
    give_up: &CancellationToken,
) -> Result<(), ServeError> {
    hub.tasks.close();
    let streams_end = async {
        hub.tasks.wait().await;
        committer.stop().await;
    };
    let in_time = timeout(FAREWELL, streams_end).await.is_ok();
    give_up.cancel(); // a store that cannot be written now is tried once more, and that is all
    if !in_time {
        let _ = timeout(TICK, committer.stop()).await;
    }
    let joined = tokio::task::spawn_blocking(move || thread.join());
    match timeout(LAST_WRITE, joined).await {
        Ok(Ok(Ok(kept))) => Ok(kept?),
        Ok(_) => Err(ServeError::Thread(io::Error::other("it ended in a panic"))),
        Err(_) => Err(ServeError::Thread(io::ErrorKind::TimedOut.into())),
    }
}

async fn open_store(settings: &Settings) -> Result<(Box<dyn Store>, Loaded), ServeError> {
    let (place, runtime) = (settings.store.clone(), Handle::current());
    let opened = tokio::task::spawn_blocking(move || {
        let mut store: Box<dyn Store> = match place {
            StoreSettings::Directory(directory) => Box::new(LocalStore::open(&directory)?),
            StoreSettings::Etcd(etcd) => {
                Box::new(EtcdStore::new(etcd.settings().map_err(ServeError::Settings)?, runtime))
            }
        };
        let loaded = store.load()?;
        Ok::<_, ServeError>((store, loaded))
    });
    let (store, loaded) = opened.await.map_err(|error| ServeError::Thread(io::Error::other(error)))??;
    for problem in &loaded.problems {
        tracing::error!(problem, "the store was damaged");
    }
    tracing::info!(
        clusters = loaded.clusters.len(),
        apps = loaded.apps.len(),
        events = loaded.events.len(),
        tokens = loaded.tokens.len(),
        other_hubs = loaded.others.len(),
        "store opened"
    );
    Ok((store, loaded))
}

/// Brings what other hubs did to the store's thread.
async fn take_in(mut incoming: mpsc::Receiver<Incoming>, committer: Committer) {
    while let Some(incoming) = incoming.recv().await {
        if !committer.take_in(incoming).await {
            return;
        }
    }
}

fn http2() -> Server {
    Server::builder()
        .max_concurrent_streams(STREAMS_PER_CONNECTION)
        .http2_max_header_list_size(HEADERS_BYTES_MAX)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_frame_size(FRAME_BYTES_MAX)
        .http2_adaptive_window(Some(false))
        .http2_max_pending_accept_reset_streams(Some(RESETS_MAX))
        .http2_max_local_error_reset_streams(Some(RESETS_MAX))
        .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
        .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
}

fn routes(hub: &Arc<Hub>, health: HealthServer<impl Health>) -> Result<Routes, ServeError> {
    let serve = || Serve(Arc::clone(hub));
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let mut routes = RoutesBuilder::default();
    routes
        .add_service(AgentServiceServer::new(serve()).max_decoding_message_size(MESSAGE_BYTES_MAX))
        .add_service(EnrollmentServiceServer::new(serve()).max_decoding_message_size(16 * 1024))
        .add_service(FleetServiceServer::new(serve()).max_decoding_message_size(16 * 1024))
        .add_service(PromotionServiceServer::new(serve()).max_decoding_message_size(16 * 1024))
        .add_service(TokenServiceServer::new(serve()).max_decoding_message_size(16 * 1024))
        .add_service(ClusterServiceServer::new(serve()).max_decoding_message_size(16 * 1024))
        .add_service(AuditServiceServer::new(serve()).max_decoding_message_size(16 * 1024))
        .add_service(AlertServiceServer::new(serve()).max_decoding_message_size(16 * 1024))
        .add_service(AuthorityServiceServer::new(serve()).max_decoding_message_size(16 * 1024))
        .add_service(AccessServiceServer::new(serve()).max_decoding_message_size(16 * 1024))
        .add_service(health)
        .add_service(reflection().build_v1()?)
        .add_service(reflection().build_v1alpha()?);
    Ok(routes.routes())
}

/// Lets time pass for the fleet, the tokens and the hub's own certificate.
async fn keep_time(hub: Arc<Hub>, mut trust: Trust, settings: Arc<AlertSettings>) {
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let named = trust.tick(hub.clock.now().wall).then(|| fingerprints(&hub.authority()));
        let leads = *hub.leader.borrow();
        let settings = Arc::clone(&settings);
        let picture = hub.promotion.as_ref().map(|promotion| promotion.picture());
        let ticked = hub.committer.hand_in(move |fleet, now| {
            if let Some(named) = named {
                fleet.tokens.trust(named);
            }
            let changes = fleet.state.apply(Input::Tick { leads }, now);
            let mut records = changes.records;
            if leads {
                let ended = fleet.tokens.purge(now.wall);
                records.extend(ended.into_iter().map(|id| Change::Delete(Key::Token(id))));
                let mut conditions = fleet.state.conditions(now.wall);
                alerts::promotion::add(&mut conditions, picture.as_deref());
                records.extend(fleet.alerts.step(&conditions, &settings, now.wall));
            }
            records.extend(fleet.audit.tick(now));
            Effects { records, touched: changes.touched, ended: changes.ended, ..Effects::default() }
        });
        if ticked.await.is_err() {
            return;
        }
    }
}

/// Takes over who may ask what whenever the configuration changes.
async fn follow_access(directory: PathBuf, access: watch::Sender<Arc<Access>>) {
    let mut watched = Watched::new(&directory, &[CONFIG_FILE]);
    let mut ticks = interval(TICK);
    // It may have changed since the settings were read.
    let mut is_due = true;
    loop {
        ticks.tick().await;
        if !watched.changed() && !is_due {
            continue;
        }
        // A file that is just being written is empty for a moment, which must not mean that nobody may do anything.
        let before = config::read_access(&directory);
        tokio::time::sleep(SETTLED).await;
        let read = config::read_access(&directory);
        is_due = before != read;
        if is_due {
            continue;
        }
        match read {
            Ok(read) => {
                let changed = access.send_if_modified(|access| {
                    let changed = **access != read;
                    *access = Arc::new(read);
                    changed
                });
                if changed {
                    tracing::info!(
                        "access, users and oidc of {CONFIG_FILE} have changed and count from now on"
                    );
                }
            }
            Err(error) => {
                tracing::error!(%error, "{CONFIG_FILE} has changed and cannot be used; the roles stay as they were");
            }
        }
    }
}

/// Remembers handshakes that failed in the audit log.
async fn remember(mut failures: mpsc::Receiver<FailedHandshake>, gate: Arc<Gate>) {
    while let Some(FailedHandshake { address, reason, detail }) = failures.recv().await {
        let entry = Entry {
            actor: "anonymous".to_owned(),
            source: address.ip().to_canonical().to_string(),
            action: "tls.handshake".to_owned(),
            target: String::new(),
            result: reason.to_owned(),
            detail,
        };
        gate.refused(entry).await;
    }
}
/// Name under which gRPC health says whether this hub leads those that share its store.
const LEADER_SERVICE: &str = "leader";

/// Says by gRPC health whether calls are worth while: not when the store cannot be written or the hub stops.
async fn tell_health(
    reporter: HealthReporter,
    mut writable: watch::Receiver<bool>,
    mut leader: watch::Receiver<bool>,
    stop: CancellationToken,
) {
    let status = |good| if good { ServingStatus::Serving } else { ServingStatus::NotServing };
    let mut led = true;
    loop {
        let good = *writable.borrow_and_update() && !stop.is_cancelled();
        let services = [
            "",
            "muster.v1.AccessService",
            "muster.v1.AgentService",
            "muster.v1.AlertService",
            "muster.v1.AuditService",
            "muster.v1.AuthorityService",
            "muster.v1.ClusterService",
            "muster.v1.EnrollmentService",
            "muster.v1.FleetService",
            "muster.v1.PromotionService",
            "muster.v1.TokenService",
        ];
        for service in services {
            reporter.set_service_status(service, status(good)).await;
        }
        let leads = *leader.borrow_and_update();
        reporter.set_service_status(LEADER_SERVICE, status(leads)).await;
        tokio::select! {
            changed = writable.changed() => if changed.is_err() { return },
            changed = leader.changed(), if led => led = changed.is_ok(),
            () = stop.cancelled(), if !stop.is_cancelled() => {}
        }
    }
}
