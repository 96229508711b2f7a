//! Applications that authenticate by client certificate, over TLS (RFC 8705): by thumbprint of a self-signed one, by
//! subject and by DNS name of a chained one.

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    IsCa, KeyPair,
};
use reqwest::{Certificate, Identity, Method};
use serde_json::{Value, json};

use super::{Application, LoginToken, ROUTES, Who};
use crate::support::http::Caller;
use crate::support::stack::{Backend, DOCTOR, SECRET, Stack};

const SAN: &str = "chained.example.fr";

/// A client certificate and its key.
struct Card {
    pem: String,
    key: String,
    der: Vec<u8>,
}

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = params(name, None);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("an authority"))
    }

    fn card(&self, name: &str, san: Option<&str>) -> Card {
        let key = KeyPair::generate().expect("a key");
        let certificate = params(name, san).signed_by(&key, &self.0).expect("a certificate");
        Card { pem: certificate.pem(), key: key.serialize_pem(), der: certificate.der().to_vec() }
    }
}

fn params(name: &str, san: Option<&str>) -> CertificateParams {
    let mut params =
        CertificateParams::new(san.map(str::to_owned).into_iter().collect::<Vec<_>>()).expect("names");
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, "Practice");
    params.distinguished_name.push(DnType::CommonName, name);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params
}

fn self_signed(name: &str) -> Card {
    let key = KeyPair::generate().expect("a key");
    let certificate = params(name, None).self_signed(&key).expect("a certificate");
    Card { pem: certificate.pem(), key: key.serialize_pem(), der: certificate.der().to_vec() }
}

fn sha256(der: &[u8]) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, der);
    digest.as_ref().iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

/// Relais over TLS, with three applications by certificate and one by secret.
struct World {
    stack: Stack,
    trusted: Authority,
    pinned: Card,
    by_dn: Card,
    by_san: Card,
}

impl World {
    async fn new() -> Self {
        let trusted = Authority::new("Practice CA");
        let pinned = self_signed("anything");
        let (by_dn, by_san) = (trusted.card("chained", None), trusted.card("whoever", Some(SAN)));
        let mut stack = Stack::on(Backend::Sqlite).manual_clock().start().await;
        std::fs::write(stack.folder.join("certs/applications.pem"), trusted.0.pem()).expect("written");
        let application = |name: &str, lines: &str| {
            format!(
                "[applications.{name}]\nkind = \"backend\"\ntenant = \"practice\"\nregistrations = [\"psc\"]\n{lines}\n"
            )
        };
        stack.config = stack.config.replace(
            "public_url = \"http://127.0.0.1:0\"",
            "public_url = \"https://localhost:8443\"\ntls = [{ cert = \"certs/server.pem\", key = \"certs/server.key\" }]\n\
             client_ca = \"certs/applications.pem\"",
        ) + &application(
            "pinned",
            &format!("auth = \"self_signed_tls_client_auth\"\ncertificate_sha256 = [\"{}\"]", sha256(&pinned.der)),
        ) + &application(
            "by-dn",
            "auth = \"tls_client_auth\"\ntls_client_auth_subject_dn = \"CN=chained,O=Practice\"",
        ) + &application("by-san", &format!("auth = \"tls_client_auth\"\ntls_client_auth_san_dns = \"{SAN}\""));
        stack.restart().await;
        stack.relais = caller(&stack, None);
        Self { stack, trusted, pinned, by_dn, by_san }
    }

    fn with(&self, card: &Card) -> Caller {
        caller(&self.stack, Some(card))
    }

    /// Which application a caller is; `None`: none.
    async fn name(&self, caller: &Caller) -> Option<String> {
        let answer = caller.get("/v1/application").await;
        if answer.status.as_u16() == 200 {
            return Some(answer.text("/application"));
        }
        answer.expect_problem(401, "application_unauthenticated");
        None
    }
}

