//! Tokens made and signed by other software (Python's cryptography), and what is made of them.

use serde::Deserialize;

use super::*;

#[derive(Deserialize)]
struct Samples {
    keys: JwkSet,
    tokens: Vec<Sample>,
}

#[derive(Deserialize)]
struct Sample {
    algorithm: String,
    kid: Option<String>,
    token: String,
}

fn samples() -> Samples {
    serde_json::from_str(include_str!("tokens.json")).unwrap()
}

fn issuer() -> Issuer {
    Issuer {
        name: "corp".into(),
        url: "https://login.test".into(),
        client_id: "muster".into(),
        username_claim: "sub".into(),
        groups_claim: "groups".into(),
        ca: None,
    }
}

/// `iat` of the samples; they are good for ten minutes.
fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

#[test]
fn every_usual_signature_is_verified_and_no_other_is() {
    let Samples { keys, tokens } = samples();
    let mut good = 0;
    for Sample { algorithm, kid, token } in tokens {
        let expected = match (algorithm.as_str(), kid.as_deref()) {
            ("HS256", _) => Err(Refusal::Algorithm),
            ("none", _) => Err(Refusal::Malformed),
            // Not its key to sign with, one for encryption, or none.
            ("ES384", Some("p256")) | (_, Some("enc" | "nobody")) => Err(Refusal::UnknownKey),
            // Without an id the only key of its kind is meant, and there are several here.
            (_, None) => Err(Refusal::UnknownKey),
            _ => Ok("corp:ada".to_owned()),
        };
        let verified = verify(&token, &issuer(), &keys, at(1)).map(|user| user.name);
        assert_eq!(verified, expected, "{algorithm} {kid:?}");
        if verified.is_ok() {
            good += 1;
            changed_tokens_are_refused(&token, &keys);
        }
    }
    assert_eq!(good, 9);
}

fn changed_tokens_are_refused(token: &str, keys: &JwkSet) {
    let body = token.find('.').unwrap() + 1;
    let signature = token.rfind('.').unwrap() + 1;
    for index in (body..token.len()).step_by(7).filter(|index| *index != signature - 1) {
        let mut changed = token.as_bytes().to_vec();
        changed[index] = if changed[index] == b'A' { b'Q' } else { b'A' };
        let changed = String::from_utf8(changed).unwrap();
        assert!(verify(&changed, &issuer(), keys, at(1)).is_err(), "changed at {index}");
    }
    assert!(verify(&token[..token.len() - 1], &issuer(), keys, at(1)).is_err());
    assert!(verify(&token[..signature], &issuer(), keys, at(1)).is_err(), "no signature");
}

fn es256() -> (JwkSet, String) {
    let Samples { keys, tokens } = samples();
    let token =
        tokens.into_iter().find(|sample| sample.algorithm == "ES256" && sample.kid.is_some()).unwrap();
    (keys, token.token)
}

#[test]
fn a_token_is_good_in_its_time_for_its_audience_from_its_issuer() {
    let (keys, token) = es256();
    let verify_at = |seconds| verify(&token, &issuer(), &keys, at(seconds)).map(|user| user.groups);
    assert_eq!(verify_at(0), Ok(vec!["corp:shop".to_owned()]));
    assert_eq!(verify_at(600 + 59), Ok(vec!["corp:shop".to_owned()]), "clocks may differ by a minute");
    assert_eq!(verify_at(600 + 60), Err(Refusal::Expired(at(600))));
    assert_eq!(verify_at(-60), Ok(vec!["corp:shop".to_owned()]));
    assert_eq!(verify_at(-61), Err(Refusal::NotYet(at(0))));
    let other = |issuer: Issuer| verify(&token, &issuer, &keys, at(1)).unwrap_err();
    assert_eq!(other(Issuer { client_id: "other".into(), ..issuer() }), Refusal::Audience);
    assert_eq!(other(Issuer { url: "https://other.test".into(), ..issuer() }), Refusal::Claim("iss".into()));
    assert_eq!(other(Issuer { username_claim: "email".into(), ..issuer() }), Refusal::Claim("email".into()));
    let no_keys = verify(&token, &issuer(), &JwkSet { keys: Vec::new() }, at(1));
    assert_eq!(no_keys, Err(Refusal::UnknownKey));
}

#[test]
fn the_issuer_is_looked_up_and_garbage_is_refused() {
    let (_, token) = es256();
    assert_eq!(claimed_issuer(&token, &[issuer()]), Ok(&issuer()));
    assert_eq!(claimed_issuer(&token, &[]), Err(Refusal::UnknownIssuer("https://login.test".into())));
    for garbage in ["", "x", "a.b", "a.b.c", "eyJhbGciOiJSUzI1NiJ9..", &"x.".repeat(20_000)] {
        assert_eq!(claimed_issuer(garbage, &[issuer()]), Err(Refusal::Malformed), "{garbage:.20}");
        assert!(verify(garbage, &issuer(), &JwkSet { keys: Vec::new() }, at(1)).is_err());
    }
}

#[test]
fn claims_become_a_user_and_an_address_counts_only_when_it_is_verified() {
    let by_email = Issuer { username_claim: "email".into(), ..issuer() };
    let read = |claims: Value| user(&claims, &by_email, at(600)).map(|user| user.name);
    let email = |verified: Value| serde_json::json!({"email": "ada@example.org", "email_verified": verified});
    assert_eq!(read(email(true.into())), Ok("corp:ada@example.org".to_owned()));
    for wrong in [Value::Null, false.into(), "true".into()] {
        assert_eq!(read(email(wrong)), Err(Refusal::Claim("email_verified".into())));
    }
    for wrong in ["", "a\nb", &"a".repeat(300)] {
        let claims = serde_json::json!({"sub": wrong});
        assert_eq!(user(&claims, &issuer(), at(600)), Err(Refusal::Claim("sub".into())), "{wrong:?}");
    }
    let groups = |groups: Value| {
        user(&serde_json::json!({"sub": "ada", "groups": groups}), &issuer(), at(600)).unwrap().groups
    };
    assert_eq!(groups("one".into()), ["corp:one"]);
    assert_eq!(groups(serde_json::json!(["a", 7, "", "b"])), ["corp:a", "corp:b"]);
    assert_eq!(groups(serde_json::json!({"a": 1})), [""; 0]);
    assert_eq!(groups(vec!["a"; 1_000].into()).len(), GROUPS_MAX);
}

#[test]
fn a_token_for_several_must_have_been_given_to_us() {
    let check = |claims: Value| several_audiences(&claims, &issuer());
    assert_eq!(check(serde_json::json!({"aud": ["muster"]})), Ok(()));
    assert_eq!(check(serde_json::json!({"aud": ["muster", "other"]})), Err(Refusal::Claim("azp".into())));
    assert_eq!(check(serde_json::json!({"aud": ["muster", "other"], "azp": "muster"})), Ok(()));
    assert_eq!(check(serde_json::json!({"aud": "muster", "azp": "other"})), Err(Refusal::Audience));
}
