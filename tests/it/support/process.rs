//! `relais serve` as a process of its own, with everything that it writes.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use super::http::Caller;

/// A running server. Killed when it is dropped.
pub struct Served {
    pub relais: Caller,
    pub ops: Caller,
    child: Child,
    stderr: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
    _stdout: BufReader<ChildStdout>,
}

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr()).expect("a free port").port()
}

impl Served {
    /// Starts it on `folder/relais.toml` and waits until it is ready.
    pub fn start(folder: &Path, log: &str) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_relais"))
            .args(["serve", "--config", "relais.toml"])
            .current_dir(folder)
            .env_clear()
            .env("RELAIS_LOG", log)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let stderr = Arc::new(Mutex::new(Vec::new()));
        let (mut pipe, kept) = (child.stderr.take().expect("a pipe"), stderr.clone());
        let reader = std::thread::spawn(move || {
            let mut bytes = vec![0; 65_536];
            while let Ok(length) = pipe.read(&mut bytes) {
                if length == 0 {
                    return;
                }
                kept.lock().expect("the log").extend_from_slice(&bytes[..length]);
            }
        });
        let mut stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut ready = String::new();
        stdout.read_line(&mut ready).expect("the ready line");
        let url = |name: &str| {
            let text = ready.split_whitespace().find_map(|word| word.strip_prefix(name));
            assert!(text.is_some(), "not ready: {ready}{}", text_of(&stderr));
            text.unwrap_or_default().to_owned()
        };
        let (relais, ops) = (Caller::new(url("clients=")), Caller::new(url("ops=")));
        Self { relais, ops, child, stderr, reader: Some(reader), _stdout: stdout }
    }

    /// SIGTERM, and its whole log once it has ended.
    pub fn stop(mut self) -> (ExitStatus, String) {
        let told = Command::new("kill").arg(self.child.id().to_string()).status().expect("kill");
        assert!(told.success());
        let status = self.child.wait().expect("it ends");
        if let Some(reader) = self.reader.take() {
            reader.join().expect("the log is read");
        }
        (status, text_of(&self.stderr))
    }
}

fn text_of(log: &Mutex<Vec<u8>>) -> String {
    String::from_utf8_lossy(&log.lock().expect("the log")).into_owned()
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
