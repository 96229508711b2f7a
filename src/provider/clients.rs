//! Every registration's client behind the engine's port, and the work in their background.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::join_all;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::domain::clock::Clock;
use crate::domain::grant::GrantClaims;
use crate::domain::names::{ProviderName, RegistrationName};
use crate::domain::parameters::RESERVED;
use crate::domain::random::Random;
use crate::domain::secret::{Secret, SecretBytes};
use crate::domain::target::Target;
use crate::domain::time::Timestamp;
use crate::engine::ports::{
    Acknowledgement, Announcement, BackchannelRequest, ExchangeAnswer, ExchangeRequest, Heard, LogoutVerdict,
    NoMetadata, PollRequest, Polled, ProviderStatus, Providers, PushVerdict, PushedOutcome, RefreshAnswer,
    RefreshRequest, Revoked, StartFailure, Unreadable, Userinfo, UserinfoError,
};
use crate::net::outbound::Identity;

use super::backchannel::{self, Sender};
use super::call::Channel;
use super::certificates::Certificates;
use super::exchange::{self, Exchange, Outbounds};
use super::metadata::{Metadata, NotOffered};
use super::settings::{Credential, ExchangeSettings, ProviderSettings, RegistrationSettings, SettingsError};
use super::signing_keys::SigningKeys;
use super::subject::ClaimMap;
use super::upstream::Upstream;
use super::userinfo::{self, Reader};
use super::{endings, logout_token, notification, refresh, token};

/// How often metadata and keys are fetched again.
const REFRESH: Duration = Duration::from_mins(10);
/// The first wait after a failed refresh; it doubles up to [`RETRY_MAX`].
const RETRY: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_mins(1);
/// How often files of certificates and signing keys are looked at.
const WATCH: Duration = Duration::from_secs(5);

/// All providers and registrations.
pub struct Clients {
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    upstreams: HashMap<ProviderName, Arc<Upstream>>,
    /// In the order of the configuration.
    registrations: Vec<Client>,
    exchanges: Outbounds,
}

/// One registration.
struct Client {
    settings: RegistrationSettings,
    claims: ClaimMap,
    upstream: Arc<Upstream>,
    certificates: Certificates,
    keys: Option<SigningKeys>,
}

