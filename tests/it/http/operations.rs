//! Health, metrics, version.

use std::sync::atomic::Ordering;
use std::time::Duration;

use http::{Method, StatusCode};
use relais::domain::clock::Clock;
use serde_json::json;

use super::world::{Answer, World, request};

async fn get(world: &World, path: &str) -> Answer {
    world.send(&world.ops, request(Method::GET, path, &[], "")).await
}

#[tokio::test]
async fn a_node_is_ready_while_it_can_serve_whatever_its_providers_do() {
    let world = World::new().await;
    assert_eq!(get(&world, "/health/live").await.json(), json!({"status": "live"}));
    let ready = get(&world, "/health/ready").await;
    assert_eq!(ready.status, StatusCode::OK);
    assert_eq!(ready.json(), json!({"status": "ready", "providers": {"psc": "ok"}}));
    world.provider.without_metadata.store(true, Ordering::SeqCst);
    let degraded = get(&world, "/health/ready").await;
    assert_eq!((degraded.status, &degraded.json()["providers"]["psc"]), (StatusCode::OK, &json!("degraded")));
}

#[tokio::test]
async fn a_node_that_cannot_serve_says_why() {
    let world = World::new().await;
    let end = world.clock.now() + Duration::from_secs(60);
    *world.certificate_end.lock().expect("lock") = Some(end);
    assert_eq!(get(&world, "/health/ready").await.status, StatusCode::OK);
    world.clock.advance(Duration::from_secs(60));
    let expired = get(&world, "/health/ready").await;
    assert_eq!(expired.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(expired.json()["reasons"], json!(["certificates_expired"]));
    world.disable_registration();
    assert_eq!(get(&world, "/health/ready").await.json()["reasons"], json!(["no_registration"]));
    world.engine.drain(Duration::from_secs(5)).await;
    let reasons = get(&world, "/health/ready").await.json()["reasons"].clone();
    assert_eq!(reasons, json!(["no_registration", "draining"]));
}

#[tokio::test]
async fn metrics_and_version_are_served_and_nothing_else() {
    let world = World::new().await;
    let metrics = get(&world, "/metrics").await;
    assert_eq!(metrics.status, StatusCode::OK);
    assert!(metrics.header("content-type").starts_with("text/plain; version=0.0.4"));
    assert_eq!(get(&world, "/version").await.json()["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(get(&world, "/v1/application").await.problem(), (404, "not_found".to_owned()));
    let post = world.send(&world.ops, request(Method::POST, "/metrics", &[], "")).await;
    assert_eq!(post.problem(), (405, "method_not_allowed".to_owned()));
}
