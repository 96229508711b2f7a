//! `login`: a real thick client in the terminal, and a helper for clients without an HTTP stack.
//!
//! With `-o text` stdout is for the person who signs in: the digits, a sentence at each step, who it was; never the
//! session handle. With `-o json` stdout has one JSON object, the session with its `session_handle`, or nothing;
//! what the person must see goes to stderr. With `-o jsonl` stdout has one event a line:
//! `{"event":"login",…login object…}` at each change, last `{"event":"session",…session object…,"session_handle":…}`
//! or `{"event":"ended",…}` with the login object, or with `problem` (RFC 9457) or `error` where no login exists.

mod report;

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, ValueEnum};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use url::Url;

use super::output::{language, with_causes};
use super::terminal;
use crate::client::{Client, ClientSettings, Credential, StartLogin};
use crate::domain::clock::Clock;
use crate::domain::random::{Random, uuid_v4};
use crate::domain::registration::Environment;
use crate::domain::secret::Secret;
use crate::domain::texts::Language;
use report::{Refused, Report};

/// The arguments of `login`.
#[derive(Args)]
pub struct LoginArgs {
    /// Where the client API is
    #[arg(long, value_name = "URL")]
    server: Url,
    /// The application to sign in for
    #[arg(long, value_name = "NAME")]
    application: String,
    /// A file with the application's secret (without it, and without --cert: asked for)
    #[arg(long, value_name = "FILE", conflicts_with = "cert")]
    secret_file: Option<PathBuf>,
    /// The application's certificate, PEM
    #[arg(long, value_name = "FILE", requires = "key")]
    cert: Option<PathBuf>,
    /// The private key of --cert, PEM
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,
    /// The only roots to trust the server by, PEM (without it: the system's)
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// The registration to sign in over (without it: the application's default)
    #[arg(long, value_name = "NAME")]
    registration: Option<String>,
    /// MOBILE or CARD (without it: the registration's default)
    #[arg(long, value_name = "CHANNEL")]
    channel: Option<String>,
    /// For a human, as one JSON object, or as one event a line
    #[arg(short, value_enum, value_name = "FORMAT", default_value = "text")]
    output: Format,
    /// The national id; as an argument against test environments only (without it: one line on stdin)
    login_hint: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
    Jsonl,
}

/// Where the verb writes.
pub struct Streams {
    /// stdout.
    pub data: Box<dyn Write + Send>,
    /// stderr.
    pub words: Box<dyn Write + Send>,
    /// Whether a human watches, so that a countdown may be drawn.
    pub animated: bool,
}

impl Streams {
    fn of_the_process(format: Format) -> Self {
        let animated = match format {
            Format::Text => io::stdout().is_terminal(),
            Format::Json | Format::Jsonl => io::stderr().is_terminal(),
        };
        Self { data: Box::new(io::stdout()), words: Box::new(io::stderr()), animated }
    }
}

/// Signs one person in. Ctrl-C and SIGTERM cancel the login first.
pub async fn run(args: LoginArgs, clock: Arc<dyn Clock>, random: &dyn Random) -> ExitCode {
    let streams = Streams::of_the_process(args.output);
    run_on(args, clock, random, streams, interrupted()).await
}

/// The same on streams of the caller's, and given up when `interrupt` completes.
pub async fn run_on(
    args: LoginArgs,
    clock: Arc<dyn Clock>,
    random: &dyn Random,
    streams: Streams,
    interrupt: impl Future<Output = ()> + Send,
) -> ExitCode {
    let language = language();
    let mut report = Report::new(args.output, language, streams);
    let exit = match prepare(&args, language, &clock).await {
        Ok((client, start)) => {
            let key = uuid_v4(random);
            let outcome =
                terminal::sign_in(&client, &start, key, clock.as_ref(), &mut report, interrupt).await;
            report.end(outcome)
        }
        Err(refused) => report.refused(&refused),
    };
    ExitCode::from(exit as u8)
}