impl Clients {
    /// Reads every certificate and signing key and builds every HTTP client; asks no provider anything.
    pub fn new(
        providers: Vec<ProviderSettings>,
        registrations: Vec<RegistrationSettings>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Result<Self, SettingsError> {
        let now = clock.now();
        let by_name: HashMap<_, _> =
            providers.into_iter().map(|settings| (settings.provider.name.clone(), settings)).collect();
        let upstreams: HashMap<_, _> = by_name
            .iter()
            .map(|(name, settings)| {
                let deliveries = registrations
                    .iter()
                    .filter(|of| of.registration.provider == *name)
                    .map(|of| of.registration.delivery)
                    .collect();
                (name.clone(), Arc::new(Upstream::new(settings.clone(), deliveries, Arc::clone(&clock))))
            })
            .collect();
        let mut clients = Vec::with_capacity(registrations.len());
        for settings in registrations {
            check(&settings)?;
            let registration = settings.registration.name.clone();
            let provider = settings.registration.provider.clone();
            let (Some(upstream), Some(of_provider)) = (upstreams.get(&provider), by_name.get(&provider))
            else {
                return Err(SettingsError::UnknownProvider { registration, provider });
            };
            let files = settings.certificates.clone();
            let certificates = Certificates::load(registration.clone(), files, of_provider.clone(), now)
                .map_err(|source| SettingsError::Client { registration: registration.clone(), source })?;
            let keys = settings
                .signing
                .as_ref()
                .map(|signing| SigningKeys::load(registration.clone(), signing))
                .transpose()
                .map_err(|source| SettingsError::SigningKey { registration, source })?;
            let claims = ClaimMap::new(upstream.profile(), &settings.claims);
            clients.push(Client { settings, claims, upstream: Arc::clone(upstream), certificates, keys });
        }
        Ok(Self { clock, random, upstreams, registrations: clients, exchanges: Outbounds::default() })
    }

    /// The same, which exchanges tokens at these authorization servers.
    pub fn with_exchanges(self, settings: Vec<ExchangeSettings>) -> Result<Self, SettingsError> {
        let exchanges = Outbounds::new(settings)
            .map_err(|(target, source)| SettingsError::Exchange { target, source })?;
        Ok(Self { exchanges, ..self })
    }

    /// Works in the background until `shutdown`: fetches metadata and keys, and looks at files of certificates and of
    /// signing keys.
    pub async fn run(&self, shutdown: CancellationToken) {
        // A provider without registration is asked nothing: there is nobody to ask as.
        let used = |upstream: &&Arc<Upstream>| self.clients_of(upstream).next().is_some();
        let refreshing =
            join_all(self.upstreams.values().filter(used).map(|upstream| self.keep_fresh(upstream)));
        tokio::select! {
            () = shutdown.cancelled() => {}
            ((), _) = async { tokio::join!(self.watch_files(), refreshing) } => {}
        }
    }

    /// Reads changed files of certificates and signing keys now (SIGHUP). One that cannot be used changes nothing and is logged.
    pub fn reload(&self) {
        let now = self.clock.now();
        for client in &self.registrations {
            client.certificates.reload(now);
            if let Some(keys) = &client.keys {
                keys.reload(now);
            }
        }
        self.exchanges.retain(|registration, x5t| self.identity(registration, x5t).is_some());
    }

    /// Every configured certificate and when it expires.
    pub fn certificates(&self) -> Vec<(String, Timestamp)> {
        self.registrations.iter().flat_map(|client| client.certificates.expiries()).collect()
    }

    /// When the certificate that new logins of a registration use expires; `None` where it has none.
    pub fn certificate_end(&self, registration: &RegistrationName) -> Option<Timestamp> {
        self.client(registration)?.certificates.expiries().first().map(|(_, not_after)| *not_after)
    }

    /// A certificate of a registration by its thumbprint, for connections to others than the provider; `None`: it is not
    /// there (any more).
    pub fn identity(&self, registration: &RegistrationName, x5t: &str) -> Option<Identity> {
        let (_, identity) = self.client(registration)?.certificates.identity(Some(x5t)).ok()??;
        Some(identity)
    }

    /// The public keys of a registration as a JWK set; `None` where it signs nothing, or does not exist.
    pub fn jwks(&self, registration: &RegistrationName) -> Option<Value> {
        let keys = self.client(registration)?.keys.as_ref()?;
        Some(keys.jwks(self.clock.now()))
    }

    async fn watch_files(&self) {
        loop {
            self.clock.sleep(WATCH).await;
            // A few `stat` calls; a file is read only where it has changed.
            self.reload();
        }
    }

    async fn keep_fresh(&self, upstream: &Arc<Upstream>) {
        let mut retry = RETRY;
        loop {
            let wait = if self.refresh(upstream).await {
                retry = RETRY;
                REFRESH
            } else {
                let wait = retry;
                retry = (retry * 2).min(RETRY_MAX);
                wait
            };
            self.clock.sleep(wait).await;
        }
    }

    /// Through any registration of the provider: one whose certificate is refused does not blind the others.
    async fn refresh(&self, upstream: &Arc<Upstream>) -> bool {
        for client in self.clients_of(upstream) {
            if let Some(channel) = client.channel(None)
                && upstream.refresh(&channel).await
            {
                self.log_what_is_not_offered(upstream);
                return true;
            }
        }
        false
    }

    /// At every refresh, so that an operator learns of it before anybody wants to log in.
    fn log_what_is_not_offered(&self, upstream: &Arc<Upstream>) {
        let Some(metadata) = upstream.metadata() else { return };
        for client in self.clients_of(upstream) {
            if let (Some(channel), Some(refusal)) = (client.channel(None), client.not_offered(&metadata)) {
                channel.log_not_offered(refusal);
            }
        }
    }

    fn clients_of<'a>(&'a self, upstream: &'a Arc<Upstream>) -> impl Iterator<Item = &'a Client> {
        self.registrations.iter().filter(|client| Arc::ptr_eq(&client.upstream, upstream))
    }

    fn client(&self, registration: &RegistrationName) -> Option<&Client> {
        self.registrations.iter().find(|client| client.settings.registration.name == *registration)
    }
}

impl Client {
    /// The way to the provider with this certificate (`None`: the one in use).
    fn channel(&self, x5t: Option<&str>) -> Option<Channel<'_>> {
        let registration = &self.settings.registration.name;
        let Some(outbound) = self.certificates.client(x5t) else {
            tracing::error!(%registration, "the certificate that a grant is bound to is no longer there");
            return None;
        };
        let with_certificate = x5t.is_some() || self.certificates.in_use().is_some();
        let claims = &self.claims;
        Some(Channel { upstream: &self.upstream, registration, claims, outbound, with_certificate })
    }

    /// The way to a target's authorization server, with this certificate (`None`: the one in use), and its thumbprint.
    fn channel_elsewhere(
        &self,
        outbounds: &Outbounds,
        target: &Target,
        x5t: Option<&str>,
    ) -> Option<(Channel<'_>, Option<String>)> {
        let registration = &self.settings.registration.name;
        let certificate = match self.certificates.identity(x5t) {
            Ok(certificate) => certificate,
            Err(error) => {
                tracing::error!(%registration, %error, "no exchange can be asked for");
                return None;
            }
        };
        let x5t = certificate.as_ref().map(|(x5t, _)| x5t.clone());
        let outbound = outbounds.client(&target.name, registration, certificate)?;
        let with_certificate = x5t.is_some();
        let claims = &self.claims;
        Some((Channel { upstream: &self.upstream, registration, claims, outbound, with_certificate }, x5t))
    }

