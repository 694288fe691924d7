//! How are enrolment tokens made and taken back?

use std::{collections::BTreeMap, time::Duration};

use muster_wire::v1::{
    self, CreateTokenRequest, CreateTokenResponse, ListTokensRequest, ListTokensResponse, RevokeTokenRequest,
    RevokeTokenResponse, token_service_server::TokenService,
};
use tonic::{Request, Response, Status};

use super::{STORE_PATIENCE, Serve, admitted, calling_user, cluster_name};
use crate::{
    access::policy::{Grant, Role},
    audit::OK,
    authority::random,
    clock::to_proto,
    commit::Effects,
    pattern::Pattern,
    record::{Change, Record},
    tokens::{Presented, TOKENS_MAX, TTL_DEFAULT, TTL_RANGE, Terms, Token, TokenId, USES_MAX},
};

/// Labels one token may bind its clusters to.
const LABELS_MAX: usize = 16;
/// Longest key or value of a label, in bytes; Kubernetes has 317 and 63.
const LABEL_BYTES_MAX: usize = 317;

fn shown(token: &Token) -> v1::Token {
    v1::Token {
        id: token.id.to_string(),
        cluster: token.cluster.to_string(),
        created_at: Some(to_proto(token.created_at)),
        expires_at: Some(to_proto(token.expires_at)),
        uses_left: token.uses_left,
        revoked: token.revoked,
        labels: token.labels.clone(),
        created_by: token.created_by.clone(),
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

/// Whether the labels of a new token can be labels.
fn labels(labels: BTreeMap<String, String>) -> Result<BTreeMap<String, String>, Status> {
    let fits = |(key, value): (&String, &String)| {
        !key.is_empty() && key.len() <= LABEL_BYTES_MAX && value.len() <= LABEL_BYTES_MAX
    };
    if labels.len() > LABELS_MAX || !labels.iter().all(fits) {
        return Err(Status::invalid_argument(format!(
            "a token may have {LABELS_MAX} labels, with keys and values of at most {LABEL_BYTES_MAX} bytes"
        )));
    }
    Ok(labels)
}

#[tonic::async_trait]
impl TokenService for Serve {
    async fn create_token(
        &self,
        request: Request<CreateTokenRequest>,
    ) -> Result<Response<CreateTokenResponse>, Status> {
        let hub = &self.0;
        let call = admitted(&request)?;
        let (_, grant) = calling_user(&call)?;
        let request = request.into_inner();
        let cluster = pattern(&request.cluster)?;
        let (ttl, labels) = (ttl(request.ttl)?, labels(request.labels)?);
        let uses = request.uses.max(1);
        if uses > USES_MAX {
            return Err(Status::invalid_argument(format!("uses must be at most {USES_MAX}")));
        }
        if !grant.enrolment(Role::Admin, &cluster, &labels) {
            let detail = "not admin of every cluster that could enrol with it".to_owned();
            hub.gate.refused(call.entry(format!("cluster/{cluster}"), "role-missing", detail)).await;
            return Err(Status::permission_denied(format!(
                "{} needs the role admin for every cluster that could enrol with the token; give it a name and labels \
                 (`--label`) of clusters you are admin of",
                call.principal.actor()
            )));
        }
        let no_random = |error: crate::authority::AuthorityError| Status::internal(error.to_string());
        let (id, secret) = (random().map_err(no_random)?, random().map_err(no_random)?);
        let presented = Presented::new(id, secret, &hub.authority().fingerprint());
        let token = presented.reveal();
        let scoped = !grant.everywhere(Role::Admin);
        let detail = format!("for {cluster}, {uses} uses, {}", humantime::format_duration(ttl));
        let entry = call.entry(format!("token/{}", presented.id()), OK, detail);
        let terms = Terms { cluster, labels, ttl, uses, created_by: call.principal.actor(), scoped };
        let made = hub.committer.ask(STORE_PATIENCE, move |fleet, now| {
            match fleet.tokens.create(&presented, terms, now.wall) {
                Some(token) => {
                    let mut effects = keep(token.clone());
                    effects.records.extend(fleet.audit.record(entry, now));
                    (Some(token), effects)
                }
                None => (None, Effects::default()),
            }
        });
        let info = made.await?.ok_or_else(|| {
            Status::resource_exhausted(format!(
                "the hub keeps at most {TOKENS_MAX} tokens; expired ones go after a week"
            ))
        })?;
        tracing::info!(actor = info.created_by, token = %info.id, cluster = %info.cluster, uses, "made an enrolment token");
        Ok(Response::new(CreateTokenResponse { token, info: Some(shown(&info)) }))
    }

    async fn list_tokens(
        &self,
        request: Request<ListTokensRequest>,
    ) -> Result<Response<ListTokensResponse>, Status> {
        let (_, grant) = calling_user(&admitted(&request)?)?;
        let fleet = self.0.fleet.read().await;
        let own = fleet.tokens.iter().filter(|token| administers(&grant, token));
        Ok(Response::new(ListTokensResponse { tokens: own.map(shown).collect() }))
    }

    async fn revoke_token(
        &self,
        request: Request<RevokeTokenRequest>,
    ) -> Result<Response<RevokeTokenResponse>, Status> {
        let call = admitted(&request)?;
        let (_, grant) = calling_user(&call)?;
        let none = || Status::not_found("no such token; `muster token list` shows all");
        let id: TokenId = request.into_inner().id.parse().map_err(|_| none())?;
        let entry = call.entry(format!("token/{id}"), OK, String::new());
        let token = id.clone();
        let revoked = self.0.committer.ask(STORE_PATIENCE, move |fleet, now| {
            let own = fleet.tokens.get(&id).is_some_and(|token| administers(&grant, token));
            match own.then(|| fleet.tokens.revoke(&id)).flatten() {
                Some(token) => {
                    let mut effects = keep(token);
                    effects.records.extend(fleet.audit.record(entry, now));
                    (true, effects)
                }
                None => (false, Effects::default()),
            }
        });
        if !revoked.await? {
            return Err(none());
        }
        tracing::info!(actor = call.principal.actor(), %token, "revoked an enrolment token");
        Ok(Response::new(RevokeTokenResponse {}))
    }
}

/// Whether a user may see a token and take it back: whoever could make it may.
fn administers(grant: &Grant, token: &Token) -> bool {
    grant.enrolment(Role::Admin, &token.cluster, &token.labels)
}

/// A cluster's name, or a pattern of names.
fn pattern(text: &str) -> Result<Pattern, Status> {
    let pattern: Pattern = text
        .parse()
        .map_err(|error: crate::pattern::NotAPattern| Status::invalid_argument(error.to_string()))?;
    if !pattern.is_open() {
        cluster_name(text)?;
    }
    Ok(pattern)
}
