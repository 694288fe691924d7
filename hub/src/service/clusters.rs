//! How is a cluster taken out of the fleet?

use muster_wire::v1::{RevokeClusterRequest, RevokeClusterResponse, cluster_service_server::ClusterService};
use tonic::{Request, Response, Status};

use super::{STORE_PATIENCE, Serve, admitted, calling_user, cluster_name};
use crate::{
    access::policy::{Grant, Role},
    audit::OK,
    clock::to_proto,
    commit::Effects,
    fleet::{Input, State},
};

/// Whether the role counts for the cluster as the hub knows it.
pub(super) fn reaches(grant: &Grant, role: Role, state: &State, cluster: &str) -> bool {
    state.with_view(cluster, |view| grant.cluster(role, view))
}

#[tonic::async_trait]
impl ClusterService for Serve {
    async fn revoke_cluster(
        &self,
        request: Request<RevokeClusterRequest>,
    ) -> Result<Response<RevokeClusterResponse>, Status> {
        let hub = &self.0;
        let call = admitted(&request)?;
        let (_, grant) = calling_user(&call)?;
        let RevokeClusterRequest { cluster, reason } = request.into_inner();
        let cluster = cluster_name(&cluster)?;
        let target = format!("cluster/{cluster}");
        {
            let fleet = hub.fleet.read().await;
            let visible = reaches(&grant, Role::Viewer, &fleet.state, cluster.as_str());
            if !fleet.state.knows(cluster.as_str()) || !visible {
                return Err(Status::not_found(format!(
                    "no cluster {:?} has enrolled; `muster clusters` lists those that have",
                    cluster.as_str()
                )));
            }
            if !reaches(&grant, Role::Admin, &fleet.state, cluster.as_str()) {
                drop(fleet);
                hub.gate
                    .refused(call.entry(target, "role-missing", "not admin of this cluster".into()))
                    .await;
                return Err(Status::permission_denied(format!(
                    "{} needs the role admin for cluster {cluster}",
                    call.principal.actor()
                )));
            }
        }
        let entry = call.entry(target, OK, reason);
        let name = cluster.clone();
        let revoked = hub.committer.ask(STORE_PATIENCE, move |fleet, now| {
            let changes = fleet.state.apply(Input::Revoked { cluster: name }, now);
            let mut records = changes.records;
            records.extend(fleet.audit.record(entry, now));
            let effects =
                Effects { records, touched: changes.touched, ended: changes.ended, ..Effects::default() };
            (now.wall, effects)
        });
        let revoked_at = revoked.await?;
        tracing::warn!(%cluster, actor = call.principal.actor(), "revoked the certificates of a cluster");
        Ok(Response::new(RevokeClusterResponse { revoked_at: Some(to_proto(revoked_at)) }))
    }
}
