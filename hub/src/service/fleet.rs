//! What are people and their tools told of the fleet?

use std::sync::Arc;

use futures::stream::BoxStream;
use muster_wire::{MESSAGE_BYTES_MAX, v1};
use prost::Message;
use tonic::{Request, Response, Status};
use v1::{HealthStatus, SyncStatus, fleet_service_server::FleetService};

use super::{Serve, admitted, calling_user, given, page::Page, stopping};
use crate::{
    access::policy::{Grant, Role},
    fleet::{AppFilter, Detail, EVENTS_LISTED_DEFAULT, EVENTS_LISTED_MAX, EventFilter, State},
    watch::Asked,
};

/// What a caller may see. What it may not does not exist for it.
pub(crate) struct Sight<'a> {
    pub(crate) state: &'a State,
    pub(crate) grant: &'a Grant,
}

impl Sight<'_> {
    pub(crate) fn cluster(&self, cluster: &str) -> bool {
        self.state.with_view(cluster, |view| self.grant.cluster(Role::Viewer, view))
    }

    pub(crate) fn app(&self, cluster: &str, app: &str) -> bool {
        self.state.with_view(cluster, |view| self.grant.app(Role::Viewer, view, app))
    }

    pub(crate) fn event(&self, event: &v1::Event) -> bool {
        if event.app.is_empty() { self.cluster(&event.cluster) } else { self.app(&event.cluster, &event.app) }
    }

    fn apps(&self, filter: AppFilter<'_>, detail: Detail) -> Vec<v1::App> {
        let mut apps = self.state.list_apps(filter, detail);
        apps.retain(|app| self.app(&app.cluster, app.status.as_ref().map_or("", |status| &status.app)));
        apps
    }
}

/// Refuses an answer that no client would take.
fn fitting<T: Message>(answer: T, instead: &str) -> Result<Response<T>, Status> {
    let bytes = answer.encoded_len();
    if bytes > MESSAGE_BYTES_MAX {
        return Err(Status::resource_exhausted(format!(
            "the answer has {bytes} bytes, and a message may have {MESSAGE_BYTES_MAX}; {instead}"
        )));
    }
    Ok(Response::new(answer))
}

/// Leaves out the objects that are as they should be, where all of them together are too many.
fn shorten(answer: &mut v1::GetAppResponse) {
    if answer.encoded_len() <= MESSAGE_BYTES_MAX {
        return;
    }
    for status in answer.apps.iter_mut().filter_map(|app| app.status.as_mut()) {
        status
            .objects
            .retain(|object| object.sync() != SyncStatus::Synced || object.health() != HealthStatus::Healthy);
    }
}

#[tonic::async_trait]
impl FleetService for Serve {
    async fn list_clusters(
        &self,
        request: Request<v1::ListClustersRequest>,
    ) -> Result<Response<v1::ListClustersResponse>, Status> {
        let (_, grant) = calling_user(&admitted(&request)?)?;
        let request = request.into_inner();
        let page = Page::new(request.page_size, &request.page_token)?;
        let fleet = self.0.fleet.read().await;
        let sight = Sight { state: &fleet.state, grant: &grant };
        let mut clusters = fleet.state.list_clusters(&request.labels);
        clusters.retain(|cluster| sight.cluster(&cluster.name));
        let (clusters, next_page_token) = page.of_sorted(clusters, |cluster| cluster.name.clone());
        let answer = v1::ListClustersResponse { clusters, next_page_token };
        fitting(answer, "ask for pages, or choose clusters by labels")
    }

    async fn get_cluster(
        &self,
        request: Request<v1::GetClusterRequest>,
    ) -> Result<Response<v1::GetClusterResponse>, Status> {
        let (_, grant) = calling_user(&admitted(&request)?)?;
        let name = request.into_inner().name;
        let fleet = self.0.fleet.read().await;
        let sight = Sight { state: &fleet.state, grant: &grant };
        let cluster = fleet.state.show_cluster(&name).filter(|_| sight.cluster(&name)).ok_or_else(|| {
            Status::not_found(format!(
                "no cluster {name:?} has enrolled; `muster clusters` lists those that have"
            ))
        })?;
        let filter = AppFilter { cluster: Some(&name), ..AppFilter::default() };
        let apps = sight.apps(filter, Detail::Summary);
        fitting(v1::GetClusterResponse { cluster: Some(cluster), apps }, "use WatchFleet for this cluster")
    }

