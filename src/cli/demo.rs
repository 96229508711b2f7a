//! `demo`: everything in one process, on an embedded SQLite store: development PKI, simulated PSC over HTTPS with
//! client certificate, its phone page, Relais, a terminal thick client, and a page that plays one (`/try`).

mod qr;
mod reach;
mod session;
mod state;

use std::io::IsTerminal;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use thiserror::Error;
use tokio_util::sync::CancellationToken;
use toml::Value;

use super::End;
use super::output::{data, failed, say, set_up_logs};
use super::serve::Signals;
use super::simulator::{CLIENT_ID, CLIENT_NAME, CLIENT_SECRET};
use crate::app::clock::SystemClock;
use crate::app::{App, StartError, StartOptions};
use crate::client::SettingsError;
use crate::config::{self, Problems};
use crate::crypto::random::SystemRandom;
use crate::domain::clock::Clock;
use crate::domain::secret::Secret;
use crate::practice::{self, Practice, PracticeSettings, TestPerson};
use crate::simulator::personality::Personality;
use crate::simulator::server::{Server, ServerError, ServerSettings};
use crate::simulator::{Beside, Front, Simulator, Steering, named_people};
use crate::telemetry::log;
use reach::Reach;
use state::{State, StateError};

#[derive(Args)]
pub(super) struct Arguments {
    /// Do one login, approve it by itself, print the session as JSON and exit
    #[arg(long)]
    auto: bool,
    /// The first of six ports
    #[arg(long, value_name = "PORT", default_value_t = 8080, value_parser = clap::value_parser!(u16).range(1..=65530))]
    port_base: u16,
    /// Open the phone page, and nothing else, on this address too (0.0.0.0: on all), so that a real phone approves
    #[arg(long, value_name = "ADDR")]
    bind: Option<IpAddr>,
    /// Keep keys, certificates and database here; absent: in a temporary folder
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
}

