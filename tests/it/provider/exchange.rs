//! The exchange of a token for a target (RFC 8693): what is sent, byte for byte, and what an answer means.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use relais::crypto::random::SystemRandom;
use relais::crypto::signing_key::{SigningAlg, generate};
use relais::domain::secret::Secret;
use relais::domain::subject::{Code, Exercice};
use relais::domain::target::{Cnf, ExchangeAuth, SubjectTokenType, Target};
use relais::engine::ports::{
    Acting, ExchangeAnswer, ExchangeRequest, ProviderStatus, Providers as _, Software,
};
use relais::provider::{AssertionAudience, Clients, Credential, ExchangeSettings, SettingsError, Signing};
use serde_json::{Value, json};

use crate::support::jwt::{self, hex};
use crate::support::{log, targets};

use super::op::Reply;
use super::setup::{CLIENT_ID, Setup, TARGET, provider_settings, registration_settings};
use super::tls::{Pki, by_certificate, listen};

const SUBJECT_TOKEN: &str = "subject-token-canary+/=&é";
const EXCHANGED_TOKEN: &str = "exchanged-token-canary";
const CLIENT_SECRET: &str = "client-secret-canary";

/// What every request begins with, after the client's own parameters.
const BEGINNING: &str = "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange\
    &subject_token=subject-token-canary%2B%2F%3D%26%C3%A9\
    &subject_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Aaccess_token";

fn target(setup: &Setup) -> Target {
    targets::target(TARGET, &setup.op.url("exchange"))
}

fn answer() -> Value {
    json!({
        "access_token": EXCHANGED_TOKEN, "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
        "token_type": "Bearer", "expires_in": 300,
    })
}

fn acting() -> Acting {
    Acting {
        software: Software {
            name: Some("Médical".to_owned()),
            version: Some("12.3".to_owned()),
            id: Some("LPS-77".to_owned()),
        },
        exercice: Some(Exercice {
            id: "a1".to_owned(),
            profession: Code { code: "10".to_owned(), label: Some("Médecin".to_owned()) },
            savoir_faire: None,
            mode: None,
            role: None,
            site: None,
        }),
    }
}

impl Setup {
    async fn exchange_with(&self, target: &Target, acting: Option<Acting>) -> ExchangeAnswer {
        let request = ExchangeRequest {
            x5t: self.clients.certificate_in_use(&self.registration),
            subject_token: Secret::new(SUBJECT_TOKEN),
            acting,
        };
        self.clients.exchange(&self.registration, target, request).await
    }

    /// The body of the request that is made for this target.
    async fn exchange_body(&self, change: impl FnOnce(&mut Target)) -> String {
        let mut target = target(self);
        change(&mut target);
        self.op.stand("exchange", Reply::json(200, &answer()));
        assert_eq!(meaning(&self.exchange_with(&target, None).await), "exchanged 300");
        self.op.seen("exchange").pop().expect("a request").body
    }

    /// What it means when the authorization server says this.
    async fn meaning_of_exchange(&self, reply: Reply) -> String {
        self.op.next("exchange", reply);
        meaning(&self.exchange_with(&target(self), None).await)
    }
}

fn meaning(answer: &ExchangeAnswer) -> String {
    match answer {
        ExchangeAnswer::Exchanged { expires_in, .. } => {
            expires_in.map_or_else(|| "exchanged".to_owned(), |life| format!("exchanged {}", life.as_secs()))
        }
        ExchangeAnswer::Refused { of_subject_token: true } => "refused, as is the token".to_owned(),
        ExchangeAnswer::Refused { of_subject_token: false } => "refused".to_owned(),
        ExchangeAnswer::Unavailable { retry_after } => retry_after
            .map_or_else(|| "unavailable".to_owned(), |wait| format!("unavailable {}", wait.as_secs())),
    }
}

