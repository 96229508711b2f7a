//! An assertion, as the store takes it.

use crate::domain::ids::Attempt;
use crate::domain::names::{ApplicationName, TenantName};
use crate::domain::time::Timestamp;

/// An assertion that is about to count.
#[derive(Clone)]
pub struct SpendAssertion {
    /// Whose application.
    pub tenant: TenantName,
    /// Who signed it.
    pub application: ApplicationName,
    /// Its name.
    pub jti: String,
    /// The thumbprint (RFC 7638) of the key that signed it.
    pub jkt: String,
    /// Drawn by the caller.
    pub attempt: Attempt,
    /// When the call is made.
    pub now: Timestamp,
    /// Until when it must not count again.
    pub until: Timestamp,
}
