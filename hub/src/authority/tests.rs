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
    assert_eq!(basic.value.path_len_constraint, Some(2), "for an issuer, and a new CA in a rotation");
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
    assert_eq!(key.cert.len(), 2, "it and the CA, which signs itself here");
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
    let issued = authority.certify(&cluster("prod"), &key, 7, lifetime, now).unwrap();
    let credential = Credential::read(&issued.certificate).unwrap();
    assert_eq!((&credential.identity, credential.generation), (&cluster("prod"), 7));
    assert_eq!(credential.serial, issued.serial.to_string());
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

    let again = authority.certify(&cluster("prod"), &key, 7, lifetime, now).unwrap();
    assert_ne!(issued.serial, again.serial);
    assert_eq!(issued.serial.to_string().len(), 32);
}

#[test]
fn certificates_of_another_ca_with_the_same_names_are_not_accepted() {
    let (ours, theirs) = (authority(&["hub.test"], &[]), authority(&["hub.test"], &[]));
    let key = KeyPair::generate().unwrap();
    let forged =
        theirs.certify(&cluster("prod"), &key, 0, Duration::from_secs(3600), Timestamp::now()).unwrap();
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

#[test]
fn a_serial_number_says_its_generation_and_others_say_none() {
    for generation in [0, 1, 77, u32::MAX] {
        assert_eq!(Serial::generation_of(&Serial::new(generation).unwrap().0), generation);
    }
    for other in [&[][..], &[1], &[0x40; 15], &[0x40; 17], &[0xff; 16], &[0; 16]] {
        assert_eq!(Serial::generation_of(other), 0, "{other:?}");
    }
}

/// A new hub's files.
fn texts() -> Texts {
    let now = Timestamp::now();
    let ca = Authority::create(&names(&["hub.example.org"]), &[], now).unwrap();
    let issuer = rotate::new_issuer(&ca, now).unwrap();
    Texts {
        ca: ca.certificate,
        ca_key: Some(ca.key),
        issuer: Some(issuer.certificate),
        issuer_key: Some(issuer.key),
        next: None,
    }
}

/// Whether a client that trusts only this would take what the hub shows.
fn trusts(root: &CertificateDer<'static>, shown: &Authority) -> bool {
    let shown = shown.serve_as(&names(&["hub.example.org"]), &provider(), Timestamp::now()).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(root.clone()).unwrap();
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider()).build().unwrap();
    let name = ServerName::try_from("hub.example.org").unwrap();
    verifier.verify_server_cert(&shown.cert[0], &shown.cert[1..], &name, &[], UnixTime::now()).is_ok()
}

/// Whether the hub takes a client certificate.
fn takes(authority: &Authority, client: &CertificateDer<'static>) -> bool {
    let verifier = crate::tls::client_verifier(authority, provider()).unwrap();
    verifier.verify_client_cert(client, &[], UnixTime::now()).is_ok()
}

#[test]
fn a_rotation_leaves_nobody_out_before_its_end() {
    use rotate::Stage::{Overlapping, Prepared, Settled};
    let client = |texts: &Texts| {
        let authority = Authority::from_texts(texts).unwrap();
        let key = KeyPair::generate().unwrap();
        let lifetime = Duration::from_secs(3600);
        let issued = authority.certify(&cluster("prod"), &key, 0, lifetime, Timestamp::now()).unwrap();
        (authority, issued.certificate)
    };
    let first = texts();
    let (before, old_client) = client(&first);
    let old_root = before.certificate().clone();
    assert_eq!(first.stage().unwrap(), Settled);
    assert!(trusts(&old_root, &before) && takes(&before, &old_client));

    let prepared = first.prepare(Timestamp::now()).unwrap();
    let (authority, prepared_client) = client(&prepared);
    assert_eq!(prepared.stage().unwrap(), Prepared);
    assert_eq!((authority.trusted().len(), authority.certificate()), (2, &old_root));
    assert!(trusts(&old_root, &authority) && takes(&authority, &old_client));
    assert!(takes(&before, &prepared_client), "the old CA still signs");
    assert!(prepared.prepare(Timestamp::now()).is_err());

    let switched = prepared.switch().unwrap();
    let (authority, new_client) = client(&switched);
    let new_root = authority.certificate().clone();
    assert_eq!(switched.stage().unwrap(), Overlapping);
    assert_ne!(new_root, old_root);
    assert!(trusts(&old_root, &authority), "an agent that was away all the time");
    assert!(trusts(&new_root, &authority));
    assert!(takes(&authority, &old_client) && takes(&authority, &new_client));
    assert!(switched.switch().is_err());

    let finished = switched.finish().unwrap();
    let (authority, _) = client(&finished);
    assert_eq!(finished.stage().unwrap(), Settled);
    assert_eq!(authority.trusted(), std::slice::from_ref(&new_root));
    assert!(trusts(&new_root, &authority) && !trusts(&old_root, &authority));
    assert!(takes(&authority, &new_client) && !takes(&authority, &old_client));
    assert!(finished.finish().is_err());
    // And once more, since the new one is as good as the first.
    let again = finished.prepare(Timestamp::now()).unwrap().switch().unwrap();
    assert!(trusts(&new_root, &Authority::from_texts(&again).unwrap()));
}

#[test]
fn what_does_not_belong_together_is_named() {
    let (good, other) = (texts(), texts());
    let told = |texts: &Texts| Authority::from_texts(texts).err().unwrap().to_string();
    let wrong_key = Texts { issuer_key: other.issuer_key.clone(), ..good.clone() };
    assert!(told(&wrong_key).contains("issuer.key cannot be used: it is not the key of issuer.crt"));
    assert!(told(&Texts { issuer_key: None, ..good.clone() }).contains("issuer.key"));
    assert!(told(&Texts { ca: String::new(), ..good.clone() }).contains("ca.crt"));
    let foreign = Texts { issuer: other.issuer.clone(), issuer_key: other.issuer_key, ..good.clone() };
    let foreign = Authority::from_texts(&foreign).unwrap();
    let error = foreign.serve_as(&names(&["hub.example.org"]), &provider(), Timestamp::now()).unwrap_err();
    assert!(matches!(error, AuthorityError::Name { .. }), "{error}");
    assert!(
        Texts { ca_key: None, ..good }.prepare(Timestamp::now()).unwrap_err().to_string().contains("ca.key")
    );
}
