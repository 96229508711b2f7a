//! Signs one person in through Relais, as the software of a practice does. `cargo build --example sign_in` builds it.
//!
//! ```text
//! RELAIS_URL=http://127.0.0.1:8080 RELAIS_APPLICATION=demo RELAIS_SECRET=demo sign_in 899700000001
//! ```
//!
//! [`Relais`] is what you would copy: `start`, `wait`, `pick_up`, `read_session`, `end_session`, `cancel`. The rest is a
//! console program around it. It knows Relais by its HTTP API only. The steps, the settings and the exit codes are in
//! `../README.md`.

#![expect(
    clippy::disallowed_methods,
    reason = "a client that stands alone: it has no injected clock or randomness"
)]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a console program")]

use std::env;
use std::fmt::Write;
use std::time::{Duration, Instant};

use reqwest::header::{ACCEPT_LANGUAGE, HeaderMap, HeaderValue, IF_NONE_MATCH, RETRY_AFTER};
use reqwest::{Certificate, Client, Method, RequestBuilder, StatusCode, Url, redirect};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::time::sleep;
use uuid::Uuid;

/// How long one call waits at the server: some proxies cut after 30 s.
const WAIT: Duration = Duration::from_secs(25);
/// How long an answer may take, beyond that: a start alone may take 10 s.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);
/// How long a call without an answer is repeated.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a silent server is still asked after the login's own end.
const MARGIN: Duration = Duration::from_secs(10);
const SECOND: Duration = Duration::from_secs(1);

const SESSION: i32 = 0;
const FAILED: i32 = 1;
const USAGE: i32 = 2;
const CANCELLED: i32 = 13;
const ALREADY_PENDING: i32 = 15;

/// The exit code of the first word that has one: a login's status or reason, a problem's code. Words may be added.
fn exit_code(words: [&Value; 3]) -> i32 {
    let known = |word: &Value| match word.as_str()? {
        "login_hint_malformed" => Some(USAGE),
        "denied" => Some(10),
        "expired" => Some(11),
        "user_unknown" => Some(12),
        "cancelled" => Some(CANCELLED),
        "identity_mismatch" => Some(14),
        "already_pending" | "rate_limited" => Some(ALREADY_PENDING),
        "provider_unavailable" | "outcome_unknown" => Some(16),
        "provider_rejected_client" | "application_unauthenticated" | "application_disabled" => Some(17),
        _ => None,
    };
    words.into_iter().find_map(known).unwrap_or(FAILED)
}

/// What your software does next. What the person reads is the `user_message` of Relais.
fn ending(code: i32) -> &'static str {
    match code {
        USAGE => "Refused: let the person correct the identifier. No phone has rung.",
        10 => "Denied: never start again by yourself; whoever says no has a reason.",
        11 => "Expired: offer to start again.",
        12 => "Unknown person: let the identifier be corrected.",
        CANCELLED => "Cancelled: the phone is free for another login.",
        14 => "Somebody else has confirmed: nobody is signed in.",
        ALREADY_PENDING => "Too early: another login is under way for this person, or there were too many.",
        16 => "The provider is unavailable: nothing is wrong here, try again in a few minutes.",
        17 => "The application is refused: check its name and secret, then ask whoever operates Relais.",
        _ => "Failed: let the person try again, and have the support code ready for your help desk.",
    }
}

/// A call without a result: no answer came (no status), or a refusal with its problem (RFC 9457).
struct CallError {
    why: String,
    status: Option<StatusCode>,
    problem: Value,
    retry_after: Duration,
}

impl CallError {
    fn no_answer(error: &reqwest::Error) -> Self {
        // What reqwest says about itself hides the cause; its last source is the cause.
        let mut cause: &dyn std::error::Error = error;
        while let Some(source) = cause.source() {
            cause = source;
        }
        Self { why: cause.to_string(), status: None, problem: Value::Null, retry_after: Duration::ZERO }
    }

    fn is(&self, codes: &[&str]) -> bool {
        self.problem["code"].as_str().is_some_and(|code| codes.contains(&code))
    }

    /// "Not now", from Relais or a proxy. Any other refusal would be the same the next time.
    fn may_be_repeated(&self) -> bool {
        self.status.is_none_or(|status| matches!(status.as_u16(), 502..=504))
    }
}

/// The calls. Each may be repeated without harm, so each is, where an answer is lost.
struct Relais {
    http: Client,
    url: String,
    application: String,
    secret: String,
}

