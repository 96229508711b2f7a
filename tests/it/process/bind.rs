//! `relais demo --bind`: the phone page is open to the network, and nothing else is.

use std::net::Ipv4Addr;
use std::path::PathBuf;

use reqwest::StatusCode;
use serde_json::{Value, json};

use super::demo::Quarters;
use super::ports;
use super::running::Running;
use crate::support::http::Caller;

/// The word after `name=` in the ready line.
fn word(ready: &str, name: &str) -> String {
    let found = ready.split(' ').find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
    found.unwrap_or_else(|| panic!("no {name} in {ready}")).to_owned()
}

/// Whether the system has a way to the world, as it says itself.
fn has_default_route() -> bool {
    let routes = std::fs::read_to_string("/proc/net/route").expect("the kernel's routes");
    routes.lines().skip(1).any(|route| route.split_whitespace().nth(1) == Some("00000000"))
}

async fn begin_login(port: u16) {
    let desk = Caller::new(format!("http://127.0.0.1:{port}")).basic("demo", "demo");
    desk.post("/v1/logins", json!({ "login_hint": "899700000001" })).await.expect(201);
}

/// Where the form for `decision` leads.
fn action(page: &str, decision: &str) -> String {
    let forms = page.split("action=\"").skip(1).map(|form| form.split_once('"').expect("its end").0);
    let wanted = format!("/{decision}?lang=");
    forms.into_iter().find(|action| action.contains(&wanted)).expect("a form").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_phone_page_is_opened_to_the_network_and_says_where() {
    let (quarters, port) = (Quarters::new(), ports::block(6));
    let mut command = quarters.demo(port);
    command.args(["--bind", "0.0.0.0"]).env("LANG", "en_GB.UTF-8");
    let mut demo = Running::start(command);
    let ready = demo.first_line().await;
    let phone = word(&ready, "phone");
    assert_eq!(word(&ready, "clients"), format!("http://127.0.0.1:{port}"));
    let loopback = format!("http://127.0.0.1:{}", port + 2);
    let words = demo.stderr_with("open").await;
    let here = Caller::new(&loopback);
    here.get("/_sim/requests").await.expect(200);
    here.get("/try").await.expect(200);

    if has_default_route() {
        assert_ne!(phone, loopback, "what another machine can open");
        assert!(words.contains(&format!("Phone page, for a phone in the same network: {phone}")), "{words}");
        let network = Caller::new(&phone);
        begin_login(port).await;
        let page = network.get("/?lang=en").await.expect(200).body;
        assert!(page.contains("CLAIRE LEROY-TEST") && !page.contains("/try"), "{page}");
        // What steers, and what acts with the software's secret, is not the phone's.
        for (path, body) in [
            ("/_sim/requests", Value::Null),
            ("/_sim/people", Value::Null),
            ("/try", Value::Null),
            ("/_sim/faults", json!({ "endpoint": "token" })),
        ] {
            let answer = match &body {
                Value::Null => network.get(path).await,
                body => network.post(path, body.clone()).await,
            };
            assert_eq!(answer.expect(403).text("/error"), "other_machine", "{path}");
        }
        let approve = action(&page, "approve");
        network.send_text(reqwest::Method::POST, &approve, "application/x-www-form-urlencoded", "").await;
        assert_eq!(here.get("/_sim/requests").await.at("/0/status"), "approved");
        // A name that has been made to lead here is refused, as on loopback.
        let rebound = network.header("host", "relais.example.fr").get("/").await;
        assert_eq!(rebound.status, StatusCode::MISDIRECTED_REQUEST);
        // No other port is open.
        let address = phone.strip_prefix("http://").expect("a URL").rsplit_once(':').expect("a port").0;
        for other in [port, port + 1, port + 3] {
            let refused = std::net::TcpStream::connect(format!("{address}:{other}"));
            assert!(refused.is_err(), "{address}:{other} is open");
        }
    } else {
        assert_eq!(phone, loopback, "what a person can open");
        assert!(words.contains("No network address of this machine was found"), "{words}");
    }
    demo.signal("TERM");
    assert_eq!(demo.ended().await, 0, "{}", demo.stderr());
    assert_eq!(demo.stdout().lines().count(), 1);
    assert_eq!(quarters.left(), Vec::<PathBuf>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn one_address_is_opened_beside_loopback_and_a_terminal_gets_a_code_to_scan() {
    let (quarters, port) = (Quarters::new(), ports::block(6));
    let other = Ipv4Addr::new(127, 0, 0, 2);
    let mut command = quarters.demo(port);
    command.args(["--bind", &other.to_string()]).env("LANG", "en_GB.UTF-8");
    let (mut demo, mut keyboard) = Running::in_a_terminal(&command);
    demo.shows("Enter: sign 899700000001 in").await;
    let shown = demo.stdout();
    let url = format!("http://{other}:{}", port + 2);
    let first = shown.lines().next().expect("a line");
    assert_eq!(word(first, "phone"), url);
    let code: Vec<&str> = shown.lines().filter(|line| line.contains('█')).collect();
    assert!(code.len() > 10, "{shown}");
    assert!(code.iter().all(|line| line.starts_with("\u{1b}[38;5;231;48;5;16m")), "{shown}");
    assert!(shown.contains(&format!("Software and phone side by side: http://127.0.0.1:{}/try", port + 2)));
    for base in [url, format!("http://127.0.0.1:{}", port + 2)] {
        Caller::new(base).get("/").await.expect(200);
    }
    std::io::Write::write_all(&mut keyboard, &[3]).expect("typed");
    assert_eq!(demo.ended().await, 0, "{}", demo.stdout());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_is_none_or_not_ours_is_told() {
    let (quarters, port) = (Quarters::new(), ports::block(6));
    // Nobody's (RFC 5737): it cannot be this machine's.
    let mut command = quarters.demo(port);
    command.args(["--bind", "192.0.2.1"]);
    let mut demo = Running::start(command);
    assert_eq!(demo.ended().await, 1);
    let told = format!("cannot listen on 192.0.2.1:{}", port + 2);
    assert!(demo.stderr().contains(&told) && demo.stdout().is_empty(), "{}", demo.stderr());
    let mut command = quarters.demo(port);
    command.args(["--bind", "example.fr"]);
    let mut demo = Running::start(command);
    assert_eq!(demo.ended().await, 2);
    assert_eq!(quarters.left(), Vec::<PathBuf>::new());
}
