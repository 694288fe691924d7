//! Can the hub's CA and certificates be exchanged while everybody goes on?

use tonic::Code;
use v1::agent_service_client::AgentServiceClient;

use super::*;

/// SHA-256 of each of these.
fn hashes(cas: &[CertificateDer<'static>]) -> Vec<Vec<u8>> {
    cas.iter().map(|ca| ring::digest::digest(&ring::digest::SHA256, ca).as_ref().to_vec()).collect()
}

impl Hub {
    async fn rotate(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let rotate =
            Launch::binary("muster-hub").unwrap().args(["ca", "rotate", "--dir"]).arg(&self.directory);
        let output = rotate.args(arguments).run(DEADLINE).await.unwrap();
        (output.code(), format!("{}{}", output.stdout, output.stderr))
    }

    /// The CAs in its directory.
    fn cas(&self) -> Vec<CertificateDer<'static>> {
        let text = std::fs::read(self.directory.join("ca.crt")).unwrap();
        CertificateDer::pem_slice_iter(&text).map(|ca| ca.unwrap()).collect()
    }

    /// Whether a client that trusts only this CA gets a connection.
    async fn is_trusted_by(&self, ca: &CertificateDer<'static>, identity: Option<&Identity>) -> bool {
        let Ok(channel) = channel(self.address, client_config(ca, identity)).await else { return false };
        let mut health = tonic_health::pb::health_client::HealthClient::new(channel);
        health.check(tonic_health::pb::HealthCheckRequest::default()).await.is_ok()
    }
}

/// An agent of protocol version 1, which trusts these CAs.
async fn connect(
    hub: &Hub,
    cluster: &str,
    ca: &CertificateDer<'static>,
    identity: &Identity,
    trusted: &[CertificateDer<'static>],
) -> Agent {
    let channel = channel(hub.address, client_config(ca, Some(identity))).await.unwrap();
    let hello = v1::Hello {
        cluster: cluster.into(),
        protocol: muster_wire::PROTOCOL,
        trusted: hashes(trusted),
        ..Default::default()
    };
    Agent::connect_with(channel, hello).await.unwrap()
}

/// The next bundle the hub sends.
async fn bundle(agent: &mut Agent) -> Vec<CertificateDer<'static>> {
    loop {
        if let Heard::TrustBundle(bundle) = next(&mut agent.inbound).await.unwrap().unwrap() {
            return bundle.ca_certificates.into_iter().map(CertificateDer::from).collect();
        }
    }
}

async fn renew(hub: &Hub, ca: &CertificateDer<'static>, identity: &Identity) -> Identity {
    let channel = channel(hub.address, client_config(ca, Some(identity))).await.unwrap();
    let key = KeyPair::generate().unwrap();
    let renewed = AgentServiceClient::new(channel).renew(v1::RenewRequest { csr: csr(&key) }).await.unwrap();
    let renewed = renewed.into_inner();
    assert_eq!(renewed.ca_certificates.len(), hub.cas().len());
    Identity::new(renewed.certificate, &key)
}

