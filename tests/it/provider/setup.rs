//! One registration at one scripted provider, and a well-made answer of each kind to start from.

use std::sync::Arc;
use std::time::Duration;

use relais::crypto::random::SystemRandom;
use relais::domain::claims::ClaimPaths;
use relais::domain::clock::Clock as _;
use relais::domain::login::LoginReason;
use relais::domain::names::RegistrationName;
use relais::domain::profile::{Profile, ProfileName};
use relais::domain::registration::{Delivery, Environment, Provider, Registration};
use relais::domain::secret::Secret;
use relais::engine::ports::{
    Acknowledgement, Approved, BackchannelRequest, Expectation, PollAnswer, PollRequest, Providers,
    StartFailure,
};
use relais::provider::{
    Clients, Credential, ExchangeSettings, IdTokenAlg, ProviderSettings, RegistrationSettings,
};
use serde_json::{Value, json};

use crate::support::clock::ManualClock;

use super::op::{Op, Reply};
use super::signing::{SigningKey, rsa_1};

pub const CLIENT_ID: &str = "relais-test";
/// The target whose authorization server may be asked.
pub const TARGET: &str = "dmp";
pub const HINT: &str = "899700000001";
pub const AUTH_REQ_ID: &str = "eyJhbGciOiJkaXIi.x_y-z.+/=&% é";
pub const ACCESS_TOKEN: &str = "access-token-canary";

/// What is under test, and what it talks to.
pub struct Setup {
    pub op: Op,
    pub clock: ManualClock,
    pub clients: Arc<Clients>,
    pub registration: RegistrationName,
}

/// PSC's profile with time-outs that a test can wait for.
pub fn quick_profile() -> &'static Profile {
    let profile = Profile {
        start_timeout: Duration::from_millis(400),
        poll_timeout: Duration::from_millis(400),
        refresh_timeout: Duration::from_millis(400),
        ..*ProfileName::Psc.profile()
    };
    Box::leak(Box::new(profile))
}

pub fn provider_settings(op: &Op) -> ProviderSettings {
    ProviderSettings {
        provider: Provider {
            name: "op".parse().expect("a name"),
            profile: quick_profile(),
            environment: Environment::Test,
            enabled: true,
            issuer: op.base.clone(),
            metadata_url: op.url("metadata").parse().expect("a URL"),
        },
        roots_pem: None,
        allow_private_addresses: true,
        https_only: false,
    }
}

pub fn registration_settings() -> RegistrationSettings {
    RegistrationSettings {
        registration: Registration {
            name: "lps".parse().expect("a name"),
            provider: "op".parse().expect("a name"),
            client_id: CLIENT_ID.to_owned(),
            enabled: true,
            delivery: Delivery::Poll,
            scope: words("openid scope_all"),
            acr_values: words("eidas1"),
            channels: words("MOBILE CARD"),
            request_lifetime: Duration::from_secs(120),
            max_age: None,
            request_context: false,
        },
        credential: Credential::ClientSecretBasic { secret: Secret::new("client-secret-canary") },
        signing: None,
        certificates: Vec::new(),
        id_token_algs: vec![IdTokenAlg::Rs256],
        claims: ClaimPaths::default(),
        extra_parameters: Vec::new(),
    }
}

pub fn words(text: &str) -> Vec<String> {
    text.split(' ').map(str::to_owned).collect()
}

impl Setup {
    /// The usual one.
    pub async fn new() -> Self {
        Self::with(|_, _| {}).await
    }

    /// The usual one, but for what `change` changes.
    pub async fn with(change: impl FnOnce(&mut ProviderSettings, &mut RegistrationSettings)) -> Self {
        let op = Op::listen().await;
        Self::at(op, change)
    }

    /// At this provider.
    pub fn at(op: Op, change: impl FnOnce(&mut ProviderSettings, &mut RegistrationSettings)) -> Self {
        relais::net::install_provider();
        let clock = ManualClock::at_present();
        let (mut provider, mut registration) = (provider_settings(&op), registration_settings());
        change(&mut provider, &mut registration);
        let name = registration.registration.name.clone();
        let exchange = ExchangeSettings {
            target: TARGET.parse().expect("a name"),
            roots_pem: provider.roots_pem.clone(),
            allow_private_addresses: provider.allow_private_addresses,
            https_only: provider.https_only,
        };
        let clients =
            Clients::new(vec![provider], vec![registration], Arc::new(clock.clone()), Arc::new(SystemRandom))
                .and_then(|clients| clients.with_exchanges(vec![exchange]));
        let setup =
            Self { op, clock, clients: Arc::new(clients.expect("valid settings")), registration: name };
        setup.op.publish(&[rsa_1().jwk()]);
        setup.op.stand("backchannel", Reply::json(200, &acknowledgement()));
        setup.op.stand("token", Reply::json(200, &token_answer(&rsa_1().sign(&setup.claims()))));
        setup.op.stand("userinfo", Reply::json(200, &json!({"sub": "f:op:1", "SubjectNameID": HINT})));
        setup
    }

