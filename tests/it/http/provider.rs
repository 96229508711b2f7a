//! A provider that answers what the test says.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use relais::domain::clock::Monotonic;
use relais::domain::grant::{GrantClaims, Tokens};
use relais::domain::login::LoginReason;
use relais::domain::names::{ProviderName, RegistrationName};
use relais::domain::secret::{Secret, SecretBytes};
use relais::domain::subject::{Code, Exercice, NationalIdKind, Subject};
use relais::domain::target::Target;
use relais::domain::time::Timestamp;
use relais::engine::ports::{
    Acknowledgement, Announcement, Approved, BackchannelRequest, ExchangeAnswer, ExchangeRequest,
    Expectation, FreshTokens, Heard, LogoutVerdict, NoMetadata, PollAnswer, PollRequest, Polled,
    ProviderStatus, Providers, PushVerdict, PushedOutcome, RefreshAnswer, RefreshRequest, Revoked,
    StartFailure, Unreadable, Userinfo, UserinfoError,
};
use tokio::sync::watch;

/// What every test person's userinfo says.
pub const USERINFO: &str = r#"{"sub":"f:1:899700000001","SubjectNameID":"899700000001","more":{"kept":[1]}}"#;

/// Acknowledges, then leaves everything pending, until it is told otherwise.
#[derive(Default)]
pub struct Scripted {
    pub start_failure: Mutex<Option<StartFailure>>,
    pub end: Mutex<Option<(relais::domain::login::EndStatus, LoginReason)>>,
    pub approves: AtomicBool,
    pub without_metadata: AtomicBool,
    /// Makes whoever asks for the provider's status panic.
    pub panics: AtomicBool,
    /// Makes the task that starts a login panic.
    pub panics_in_a_task: AtomicBool,
    pub without_userinfo: AtomicBool,
    /// Every approval comes with the same ID token.
    pub repeats_id_token: AtomicBool,
    /// Whether it gives refresh tokens and takes them.
    pub refreshes: AtomicBool,
    /// When its first access token dies, where it says so.
    pub access_expires_at: Mutex<Option<Timestamp>>,
    /// What an authorization server of a target says next; nothing where there is none.
    pub exchange_answers: Mutex<VecDeque<ExchangeAnswer>>,
    /// The tokens that it was shown.
    pub exchanged: Mutex<Vec<String>>,
    /// What the provider was asked, oldest first.
    pub asked: Mutex<Vec<BackchannelRequest>>,
    /// While it is true, no poll is answered.
    pub holds_polls: watch::Sender<bool>,
    /// Polls that have come, and those that are not answered yet.
    pub polls: AtomicUsize,
    pub polling: AtomicUsize,
    /// What a logout token is worth; `None`: nothing.
    pub logout: Mutex<Option<LogoutVerdict>>,
    /// The logout tokens that were presented.
    pub presented: Mutex<Vec<String>>,
    /// When the next poll to be answered is said to have gone out; `None`: when it was asked for.
    pub sent: Mutex<Option<Monotonic>>,
    /// What polls that say "pending" say about the next one.
    pub retry_after: Mutex<Option<Duration>>,
    /// What the answers to polls must agree with, oldest first.
    pub expected: Mutex<Vec<Expectation>>,
}

impl Scripted {
    pub fn approve(&self) {
        self.approves.store(true, Ordering::SeqCst);
    }

    fn answer(&self, number: usize) -> PollAnswer {
        if let Some((status, reason)) = *self.end.lock().expect("lock") {
            return PollAnswer::Ended { status, reason };
        }
        if !self.approves.load(Ordering::SeqCst) {
            return PollAnswer::Pending { retry_after: *self.retry_after.lock().expect("lock") };
        }
        PollAnswer::Approved(Box::new(Approved {
            tokens: Tokens {
                access_token: Secret::new("access-token"),
                access_expires_at: *self.access_expires_at.lock().expect("lock"),
                refresh_token: self.refreshes.load(Ordering::SeqCst).then(|| Secret::new("refresh-token")),
                refresh_expires_at: None,
                id_token: Secret::new(if self.repeats_id_token.load(Ordering::SeqCst) {
                    "id-token".to_owned()
                } else {
                    format!("id-token-{number}")
                }),
            },
            claims: claims(false),
        }))
    }
}

