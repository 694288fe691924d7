use muster_spec::ClusterName;
use rustls::server::WebPkiClientVerifier;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::*;
use crate::identity::Credential;

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn names(texts: &[&str]) -> Vec<ServerName<'static>> {
    texts.iter().map(|text| ServerName::try_from((*text).to_owned()).unwrap()).collect()
}

fn authority(hosts: &[&str], domains: &[&str]) -> Authority {
    let new = Authority::create(&names(hosts), &names(domains), Timestamp::now()).unwrap();
    Authority::load(&new.certificate, &new.key).unwrap()
}

fn cluster(name: &str) -> Identity {
    Identity::Cluster(name.parse::<ClusterName>().unwrap())
}

#[test]
fn the_ca_is_constrained_to_its_names_and_to_leaves() {
    let authority = authority(&["hub.example.org", "192.0.2.7"], &[]);
    let (_, certificate) = X509Certificate::from_der(authority.certificate()).unwrap();
    let basic = certificate.basic_constraints().unwrap().unwrap();
    assert!(basic.critical && basic.value.ca);
    assert_eq!(basic.value.path_len_constraint, Some(0));
    let constraints = certificate.name_constraints().unwrap().unwrap();
    assert!(constraints.critical);
    assert_eq!(constraints.value.permitted_subtrees.as_ref().unwrap().len(), 5);
    assert!(certificate.key_usage().unwrap().unwrap().value.key_cert_sign());
    assert!(certificate.serial.bits() > 120);
}

#[test]
fn the_server_certificate_covers_the_permitted_names_and_no_others() {
    let authority = authority(&["hub.example.org", "192.0.2.7"], &["corp.test"]);
    let serve = |hosts: &[&str]| authority.serve_as(&names(hosts), &provider(), Timestamp::now());
    let key = serve(&["hub.example.org", "192.0.2.7", "muster.corp.test", "localhost"]).unwrap();
    assert_eq!(key.cert.len(), 2);
    assert_eq!(&key.cert[1], authority.certificate());
    for host in ["other.org", "198.51.100.1", "example.org", "notcorp.test"] {
        let error = serve(&[host]).unwrap_err();
        assert!(matches!(&error, AuthorityError::Name { name, .. } if name == host), "{host}: {error}");
    }
}

#[test]
fn client_certificates_name_their_holder_and_are_accepted_for_their_time_alone() {
    let authority = authority(&["hub.example.org"], &[]);
    let key = KeyPair::generate().unwrap();
    let now = Timestamp::now();
    let lifetime = Duration::from_secs(24 * 3600);
    let issued = authority.certify(&cluster("prod"), &key, lifetime, now).unwrap();
    let credential = Credential::read(&issued.certificate).unwrap();
    assert_eq!(credential.identity, cluster("prod"));
    assert_eq!(credential.expires_at.as_second(), issued.expires_at.as_second());

    let verifier =
        WebPkiClientVerifier::builder_with_provider(authority.roots().unwrap(), provider()).build().unwrap();
    let accepted = |at: Timestamp| {
        let at = UnixTime::since_unix_epoch(Duration::from_secs(at.as_second().try_into().unwrap()));
        verifier.verify_client_cert(&issued.certificate, &[], at).is_ok()
    };
    assert!(accepted(now));
    assert!(accepted(now - Duration::from_secs(4 * 60)), "a clock that goes behind");
    assert!(!accepted(now - Duration::from_secs(6 * 60)));
    assert!(!accepted(now + lifetime + Duration::from_secs(2)));

    let again = authority.certify(&cluster("prod"), &key, lifetime, now).unwrap();
    assert_ne!(issued.serial, again.serial);
    assert_eq!(issued.serial.len(), 32);
}

#[test]
fn certificates_of_another_ca_with_the_same_names_are_not_accepted() {
    let (ours, theirs) = (authority(&["hub.test"], &[]), authority(&["hub.test"], &[]));
    let key = KeyPair::generate().unwrap();
    let forged = theirs.certify(&cluster("prod"), &key, Duration::from_secs(3600), Timestamp::now()).unwrap();
    let verifier =
        WebPkiClientVerifier::builder_with_provider(ours.roots().unwrap(), provider()).build().unwrap();
    assert!(verifier.verify_client_cert(&forged.certificate, &[], UnixTime::now()).is_err());
}

#[test]
fn a_key_of_another_ca_is_noticed_at_load() {
    let now = Timestamp::now();
    let (one, other) = (Authority::create(&[], &[], now).unwrap(), Authority::create(&[], &[], now).unwrap());
    let error = Authority::load(&one.certificate, &other.key).err().unwrap();
    assert!(error.to_string().contains("not the key of ca.crt"), "{error}");
    assert!(Authority::load("garbage", &one.key).is_err());
    assert!(Authority::load(&one.certificate, "garbage").is_err());
}