    fn sender<'a>(&'a self, x5t: Option<&str>, random: &'a dyn Random) -> Option<Sender<'a>> {
        Some(self.sender_over(self.channel(x5t)?, random))
    }

    fn sender_over<'a>(&'a self, channel: Channel<'a>, random: &'a dyn Random) -> Sender<'a> {
        Sender {
            channel,
            registration: &self.settings.registration,
            credential: &self.settings.credential,
            keys: self.keys.as_ref(),
            signs_requests: self.signs_requests(),
            extra_parameters: &self.settings.extra_parameters,
            random,
        }
    }

    fn signs_requests(&self) -> bool {
        self.settings.signing.as_ref().is_some_and(|signing| signing.requests)
    }

    /// What its provider says not to take of it.
    fn not_offered(&self, metadata: &Metadata) -> Option<NotOffered> {
        let alg = self.keys.as_ref().map(SigningKeys::alg);
        metadata.not_offered(self.settings.credential.as_str(), alg, self.signs_requests())
    }
}

fn check(settings: &RegistrationSettings) -> Result<(), SettingsError> {
    let registration = || settings.registration.name.clone();
    if settings.credential.needs_certificate() && settings.certificates.is_empty() {
        return Err(SettingsError::NoCertificate { registration: registration() });
    }
    if matches!(settings.credential, Credential::PrivateKeyJwt { .. }) && settings.signing.is_none() {
        return Err(SettingsError::NoSigningKey { registration: registration() });
    }
    if settings.id_token_algs.is_empty() {
        return Err(SettingsError::NoAlgorithm { registration: registration() });
    }
    match settings.extra_parameters.iter().find(|(name, _)| RESERVED.contains(&name.as_str())) {
        Some((parameter, _)) => Err(SettingsError::ReservedParameter {
            registration: registration(),
            parameter: parameter.clone(),
        }),
        None => Ok(()),
    }
}

#[async_trait]
impl Providers for Clients {
    async fn ensure_metadata(&self, registration: &RegistrationName) -> Result<(), NoMetadata> {
        let client = self.client(registration).ok_or(NoMetadata)?;
        let channel = client.channel(None).ok_or(NoMetadata)?;
        let metadata = client.upstream.ensure_metadata(&channel).await?;
        let delivery = client.settings.registration.delivery;
        if metadata.offers(delivery) {
            return Ok(());
        }
        // What a login would come to, nobody would hear.
        tracing::error!(%registration, delivery = delivery.as_str(), "the provider does not offer the delivery mode");
        Err(NoMetadata)
    }

    fn status(&self, provider: &ProviderName) -> ProviderStatus {
        let Some(upstream) = self.upstreams.get(provider) else { return ProviderStatus::Degraded };
        let is_refused = |client: &Client| {
            upstream.metadata().is_some_and(|metadata| client.not_offered(&metadata).is_some())
        };
        if self.clients_of(upstream).any(is_refused) { ProviderStatus::Degraded } else { upstream.status() }
    }

    fn certificate_in_use(&self, registration: &RegistrationName) -> Option<String> {
        self.client(registration)?.certificates.in_use()
    }

    async fn start(
        &self,
        registration: &RegistrationName,
        request: BackchannelRequest,
    ) -> Result<Acknowledgement, StartFailure> {
        let client = self.client(registration).ok_or(backchannel::UNAVAILABLE)?;
        let sender = client.sender(request.x5t.as_deref(), &*self.random);
        let sender = sender.ok_or(backchannel::UNAVAILABLE)?;
        let metadata = sender.channel.upstream.ensure_metadata(&sender.channel).await;
        let metadata = metadata.map_err(|NoMetadata| backchannel::UNAVAILABLE)?;
        // Sent all the same, or another way, it would be what nobody configured (CIBA §4).
        if let Some(refusal) = client.not_offered(&metadata) {
            sender.channel.log_not_offered(refusal);
            return Err(backchannel::NOT_OFFERED);
        }
        backchannel::start(&sender, &metadata, &request).await
    }

    async fn poll(&self, registration: &RegistrationName, request: PollRequest) -> Polled {
        let Some(client) = self.client(registration) else { return token::UNSENT };
        let Some(sender) = client.sender(request.x5t.as_deref(), &*self.random) else {
            return token::UNSENT;
        };
        let Some(metadata) = client.upstream.metadata() else {
            // A node that adopted the login may not have any yet. Fetching takes time: a poll sent after it would
            // be outside the interval and the lease that the engine checked.
            let _ = client.upstream.ensure_metadata(&sender.channel).await;
            return token::UNSENT;
        };
        token::poll(&sender, &metadata, &client.settings.id_token_algs, &request).await
    }

