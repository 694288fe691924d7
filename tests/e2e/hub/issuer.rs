//! Who vouches for users? An OpenID Connect issuer over HTTPS, as small as can be.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::extract::State;
use axum::http::Uri;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use hyper_util::rt::TokioExecutor;
use hyper_util::service::TowerToHyperService;
use muster_tests::certificates::Authority;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::{Value, json};
use tokio_rustls::TlsAcceptor;

use super::*;

/// A running issuer with one signing key at a time.
pub(super) struct Issuer {
    pub(super) url: String,
    /// PEM of the authority that vouches for its address.
    pub(super) ca: String,
    shared: Arc<Shared>,
}

struct Shared {
    url: String,
    key: Mutex<(String, EcdsaKeyPair)>,
    key_requests: AtomicUsize,
    /// How often somebody asked whether a device was confirmed.
    polls: AtomicUsize,
}

fn key() -> EcdsaKeyPair {
    let random = SystemRandom::new();
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
    EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref(), &random).unwrap()
}

fn encoded(bytes: impl AsRef<[u8]>) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

async fn answer(State(shared): State<Arc<Shared>>, uri: Uri, body: String) -> String {
    let at = |path: &str| format!("{}/{path}", shared.url);
    let answer = match uri.path() {
        "/.well-known/openid-configuration" => json!({
            "issuer": shared.url,
            "jwks_uri": at("keys"),
            "token_endpoint": at("token"),
            "device_authorization_endpoint": at("device"),
        }),
        "/device" => json!({
            "device_code": "the device",
            "user_code": "WDJB-MJHT",
            "verification_uri": at("activate"),
            "expires_in": 60,
            "interval": 1,
        }),
        "/token" => shared.give(&body),
        _ => {
            shared.key_requests.fetch_add(1, Ordering::Relaxed);
            let (id, key) = &*shared.key.lock().unwrap();
            let point = key.public_key().as_ref(); // 04, x, y
            let (x, y) = (encoded(&point[1..33]), encoded(&point[33..]));
            json!({"keys": [{"kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": id, "x": x, "y": y}]})
        }
    };
    answer.to_string()
}

impl Shared {
    /// A device is confirmed when it is asked for the second time, and its token is all but over at once.
    fn give(&self, body: &str) -> Value {
        let ada = |life: i64| {
            let exp = jiff::Timestamp::now().as_second() + life;
            self.token(&json!({"email": "ada@example.org", "email_verified": true, "groups": ["platform"], "exp": exp}))
        };
        let is = |field: &str| body.split('&').any(|given| given == field);
        if is("grant_type=refresh_token") && is("refresh_token=again-1") && is("client_id=muster") {
            return json!({"id_token": ada(600), "refresh_token": "again-2"});
        }
        let is_device = is("grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Adevice_code");
        match self.polls.fetch_add(1, Ordering::Relaxed) {
            _ if !is_device || !is("device_code=the%20device") => json!({"error": "invalid_grant"}),
            0 => json!({"error": "authorization_pending"}),
            _ => json!({"id_token": ada(20), "refresh_token": "again-1"}),
        }
    }

    fn token(&self, claims: &Value) -> String {
        let now = jiff::Timestamp::now().as_second();
        let mut all = json!({"iss": self.url, "aud": "muster", "sub": "ada", "iat": now, "exp": now + 600});
        all.as_object_mut().unwrap().extend(claims.as_object().unwrap().clone());
        let (id, key) = &*self.key.lock().unwrap();
        let header = json!({"alg": "ES256", "typ": "JWT", "kid": id});
        let message = format!("{}.{}", encoded(header.to_string()), encoded(all.to_string()));
        let signature = key.sign(&SystemRandom::new(), message.as_bytes()).unwrap();
        format!("{message}.{}", encoded(signature))
    }
}

impl Issuer {
    pub(super) async fn start() -> Self {
        let authority = Authority::new("issuer test CA").unwrap();
        let (listener, port) = ports::listen();
        listener.set_nonblocking(true).unwrap();
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        let identity = authority.server(&["127.0.0.1", "localhost"]).unwrap();
        let certificate = CertificateDer::from_pem_slice(identity.certificate.as_bytes()).unwrap();
        let key_der = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key_der)
            .unwrap();
        let tls = TlsAcceptor::from(Arc::new(config));
        let url = format!("https://localhost:{port}");
        let shared = Arc::new(Shared {
            url: url.clone(),
            key: Mutex::new(("first".to_owned(), key())),
            key_requests: AtomicUsize::new(0),
            polls: AtomicUsize::new(0),
        });
        let router = Router::new().fallback(answer).with_state(Arc::clone(&shared));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (tls, router) = (tls.clone(), router.clone());
                tokio::spawn(async move {
                    let Ok(stream) = tls.accept(stream).await else { return };
                    let builder = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
                    let service = TowerToHyperService::new(router);
                    let _ = builder.serve_connection(TokioIo::new(stream), service).await; // the hub hangs up
                });
            }
        });
        Self { url, ca: authority.certificate().to_owned(), shared }
    }

    /// Signs with another key from now on.
    pub(super) fn rotate(&self) {
        *self.shared.key.lock().unwrap() = ("second".to_owned(), key());
    }

    /// How often its keys were asked for.
    pub(super) fn key_requests(&self) -> usize {
        self.shared.key_requests.load(Ordering::Relaxed)
    }

    /// An ID token for `muster`, with these claims over the usual ones.
    pub(super) fn token(&self, claims: &Value) -> String {
        self.shared.token(claims)
    }
}
