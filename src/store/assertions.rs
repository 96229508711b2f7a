//! Assertions that have been taken: each once, whichever node it comes to. Who comes with one again is put on record.

use aws_lc_rs::digest::{SHA256, digest};

use super::audit::{self, AuditRecord};
use super::conn::{Context, Db, Fault, args};
use crate::engine::ports::{Actor, SpendAssertion};

/// See [`crate::engine::ports::Store::spend_assertion`]. A second run after an unknown commit outcome finds its own
/// attempt.
pub(super) async fn spend(
    db: &mut Db,
    context: &Context,
    (spend, by): &(SpendAssertion, Actor),
) -> Result<bool, Fault> {
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
    if taken == 0 {
        audit::append(db, context, AuditRecord::of_replay(spend, by)).await?;
    }
    Ok(taken == 1)
}
