use super::*;

#[test]
fn addresses_are_read_strictly() {
    for (text, expected) in [
        ("https://hub.example.com:8443", Some("hub.example.com:8443")),
        ("https://hub.example.com/", Some("hub.example.com:443")),
        ("127.0.0.1:8443", Some("127.0.0.1:8443")),
        ("https://[::1]:8443", Some("[::1]:8443")),
        ("http://hub:8443", None),
        ("https://user@hub:8443", None),
        ("https://", None),
        ("", None),
    ] {
        assert_eq!(
            Address::parse(text).ok().map(|address| address.to_string()).as_deref(),
            expected,
            "{text}"
        );
    }
    assert_eq!(Address::parse("https://[::1]:1").unwrap().name(), "::1");
}

#[tokio::test]
async fn nobody_listening_is_told_as_such() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = Address { host: "127.0.0.1".into(), port: listener.local_addr().unwrap().port() };
    drop(listener);
    let tls = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    let failure = connect(&address, Arc::new(tls), Duration::from_secs(5)).await.unwrap_err();
    assert_eq!(failure.to_string(), format!("cannot reach the hub at {address}: connection refused"));
    assert!(failure.is_transient());
}

#[test]
fn a_config_without_certificates_names_the_key_at_fault() {
    let config = Config {
        hub: "https://hub:8443".into(),
        ca: "nothing".into(),
        certificate: String::new(),
        key: String::new(),
        token: None,
        token_file: None,
        oidc: None,
    };
    let now = "2026-11-23T20:27:10Z".parse().unwrap();
    assert_eq!(tls(&config, now).unwrap_err(), TlsProblem::Config("`ca` is not PEM as it should be".into()));
}