    fn announcement(&self, message: &SecretBytes, now: Timestamp) -> Result<Announcement, Unreadable> {
        notification::announcement(message, now)
    }

    async fn judge_pushed(&self, registration: &RegistrationName, pushed: PushedOutcome) -> PushVerdict {
        // Without a way to the provider there are no keys: nothing proves what it says, or that it is wrong.
        let Some(client) = self.client(registration) else { return PushVerdict::NotNow };
        // Keys are public: the certificate that the login began with need not be there any more.
        let channel = client.channel(pushed.x5t.as_deref()).or_else(|| client.channel(None));
        let Some(channel) = channel else { return PushVerdict::NotNow };
        // A node that has just started may not know yet where the keys are.
        let _ = client.upstream.ensure_metadata(&channel).await;
        let settings = &client.settings;
        notification::judge(&channel, &settings.registration, &settings.id_token_algs, &pushed).await
    }

    async fn refresh(&self, registration: &RegistrationName, request: RefreshRequest) -> RefreshAnswer {
        let Some(client) = self.client(registration) else { return refresh::NOT_SENT };
        let sender = client.sender(request.x5t.as_deref(), &*self.random);
        let (Some(sender), Some(metadata)) = (sender, client.upstream.metadata()) else {
            return refresh::NOT_SENT;
        };
        refresh::refresh(&sender, &metadata, &client.settings.id_token_algs, &request).await
    }

    async fn exchange(
        &self,
        registration: &RegistrationName,
        target: &Target,
        request: ExchangeRequest,
    ) -> ExchangeAnswer {
        let Some(client) = self.client(registration) else { return exchange::UNAVAILABLE };
        let found = client.channel_elsewhere(&self.exchanges, target, request.x5t.as_deref());
        let Some((channel, x5t)) = found else { return exchange::UNAVAILABLE };
        let sender = client.sender_over(channel, &*self.random);
        let metadata = client.upstream.metadata();
        let made = Exchange { sender, metadata: metadata.as_deref(), target, x5t };
        exchange::exchange(&made, &request).await
    }

    async fn userinfo(
        &self,
        registration: &RegistrationName,
        x5t: Option<&str>,
        access_token: &Secret,
        claims: &GrantClaims,
    ) -> Result<Userinfo, UserinfoError> {
        let client = self.client(registration).ok_or(UserinfoError::Unavailable)?;
        let reader = Reader {
            channel: client.channel(x5t).ok_or(UserinfoError::Unavailable)?,
            client_id: &client.settings.registration.client_id,
            algs: &client.settings.id_token_algs,
        };
        let metadata = client.upstream.ensure_metadata(&reader.channel).await;
        let metadata = metadata.map_err(|NoMetadata| UserinfoError::Unavailable)?;
        userinfo::read(&reader, &metadata, access_token, claims).await
    }

    async fn revoke(
        &self,
        registration: &RegistrationName,
        x5t: Option<&str>,
        kind: Revoked,
        token: &Secret,
    ) -> Heard {
        let sender = self.client(registration).and_then(|client| client.sender(x5t, &*self.random));
        let Some(sender) = sender else { return endings::UNREACHABLE };
        match sender.channel.upstream.ensure_metadata(&sender.channel).await {
            Ok(metadata) => endings::revoke(&sender, &metadata, kind, token).await,
            Err(NoMetadata) => endings::UNREACHABLE,
        }
    }

    async fn end_session(
        &self,
        registration: &RegistrationName,
        x5t: Option<&str>,
        id_token: &Secret,
    ) -> Heard {
        let channel = self.client(registration).and_then(|client| client.channel(x5t));
        let Some(channel) = channel else { return endings::UNREACHABLE };
        match channel.upstream.ensure_metadata(&channel).await {
            Ok(metadata) => endings::end_session(&channel, &metadata, id_token).await,
            Err(NoMetadata) => endings::UNREACHABLE,
        }
    }

    async fn judge_logout(&self, registration: &RegistrationName, logout_token: &Secret) -> LogoutVerdict {
        let Some(client) = self.client(registration) else { return LogoutVerdict::Refused };
        let Some(channel) = client.channel(None) else { return LogoutVerdict::NotNow };
        let terms = logout_token::Terms {
            issuer: client.upstream.issuer(),
            client_id: &client.settings.registration.client_id,
            algs: &client.settings.id_token_algs,
            profile: client.upstream.profile(),
            now: self.clock.now(),
        };
        logout_token::judge(&channel, &terms, logout_token).await
    }
}
