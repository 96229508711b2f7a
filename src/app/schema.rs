//! The database's schema, for whoever starts and for `relais migrate`.

use crate::config::StoreUrl;
use crate::store::migrations::{self, Location};

pub use crate::store::migrations::{MigrateError, MigrationState};

/// Brings the schema up to date, under a lock; refuses a newer one.
pub async fn migrate(url: &StoreUrl) -> Result<(), MigrateError> {
    crate::net::install_provider();
    migrations::migrate(&location(url)).await
}

/// How the schema stands; changes nothing.
pub async fn state(url: &StoreUrl) -> Result<MigrationState, MigrateError> {
    crate::net::install_provider();
    migrations::check(&location(url)).await
}

fn location(url: &StoreUrl) -> Location {
    match url {
        StoreUrl::Sqlite(path) => Location::Sqlite(path.clone()),
        StoreUrl::Postgres(url) => Location::Postgres(url.clone()),
    }
}
