//! Mutual TLS with the provider: whoever does not belong there is refused, and the log of whoever refuses says why.

use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use relais::crypto::pki::{DevCa, DevPki};
use rustls::ServerConfig;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::json;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::running::{eventually, run};
use super::site::{Node, Site, authority, person, present, write_pair};
use crate::support::stack::Backend;

/// A site whose authorities sign whatever a test needs. Nodes show `certs/node.pem`.
pub async fn site() -> (Site, DevCa) {
    let ours = authority("Provider");
    let site = Site::prepared(Backend::Sqlite, |folder| {
        let certs = folder.join("certs");
        for name in DevPki::FILES {
            std::fs::remove_file(certs.join(name)).expect("made by the verb");
        }
        std::fs::write(certs.join("ca.pem"), ours.certificate()).expect("written");
        let (from, to) = present();
        for name in ["server", "node"] {
            write_pair(&certs, name, &ours.issue_server(&["localhost"], from, to).expect("a certificate"));
        }
        write_pair(&certs, "client", &ours.issue_client("relais-demo", from, to).expect("a certificate"));
        let stranger = authority("Somebody").issue_client("relais-demo", from, to).expect("a certificate");
        write_pair(&certs, "stranger", &stranger);
        write_pair(&certs, "misnamed", &ours.issue_client("somebody", from, to).expect("a certificate"));
    })
    .await;
    (site, ours)
}

async fn serve(site: &Site, change: impl FnOnce(String) -> String) -> Node {
    site.serve_with(|config| {
        // A node stops as soon as its database is another's.
        change(config).replace("certs/server.", "certs/node.")
    })
    .await
}

/// A node without metadata: a start is refused, nobody's phone rings, and the log names the cause.
async fn refused(site: &Site, node: &mut Node, cause: &str) {
    let answer = node.start(&person(500)).await.expect_problem(503, "provider_unavailable");
    assert!(answer.header("retry-after").is_some());
    node.process.logged(cause, |line| line["endpoint"] == "metadata" && line["cause"] == cause).await;
    assert_eq!(site.rings(&person(500)).await, 0);
    // A provider that is down keeps nobody from starting.
    node.ops().get("/health/ready").await.expect(200);
    node.process.signal("TERM");
    assert_eq!(node.process.ended().await, 0);
}

async fn refusals(site: &Site, cause: &str) -> u64 {
    site.stats().await["handshakes_refused"][cause].as_u64().unwrap_or(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn without_metadata_each_refusal_is_a_503_and_the_log_says_why() {
    let (mut site, ours) = site().await;
    let mut node =
        serve(&site, |config| config.replace("ca = \"certs/ca.pem\"", "ca = \"applications/ca.pem\"")).await;
    refused(&site, &mut node, "tls_untrusted_ca").await;
    assert!(refusals(&site, "refused_by_client").await > 0);

    let mut node = serve(&site, |config| config.replace("certs/client.", "certs/stranger.")).await;
    refused(&site, &mut node, "tls_client_certificate_refused").await;
    assert!(refusals(&site, "certificate_untrusted").await > 0);

    super::site::write_private(&site.folder.join("provider-secret"), "relais-demo-secret");
    let mut node = serve(&site, |config| {
        let secret = "auth = \"client_secret_basic\"\nclient_secret_file = \"provider-secret\"";
        let certificates = "certificates = [{ cert = \"certs/client.pem\", key = \"certs/client.key\" }]";
        config.replacen("auth = \"tls_client_auth\"", secret, 1).replace(certificates, "")
    })
    .await;
    refused(&site, &mut node, "tls_client_certificate_required").await;
    assert!(refusals(&site, "certificate_missing").await > 0);

    let port = expired_provider(&site.folder, &ours).await;
    let (there, here) = (format!("localhost:{}", site.provider_port), format!("localhost:{port}"));
    let mut node = serve(&site, |config| config.replace(&there, &here)).await;
    refused(&site, &mut node, "tls_expired").await;

    let (from, to) = present();
    write_pair(
        &site.folder.join("certs"),
        "server",
        &ours.issue_server(&["elsewhere.example"], from, to).expect("a certificate"),
    );
    site.restart_simulator().await;
    let mut node = serve(&site, |config| config).await;
    refused(&site, &mut node, "tls_wrong_host_name").await;

    // And the same site with everything as it should be.
    write_pair(
        &site.folder.join("certs"),
        "server",
        &ours.issue_server(&["localhost"], from, to).expect("a certificate"),
    );
    site.restart_simulator().await;
    serve(&site, |config| config).await.sign_in(&site, &person(501)).await;
}

/// A provider whose certificate has expired; the simulator refuses to start with such a one.
async fn expired_provider(folder: &Path, ours: &DevCa) -> u16 {
    let (from, _) = present();
    let pair = ours.issue_server(&["localhost"], from - super::site::DAY, from).expect("a certificate");
    let certs = folder.join("certs");
    write_pair(&certs, "expired", &pair);
    let chain = vec![CertificateDer::from_pem_slice(pair.certificate.as_bytes()).expect("a certificate")];
    let key = PrivateKeyDer::from_pem_slice(pair.key.expose().as_bytes()).expect("a key");
    relais::net::install_provider();
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key).expect("a pair");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a socket");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let _ = acceptor.accept(stream).await;
        }
    });
    port
}

