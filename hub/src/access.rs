//! Who may call what?
//!
//! One table, looked at before any service sees a call; what is not in it is refused.

use std::task::{Context, Poll};

use futures::future::{Either, Ready, ready};
use jiff::Timestamp;
use tonic::{Status, body::Body};
use tower::{Layer, Service};

use crate::{
    identity::{Credential, Identity},
    listener::{Caller, Peer},
};

/// Whom a service is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Audience {
    Anyone,
    Clusters,
    Operators,
}

const SERVICES: [(&str, Audience); 8] = [
    ("grpc.health.v1.Health", Audience::Anyone),
    ("grpc.reflection.v1.ServerReflection", Audience::Operators),
    ("grpc.reflection.v1alpha.ServerReflection", Audience::Operators),
    ("muster.v1.AgentService", Audience::Clusters),
    ("muster.v1.EnrollmentService", Audience::Anyone),
    ("muster.v1.FleetService", Audience::Operators),
    ("muster.v1.PromotionService", Audience::Operators),
    ("muster.v1.TokenService", Audience::Operators),
];

/// Whether this caller may call the method at this path now.
fn authorize(path: &str, caller: &Caller, now: Timestamp) -> Result<(), Status> {
    let service = path.strip_prefix('/').and_then(|path| path.split_once('/')).map(|(service, _)| service);
    let audience = SERVICES.iter().find(|(name, _)| Some(*name) == service).map(|(_, audience)| *audience);
    if audience == Some(Audience::Anyone) {
        return Ok(());
    }
    let credential = current(caller, now)?;
    match (audience, &credential.identity) {
        (Some(Audience::Clusters), Identity::Cluster(_))
        | (Some(Audience::Operators), Identity::Operator(_)) => Ok(()),
        (Some(Audience::Clusters), identity) => Err(Status::permission_denied(format!(
            "this service is for the agents of clusters, and the certificate is of {identity}"
        ))),
        (Some(Audience::Operators), identity) => Err(Status::permission_denied(format!(
            "this service is for operators, and the certificate is of {identity}; use the operator.yaml that \
             `muster-hub init` made"
        ))),
        (Some(Audience::Anyone) | None, _) => {
            Err(Status::unimplemented(format!("the hub has no method {path}")))
        }
    }
}

/// The credential of a caller that has one and whose time is not over.
fn current(caller: &Caller, now: Timestamp) -> Result<&Credential, Status> {
    match caller {
        Caller::Known(credential) if credential.expires_at <= now => Err(expired(credential)),
        Caller::Known(credential) => Ok(credential),
        Caller::Anonymous => Err(Status::unauthenticated(
            "a client certificate is needed: agents get one by enrolling with a token, operators have one in \
             operator.yaml",
        )),
        Caller::Unusable(reason) => Err(Status::unauthenticated(reason.clone())),
    }
}

/// What the holder of an expired certificate is told.
pub(crate) fn expired(credential: &Credential) -> Status {
    let next = match &credential.identity {
        Identity::Cluster(name) => {
            format!("connect with a renewed one, or enrol again with `muster token create {name}`")
        }
        Identity::Operator(_) => "make a new one with `muster-hub operator`".to_owned(),
    };
    Status::unauthenticated(format!("the certificate expired at {}; {next}", credential.expires_at))
}

/// Puts [`authorize`] before a service.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GuardLayer;

impl<S> Layer<S> for GuardLayer {
    type Service = Guard<S>;

    fn layer(&self, inner: S) -> Guard<S> {
        Guard { inner }
    }
}

/// A service with [`authorize`] before it.
#[derive(Clone, Debug)]
pub(crate) struct Guard<S> {
    inner: S,
}

impl<S, B> Service<http::Request<B>> for Guard<S>
where
    S: Service<http::Request<B>, Response = http::Response<Body>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Either<S::Future, Ready<Result<S::Response, S::Error>>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        let peer = request.extensions().get::<Peer>();
        let caller = peer.map_or(&Caller::Anonymous, |peer| peer.caller());
        match authorize(request.uri().path(), caller, Timestamp::now()) {
            Ok(()) => Either::Left(self.inner.call(request)),
            Err(status) => {
                let address = peer.map(|peer| peer.address().to_string());
                tracing::info!(
                    method = request.uri().path(),
                    peer = address,
                    code = ?status.code(),
                    reason = status.message(),
                    "refused a call"
                );
                Either::Right(ready(Ok(status.into_http())))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tonic::Code;

    use super::*;

    fn caller(uri: &str, expires_at: i64) -> Caller {
        let expires_at = Timestamp::from_second(expires_at).unwrap();
        Caller::Known(Credential { identity: uri.parse().unwrap(), expires_at })
    }

    #[test]
    fn every_service_is_for_whom_the_table_says() {
        let cluster = caller("spiffe://muster/cluster/a", 100);
        let operator = caller("spiffe://muster/operator/admin", 100);
        let unusable = Caller::Unusable("no names".to_owned());
        let (ok, none, denied) = (None, Some(Code::Unauthenticated), Some(Code::PermissionDenied));
        let missing = Some(Code::Unimplemented);
        for (path, anonymous, as_cluster, as_operator) in [
            ("/muster.v1.EnrollmentService/Enroll", ok, ok, ok),
            ("/grpc.health.v1.Health/Check", ok, ok, ok),
            ("/muster.v1.AgentService/Connect", none, ok, denied),
            ("/muster.v1.AgentService/Renew", none, ok, denied),
            ("/muster.v1.FleetService/ListApps", none, denied, ok),
            ("/muster.v1.PromotionService/Decide", none, denied, ok),
            ("/muster.v1.TokenService/CreateToken", none, denied, ok),
            ("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", none, denied, ok),
            ("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", none, denied, ok),
            ("/muster.v1.NewService/Call", none, missing, missing),
            ("/muster.v1.enrollmentservice/Enroll", none, missing, missing),
            ("/muster.v1.EnrollmentService", none, missing, missing),
            ("muster.v1.EnrollmentService/Enroll", none, missing, missing),
            ("//muster.v1.EnrollmentService/Enroll", none, missing, missing),
            ("/", none, missing, missing),
            ("", none, missing, missing),
        ] {
            let now = Timestamp::from_second(99).unwrap();
            let code = |caller: &Caller, now| authorize(path, caller, now).err().map(|status| status.code());
            assert_eq!(code(&Caller::Anonymous, now), anonymous, "{path}, nobody");
            assert_eq!(code(&unusable, now), anonymous, "{path}, a certificate without a name");
            assert_eq!(code(&cluster, now), as_cluster, "{path}, a cluster");
            assert_eq!(code(&operator, now), as_operator, "{path}, an operator");
            let later = Timestamp::from_second(100).unwrap();
            assert_eq!(code(&cluster, later), anonymous, "{path}, an expired cluster");
            assert_eq!(code(&operator, later), anonymous, "{path}, an expired operator");
        }
    }
}
