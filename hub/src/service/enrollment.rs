//! How does a cluster get its first certificate?
//!
//! Token looked up, request checked, one use taken and kept, certificate signed: in this order, so that a
//! bad request costs no use, and a crash can lose a use but never grant one more.

use muster_spec::ClusterName;
use muster_wire::v1::{EnrollRequest, EnrollResponse, enrollment_service_server::EnrollmentService};
use rcgen::PublicKeyData;
use tonic::{Request, Response, Status};

use super::{Hub, STORE_PATIENCE, Serve, address, cluster_name};
use crate::{
    clock::to_proto,
    commit::Effects,
    csr,
    fleet::Input,
    identity::Identity,
    record::{Change, Enrolment, Record},
    tokens::{NotAToken, Presented, Refusal},
};

/// What somebody with a bad token is told: nothing that helps to find a good one.
fn refused(refusal: Refusal, cluster: &ClusterName) -> Status {
    match refusal {
        Refusal::OtherCluster => Status::permission_denied(format!(
            "the token is for another cluster than {cluster}; make one with `muster token create {cluster}`"
        )),
        _ => Status::unauthenticated(format!(
            "the token is unknown, expired, used up or revoked; make one with `muster token create {cluster}`"
        )),
    }
}

#[tonic::async_trait]
impl EnrollmentService for Serve {
    async fn enroll(&self, request: Request<EnrollRequest>) -> Result<Response<EnrollResponse>, Status> {
        let hub = &self.0;
        let peer = address(&request);
        let request = request.into_inner();
        let cluster = cluster_name(&request.cluster)?;
        let not_a_token = |reason: NotAToken| {
            tracing::warn!(%peer, %cluster, %reason, "refused to enrol");
            refused(Refusal::Unknown, &cluster)
        };
        let presented: Presented = request.token.parse().map_err(not_a_token)?;
        let token = presented.id().clone();
        let turned_away = |refusal: Refusal| {
            tracing::warn!(%peer, %cluster, %token, reason = %refusal, "refused to enrol");
            refused(refusal, &cluster)
        };
        let now = hub.clock.now().wall;
        hub.fleet.read().await.tokens.check(&presented, &cluster, now).map_err(turned_away)?;
        let key =
            csr::public_key(&request.csr).map_err(|error| Status::invalid_argument(error.to_string()))?;
        let name = cluster.clone();
        let taken = hub.committer.ask(STORE_PATIENCE, move |fleet, now| {
            match fleet.tokens.take(&presented, &name, now.wall) {
                Ok(token) => {
                    let records = vec![Change::Put(Record::Token(token))];
                    (Ok(()), Effects { records, ..Effects::default() })
                }
                Err(refusal) => (Err(refusal), Effects::default()),
            }
        });
        taken.await?.map_err(turned_away)?;
        let response = certify(hub, &cluster, &key, false).await?;
        tracing::info!(%peer, %cluster, %token, "enrolled");
        Ok(Response::new(response))
    }
}

/// Signs a certificate for a cluster and keeps that it has it.
pub(super) async fn certify(
    hub: &Hub,
    cluster: &ClusterName,
    key: &(impl PublicKeyData + Sync),
    renewed: bool,
) -> Result<EnrollResponse, Status> {
    let now = hub.clock.now().wall;
    let identity = Identity::Cluster(cluster.clone());
    let issued = hub.authority.certify(&identity, key, hub.certificate_lifetime, now).map_err(|error| {
        tracing::error!(%error, %cluster, "cannot sign a certificate");
        Status::internal("the hub cannot sign certificates; see its log")
    })?;
    let enrolment = Enrolment {
        cluster: cluster.clone(),
        enrolled_at: now,
        certificate_expires_at: issued.expires_at,
        serial: issued.serial,
    };
    let kept = hub.committer.ask(STORE_PATIENCE, move |fleet, now| {
        let changes = fleet.state.apply(Input::Certified { enrolment, renewed }, now);
        ((), Effects { records: changes.records, touched: changes.touched, ..Effects::default() })
    });
    kept.await?;
    Ok(EnrollResponse {
        certificate: issued.certificate.to_vec(),
        ca_certificate: hub.authority.certificate().to_vec(),
        expires_at: Some(to_proto(issued.expires_at)),
    })
}