impl Relais {
    fn new(
        url: &str,
        application: &str,
        secret: &str,
        ca_pem: Option<&[u8]>,
        language: &str,
    ) -> reqwest::Result<Self> {
        // Only because this package builds reqwest without its default: leave it out if yours does not.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let mut headers = HeaderMap::new();
        headers.insert(
            ACCEPT_LANGUAGE,
            HeaderValue::from_str(language).unwrap_or(HeaderValue::from_static("fr")),
        );
        let mut builder = Client::builder()
            .connect_timeout(Duration::from_secs(10))
            // A secret has one addressee.
            .redirect(redirect::Policy::none())
            .default_headers(headers);
        if let Some(pem) = ca_pem {
            builder = builder.tls_certs_only(Certificate::from_pem_bundle(pem)?);
        }
        Ok(Self {
            http: builder.build()?,
            url: url.trim_end_matches('/').to_owned(),
            // Name and secret are form-encoded before they are joined (RFC 6749 §2.3.1).
            application: form_encoded(application),
            secret: form_encoded(secret),
        })
    }

    /// Rings the person's phone. With the same key, it is the same login however often it is asked for.
    async fn start(&self, login_hint: &str, key: Uuid) -> Result<Value, CallError> {
        let request = || {
            self.http
                .post(format!("{}/v1/logins", self.url))
                .basic_auth(&self.application, Some(&self.secret))
                .header("Idempotency-Key", key.to_string())
                .json(&json!({ "login_hint": login_hint }))
        };
        repeated(PATIENCE, Duration::ZERO, request).await
    }

    /// Follows a login until somebody has decided.
    async fn wait(
        &self,
        mut login: Value,
        token: &str,
        on_change: impl Fn(&Value),
    ) -> Result<Value, CallError> {
        while is_open(&login) {
            // Answered at once if the version is no longer this one: no change falls between two calls.
            let request = || {
                self.with_login(Method::GET, &login, token, "")
                    .header("Prefer", format!("wait={}", WAIT.as_secs()))
                    .header(IF_NONE_MATCH, format!("\"{}\"", login["version"]))
            };
            let asked_at = Instant::now();
            let read = repeated(seconds(&login["expires_in"]) + MARGIN, WAIT, request).await?;
            if read["version"] != login["version"] {
                on_change(&read);
            } else if asked_at.elapsed() < SECOND {
                // A server that shuts down answers early: ask the next one, but not in a tight loop.
                sleep(SECOND).await;
            }
            login = read;
        }
        Ok(login)
    }

    /// Turns an approved login into a session. A repetition brings another handle, of the same session.
    async fn pick_up(&self, login: &Value, token: &str) -> Result<Value, CallError> {
        let request = || self.with_login(Method::POST, login, token, "/session");
        repeated(PATIENCE, Duration::ZERO, request).await
    }

    /// Who it is and until when, or nothing once it has ended. Reading it is a use, which postpones the idle end.
    async fn read_session(&self, handle: &str) -> Result<Option<Value>, CallError> {
        match repeated(PATIENCE, Duration::ZERO, || self.with_handle(Method::GET, handle)).await {
            // Every call with a handle may be told this, and it always means: sign in again.
            Err(error) if error.is(&["session_ended", "handle_invalid"]) => {
                eprintln!("{} [{}]", text(&error.problem["user_message"]), error.why);
                Ok(None)
            }
            session => session.map(Some),
        }
    }

    /// Ends a session. One that has ended already is as good.
    async fn end_session(&self, handle: &str) -> Result<(), CallError> {
        match repeated(PATIENCE, Duration::ZERO, || self.with_handle(Method::DELETE, handle)).await {
            Err(error) if error.is(&["session_ended", "handle_invalid"]) => Ok(()),
            ended => ended.map(|_| ()),
        }
    }

    /// Gives a login up, or the session that it has led to meanwhile.
    async fn cancel(&self, login: &Value, token: &str) -> Result<(), CallError> {
        match repeated(PATIENCE, Duration::ZERO, || self.with_login(Method::DELETE, login, token, "")).await {
            Err(error) if error.is(&["already_picked_up"]) => {
                let session = self.pick_up(login, token).await?;
                self.end_session(text(&session["session_handle"])).await
            }
            cancelled => cancelled.map(|_| ()),
        }
    }

    fn with_login(&self, method: Method, login: &Value, token: &str, below: &str) -> RequestBuilder {
        let url = format!("{}/v1/logins/{}{below}", self.url, text(&login["login_id"]));
        self.http.request(method, url).bearer_auth(token)
    }

    fn with_handle(&self, method: Method, handle: &str) -> RequestBuilder {
        self.http.request(method, format!("{}/v1/session", self.url)).bearer_auth(handle)
    }
}

