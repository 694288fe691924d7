//! Who does the hub take a caller for?

use muster_wire::v1::{self, WhoAmIRequest, WhoAmIResponse, access_service_server::AccessService};
use tonic::{Request, Response, Status};

use super::{Serve, admitted};
use crate::{
    access::{Principal, user::Proof},
    clock::to_proto,
};

#[tonic::async_trait]
impl AccessService for Serve {
    async fn who_am_i(&self, request: Request<WhoAmIRequest>) -> Result<Response<WhoAmIResponse>, Status> {
        let call = admitted(&request)?;
        let mut answer = WhoAmIResponse {
            actor: call.principal.actor(),
            hub_version: env!("CARGO_PKG_VERSION").to_owned(),
            ..WhoAmIResponse::default()
        };
        match call.principal {
            Principal::Anonymous => {}
            Principal::Cluster(_, credential) => {
                answer.set_proof(v1::Proof::Certificate);
                answer.expires_at = Some(to_proto(credential.expires_at));
            }
            Principal::User(user, grant) => {
                answer.set_proof(match user.proof {
                    Proof::Certificate { .. } => v1::Proof::Certificate,
                    Proof::Token => v1::Proof::Token,
                    Proof::Oidc => v1::Proof::Oidc,
                });
                answer.expires_at = user.expires_at.map(to_proto);
                answer.groups = user.groups;
                answer.roles = grant.to_proto();
            }
        }
        Ok(Response::new(answer))
    }
}
