//! `relais demo`: the first command of the README, alone on a machine.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::ports;
use super::running::{Running, eventually, relais};
use crate::support::http::Caller;

/// Folders in which a well-behaved program leaves nothing.
pub struct Quarters {
    folder: TempDir,
}

impl Quarters {
    pub fn new() -> Self {
        let folder = TempDir::new().expect("a folder");
        for name in ["tmp", "home", "cwd"] {
            std::fs::create_dir(folder.path().join(name)).expect("a folder");
        }
        Self { folder }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn demo(&self, port: u16) -> Command {
        let mut command = relais(&self.path("cwd"));
        command.env("TMPDIR", self.path("tmp")).env("HOME", self.path("home"));
        command.args(["demo", "--port-base", &port.to_string()]);
        command
    }

    /// Every file and folder that is there, the three folders themselves left out.
    pub fn left(&self) -> Vec<PathBuf> {
        let inside = |name: &str| {
            let entries = std::fs::read_dir(self.path(name)).expect("the folder");
            entries.map(|entry| entry.expect("an entry").path()).collect::<Vec<_>>()
        };
        ["tmp", "home", "cwd"].iter().flat_map(|name| inside(name)).collect()
    }

    /// The processes that have inherited these quarters.
    fn inhabitants(&self) -> Vec<u32> {
        let mark = self.folder.path().to_str().expect("a path").as_bytes();
        let lives_here = |id: &u32| {
            let environment = std::fs::read(format!("/proc/{id}/environ")).unwrap_or_default();
            environment.windows(mark.len()).any(|window| window == mark)
        };
        let processes = std::fs::read_dir("/proc").expect("processes");
        let ids = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        ids.filter(lives_here).collect()
    }
}

fn expected_ready(port: u16) -> String {
    format!(
        "ready clients=http://127.0.0.1:{} ops=http://127.0.0.1:{} phone=http://127.0.0.1:{} \
         provider=https://localhost:{}/auth/realms/esante-wallet",
        port,
        port + 1,
        port + 2,
        port + 3,
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn demo_auto_prints_exactly_the_session_and_leaves_nothing() {
    let (quarters, port) = (Quarters::new(), ports::block(6));
    let mut command = quarters.demo(port);
    command.arg("--auto");
    let mut demo = Running::start(command);
    assert_eq!(demo.ended().await, 0, "{}", demo.stderr());
    let session: Value = serde_json::from_str(&demo.stdout()).expect("stdout is one JSON document");
    assert_eq!(demo.stdout().lines().count(), 1);
    assert_eq!(session["status"], "active");
    assert_eq!(session["application"], "demo");
    assert_eq!(session["registration"], "psc-demo");
    assert_eq!(session["subject"]["national_id"], "899700000001");
    assert_eq!(session["subject"]["complete"], true);
    assert!(session.get("session_handle").is_none() && !demo.stdout().contains("rsh_"));
    assert!(demo.stderr().lines().any(|line| line == expected_ready(port)), "{}", demo.stderr());
    assert!(!demo.stderr().contains("rlt_") && !demo.stderr().contains("rsh_"));
    assert_eq!(quarters.left(), Vec::<PathBuf>::new());
    assert_eq!(quarters.inhabitants(), Vec::<u32>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn demo_without_a_terminal_serves_until_told_to_stop_and_leaves_nothing() {
    let (quarters, port) = (Quarters::new(), ports::block(6));
    let mut demo = Running::start(quarters.demo(port));
    assert_eq!(demo.first_line().await, expected_ready(port));
    assert_eq!(quarters.inhabitants(), [demo.id()], "no other daemon");
    let outside_its_state =
        quarters.left().into_iter().filter(|path| !path.starts_with(quarters.path("tmp")));
    assert_eq!(outside_its_state.count(), 0);
    assert_eq!(quarters.left().len(), 1, "one state folder: {:?}", quarters.left());
    let phone = Caller::new(format!("http://127.0.0.1:{}", port + 2));
    assert_eq!(phone.get("/_sim/requests").await.expect(200).json(), json!([]), "it starts no login");
    Caller::new(format!("http://127.0.0.1:{}", port + 1)).get("/health/ready").await.expect(200);
    let for_providers = Caller::new(format!("http://127.0.0.1:{}", port + 4));
    for_providers.post("/providers/psc-demo/ciba", json!({ "auth_req_id": "x" })).await.expect(401);
    demo.signal("TERM");
    assert_eq!(demo.ended().await, 0, "{}", demo.stderr());
    assert_eq!(demo.stdout().lines().count(), 1);
    assert_eq!(quarters.left(), Vec::<PathBuf>::new());
    assert_eq!(quarters.inhabitants(), Vec::<u32>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_folder_survives_a_restart_with_its_keys_certificates_and_sessions() {
    let (quarters, port) = (Quarters::new(), ports::block(6));
    let state = quarters.path("state");
    let start = || {
        let mut command = quarters.demo(port);
        command.arg("--state").arg(&state);
        Running::start(command)
    };
    let mut demo = start();
    demo.first_line().await;
    let relais = Caller::new(format!("http://127.0.0.1:{port}"));
    let handle = sign_in(&relais, &Caller::new(format!("http://127.0.0.1:{}", port + 2))).await;
    demo.signal("TERM");
    assert_eq!(demo.ended().await, 0, "{}", demo.stderr());
    let before = secrets(&state);
    assert_eq!(before.len(), 7, "two keys, five files of the PKI");
    let mut demo = start();
    demo.first_line().await;
    assert!(before == secrets(&state), "keys and certificates are the same");
    let session = relais.bearer(&handle);
    assert_eq!(session.get("/v1/session").await.expect(200).text("/subject/national_id"), "899700000001");
    session.get("/v1/session/userinfo").await.expect(200);
    session.delete("/v1/session").await.expect(204);
    demo.signal("INT");
    assert_eq!(demo.ended().await, 0, "{}", demo.stderr());
    assert_eq!(quarters.left(), Vec::<PathBuf>::new());
}

async fn sign_in(relais: &Caller, phone: &Caller) -> String {
    phone.put("/_sim/settings", json!({ "interval": 1 })).await.expect(200);
    let desk = relais.basic("demo", "demo");
    let started = desk.post("/v1/logins", json!({ "login_hint": "899700000001" })).await.expect(201);
    let requests = phone.get("/_sim/requests").await.expect(200).json();
    let id = requests[0]["auth_req_id"].as_str().expect("a request").to_owned();
    phone.post(&format!("/_sim/requests/{id}/approve"), Value::Null).await.expect(204);
    let holder = relais.bearer(&started.text("/login_token")).header("prefer", "wait=30");
    let path = format!("/v1/logins/{}/session", started.text("/login_id"));
    holder.post(&path, Value::Null).await.expect(201).text("/session_handle")
}

fn secrets(state: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for folder in ["keys", "certs"] {
        for entry in std::fs::read_dir(state.join(folder)).expect("a folder") {
            let path = entry.expect("an entry").path();
            found.push((path.clone(), std::fs::read(&path).expect("a file")));
        }
    }
    found.sort();
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn ports_in_use_are_told_and_nothing_is_left() {
    let (quarters, port) = (Quarters::new(), ports::block(6));
    let _taken = std::net::TcpListener::bind(("127.0.0.1", port)).expect("a socket");
    let mut demo = Running::start(quarters.demo(port));
    assert_eq!(demo.ended().await, 1);
    assert_eq!(demo.stdout(), "");
    assert!(demo.stderr().contains(&format!("cannot listen on 127.0.0.1:{port}")), "{}", demo.stderr());
    assert_eq!(quarters.left(), Vec::<PathBuf>::new());
}

/// The blocks of code below a heading of the README.
fn blocks(heading: &str) -> Vec<String> {
    let readme = include_str!("../../../README.md");
    let (_, below) = readme.split_once(&format!("\n## {heading}\n")).expect("the heading");
    let section = below.split_once("\n## ").map_or(below, |(section, _)| section);
    let begun = section.split("```bash\n").skip(1);
    begun.map(|block| block.split_once("```").expect("the end of a block").0.to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_five_calls_of_the_readme_work_as_printed() {
    let blocks = blocks("The same login by curl");
    assert_eq!(blocks.len(), 6, "a preparation and five steps");
    assert!(blocks[1..].iter().all(|block| block.contains("curl -sS")));
    let (quarters, port) = (Quarters::new(), ports::block(6));
    let mut demo = Running::start(quarters.demo(port));
    demo.first_line().await;
    // Other tests have other ports; not a letter else is changed.
    let preparation = &blocks[0];
    assert!(preparation.contains("127.0.0.1:8080") && preparation.contains("127.0.0.1:8082"));
    let preparation = preparation
        .replace("127.0.0.1:8080", &format!("127.0.0.1:{port}"))
        .replace("127.0.0.1:8082", &format!("127.0.0.1:{}", port + 2));
    let script = format!("{preparation}{}", blocks[1..].concat());
    // Twice: the newest request is the one to approve.
    for _ in 0..2 {
        let mut shell = Command::new("bash");
        shell
            .args(["-euo", "pipefail", "-c", &script])
            .env_remove("http_proxy")
            .current_dir(quarters.path("cwd"));
        let mut shell = Running::start(shell);
        assert_eq!(shell.ended().await, 0, "{}", shell.stderr());
        let stdout = shell.stdout();
        let printed: Vec<Value> =
            stdout.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
        let [application, login, session, read] = printed.as_slice() else { panic!("{printed:#?}") };
        assert_eq!(application["application"], "demo");
        assert_eq!(login["status"], "pending");
        assert!(login["user_message"].as_str().is_some_and(|text| {
            login["binding_message"].as_str().is_some_and(|digits| text.contains(digits))
        }));
        assert_eq!(session["subject"]["national_id"], "899700000001");
        assert_eq!(read["session_id"], session["session_id"]);
        assert_eq!(shell.stderr(), "");
    }
    eventually("two requests are redeemed", async || {
        let phone = Caller::new(format!("http://127.0.0.1:{}", port + 2));
        let requests = phone.get("/_sim/requests").await.json();
        let redeemed = |request: &Value| request["status"] == "redeemed";
        requests.as_array().is_some_and(|all| all.len() == 2 && all.iter().all(redeemed)).then_some(())
    })
    .await;
}

/// The `login` command of the README, without cargo.
fn login_line() -> Vec<String> {
    let readme = include_str!("../../../README.md");
    let (_, line) = readme.split_once("`cargo run --release -- login ").expect("the command");
    let arguments = line.split_once('`').expect("its end").0;
    [&["login"], arguments.split(' ').collect::<Vec<_>>().as_slice()]
        .concat()
        .into_iter()
        .map(str::to_owned)
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn demo_and_login_speak_to_a_person_at_a_terminal() {
    let (quarters, port) = (Quarters::new(), ports::block(6));
    let mut command = quarters.demo(port);
    command.env("LANG", "en_GB.UTF-8");
    let (mut demo, mut keyboard) = Running::in_a_terminal(&command);
    demo.shows("Enter: sign 899700000001 in").await;
    assert!(demo.stdout().starts_with(&expected_ready(port)), "{}", demo.stdout());
    let phone = Caller::new(format!("http://127.0.0.1:{}", port + 2));
    let auto = json!({ "decision": "approve", "after_ms": 300 });
    phone.put("/_sim/settings", json!({ "interval": 1, "auto": auto })).await.expect(200);
    keyboard.write_all(b"\n").expect("typed");
    demo.shows("Person: ").await;

    let mut login = relais(&quarters.path("cwd"));
    let arguments = login_line();
    assert!(arguments.contains(&"http://127.0.0.1:8080".to_owned()));
    login
        .args(arguments.iter().map(|word| word.replace("8080", &port.to_string())))
        .env("LANG", "en_GB.UTF-8");
    let (mut login, mut secret) = Running::in_a_terminal(&login);
    login.shows("Secret (demo): ").await;
    secret.write_all(b"demo\n").expect("typed");
    assert_eq!(login.ended().await, 0, "{}", login.stdout());
    let shown = login.stdout();
    assert!(shown.contains("Person: ") && shown.contains("Support code: "), "{shown}");
    assert_eq!(shown.matches("demo").count(), 1, "the secret is not shown: {shown}");
    assert!(!shown.contains("rsh_") && !shown.contains("rlt_"));

    // Ctrl-C.
    keyboard.write_all(&[3]).expect("typed");
    assert_eq!(demo.ended().await, 0, "{}", demo.stdout());
    assert_eq!(quarters.left(), Vec::<PathBuf>::new());
}