/// Makes a call, and the very same call again while no answer comes.
async fn repeated(
    patience: Duration,
    wait: Duration,
    request: impl Fn() -> RequestBuilder,
) -> Result<Value, CallError> {
    let begun_at = Instant::now();
    let mut pause = Duration::from_millis(250);
    loop {
        match call(request().timeout(ANSWER_TIMEOUT + wait)).await {
            Err(error) if error.may_be_repeated() => {
                pause = pause.max(error.retry_after);
                if begun_at.elapsed() + pause > patience {
                    return Err(error);
                }
                eprintln!("No answer yet, trying again [{}]", error.why);
            }
            outcome => return outcome,
        }
        sleep(pause).await;
        pause = (2 * pause).min(2 * SECOND);
    }
}

/// Makes a call once.
async fn call(request: RequestBuilder) -> Result<Value, CallError> {
    let answer = request.send().await.map_err(|error| CallError::no_answer(&error))?;
    let (status, header) = (answer.status(), answer.headers().get(RETRY_AFTER).cloned());
    let body = answer.bytes().await.map_err(|error| CallError::no_answer(&error))?;
    let read: Option<Value> = serde_json::from_slice(&body).ok().filter(Value::is_object);
    match read {
        _ if status == StatusCode::NO_CONTENT => Ok(Value::Null),
        // Members that you do not know may be added: leave them alone.
        Some(members) if status.is_success() => Ok(members),
        read => {
            let problem = read.unwrap_or_default();
            let mut why = match problem["code"].as_str() {
                Some(code) => format!("{} {code}", status.as_u16()),
                None => format!("{} without a problem of Relais", status.as_u16()),
            };
            if let Some(support_code) = problem["support_code"].as_str() {
                why = format!("{why}, support code {support_code}");
            }
            let retry_after = header.and_then(|header| header.to_str().ok()?.parse().ok()).unwrap_or(0);
            Err(CallError {
                why,
                status: Some(status),
                problem,
                retry_after: Duration::from_secs(retry_after),
            })
        }
    }
}

fn is_open(login: &Value) -> bool {
    matches!(text(&login["status"]), "starting" | "pending")
}

fn text(member: &Value) -> &str {
    member.as_str().unwrap_or_default()
}

fn seconds(member: &Value) -> Duration {
    Duration::from_secs(member.as_u64().unwrap_or(0))
}

fn form_encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut encoded, byte| {
        // Writing to a string cannot fail.
        let _ = if byte.is_ascii_alphanumeric() {
            write!(encoded, "{}", char::from(byte))
        } else {
            write!(encoded, "%{byte:02X}")
        };
        encoded
    })
}

/// How far a sign-in has come, for whoever has to give it up.
#[derive(Default)]
struct Progress {
    started: Option<Value>,
    handle: Option<String>,
    session: Option<Value>,
}

/// From the start to the session's end. Gives the exit code.
async fn sign_in(relais: &Relais, login_hint: &str, end_at_once: bool) -> Result<i32, CallError> {
    let key = Uuid::new_v4(); // One key for one attempt to sign in: one login, one ring.
    let mut progress = Progress::default();
    let ended_early = tokio::select! {
        ended = until_closed(relais, login_hint, key, end_at_once, &mut progress) => ended?,
        () = interrupted() => None,
    };
    if let Some(code) = ended_early {
        return Ok(code);
    }
    let Progress { started, handle, session } = progress;
    let Some(handle) = handle else {
        // The start may have arrived even if its answer has not: the same key brings the same login.
        let login = match started {
            Some(login) => login,
            None => relais.start(login_hint, key).await?,
        };
        relais.cancel(&login, text(&login["login_token"])).await?;
        return Ok(ended(CANCELLED, &Value::Null));
    };
    relais.end_session(&handle).await?;
    if end_at_once && relais.read_session(&handle).await?.is_none() {
        eprintln!("The handle is worth nothing any more: for another session, sign in again.");
    }
    Ok(if session.is_some() { SESSION } else { ended(CANCELLED, &Value::Null) })
}

/// Gives the exit code of a login that came to nothing, or nothing once the session is to be ended.
async fn until_closed(
    relais: &Relais,
    login_hint: &str,
    key: Uuid,
    end_at_once: bool,
    progress: &mut Progress,
) -> Result<Option<i32>, CallError> {
    let started = progress.started.insert(relais.start(login_hint, key).await?);
    show(started);
    let token = text(&started["login_token"]);
    let login = relais.wait(started.clone(), token, show).await?;
    if login["status"] != "approved" {
        let code = exit_code([&login["reason"], &login["status"], &Value::Null]);
        return Ok(Some(ended(code, &login["support_code"])));
    }
    let picked_up = relais.pick_up(&login, token).await?;
    let handle = progress.handle.insert(text(&picked_up["session_handle"]).to_owned());
    let Some(session) = relais.read_session(handle).await? else {
        return Ok(Some(ended(FAILED, &Value::Null)));
    };
    show_person(&session);
    println!("{session}");
    progress.session = Some(session);
    workday(end_at_once).await;
    Ok(None)
}