/// Everything before the start: credentials, the hint, and whether the hint may be an argument.
async fn prepare(
    args: &LoginArgs,
    language: Language,
    clock: &Arc<dyn Clock>,
) -> Result<(Client, StartLogin), Refused> {
    let ca_pem = match &args.ca {
        Some(path) => Some(read(path).await?),
        None => None,
    };
    let settings = ClientSettings {
        server: args.server.clone(),
        application: args.application.clone(),
        credential: credential(args).await?,
        ca_pem,
        language,
    };
    let client = Client::new(settings, clock.clone()).map_err(|error| Refused::usage(with_causes(&error)))?;
    let hint = match &args.login_hint {
        Some(hint) => {
            only_in_tests(&client, args.registration.as_deref()).await?;
            Secret::new(hint)
        }
        None => line_on_stdin(language).await?,
    };
    let mut start = StartLogin::new(hint);
    start.registration.clone_from(&args.registration);
    start.channel.clone_from(&args.channel);
    Ok((client, start))
}

/// Arguments are visible to every user of the machine: no real person's identifier may be one.
async fn only_in_tests(client: &Client, registration: Option<&str>) -> Result<(), Refused> {
    let application = client.application().await?;
    let Some(offered) = application.registration(registration) else {
        let why = match registration {
            Some(name) => format!("the application may not use a registration `{name}`"),
            None => "the application has no default registration: give --registration".to_owned(),
        };
        return Err(Refused::usage(why));
    };
    if offered.environment.is(&Environment::Test) {
        return Ok(());
    }
    let why = format!(
        "registration `{}` is not of a test environment: give the national id on stdin, not as an argument",
        offered.name
    );
    Err(Refused::usage(why))
}

async fn credential(args: &LoginArgs) -> Result<Credential, Refused> {
    if let (Some(cert), Some(key)) = (&args.cert, &args.key) {
        let cert_pem = read(cert).await?;
        return Ok(Credential::Certificate { cert_pem, key_pem: Secret::new(text(key).await?) });
    }
    if let Some(path) = &args.secret_file {
        return Ok(Credential::Secret(Secret::new(text(path).await?.trim_end_matches(['\r', '\n']))));
    }
    let prompt = format!("Secret ({}): ", args.application);
    match tokio::task::spawn_blocking(move || rpassword::prompt_password(prompt)).await {
        Ok(Ok(secret)) => Ok(Credential::Secret(Secret::new(secret))),
        _ => Err(Refused::usage(
            "no terminal to ask for the application's secret on: give --secret-file or --cert",
        )),
    }
}

async fn read(path: &Path) -> Result<Vec<u8>, Refused> {
    tokio::fs::read(path).await.map_err(|error| unreadable(path, &error))
}

async fn text(path: &Path) -> Result<String, Refused> {
    tokio::fs::read_to_string(path).await.map_err(|error| unreadable(path, &error))
}

fn unreadable(path: &Path, error: &io::Error) -> Refused {
    Refused::usage(format!("{} cannot be read: {error}", path.display()))
}

async fn line_on_stdin(language: Language) -> Result<Secret, Refused> {
    if io::stdin().is_terminal() {
        let prompt = match language {
            Language::French => "Identifiant national : ",
            Language::English => "National id: ",
        };
        let _ = write!(io::stderr(), "{prompt}");
        let _ = io::stderr().flush();
    }
    let mut line = zeroize::Zeroizing::new(String::new());
    let mut stdin = BufReader::new(tokio::io::stdin().take(1024));
    match stdin.read_line(&mut line).await {
        Ok(_) if !line.trim().is_empty() => Ok(Secret::new(line.trim())),
        _ => Err(Refused::usage("no login hint: give it as one line on stdin")),
    }
}

/// Completes when somebody wants the verb to stop; never where the system has no such thing.
async fn interrupted() {
    let terminated = async {
        #[cfg(unix)]
        if let Ok(mut signal) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            signal.recv().await;
            return;
        }
        std::future::pending::<()>().await;
    };
    let ctrl_c = async {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! { () = terminated => {} () = ctrl_c => {} }
}