fn claims(complete: bool) -> GrantClaims {
    let exercice = |id: &str| Exercice {
        id: id.to_owned(),
        profession: Code { code: "10".to_owned(), label: None },
        savoir_faire: None,
        mode: None,
        role: None,
        site: None,
    };
    GrantClaims {
        subject: Subject {
            iss: "https://provider.test".to_owned(),
            sub: "f:1:899700000001".to_owned(),
            national_id: Some("899700000001".to_owned()),
            national_id_kind: Some(NationalIdKind::Rpps),
            name: None,
            given_name: None,
            family_name: Some("DOC".to_owned()),
            exercices: if complete { vec![exercice("ex-1"), exercice("ex-2")] } else { Vec::new() },
            groups: Vec::new(),
            complete,
        },
        username: Some("899700000001".to_owned()),
        acr: Some("eidas1".to_owned()),
        amr: vec!["MOBILE".to_owned()],
        auth_time: None,
        authenticated_by: Some("MOBILE".to_owned()),
        sid: None,
        scope: vec!["openid".to_owned()],
    }
}

#[async_trait]
impl Providers for Scripted {
    async fn ensure_metadata(&self, _: &RegistrationName) -> Result<(), NoMetadata> {
        if self.without_metadata.load(Ordering::SeqCst) { Err(NoMetadata) } else { Ok(()) }
    }

    fn status(&self, _: &ProviderName) -> ProviderStatus {
        assert!(!self.panics.load(Ordering::SeqCst), "canary-panic");
        if self.without_metadata.load(Ordering::SeqCst) {
            ProviderStatus::Degraded
        } else {
            ProviderStatus::Ok
        }
    }

    fn certificate_in_use(&self, _: &RegistrationName) -> Option<String> {
        assert!(!self.panics_in_a_task.load(Ordering::SeqCst), "canary-panic");
        None
    }

    async fn start(
        &self,
        _: &RegistrationName,
        request: BackchannelRequest,
    ) -> Result<Acknowledgement, StartFailure> {
        self.asked.lock().expect("lock").push(request);
        match *self.start_failure.lock().expect("lock") {
            Some(failure) => Err(failure),
            None => Ok(Acknowledgement {
                auth_req_id: Secret::new("auth-req-id"),
                expires_in: Duration::from_secs(120),
                interval: Duration::from_secs(5),
            }),
        }
    }

    async fn poll(&self, _: &RegistrationName, request: PollRequest) -> Polled {
        self.expected.lock().expect("lock").push(request.expectation);
        let number = self.polls.fetch_add(1, Ordering::SeqCst);
        self.polling.fetch_add(1, Ordering::SeqCst);
        let _ = self.holds_polls.subscribe().wait_for(|held| !held).await;
        self.polling.fetch_sub(1, Ordering::SeqCst);
        Polled { sent: self.sent.lock().expect("lock").take(), answer: self.answer(number) }
    }

    fn announcement(&self, _: &SecretBytes, _: Timestamp) -> Result<Announcement, Unreadable> {
        Err(Unreadable { rule: "no notifications here" })
    }

    async fn judge_pushed(&self, _: &RegistrationName, _: PushedOutcome) -> PushVerdict {
        PushVerdict::Refused { reason: LoginReason::TokenInvalid }
    }

    async fn refresh(&self, _: &RegistrationName, _: RefreshRequest) -> RefreshAnswer {
        if !self.refreshes.load(Ordering::SeqCst) {
            return RefreshAnswer::Declined { retry_after: None };
        }
        RefreshAnswer::Refreshed(Box::new(FreshTokens {
            access_token: Secret::new("newer-access-token"),
            access_expires_at: None,
            refresh_token: None,
            refresh_expires_at: None,
            id_token: None,
            sid: None,
        }))
    }

    async fn exchange(&self, _: &RegistrationName, _: &Target, request: ExchangeRequest) -> ExchangeAnswer {
        self.exchanged.lock().expect("lock").push(request.subject_token.expose().to_owned());
        let next = self.exchange_answers.lock().expect("lock").pop_front();
        next.unwrap_or(ExchangeAnswer::Unavailable { retry_after: None })
    }

    async fn userinfo(
        &self,
        _: &RegistrationName,
        _: Option<&str>,
        _: &Secret,
        _: &GrantClaims,
    ) -> Result<Userinfo, UserinfoError> {
        if self.without_userinfo.load(Ordering::SeqCst) {
            return Err(UserinfoError::Unavailable);
        }
        Ok(Userinfo { claims: claims(true), document: Secret::new(USERINFO) })
    }

    async fn revoke(&self, _: &RegistrationName, _: Option<&str>, _: Revoked, _: &Secret) -> Heard {
        Heard::Accepted
    }

    async fn end_session(&self, _: &RegistrationName, _: Option<&str>, _: &Secret) -> Heard {
        Heard::Accepted
    }

    async fn judge_logout(&self, _: &RegistrationName, logout_token: &Secret) -> LogoutVerdict {
        self.presented.lock().expect("lock").push(logout_token.expose().to_owned());
        self.logout.lock().expect("lock").clone().unwrap_or(LogoutVerdict::Refused)
    }
}
