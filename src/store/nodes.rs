//! Nodes, their leases, and what a survivor takes over. Database time is spoken here and nowhere else.

use std::time::Duration;

use super::conn::{Context, Db, Fault, Row, args};
use super::logins::micros;
use super::rows::{self, login_columns};
use crate::domain::ids::{Attempt, NodeId};
use crate::domain::login::LoginState;
use crate::domain::names::RegistrationName;
use crate::engine::ports::{Adopted, DeadFor, PollJob};

/// Enters or renews a lease.
pub(super) async fn renew(db: &mut Db, (node, length): &(NodeId, Duration)) -> Result<(), Fault> {
    let sql = db.dialect().renew_lease;
    db.execute(sql, args![*node, micros(*length)]).await?;
    Ok(())
}

/// Ends a lease as if it had ended long ago: others need not wait for polls of a node that has stopped polling.
pub(super) async fn leave(db: &mut Db, node: &NodeId) -> Result<(), Fault> {
    db.execute("UPDATE nodes SET lease_until = 0 WHERE node_id = $1", args![*node]).await?;
    Ok(())
}

/// An adoption. Its attempt is written beside the new owner, so that a second run after an unknown commit outcome
/// finds what the first one took.
pub(super) struct Adoption {
    pub node: NodeId,
    pub registration: RegistrationName,
    pub dead_for: DeadFor,
    pub attempt: Attempt,
}

/// Takes over.
pub(super) async fn adopt(db: &mut Db, context: &Context, adoption: &Adoption) -> Result<Adopted, Fault> {
    let sql = db.dialect().adopt;
    db.execute(
        sql,
        args![
            adoption.node,
            adoption.registration.as_str(),
            adoption.attempt,
            micros(adoption.dead_for.pending),
            micros(adoption.dead_for.starting)
        ],
    )
    .await?;
    let found = db
        .fetch(
            concat!(
                "SELECT",
                login_columns!(),
                ", (SELECT g.request FROM grants g WHERE g.grant_id = logins.grant_id)
                     AS grant_request
                 FROM logins WHERE registration = $1 AND owner = $2 AND adoption = $3
                     AND status IN ('starting', 'pending') AND ended_at IS NULL ORDER BY created_at"
            ),
            args![adoption.registration.as_str(), adoption.node, adoption.attempt],
        )
        .await?;
    let mut adopted = Adopted::default();
    for row in &found {
        // One row that cannot be read must not keep the others from being polled; the sweeper ends it.
        if let Err(fault) = take(context, row, &mut adopted) {
            tracing::error!(%fault, "a login cannot be adopted");
        }
    }
    Ok(adopted)
}

fn take(context: &Context, row: &Row, adopted: &mut Adopted) -> Result<(), Fault> {
    let request: Option<Vec<u8>> = row.get("grants", "grant_request")?;
    let row = rows::login(context, row)?;
    if matches!(row.login.state, LoginState::Starting { .. }) {
        adopted.starting.push(row.login.login_id);
        return Ok(());
    }
    let request = request.ok_or(Fault::Inconsistent { table: "grants", column: "request" })?;
    let auth_req_id = row.vault(context)?.open_text("request", &request)?;
    adopted.pending.push(PollJob {
        auth_req_id,
        scope: row.scope,
        acr_values: row.acr_values,
        login: row.login,
    });
    Ok(())
}
