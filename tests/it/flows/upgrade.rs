//! A database as the first migration left it, with a login and a session alive in it: the present binary takes it over,
//! and both go on.

use std::path::Path;

use relais::domain::secret::Secret;
use relais::store::migrations::{Location, MigrationState, check};
use serde_json::Value;
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::postgres::PgConnection;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode};
use sqlx::{ConnectOptions as _, Connection as _, Executor as _};

use super::pace::PACE;
use crate::support::database::Database;
use crate::support::postgres;
use crate::support::stack::{BACKENDS, DOCTOR, Stack};

/// What the first migration makes, parents before children.
const TABLES: [&str; 8] =
    ["logins", "person_slots", "grants", "sessions", "handles", "replays", "nodes", "audit"];

/// The first migration and no other.
fn first(sql: &'static str) -> Migrator {
    let sql = sqlx::SqlSafeStr::into_sql_str(sql);
    Migrator::with_migrations(vec![Migration::new(1, "first".into(), MigrationType::Simple, sql, false)])
}

/// Copies the rows of `newer`, as far as the first migration has columns for them. The database numbers audit records
/// itself.
#[expect(
    clippy::disallowed_methods,
    reason = "names of columns, from the database itself, cannot be parameters"
)]
fn copy(table: &str, columns: &[String]) -> sqlx::AssertSqlSafe<String> {
    let columns: Vec<_> = columns.iter().map(String::as_str).filter(|name| *name != "seq").collect();
    assert!(columns.len() > 1, "{table} has columns");
    let columns = columns.join(", ");
    let order = if table == "audit" { " ORDER BY seq" } else { "" };
    sqlx::AssertSqlSafe(format!("INSERT INTO {table} ({columns}) SELECT {columns} FROM newer.{table}{order}"))
}

async fn step_back_sqlite(folder: &Path) {
    let (present, old) = (folder.join("relais.db"), folder.join("old.db"));
    let options = SqliteConnectOptions::new()
        .filename(&old)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal);
    let mut connection: SqliteConnection = options.connect().await.expect("a new file");
    let sql = include_str!("../../../migrations/sqlite/0001_first.sql");
    first(sql).run(&mut connection).await.expect("the first migration");
    let name = present.to_str().expect("a plain path").to_owned();
    sqlx::query("ATTACH DATABASE $1 AS newer").bind(name).execute(&mut connection).await.expect("beside it");
    for table in TABLES {
        let columns = sqlx::query_scalar("SELECT name FROM pragma_table_info($1)").bind(table);
        let columns: Vec<String> = columns.fetch_all(&mut connection).await.expect("its columns");
        sqlx::query(copy(table, &columns)).execute(&mut connection).await.expect(table);
    }
    connection.execute("DETACH DATABASE newer").await.expect("done");
    connection.close().await.expect("written");
    for end in ["", "-wal", "-shm"] {
        // Only the first is always there.
        let _ = std::fs::remove_file(folder.join(format!("relais.db{end}")));
    }
    std::fs::rename(old, present).expect("in its place");
}

async fn step_back_postgres(url: &Secret) {
    let mut connection: PgConnection = postgres::connect(url).await;
    connection
        .execute("ALTER SCHEMA public RENAME TO newer; CREATE SCHEMA public")
        .await
        .expect("the owner may");
    let sql = include_str!("../../../migrations/postgres/0001_first.sql");
    first(sql).run(&mut connection).await.expect("the first migration");
    for table in TABLES {
        let columns = sqlx::query_scalar(
            "SELECT column_name::text FROM information_schema.columns
             WHERE table_schema = 'public' AND table_name = $1",
        );
        let columns: Vec<String> = columns.bind(table).fetch_all(&mut connection).await.expect("its columns");
        sqlx::query(copy(table, &columns)).execute(&mut connection).await.expect(table);
    }
    connection.execute("DROP SCHEMA newer CASCADE").await.expect("done");
    connection.close().await.expect("written");
}

/// Turns the database of a stopped stack into what the first migration would have left.
async fn step_back(stack: &Stack) -> Location {
    let url = stack.config.lines().find_map(|line| line.strip_prefix("url = \"")).expect("a URL");
    let url = url.trim_end_matches('"');
    let location = if url.starts_with("sqlite:") {
        step_back_sqlite(&stack.folder).await;
        Location::Sqlite(stack.folder.join("relais.db"))
    } else {
        let url = Secret::new(url);
        step_back_postgres(&url).await;
        Location::Postgres(url)
    };
    let state = check(&location).await.expect("readable");
    assert!(matches!(state, MigrationState::Behind { applied: 1, .. }), "{state}");
    location
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_alive_in_a_database_of_the_first_version_goes_on() {
    for backend in BACKENDS {
        let mut stack = Stack::on(backend).paced().start().await;
        let handle = stack.session("899700000002").await.text("/session_handle");
        let waits = stack.approved("899700000003").await;
        let pending = stack.start(DOCTOR).await.expect(201);
        stack.stop().await;
        // What the provider is told of in its own time apart.
        let records = "SELECT count(*) FROM audit WHERE event <> 'provider.told'";
        let before = Database::of(&stack.config).await.number(records).await;
        let location = step_back(&stack).await;

        stack.restart().await;
        assert_eq!(check(&location).await.expect("readable"), MigrationState::Current, "{backend:?}");
        let mut database = Database::of(&stack.config).await;
        assert_eq!(database.number(records).await, before, "{backend:?}: every record is still there");
        let session = stack.relais.bearer(&handle);
        session.get("/v1/session").await.expect(200);
        session.get("/v1/session/userinfo").await.expect(200);
        stack.pick_up(&waits, Value::Null).await.expect(201);
        stack.decide("approve", Value::Null).await;
        stack.pass(PACE).await;
        assert_eq!(stack.outcome(&pending).await.text("/status"), "approved", "{backend:?}");
        stack.pick_up(&pending, Value::Null).await.expect(201);
        session.delete("/v1/session").await.expect(204);
        stack.start("899700000004").await.expect(201);
        // An approval, two pick-ups, the end of a session, a start and its acknowledgement.
        assert_eq!(
            database.number(records).await,
            before + 6,
            "{backend:?}: and the new ones come behind them"
        );
        let last = "SELECT count(*) FROM audit WHERE event = 'login.acknowledged' AND seq =
                        (SELECT max(seq) FROM audit WHERE event <> 'provider.told')";
        assert_eq!(database.number(last).await, 1, "{backend:?}");
        stack.was_polite().await;
    }
}
