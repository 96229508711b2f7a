//! The database's schema, for whoever starts and for `relais migrate`.

use crate::config::StoreUrl;
use crate::domain::secret::Secret;
use crate::store::migrations;

pub use crate::store::migrations::{MigrateError, MigrationState};

/// Brings the schema up to date, under a lock; refuses a newer one.
pub async fn migrate(url: &StoreUrl) -> Result<(), MigrateError> {
    crate::net::install_provider();
    migrations::migrate(&text(url)).await
}

/// How the schema stands; changes nothing.
pub async fn state(url: &StoreUrl) -> Result<MigrationState, MigrateError> {
    crate::net::install_provider();
    migrations::check(&text(url)).await
}

fn text(url: &StoreUrl) -> Secret {
    match url {
        StoreUrl::Sqlite(path) => Secret::new(format!("sqlite://{}", path.display())),
        StoreUrl::Postgres(url) => url.clone(),
    }
}
