//! The key sets of applications: which keys count, and what becomes of a file that is changed.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use relais::crypto::signing_key::{SigningAlg, generate};
use serde_json::json;

use super::assertions::{World, refused, write_jwks};
use crate::support::jwt::Key;
use crate::support::log;
use crate::support::stack::Backend;

/// Whether an assertion of this key is taken.
async fn counts(world: &World, key: &Key) -> bool {
    world.with(&key.sign(&world.claims())).get("/v1/application").await.status.as_u16() == 200
}

/// Waits until one is.
async fn eventually_counts(world: &World, key: &Key) {
    world
        .stack
        .eventually("the key counts", || async {
            world.stack.clock.advance(Duration::from_secs(1));
            counts(world, key).await
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_rsa_key_without_algorithm_signs_by_pss_alone() {
    let world = World::on(Backend::Sqlite).await;
    let pem = generate(SigningAlg::Ps256).expect("a key");
    let (pss, pkcs1) =
        (Key::from_pem(pem.expose(), SigningAlg::Ps256), Key::from_pem(pem.expose(), SigningAlg::Rs256));
    let mut silent = pss.jwk();
    silent.as_object_mut().expect("an object").remove("alg");
    write_jwks(&world.stack, "signer", &[silent]);
    eventually_counts(&world, &pss).await;
    assert!(!counts(&world, &pkcs1).await);
    // Who needs the older way says so, and means it.
    write_jwks(&world.stack, "signer", &[pkcs1.jwk()]);
    eventually_counts(&world, &pkcs1).await;
    assert!(!counts(&world, &pss).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_assertion_that_names_no_key_is_refused_where_several_fit() {
    let world = World::on(Backend::Sqlite).await;
    let next = Key::generate(SigningAlg::Es256);
    let nameless = json!({ "alg": "ES256" });
    let without_kid = async |key: &Key| {
        let assertion = key.sign_as(&nameless, &world.claims());
        world.with(&assertion).get("/v1/application").await
    };
    without_kid(&world.key).await.expect(200);
    write_jwks(&world.stack, "signer", &[world.key.jwk(), next.jwk()]);
    eventually_counts(&world, &next).await;
    for key in [&world.key, &next] {
        refused(without_kid(key).await);
        assert!(counts(&world, key).await, "by its name");
    }
    write_jwks(&world.stack, "signer", &[next.jwk()]);
    world
        .stack
        .eventually("the old key counts no more", || async {
            world.stack.clock.advance(Duration::from_secs(1));
            !counts(&world, &world.key).await
        })
        .await;
    without_kid(&next).await.expect(200);
}

#[tokio::test]
async fn a_set_that_others_may_write_is_not_taken_until_that_is_put_right() {
    let log = log::capture();
    let world = World::on(Backend::Sqlite).await;
    let next = Key::generate(SigningAlg::Es256);
    let (file, fresh) = (world.stack.folder.join("signer.json"), world.stack.folder.join("fresh.json"));
    let mode = |path, mode| std::fs::set_permissions(path, Permissions::from_mode(mode)).expect("set");
    write_jwks(&world.stack, "fresh", &[next.jwk()]);
    mode(&fresh, 0o664);
    std::fs::rename(&fresh, &file).expect("renamed");
    world
        .stack
        .eventually("it is refused", || async {
            world.stack.clock.advance(Duration::from_secs(1));
            log.text().contains("the last good keys stay")
        })
        .await;
    assert!(log.text().contains("may be written by others"), "{}", log.text());
    assert!(counts(&world, &world.key).await && !counts(&world, &next).await);
    // Nothing of its content changes.
    mode(&file, 0o644);
    eventually_counts(&world, &next).await;
    assert!(!counts(&world, &world.key).await);
    let text = log.text();
    let read = |line: &&str| line.contains("the key set of an application has been read");
    let told = text.lines().filter(read).find(|line| line.contains(&next.kid)).expect("told");
    for part in [format!("added=\"{}\"", next.kid), format!("removed=\"{} ", world.key.kid)] {
        assert!(told.contains(&part), "{part} in {told}");
    }
    assert_eq!(text.matches("the last good keys stay").count(), 1, "said once");
}
