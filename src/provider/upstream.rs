//! What is known of one provider: its metadata and its signing keys, cached, the last good ones kept.
//!
//! Both are replaced as a whole. A refresh that fails, or brings something that must not be believed, changes
//! nothing but the provider's status.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::sync::Mutex;

use crate::domain::clock::{Clock, Monotonic};
use crate::domain::names::ProviderName;
use crate::domain::profile::Profile;
use crate::domain::registration::Delivery;
use crate::engine::ports::{NoMetadata, ProviderStatus};

use super::call::{Call, Channel};
use super::keys::{self, Keys};
use super::metadata::{self, Metadata};
use super::settings::ProviderSettings;

const TIMEOUT: Duration = Duration::from_secs(10);
/// For keys while a login waits for them: its lease and its person are waiting too.
const KEYS_TIMEOUT: Duration = Duration::from_secs(3);
/// After an unknown key name has caused a fetch that succeeded, none causes another for this long (R-C-10).
const COOL_DOWN: Duration = Duration::from_mins(1);
/// After a failed fetch of keys no login causes another for this long: those that wait share its outcome.
const FAILED_COOL_DOWN: Duration = Duration::from_secs(5);
/// Keys that nobody has confirmed for this long are no longer believed (R-C-10).
const KEYS_MAX_AGE: Duration = Duration::from_hours(24);

/// One provider.
pub struct Upstream {
    settings: ProviderSettings,
    /// How the outcome comes at its registrations.
    deliveries: Vec<Delivery>,
    clock: Arc<dyn Clock>,
    metadata: ArcSwapOption<Metadata>,
    /// Where the first accepted document sent us: a later one may not send us elsewhere (R-C-11).
    accepted_hosts: OnceLock<BTreeSet<(String, u16)>>,
    /// Held while metadata is fetched; counts the attempts that have ended.
    fetching_metadata: Mutex<()>,
    attempts: AtomicU64,
    metadata_is_stale: AtomicBool,
    last_call_failed: AtomicBool,
    keys: ArcSwapOption<CachedKeys>,
    /// Held while a login fetches keys. The refresh in the background takes its time and does not hold it.
    fetching_keys: Mutex<Fetches>,
}

/// The fetches of keys that logins have caused.
#[derive(Default)]
struct Fetches {
    /// When an unknown name last caused one that succeeded.
    unknown_name: Option<Monotonic>,
    /// When one that nobody has authenticated last did.
    stranger: Option<Monotonic>,
    /// When the last one failed.
    failure: Option<Monotonic>,
}

struct CachedKeys {
    keys: Arc<Keys>,
    /// When they were asked for.
    asked_at: Monotonic,
}

impl Upstream {
    /// A provider of which nothing is known yet.
    pub fn new(settings: ProviderSettings, deliveries: Vec<Delivery>, clock: Arc<dyn Clock>) -> Self {
        Self {
            settings,
            deliveries,
            clock,
            metadata: ArcSwapOption::empty(),
            accepted_hosts: OnceLock::new(),
            fetching_metadata: Mutex::new(()),
            attempts: AtomicU64::new(0),
            metadata_is_stale: AtomicBool::new(false),
            last_call_failed: AtomicBool::new(false),
            keys: ArcSwapOption::empty(),
            fetching_keys: Mutex::new(Fetches::default()),
        }
    }

    /// Its name.
    pub fn name(&self) -> &ProviderName {
        &self.settings.provider.name
    }

