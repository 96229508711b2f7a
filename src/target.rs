//! Implements the engine's `Targets` port: calls of downstream APIs, handed on in both directions as they come.
//!
//! Invariants: a call goes to the scheme, host and port of the configuration, whatever its path says; the certificate on
//! the connection is the one that the token was exchanged with; no redirect is followed, nothing is sent twice; a body is
//! never held whole, and whoever waits for nothing any more ends what is under way. Nothing of a call reaches the log but
//! the names of the target and the registration, and the kind of a failure.

mod body;
mod headers;
mod location;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use http::uri::PathAndQuery;
use http::{HeaderValue, Method, StatusCode, header};
use http_body_util::BodyExt as _;
use url::Url;

use crate::domain::names::{RegistrationName, TargetName};
use crate::domain::target::{Target, TargetPath};
use crate::engine::ports::{Leads, TargetAnswer, TargetCall, TargetError};
use crate::net::outbound::{
    AddressPolicy, Identity, NotSentCause, Outbound, OutboundBuildError, OutboundError, OutboundSettings,
    StreamedRequest, TAKES_WITHIN, UnknownCause,
};
use crate::telemetry::error_chain::ErrorChain;
use body::{Download, Fault, Upload};
use location::Lead;

/// How one target is connected to.
#[derive(Clone)]
pub struct TargetSettings {
    /// Which one.
    pub name: TargetName,
    /// The trusted roots, PEM, and no others; `None`: the system's.
    pub roots_pem: Option<Vec<u8>>,
    /// Whether it may have a private or loopback address (R-G-06).
    pub allow_private_addresses: bool,
    /// Refuse `http` URLs. False only in development, and then for loopback only.
    pub https_only: bool,
    /// How long it may be silent.
    pub timeout: Duration,
}

/// Why the targets cannot be called.
#[derive(Debug, thiserror::Error)]
#[error("target {target}: its HTTP client cannot be made")]
pub struct SettingsError {
    /// Which one.
    target: TargetName,
    /// Why.
    source: OutboundBuildError,
}

/// The certificate of a registration by its thumbprint (`x5t#S256`); `None`: it is not there (any more).
pub type CertificateSource = Arc<dyn Fn(&RegistrationName, &str) -> Option<Identity> + Send + Sync>;

/// Whose a client is: target, registration and the thumbprint of its certificate. Connections are shared with nobody
/// else, so that a certificate is never shown for another session's registration.
type Key = (TargetName, RegistrationName, Option<String>);

/// All targets.
pub struct Targets {
    settings: HashMap<TargetName, TargetSettings>,
    certificates: CertificateSource,
    /// Made when they are first needed. Held for no longer than a look.
    clients: Mutex<HashMap<Key, Outbound>>,
}

impl Targets {
    /// Checks the roots of every target; connects to none.
    pub fn new(
        settings: Vec<TargetSettings>,
        certificates: CertificateSource,
    ) -> Result<Self, SettingsError> {
        for one in &settings {
            outbound(one, None).map_err(|source| SettingsError { target: one.name.clone(), source })?;
        }
        let settings = settings.into_iter().map(|one| (one.name.clone(), one)).collect();
        Ok(Self { settings, certificates, clients: Mutex::default() })
    }

