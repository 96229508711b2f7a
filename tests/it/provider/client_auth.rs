//! Rows 22–26: how a registration proves who it is, and what it signs.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use jsonwebtoken::jwk::JwkSet;
use relais::crypto::pki::DevPki;
use relais::crypto::random::SystemRandom;
use relais::crypto::signing_key::{SigningAlg, generate};
use relais::crypto::token::draw_notification_token;
use relais::domain::clock::Clock as _;
use relais::domain::login::LoginReason;
use relais::domain::secret::Secret;
use relais::engine::ports::{ProviderStatus, Providers as _};
use relais::net::listener::{Limits, Peer, serve};
use relais::net::tls::{CertificateFiles as ServerFiles, ClientAuth, ServerTls, ServerTlsSettings};
use relais::provider::{
    AssertionAudience, CertificateFiles, Clients, Credential, RegistrationSettings, SettingsError, Signing,
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::support::clock::ManualClock;
use crate::support::jwt::{self, Key};
use crate::support::log;

use super::op::{Op, Recorded, Reply};
use super::setup::{APPROVED, CLIENT_ID, HINT, Setup, provider_settings, registration_settings};

const BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// A folder with signing keys.
struct Keys(TempDir);

impl Keys {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    /// Writes a new key into `name`, and gives its public part.
    fn write(&self, name: &str, alg: SigningAlg) -> Key {
        let pem = generate(alg).expect("a key");
        self.write_text(name, pem.expose());
        Key::from_pem(pem.expose(), alg)
    }

    fn write_text(&self, name: &str, text: &str) {
        use std::os::unix::fs::PermissionsExt as _;
        let path = self.0.path().join(name);
        std::fs::write(&path, text).expect("written");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("private");
    }

    fn signing(&self, alg: SigningAlg) -> Signing {
        Signing { alg, key: self.0.path().join("key"), published: Vec::new(), requests: false }
    }
}

fn by_key(signing: Signing) -> impl FnOnce(&mut RegistrationSettings) {
    move |registration| {
        let audience = AssertionAudience::Issuer;
        let typ = Some("client-authentication+jwt".to_owned());
        registration.credential = Credential::PrivateKeyJwt { audience, typ };
        registration.signing = Some(signing);
    }
}

/// What Relais publishes of the registration's keys.
fn published(setup: &Setup) -> JwkSet {
    let jwks = setup.clients.jwks(&setup.registration).expect("keys");
    serde_json::from_value(jwks).expect("a key set")
}

/// The one value of a form parameter.
#[track_caller]
fn one(seen: &Recorded, name: &str) -> String {
    let values = seen.form(name);
    assert_eq!(values.len(), 1, "{name}");
    values.into_iter().next().expect("a value")
}

/// Starts and polls; what both endpoints saw.
async fn calls(setup: &Setup) -> [Recorded; 2] {
    assert!(setup.start().await.is_ok());
    assert_eq!(setup.outcome().await, APPROVED);
    ["backchannel", "token"].map(|endpoint| setup.op.seen(endpoint).pop().expect("a call"))
}

#[tokio::test]
async fn a_posted_secret_is_in_the_body_at_both_endpoints_and_nowhere_else() {
    let log = log::capture();
    let setup = Setup::with(|_, registration| {
        registration.credential = Credential::ClientSecretPost { secret: Secret::new("p:ä%+&-canary") };
    })
    .await;
    for seen in calls(&setup).await {
        assert_eq!(one(&seen, "client_id"), CLIENT_ID);
        assert_eq!(one(&seen, "client_secret"), "p:ä%+&-canary");
        assert_eq!(seen.header("authorization"), None);
    }
    assert!(!log.text().contains("canary"));
}

#[tokio::test]
async fn rp_023_each_call_carries_an_assertion_of_its_own() {
    for alg in SigningAlg::ALL {
        let log = log::capture();
        let keys = Keys::new();
        let key = keys.write("key", alg);
        let setup = Setup::with(|_, registration| by_key(keys.signing(alg))(registration)).await;
        let mut names = Vec::new();
        for seen in calls(&setup).await {
            assert_eq!(one(&seen, "client_assertion_type"), BEARER);
            assert_eq!(one(&seen, "client_id"), CLIENT_ID);
            assert_eq!((seen.form("client_secret"), seen.header("authorization")), (vec![], None));
            let assertion = one(&seen, "client_assertion");
            assert!(!log.text().contains(&assertion));
            let (header, claims) = jwt::verified(&published(&setup), &assertion);
            let expected = json!({ "alg": alg.as_str(), "typ": "client-authentication+jwt", "kid": key.kid });
            assert_eq!(header, expected);
            let (now, jti) = (setup.now(), claims["jti"].as_str().expect("a name").to_owned());
            let expected = json!({ "iss": CLIENT_ID, "sub": CLIENT_ID, "aud": setup.op.base,
                "iat": now, "exp": now + 60, "jti": jti });
            assert_eq!(claims, expected, "iss, sub, aud as a text, and times of the clock");
            assert!(uuid::Uuid::parse_str(&jti).is_ok());
            names.push(jti);
        }
        assert_ne!(names[0], names[1], "a new one for each call");
        assert_eq!(serde_json::to_value(published(&setup)).expect("JSON")["keys"], json!([key.jwk()]));
    }
}

#[tokio::test]
async fn audience_and_type_are_what_the_provider_wants() {
    let keys = Keys::new();
    keys.write("key", SigningAlg::Es256);
    for (audience, typ, expected) in [
        (AssertionAudience::TokenEndpoint, None, "token"),
        (AssertionAudience::Text("https://op.example/x".to_owned()), Some("JWT"), "https://op.example/x"),
    ] {
        let setup = Setup::with(|_, registration| {
            by_key(keys.signing(SigningAlg::Es256))(registration);
            let typ = typ.map(str::to_owned);
            registration.credential = Credential::PrivateKeyJwt { audience, typ };
        })
        .await;
        let expected = if expected == "token" { setup.op.url("token") } else { expected.to_owned() };
        for seen in calls(&setup).await {
            let (header, claims) = jwt::verified(&published(&setup), &one(&seen, "client_assertion"));
            assert_eq!(claims["aud"], expected);
            assert_eq!(header.get("typ").and_then(Value::as_str), typ);
        }
    }
}

#[tokio::test]
async fn rp_025_a_signed_request_holds_every_parameter_and_leaves_none_outside() {
    let keys = Keys::new();
    keys.write("key", SigningAlg::Ps256);
    let algs = ["ES256", "PS256"];
    for by_assertion in [false, true] {
        let setup = Setup::with(|_, registration| {
            registration.signing = Some(Signing { requests: true, ..keys.signing(SigningAlg::Ps256) });
            registration.extra_parameters = vec![("ui_locales".to_owned(), "fr é&=".to_owned())];
            if by_assertion {
                let audience = AssertionAudience::Issuer;
                registration.credential = Credential::PrivateKeyJwt { audience, typ: None };
            }
        })
        .await;
        let mut document = setup.op.metadata();
        document["backchannel_authentication_request_signing_alg_values_supported"] = json!(algs);
        setup.op.stand("metadata", Reply::json(200, &document));
        let mut request = setup.request();
        request.requested_expiry = Some(90);
        request.user_code = Some(Secret::new("user-code-canary"));
        let token = draw_notification_token(&SystemRandom);
        request.notification_token = Some(token.clone());
        assert!(setup.clients.start(&setup.registration, request).await.is_ok());
        assert_eq!(setup.outcome().await, APPROVED);
        let seen = setup.op.seen("backchannel").remove(0);
        let mut outside: Vec<_> = url::form_urlencoded::parse(seen.body.as_bytes())
            .map(|(name, _)| name.into_owned())
            .filter(|name| name != "request")
            .collect();
        outside.sort();
        let of_authentication: &[&str] =
            if by_assertion { &["client_assertion", "client_assertion_type", "client_id"] } else { &[] };
        assert_eq!(outside, of_authentication, "client authentication alone");
        let (header, mut claims) = jwt::verified(&published(&setup), &one(&seen, "request"));
        assert_eq!((&header["alg"], &header["typ"]), (&json!("PS256"), &json!("oauth-authz-req+jwt")));
        let (now, jti) = (setup.now(), claims["jti"].take());
        assert!(jti.as_str().is_some_and(|jti| jti.len() == 36), "{jti}");
        let expected = json!({
            "iss": CLIENT_ID, "aud": setup.op.base, "iat": now, "nbf": now - 30, "exp": now + 60, "jti": null,
            "scope": "openid scope_all", "acr_values": "eidas1", "login_hint": HINT, "binding_message": "42",
            "channel": "MOBILE", "requested_expiry": "90", "user_code": "user-code-canary",
            "client_notification_token": token.0.expose(),
            "ui_locales": "fr é&=",
        });
        assert_eq!(claims, expected, "every parameter as a text, no sub, nothing else");
        // The token endpoint takes no signed request.
        assert!(setup.op.seen("token")[0].form("request").is_empty());
    }
}

const METHODS: &str = "token_endpoint_auth_methods_supported";
const ALGS: &str = "token_endpoint_auth_signing_alg_values_supported";
const REQUEST_ALGS: &str = "backchannel_authentication_request_signing_alg_values_supported";

#[tokio::test]
async fn rp_026_what_the_provider_does_not_offer_is_sent_in_no_other_way() {
    let keys = Keys::new();
    keys.write("key", SigningAlg::Es256);
    for (member, list, wanted) in [
        (METHODS, json!(["client_secret_basic", "tls_client_auth"]), "private_key_jwt"),
        (ALGS, json!(["RS256", "PS256"]), "ES256"),
        (REQUEST_ALGS, json!(["PS256"]), "ES256"),
        (REQUEST_ALGS, Value::Null, "ES256"),
        // What is malformed names nothing.
        (METHODS, json!({ "private_key_jwt": true }), "private_key_jwt"),
        (ALGS, json!("ES256"), "ES256"),
        (REQUEST_ALGS, json!(["ES256", 1]), "ES256"),
    ] {
        let log = log::capture();
        let setup = Setup::with(|_, registration| {
            by_key(Signing { requests: true, ..keys.signing(SigningAlg::Es256) })(registration);
        })
        .await;
        let mut document = setup.op.metadata();
        document[REQUEST_ALGS] = json!(["ES256"]);
        document[member] = list.clone();
        setup.op.stand("metadata", Reply::json(200, &document));
        assert_eq!(setup.start_failure().await, (LoginReason::ProviderRejectedClient, false), "{member}");
        assert_eq!(setup.op.count("backchannel"), 0, "nothing is sent, signed or not");
        let provider = "op".parse().expect("a name");
        assert_eq!(setup.clients.status(&provider), ProviderStatus::Degraded);
        let text = log.text();
        for part in ["cannot be used", member, wanted, "lps"] {
            assert!(text.contains(part), "{part} in {text}");
        }
        // The provider mends its document: the same registration works.
        document[member] = json!([wanted]);
        setup.op.stand("metadata", Reply::json(200, &document));
        refreshed(&setup).await;
        assert!(setup.start().await.is_ok(), "{member}");
        assert_eq!(setup.clients.status(&provider), ProviderStatus::Ok);
    }
}

#[tokio::test]
async fn a_malformed_list_is_in_nobody_s_way_who_does_not_need_it() {
    let setup = Setup::new().await;
    let mut document = setup.op.metadata();
    document[ALGS] = json!("ES256");
    document[REQUEST_ALGS] = json!(7);
    setup.op.stand("metadata", Reply::json(200, &document));
    assert!(setup.start().await.is_ok());
}

/// Runs the background work until it has fetched metadata again.
async fn refreshed(setup: &Setup) {
    let (before, stop) = (setup.op.count("jwks"), CancellationToken::new());
    let (clients, running) = (Arc::clone(&setup.clients), stop.clone());
    let task = tokio::spawn(async move { clients.run(running).await });
    super::discovery::eventually("fetched again", || setup.op.count("jwks") > before).await;
    stop.cancel();
    task.await.expect("it ends");
}

#[tokio::test]
async fn a_changed_signing_key_signs_and_the_last_one_stays_published() {
    let log = log::capture();
    let keys = Keys::new();
    let (first, second) = (keys.write("key", SigningAlg::Es256), keys.write("next", SigningAlg::Es256));
    let files = |name: &str| keys.0.path().join(name);
    let setup = Setup::with(|_, registration| {
        by_key(Signing { published: vec![files("next")], ..keys.signing(SigningAlg::Es256) })(registration);
    })
    .await;
    let kids = || published(&setup).keys.iter().map(|key| key.common.key_id.clone()).collect::<Vec<_>>();
    let signs = async || {
        assert!(setup.start().await.is_ok());
        let assertion = one(&setup.op.seen("backchannel").pop().expect("a call"), "client_assertion");
        jwt::verified(&published(&setup), &assertion).0["kid"].as_str().expect("a name").to_owned()
    };
    let both = [Some(first.kid.clone()), Some(second.kid.clone())];
    assert_eq!(kids(), both);
    assert_eq!(signs().await, first.kid);

    // The two change places.
    for (from, to) in [("key", "spare"), ("next", "key"), ("spare", "next")] {
        std::fs::rename(files(from), files(to)).expect("renamed");
    }
    setup.clients.reload();
    assert_eq!(kids(), [both[1].clone(), both[0].clone()]);
    assert_eq!(signs().await, second.kid);

    // What cannot be used changes nothing.
    keys.write("key", SigningAlg::Rs256);
    setup.clients.reload();
    assert_eq!(signs().await, second.kid);
    keys.write_text("key", "no key at all");
    setup.clients.reload();
    std::fs::remove_file(files("next")).expect("removed");
    setup.clients.reload();
    assert_eq!(kids(), [both[1].clone(), both[0].clone()], "the last good ones stay");
    assert_eq!(signs().await, second.kid);
    let text = log.text();
    for part in ["does not sign by ES256", "is no PKCS#8 key", "cannot be read", "the last good one stays"] {
        assert!(text.contains(part), "{part} in {text}");
    }
    let third = keys.write("key", SigningAlg::Es256);
    setup.clients.reload();
    assert_eq!(signs().await, third.kid);
}

#[tokio::test]
async fn the_key_that_signed_stays_published_for_a_day() {
    let log = log::capture();
    let keys = Keys::new();
    let (first, next) = (keys.write("key", SigningAlg::Es256), keys.write("next", SigningAlg::Es256));
    let file = |name: &str| keys.0.path().join(name);
    // Another file each time: its stamp differs however quick this is.
    let replace = |name: &str| {
        let key = keys.write("fresh", SigningAlg::Es256);
        std::fs::rename(file("fresh"), file(name)).expect("renamed");
        key
    };
    let setup = Setup::with(|_, registration| {
        by_key(Signing { published: vec![file("next")], ..keys.signing(SigningAlg::Es256) })(registration);
    })
    .await;
    let kids = || {
        let names = published(&setup).keys.into_iter().map(|key| key.common.key_id.expect("a name"));
        names.collect::<Vec<_>>()
    };
    let unannounced = || log.text().matches("was not published before").count();

    // The next one takes its place, and another one that of the next: the first is in no file any more.
    std::fs::rename(file("next"), file("key")).expect("renamed");
    let third = replace("next");
    setup.clients.reload();
    assert_eq!(kids(), [next.kid.clone(), third.kid.clone(), first.kid.clone()]);
    assert_eq!(unannounced(), 0, "it had been published");

    // Nobody knows this one yet.
    setup.clock.advance(Duration::from_hours(1));
    let fourth = replace("key");
    setup.clients.reload();
    assert_eq!(kids(), [&fourth.kid, &third.kid, &first.kid, &next.kid].map(String::clone));
    let text = log.text();
    assert_eq!(unannounced(), 1, "{text}");
    assert!(text.contains("WARN") && text.contains(&fourth.kid), "{text}");

    // A published one that never signed goes at once.
    replace("next");
    setup.clients.reload();
    assert!(!kids().contains(&third.kid));

    setup.clock.advance(Duration::from_hours(23) - Duration::from_secs(1));
    assert!(kids().contains(&first.kid));
    setup.clock.advance(Duration::from_secs(1));
    assert!(!kids().contains(&first.kid), "its day is over");
    assert!(kids().contains(&next.kid));
    // One that signs again is published once.
    std::fs::copy(file("key"), file("spare")).expect("copied");
    replace("key");
    setup.clients.reload();
    std::fs::rename(file("spare"), file("key")).expect("renamed");
    setup.clients.reload();
    assert_eq!(kids().iter().filter(|kid| **kid == fourth.kid).count(), 1);
    assert_eq!(kids()[0], fourth.kid);
}

#[tokio::test]
async fn a_signing_key_that_was_refused_is_taken_over_once_its_mode_is_right() {
    use std::os::unix::fs::PermissionsExt as _;
    let log = log::capture();
    let keys = Keys::new();
    let first = keys.write("key", SigningAlg::Es256);
    let setup = Setup::with(|_, registration| by_key(keys.signing(SigningAlg::Es256))(registration)).await;
    let kid = || published(&setup).keys[0].common.key_id.clone();
    let second = keys.write("next", SigningAlg::Es256);
    let mode = |name: &str, mode| {
        let path = keys.0.path().join(name);
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("set");
    };
    mode("next", 0o644);
    std::fs::rename(keys.0.path().join("next"), keys.0.path().join("key")).expect("renamed");
    for _ in 0..3 {
        setup.clients.reload();
    }
    assert_eq!(kid(), Some(first.kid));
    let text = log.text();
    assert_eq!(text.matches("the last good one stays").count(), 1, "said once: {text}");
    mode("key", 0o600);
    setup.clients.reload();
    assert_eq!(kid(), Some(second.kid));
}

#[tokio::test]
async fn a_registration_without_a_usable_key_is_refused_at_the_start() {
    let keys = Keys::new();
    let setup = Setup::new().await;
    let made = |change: &dyn Fn(&mut RegistrationSettings)| {
        let mut registration = registration_settings();
        change(&mut registration);
        let (provider, clock) = (provider_settings(&setup.op), Arc::new(setup.clock.clone()));
        Clients::new(vec![provider], vec![registration], clock, Arc::new(SystemRandom))
    };
    let without = made(&|registration| {
        by_key(keys.signing(SigningAlg::Es256))(registration);
        registration.signing = None;
    });
    assert!(matches!(without, Err(SettingsError::NoSigningKey { .. })));
    let absent = made(&|registration| by_key(keys.signing(SigningAlg::Es256))(registration));
    assert!(matches!(absent, Err(SettingsError::SigningKey { .. })));
    keys.write("key", SigningAlg::Rs256);
    let of_another_kind = made(&|registration| by_key(keys.signing(SigningAlg::Es256))(registration));
    assert!(matches!(of_another_kind, Err(SettingsError::SigningKey { .. })));
    let bare = made(&|registration| registration.credential = Credential::SelfSignedTlsClientAuth);
    assert!(matches!(bare, Err(SettingsError::NoCertificate { .. })));
}

/// A provider on HTTPS that takes any client certificate, and the certificates that it was shown.
async fn any_certificate(server: &Path) -> (Op, Arc<Mutex<Vec<Option<Vec<u8>>>>>) {
    relais::net::install_provider();
    let files = vec![ServerFiles { cert: server.join("server.pem"), key: server.join("server.key") }];
    let settings = ServerTlsSettings {
        certificates: files,
        client_auth: ClientAuth::Optional { ca: None },
        on_refused: Arc::new(|_| {}),
    };
    let tls = ServerTls::new(settings, ManualClock::at_present().now()).expect("certificates");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let op = Op::unbound(format!("https://localhost:{}", listener.local_addr().expect("bound").port()));
    let shown: Arc<Mutex<Vec<Option<Vec<u8>>>>> = Arc::default();
    let notes = Arc::clone(&shown);
    let router = op.router().layer(from_fn(move |request: Request, next: Next| {
        let peer = request.extensions().get::<Peer>().and_then(|peer| peer.certificate.clone());
        notes.lock().expect("notes").push(peer.map(|certificate| certificate.der.clone()));
        next.run(request)
    }));
    tokio::spawn(serve(listener, Some(tls), router, Limits::default(), CancellationToken::new()));
    (op, shown)
}

#[tokio::test]
async fn a_self_signed_certificate_is_shown_and_client_id_is_in_the_body() {
    let folder = tempfile::tempdir().expect("a folder");
    let pki = DevPki::generate(CLIENT_ID, ManualClock::at_present().now()).expect("a PKI");
    pki.write(&folder.path().join("server")).expect("written");
    let key = rcgen::KeyPair::generate().expect("a key");
    let own = rcgen::CertificateParams::new(vec![]).expect("parameters").self_signed(&key).expect("signed");
    let files = CertificateFiles { cert: folder.path().join("own.pem"), key: folder.path().join("own.key") };
    std::fs::write(&files.cert, own.pem()).expect("written");
    relais::crypto::key_file::write_new(&files.key, &Secret::new(key.serialize_pem())).expect("written");
    let (op, shown) = any_certificate(&folder.path().join("server")).await;
    let roots = std::fs::read(folder.path().join("server/ca.pem")).expect("roots");
    let setup = Setup::at(op, |provider, registration| {
        provider.roots_pem = Some(roots);
        provider.https_only = true;
        registration.credential = Credential::SelfSignedTlsClientAuth;
        registration.certificates = vec![files];
    });
    for seen in calls(&setup).await {
        assert_eq!(one(&seen, "client_id"), CLIENT_ID);
        let credentials = [seen.form("client_secret"), seen.form("client_assertion")];
        assert_eq!((credentials, seen.header("authorization")), ([vec![], vec![]], None));
    }
    let shown = shown.lock().expect("notes");
    assert!(shown.len() >= 3 && shown.iter().all(|der| der.as_deref() == Some(own.der().as_ref())));
}
