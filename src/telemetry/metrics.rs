//! The metric names, which are contract, and the few words that record them.
//!
//! Labels are bounded: names from configuration, statuses and reasons from enums, route patterns; never anything
//! that a caller sent.

use std::time::Duration;

use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};

use crate::domain::names::{ProviderName, RegistrationName};
use crate::domain::time::Timestamp;

/// Logins by outcome: a terminal status, or the reason where it failed.
pub const LOGINS_TOTAL: &str = "relais_logins_total";
/// Logins that are `pending` now.
pub const LOGINS_PENDING: &str = "relais_logins_pending";
/// From the start of a login to its approval.
pub const APPROVAL_SECONDS: &str = "relais_approval_seconds";
/// Token polls by what they came back with.
pub const POLLS_TOTAL: &str = "relais_polls_total";
/// Sessions that are `active` now.
pub const SESSIONS_ACTIVE: &str = "relais_sessions_active";
/// Sessions by why they ended.
pub const SESSIONS_ENDED_TOTAL: &str = "relais_sessions_ended_total";
/// Ends that providers are still to be told of.
pub const OUTBOX_ENTRIES: &str = "relais_outbox_entries";
/// What telling providers of ends has come to.
pub const OUTBOX_TOTAL: &str = "relais_outbox_total";
/// Client assertions that were refused, by the rule that they broke.
pub const ASSERTIONS_REFUSED_TOTAL: &str = "relais_assertions_refused_total";
/// Refreshes by what they came back with.
pub const REFRESHES_TOTAL: &str = "relais_refreshes_total";
/// Calls to providers.
pub const PROVIDER_REQUEST_SECONDS: &str = "relais_provider_request_seconds";
/// Calls answered.
pub const HTTP_REQUEST_SECONDS: &str = "relais_http_request_seconds";
/// When each certificate in use expires.
pub const CERTIFICATE_EXPIRY: &str = "relais_certificate_expiry_timestamp_seconds";
/// Always 1; the labels say which build it is.
pub const BUILD_INFO: &str = "relais_build_info";

/// Describes every metric to the recorder.
pub fn describe() {
    describe_counter!(LOGINS_TOTAL, "Logins by outcome");
    describe_gauge!(LOGINS_PENDING, "Logins that are pending");
    describe_histogram!(APPROVAL_SECONDS, "From start to approval");
    describe_counter!(POLLS_TOTAL, "Token polls by result");
    describe_gauge!(SESSIONS_ACTIVE, "Sessions that are active");
    describe_counter!(SESSIONS_ENDED_TOTAL, "Sessions by reason of end");
    describe_gauge!(OUTBOX_ENTRIES, "Ends that providers are still to be told of");
    describe_counter!(OUTBOX_TOTAL, "Ends that providers were told of, by result");
    describe_counter!(ASSERTIONS_REFUSED_TOTAL, "Client assertions that were refused, by rule");
    describe_counter!(REFRESHES_TOTAL, "Refreshes by result");
    describe_histogram!(PROVIDER_REQUEST_SECONDS, "Calls to providers");
    describe_histogram!(HTTP_REQUEST_SECONDS, "Calls answered");
    describe_gauge!(CERTIFICATE_EXPIRY, "When a certificate expires (Unix time)");
    describe_gauge!(BUILD_INFO, "Always 1");
    gauge!(BUILD_INFO, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
}

/// One login ended as `outcome`.
pub fn login_ended(registration: &RegistrationName, outcome: &'static str) {
    counter!(LOGINS_TOTAL, "registration" => registration.to_string(), "outcome" => outcome).increment(1);
}

/// One login was approved, `after` its start.
pub fn approved(after: Duration) {
    histogram!(APPROVAL_SECONDS).record(after.as_secs_f64());
}

/// One poll came back with `result`.
pub fn polled(registration: &RegistrationName, result: &'static str) {
    counter!(POLLS_TOTAL, "registration" => registration.to_string(), "result" => result).increment(1);
}

/// One session ended for `reason`.
pub fn session_ended(reason: &'static str) {
    counter!(SESSIONS_ENDED_TOTAL, "reason" => reason).increment(1);
}

/// A provider was told of an end, with `result`.
pub fn outbox(provider: &ProviderName, result: &'static str) {
    counter!(OUTBOX_TOTAL, "provider" => provider.to_string(), "result" => result).increment(1);
}

/// One client assertion broke `rule`.
pub fn assertion_refused(rule: &'static str) {
    counter!(ASSERTIONS_REFUSED_TOTAL, "rule" => rule).increment(1);
}

/// One refresh came back with `result`.
pub fn refreshed(result: &'static str) {
    counter!(REFRESHES_TOTAL, "result" => result).increment(1);
}

/// One call to `endpoint` of a provider took `length`.
pub fn provider_request(provider: &ProviderName, endpoint: &'static str, length: Duration) {
    histogram!(PROVIDER_REQUEST_SECONDS, "provider" => provider.to_string(), "endpoint" => endpoint)
        .record(length.as_secs_f64());
}

/// One call to `route` was answered with `status` after `length`.
pub fn http_request(route: &str, status: u16, length: Duration) {
    histogram!(HTTP_REQUEST_SECONDS, "route" => route.to_owned(), "status" => status.to_string())
        .record(length.as_secs_f64());
}

/// How many logins are pending, sessions active, and ends to be told.
#[expect(clippy::cast_precision_loss, reason = "gauges are floating point; counts are far below 2^52")]
pub fn counts(logins_pending: u64, sessions_active: u64, outbox: u64) {
    gauge!(LOGINS_PENDING).set(logins_pending as f64);
    gauge!(SESSIONS_ACTIVE).set(sessions_active as f64);
    gauge!(OUTBOX_ENTRIES).set(outbox as f64);
}

/// The certificate called `name` expires at `not_after`.
#[expect(clippy::cast_precision_loss, reason = "gauges are floating point; Unix times are far below 2^52")]
pub fn certificate_expiry(name: &str, not_after: Timestamp) {
    gauge!(CERTIFICATE_EXPIRY, "name" => name.to_owned()).set(not_after.as_secs() as f64);
}
