//! How the client is told: what a request needs for it, and what the token endpoint says of a push client.

use serde_json::{Value, json};

use super::{Answer, DOCTOR, Lab, asked};

const TOKEN: &str = "rnt_a-token.of~this+request/1==";

async fn delivered(mode: &str) -> Lab {
    let lab = Lab::new();
    let answer =
        lab.settings(json!({ "delivery": { "mode": mode, "endpoint": "https://localhost:1/ciba" } })).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["delivery"]["mode"]), (200, &json!(mode)));
    lab
}

/// A request for a doctor, with these parameters too.
async fn ring(lab: &Lab, more: &[(&str, &str)]) -> Answer {
    let pairs: Vec<_> = asked(DOCTOR).into_iter().chain(more.iter().copied()).collect();
    lab.start_with(&pairs).await
}

#[tokio::test]
async fn a_request_needs_a_well_formed_token_where_the_client_is_told_and_none_where_it_asks() {
    for mode in ["ping", "push"] {
        let lab = delivered(mode).await;
        let (status, error, _) = ring(&lab, &[]).await.error();
        assert_eq!((status, error.as_str()), (400, "invalid_request"), "{mode}");
        for bad in ["a token", "é", "=", &"x".repeat(1025)] {
            let (status, error, _) = ring(&lab, &[("client_notification_token", bad)]).await.error();
            assert_eq!((status, error.as_str()), (400, "invalid_request"), "{mode} {bad}");
        }
        assert_eq!(ring(&lab, &[("client_notification_token", TOKEN)]).await.status.as_u16(), 200, "{mode}");
        assert_eq!(lab.requests().await[0]["client_notification_token"], TOKEN);
    }
    let lab = Lab::new();
    let (status, error, _) = ring(&lab, &[("client_notification_token", TOKEN)]).await.error();
    assert_eq!((status, error.as_str()), (400, "invalid_request"), "a client that asks");
}

#[tokio::test]
async fn a_client_that_is_pushed_to_has_no_business_at_the_token_endpoint() {
    for (mode, error) in [("push", "unauthorized_client"), ("ping", "authorization_pending")] {
        let lab = delivered(mode).await;
        let rung = ring(&lab, &[("client_notification_token", TOKEN)]).await.json();
        let id = rung["auth_req_id"].as_str().expect("an id").to_owned();
        assert_eq!(lab.poll(&id).await.error().1, error, "{mode}");
    }
}

#[tokio::test]
async fn settings_that_lead_nowhere_are_refused_whole() {
    let lab = Lab::new();
    for endpoint in ["", "ciba", "ftp://localhost/ciba"] {
        let wish = json!({ "interval": 7, "delivery": { "mode": "ping", "endpoint": endpoint } });
        let answer = lab.settings(wish).await;
        assert_eq!(answer.status.as_u16(), 400, "{endpoint}");
    }
    let wish = json!({ "delivery": { "mode": "carrier_pigeon", "endpoint": "https://localhost/" } });
    assert_eq!(lab.settings(wish).await.status.as_u16(), 400);
    let settings = lab.settings(json!({})).await.json();
    assert_eq!((&settings["interval"], &settings["delivery"]), (&json!(5), &Value::Null));
    let lab = delivered("ping").await;
    let settings = lab.settings(json!({ "delivery": null })).await.json();
    assert_eq!(settings["delivery"], Value::Null);
}
