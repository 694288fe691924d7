//! What was done, and what was refused?

use muster_wire::v1::{ListAuditRequest, ListAuditResponse, audit_service_server::AuditService};
use tonic::{Request, Response, Status};

use super::Serve;
use crate::{
    audit::{Filter, LISTED_DEFAULT, LISTED_MAX, Order},
    clock::from_proto,
};

fn time(time: Option<prost_types::Timestamp>, field: &str) -> Result<Option<jiff::Timestamp>, Status> {
    let read =
        |time| from_proto(&time).ok_or_else(|| Status::invalid_argument(format!("{field} is out of range")));
    time.map(read).transpose()
}

#[tonic::async_trait]
impl AuditService for Serve {
    async fn list_audit(
        &self,
        request: Request<ListAuditRequest>,
    ) -> Result<Response<ListAuditResponse>, Status> {
        let request = request.into_inner();
        let limit = match request.limit {
            0 => LISTED_DEFAULT,
            limit => usize::try_from(limit).unwrap_or(LISTED_MAX).min(LISTED_MAX),
        };
        let order = if request.oldest_first {
            Order::OldestFirst { after: request.after }
        } else {
            Order::NewestFirst
        };
        let filter = Filter {
            actor: request.actor,
            action: request.action,
            target: request.target,
            result: request.result,
            only_refused: request.only_refused,
            since: time(request.since, "since")?,
            until: time(request.until, "until")?,
        };
        let fleet = self.0.fleet.read().await;
        let rows = fleet.audit.list(&filter, order, limit);
        Ok(Response::new(ListAuditResponse { rows, head: fleet.audit.head() }))
    }
}
