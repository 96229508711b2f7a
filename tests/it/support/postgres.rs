//! A PostgreSQL database of its own for each test, in the throwaway cluster that `scripts/test` starts.

use relais::crypto::random::SystemRandom;
use relais::domain::random::uuid_v4;
use relais::domain::secret::Secret;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions as _, Connection as _};

/// Names a superuser of the cluster: `postgres://postgres@127.0.0.1:55432/postgres`.
pub const VARIABLE: &str = "RELAIS_TEST_POSTGRES_URL";

/// The URL of a new, empty database.
pub async fn empty_database() -> Secret {
    let cluster = std::env::var(VARIABLE).expect(
        "RELAIS_TEST_POSTGRES_URL is not set: run `scripts/test`, which starts a PostgreSQL for the tests",
    );
    let mut url = url::Url::parse(&cluster).expect("the URL of the cluster is a URL");
    let name = format!("relais_{}", uuid_v4(&SystemRandom).simple());
    let mut connection = connect(&Secret::new(cluster)).await;
    create(&mut connection, &name).await;
    connection.close().await.expect("the cluster answers");
    url.set_path(&name);
    Secret::new(url.to_string())
}

/// The URL of a new database with the present schema.
pub async fn database() -> Secret {
    let url = empty_database().await;
    let location = relais::store::migrations::Location::Postgres(url.clone());
    relais::store::migrations::migrate(&location).await.expect("an empty database can be migrated");
    url
}

/// A connection of the test's own.
pub async fn connect(url: &Secret) -> PgConnection {
    let options: PgConnectOptions = url.expose().parse().expect("the URL is one of PostgreSQL");
    options.connect().await.expect("the cluster answers")
}

#[expect(clippy::disallowed_methods, reason = "a database's name cannot be a parameter; ours is hexadecimal")]
async fn create(connection: &mut PgConnection, name: &str) {
    let sql = sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"));
    sqlx::raw_sql(sql).execute(connection).await.expect("the cluster's user may create databases");
}
