//! Where the two databases say one thing in two ways.
//!
//! Database time appears in the statements about leases and about the deadlines of refreshes, and nowhere else.

use super::rows::session_columns;

/// The statements that differ.
pub(super) struct Dialect {
    /// `$1` owner, `$2` list: which are pending and the owner's.
    pub still_mine: &'static str,
    /// `$1` list: versions of logins.
    pub login_versions: &'static str,
    /// `$1` list: versions of sessions.
    pub session_versions: &'static str,
    /// `$1` node, `$2` length in microseconds.
    pub renew_lease: &'static str,
    /// `$1` node, `$2` registration, `$3` adoption; `$4` and `$5` how long the owner of a pending and of a starting
    /// login must have been dead, in microseconds.
    pub adopt: &'static str,
    /// `$1` session, `$2` attempt, `$3` owner, `$4` reserved time in microseconds, `$5` now, `$6` generation, `$7` the
    /// most unanswered sendings: records a refresh that is about to be sent. One further attempt is a failure of the first. A
    /// deadline further ahead than any that is written now is over: the database's clock has been set back.
    pub claim_refresh: &'static str,
    /// `$1` session: the attempt that is recorded, and for how long nobody else sends.
    pub refresh_under_way: &'static str,
    /// Nodes whose lease ended more than `$1` microseconds ago.
    pub forget_nodes: &'static str,
    /// `$1`, `$2`: turns that are shared until the commit, where writes are not one after the other anyway.
    pub share_turns: Option<&'static str>,
    /// `$1`: a turn that is nobody else's until the commit, there too.
    pub take_turn: Option<&'static str>,
    /// `$1` list of sessions.
    pub delete_handles: &'static str,
    /// `$1` list of sessions.
    pub delete_sessions: &'static str,
    /// `$1` list of logins.
    pub delete_grants: &'static str,
    /// `$1` list of logins.
    pub delete_logins: &'static str,
}

/// A list in a statement: JSON text of hexadecimal identifiers in SQLite, an array in PostgreSQL.
macro_rules! dialect {
    (list: $open:literal $parameter1:literal $parameter2:literal $close:literal, now: $now:literal, dead: $dead:expr, turns: $share:expr, $take:expr) => {
        Dialect {
            still_mine: concat!(
                "SELECT login_id FROM logins WHERE login_id ",
                $open,
                $parameter2,
                $close,
                " AND owner = $1 AND status = 'pending'"
            ),
            login_versions: concat!(
                "SELECT login_id, version FROM logins WHERE login_id ",
                $open,
                $parameter1,
                $close
            ),
            session_versions: concat!(
                "SELECT session_id, version FROM sessions WHERE session_id ",
                $open,
                $parameter1,
                $close
            ),
            renew_lease: concat!(
                "INSERT INTO nodes (node_id, lease_until) VALUES ($1, ",
                $now,
                " + $2)
                 ON CONFLICT (node_id) DO UPDATE SET lease_until = excluded.lease_until"
            ),
            adopt: concat!(
                "UPDATE logins SET owner = $1, adoption = $3
                 WHERE registration = $2 AND status IN ('starting', 'pending') AND ended_at IS NULL AND owner <> $1
                     AND ",
                $dead
            ),
            claim_refresh: concat!(
                "UPDATE sessions SET refresh_attempt = $2, refresh_owner = $3, refresh_deadline = ",
                $now,
                " + $4,
                     refresh_failures = CASE WHEN refresh_unanswered > 0 AND refresh_failures = 0 THEN 1
                         ELSE refresh_failures END,
                     refresh_unanswered = refresh_unanswered + 1
                 WHERE session_id = $1 AND status = 'active' AND due_at > $5 AND refresh_generation = $6
                     AND refresh_unanswered < $7
                     AND (refresh_deadline IS NULL OR refresh_deadline <= ",
                $now,
                " OR refresh_deadline > ",
                $now,
                " + $4)
                     AND (refresh_not_before IS NULL OR refresh_not_before <= $5) RETURNING",
                session_columns!()
            ),
            refresh_under_way: concat!(
                "SELECT due_at, refresh_attempt, refresh_deadline - ",
                $now,
                " AS remaining FROM sessions WHERE session_id = $1"
            ),
            forget_nodes: concat!("DELETE FROM nodes WHERE lease_until < ", $now, " - $1"),
            share_turns: $share,
            take_turn: $take,
            delete_handles: concat!("DELETE FROM handles WHERE session_id ", $open, $parameter1, $close),
            delete_sessions: concat!("DELETE FROM sessions WHERE session_id ", $open, $parameter1, $close),
            delete_grants: concat!("DELETE FROM grants WHERE login_id ", $open, $parameter1, $close),
            delete_logins: concat!("DELETE FROM logins WHERE login_id ", $open, $parameter1, $close),
        }
    };
}

/// SQLite has one node at a time: the serve lock proves that every other owner is dead.
pub(super) static SQLITE: Dialect = dialect!(
    list: "IN (SELECT unhex(value) FROM json_each(" "$1" "$2" "))",
    now: "CAST(unixepoch('subsec') * 1000000 AS INTEGER)",
    dead: "$4 >= 0 AND $5 >= 0",
    turns: None, None
);

/// An owner without a row in `nodes` has been dead for days.
pub(super) static POSTGRES: Dialect = dialect!(
    list: "= ANY(" "$1" "$2" ")",
    now: "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint",
    dead: "NOT EXISTS (SELECT 1 FROM nodes WHERE nodes.node_id = logins.owner AND nodes.lease_until
           > (extract(epoch FROM clock_timestamp()) * 1000000)::bigint
               - CASE WHEN logins.status = 'starting' THEN $5 ELSE $4 END)",
    turns: Some("SELECT pg_advisory_xact_lock_shared($1), pg_advisory_xact_lock_shared($2)"),
        Some("SELECT pg_advisory_xact_lock($1)")
);
