//! What an operator does to a running Relais: stop it, reload it, replace certificates, migrate, start it twice.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use sqlx::Connection as _;

use super::running::{Running, eventually, pause, relais, run};
use super::site::{Node, Site, authority, person, present, write_pair};
use crate::support::postgres;
use crate::support::stack::{BACKENDS, Backend};

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_answers_parked_calls_finishes_what_is_under_way_and_exits_with_0() {
    for backend in BACKENDS {
        let site = Site::on(backend).await;
        let mut node = site.serve().await;
        let (parked, starting) = (person(600), person(601));
        let started = node.start(&parked).await.expect(201);
        let (holder, path) = node.holder(&started);
        site.fault(json!({ "endpoint": "backchannel", "delay_ms": 2000 })).await;
        let clock = relais::app::clock::SystemClock::start();
        let since_the_beginning = || relais::domain::clock::Clock::monotonic(&clock).0;
        let long_poll = async {
            let answer = holder.get(&format!("{path}?wait=30")).await.expect(200);
            (answer, since_the_beginning())
        };
        let waiting_pick_up = async {
            let patient = holder.header("prefer", "wait=30");
            let answer = patient.post(&format!("{path}/session"), Value::Null).await.expect(202);
            (answer, since_the_beginning())
        };
        let stream =
            async { holder.open(&format!("{path}/events")).await.text().await.expect("a whole stream") };
        let under_way = node.start(&starting);
        let told = async {
            site.request_for(&starting).await;
            pause(Duration::from_millis(500)).await;
            node.process.signal("TERM");
            since_the_beginning()
        };
        let (long_poll, waiting_pick_up, stream, under_way, told) =
            tokio::join!(long_poll, waiting_pick_up, stream, under_way, told);
        let at_once = told + Duration::from_secs(10);
        assert!(long_poll.1 < at_once && waiting_pick_up.1 < at_once, "parked calls are answered at once");
        assert_eq!(long_poll.0.text("/status"), "pending");
        assert_eq!(waiting_pick_up.0.text("/status"), "pending");
        assert!(stream.contains("event: login"), "{stream}");
        let under_way = under_way.expect(201);
        assert!(["starting", "pending"].contains(&under_way.text("/status").as_str()), "{}", under_way.body);
        assert_eq!(node.process.ended().await, 0, "{}", node.process.stderr());
        assert_eq!(node.process.stdout().lines().count(), 1, "stdout has the ready line only");
        let log = node.process.log();
        assert_eq!(log.len(), node.process.stderr().lines().count(), "each line of the log is JSON");
        assert!(log.iter().any(|line| line["message"] == "drained"));
        for secret in ["rlt_", &parked, &starting] {
            assert!(!node.process.stderr().contains(secret), "{secret} is in the log");
        }
        node.relais()
            .try_send(reqwest::Method::GET, "/v1/application", None)
            .await
            .err()
            .expect("nobody listens");
        // Nothing is lost: the provider had acknowledged during the drain.
        node.restart().await;
        for (hint, login) in [(&parked, &started), (&starting, &under_way)] {
            site.approve(hint).await;
            node.pick_up(login).await.expect(201);
            assert_eq!(site.rings(hint).await, 1);
        }
        site.assert_polite().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_draining_node_is_not_ready() {
    let site = Site::on(Backend::Sqlite).await;
    let mut node = site.serve().await;
    node.ops().get("/health/ready").await.expect(200);
    site.fault(json!({ "endpoint": "backchannel", "delay_ms": 2000 })).await;
    let hint = person(610);
    let watched = async {
        site.request_for(&hint).await;
        node.process.signal("TERM");
        eventually("it is not ready", async || {
            match node.ops().try_send(reqwest::Method::GET, "/health/ready", None).await {
                Ok(answer) if answer.status == 200 => None,
                Ok(answer) => (answer.status == 503).then_some(()),
                Err(_) => Some(()),
            }
        })
        .await;
    };
    let (started, ()) = tokio::join!(node.start(&hint), watched);
    started.expect(201);
    assert_eq!(node.process.ended().await, 0);
}

fn rewrite(node: &Node, change: impl FnOnce(String) -> String) {
    let text = std::fs::read_to_string(&node.file).expect("the configuration");
    std::fs::write(&node.file, change(text)).expect("written");
    node.process.signal("HUP");
}

async fn reloaded(node: &Node, count: usize) {
    eventually("it is reloaded", async || {
        let log = node.process.log();
        let lines = log.iter().filter(|line| line["message"] == "the configuration has been reloaded");
        (lines.count() == count).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sighup_takes_over_what_is_enabled_and_a_broken_file_changes_nothing() {
    let site = Site::on(Backend::Sqlite).await;
    let node = site.serve().await;
    let (desk, sealed) = (node.desk(), node.sealed());
    let session = node.sign_in(&site, &person(620)).await;
    let holder = node.relais().bearer(&session.text("/session_handle"));
    let good = std::fs::read_to_string(&node.file).expect("the configuration");
    rewrite(&node, |config| config.replace("[applications.desk]", "[applications.desk]\nenabled = false"));
    reloaded(&node, 1).await;
    desk.get("/v1/application").await.expect_problem(403, "application_disabled");
    node.start(&person(621)).await.expect_problem(403, "application_disabled");
    let ended = holder.get("/v1/session").await;
    assert_ne!(ended.status, 200, "{}", ended.body);
    sealed.get("/v1/application").await.expect(200);
    assert_eq!(site.rings(&person(621)).await, 0);

    rewrite(&node, |_| {
        good.replace("environment = \"test\"", "environment = \"tset\"").replace("[store]", "[store")
    });
    let error = node
        .process
        .logged("the broken file", |line| {
            line["level"] == "ERROR"
                && line["message"]
                    .as_str()
                    .is_some_and(|text| text.contains("the configuration is not reloaded"))
        })
        .await;
    assert!(error["message"].as_str().is_some_and(|text| text.len() > 50), "{error}");
    desk.get("/v1/application").await.expect_problem(403, "application_disabled");
    sealed.get("/v1/application").await.expect(200);

    rewrite(&node, |_| good.clone());
    reloaded(&node, 2).await;
    desk.get("/v1/application").await.expect(200);

    rewrite(&node, |_| good.replace("[registrations.lps]", "[registrations.lps]\nenabled = false"));
    reloaded(&node, 3).await;
    node.start(&person(622)).await.expect_problem(403, "registration_not_allowed");
    rewrite(&node, |_| good.replace("[providers.psc-sim]", "[providers.psc-sim]\nenabled = false"));
    reloaded(&node, 4).await;
    node.start(&person(622)).await.expect_problem(403, "registration_not_allowed");
    rewrite(&node, |_| good.clone());
    reloaded(&node, 5).await;
    node.sign_in(&site, &person(622)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn replaced_certificate_files_are_taken_over_without_a_restart() {
    let (ours, others) = (authority("Before"), authority("After"));
    let site = Site::on(Backend::Sqlite).await;
    let (from, to) = present();
    let certs = site.folder.join("certs");
    write_pair(&certs, "node", &ours.issue_server(&["localhost"], from, to).expect("a certificate"));
    // The simulated provider takes both, so that only the file decides.
    let before = ours.issue_client("relais-demo", from, to).expect("a certificate");
    write_pair(&certs, "lps", &before);
    let known = std::fs::read_to_string(certs.join("ca.pem")).expect("roots");
    std::fs::write(certs.join("ca.pem"), format!("{known}{}{}", ours.certificate(), others.certificate()))
        .expect("written");
    let mut site = site;
    site.restart_simulator().await;
    let node = site
        .serve_with(|config| {
            config.replace("certs/server.", "certs/node.").replace("certs/client.", "certs/lps.")
        })
        .await;
    let with_roots = |ca: &str| node.caller_trusting(ca.as_bytes(), |builder| builder);
    let trusts =
        async |ca: &str| with_roots(ca).try_send(reqwest::Method::GET, "/nowhere", None).await.is_ok();
    assert!(trusts(&ours.certificate()).await && !trusts(&others.certificate()).await);
    node.sign_in(&site, &person(630)).await;
    // Begun with the certificate before; it goes on with that one.
    let begun_before = node.start(&person(631)).await.expect(201);

    // A half-written pair first: nothing happens to those who call meanwhile.
    let after = others.issue_server(&["localhost"], from, to).expect("a certificate");
    std::fs::write(certs.join("node.pem"), &after.certificate).expect("written");
    let refused = "new server certificates are refused; the last good ones stay";
    node.process.logged("the refusal", |line| line["message"] == refused && line["level"] == "ERROR").await;
    assert!(trusts(&ours.certificate()).await);
    write_pair(&certs, "node", &after);
    write_pair(&certs, "lps", &others.issue_client("relais-demo", from, to).expect("a certificate"));
    for message in ["the server certificates have been replaced", "a client certificate has been replaced"] {
        node.process.logged(message, |line| line["message"] == message).await;
    }
    assert!(!trusts(&ours.certificate()).await && trusts(&others.certificate()).await);
    node.sign_in(&site, &person(632)).await;
    site.approve(&person(631)).await;
    node.pick_up(&begun_before).await.expect(201);
    site.assert_polite().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn check_names_every_problem_and_serve_refuses_the_same() {
    use std::os::unix::fs::PermissionsExt as _;
    let site = Site::on(Backend::Sqlite).await;
    let (file, _) = site.configure(|config| config);
    let check = |file: &Path| run(&site.folder, &["check", "--config", file.to_str().expect("a path")], "");
    let good = check(&file);
    assert_eq!(good.status.code(), Some(0), "{}", String::from_utf8_lossy(&good.stderr));
    assert_eq!(
        String::from_utf8_lossy(&good.stdout),
        "ok: 1 provider, 1 registration, 4 applications, 0 warnings\n"
    );
    let (file, _) = site.configure(|config| {
        config
            .replace(
                "secret_file = \"desk\"",
                "secret = \"in-clear-and-yet-as-long-as-a-secret-must-be-at-least\"",
            )
            .replace("tls_client_auth_subject_dn", "tls_client_auth_subject")
            .replace("file = \"key-persons\"", "file = \"key-open\"")
            .replace("profile = \"psc\"", "profile = \"pcs\"")
    });
    std::fs::copy(site.folder.join("key-persons"), site.folder.join("key-open")).expect("copied");
    std::fs::set_permissions(site.folder.join("key-open"), std::fs::Permissions::from_mode(0o644))
        .expect("opened");
    for verb in ["check", "serve"] {
        let output = run(&site.folder, &[verb, "--config", file.to_str().expect("a path")], "");
        assert_eq!(output.status.code(), Some(2));
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        for path in [
            "applications.desk.secret ",
            "applications.chained.tls_client_auth_subject ",
            "keys.ring.persons.file ",
            "providers.psc-sim.profile ",
        ] {
            assert!(told.lines().any(|line| line.starts_with(path)), "{verb}: {path}: {told}");
        }
        assert!(!told.contains("in-clear"), "{told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn migrations_are_told_applied_and_never_undone() {
    for backend in BACKENDS {
        let site = Site::on(backend).await;
        let (file, _) = site.configure(|config| config);
        let file = file.to_str().expect("a path");
        let verb = |arguments: &[&str]| {
            let output = run(&site.folder, &[arguments, &["--config", file]].concat(), "");
            (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
        };
        let (code, told) = verb(&["migrate", "--check"]);
        assert_eq!(code, Some(1));
        assert!(told.contains("`relais migrate`"), "{told}");
        let (code, told) = verb(&["serve", "--no-migrate"]);
        assert_eq!(code, Some(1));
        assert!(told.contains("`relais migrate`"), "{told}");
        assert_eq!(verb(&["migrate"]).0, Some(0));
        assert_eq!(verb(&["migrate", "--check"]).0, Some(0));
        let node = site.serve().await;
        assert_eq!(verb(&["migrate", "--check"]).0, Some(0), "beside a server that runs");
        drop(node);
        a_newer_binary_was_here(&site).await;
        for arguments in [&["migrate", "--check"][..], &["migrate"], &["serve"], &["serve", "--no-migrate"]] {
            let (code, told) = verb(arguments);
            assert_eq!(code, Some(1), "{arguments:?}: {told}");
            assert!(told.contains("start the newer binary"), "{arguments:?}: {told}");
        }
    }
}

async fn a_newer_binary_was_here(site: &Site) {
    const SQL: &str = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
        SELECT 9999, 'later', success, checksum, 0 FROM _sqlx_migrations WHERE version = 1";
    if site.is_shared() {
        let url = relais::domain::secret::Secret::new(site.store_url());
        let mut connection = postgres::connect(&url).await;
        sqlx::query(SQL).execute(&mut connection).await.expect("written");
    } else {
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(site.folder.join("relais.db"));
        let mut connection = sqlx::SqliteConnection::connect_with(&options).await.expect("the database");
        sqlx::query(SQL).execute(&mut connection).await.expect("written");
        connection.close().await.expect("closed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_server_on_the_same_sqlite_file_is_refused() {
    let site = Site::on(Backend::Sqlite).await;
    let mut first = site.serve().await;
    let (file, _) = site.configure(|config| config);
    let mut command = relais(&site.folder);
    command.arg("serve").arg("--config").arg(&file);
    let mut second = Running::start(command);
    assert_eq!(second.ended().await, 1);
    assert_eq!(second.stdout(), "");
    assert!(second.stderr().contains("in use"), "{}", second.stderr());
    first.sign_in(&site, &person(640)).await;
    // The lock goes with the process, however it ends.
    first.process.kill().await;
    first.restart().await;
    first.sign_in(&site, &person(641)).await;
}