/// Why a demo does not run.
#[derive(Debug, Error)]
enum DemoError {
    #[error("the demo's state cannot be used")]
    State(#[from] StateError),
    #[error("the demo's own configuration is refused: {0}")]
    Config(String),
    #[error("the demo's own thick client cannot be made")]
    Client(#[from] SettingsError),
    #[error("the simulated provider does not start")]
    Simulator(#[from] ServerError),
    #[error("Relais does not start")]
    Start(#[from] StartError),
    #[error("signals cannot be received")]
    Signals(#[from] std::io::Error),
}

/// The two servers of a demo, running.
struct Demo {
    app: App,
    simulator: Simulator,
    stop: CancellationToken,
    simulator_task: tokio::task::JoinHandle<()>,
    ready: String,
    reach: Reach,
    server: url::Url,
    /// Removes a temporary folder when dropped.
    _state: State,
}

pub(super) async fn run(arguments: Arguments) -> End {
    if let Err(error) = set_up_logs(log::Format::Text) {
        return failed(&error);
    }
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::start());
    let (demo, mut signals) = match Box::pin(start(&arguments, &clock)).await {
        Ok(started) => started,
        Err(error) => return failed(&error),
    };
    let end = if arguments.auto {
        say(&demo.ready);
        demo.simulator.approve_by_itself(Duration::from_millis(500));
        tokio::select! {
            end = session::one_login(&demo.server, &clock) => end,
            () = signals.until_any() => End::Failed,
        }
    } else {
        serve(&demo, &clock, &mut signals).await
    };
    demo.app.drain().await;
    demo.stop.cancel();
    if demo.simulator_task.await.is_err() {
        // A panic's text stays untold; its place has been logged.
        say("relais: the simulated provider was cut short");
        return End::Failed;
    }
    end
}

async fn serve(demo: &Demo, clock: &Arc<dyn Clock>, signals: &mut Signals) -> End {
    let ready = data(&demo.ready);
    if ready != End::Done {
        return ready;
    }
    demo.reach.tell(session::language());
    if std::io::stdin().is_terminal() {
        tokio::select! {
            () = session::logins_when_asked(&demo.server, clock) => {}
            () = signals.until_any() => return End::Done,
        }
    }
    signals.until_any().await;
    End::Done
}

async fn start(arguments: &Arguments, clock: &Arc<dyn Clock>) -> Result<(Demo, Signals), DemoError> {
    let signals = Signals::new()?;
    let state = State::open(arguments.state.clone(), clock.now())?;
    let port = |offset: u16| SocketAddr::from((Ipv4Addr::LOCALHOST, arguments.port_base + offset));
    let public_url = format!("http://{}", port(0));
    let client_api = url::Url::parse(&public_url).map_err(|error| DemoError::Config(error.to_string()))?;
    let reach = Reach::new(arguments.bind, port(2).port());
    let practice = Practice::new(practice_settings(&client_api), clock.clone(), Arc::new(SystemRandom))?;
    let server = Server::bind(
        ServerSettings {
            bind: port(3),
            control: reach.control,
            certs: state.certificates(),
            client_id: CLIENT_ID.to_owned(),
            client_name: CLIENT_NAME.to_owned(),
            client_secret: Secret::new(CLIENT_SECRET),
            interval: Duration::from_secs(if arguments.auto { 1 } else { 5 }),
            expires_in: Duration::from_secs(120),
            personality: Personality::Psc,
            front: Front {
                also_on: reach.also_on,
                // The phone may be anybody's in the network; faults, settings and the software's sessions may not.
                steering: Steering::FromThisMachine,
                beside: Some(Beside {
                    router: practice.router(),
                    path: practice::PATH,
                    french: "Essayer avec un logiciel de cabinet",
                    english: "Try it with a practice’s software",
                }),
            },
        },
        clock.clone(),
        Arc::new(SystemRandom),
    )?;
    let ready = format!(
        "ready clients={public_url} ops=http://{} phone={} provider={}",
        port(1),
        reach.url(),
        server.issuer(),
    );
    let overrides = overrides(port, &public_url, server.issuer());
    let config = config::load(Some(&state.config_file()), std::iter::empty(), &overrides, clock.now())
        .map_err(|problems: Problems| DemoError::Config(problems.to_string()))?;
    let simulator = server.simulator().clone();
    let stop = CancellationToken::new();
    let simulator_task = tokio::spawn(server.run(stop.clone()));
    let options = StartOptions { migrate: true };
    let app = Box::pin(App::start(config, options, clock.clone(), Arc::new(SystemRandom))).await?;
    let server = client_api;
    Ok((Demo { app, simulator, stop, simulator_task, ready, reach, server, _state: state }, signals))
}

fn practice_settings(server: &url::Url) -> PracticeSettings {
    let people = named_people().into_iter().map(|person| TestPerson {
        login_hint: person.login_hint,
        name: person.name,
        profession: person.profession.map(str::to_owned),
    });
    PracticeSettings {
        server: server.clone(),
        application: session::APPLICATION.to_owned(),
        secret: Secret::new(session::SECRET),
        people: people.collect(),
        phone: "/",
    }
}

/// What the demo file cannot know: the ports.
fn overrides(port: impl Fn(u16) -> SocketAddr, public_url: &str, issuer: &str) -> Vec<(String, Value)> {
    let text = |text: &str| Value::String(text.to_owned());
    vec![
        ("listeners.clients.bind".to_owned(), text(&port(0).to_string())),
        ("listeners.clients.public_url".to_owned(), text(public_url)),
        ("listeners.ops.bind".to_owned(), text(&port(1).to_string())),
        ("listeners.providers.bind".to_owned(), text(&port(4).to_string())),
        ("listeners.providers.public_url".to_owned(), text(&format!("http://{}", port(4)))),
        ("providers.psc-sim.issuer".to_owned(), text(issuer)),
        (
            "providers.psc-sim.metadata_url".to_owned(),
            text(&format!("{issuer}/.well-known/wallet-openid-configuration")),
        ),
        // The URL parser goes up from the issuer's path to the root.
        ("targets.api.url".to_owned(), text(&format!("{issuer}/../../../target/"))),
        ("targets.api.exchange.token_endpoint".to_owned(), text(&format!("{issuer}/as/token"))),
    ]
}