#[tokio::test]
async fn a_ca_is_rotated_without_anybody_being_cut_off_and_the_old_one_is_out_at_the_end() {
    let hub = Hub::start().await;
    let old_ca = hub.cas().remove(0);
    let first = hub.enrolled("prod").await;
    let away = hub.enrolled("away").await;
    let old_token = hub.token("late", 2).await.token;
    let mut agent = connect(&hub, "prod", &old_ca, &first, std::slice::from_ref(&old_ca)).await;
    agent.report_kept(1, status("web", "r1")).await;

    let (code, said) = hub.rotate(&[]).await;
    assert_eq!(code, Some(0), "{said}");
    let both = bundle(&mut agent).await;
    assert_eq!(both, hub.cas());
    let new_ca = both[1].clone();
    let unaware = hub.muster(&["ca"]).run(DEADLINE).await.unwrap();
    assert_eq!(unaware.code(), Some(1), "prod does not trust it yet: {}", unaware.stdout);
    assert!(unaware.stdout.contains("prod"), "{}", unaware.stdout);
    agent.say(Said::Trusted(v1::Trusted { trusted: hashes(&both) })).await;
    wait::until("the agent to be known to follow", DEADLINE, async || {
        let shown = hub.muster(&["ca"]).run(DEADLINE).await.unwrap();
        if shown.code() == Some(0) { Ok(()) } else { Err(shown.stdout) }
    })
    .await;
    assert!(!hub.is_trusted_by(&new_ca, None).await, "the new one does not sign yet");

    let (code, said) = hub.rotate(&[]).await;
    assert_eq!(code, Some(0), "{said}");
    wait::until("the new CA to sign", DEADLINE, async || hub.is_trusted_by(&new_ca, None).await).await;
    assert!(
        hub.is_trusted_by(&old_ca, Some(&away)).await,
        "one that was away follows the signature of the old CA"
    );
    agent.report_kept(2, status("web", "r2")).await;
    let mut returned = connect(&hub, "away", &old_ca, &away, std::slice::from_ref(&old_ca)).await;
    assert_eq!(bundle(&mut returned).await, hub.cas(), "and is told of the new one");
    hub.enrol_with_ca(&old_token, "late").await.unwrap();
    let second = renew(&hub, &new_ca, &first).await;

    let (code, said) = hub.rotate(&[]).await;
    assert_ne!(code, Some(0), "{said}");
    assert!(said.contains("may be in use for another"), "{said}");
    assert_eq!(hub.cas().len(), 2, "nothing was done");
    let mut renewed = connect(&hub, "prod", &new_ca, &second, &hub.cas()).await;
    renewed.report_kept(1, status("web", "r3")).await;
    let mut stale = connect(&hub, "away", &new_ca, &away, &hub.cas()).await;
    let (code, said) = hub.rotate(&["--now"]).await;
    assert_eq!(code, Some(0), "{said}");
    wait::until("the old CA to be out", DEADLINE, async || !hub.is_trusted_by(&old_ca, None).await).await;
    assert_eq!(hub.cas(), std::slice::from_ref(&new_ca));
    assert_eq!(bundle(&mut renewed).await, std::slice::from_ref(&new_ca));
    renewed.report_kept(2, status("web", "r4")).await;
    // What is open with a certificate of the old one is cut, and does not come back.
    let cut = loop {
        match next(&mut stale.inbound).await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("the stream ended as if nothing were wrong"),
            Err(status) => break status,
        }
    };
    assert_ne!(cut.code(), Code::Ok);
    let refused = channel(hub.address, client_config(&new_ca, Some(&away))).await;
    let refused = match refused {
        Ok(channel) => Agent::connect(channel, "away", &[]).await.map(drop).is_err(),
        Err(_) => true,
    };
    assert!(refused, "a certificate of the old CA");
}

#[tokio::test]
async fn a_server_certificate_that_was_brought_is_shown_at_once_and_a_bad_one_is_not() {
    let hub = Hub::start().await;
    let mut agent = hub.agent("prod", &hub.enrolled("prod").await, &[]).await.unwrap();
    let key = KeyPair::from_pem(&std::fs::read_to_string(hub.directory.join("ca.key")).unwrap()).unwrap();
    let issuer = rcgen::Issuer::from_ca_cert_der(&hub.ca, key).unwrap();
    let server = |hosts: &[&str]| {
        let key = KeyPair::generate().unwrap();
        let mut params =
            CertificateParams::new(hosts.iter().map(|host| (*host).to_owned()).collect::<Vec<_>>()).unwrap();
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
        (params.signed_by(&key, &issuer).unwrap(), key)
    };
    let bring = |(certificate, key): &(rcgen::Certificate, KeyPair)| {
        std::fs::write(hub.directory.join("server.key"), key.serialize_pem()).unwrap();
        std::fs::write(hub.directory.join("server.crt"), certificate.pem()).unwrap();
    };
    let shown = async || {
        let connector = TlsConnector::from(Arc::new(client_config(&hub.ca, None)));
        let stream = TcpStream::connect(hub.address).await.unwrap();
        let name = ServerName::IpAddress(hub.address.ip().into());
        let stream = connector.connect(name, stream).await.unwrap();
        stream.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned()
    };
    let before = shown().await;
    let good = server(&["127.0.0.1"]);
    bring(&good);
    wait::until("the brought certificate to be shown", DEADLINE, async || shown().await == *good.0.der())
        .await;
    assert_ne!(before, *good.0.der());
    bring(&server(&["elsewhere.test"]));
    wait::until("the bad one to be told", DEADLINE, async || {
        hub.program.log().contains("the hub goes on with those it had")
    })
    .await;
    assert_eq!(shown().await, *good.0.der());
    agent.report_kept(1, status("web", "r1")).await;
}
