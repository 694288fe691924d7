//! Is a cluster that was taken out really out, at once and for good?

use std::time::Instant;

use tonic::Code;
use v1::{agent_service_client::AgentServiceClient, cluster_service_client::ClusterServiceClient};

use super::*;

async fn revoke(hub: &Hub, cluster: &str) -> Result<(), Status> {
    let mut clusters = ClusterServiceClient::new(hub.as_operator().await);
    let request = v1::RevokeClusterRequest { cluster: cluster.into(), reason: "key stolen".into() };
    clusters.revoke_cluster(request).await.map(drop)
}

#[tokio::test]
async fn a_revoked_cluster_is_cut_off_within_a_second_and_stays_so_after_a_kill() {
    let mut hub = Hub::start().await;
    let (stolen, other) = (hub.enrolled("prod").await, hub.enrolled("dev").await);
    // What a thief renewed in time is of no use either.
    let key = KeyPair::generate().unwrap();
    let channel = hub.channel(Some(&stolen)).await.unwrap();
    let renewal = v1::RenewRequest { csr: csr(&key) };
    let renewed = AgentServiceClient::new(channel.clone()).renew(renewal.clone()).await.unwrap().into_inner();
    let renewed = Identity::new(renewed.certificate, &key);
    let old_token = hub.token("prod", 5).await.token;

    let mut agent = hub.agent("prod", &renewed, &[]).await.unwrap();
    let mut bystander = hub.agent("dev", &other, &[]).await.unwrap();
    agent.report_kept(1, status("web", "r1")).await;
    let began = Instant::now();
    revoke(&hub, "prod").await.unwrap();
    let end = agent.end().await;
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    assert_eq!(end.code(), Code::Unauthenticated);
    assert!(
        end.message().contains("revoked") && end.message().contains("muster token create prod"),
        "{end:?}"
    );
    bystander.report_kept(1, status("web", "r1")).await;

    let refused_everywhere = async |hub: &Hub| {
        for identity in [&stolen, &renewed] {
            let refused = hub.agent("prod", identity, &[]).await.map(drop).unwrap_err();
            assert_eq!(refused.code(), Code::Unauthenticated, "{refused:?}");
            let channel = hub.channel(Some(identity)).await.unwrap();
            let refused = AgentServiceClient::new(channel).renew(renewal.clone()).await.unwrap_err();
            assert!(refused.message().contains("revoked"), "{refused:?}");
        }
        let refused = hub.enrol(&old_token, "prod").await.unwrap_err();
        assert_eq!(refused.code(), Code::PermissionDenied, "{refused:?}");
        assert!(hub.cluster("prod").await.revoked_at.is_some());
    };
    // Over a connection that was open before, too.
    let refused = AgentServiceClient::new(channel).renew(renewal.clone()).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    refused_everywhere(&hub).await;
    hub.program.kill();
    hub.restart().await;
    refused_everywhere(&hub).await;

    let again = hub.enrolled("prod").await;
    assert_eq!(hub.cluster("prod").await.revoked_at, None);
    let mut agent = hub.agent("prod", &again, &[status("web", "r1")]).await.unwrap();
    agent.report_kept(1, status("web", "r2")).await;
    let refused = hub.agent("prod", &stolen, &[]).await.map(drop).unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated, "the stolen one stays of no use: {refused:?}");

    let row = hub.audited("certificate-revoked").await;
    assert_eq!((row.actor.as_str(), row.source.as_str()), ("cluster/prod", "127.0.0.1"));
    hub.audited("token-older-than-revocation").await;
    let revoked = hub.audit().await;
    let revoked = revoked.iter().find(|row| row.action.ends_with("RevokeCluster")).unwrap();
    assert_eq!((revoked.actor.as_str(), revoked.target.as_str()), ("operator/admin", "cluster/prod"));
    assert_eq!(revoked.detail, "key stolen");
}

#[tokio::test]
async fn only_a_cluster_that_is_known_can_be_revoked() {
    let hub = Hub::start().await;
    assert_eq!(revoke(&hub, "nobody").await.unwrap_err().code(), Code::NotFound);
    assert_eq!(revoke(&hub, "No Name").await.unwrap_err().code(), Code::InvalidArgument);
    let output = hub.muster(&["cluster", "revoke", "nobody"]).run(DEADLINE).await.unwrap();
    assert_eq!(output.code(), Some(2), "{output:?}");
}