    /// The client for one target, registration and certificate.
    fn client(
        &self,
        target: &TargetName,
        registration: &RegistrationName,
        x5t: Option<&str>,
    ) -> Result<Outbound, TargetError> {
        let unreachable = |why: &str| {
            tracing::error!(target.name = %target, %registration, why, "a target cannot be called");
            TargetError::Unreachable
        };
        let settings = self.settings.get(target).ok_or_else(|| unreachable("it is not configured"))?;
        let certificate = |x5t| (self.certificates)(registration, x5t);
        // Asked first: one that has gone is not shown any more, on a connection that is there already either.
        let identity = match x5t.map(certificate) {
            Some(None) => return Err(unreachable("the certificate of the token is no longer there")),
            Some(found) => found,
            None => None,
        };
        let key = (target.clone(), registration.clone(), x5t.map(str::to_owned));
        if let Some(known) = self.lock().get(&key) {
            return Ok(known.clone());
        }
        // Reads files, perhaps: nobody else waits for that. Whoever is first has made it for all.
        let client = outbound(settings, identity).map_err(|error| unreachable(&error.to_string()))?;
        Ok(self.lock().entry(key).or_insert(client).clone())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Outbound>> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn outbound(settings: &TargetSettings, identity: Option<Identity>) -> Result<Outbound, OutboundBuildError> {
    let address_policy = if settings.allow_private_addresses {
        AddressPolicy::AllowPrivate
    } else {
        AddressPolicy::PublicOnly
    };
    let (roots, https_only) = (settings.roots_pem.clone(), settings.https_only);
    // Its own limit of silence is met first, and says what it was.
    let takes_within = settings.timeout + TAKES_WITHIN;
    Outbound::new(OutboundSettings { roots, identity, address_policy, https_only, takes_within })
}

#[async_trait]
impl crate::engine::ports::Targets for Targets {
    async fn send(&self, target: &Target, call: TargetCall) -> Result<TargetAnswer, TargetError> {
        let TargetCall { registration, x5t, access_token, head, body, place } = call;
        let client = self.client(&target.name, &registration, x5t.as_deref())?;
        let path = joined(&target.url, &head.path);
        let mut sent = target.url.clone();
        sent.set_path(&path);
        // The path has been judged; what the parser still changes in it would not be what was judged.
        if sent.path() != path {
            return Err(TargetError::Unreachable);
        }
        let path_and_query = match &head.query {
            Some(query) => format!("{path}?{query}"),
            None => path,
        };
        let path_and_query = PathAndQuery::try_from(path_and_query).map_err(|_| TargetError::Unreachable)?;
        let mut headers = headers::of_request(&head, &body);
        let bearer = HeaderValue::try_from(format!("Bearer {}", access_token.expose()));
        let mut bearer = bearer.map_err(|_| TargetError::Unreachable)?;
        bearer.set_sensitive(true);
        headers.insert(header::AUTHORIZATION, bearer);
        let is_head = head.method == Method::HEAD;
        let (body, progress) = Upload::new(body, target.request_max, place.clone());
        let request = StreamedRequest {
            method: head.method,
            origin: target.url.clone(),
            path_and_query,
            headers,
            body: body.boxed_unsync(),
        };
        let answer = tokio::select! {
            answer = client.stream(request) => answer,
            () = progress.silence(target.timeout) => return Err(TargetError::TimedOut),
        };
        let answer = answer.map_err(|error| match progress.fault() {
            Some(Fault::TooLarge) => TargetError::TooLarge,
            Some(Fault::Broken) => TargetError::BodyBroken,
            None => {
                tracing::warn!(
                    target.name = %target.name, %registration, error = %ErrorChain(&error),
                    "a call of a target failed"
                );
                failure(&error)
            }
        })?;
        let (parts, body) = answer.into_parts();
        if parts.status.is_informational() || parts.status.as_u16() > 599 {
            return Err(TargetError::Unreachable);
        }
        let lead = |name| location::of(&target.url, &sent, &parts.headers, name);
        let (location, content_location) = (lead(&header::LOCATION), lead(&header::CONTENT_LOCATION));
        if parts.status.is_redirection() && matches!(location, Lead::Elsewhere) {
            return Err(TargetError::Redirected);
        }
        let has_no_body = is_head || parts.status == StatusCode::NOT_MODIFIED;
        let mut headers = headers::of_answer(&parts.headers, has_no_body);
        // What leads elsewhere is not told: the caller would take its handle there.
        let below = |lead| match lead {
            Lead::Below(rest) => Some(rest),
            Lead::Nowhere | Lead::Elsewhere => None,
        };
        let links = location::links(&target.url, &sent, &parts.headers);
        let leads = Leads { location: below(location), content_location: below(content_location), links };
        headers.remove(header::LOCATION);
        headers.remove(header::CONTENT_LOCATION);
        let body = Download::new(body, target.timeout, place).boxed_unsync();
        Ok(TargetAnswer { status: parts.status, headers, leads, body })
    }

    fn tidy(&self) {
        self.lock().retain(|(_, registration, x5t), _| {
            x5t.as_ref().is_none_or(|x5t| (self.certificates)(registration, x5t).is_some())
        });
    }
}

/// The path of a call: the base without its final slash, then what the caller asks for; the base itself where that is
/// nothing.
fn joined(base: &Url, path: &TargetPath) -> String {
    match path.as_str() {
        "" => base.path().to_owned(),
        below => format!("{}{below}", base.path().trim_end_matches('/')),
    }
}

fn failure(error: &OutboundError) -> TargetError {
    match error {
        OutboundError::NotSent { cause } => match cause {
            NotSentCause::Tls(_) => TargetError::TlsFailed,
            NotSentCause::ConnectTimeout => TargetError::TimedOut,
            NotSentCause::InvalidUrl
            | NotSentCause::Dns
            | NotSentCause::AddressRefused
            | NotSentCause::Connect => TargetError::Unreachable,
        },
        OutboundError::OutcomeUnknown { cause } => match cause {
            UnknownCause::Timeout => TargetError::TimedOut,
            UnknownCause::Cut
            | UnknownCause::TooLarge { .. }
            | UnknownCause::Encoded { .. }
            | UnknownCause::InvalidHttp => TargetError::Unreachable,
        },
    }
}

#[cfg(test)]
mod tests;
