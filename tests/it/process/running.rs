//! A process that a test has started: what it says, signals to it, how it ends.

use std::io::Read;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;

/// Two cores, shared by many tests: a process that starts may take its time.
const PATIENCE: Duration = Duration::from_secs(60);

/// The built binary with an environment that has nothing but a path and folders of its own.
pub fn relais(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_relais"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    command.current_dir(folder).env_clear().env("PATH", path).env("HOME", folder).env("TMPDIR", folder);
    command
}

/// Runs `relais` to its end, with `stdin`.
pub fn run(folder: &Path, arguments: &[&str], stdin: &str) -> Output {
    use std::io::Write as _;
    let mut command = relais(folder);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the binary starts");
    // A verb that reads no stdin may have ended already.
    let _ = child.stdin.take().expect("a pipe").write_all(stdin.as_bytes());
    child.wait_with_output().expect("the binary ends")
}

/// The verb succeeded, and this is its stdout without the line feed.
#[track_caller]
pub fn done(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
}

/// Waits (in real time, bounded) until `done` gives something.
#[expect(clippy::disallowed_methods, reason = "other processes live in real time")]
pub async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, mut done: impl FnMut() -> F) -> T {
    let begun = std::time::Instant::now();
    loop {
        if let Some(found) = done().await {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "never happened: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Lets other processes run for a while.
#[expect(clippy::disallowed_methods, reason = "other processes live in real time")]
pub async fn pause(length: Duration) {
    tokio::time::sleep(length).await;
}

/// A running process; it is killed when this is dropped.
pub struct Running {
    child: Child,
    stdout: Arc<Mutex<String>>,
    stderr: Arc<Mutex<String>>,
    readers: Vec<std::thread::JoinHandle<()>>,
}

impl Running {
    pub fn start(mut command: Command) -> Self {
        command.stdin(Stdio::null());
        Self::spawn(command)
    }

    /// The same in a terminal, at which somebody types what is written to the pipe.
    pub fn in_a_terminal(command: &Command) -> (Self, ChildStdin) {
        // Of Debian's essential packages.
        let mut terminal = Command::new("script");
        let words = [command.get_program()].into_iter().chain(command.get_args());
        let line: Vec<_> = words.map(|word| format!("'{}'", word.to_str().expect("text"))).collect();
        // `exec`: no shell that Ctrl-C would reach as well.
        let line = format!("exec {}", line.join(" "));
        terminal.args(["-q", "-e", "-c", &line, "/dev/null"]).stdin(Stdio::piped()).env_clear();
        terminal.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        terminal.current_dir(command.get_current_dir().expect("a folder"));
        let mut running = Self::spawn(terminal);
        let keyboard = running.child.stdin.take().expect("a pipe");
        (running, keyboard)
    }

    /// Waits until stdout has this text.
    pub async fn shows(&self, text: &str) {
        eventually(text, async || self.stdout().contains(text).then_some(())).await;
    }

    fn spawn(mut command: Command) -> Self {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary starts");
        let (stdout, stderr) = (Arc::default(), Arc::default());
        let readers = vec![
            collect(child.stdout.take().expect("a pipe"), &stdout),
            collect(child.stderr.take().expect("a pipe"), &stderr),
        ];
        Self { child, stdout, stderr, readers }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn stdout(&self) -> String {
        self.stdout.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn stderr(&self) -> String {
        self.stderr.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until stderr has this text; all of it so far.
    pub async fn stderr_with(&self, text: &str) -> String {
        eventually(text, async || Some(self.stderr()).filter(|words| words.contains(text))).await
    }

    /// The lines of the log, which are JSON; what is none is left out.
    pub fn log(&self) -> Vec<Value> {
        self.stderr().lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// Waits for the first line of stdout.
    pub async fn first_line(&mut self) -> String {
        let begun = self.stdout.clone();
        loop {
            let line =
                begun.lock().unwrap_or_else(PoisonError::into_inner).split_once('\n').map(|l| l.0.to_owned());
            if let Some(line) = line {
                return line;
            }
            let ended = self.child.try_wait().expect("a status");
            assert_eq!(ended, None, "it ended without a word: {}", self.stderr());
            pause(Duration::from_millis(10)).await;
        }
    }

    /// Waits until `line` is true of a line of the log.
    pub async fn logged(&self, what: &str, line: impl Fn(&Value) -> bool) -> Value {
        eventually(what, async || self.log().into_iter().find(&line)).await
    }

    /// Sends a signal by its name, such as `TERM`.
    pub fn signal(&self, name: &str) {
        let sent =
            Command::new("sh").args(["-c", "kill -s \"$0\" \"$1\"", name, &self.id().to_string()]).status();
        assert!(sent.is_ok_and(|status| status.success()), "the signal {name} is sent");
    }

    /// Waits for the end: the exit code, or the negative signal.
    pub async fn ended(&mut self) -> i32 {
        let mut looks_left = PATIENCE.as_millis() / 10;
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("a status") {
                break status;
            }
            assert!(looks_left > 0, "it does not end");
            looks_left -= 1;
            pause(Duration::from_millis(10)).await;
        };
        for reader in self.readers.drain(..) {
            reader.join().expect("a reader");
        }
        status.code().unwrap_or_else(|| -status.signal().unwrap_or_default())
    }

    /// `kill -9`.
    pub async fn kill(&mut self) {
        let _ = self.child.kill();
        self.ended().await;
    }
}

impl Drop for Running {
    #[expect(clippy::print_stderr, reason = "shown where a test has failed")]
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- process {}\n{}{}", self.id(), self.stdout(), self.stderr());
        }
    }
}

fn collect(from: impl Read + Send + 'static, into: &Arc<Mutex<String>>) -> std::thread::JoinHandle<()> {
    let into = Arc::clone(into);
    std::thread::spawn(move || {
        let mut from = from;
        let (mut buffer, mut rest) = ([0; 4096], Vec::new());
        // Prompts end without a line feed: what has come is shown at once, but for a character cut in two.
        while let Ok(read) = from.read(&mut buffer) {
            rest.extend_from_slice(&buffer[..read]);
            let whole = if read == 0 { rest.len() } else { valid_length(&rest) };
            let text = String::from_utf8_lossy(&rest[..whole]).into_owned();
            into.lock().unwrap_or_else(PoisonError::into_inner).push_str(&text);
            rest.drain(..whole);
            if read == 0 {
                return;
            }
        }
    })
}

fn valid_length(bytes: &[u8]) -> usize {
    match std::str::from_utf8(bytes) {
        Err(error) if error.error_len().is_none() => error.valid_up_to(),
        _ => bytes.len(),
    }
}
