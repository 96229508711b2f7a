//! The demo as a process: what it survives.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// A demo that is ready; killed when this is dropped.
struct Demo {
    process: Child,
    port: u16,
    /// Kept: the demo may write to it.
    _data: BufReader<std::process::ChildStdout>,
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The first of six ports that nobody listens on; below those that the system gives away by itself, so that no other
/// test is given one of them in between.
fn six_ports() -> u16 {
    static TAKEN: AtomicU32 = AtomicU32::new(0);
    (0..1000)
        .find_map(|_| {
            let next = std::process::id().wrapping_add(TAKEN.fetch_add(1, Ordering::Relaxed));
            let first = 20_000 + u16::try_from(next % 2_000).ok()? * 6;
            (first..first + 6).all(|port| TcpListener::bind(("127.0.0.1", port)).is_ok()).then_some(first)
        })
        .expect("six free ports in a row")
}

impl Demo {
    /// Starts a demo in `folder` whose stderr nobody reads.
    fn without_stderr(folder: &Path) -> Self {
        let port = six_ports();
        let mut process = Command::new(env!("CARGO_BIN_EXE_relais"))
            .args(["demo", "--port-base", &port.to_string(), "--state"])
            .arg(folder.join("state"))
            .env("RELAIS_LOG", "debug")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        drop(process.stderr.take());
        let mut data = BufReader::new(process.stdout.take().expect("a pipe"));
        let mut ready = String::new();
        data.read_line(&mut ready).expect("stdout is text");
        assert!(ready.starts_with("ready clients="), "{ready:?}, {:?}", process.try_wait());
        Self { process, port, _data: data }
    }

    /// The status line of `GET /v1/application` without a credential.
    fn status_line(&self) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("the demo listens");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a socket");
        let request = "GET /v1/application HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        stream.write_all(request.as_bytes()).expect("the demo reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("the demo answers");
        answer.lines().next().unwrap_or_default().to_owned()
    }

    /// Sends a signal; the exit code, or `None` where the process was killed or still lives after 20 seconds.
    #[expect(clippy::disallowed_methods, reason = "a process of its own ends in real time")]
    fn code_after(&mut self, signal: &str) -> Option<i32> {
        let pid = self.process.id().to_string();
        let sent = Command::new("kill").args(["-s", signal, &pid]).status().expect("kill(1)");
        assert!(sent.success());
        for _ in 0..200 {
            if let Some(status) = self.process.try_wait().expect("our process") {
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        None
    }
}

#[test]
fn a_lost_stderr_stops_neither_answers_nor_the_orderly_end() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut demo = Demo::without_stderr(folder.path());
    for _ in 0..3 {
        assert_eq!(demo.status_line(), "HTTP/1.1 401 Unauthorized");
    }
    assert_eq!(demo.code_after("TERM"), Some(0));
}

#[test]
fn a_closed_terminal_ends_the_demo_in_order() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut demo = Demo::without_stderr(folder.path());
    assert_eq!(demo.code_after("HUP"), Some(0));
}