/// A start whose login exists and ends at once, and what the log says.
async fn failed(node: &Node, number: u32, reason: &str, cause: Option<&str>) {
    let hint = person(510 + number);
    let started = node.start(&hint).await.expect(201);
    assert_eq!((started.text("/status"), started.text("/reason")), ("failed".into(), reason.into()));
    if let Some(cause) = cause {
        let said = |line: &serde_json::Value| line["endpoint"] == "backchannel" && line["cause"] == cause;
        let line = node.process.logged(cause, said).await;
        assert_eq!((&line["level"], &line["registration"]), (&json!("WARN"), &json!("lps")));
    }
    // Nothing was sent: the person's slot is free.
    let again = node.start(&hint).await.expect(201);
    assert_eq!(again.text("/status"), "failed");
}

#[tokio::test(flavor = "multi_thread")]
async fn with_metadata_each_refusal_ends_the_login_and_the_log_says_why() {
    let (mut site, ours) = site().await;
    let node = serve(&site, |config| config).await;
    node.sign_in(&site, &person(505)).await;
    let certs = site.folder.join("certs");
    let (from, to) = present();

    let elsewhere = ours.issue_server(&["elsewhere.example"], from, to).expect("a certificate");
    write_pair(&certs, "server", &elsewhere);
    site.restart_simulator().await;
    failed(&node, 0, "provider_unavailable", Some("tls_wrong_host_name")).await;

    let foreign = authority("Somebody").issue_server(&["localhost"], from, to).expect("a certificate");
    write_pair(&certs, "server", &foreign);
    site.restart_simulator().await;
    failed(&node, 1, "provider_unavailable", Some("tls_untrusted_ca")).await;

    write_pair(&certs, "server", &ours.issue_server(&["localhost"], from, to).expect("a certificate"));
    site.restart_simulator().await;
    let exchange = |name: &str| {
        for extension in ["key", "pem"] {
            let (new, used) = (format!("{name}.{extension}"), format!("client.{extension}"));
            std::fs::copy(certs.join(new), certs.join(used)).expect("copied");
        }
        node.process.signal("HUP");
    };
    let replacements = async |count: usize| {
        eventually("the client certificate is replaced", async || {
            let log = node.process.log();
            let lines = log.iter().filter(|line| line["message"] == "a client certificate has been replaced");
            (lines.count() == count).then_some(())
        })
        .await;
    };
    write_pair(&certs, "good", &ours.issue_client("relais-demo", from, to).expect("a certificate"));
    exchange("stranger");
    replacements(1).await;
    failed(&node, 2, "provider_unavailable", Some("tls_client_certificate_refused")).await;
    assert!(refusals(&site, "certificate_untrusted").await > 0);

    exchange("misnamed");
    replacements(2).await;
    failed(&node, 3, "provider_rejected_client", None).await;

    exchange("good");
    replacements(3).await;
    node.sign_in(&site, &person(520)).await;

    // A certificate that expires while in use.
    let soon =
        relais::domain::clock::Clock::now(&relais::app::clock::SystemClock::start()) + Duration::from_secs(4);
    write_pair(&certs, "dying", &ours.issue_client("relais-demo", from, soon).expect("a certificate"));
    exchange("dying");
    replacements(4).await;
    super::site::nothing_happens_for(5).await;
    site.restart_simulator().await;
    failed(&node, 4, "provider_unavailable", Some("tls_client_certificate_refused")).await;
    assert!(refusals(&site, "certificate_expired").await > 0);
    node.ops().get("/health/ready").await.expect(503);
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_that_cannot_serve_are_refused_before_the_start() {
    let (site, ours) = site().await;
    let (from, _) = present();
    let certs = site.folder.join("certs");
    write_pair(
        &certs,
        "expired",
        &ours.issue_client("relais-demo", from - super::site::DAY, from).expect("a certificate"),
    );
    std::fs::copy(certs.join("stranger.key"), certs.join("mixed.key")).expect("copied");
    std::fs::copy(certs.join("client.pem"), certs.join("mixed.pem")).expect("copied");
    for (name, word) in [("expired", "expired"), ("mixed", "does not belong"), ("absent", "read")] {
        let (file, _) = site.configure(|config| config.replace("certs/client.", &format!("certs/{name}.")));
        for verb in ["check", "serve"] {
            let output = run(&site.folder, &[verb, "--config", file.to_str().expect("a path")], "");
            assert_eq!(output.status.code(), Some(2));
            assert_eq!(String::from_utf8_lossy(&output.stdout), "");
            let told = String::from_utf8_lossy(&output.stderr).into_owned();
            let names_it =
                |line: &str| line.starts_with("registrations.lps.certificates") && line.contains(word);
            assert!(told.lines().any(names_it), "{verb} {name}: {told}");
        }
    }
}
