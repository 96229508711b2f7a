//! Tokens that come when nobody wants them any more: of a login that has ended, of a session that is over, or with an
//! ID token that must not be believed. All of them come here, and nowhere else are tokens let go.
//!
//! They are in no database and are never shown; here they leave memory.

use crate::domain::grant::Tokens;
use crate::domain::ids::LoginId;
use crate::domain::names::RegistrationName;

/// What came too late.
pub(super) struct LateTokens<'a> {
    /// The login that they go back to.
    pub(super) login_id: LoginId,
    /// Who got them.
    pub(super) registration: &'a RegistrationName,
    /// Why nobody wants them.
    pub(super) cause: &'static str,
    /// The tokens.
    pub(super) tokens: Tokens,
}

/// Lets tokens go.
pub(super) fn let_go(late: LateTokens<'_>) {
    tracing::info!(
        login.id = %late.login_id,
        registration = %late.registration,
        cause = late.cause,
        "tokens came that nobody wants any more; they are dropped"
    );
    drop(late.tokens);
}
