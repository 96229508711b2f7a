//! What `login` says and how it ends, in each of its formats.

use std::io::Write;

use serde_json::{Value, json};

use super::super::output::with_causes;
use super::super::terminal::{Asking, Observer, Screen, SignIn};
use super::{Format, Streams};
use crate::client::{ClientError, LoginObject, Outcome, PickedUp, Received, Word};
use crate::domain::login::{LoginReason, LoginStatus};
use crate::domain::texts::Language;

/// How the verb ended; the numbers are contract.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Exit {
    Session = 0,
    Failed = 1,
    Usage = 2,
    Denied = 10,
    Expired = 11,
    UnknownPerson = 12,
    Cancelled = 13,
    IdentityMismatch = 14,
    AlreadyPending = 15,
    ProviderUnavailable = 16,
    ClientRefused = 17,
}

/// Why there is no login at all.
pub(super) enum Refused {
    /// The command line, its files or its stdin are at fault.
    Usage(String),
    /// A call was refused or lost.
    Call(ClientError),
}

impl Refused {
    pub(super) fn usage(why: impl Into<String>) -> Self {
        Self::Usage(why.into())
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Usage(_) => Exit::Usage,
            Self::Call(error) => exit_of(error),
        }
    }

    /// The same for a program.
    fn members(&self) -> Value {
        match self {
            Self::Usage(why) => json!({ "error": why }),
            Self::Call(ClientError::Problem(problem)) => json!({ "problem": problem.json }),
            Self::Call(error) => json!({ "error": with_causes(error) }),
        }
    }
}

impl From<ClientError> for Refused {
    fn from(error: ClientError) -> Self {
        Self::Call(error)
    }
}

/// What the verb says, in the chosen format.
pub(super) struct Report {
    format: Format,
    /// What the person sees: on stdout as text, on stderr beside JSON, nowhere beside events.
    screen: Option<Screen<Box<dyn Write + Send>>>,
    /// JSON for the caller.
    data: Option<Box<dyn Write + Send>>,
    /// Words for the caller, where the screen is not there already.
    words: Option<Screen<Box<dyn Write + Send>>>,
}

impl Report {
    pub(super) fn new(format: Format, language: Language, streams: Streams) -> Self {
        let Streams { data, words, animated } = streams;
        let screen = |out| Some(Screen::new(out, animated, language).cancelled_by_ctrl_c());
        match format {
            Format::Text => Self { format, screen: screen(data), data: None, words: screen(words) },
            Format::Json => Self { format, screen: screen(words), data: Some(data), words: None },
            Format::Jsonl => Self { format, screen: None, data: Some(data), words: screen(words) },
        }
    }

    /// Tells how it ended, and with which number.
    pub(super) fn end(&mut self, outcome: Result<SignIn, ClientError>) -> Exit {
        match outcome {
            Ok(SignIn::Done(Outcome::Session(picked_up))) => self.session(&picked_up),
            Ok(SignIn::Done(Outcome::Ended(login))) => {
                self.event("ended", &login.json);
                exit_of_login(&login)
            }
            Ok(SignIn::Interrupted(login)) => {
                if let (Some(login), Some(screen)) = (&login, &mut self.screen) {
                    screen.login(login);
                }
                self.event(
                    "ended",
                    &login.map_or_else(|| json!({ "status": "cancelled" }), |login| login.json),
                );
                Exit::Cancelled
            }
            Err(error) => self.refused(&Refused::from(error)),
        }
    }

    fn session(&mut self, picked_up: &PickedUp) -> Exit {
        if let (Format::Text, Some(screen)) = (self.format, &mut self.screen) {
            screen.session(&picked_up.session);
            return Exit::Session;
        }
        let mut session = picked_up.session.json.clone();
        if let Value::Object(members) = &mut session {
            members.insert("session_handle".into(), picked_up.session_handle.0.expose().into());
        }
        let written = match self.format {
            Format::Jsonl => self.event("session", &session),
            Format::Json | Format::Text => self.data(&session),
        };
        // A caller that went away has no session: that is no success.
        if written { Exit::Session } else { Exit::Failed }
    }

    pub(super) fn refused(&mut self, refused: &Refused) -> Exit {
        if let (Some(_), Some(screen)) = (&self.words, &mut self.screen) {
            screen.rest();
        }
        if let Some(told) = self.words.as_mut().or(self.screen.as_mut()) {
            match refused {
                Refused::Usage(why) => told.line(&format!("relais: {why}")),
                Refused::Call(error) => told.refused(error),
            }
        }
        self.event("ended", &refused.members());
        refused.exit()
    }

    /// Writes an event, where events are what the caller wants; whether the caller still listens.
    fn event(&mut self, name: &str, members: &Value) -> bool {
        if self.format != Format::Jsonl {
            return true;
        }
        let mut event = serde_json::Map::new();
        event.insert("event".into(), name.into());
        if let Value::Object(members) = members {
            event.extend(members.clone());
        }
        // Once more, in its place at the front: no member of an answer says what kind of event this is.
        event.insert("event".into(), name.into());
        self.data(&Value::Object(event))
    }

    fn data(&mut self, value: &Value) -> bool {
        let Some(out) = &mut self.data else { return true };
        writeln!(out, "{value}").and_then(|()| out.flush()).is_ok()
    }
}

impl Observer for Report {
    fn login(&mut self, login: &Received<LoginObject>) {
        if let Some(screen) = &mut self.screen {
            screen.login(login);
        }
        self.event("login", &login.json);
    }

    fn tick(&mut self, seconds_left: u64) {
        if let Some(screen) = &mut self.screen {
            screen.tick(seconds_left);
        }
    }

    fn asking(&mut self, what: Asking) {
        if let Some(screen) = &mut self.screen {
            screen.asking(what);
        }
    }
}

/// How a login that came to nothing ends the verb.
fn exit_of_login(login: &LoginObject) -> Exit {
    match (&login.status, &login.reason) {
        (_, Some(Word::Known(LoginReason::UserUnknown))) => Exit::UnknownPerson,
        (_, Some(Word::Known(LoginReason::IdentityMismatch))) => Exit::IdentityMismatch,
        (_, Some(Word::Known(LoginReason::ProviderUnavailable | LoginReason::OutcomeUnknown))) => {
            Exit::ProviderUnavailable
        }
        (_, Some(Word::Known(LoginReason::ProviderRejectedClient))) => Exit::ClientRefused,
        (Word::Known(LoginStatus::Denied), _) => Exit::Denied,
        (Word::Known(LoginStatus::Expired), _) => Exit::Expired,
        (Word::Known(LoginStatus::Cancelled), _) => Exit::Cancelled,
        _ => Exit::Failed,
    }
}

/// How a refused or lost call ends the verb.
fn exit_of(error: &ClientError) -> Exit {
    match error.code() {
        Some("already_pending" | "rate_limited") => Exit::AlreadyPending,
        Some("provider_unavailable") => Exit::ProviderUnavailable,
        Some("identity_mismatch") => Exit::IdentityMismatch,
        Some("application_unauthenticated" | "application_disabled") => Exit::ClientRefused,
        Some("login_hint_malformed" | "registration_not_allowed" | "channel_not_allowed") => Exit::Usage,
        _ => Exit::Failed,
    }
}
