//! Row 87: what a provider is told when something is over, and what its answers mean.

use std::time::Duration;

use relais::domain::secret::Secret;
use relais::engine::ports::{Heard, Providers, Revoked};
use relais::provider::Credential;
use serde_json::{Value, json};

use super::op::{Op, Reply};
use super::setup::{CLIENT_ID, Setup};

const TOKEN: &str = "a token+/=&% é";

fn with_endpoints(op: &Op) -> Value {
    let mut document = op.metadata();
    document["revocation_endpoint"] = json!(op.url("revoke"));
    document["end_session_endpoint"] = json!(op.url("logout"));
    document
}

async fn telling() -> Setup {
    let setup = Setup::new().await;
    setup.op.stand("metadata", Reply::json(200, &with_endpoints(&setup.op)));
    setup.op.stand("revoke", Reply::raw(200, "text/plain", ""));
    setup.op.stand("logout", Reply::raw(200, "text/html", "<p>You are logged out</p>"));
    setup
}

impl Setup {
    async fn revoke(&self, kind: Revoked) -> Heard {
        self.clients.revoke(&self.registration, None, kind, &Secret::new(TOKEN)).await
    }

    async fn end_session(&self) -> Heard {
        self.clients.end_session(&self.registration, None, &Secret::new(TOKEN)).await
    }
}

#[tokio::test]
async fn rp_087_a_token_is_revoked_by_its_client() {
    let setup = telling().await;
    for (kind, hint) in [(Revoked::RefreshToken, "refresh_token"), (Revoked::AccessToken, "access_token")] {
        assert_eq!(setup.revoke(kind).await, Heard::Accepted);
        let seen = setup.op.seen("revoke").pop().expect("asked");
        assert_eq!(seen.method, "POST");
        assert_eq!(seen.header("content-type"), Some("application/x-www-form-urlencoded"));
        assert!(seen.header("authorization").is_some_and(|value| value.starts_with("Basic ")));
        assert_eq!(
            (seen.form("token"), seen.form("token_type_hint")),
            (vec![TOKEN.to_owned()], vec![hint.to_owned()])
        );
    }
    assert_eq!(setup.op.count("logout"), 0);
}

#[tokio::test]
async fn rp_087_with_a_certificate_the_client_says_its_name() {
    let setup = Setup::with(|_, registration| {
        registration.credential =
            Credential::ClientSecretPost { secret: Secret::new("client-secret-canary") };
    })
    .await;
    setup.op.stand("metadata", Reply::json(200, &with_endpoints(&setup.op)));
    setup.op.stand("revoke", Reply::raw(200, "text/plain", ""));
    assert_eq!(setup.revoke(Revoked::RefreshToken).await, Heard::Accepted);
    let seen = setup.op.seen("revoke").pop().expect("asked");
    assert_eq!(seen.form("client_id"), [CLIENT_ID]);
    assert!(seen.header("authorization").is_none());
}

#[tokio::test]
async fn rp_087_a_person_is_logged_out_by_the_id_token_alone() {
    let setup = telling().await;
    assert_eq!(setup.end_session().await, Heard::Accepted);
    let seen = setup.op.seen("logout").pop().expect("asked");
    assert_eq!((seen.method.as_str(), seen.form("id_token_hint")), ("POST", vec![TOKEN.to_owned()]));
    assert!(seen.header("authorization").is_none(), "whoever holds the ID token may");
    for name in ["client_secret", "post_logout_redirect_uri", "state"] {
        assert!(seen.form(name).is_empty(), "{name}");
    }
    setup.op.next("logout", Reply::raw(302, "text/html", "").with("location", "/elsewhere"));
    assert_eq!(
        setup.end_session().await,
        Heard::Accepted,
        "where a browser would be sent is nobody's business"
    );
    assert_eq!(setup.op.count("elsewhere"), 0);
}

#[tokio::test]
async fn rp_087_a_provider_without_the_endpoints_is_asked_nothing() {
    let setup = Setup::new().await;
    assert_eq!(setup.revoke(Revoked::RefreshToken).await, Heard::NotOffered);
    assert_eq!(setup.end_session().await, Heard::NotOffered);
}

#[tokio::test]
async fn rp_087_what_could_be_otherwise_later_is_told_again() {
    let setup = telling().await;
    let wait = |seconds| Heard::Unreachable { retry_after: Some(Duration::from_secs(seconds)) };
    let unreachable = Heard::Unreachable { retry_after: None };
    for (reply, heard) in [
        (Reply::error(503, "temporarily_unavailable").with("retry-after", "7"), wait(7)),
        (Reply::raw(502, "text/html", "<html>"), unreachable),
        (Reply::error(401, "invalid_client"), unreachable),
        (Reply::Cut, unreachable),
        (Reply::error(400, "unsupported_token_type"), Heard::Refused),
        (Reply::error(400, "invalid_request"), Heard::Refused),
    ] {
        setup.op.next("revoke", reply.clone());
        assert_eq!(setup.revoke(Revoked::AccessToken).await, heard);
        setup.op.next("logout", reply);
        assert_eq!(setup.end_session().await, heard);
    }
    let page = Reply::raw(400, "text/html", "<h1>400 The SSL certificate error</h1>");
    setup.op.next("revoke", page.clone());
    assert_eq!(setup.revoke(Revoked::AccessToken).await, unreachable, "a proxy's, not the provider's word");
    setup.op.next("logout", page);
    assert_eq!(setup.end_session().await, Heard::Refused);
}

#[tokio::test]
async fn rp_087_without_metadata_nobody_knows_where_to_go() {
    let setup = Setup::new().await;
    setup.op.stand("metadata", Reply::json(503, &json!({})));
    assert_eq!(setup.revoke(Revoked::RefreshToken).await, Heard::Unreachable { retry_after: None });
    assert_eq!(setup.end_session().await, Heard::Unreachable { retry_after: None });
    setup.op.stand("metadata", Reply::json(200, &with_endpoints(&setup.op)));
    setup.op.stand("revoke", Reply::raw(200, "text/plain", ""));
    assert_eq!(setup.revoke(Revoked::RefreshToken).await, Heard::Accepted);
}
