//! The database of a running stack, from outside: to look into it, to hold it, to damage it, to dump it.

use sqlx::postgres::PgConnection;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions as _, Executor as _, Row as _};

use relais::domain::secret::Secret;

/// A connection beside those of Relais.
pub enum Database {
    Sqlite { connection: SqliteConnection, file: std::path::PathBuf },
    Postgres(PgConnection),
}

impl Database {
    /// The database that a configuration text names.
    pub async fn of(config: &str) -> Self {
        let url = config
            .lines()
            .find_map(|line| line.trim().strip_prefix("url = \"")?.strip_suffix('"'))
            .expect("the configuration names a database");
        if let Some(file) = url.strip_prefix("sqlite://") {
            let options: SqliteConnectOptions = url.parse().expect("a URL");
            Self::Sqlite { connection: options.connect().await.expect("the file"), file: file.into() }
        } else {
            Self::Postgres(super::postgres::connect(&Secret::new(url)).await)
        }
    }

    /// Runs statements.
    pub async fn run(&mut self, sql: &'static str) {
        let outcome = match self {
            Self::Sqlite { connection, .. } => connection.execute(sql).await.map(|_| ()),
            Self::Postgres(connection) => connection.execute(sql).await.map(|_| ()),
        };
        outcome.expect(sql);
    }

    /// The one number that a statement gives.
    pub async fn number(&mut self, sql: &'static str) -> i64 {
        match self {
            Self::Sqlite { connection, .. } => connection.fetch_one(sql).await.map(|row| row.get(0)),
            Self::Postgres(connection) => connection.fetch_one(sql).await.map(|row| row.get(0)),
        }
        .expect(sql)
    }

    /// Lets no other writer in until [`Database::release`].
    pub async fn hold(&mut self) {
        match self {
            Self::Sqlite { .. } => self.run("BEGIN IMMEDIATE").await,
            Self::Postgres(_) => self.run("BEGIN; LOCK TABLE logins, sessions, grants").await,
        }
    }

    /// Lets others in again.
    pub async fn release(&mut self) {
        self.run("ROLLBACK").await;
    }

    /// Takes no transition any more, until [`Database::thaw`]: none is written without its audit record.
    pub async fn freeze(&mut self) {
        self.run(match self {
            Self::Sqlite { .. } => {
                "CREATE TRIGGER frozen BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'frozen'); END"
            }
            Self::Postgres(_) => "ALTER TABLE audit ADD CONSTRAINT frozen CHECK (seq < 0) NOT VALID",
        })
        .await;
    }

    /// Takes transitions again.
    pub async fn thaw(&mut self) {
        self.run(match self {
            Self::Sqlite { .. } => "DROP TRIGGER frozen",
            Self::Postgres(_) => "ALTER TABLE audit DROP CONSTRAINT frozen",
        })
        .await;
    }

    /// Everything that is stored: the bytes of SQLite's files, or every table of PostgreSQL as text (bytes are
    /// hexadecimal there).
    pub async fn dump(&mut self) -> Vec<u8> {
        match self {
            Self::Sqlite { file, .. } => ["", "-wal", "-shm"]
                .iter()
                .flat_map(|end| std::fs::read(format!("{}{end}", file.display())).unwrap_or_default())
                .collect(),
            Self::Postgres(connection) => dump_tables(connection).await,
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "names of tables, from the database itself, cannot be parameters"
)]
async fn dump_tables(connection: &mut PgConnection) -> Vec<u8> {
    use futures_util::TryStreamExt as _;
    let tables = connection
        .fetch_all(
            "SELECT quote_ident(table_name) FROM information_schema.tables WHERE table_schema = 'public'",
        )
        .await
        .expect("the catalogue");
    assert!(tables.len() > 5, "every table is dumped");
    let mut dump = Vec::new();
    for table in tables {
        let sql = sqlx::AssertSqlSafe(format!("SELECT t::text FROM {} AS t", table.get::<String, _>(0)));
        let rows: Vec<_> = sqlx::query(sql).fetch(&mut *connection).try_collect().await.expect("rows");
        for row in rows {
            dump.extend_from_slice(row.get::<String, _>(0).as_bytes());
            dump.push(b'\n');
        }
    }
    dump
}
