//! The answers of the client API, as a thick client reads them.
//!
//! The typed view holds what a client acts on; the whole answer stays beside it as JSON, because answers may grow.

use std::ops::Deref;

use serde::Deserialize;
use serde_json::Value;

use crate::domain::ids::{LoginId, SessionId};
use crate::domain::login::{LoginReason, LoginStatus};
use crate::domain::registration::Environment;
use crate::domain::subject::{Exercice, NationalIdKind};
use crate::domain::time::Timestamp;

/// An answer: its typed view, and the JSON it came as (without the secrets, which are taken out).
#[derive(Clone)]
pub struct Received<T> {
    /// What it means.
    pub view: T,
    /// What it said.
    pub json: Value,
}

impl<T> Deref for Received<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.view
    }
}

/// A word of the contract, or one that has been added since.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(untagged)]
pub enum Word<T> {
    /// One that we know.
    Known(T),
    /// One that we do not.
    Other(String),
}

impl<T: Copy> Word<T> {
    /// The word, where we know it.
    pub fn known(&self) -> Option<T> {
        match self {
            Self::Known(word) => Some(*word),
            Self::Other(_) => None,
        }
    }
}

impl<T: PartialEq> Word<T> {
    /// Whether it is this word.
    pub fn is(&self, word: &T) -> bool {
        matches!(self, Self::Known(known) if known == word)
    }
}

/// The login object.
#[derive(Clone, Deserialize)]
pub struct LoginObject {
    /// Its identifier.
    pub login_id: LoginId,
    /// Where it stands.
    pub status: Word<LoginStatus>,
    /// Raised by every visible change.
    pub version: u64,
    /// Why it did not end well.
    #[serde(default)]
    pub reason: Option<Word<LoginReason>>,
    /// What the person should do now.
    pub hint: String,
    /// The same as a sentence.
    pub user_message: String,
    /// For the help desk.
    pub support_code: String,
    /// What both screens show.
    pub binding_message: String,
    /// `MOBILE`, `CARD`: where the registration has channels.
    #[serde(default)]
    pub channel: Option<String>,
    /// The registration it runs over.
    pub registration: String,
    /// Whether real persons stand behind it.
    pub environment: Word<Environment>,
    /// Our own reference.
    #[serde(default)]
    pub reference: Option<String>,
    /// When the present state ends by itself.
    pub expires_at: Timestamp,
    /// The same in seconds from the answer.
    pub expires_in: u64,
    /// The session, once picked up.
    #[serde(default)]
    pub session_id: Option<SessionId>,
}

impl LoginObject {
    /// Whether the outcome is still open. A status that we do not know is not: waiting on it could go on for ever.
    #[must_use]
    pub fn is_open(&self) -> bool {
        matches!(&self.status, Word::Known(status) if status.is_open())
    }

    /// Whether it ended for `reason`.
    #[must_use]
    pub fn ended_for(&self, reason: LoginReason) -> bool {
        self.reason.as_ref().is_some_and(|word| word.is(&reason))
    }
}

/// The session object.
#[derive(Clone, Deserialize)]
pub struct SessionObject {
    /// Its identifier.
    pub session_id: SessionId,
    /// `active` or `ended`.
    pub status: String,
    /// Whose handle opens it.
    pub application: String,
    /// The registration of the login.
    pub registration: String,
    /// Whether a real person stands behind it.
    pub environment: Word<Environment>,
    /// Our own reference.
    #[serde(default)]
    pub reference: Option<String>,
    /// Who it belongs to.
    pub subject: PersonView,
    /// The chosen *situation d'exercice*, by its id in the subject's.
    #[serde(default)]
    pub exercice: Option<String>,
    /// Its absolute end.
    pub expires_at: Timestamp,
    /// The same in seconds from the answer.
    pub expires_in: u64,
    /// Its end without a further use.
    pub idle_expires_at: Timestamp,
    /// The same in seconds from the answer.
    pub idle_expires_in: u64,
    /// For the help desk.
    pub support_code: String,
}

/// The person behind a session. Their key is (`iss`, `sub`).
#[derive(Clone, Deserialize)]
pub struct PersonView {
    /// The provider.
    pub iss: String,
    /// The person there.
    pub sub: String,
    /// The national identifier.
    #[serde(default)]
    pub national_id: Option<String>,
    /// What kind of identifier that is.
    #[serde(default)]
    pub national_id_kind: Option<Word<NationalIdKind>>,
    /// Full name.
    #[serde(default)]
    pub name: Option<String>,
    /// Given names.
    #[serde(default)]
    pub given_name: Option<String>,
    /// Family name.
    #[serde(default)]
    pub family_name: Option<String>,
    /// The *situations d'exercice*.
    #[serde(default)]
    pub exercices: Vec<Exercice>,
    /// Groups.
    #[serde(default)]
    pub groups: Vec<String>,
    /// Whether the provider's userinfo has been read.
    pub complete: bool,
}

/// What `GET /v1/application` tells.
#[derive(Clone, Deserialize)]
pub struct ApplicationInfo {
    /// Our name.
    pub application: String,
    /// `backend` or `installed`.
    pub kind: String,
    /// What we may sign in over.
    pub registrations: Vec<OfferedRegistration>,
    /// Relais's version.
    pub version: String,
}

impl ApplicationInfo {
    /// The registration of this name, or the default one.
    #[must_use]
    pub fn registration(&self, name: Option<&str>) -> Option<&OfferedRegistration> {
        self.registrations.iter().find(|offered| name.map_or(offered.default, |name| offered.name == name))
    }
}

/// A registration that the application may use.
#[derive(Clone, Deserialize)]
pub struct OfferedRegistration {
    /// Its name.
    pub name: String,
    /// Whether real persons stand behind it.
    pub environment: Word<Environment>,
    /// Whether it is the one taken where a start names none.
    #[serde(default)]
    pub default: bool,
    /// Its channels, the first is the default.
    #[serde(default)]
    pub channels: Vec<String>,
}