#[tokio::test]
async fn the_request_says_what_is_configured_and_no_more() {
    let setup = Setup::new().await;
    assert_eq!(setup.exchange_body(|_| {}).await, BEGINNING);
    let everything = setup.exchange_body(|target| {
        let exchange = &mut target.exchange;
        exchange.audience = Some("signs & session".to_owned());
        exchange.resource = Some("https://api.example/fhir?a=1".to_owned());
        exchange.scope = Some("dmp.read dmp.write".to_owned());
        exchange.subject_issuer = Some("psc".to_owned());
    });
    let expected = format!(
        "{BEGINNING}&subject_issuer=psc&audience=signs+%26+session\
         &resource=https%3A%2F%2Fapi.example%2Ffhir%3Fa%3D1&scope=dmp.read+dmp.write"
    );
    assert_eq!(everything.await, expected);
    let as_jwt = setup.exchange_body(|target| target.exchange.subject_token_type = SubjectTokenType::Jwt);
    assert_eq!(as_jwt.await, BEGINNING.replace("access_token", "jwt").replace("jwt=", "access_token="));
    let sent = setup.op.seen("exchange").pop().expect("a request");
    assert_eq!(sent.header("content-type"), Some("application/x-www-form-urlencoded"));
    assert_eq!(sent.header("accept"), Some("application/json"));
    let basic = STANDARD.encode(format!("{CLIENT_ID}:{CLIENT_SECRET}"));
    assert_eq!(sent.header("authorization"), Some(format!("Basic {basic}").as_str()));
}

#[tokio::test]
async fn a_target_may_have_credentials_of_its_own() {
    let setup = Setup::new().await;
    let posted = setup.exchange_body(|target| {
        target.exchange.client_id = Some("ans odc".to_owned());
        target.exchange.auth = ExchangeAuth::ClientSecretPost(Secret::new("other&secret"));
    });
    assert_eq!(posted.await, format!("client_id=ans+odc&client_secret=other%26secret&{BEGINNING}"));
    assert_eq!(setup.op.seen("exchange").pop().expect("a request").header("authorization"), None);
    let basic = setup.exchange_body(|target| {
        target.exchange.client_id = Some("ans odc".to_owned());
        target.exchange.auth = ExchangeAuth::ClientSecretBasic(Secret::new("other&secret"));
    });
    assert_eq!(basic.await, BEGINNING);
    let expected = format!("Basic {}", STANDARD.encode("ans+odc:other%26secret"));
    let sent = setup.op.seen("exchange").pop().expect("a request");
    assert_eq!(sent.header("authorization"), Some(expected.as_str()));
    let by_certificate = setup.exchange_body(|target| target.exchange.auth = ExchangeAuth::Certificate);
    assert_eq!(by_certificate.await, format!("client_id={CLIENT_ID}&{BEGINNING}"));
}