/// Shows the two digits, large, while there is something to compare, and the sentence of Relais.
fn show(login: &Value) {
    if is_open(login) {
        let digits: Vec<String> = text(&login["binding_message"]).chars().map(String::from).collect();
        let digits = digits.join("   ");
        let rule = "-".repeat(digits.len() + 6);
        eprintln!("\n    +{rule}+\n    |   {digits}   |\n    +{rule}+\n");
    }
    eprintln!("{}", text(&login["user_message"]));
}

/// Shows who has signed in and where they practise. The key of a person in your database is (iss, sub).
fn show_person(session: &Value) {
    let subject = &session["subject"];
    let name = subject["name"].as_str().unwrap_or(text(&subject["sub"]));
    eprintln!("Signed in: {name}, until {} at the latest", text(&session["expires_at"]));
    for exercice in subject["exercices"].as_array().into_iter().flatten() {
        let profession = &exercice["profession"];
        let label = profession["label"].as_str().unwrap_or(text(&profession["code"]));
        eprintln!("  {label}, {}", exercice["site"]["name"].as_str().unwrap_or("no place named"));
    }
}

/// Here your software works, until somebody closes it.
async fn workday(end_at_once: bool) {
    if !end_at_once {
        eprintln!("Press Enter to end the session.");
        // A closed input is as good as a line.
        let _ = BufReader::new(tokio::io::stdin()).read_line(&mut String::new()).await;
    }
}

fn ended(code: i32, support_code: &Value) -> i32 {
    match support_code.as_str() {
        Some(support_code) => eprintln!("{} [support code {support_code}]", ending(code)),
        None => eprintln!("{}", ending(code)),
    }
    code
}

/// Tells why a call brought nothing. Gives the exit code.
fn refused(error: &CallError) -> i32 {
    let problem = &error.problem;
    eprintln!("{} [{}]", problem["user_message"].as_str().unwrap_or("Relais cannot be reached."), error.why);
    let code = exit_code([&problem["reason"], &problem["login_status"], &problem["code"]]);
    if code == ALREADY_PENDING {
        let left = problem["expires_in"].as_u64().unwrap_or(error.retry_after.as_secs());
        eprintln!("Try again in {left} s.");
    }
    ended(code, &Value::Null)
}

/// Completes with Ctrl-C or SIGTERM.
async fn interrupted() {
    let terminated = async {
        #[cfg(unix)]
        if let Ok(mut signal) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            signal.recv().await;
            return;
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = terminated => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}

async fn run() -> i32 {
    let (flags, hints): (Vec<String>, Vec<String>) =
        env::args().skip(1).partition(|argument| argument == "--end");
    let setting = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
    let settings = (setting("RELAIS_URL"), setting("RELAIS_APPLICATION"), setting("RELAIS_SECRET"));
    let ([login_hint], (Some(url), Some(application), Some(secret))) = (hints.as_slice(), settings) else {
        eprintln!(
            "usage: RELAIS_URL=… RELAIS_APPLICATION=… RELAIS_SECRET=… [RELAIS_CA=…] sign_in [--end] LOGIN_HINT"
        );
        return USAGE;
    };
    let local =
        |url: &Url| url.scheme() == "http" && matches!(url.host_str(), Some("127.0.0.1" | "localhost"));
    if !Url::parse(&url).is_ok_and(|url| url.scheme() == "https" || local(&url)) {
        eprintln!("RELAIS_URL: https://…, or http://… on this machine: it carries a secret");
        return USAGE;
    }
    let ca_pem = match setting("RELAIS_CA").map(std::fs::read).transpose() {
        Ok(ca_pem) => ca_pem,
        Err(error) => {
            eprintln!("RELAIS_CA: {error}");
            return USAGE;
        }
    };
    let language = setting("LANG").map(|lang| lang.split('.').next().unwrap_or_default().replace('_', "-"));
    let language = language.filter(|language| !matches!(language.as_str(), "C" | "POSIX"));
    let language = language.as_deref().unwrap_or("fr");
    match Relais::new(&url, &application, &secret, ca_pem.as_deref(), language) {
        Ok(relais) => {
            sign_in(&relais, login_hint, !flags.is_empty()).await.unwrap_or_else(|error| refused(&error))
        }
        Err(error) => {
            eprintln!("RELAIS_CA: {}", CallError::no_answer(&error).why);
            USAGE
        }
    }
}

#[tokio::main]
async fn main() {
    let code = run().await;
    // Not by returning: that would wait for a line which nobody enters any more.
    std::process::exit(code);
}
