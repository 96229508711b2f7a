//! The demo's thick client: signs a test person in over real HTTP, as any other client would.

use std::sync::Arc;

use tokio::io::{AsyncBufReadExt, BufReader};
use url::Url;

use crate::cli::End;
use crate::cli::output::{data, failed, say};
use crate::cli::terminal::{Screen, SignIn, sign_in};
use crate::client::{Client, ClientSettings, Credential, Outcome, SettingsError, StartLogin};
use crate::crypto::random::SystemRandom;
use crate::domain::clock::Clock;
use crate::domain::random::uuid_v4;
use crate::domain::secret::Secret;
use crate::domain::texts::Language;

/// The application that the demo's thick clients are to Relais, and its secret: published, in the demo only.
pub(super) const APPLICATION: &str = "demo";
pub(super) const SECRET: &str = "demo";

/// The test person that the demo signs in unless told otherwise.
const PERSON: &str = "899700000001";

fn client(server: &Url, clock: &Arc<dyn Clock>, language: Language) -> Result<Client, SettingsError> {
    let settings = ClientSettings {
        server: server.clone(),
        application: APPLICATION.to_owned(),
        credential: Credential::Secret(Secret::new(SECRET)),
        ca_pem: None,
        language,
    };
    Client::new(settings, clock.clone())
}

/// The language of whoever started the demo.
pub(super) fn language() -> Language {
    Language::from_locale(std::env::var("LANG").ok().as_deref())
}

/// Signs the test person in and prints `GET /v1/session`.
pub(super) async fn one_login(server: &Url, clock: &Arc<dyn Clock>) -> End {
    let client = match client(server, clock, Language::English) {
        Ok(client) => client,
        Err(error) => return failed(&error),
    };
    let start = StartLogin::new(Secret::new(PERSON));
    let picked_up =
        match client.sign_in(&start, uuid_v4(&SystemRandom), |login| say(&login.user_message)).await {
            Ok(Outcome::Session(picked_up)) => picked_up,
            Ok(Outcome::Ended(login)) => {
                say(&login.user_message);
                return End::Failed;
            }
            Err(error) => return failed(&error),
        };
    match client.session(&picked_up.session_handle, true).await {
        Ok(session) => data(&session.json),
        Err(error) => failed(&error),
    }
}

/// Signs somebody in each time a line is entered, until the terminal's end of input.
pub(super) async fn logins_when_asked(server: &Url, clock: &Arc<dyn Clock>) {
    let language = language();
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    loop {
        say(match language {
            Language::French => format!("Entrée : connecter {PERSON} ; ou saisissez un autre identifiant."),
            Language::English => format!("Enter: sign {PERSON} in; or type another identifier."),
        });
        let Ok(Some(line)) = lines.next_line().await else { return };
        let hint = if line.trim().is_empty() { PERSON } else { line.trim() };
        let client = match client(server, clock, language) {
            Ok(client) => client,
            Err(error) => {
                failed(&error);
                return;
            }
        };
        let mut screen = Screen::new(std::io::stderr(), true, language);
        let start = StartLogin::new(Secret::new(hint));
        let never = std::future::pending();
        let key = uuid_v4(&SystemRandom);
        match sign_in(&client, &start, key, clock.as_ref(), &mut screen, never).await {
            Ok(SignIn::Done(Outcome::Session(picked_up))) => screen.session(&picked_up.session),
            Ok(SignIn::Done(Outcome::Ended(_)) | SignIn::Interrupted(_)) => {}
            Err(error) => screen.refused(&error),
        }
    }
}
