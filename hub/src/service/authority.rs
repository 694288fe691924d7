//! Which CAs does the hub trust, and who does not follow yet?

use jiff::Timestamp;
use muster_wire::v1::{
    CertificateAuthority, GetAuthorityRequest, GetAuthorityResponse,
    authority_service_server::AuthorityService,
};
use ring::digest;
use tonic::{Request, Response, Status};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::{Serve, Sight, admitted, calling_user};
use crate::clock::to_proto;

#[tonic::async_trait]
impl AuthorityService for Serve {
    async fn get_authority(
        &self,
        request: Request<GetAuthorityRequest>,
    ) -> Result<Response<GetAuthorityResponse>, Status> {
        let (_, grant) = calling_user(&admitted(&request)?)?;
        let hub = &self.0;
        let authority = hub.authority();
        let fleet = hub.fleet.read().await;
        let sight = Sight { state: &fleet.state, grant: &grant };
        let show = |certificate: &rustls::pki_types::CertificateDer<'static>| {
            let fingerprint = digest::digest(&digest::SHA256, certificate).as_ref().to_vec();
            let parsed = X509Certificate::from_der(certificate).ok();
            let end = parsed
                .and_then(|(_, parsed)| Timestamp::from_second(parsed.validity().not_after.timestamp()).ok());
            let without = hub.agents.without(&fingerprint).into_iter().map(|name| name.to_string());
            CertificateAuthority {
                certificate: certificate.to_vec(),
                expires_at: end.map(to_proto),
                not_trusted_by: without.filter(|name| sight.cluster(name)).collect(),
                fingerprint,
            }
        };
        Ok(Response::new(GetAuthorityResponse {
            authorities: authority.trusted().iter().map(show).collect(),
        }))
    }
}
