//! How are enrolment tokens made and taken back?

use std::time::Duration;

use muster_wire::v1::{
    self, CreateTokenRequest, CreateTokenResponse, ListTokensRequest, ListTokensResponse, RevokeTokenRequest,
    RevokeTokenResponse, token_service_server::TokenService,
};
use tonic::{Request, Response, Status};

use super::{STORE_PATIENCE, Serve, cluster_name, credential};
use crate::{
    authority::random,
    clock::to_proto,
    commit::Effects,
    record::{Change, Record},
    tokens::{Presented, TOKENS_MAX, TTL_DEFAULT, TTL_RANGE, Token, TokenId, USES_MAX},
};

fn shown(token: &Token) -> v1::Token {
    v1::Token {
        id: token.id.to_string(),
        cluster: token.cluster.to_string(),
        created_at: Some(to_proto(token.created_at)),
        expires_at: Some(to_proto(token.expires_at)),
        uses_left: token.uses_left,
        revoked: token.revoked,
    }
}

fn ttl(asked: Option<prost_types::Duration>) -> Result<Duration, Status> {
    let Some(asked) = asked else { return Ok(TTL_DEFAULT) };
    let ttl = Duration::try_from(asked).ok().filter(|ttl| TTL_RANGE.contains(ttl));
    ttl.ok_or_else(|| Status::invalid_argument("ttl must be from 1 minute to 30 days"))
}

fn keep(token: Token) -> Effects {
    Effects { records: vec![Change::Put(Record::Token(token))], ..Effects::default() }
}

#[tonic::async_trait]
impl TokenService for Serve {
    async fn create_token(
        &self,
        request: Request<CreateTokenRequest>,
    ) -> Result<Response<CreateTokenResponse>, Status> {
        let hub = &self.0;
        let operator = credential(&request)?.identity;
        let request = request.into_inner();
        let cluster = cluster_name(&request.cluster)?;
        let ttl = ttl(request.ttl)?;
        let uses = request.uses.max(1);
        if uses > USES_MAX {
            return Err(Status::invalid_argument(format!("uses must be at most {USES_MAX}")));
        }
        let no_random = |error: crate::authority::AuthorityError| Status::internal(error.to_string());
        let (id, secret) = (random().map_err(no_random)?, random().map_err(no_random)?);
        let presented = Presented::new(id, secret, &hub.authority.fingerprint());
        let token = presented.reveal();
        let made = hub.committer.ask(STORE_PATIENCE, move |fleet, now| {
            match fleet.tokens.create(&presented, cluster, ttl, uses, now.wall) {
                Some(token) => (Some(token.clone()), keep(token)),
                None => (None, Effects::default()),
            }
        });
        let info = made.await?.ok_or_else(|| {
            Status::resource_exhausted(format!(
                "the hub keeps at most {TOKENS_MAX} tokens; expired ones go after a week"
            ))
        })?;
        tracing::info!(%operator, token = %info.id, cluster = %info.cluster, uses, "made an enrolment token");
        Ok(Response::new(CreateTokenResponse { token, info: Some(shown(&info)) }))
    }

    async fn list_tokens(
        &self,
        _: Request<ListTokensRequest>,
    ) -> Result<Response<ListTokensResponse>, Status> {
        let fleet = self.0.fleet.read().await;
        Ok(Response::new(ListTokensResponse { tokens: fleet.tokens.iter().map(shown).collect() }))
    }

    async fn revoke_token(
        &self,
        request: Request<RevokeTokenRequest>,
    ) -> Result<Response<RevokeTokenResponse>, Status> {
        let operator = credential(&request)?.identity;
        let none = || Status::not_found("no such token; `muster token list` shows all");
        let id: TokenId = request.into_inner().id.parse().map_err(|_| none())?;
        let token = id.clone();
        let revoked = self.0.committer.ask(STORE_PATIENCE, move |fleet, _| match fleet.tokens.revoke(&id) {
            Some(token) => (true, keep(token)),
            None => (false, Effects::default()),
        });
        if !revoked.await? {
            return Err(none());
        }
        tracing::info!(%operator, %token, "revoked an enrolment token");
        Ok(Response::new(RevokeTokenResponse {}))
    }
}
