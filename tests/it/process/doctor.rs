//! `relais doctor` as an operator runs it: beside a server, in both languages, with its exit codes, and no phone rings.

use std::path::Path;
use std::process::Output;

use serde_json::{Value, json};

use super::running::{relais, run};
use super::site::{Site, present, write_pair};
use crate::support::stack::Backend;

fn doctor(site: &Site, file: &Path, language: &str, arguments: &[&str]) -> Output {
    let mut command = relais(&site.folder);
    command.env("LANG", language).arg("doctor").arg("--config").arg(file).args(arguments);
    let output = command.output().expect("the binary ends");
    assert_eq!(text(&output.stderr), "", "what there is to say is on stdout");
    output
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

fn exit(output: &Output) -> Option<i32> {
    output.status.code()
}

/// The line about a check.
fn line(output: &Output, name: &str) -> String {
    let said = text(&output.stdout);
    // The name follows a status of twelve characters.
    let about = |line: &&str| line.chars().skip(15).collect::<String>().starts_with(name);
    let found = said.lines().find(about);
    found.map_or_else(|| unreachable!("no line about {name}: {said}"), str::to_owned)
}

async fn nobody_was_rung(site: &Site) {
    assert_eq!(site.stats().await["rings"], json!({}));
    assert_eq!(site.requests().await, [] as [Value; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn beside_a_server_all_is_well_and_nobody_is_rung() {
    let site = Site::on(Backend::Sqlite).await;
    let node = site.serve().await;
    let output = doctor(&site, &node.file, "en_GB.UTF-8", &[]);
    assert_eq!(exit(&output), Some(0), "{}", text(&output.stdout));
    let said = text(&output.stdout);
    assert_eq!(said.lines().next(), Some("lps (psc-sim)"));
    assert_eq!(said.lines().count(), 15, "{said}");
    assert!(said.lines().skip(1).all(|line| line.starts_with("  ok  ")), "{said}");
    assert!(line(&output, "CIBA enabled").ends_with("no phone rang"), "{said}");
    nobody_was_rung(&site).await;
    let backchannel = &site.stats().await["calls"]["backchannel"];
    assert_eq!(backchannel.as_object().expect("results").len(), 1, "{backchannel}");
    assert_eq!(backchannel["invalid_request"], 1, "{backchannel}");
    node.ops().get("/health/ready").await.expect(200);

    let output = doctor(&site, &node.file, "en_GB.UTF-8", &["--registration", "lps", "-o", "json"]);
    assert_eq!(exit(&output), Some(0));
    let said: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(said["status"], "ok");
    let registration = &said["registrations"][0];
    assert_eq!(
        (&registration["registration"], &registration["provider"]),
        (&json!("lps"), &json!("psc-sim"))
    );
    let checks = registration["checks"].as_array().expect("a list");
    assert_eq!(checks.len(), 14);
    assert!(checks.iter().all(|check| check["status"] == "ok"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_is_a_sentence_and_what_to_do_in_the_language_of_the_reader() {
    let site = Site::on(Backend::Sqlite).await;
    let issuer =
        |config: String| config.replace("issuer = \"https://localhost", "issuer = \"https://LOCALHOST");
    let (file, _) = site.configure(issuer);
    let french = doctor(&site, &file, "C", &[]);
    assert_eq!(exit(&french), Some(1));
    let said = line(&french, "émetteur");
    assert!(said.contains("échec") && said.contains("Les métadonnées nomment l’émetteur"), "{said}");
    assert!(said.contains("Écrivez `issuer` exactement comme les métadonnées"), "{said}");
    assert!(line(&french, "CIBA autorisé").contains("non atteint"));

    let english = doctor(&site, &file, "en_US.UTF-8", &[]);
    assert_eq!(exit(&english), Some(1));
    let said = line(&english, "issuer");
    assert!(said.contains("failed") && said.contains("Write `issuer` exactly as the metadata do"), "{said}");
    assert!(line(&english, "CIBA enabled").contains("not reached"));

    let output = doctor(&site, &file, "en_US.UTF-8", &["-o", "json"]);
    assert_eq!(exit(&output), Some(1));
    let said: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(said["status"], "failed");
    let checks = said["registrations"][0]["checks"].as_array().expect("a list").clone();
    let of = |name: &str| checks.iter().find(|check| check["check"] == name).expect("a check").clone();
    let issuer = of("issuer");
    assert_eq!((&issuer["status"], &issuer["code"]), (&json!("failed"), &json!("issuer_differs")));
    assert!(issuer["what"].is_string() && issuer["fix"].is_string());
    assert_eq!(of("ciba")["status"], "not_reached");
    nobody_was_rung(&site).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_certificate_is_a_finding_although_no_server_would_start_with_it() {
    let site = Site::on(Backend::Sqlite).await;
    let (file, _) = site.configure(|config| config);
    let (from, _) = present();
    let ca = super::site::authority("Old");
    let old = ca.issue_client("relais-demo", from - super::site::DAY, from).expect("a certificate");
    write_pair(&site.folder.join("certs"), "client", &old);
    let serve = run(&site.folder, &["serve", "--config", file.to_str().expect("a path")], "");
    assert_eq!(exit(&serve), Some(2));
    let output = doctor(&site, &file, "en_GB.UTF-8", &[]);
    assert_eq!(exit(&output), Some(1));
    let said = line(&output, "client certificate");
    assert!(said.contains("failed") && said.contains("client.pem expired at"), "{said}");
    assert!(line(&output, "DNS").contains("not reached"));
}

#[tokio::test(flavor = "multi_thread")]
async fn warnings_alone_are_an_exit_of_their_own() {
    // The certificates of this site end tomorrow.
    let (site, _) = super::certificates::site().await;
    let (file, _) = site.configure(|config| config);
    let output = doctor(&site, &file, "en_GB.UTF-8", &[]);
    assert_eq!(exit(&output), Some(3), "{}", text(&output.stdout));
    let said = line(&output, "client certificate");
    assert!(
        said.contains("warning") && said.contains("client.pem expires in 0 days. Have it renewed"),
        "{said}"
    );
    let output = doctor(&site, &file, "en_GB.UTF-8", &["-o", "json"]);
    assert_eq!(exit(&output), Some(3));
    let said: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(said["status"], "warning");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_somebody_else_is_named_beside_the_refusal() {
    let (site, _) = super::certificates::site().await;
    let (file, _) = site.configure(|config| config.replace("certs/client.", "certs/misnamed."));
    let output = doctor(&site, &file, "en_GB.UTF-8", &[]);
    assert_eq!(exit(&output), Some(1), "{}", text(&output.stdout));
    let said = line(&output, "CN and client_id");
    assert!(said.contains("is \"somebody\", the client_id is \"relais-demo\""), "{said}");
    assert!(line(&output, "CIBA enabled").contains("refuses the client's credentials"));
    nobody_was_rung(&site).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_secret_is_never_shown() {
    let site = Site::on(Backend::Sqlite).await;
    let canary = "canary-of-a-client-secret";
    super::site::write_private(&site.folder.join("client-secret"), canary);
    let (file, _) = site.configure(|config| {
        config.replacen(
            "auth = \"tls_client_auth\"",
            "auth = \"client_secret_basic\"\nclient_secret_file = \"client-secret\"",
            1,
        )
    });
    for arguments in [&[][..], &["-o", "json"]] {
        let output = doctor(&site, &file, "en_GB.UTF-8", arguments);
        assert_eq!(exit(&output), Some(1), "{}", text(&output.stdout));
        let said = text(&output.stdout);
        assert!(said.contains("refuses the client's credentials"), "{said}");
        assert!(!said.contains(canary), "{said}");
    }
    nobody_was_rung(&site).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_to_examine_is_not_all_is_well() {
    let site = Site::on(Backend::Sqlite).await;
    let (file, _) = site.configure(|config| config);
    let path = file.to_str().expect("a path");
    let output = run(&site.folder, &["doctor", "--config", path, "--registration", "nobody"], "");
    assert_eq!(exit(&output), Some(2));
    assert!(text(&output.stderr).contains("`nobody`"));
    let (file, _) = site.configure(|config| config.split("[providers.").next().expect("a part").to_owned());
    let path = file.to_str().expect("a path");
    let output = run(&site.folder, &["doctor", "--config", path], "");
    assert_eq!((exit(&output), text(&output.stdout).as_str()), (Some(2), ""));
    std::fs::write(&file, "mode = 1").expect("written");
    let output = run(&site.folder, &["doctor", "--config", path], "");
    assert_eq!(exit(&output), Some(2));
}