    /// Now, in seconds.
    pub fn now(&self) -> i64 {
        self.clock.now().as_secs()
    }

    /// The claims of a valid ID token.
    pub fn claims(&self) -> Value {
        let now = self.now();
        json!({
            "iss": self.op.base, "aud": CLIENT_ID, "azp": CLIENT_ID, "sub": "f:op:1", "iat": now, "exp": now + 120,
            "auth_time": now - 3600, "acr": "eidas1", "SubjectNameID": HINT, "preferred_username": HINT,
            "authMode": "MOBILE", "sid": "sid-1", "jti": "onrtac:1",
        })
    }

    pub async fn start(&self) -> Result<Acknowledgement, StartFailure> {
        self.clients.start(&self.registration, self.request()).await
    }

    /// Starts, and says how it failed.
    pub async fn start_failure(&self) -> (LoginReason, bool) {
        let failure = self.start().await.err().expect("no acknowledgement");
        (failure.reason, failure.may_have_been_accepted)
    }

    pub fn request(&self) -> BackchannelRequest {
        BackchannelRequest {
            x5t: self.clients.certificate_in_use(&self.registration),
            login_hint: Secret::new(HINT),
            binding_message: "42".to_owned(),
            channel: Some("MOBILE".to_owned()),
            scope: words("openid scope_all"),
            acr_values: words("eidas1"),
            requested_expiry: None,
            user_code: None,
            notification_token: None,
            client_context: None,
        }
    }

    pub fn poll_request(&self) -> PollRequest {
        PollRequest {
            x5t: self.clients.certificate_in_use(&self.registration),
            auth_req_id: Secret::new(AUTH_REQ_ID),
            expectation: Expectation {
                login_hint: Secret::new(HINT),
                scope: words("openid scope_all"),
                acr_values: words("eidas1"),
                started_at: self.clock.now(),
                lifetime: Duration::from_secs(120),
            },
        }
    }

    /// Polls a provider whose metadata is known, as it is wherever a login has been started.
    pub async fn poll(&self) -> PollAnswer {
        let _ = self.clients.ensure_metadata(&self.registration).await;
        self.clients.poll(&self.registration, self.poll_request()).await.answer
    }

    /// Polls, and says the outcome in words.
    pub async fn outcome(&self) -> String {
        outcome(&self.poll().await)
    }

    /// Polls, and expects tokens.
    pub async fn approved(&self) -> Approved {
        let answer = self.poll().await;
        let outcome = outcome(&answer);
        let PollAnswer::Approved(approved) = answer else { unreachable!("no tokens: {outcome}") };
        *approved
    }

    /// Answers the next poll with an ID token of these claims, and says the outcome.
    pub async fn outcome_of_claims(&self, change: impl FnOnce(&mut Value)) -> String {
        self.outcome_of_claims_by(&rsa_1(), change).await
    }

    /// The same, signed by `key`.
    pub async fn outcome_of_claims_by(&self, key: &SigningKey, change: impl FnOnce(&mut Value)) -> String {
        let mut claims = self.claims();
        change(&mut claims);
        self.outcome_of_token(&key.sign(&claims)).await
    }

    /// Answers the next poll with this ID token, and says the outcome.
    pub async fn outcome_of_token(&self, id_token: &str) -> String {
        self.op.next("token", Reply::json(200, &token_answer(id_token)));
        self.outcome().await
    }
}

/// A valid token answer around this ID token.
pub fn token_answer(id_token: &str) -> Value {
    json!({"access_token": ACCESS_TOKEN, "id_token": id_token, "token_type": "Bearer", "expires_in": 120,
           "refresh_token": "refresh-token-canary", "refresh_expires_in": 1800, "scope": "openid scope_all"})
}

pub fn acknowledgement() -> Value {
    json!({"auth_req_id": AUTH_REQ_ID, "expires_in": 120, "interval": 5, "new": {"member": 1}})
}

pub const APPROVED: &str = "approved";
pub const TOKEN_INVALID: &str = "failed token_invalid";

fn outcome(answer: &PollAnswer) -> String {
    let wait = |wait: Option<Duration>| {
        wait.map_or(String::new(), |wait| format!(" {:.0}", wait.as_secs_f64().ceil()))
    };
    match answer {
        PollAnswer::Pending { retry_after } => format!("pending{}", wait(*retry_after)),
        PollAnswer::SlowDown { retry_after } => format!("slow_down{}", wait(*retry_after)),
        PollAnswer::Unreachable { retry_after } => format!("unreachable{}", wait(*retry_after)),
        PollAnswer::Ended { status, reason } => format!("{} {}", status.status().as_str(), reason.as_str()),
        PollAnswer::Approved(_) => APPROVED.to_owned(),
    }
}

/// Removes a member.
pub fn without(value: &mut Value, name: &str) {
    value.as_object_mut().expect("an object").remove(name);
}
