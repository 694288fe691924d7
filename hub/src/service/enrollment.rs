//! How does a cluster get its first certificate?
//!
//! Token looked up, request checked, one use taken and kept, certificate signed: in this order, so that a
//! bad request costs no use, and a crash can lose a use but never grant one more.

use std::{collections::BTreeMap, sync::Arc};

use muster_spec::ClusterName;
use muster_wire::v1::{EnrollRequest, EnrollResponse, enrollment_service_server::EnrollmentService};
use rcgen::PublicKeyData;
use tonic::{Request, Response, Status};

use super::{Hub, STORE_PATIENCE, Serve, admitted, cluster_name};
use crate::{
    access,
    audit::{Entry, OK},
    clock::to_proto,
    commit::Effects,
    csr,
    fleet::{Answer, Input},
    identity::Identity,
    record::{Change, Enrolment, Record},
    tokens::{NotAToken, Presented, Refusal, Token},
};

/// What somebody with a bad token is told: nothing that helps to find a good one.
fn told(refusal: Refusal, cluster: &ClusterName) -> Status {
    match refusal {
        Refusal::OtherCluster => Status::permission_denied(format!(
            "the token is for another cluster than {cluster}; make one with `muster token create {cluster}`"
        )),
        Refusal::Outdated => Status::permission_denied(format!(
            "the token was made before cluster {cluster} was revoked; make one with `muster token create {cluster}`"
        )),
        Refusal::OtherLabels => Status::permission_denied(format!(
            "cluster {cluster} is known with other labels than those of the token, which was made by somebody who may \
             not change that"
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
        let call = admitted(&request)?;
        let request = request.into_inner();
        let cluster = cluster_name(&request.cluster)?;
        let target = format!("cluster/{cluster}");
        let presented = match request.token.parse::<Presented>() {
            Ok(presented) => Arc::new(presented),
            Err(NotAToken) => {
                hub.gate.refused(call.entry(target, "token-malformed", NotAToken.to_string())).await;
                return Err(told(Refusal::Unknown, &cluster));
            }
        };
        let by_token = |result: &str, detail: String| Entry {
            actor: format!("token/{}", presented.id()),
            ..call.entry(target.clone(), result, detail)
        };
        let now = hub.clock.now().wall;
        let checked = {
            let fleet = hub.fleet.read().await;
            fleet.may_enrol(&presented, &cluster, now).cloned()
        };
        if let Err(refusal) = checked {
            hub.gate.refused(by_token(refusal.name(), refusal.to_string())).await;
            return Err(told(refusal, &cluster));
        }
        let key = match csr::public_key(&request.csr) {
            Ok(key) => key,
            Err(error) => {
                hub.gate.refused(by_token("request-invalid", error.to_string())).await;
                return Err(Status::invalid_argument(error.to_string()));
            }
        };
        let (token, name) = (Arc::clone(&presented), cluster.clone());
        let taken = hub.committer.ask(STORE_PATIENCE, move |fleet, now| {
            match fleet.take_token(&token, &name, now.wall) {
                Ok(token) => {
                    let records = vec![Change::Put(Record::Token(token.clone()))];
                    (Ok(token), Effects { records, ..Effects::default() })
                }
                Err(refusal) => (Err(refusal), Effects::default()),
            }
        });
        let token = match taken.await? {
            Ok(token) => token,
            Err(refusal) => {
                hub.gate.refused(by_token(refusal.name(), refusal.to_string())).await;
                return Err(told(refusal, &cluster));
            }
        };
        let entry = by_token(OK, format!("uses left: {}", token.uses_left));
        let response = certify(hub, &cluster, &key, Reason::Enrolled(token), entry).await?;
        tracing::info!(%cluster, token = %presented.id(), "enrolled");
        Ok(Response::new(response))
    }
}

/// Why a cluster gets a certificate.
pub(super) enum Reason {
    /// It had a token.
    Enrolled(Token),
    /// It has one, which is of this generation.
    Renewed(u32),
}

/// Signs a certificate for a cluster and keeps that it has it, with an entry of the audit log.
pub(super) async fn certify(
    hub: &Hub,
    cluster: &ClusterName,
    key: &(impl PublicKeyData + Sync),
    reason: Reason,
    entry: Entry,
) -> Result<EnrollResponse, Status> {
    let now = hub.clock.now().wall;
    let identity = Identity::Cluster(cluster.clone());
    let (generation, labels, renewed) = match reason {
        Reason::Enrolled(token) => {
            (hub.fleet.read().await.state.generation(cluster.as_str()), token.labels, false)
        }
        Reason::Renewed(generation) => (generation, BTreeMap::new(), true),
    };
    let authority = hub.authority();
    let issued =
        authority.certify(&identity, key, generation, hub.certificate_lifetime, now).map_err(|error| {
            tracing::error!(%error, %cluster, "cannot sign a certificate");
            Status::internal("the hub cannot sign certificates; see its log")
        })?;
    let serial = issued.serial.to_string();
    let detail = format!("serial {serial}, until {}; {}", issued.expires_at, entry.detail);
    let entry = Entry { detail: detail.trim_end_matches("; ").to_owned(), ..entry };
    let enrolment = Enrolment {
        cluster: cluster.clone(),
        enrolled_at: now,
        certificate_expires_at: issued.expires_at,
        serial,
        generation,
        labels,
    };
    let kept = hub.committer.ask(STORE_PATIENCE, move |fleet, now| {
        let changes = fleet.state.apply(Input::Certified { enrolment, renewed }, now);
        let mut records = changes.records;
        let revoked = changes.answer == Answer::Revoked;
        if !revoked {
            records.extend(fleet.audit.record(entry, now));
        }
        (revoked, Effects { records, touched: changes.touched, ..Effects::default() })
    });
    // Revoked since the call began: what was signed is of a generation that is not taken, and not given out.
    if kept.await? {
        return Err(access::revoked(cluster));
    }
    Ok(EnrollResponse {
        certificate: issued.certificate.to_vec(),
        ca_certificate: authority.certificate().to_vec(),
        expires_at: Some(to_proto(issued.expires_at)),
        ca_certificates: authority.trusted().iter().map(|ca| ca.to_vec()).collect(),
    })
}
