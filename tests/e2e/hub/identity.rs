//! Does each service serve those it is for, and nobody else?

use rcgen::{BasicConstraints, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyUsagePurpose, SanType};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tonic::Code;

use super::*;

/// What each kind of call is answered to a caller; `None` is success.
async fn codes(channel: Channel) -> [(&'static str, Option<Code>); 5] {
    use v1::{
        agent_service_client::AgentServiceClient, fleet_service_client::FleetServiceClient,
        token_service_client::TokenServiceClient,
    };
    let code = |status: Status| status.code();
    let connect = Agent::connect(channel.clone(), "prod", &[]).await.map_err(code).err();
    let renew = v1::RenewRequest { csr: csr(&KeyPair::generate().unwrap()) };
    let renew = AgentServiceClient::new(channel.clone()).renew(renew).await.map_err(code).err();
    let list = v1::ListClustersRequest::default();
    let list = FleetServiceClient::new(channel.clone()).list_clusters(list).await.map_err(code).err();
    let watch = v1::WatchFleetRequest::default();
    let watch = FleetServiceClient::new(channel.clone()).watch_fleet(watch).await.map_err(code).err();
    let create = v1::CreateTokenRequest { cluster: "prod".into(), ..Default::default() };
    let create = TokenServiceClient::new(channel).create_token(create).await.map_err(code).err();
    [("connect", connect), ("renew", renew), ("list", list), ("watch", watch), ("create token", create)]
}

#[tokio::test]
async fn services_serve_those_they_are_for() {
    let hub = Hub::start().await;
    let cluster = hub.enrolled("prod").await;
    let (none, denied) = (Some(Code::Unauthenticated), Some(Code::PermissionDenied));
    let by_name = |codes: [Option<Code>; 5]| {
        let [connect, renew, list, watch, create] = codes;
        [("connect", connect), ("renew", renew), ("list", list), ("watch", watch), ("create token", create)]
    };
    assert_eq!(codes(hub.anonymous().await).await, by_name([none; 5]));
    let as_cluster = hub.channel(Some(&cluster)).await.unwrap();
    assert_eq!(codes(as_cluster).await, by_name([None, None, denied, denied, denied]));
    assert_eq!(codes(hub.as_operator().await).await, by_name([denied, denied, None, None, None]));
}

#[tokio::test]
async fn an_agent_speaks_for_the_cluster_in_its_certificate_alone() {
    let hub = Hub::start().await;
    let (prod, dev) = (hub.enrolled("prod").await, hub.enrolled("dev").await);
    let mut real = hub.agent("prod", &prod, &[]).await.unwrap();
    real.report_kept(1, status("web", "real")).await;
    let refused = hub.agent("prod", &dev, &[]).await.map(drop).unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    for part in ["cluster prod", "certificate of cluster dev", "--cluster dev", "muster token create prod"] {
        assert!(refused.message().contains(part), "{part} is missing in {:?}", refused.message());
    }
    let row = hub.audited("certificate-of-another-cluster").await;
    assert_eq!((row.actor.as_str(), row.target.as_str()), ("cluster/dev", "cluster/prod"));
    let event = v1::Event { id: "1".into(), cluster: "prod".into(), ..Default::default() };
    let mut other = hub.agent("dev", &dev, &[]).await.unwrap();
    other.say(Said::Event(event)).await;
    assert_eq!(other.ack().await.unwrap().event_ids, ["1"]);
    let request = v1::ListEventsRequest { cluster: "prod".into(), ..Default::default() };
    let events = hub.fleet().await.list_events(request).await.unwrap().into_inner().events;
    assert!(events.iter().all(|event| event.id != "1"), "{events:?}");
    assert_eq!(hub.revisions("prod").await, [("web".to_owned(), "real".to_owned())]);
    real.report_kept(2, status("web", "still")).await;
}

/// A client certificate with these names, by a CA of somebody else or of the hub.
fn forge(issuer: &Issuer<'_, KeyPair>, uris: &[&str], usage: ExtendedKeyUsagePurpose) -> Identity {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.subject_alt_names =
        uris.iter().map(|uri| SanType::URI((*uri).to_owned().try_into().unwrap())).collect();
    params.extended_key_usages = vec![usage];
    Identity::new(params.signed_by(&key, issuer).unwrap().der().to_vec(), &key)
}

#[tokio::test]
async fn certificates_of_another_ca_are_refused_in_the_handshake() {
    let hub = Hub::start().await;
    hub.enrolled("prod").await;
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    // Even one that calls itself the same.
    let (_, real) = x509_parser::parse_x509_certificate(&hub.ca).unwrap();
    let name = real.subject().iter_common_name().next().unwrap().as_str().unwrap();
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    let issuer = Issuer::new(params, KeyPair::generate().unwrap());
    for uri in ["spiffe://muster/cluster/prod", "spiffe://muster/operator/admin"] {
        let forged = forge(&issuer, &[uri], ExtendedKeyUsagePurpose::ClientAuth);
        assert!(refused(&hub, &forged).await, "{uri}");
    }
    // Under the CA's own name its signature is looked at, and is not the CA's.
    let row = hub.audited("certificate-forged").await;
    assert_eq!((row.actor.as_str(), row.action.as_str()), ("anonymous", "tls.handshake"));
}

/// Whether a connection with this certificate is of no use; TLS 1.3 says so only after the client is done.
async fn refused(hub: &Hub, identity: &Identity) -> bool {
    let Ok(channel) = hub.channel(Some(identity)).await else { return true };
    let fleet = v1::fleet_service_client::FleetServiceClient::new(channel.clone());
    let listed = { fleet }.list_clusters(v1::ListClustersRequest::default()).await;
    listed.is_err() && Agent::connect(channel, "prod", &[]).await.is_err()
}

#[tokio::test]
async fn certificates_of_the_hub_that_name_nobody_are_of_no_use() {
    let hub = Hub::start().await;
    hub.enrolled("prod").await;
    let key = KeyPair::from_pem(&std::fs::read_to_string(hub.directory.join("ca.key")).unwrap()).unwrap();
    let issuer = Issuer::from_ca_cert_der(&hub.ca, key).unwrap();
    let (client, server) = (ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth);
    let both = ["spiffe://muster/cluster/prod", "spiffe://muster/operator/admin"];
    for (uris, usage) in [
        (&[][..], &client),
        (&["spiffe://muster/cluster/Prod"][..], &client),
        (&["spiffe://other/operator/admin"][..], &client),
        (&["https://muster/operator/admin"][..], &client),
        (&both[..], &client),
        (&both[1..], &server),
    ] {
        assert!(refused(&hub, &forge(&issuer, uris, usage.clone())).await, "{uris:?}");
    }
    assert!(!refused(&hub, &forge(&issuer, &both[1..], client)).await, "the forger knows how");
    hub.audited("certificate-without-identity").await;
    hub.audited("certificate-invalid").await; // the one that is for servers
}

#[tokio::test]
async fn a_stranger_with_another_ca_does_not_take_the_hub_for_its_own() {
    let hub = Hub::start().await;
    let other = Hub::start().await;
    let failed = channel(hub.address, client_config(&other.ca, None)).await;
    assert!(failed.is_err());
}

#[tokio::test]
async fn tls_below_1_3_and_plain_text_are_refused() {
    let hub = Hub::start().await;
    // A ClientHello as TLS 1.2 has it: no extension names a newer version.
    let mut hello = vec![0x16, 3, 1, 0, 47, 1, 0, 0, 43, 3, 3];
    hello.extend([7; 32]);
    hello.extend([0, 0, 4, 0xc0, 0x2b, 0xc0, 0x2f, 1, 0]); // two cipher suites, no compression
    hello.extend([0, 8, 0, 13, 0, 4, 0, 2, 4, 3]); // signature_algorithms alone
    hello[4] = u8::try_from(hello.len() - 5).unwrap();
    hello[8] = u8::try_from(hello.len() - 9).unwrap();
    let answer = exchange(&hub, &hello).await;
    assert_eq!(answer.first(), Some(&21), "an alert: {answer:?}");
    assert_eq!(answer.get(5..7), Some(&[2, 70][..]), "fatal, protocol_version: {answer:?}");
    assert_eq!(hub.audited("tls-version").await.source, "127.0.0.1");
    let plain = exchange(&hub, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await;
    assert!(plain.first().is_none_or(|first| *first == 21), "{plain:?}");
}

/// What the hub answers to these bytes until it hangs up.
async fn exchange(hub: &Hub, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(hub.address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    let read =
        tokio::time::timeout(DEADLINE, stream.read_to_end(&mut answer)).await.expect("the hub hangs up");
    drop(read); // a reset is as good as an end
    answer
}

#[tokio::test]
async fn connections_that_do_not_speak_http2_are_refused() {
    let hub = Hub::start().await;
    let mut config = client_config(&hub.ca, Some(&hub.operator));
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let stream = TcpStream::connect(hub.address).await.unwrap();
    let name = ServerName::IpAddress(hub.address.ip().into());
    assert!(TlsConnector::from(Arc::new(config)).connect(name, stream).await.is_err());
}

#[tokio::test]
async fn a_recorded_connection_cannot_be_replayed() {
    let hub = Hub::start().await;
    let identity = hub.enrolled("prod").await;
    let (said, address) = record(hub.address).await;
    let agent_side = client_config(&hub.ca, Some(&identity));
    let mut agent = Agent::connect(channel(address, agent_side).await.unwrap(), "prod", &[]).await.unwrap();
    agent.report_kept(1, status("web", "recorded")).await;
    let mut other = hub.agent("prod", &identity, &[status("web", "recorded")]).await.unwrap();
    other.report_kept(1, status("web", "newer")).await;
    let recorded = said.lock().unwrap().clone();
    assert!(recorded.len() > 1_000, "{} bytes", recorded.len());

    let answer = exchange(&hub, &recorded).await;
    assert!(!answer.is_empty(), "the hub begins a handshake, with another key");
    hub.audited("tls-handshake").await;
    assert_eq!(hub.revisions("prod").await, [("web".to_owned(), "newer".to_owned())]);
    other.report_kept(2, status("web", "newest")).await;
}

/// A port that passes on to the hub, and all that the client says through it.
async fn record(hub: SocketAddr) -> (Arc<std::sync::Mutex<Vec<u8>>>, SocketAddr) {
    let (listener, _) = ports::listen();
    listener.set_nonblocking(true).unwrap();
    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
    let address = listener.local_addr().unwrap();
    let said = Arc::new(std::sync::Mutex::new(Vec::new()));
    let keep = Arc::clone(&said);
    tokio::spawn(async move {
        let (client, _) = listener.accept().await.unwrap();
        let (mut from_client, mut to_client) = client.into_split();
        let (mut from_hub, mut to_hub) = TcpStream::connect(hub).await.unwrap().into_split();
        let up = async {
            let mut buffer = vec![0; 16 * 1024];
            while let Ok(read @ 1..) = from_client.read(&mut buffer).await {
                keep.lock().unwrap().extend_from_slice(&buffer[..read]);
                if to_hub.write_all(&buffer[..read]).await.is_err() {
                    break;
                }
            }
        };
        let down = tokio::io::copy(&mut from_hub, &mut to_client);
        tokio::join!(up, down).1.ok();
    });
    (said, address)
}

#[tokio::test]
async fn an_expired_certificate_is_refused_with_a_reason() {
    let hub = Hub::start_with(&["--certificate-lifetime", "10s"]).await;
    let identity = hub.enrolled("prod").await;
    let refused = async || {
        let Ok(channel) = hub.channel(Some(&identity)).await else { return true };
        Agent::connect(channel, "prod", &[]).await.is_err()
    };
    wait::until("the certificate to be refused", DEADLINE, refused).await;
    assert!(refused().await, "the first may have been let in a moment before the end");
    hub.audited("certificate-expired").await;
}
