//! Assertions that have been taken: each once, whichever node it comes to.

use aws_lc_rs::digest::{SHA256, digest};

use super::conn::{Db, Fault, args};
use crate::engine::ports::SpendAssertion;

/// See [`crate::engine::ports::Store::spend_assertion`]. A second run after an unknown commit outcome finds its own
/// attempt.
pub(super) async fn spend(db: &mut Db, spend: &SpendAssertion) -> Result<bool, Fault> {
    let jti = digest(&SHA256, spend.jti.as_bytes()).as_ref().to_vec();
    let taken = db
        .execute(
            "INSERT INTO assertions (tenant, application, jti, attempt, until) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (tenant, application, jti) DO UPDATE SET attempt = excluded.attempt, until = excluded.until
             WHERE assertions.until <= $6 OR assertions.attempt = excluded.attempt",
            args![
                spend.tenant.as_str(),
                spend.application.as_str(),
                jti,
                spend.attempt,
                spend.until,
                spend.now
            ],
        )
        .await?;
    Ok(taken == 1)
}