#[tokio::test]
async fn r_d_09_the_bound_certificate_is_on_the_connection_and_named_in_either_encoding() {
    let pki = Pki::new();
    let op = listen(&pki, "localhost").await;
    let files = [pki.write("new", &pki.client(60)), pki.write("old", &pki.client(30))];
    let only_old = Setup::at(op.clone(), by_certificate(&pki, &files[1..]));
    let old = only_old.clients.certificate_in_use(&only_old.registration).expect("a certificate");
    let setup = Setup::at(op, by_certificate(&pki, &files));
    setup.op.stand("exchange", Reply::json(200, &answer()));
    let request = |x5t: Option<&str>| ExchangeRequest {
        x5t: x5t.map(str::to_owned),
        subject_token: Secret::new(SUBJECT_TOKEN),
        acting: None,
    };
    for cnf in [Cnf::Rfc8705, Cnf::CisisHex] {
        let mut target = target(&setup);
        target.exchange.cnf = cnf;
        let made = setup.clients.exchange(&setup.registration, &target, request(Some(&old))).await;
        let ExchangeAnswer::Exchanged { access_token, x5t, .. } = made else { panic!("{}", meaning(&made)) };
        assert_eq!((access_token.expose(), x5t.as_deref()), (EXCHANGED_TOKEN, Some(old.as_str())));
        let sent = setup.op.seen("exchange").pop().expect("a request");
        let [named] = sent.form("cnf").try_into().expect("one");
        let expected = match cnf {
            Cnf::CisisHex => {
                let digest = URL_SAFE_NO_PAD.decode(&old).expect("base64url");
                STANDARD.encode(hex(&digest))
            }
            _ => old.clone(),
        };
        assert_eq!(named, format!(r#"{{"x5t#S256":"{expected}"}}"#));
        assert!(named.ends_with(r#"="}"#) == (cnf == Cnf::CisisHex), "64 characters leave a padding");
    }
    // Where no certificate is named, it is the one for new logins, and the token is bound to that.
    let made = setup.clients.exchange(&setup.registration, &target(&setup), request(None)).await;
    let ExchangeAnswer::Exchanged { x5t, .. } = made else { panic!("{}", meaning(&made)) };
    assert_eq!(x5t, setup.clients.certificate_in_use(&setup.registration));
    assert_ne!(x5t.as_deref(), Some(old.as_str()));
    // One that is not there any more is replaced by no other.
    let before = setup.op.count("exchange");
    let made = setup.clients.exchange(&setup.registration, &target(&setup), request(Some("unknown"))).await;
    assert_eq!((meaning(&made).as_str(), setup.op.count("exchange")), ("unavailable", before));
}

#[tokio::test]
async fn a_token_that_cannot_be_bound_or_signed_is_not_asked_for() {
    let setup = Setup::new().await;
    let mut unbound = target(&setup);
    unbound.exchange.cnf = Cnf::Rfc8705;
    assert_eq!(meaning(&setup.exchange_with(&unbound, None).await), "unavailable");
    let mut unsigned = target(&setup);
    unsigned.exchange.auth = ExchangeAuth::PrivateKeyJwt;
    assert_eq!(meaning(&setup.exchange_with(&unsigned, None).await), "unavailable");
    assert_eq!(meaning(&setup.exchange_with(&target(&setup), Some(acting())).await), "unavailable");
    let mut other = target(&setup);
    other.name = "another".parse().expect("a name");
    assert_eq!(meaning(&setup.exchange_with(&other, None).await), "unavailable", "its roots are not known");
    assert_eq!(setup.op.count("exchange"), 0);
}

#[tokio::test]
async fn an_actor_token_says_who_acts_and_is_no_client_assertion() {
    let folder = tempfile::tempdir().expect("a folder");
    let key = folder.path().join("key");
    let pem = generate(SigningAlg::ALL[0]).expect("a key");
    relais::crypto::key_file::write_new(&key, &pem).expect("written");
    let log = log::capture();
    let setup = Setup::with(|_, registration| {
        registration.credential =
            Credential::PrivateKeyJwt { audience: AssertionAudience::Issuer, typ: None };
        registration.signing = Some(Signing {
            alg: SigningAlg::ALL[0],
            key: key.clone(),
            published: Vec::new(),
            requests: false,
        });
    })
    .await;
    let keys = serde_json::from_value(setup.clients.jwks(&setup.registration).expect("keys")).expect("a set");
    setup.op.stand("exchange", Reply::json(200, &answer()));
    let target = target(&setup);
    assert_eq!(meaning(&setup.exchange_with(&target, Some(acting())).await), "exchanged 300");
    let sent = setup.op.seen("exchange").pop().expect("a request");
    assert_eq!(sent.form("actor_token_type"), ["urn:ietf:params:oauth:token-type:jwt"]);
    let [token] = sent.form("actor_token").try_into().expect("one");
    let [assertion] = sent.form("client_assertion").try_into().expect("one");
    let (_, mut claims) = jwt::verified(&keys, &token);
    let now = setup.now();
    assert!(claims["jti"].is_string());
    claims.as_object_mut().expect("an object").remove("jti");
    // Without an audience nobody takes it for one (RFC 7523 §3).
    let expected = json!({
        "iss": CLIENT_ID, "sub": CLIENT_ID, "iat": now, "exp": now + 60,
        "lps_nom": "Médical", "lps_id": "LPS-77", "lps_version": "12.3",
        "situation_exercice": {"id": "a1", "profession": {"code": "10", "label": "Médecin"}},
    });
    assert_eq!(claims, expected);
    // It is not the provider: what was made for the provider would prove nothing here.
    let (_, claims) = jwt::verified(&keys, &assertion);
    assert_eq!(claims["aud"], json!(setup.op.url("exchange")));
    // At the provider itself an assertion is what the registration says.
    setup.clients.ensure_metadata(&setup.registration).await.expect("metadata");
    let mut at_home = target.clone();
    at_home.exchange.token_endpoint = setup.op.url("token").parse().expect("a URL");
    setup.op.next("token", Reply::json(200, &answer()));
    assert_eq!(meaning(&setup.exchange_with(&at_home, None).await), "exchanged 300");
    let [assertion] =
        setup.op.seen("token").pop().expect("a request").form("client_assertion").try_into().expect("one");
    assert_eq!(jwt::verified(&keys, &assertion).1["aud"], json!(setup.op.base));
    for secret in [SUBJECT_TOKEN, EXCHANGED_TOKEN, token.as_str(), "LPS-77"] {
        assert!(!log.text().contains(secret));
    }
}

#[tokio::test]
async fn a_refusal_is_one_and_trouble_is_none() {
    let log = log::capture();
    let setup = Setup::new().await;
    for (status, error) in [(400, "invalid_grant"), (400, "invalid_request"), (401, "invalid_token")] {
        let meaning = setup.meaning_of_exchange(Reply::error(status, error)).await;
        assert_eq!(meaning, "refused, as is the token", "{status} {error}");
    }
    for (status, error) in [
        (400, "invalid_target"),
        (400, "invalid_scope"),
        (401, "invalid_client"),
        (403, "unauthorized_client"),
        (403, "access_denied"),
        (400, "unsupported_grant_type"),
        (400, "something_new"),
    ] {
        let meaning = setup.meaning_of_exchange(Reply::error(status, error)).await;
        assert_eq!(meaning, "refused", "{status} {error}");
    }
    assert_eq!(setup.meaning_of_exchange(Reply::raw(401, "text/html", "<html>")).await, "refused");
    for (status, error) in [
        (500, "server_error"),
        (502, "invalid_grant"),
        (503, "temporarily_unavailable"),
        (400, "temporarily_unavailable"),
        (429, "invalid_request"),
        (408, "invalid_request"),
    ] {
        let meaning = setup.meaning_of_exchange(Reply::error(status, error)).await;
        assert_eq!(meaning, "unavailable", "{status} {error}");
    }
    for status in [301, 302, 307, 400, 403, 404, 500, 502, 503, 504] {
        let reply = Reply::raw(status, "text/html", "<html>").with("location", "https://elsewhere.example/");
        assert_eq!(setup.meaning_of_exchange(reply).await, "unavailable", "{status}");
    }
    let busy = Reply::error(429, "slow_down").with("retry-after", "7");
    assert_eq!(setup.meaning_of_exchange(busy).await, "unavailable 7");
    assert_eq!(setup.meaning_of_exchange(Reply::Cut).await, "unavailable");
    // Nobody's words but the code's reach a log.
    for told in ["invalid_target", "endpoint=\"exchange\""] {
        assert!(log.text().contains(told), "{told}");
    }
    for secret in [SUBJECT_TOKEN, "899700000001", CLIENT_SECRET, "something_new"] {
        assert!(!log.text().contains(secret), "{secret}");
    }
}

#[tokio::test]
async fn an_answer_that_nobody_can_use_is_none() {
    let log = log::capture();
    let setup = Setup::new().await;
    let with = |name: &str, value: Value| {
        let mut body = answer();
        body[name] = value;
        Reply::json(200, &body)
    };
    for (name, value) in [
        ("token_type", json!("N_A")),
        ("issued_token_type", json!("urn:ietf:params:oauth:token-type:id_token")),
        ("access_token", json!("two words")),
        ("expires_in", json!("300")),
        ("expires_in", json!(0)),
    ] {
        assert_eq!(
            setup.meaning_of_exchange(with(name, value.clone())).await,
            "unavailable",
            "{name} {value}"
        );
        assert!(log.text().contains(name), "the broken rule is named");
    }
    let large = Reply::raw(200, "application/json", format!("{{\"pad\":\"{}\"}}", "x".repeat(64 * 1024)));
    assert_eq!(setup.meaning_of_exchange(large).await, "unavailable");
    assert!(!log.text().contains(EXCHANGED_TOKEN));
}

#[tokio::test]
async fn how_a_targets_server_fares_says_nothing_of_the_provider() {
    let setup = Setup::new().await;
    setup.clients.ensure_metadata(&setup.registration).await.expect("metadata");
    let provider = "op".parse().expect("a name");
    assert_eq!(setup.clients.status(&provider), ProviderStatus::Ok);
    for reply in [Reply::raw(500, "text/html", ""), Reply::Cut] {
        assert_eq!(setup.meaning_of_exchange(reply).await, "unavailable");
        assert_eq!(setup.clients.status(&provider), ProviderStatus::Ok);
    }
}

#[tokio::test]
async fn roots_that_cannot_be_read_refuse_the_start() {
    let setup = Setup::new().await;
    let clients = Clients::new(
        vec![provider_settings(&setup.op)],
        vec![registration_settings()],
        Arc::new(setup.clock.clone()),
        Arc::new(SystemRandom),
    );
    let made = clients.expect("valid settings").with_exchanges(vec![ExchangeSettings {
        target: TARGET.parse().expect("a name"),
        roots_pem: Some(b"no PEM".to_vec()),
        allow_private_addresses: false,
        https_only: true,
    }]);
    assert!(matches!(made, Err(SettingsError::Exchange { .. })));
}
