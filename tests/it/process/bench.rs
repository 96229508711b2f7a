//! `relais bench` against a node and a simulated provider in processes of their own: what it measures, when it fails,
//! and what it refuses to load.

use serde_json::{Value, json};

use super::running::Running;
use super::site::{Node, Site};
use crate::support::stack::Backend;

/// `relais bench` with as few clients as show that it works: its exit code, its JSON, its stderr.
async fn bench(site: &Site, node: &Node, control: &str, arguments: &[&str]) -> (i32, Value, String) {
    let mut command = super::running::relais(&site.folder);
    command.args(["bench", "--server", &node.url(), "--ca", "certs/ca.pem", "--control", control]);
    command.args(["--server-pid", &node.process.id().to_string(), "-o", "json"]);
    command.args(arguments);
    let mut running = Running::start(command);
    let code = running.ended().await;
    (code, serde_json::from_str(&running.stdout()).unwrap_or_default(), running.stderr())
}

const AS_DESK: [&str; 4] = ["--application", "desk", "--secret-file", "desk"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn complete_logins_are_measured_and_a_failed_one_is_told() {
    let site = Site::on(Backend::Sqlite).await;
    let node = site.serve().await;
    let few =
        ["--scenario", "logins", "--count", "4", "--rate", "20", "--interval", "1", "--approve-after", "0"];
    let arguments = [&AS_DESK[..], &few].concat();
    let (code, report, stderr) = bench(&site, &node, &site.control(), &arguments).await;
    assert_eq!(code, 0, "{report} {stderr}");
    let results = &report["results"];
    assert_eq!((&results["logins"], &report["errors"]), (&json!(4), &json!({})), "{report}");
    for measured in ["start", "pick_up", "session_read", "approval_to_answer", "known_to_answer"] {
        assert_eq!(results[measured]["count"], 4, "{measured}: {report}");
    }
    // One interval lies between: what is counted from the approval, and not from the start, is that much.
    let waited = results["approval_to_answer"]["p50_ms"].as_f64().expect("a number");
    assert!((1000.0..10_000.0).contains(&waited), "{report}");
    let known = results["known_to_answer"]["p50_ms"].as_f64().expect("a number");
    assert!((0.0..waited).contains(&known), "{report}");
    assert!(results["server_cpu_ms_per_login"].as_f64().is_some_and(|each| each > 0.0), "{report}");
    assert_eq!(
        results["polls"],
        json!({
            "count": 4, "early": 0, "overlapping": 0, "lateness": results["polls"]["lateness"],
        })
    );
    site.assert_polite().await;

    // After the first start, four to warm up, and the first that counts.
    site.fault(json!({ "endpoint": "backchannel", "after": 6, "count": 1, "status": 503 })).await;
    let in_turn: Vec<_> = arguments
        .iter()
        .map(|word| match *word {
            "--rate" => "--at-once",
            "20" => "1",
            word => word,
        })
        .collect();
    let (code, report, _) = bench(&site, &node, &site.control(), &in_turn).await;
    assert_eq!((code, &report["errors"]), (1, &json!({ "pick-up: not_approved": 1 })), "{report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pending_logins_and_waiters_are_measured_over_either_protocol() {
    let site = Site::on(Backend::Sqlite).await;
    let node = site.serve().await;
    let pinned =
        ["--application", "pinned", "--cert", "applications/pinned.pem", "--key", "applications/pinned.key"];
    let pending = ["--scenario", "pending", "--count", "3", "--interval", "1", "--duration", "3"];
    let arguments = [&pinned[..], &pending].concat();
    let (code, report, stderr) = bench(&site, &node, &site.control(), &arguments).await;
    assert_eq!(code, 0, "{report} {stderr}");
    let results = &report["results"];
    assert_eq!((&results["pending"], &results["polls_expected"]), (&json!(3), &json!(9)), "{report}");
    assert!(results["polls"]["lateness"]["count"].as_u64().is_some_and(|polls| polls >= 3), "{report}");
    let ended = site.requests().await;
    for streams in ["1", "2"] {
        let waiters = ["--scenario", "waiters", "--count", "3", "--interval", "1", "--streams", streams];
        let arguments = [&AS_DESK[..], &waiters].concat();
        let (code, report, stderr) = bench(&site, &node, &site.control(), &arguments).await;
        assert_eq!(code, 0, "{report} {stderr}");
        let results = &report["results"];
        assert_eq!(results["known_to_answer"]["count"], 3, "{report}");
        let connections = if streams == "1" { 3 } else { 2 };
        assert_eq!(results["connections"], connections, "{report}");
    }
    assert!(site.requests().await.len() > ended.len());
    site.assert_polite().await;
}

const TARGET: &str = r#"
[targets.api]
url = "ISSUER/../../../target/"
environment = "test"
ca = "certs/ca.pem"
registrations = ["lps"]
applications = ["desk"]
methods = ["GET", "POST"]
paths = ["/**"]
[targets.api.exchange]
token_endpoint = "ISSUER/as/token"
cnf = "rfc8705"
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn long_bodies_go_through_a_target_in_both_directions() {
    let site = Site::on(Backend::Sqlite).await;
    let node = site
        .serve_with(|config| {
            let issuer = config.split("issuer = \"").nth(1).and_then(|rest| rest.split('"').next());
            format!("{config}{}", TARGET.replace("ISSUER", issuer.expect("an issuer")))
        })
        .await;
    let few = ["--scenario", "forward", "--count", "3", "--interval", "1"];
    let arguments = [&AS_DESK[..], &few].concat();
    let (code, report, stderr) = bench(&site, &node, &site.control(), &arguments).await;
    assert_eq!((code, &report["errors"]), (0, &json!({})), "{report} {stderr}");
    let results = &report["results"];
    assert_eq!(results["mebibytes_each_way"], 3, "{report}");
    for measured in ["upload_mib_per_second", "download_mib_per_second", "resident_kib_peak"] {
        assert!(results[measured].as_f64().is_some_and(|figure| figure > 0.0), "{measured}: {report}");
    }
    // The default of request_max is 10 MiB.
    let more = ["--scenario", "forward", "--count", "11", "--interval", "1"];
    let arguments = [&AS_DESK[..], &more].concat();
    let (code, report, _) = bench(&site, &node, &site.control(), &arguments).await;
    // The refusal comes before the body has left: whether it is read or the connection found closed is chance.
    let errors: Vec<_> = report["errors"].as_object().into_iter().flatten().map(|(name, _)| name).collect();
    assert!(code == 1 && errors.len() == 1 && errors[0].starts_with("upload: "), "{report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_loaded_that_may_ring_a_real_phone() {
    let site = Site::on(Backend::Sqlite).await;
    let few = [&AS_DESK[..], &["--scenario", "logins", "--count", "2"]].concat();

    let real = site.serve_with(|config| config.replace("\"test\"", "\"production\"")).await;
    let (code, report, stderr) = bench(&site, &real, &site.control(), &few).await;
    assert_eq!((code, report), (2, Value::Null), "{stderr}");
    assert!(stderr.contains("registration `lps` is not of a test environment"), "{stderr}");
    assert_eq!(site.requests().await.len(), 0, "nobody was rung");
    drop(real);

    let elsewhere = Site::on(Backend::Sqlite).await;
    let node = site.serve().await;
    let (code, report, stderr) = bench(&site, &node, &elsewhere.control(), &few).await;
    assert_eq!((code, report), (2, Value::Null), "{stderr}");
    assert!(stderr.contains("did not ring at the simulated provider"), "{stderr}");
    assert_eq!(site.requests().await.len(), 1, "one start, by which that was found out");

    let (code, _, stderr) = bench(&site, &node, "http://192.0.2.1:8082", &few).await;
    assert_eq!(code, 2);
    assert!(stderr.contains("192.0.2.1 is not a loopback address"), "{stderr}");
    assert_eq!(site.requests().await.len(), 1, "nobody else was rung");
}