    /// Its quirks.
    pub fn profile(&self) -> &'static Profile {
        self.settings.provider.profile
    }

    /// Its issuer, byte for byte.
    pub fn issuer(&self) -> &str {
        &self.settings.provider.issuer
    }

    /// The clock of the house.
    pub const fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// Notes how the last call went, for [`Upstream::status`].
    pub fn note_call(&self, is_well: bool) {
        self.last_call_failed.store(!is_well, Ordering::Relaxed);
    }

    /// How it fares.
    pub fn status(&self) -> ProviderStatus {
        let is_ok = self.metadata.load().is_some()
            && !self.metadata_is_stale.load(Ordering::Relaxed)
            && !self.last_call_failed.load(Ordering::Relaxed);
        if is_ok { ProviderStatus::Ok } else { ProviderStatus::Degraded }
    }

    /// The metadata, where valid ones have ever been had.
    pub fn metadata(&self) -> Option<Arc<Metadata>> {
        self.metadata.load_full()
    }

    /// The metadata: cached, else by one attempt that simultaneous callers share.
    pub async fn ensure_metadata(&self, channel: &Channel<'_>) -> Result<Arc<Metadata>, NoMetadata> {
        if let Some(metadata) = self.metadata() {
            return Ok(metadata);
        }
        let seen = self.attempts.load(Ordering::Acquire);
        let _fetching = self.fetching_metadata.lock().await;
        if self.attempts.load(Ordering::Acquire) == seen {
            self.fetch_metadata(channel).await;
        }
        self.metadata().ok_or(NoMetadata)
    }

    /// Fetches metadata and keys. Says whether both are fresh now; what was good before stays where they are not.
    pub async fn refresh(&self, channel: &Channel<'_>) -> bool {
        let is_fresh = {
            let _fetching = self.fetching_metadata.lock().await;
            self.fetch_metadata(channel).await
        };
        let has_keys = self.fetch_keys(channel, TIMEOUT).await.is_some();
        is_fresh && has_keys
    }

    async fn fetch_metadata(&self, channel: &Channel<'_>) -> bool {
        let accepted = self.try_metadata(channel).await;
        self.metadata_is_stale.store(!accepted, Ordering::Relaxed);
        self.attempts.fetch_add(1, Ordering::AcqRel);
        accepted
    }

    async fn try_metadata(&self, channel: &Channel<'_>) -> bool {
        let url = self.settings.provider.metadata_url.clone();
        if !metadata::is_acceptable(&url, !self.settings.https_only) {
            channel.log_invalid_answer("metadata", "the metadata URL is not https");
            return false;
        }
        let Ok(answer) = channel.send(Call::get_json("metadata", url, TIMEOUT, metadata::MAX_SIZE)).await
        else {
            return false;
        };
        if answer.status != http::StatusCode::OK {
            channel.log_error_answer("metadata", answer.status, None, false);
            return false;
        }
        let allow_http = !self.settings.https_only;
        let read = Metadata::read(&answer.body, self.issuer(), allow_http, &self.deliveries);
        let mut metadata = match read {
            Ok(metadata) => metadata,
            Err(error) => {
                channel.log_invalid_answer("metadata", &error.to_string());
                return false;
            }
        };
        let accepted = self.accepted_hosts.get_or_init(|| metadata.hosts());
        // Nobody is kept from signing in by an address that only the way out needs.
        if metadata.keep_ways_out(accepted) {
            channel.log_invalid_answer(
                "metadata",
                "the endpoint of revocation or logout has moved to another host: restart to accept it",
            );
        }
        if !metadata.hosts().is_subset(accepted) {
            channel.log_invalid_answer(
                "metadata",
                "an endpoint has moved to another host: restart to accept it",
            );
            return false;
        }
        self.metadata.store(Some(Arc::new(metadata)));
        true
    }

    /// The signing keys: cached, else fetched now, by one attempt that simultaneous callers share. `None`: none
    /// are to be had.
    pub async fn keys(&self, channel: &Channel<'_>) -> Option<Arc<Keys>> {
        if let Some(keys) = self.believed_keys() {
            return Some(keys);
        }
        let mut fetches = self.fetching_keys.lock().await;
        match self.believed_keys() {
            Some(keys) => Some(keys),
            None => self.fetch_keys_for_login(channel, &mut fetches).await,
        }
    }

    /// Newer keys than `known`, because a signature names one that is not among them. `None` where there are none,
    /// or the last such fetch was too recent.
    pub async fn newer_keys(&self, channel: &Channel<'_>, known: &Arc<Keys>) -> Option<Arc<Keys>> {
        let mut fetches = self.fetching_keys.lock().await;
        // Somebody fetched while we waited: theirs are newer.
        if let Some(keys) = self.believed_keys().filter(|keys| !Arc::ptr_eq(keys, known)) {
            return Some(keys);
        }
        if self.is_within(fetches.unknown_name, COOL_DOWN) {
            return None;
        }
        let keys = self.fetch_keys_for_login(channel, &mut fetches).await?;
        fetches.unknown_name = Some(self.clock.monotonic());
        Some(keys)
    }

    /// The same for a token that anybody may have sent: it causes at most one fetch a minute, and none that a login would
    /// then have to wait for.
    pub async fn newer_keys_for_a_stranger(
        &self,
        channel: &Channel<'_>,
        known: &Arc<Keys>,
    ) -> Option<Arc<Keys>> {
        let mut fetches = self.fetching_keys.lock().await;
        if let Some(keys) = self.believed_keys().filter(|keys| !Arc::ptr_eq(keys, known)) {
            return Some(keys);
        }
        if self.is_within(fetches.stranger, COOL_DOWN) {
            return None;
        }
        fetches.stranger = Some(self.clock.monotonic());
        self.fetch_keys(channel, KEYS_TIMEOUT).await
    }

    fn believed_keys(&self) -> Option<Arc<Keys>> {
        let cached = self.keys.load_full()?;
        self.is_within(Some(cached.asked_at), KEYS_MAX_AGE).then(|| Arc::clone(&cached.keys))
    }

    fn is_within(&self, at: Option<Monotonic>, length: Duration) -> bool {
        at.is_some_and(|at| self.clock.monotonic().since(at) < length)
    }

    async fn fetch_keys_for_login(&self, channel: &Channel<'_>, fetches: &mut Fetches) -> Option<Arc<Keys>> {
        if self.is_within(fetches.failure, FAILED_COOL_DOWN) {
            return None;
        }
        let keys = self.fetch_keys(channel, KEYS_TIMEOUT).await;
        fetches.failure = keys.is_none().then(|| self.clock.monotonic());
        keys
    }

    async fn fetch_keys(&self, channel: &Channel<'_>, timeout: Duration) -> Option<Arc<Keys>> {
        let asked_at = self.clock.monotonic();
        let url = self.metadata()?.jwks_uri.clone();
        let answer = channel.send(Call::get_json("jwks", url, timeout, keys::MAX_SIZE)).await.ok()?;
        if answer.status != http::StatusCode::OK {
            channel.log_error_answer("jwks", answer.status, None, false);
            return None;
        }
        match Keys::read(&answer.body) {
            Ok(keys) => {
                let keys = Arc::new(keys);
                let fetched = Arc::new(CachedKeys { keys: Arc::clone(&keys), asked_at });
                // An answer that was overtaken by that to a later question is older than it.
                self.keys.rcu(|cached| match cached {
                    Some(cached) if cached.asked_at > asked_at => Some(Arc::clone(cached)),
                    _ => Some(Arc::clone(&fetched)),
                });
                Some(keys)
            }
            Err(error) => {
                channel.log_invalid_answer("jwks", &error.to_string());
                None
            }
        }
    }
}