    async fn list_apps(
        &self,
        request: Request<v1::ListAppsRequest>,
    ) -> Result<Response<v1::ListAppsResponse>, Status> {
        let (_, grant) = calling_user(&admitted(&request)?)?;
        let request = request.into_inner();
        let filter =
            AppFilter { cluster: given(&request.cluster), app: None, only_unhealthy: request.only_unhealthy };
        let page = Page::new(request.page_size, &request.page_token)?;
        let detail = match request.view() {
            v1::AppView::Unspecified | v1::AppView::Summary => Detail::Summary,
            v1::AppView::Drifts => Detail::Drifts,
            v1::AppView::Full => Detail::Full,
        };
        let fleet = self.0.fleet.read().await;
        let apps = Sight { state: &fleet.state, grant: &grant }.apps(filter, detail);
        // In the order of the list: by app, then cluster.
        let key = |app: &v1::App| {
            format!("{}\0{}", app.status.as_ref().map_or("", |status| &status.app), app.cluster)
        };
        let (apps, next_page_token) = page.of_sorted(apps, key);
        fitting(
            v1::ListAppsResponse { apps, next_page_token },
            "ask for smaller pages, or for a smaller view",
        )
    }

    async fn get_app(
        &self,
        request: Request<v1::GetAppRequest>,
    ) -> Result<Response<v1::GetAppResponse>, Status> {
        let (_, grant) = calling_user(&admitted(&request)?)?;
        let request = request.into_inner();
        let cluster = given(&request.cluster);
        let filter = AppFilter { cluster, app: Some(&request.name), only_unhealthy: false };
        let fleet = self.0.fleet.read().await;
        let apps = Sight { state: &fleet.state, grant: &grant }.apps(filter, Detail::Full);
        drop(fleet);
        if apps.is_empty() {
            let place =
                cluster.map_or_else(|| "any cluster".to_owned(), |cluster| format!("cluster {cluster:?}"));
            let name = &request.name;
            return Err(Status::not_found(format!(
                "no app {name:?} in {place}; `muster apps` lists all apps"
            )));
        }
        let mut answer = v1::GetAppResponse { apps };
        shorten(&mut answer);
        fitting(answer, "name a cluster")
    }

    type WatchFleetStream = BoxStream<'static, Result<v1::WatchFleetResponse, Status>>;

    async fn watch_fleet(
        &self,
        request: Request<v1::WatchFleetRequest>,
    ) -> Result<Response<Self::WatchFleetStream>, Status> {
        let hub = &self.0;
        let (user, grant) = calling_user(&admitted(&request)?)?;
        let cluster = given(&request.get_ref().cluster).map(str::to_owned);
        let resume = given(&request.get_ref().resume_token).map(str::to_owned);
        let left = user.expires_at.map(|end| hub.clock.left_until(end));
        let hub_stops = hub.stopping.clone();
        let changes = hub.gate.changes(user, Arc::clone(&grant));
        let end = async move {
            let expires = async {
                match left {
                    Some(left) => tokio::time::sleep(left).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = hub_stops.cancelled() => stopping(),
                () = expires => Status::unauthenticated("the credential of this watch expired; connect with a new one"),
                () = changes => Status::unavailable("what you may see has changed; connect again"),
            }
        };
        Ok(Response::new(
            hub.watchers.watch(Arc::clone(&hub.fleet), Asked { cluster, grant, resume }, end).await?,
        ))
    }

    async fn list_events(
        &self,
        request: Request<v1::ListEventsRequest>,
    ) -> Result<Response<v1::ListEventsResponse>, Status> {
        let (_, grant) = calling_user(&admitted(&request)?)?;
        let request = request.into_inner();
        let limit = match request.limit {
            0 => EVENTS_LISTED_DEFAULT,
            limit => limit.min(EVENTS_LISTED_MAX),
        };
        let page = Page::new(limit, &request.page_token)?;
        let filter = EventFilter { cluster: given(&request.cluster), app: given(&request.app) };
        let fleet = self.0.fleet.read().await;
        let sight = Sight { state: &fleet.state, grant: &grant };
        let events: Vec<_> = fleet.state.events(filter).filter(|event| sight.event(event)).collect();
        let (events, next_page_token) = page.of_list(events, |event| event.id.clone()).ok_or_else(|| {
            Status::out_of_range("the hub does not keep events so far back any more; ask without page_token")
        })?;
        let events = events.into_iter().cloned().collect();
        fitting(v1::ListEventsResponse { events, next_page_token }, "ask for fewer")
    }
}