fn caller(stack: &Stack, card: Option<&Card>) -> Caller {
    let ca = std::fs::read(stack.folder.join("certs/ca.pem")).expect("the server's CA");
    let identity = card
        .map(|card| Identity::from_pem(format!("{}{}", card.pem, card.key).as_bytes()).expect("an identity"));
    Caller::with(format!("https://localhost:{}", stack.app().clients().port()), |builder| {
        let builder = builder.tls_certs_only([Certificate::from_pem(&ca).expect("PEM")]);
        match identity {
            Some(identity) => builder.identity(identity),
            None => builder,
        }
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_is_the_one_that_its_certificate_belongs_to() {
    let world = World::new().await;
    for (card, name) in [(&world.pinned, "pinned"), (&world.by_dn, "by-dn"), (&world.by_san, "by-san")] {
        assert_eq!(world.name(&world.with(card)).await.as_deref(), Some(name));
    }
    assert_eq!(world.name(&world.stack.desk()).await.as_deref(), Some("desk"));
    world.stack.relais.get("/v1/application").await.expect_problem(401, "credential_missing");
}

#[tokio::test(flavor = "multi_thread")]
async fn r_f_02_a_certificate_that_only_resembles_one_is_refused() {
    let world = World::new().await;
    let strangers = Authority::new("Practice CA");
    for (what, card) in [
        ("the pinned name with another key", self_signed("anything")),
        ("the right subject, self-signed", self_signed("chained")),
        ("the right subject of a foreign authority with the same name", strangers.card("chained", None)),
        ("the right DNS name of a foreign authority", strangers.card("whoever", Some(SAN))),
        ("a longer subject", world.trusted.card("chained2", None)),
        ("another DNS name", world.trusted.card("whoever", Some("other.example.fr"))),
        ("the DNS name as a subject", world.trusted.card(SAN, None)),
        ("a wildcard", world.trusted.card("whoever", Some("*.example.fr"))),
    ] {
        assert_eq!(world.name(&world.with(&card)).await, None, "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_two_applications_is_nobody_s() {
    let world = World::new().await;
    let both = world.trusted.card("chained", Some(SAN));
    for _ in 0..3 {
        assert_eq!(world.name(&world.with(&both)).await, None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn r_f_02_two_credentials_or_another_kind_are_refused_on_every_route_of_applications() {
    let world = World::new().await;
    for route in ROUTES.into_iter().filter(|route| route.2 == Application) {
        for card in [&world.pinned, &world.by_dn, &world.by_san] {
            let with = world.with(card);
            for both in [with.basic("desk", SECRET), with.basic("pinned", ""), with.basic("by-dn", SECRET)] {
                call(&both, route, "").await.expect_problem(401, "application_unauthenticated");
            }
        }
        for name in ["pinned", "by-dn", "by-san"] {
            let instead = world.stack.relais.basic(name, SECRET);
            call(&instead, route, "").await.expect_problem(401, "application_unauthenticated");
        }
    }
    assert!(world.stack.requests().await.is_empty(), "no phone rang");
}

#[tokio::test(flavor = "multi_thread")]
async fn below_a_login_and_a_session_the_connection_carries_the_application_s_certificate() {
    let world = World::new().await;
    for (card, other) in
        [(&world.pinned, &world.by_dn), (&world.by_dn, &world.by_san), (&world.by_san, &world.pinned)]
    {
        let application = world.with(card);
        let handle = world.stack.sign_in_as(&application, DOCTOR).await.text("/session_handle");
        let started = application.post("/v1/logins", json!({ "login_hint": DOCTOR })).await.expect(201);
        let (token, login) = (started.text("/login_token"), started.text("/login_id"));
        let unknown = self_signed("chained");
        for route in ROUTES.into_iter().filter(|route| route.2 != Application) {
            let credential = |who: Who| if who == LoginToken { &token } else { &handle };
            for wrong in [world.stack.relais.clone(), world.with(other), world.with(&unknown)] {
                let answer = call(&wrong.bearer(credential(route.2)), route, &login).await;
                let answer = answer.expect_problem(401, "application_unauthenticated");
                let challenge = answer.header("www-authenticate").expect("a challenge");
                assert!(challenge.starts_with("Bearer"), "{challenge}");
            }
        }
        let session = application.bearer(&handle);
        session.get("/v1/session").await.expect(200);
        let holder = application.bearer(&token);
        let read = holder.get(&format!("/v1/logins/{login}")).await.expect(200);
        assert_eq!(read.text("/status"), "pending");
        holder.delete(&format!("/v1/logins/{login}")).await.expect(204);
        session.delete("/v1/session").await.expect(204);
        // Who comes without the certificate does not even learn that the session has ended.
        let answer = world.stack.relais.bearer(&handle).get("/v1/session").await;
        answer.expect_problem(401, "application_unauthenticated");
    }
}

/// Some client libraries stumble over the question, and one that answers it would come with two credentials.
#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_asked_for_only_while_an_application_has_one() {
    let mut world = World::new().await;
    let with_certificates = world.stack.config.clone();
    let (without, _) = with_certificates.split_once("[applications.pinned]").expect("the applications");
    let both = |world: &World| world.with(&world.pinned).basic("desk", SECRET);
    both(&world).get("/v1/application").await.expect_problem(401, "application_unauthenticated");

    world.stack.reload(without);
    assert_eq!(world.name(&both(&world)).await.as_deref(), Some("desk"), "nobody asked for the certificate");
    let only = world.with(&world.pinned).get("/v1/application").await;
    only.expect_problem(401, "credential_missing");

    // One is enough, whichever kind of certificate it has.
    let application = |name: &str| {
        let (_, of_it) =
            with_certificates.split_once(&format!("[applications.{name}]")).expect("the application");
        let of_it = of_it.split("[applications.").next().expect("its lines");
        format!("{without}\n[applications.{name}]{of_it}")
    };
    for (name, card) in [("pinned", &world.pinned), ("by-dn", &world.by_dn), ("by-san", &world.by_san)] {
        world.stack.reload(&application(name));
        assert_eq!(world.name(&world.with(card)).await.as_deref(), Some(name));
        both(&world).get("/v1/application").await.expect_problem(401, "application_unauthenticated");
        world.stack.reload(without);
        assert_eq!(world.name(&both(&world)).await.as_deref(), Some("desk"));
    }

    // From the beginning too.
    without.clone_into(&mut world.stack.config);
    world.stack.restart().await;
    assert_eq!(world.name(&both(&world)).await.as_deref(), Some("desk"));
}

/// A certificate of another application does not stand in the way where the application has a secret: there the
/// token alone is the credential.
#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_nobody_asked_for_does_no_harm_below_a_token() {
    let world = World::new().await;
    let started = world.stack.start(DOCTOR).await.expect(201);
    let path = format!("/v1/logins/{}", started.text("/login_id"));
    let holder = world.with(&world.pinned).bearer(&started.text("/login_token"));
    holder.get(&path).await.expect(200);
}

async fn call(caller: &Caller, route: (&str, &str, Who), login: &str) -> crate::support::http::Answer {
    let (method, path, _) = route;
    let body = match (method, path) {
        ("post", "/v1/logins") => json!({ "login_hint": "899700000003" }),
        ("put", _) => json!({ "id": "x" }),
        _ => Value::Null,
    };
    let method = Method::from_bytes(method.to_uppercase().as_bytes()).expect("a method");
    caller.send(method, &path.replace("{login_id}", login), Some(body)).await
}
